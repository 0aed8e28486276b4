"""A flood of sign-ins (SPEC 5): memory stays bounded, the rest is told to come back, nothing else waits."""

from __future__ import annotations

import time

import pytest

from zaki.api import Api, expect
from zaki.figures import figures
from zaki.flood import Flood, stood_in_line
from zaki.people import Person
from zaki.suite import Suite

COUNT = 500


@pytest.mark.core
def test_500_sign_ins_at_once(suite: Suite, ada: Person, api: Api) -> None:
    refused = figures(suite, "gateway")["zaki_sign_ins_refused_total"]
    waits: list[float] = []
    flood = Flood(api.base, COUNT, ada.email)
    while not flood.is_over():
        answer = api.get("/health")
        expect(answer, 200)
        waits.append(answer.seconds)
        expect(ada.api.get("/users/me"), 200)  # the rest of the API goes on, too
        time.sleep(0.02)
    came = flood.end()

    statuses = [c.status for c in came]
    assert len(came) == COUNT and set(statuses) <= {401, 503}, sorted(set(statuses))
    assert statuses.count(401) >= 4, "some get through"
    assert all(c.retry_after >= 1 for c in came if c.status == 503)
    assert 0 < figures(suite, "gateway")["zaki_sign_ins_refused_total"] - refused <= statuses.count(503)
    # How fast it is, is the benchmarks' matter, and how much memory the release build's: tests/stack/test_release.py.
    assert not (wrong := stood_in_line(waits, came)), wrong
    person = Person(Api(api.base), ada.email, ada.password)
    person.login()
