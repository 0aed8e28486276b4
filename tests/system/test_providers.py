"""LLM providers that people bring: asked before they are kept, never read back, changed while it runs."""

from __future__ import annotations

import json
import urllib.request
from typing import Any, Iterator

import pytest

from zaki.api import Answer, expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import Suite
from zaki.telegram import Bot

KEY = "sk-one-of-mine-0123456789"


class Mine:
    """One assistant and its providers."""

    def __init__(self, suite: Suite, person: Person, bot: Bot) -> None:
        self.suite, self.person = suite, person
        self.llm = suite.env["LLM_FAKE_URL"]
        self.made = person.running(bot, owner_telegram_id=7)
        self.instance = self.made["id"]
        self.file = suite.data(person.id, self.instance, ".openclaw", "openclaw.json")

    def call(self, method: str, name: str = "", body: Any = None) -> Answer:
        path = f"/instances/{self.instance}/providers" + (f"/{name}" if name else "")
        return self.person.api.call(method, path, body)

    def put(self, name: str = "mine", **more: Any) -> Answer:
        return self.call("PUT", name, {"api_key": KEY, "base_url": f"{self.llm}/v1", **more})

    def config(self) -> dict[str, Any]:
        return dict(json.loads(self.file.read_text()))

    def control(self, path: str, body: Any = None, method: str = "POST") -> None:
        data = json.dumps(body or {}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.llm}/_control/{path}", data, method=method), timeout=10).close()


@pytest.fixture
def mine(suite: Suite, ada: Person, bot: Bot) -> Iterator[Mine]:
    m = Mine(suite, ada, bot)
    yield m
    m.control("reset")


def test_a_provider_is_used_without_a_restart(suite: Suite, mine: Mine, bot: Bot) -> None:
    started = suite.engine.json("GET", f"/containers/{mine.made['container_name']}/json")["State"]["StartedAt"]
    view = expect(mine.put(), 200)
    assert (view["name"], view["key_last4"], view["base_url"]) == ("mine", KEY[-4:], f"{mine.llm}/v1")
    expect(mine.person.api.patch(f"/instances/{mine.instance}", {"model": "mine/some-model"}), 200)
    wait_until(lambda: mine.config()["agents"]["defaults"]["model"]["primary"] == "mine/some-model", 30)
    assert mine.config()["models"]["providers"]["mine"]["apiKey"] == KEY
    bot.wait_polled()
    assert bot.says(bot.hears(7, "with another model"), text="with another model")
    state = suite.engine.json("GET", f"/containers/{mine.made['container_name']}/json")["State"]
    assert state["StartedAt"] == started, "the container was restarted"


def test_keys_are_never_read_back(suite: Suite, mine: Mine) -> None:
    expect(mine.put(), 200)
    expect(mine.put("short", api_key="abc"), 200)
    listed = mine.call("GET")
    by_name = {item["name"]: item for item in expect(listed, 200)["items"]}
    assert by_name["mine"]["key_last4"] == KEY[-4:] and by_name["short"]["key_last4"] is None
    assert by_name["fake"]["is_platform"] and not by_name["mine"]["is_platform"]
    assert KEY.encode() not in listed.body
    rows = suite.sql("SELECT * FROM provider_keys WHERE instance_id = %s", mine.instance)
    assert len(rows) == 2 and KEY not in str(rows)


def test_a_key_that_is_not_accepted_is_not_kept(mine: Mine) -> None:
    mine.control("keys", {"keys": ["another"]})
    answer = mine.put()
    assert (answer.status, answer.field) == (400, "api_key"), answer
    assert [item["name"] for item in expect(mine.call("GET"), 200)["items"]] == ["fake"]


@pytest.mark.parametrize("url, field", [
    ("{llm}", "base_url"), ("{llm}/no/such", "base_url"), ("{llm}/v1?x=1", "base_url"), ("ftp://x/v1", "base_url"),
    ("http://u:p@h/v1", "base_url"),
])
def test_an_address_that_is_no_llm(mine: Mine, url: str, field: str) -> None:
    answer = mine.put(base_url=url.format(llm=mine.llm))
    assert (answer.status, answer.field) == (400, field), answer


def test_a_provider_that_cannot_be_asked(mine: Mine) -> None:
    answer = mine.put(base_url="http://127.0.0.1:9/v1")
    assert answer.status in (502, 503), answer
    answer = mine.put("NotAName")
    assert (answer.status, answer.field) == (400, "name"), answer
    answer = mine.call("PUT", "mine", {"api_key": KEY})
    assert (answer.status, answer.field) == (400, "base_url"), answer


def test_the_models_model_stays_reachable(mine: Mine) -> None:
    expect(mine.put(), 200)
    expect(mine.person.api.patch(f"/instances/{mine.instance}", {"model": "mine/m"}), 200)
    expect(mine.call("DELETE", "mine"), 409, "CONFLICT")
    expect(mine.person.api.patch(f"/instances/{mine.instance}", {"model": "fake/echo"}), 200)
    expect(mine.call("DELETE", "mine"), 200)
    expect(mine.call("DELETE", "mine"), 404, "NOT_FOUND")
    wait_until(lambda: "mine" not in mine.config()["models"]["providers"], 30)


def test_models_are_listed(mine: Mine) -> None:
    mine.control("models", {"models": ["one", "two"]})
    expect(mine.put(), 200)
    got = expect(mine.person.api.get(f"/instances/{mine.instance}/models"), 200)
    assert {"mine/one", "mine/two", "fake/one"} <= {m["id"] for m in got["items"]}
    assert got["current"] == "fake/echo" and got["problems"] == []
    mine.control("keys", {"keys": ["another"]})
    got = expect(mine.person.api.get(f"/instances/{mine.instance}/models"), 200)
    assert got["items"] == [] and {p["provider"] for p in got["problems"]} == {"mine", "fake"}
    assert KEY not in json.dumps(got)


def test_there_are_eight_at_most(mine: Mine) -> None:
    for n in range(8):
        expect(mine.put(f"p{n}"), 200)
    expect(mine.put("p8"), 403, "QUOTA_EXCEEDED")
    expect(mine.put("p7"), 200)


@pytest.mark.disturbs
def test_private_addresses_are_refused_unless_allowed(suite: Suite, mine: Mine) -> None:
    suite.stack.restart_part("instance-manager", {"PROVIDER_ALLOW_PRIVATE": "0"})
    try:
        port = mine.llm.rsplit(":", 1)[1]
        for host in ("127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "2130706433", "0x7f.1"):
            answer = mine.put(base_url=f"http://{host}:{port}/v1")
            assert (answer.status, answer.field) == (400, "base_url"), (host, answer)
        body = {"bot_token": suite.telegram.bot().token,
                "provider": {"name": "mine", "api_key": KEY, "base_url": f"{mine.llm}/v1"}, "model": "mine/m"}
        answer = Person.new(suite.api).api.post("/onboarding/provision", body)
        assert (answer.status, answer.field) == (400, "provider.base_url"), answer
    finally:
        suite.stack.restart_part("instance-manager", {"PROVIDER_ALLOW_PRIVATE": "1"})
