"""/metrics: the whole suite's figures for Prometheus, on a port of its own."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from zaki.api import expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import DAEMONS, SLOW, Suite

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def ask(suite: Suite, path: str = "/metrics", method: str = "GET") -> tuple[http.client.HTTPResponse, str]:
    url = urlsplit(suite.env["METRICS_URL"])
    conn = http.client.HTTPConnection(str(url.hostname), url.port or 0, timeout=20)
    try:
        conn.request(method, path)
        answer = conn.getresponse()
        return answer, answer.read().decode()
    finally:
        conn.close()


def page(suite: Suite) -> Series:
    """As Prometheus' own library reads it."""
    answer, text = ask(suite)
    assert answer.status == 200 and str(answer.headers["Content-Type"]).startswith("text/plain; version=0.0.4")
    return {(s.name, frozenset(s.labels.items())): s.value for f in text_string_to_metric_families(text) for s in f.samples}


def total(series: Series, name: str, **labels: str) -> float:
    return sum(v for (n, found), v in series.items() if n == name and labels.items() <= dict(found).items())


def test_each_daemon_is_in_it_and_its_figures_grow(suite: Suite, ada: Person) -> None:
    before = page(suite)
    for daemon in DAEMONS:
        assert total(before, "zaki_daemons", service=daemon) == 1
        assert any(n == "zaki_calls_under_way" and ("service", daemon) in found for n, found in before)
    for _ in range(3):
        expect(ada.api.get("/users/me"), 200)
    grows = (("zaki_http_requests_total", {"service": "gateway", "class": "2xx"}),
             ("zaki_bus_requests_total", {"service": "auth", "subject": "zaki.rpc.auth.user_get"}))

    def grown() -> Series | None:
        seen = page(suite)  # a call is counted when it is over, which is after its answer
        return seen if all(total(seen, n, **ls) >= total(before, n, **ls) + 3 for n, ls in grows) else None

    after = wait_until(grown, 10 * SLOW, "both are counted")
    seconds = {"service": "auth", "subject": "zaki.rpc.auth.login"}
    assert 0 <= total(after, "zaki_bus_request_seconds_total", **seconds) < 3600
    text = ask(suite)[1]
    assert ada.id not in text and ada.email not in text


def test_nothing_else_is_served_there(suite: Suite, ada: Person) -> None:
    assert ask(suite, "/")[0].status == ask(suite, "/api/users/me")[0].status == ask(suite, "/metrics/")[0].status == 404
    refused = ask(suite, method="POST")[0]
    assert refused.status == 405 and refused.headers["Allow"] == "GET, HEAD"
    head, body = ask(suite, method="HEAD")
    assert head.status == 200 and body == ""
    expect(ada.api.get("/metrics"), 404)
    expect(ada.api.get("=/metrics"), 404)


@pytest.mark.disturbs
def test_a_daemon_that_is_away_is_missing(suite: Suite) -> None:
    with suite.without("storage-backup"):
        seen = page(suite)
    assert total(seen, "zaki_daemons", service="storage-backup") == 0
    assert total(seen, "zaki_daemons", service="auth") == 1
