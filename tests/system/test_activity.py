"""What happened to an assistant, and what it wrote: the timeline and the log."""

from __future__ import annotations

import json
from typing import Any

from zaki.api import expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import Suite
from zaki.telegram import Bot


def timeline(person: Person, instance: str, query: str = "") -> list[dict[str, Any]]:
    return list(expect(person.api.get(f"/instances/{instance}/activity{query}"), 200)["items"])


def written(suite: Suite, name: str) -> bytes:
    """What the engine has of the log, secrets and all."""
    query = {"stdout": 1, "stderr": 1, "tail": 1000}
    return bytes(suite.engine.call("GET", f"/containers/{name}/logs", query).read())


def test_a_timeline_tells_what_was_done_and_what_happened(suite: Suite, ada: Person, bob: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        ada.act(instance, "stop", "stopped")
        live = ws.expect("instance.activity", 20, lambda f: f["data"]["kind"] == "stop")
    found = timeline(ada, instance)
    assert [i["id"] for i in found] == sorted((i["id"] for i in found), reverse=True)
    told = [(i["kind"], i["actor"]) for i in reversed(found)]
    assert told[0] == ("create", "user") and ("channel_connected", "platform") in told and ("stop", "user") in told
    assert [i["summary"] for i in found if i["kind"] == "status"][:2] == ["stopped", "stopping"]
    stop = next(i for i in found if i["kind"] == "stop")
    assert live["data"] == {"instance_id": instance, **{k: v for k, v in stop.items() if k != "trace_id"}}
    assert live["trace_id"] == stop["trace_id"]
    expect(bob.api.get(f"/instances/{instance}/activity"), 404)

    paged: list[int] = []
    cursor = ""
    while True:
        page = expect(ada.api.get(f"/instances/{instance}/activity?limit=2" + (f"&cursor={cursor}" if cursor else "")), 200)
        paged += [i["id"] for i in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert paged == [i["id"] for i in found]
    for wrong in ("x", "0", "-1", "1" * 30):
        answer = ada.api.get(f"/instances/{instance}/activity?cursor={wrong}")
        assert (answer.status, answer.field) == (400, "cursor"), answer


def test_a_timeline_goes_with_its_instance(suite: Suite, ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    ada.remove(instance)
    expect(ada.api.get(f"/instances/{instance}/activity"), 404)
    assert suite.sql("SELECT 1 FROM activity WHERE instance_id = %s", instance) == []


def test_a_log_without_its_secrets(suite: Suite, ada: Person, bob: Person, bot: Bot) -> None:
    key = "my-very-own-provider-key"
    made = ada.running(bot, owner_telegram_id=7, model="mine/m", provider={
        "name": "mine", "api_key": key, "base_url": suite.env["LLM_FAKE_URL"] + "/v1"})
    instance, name = made["id"], made["container_name"]
    file = suite.data(ada.id, instance, ".openclaw", "openclaw.json")
    token = json.loads(file.read_text())["gateway"]["auth"]["token"]
    first = expect(ada.api.get(f"/instances/{instance}/logs"), 200)
    assert first["items"] and first["follow"]
    # A root key that is unknown stands in the log, by its name.
    for secret in (token, bot.token, key):
        file.write_text(json.dumps({secret: 1, **json.loads(file.read_text())}))
        wait_until(lambda s=secret: s.encode() in written(suite, name), 20, "the assistant has written it")
    answer = ada.api.get(f"/instances/{instance}/logs?tail=1000")
    for secret in (token, bot.token, bot.token.split(":")[1], key):
        assert secret.encode() not in answer.body
    assert b"********" in answer.body
    new = expect(ada.api.get(f"/instances/{instance}/logs?after={first['follow']}"), 200)
    assert new["items"] and all(line["at"] >= first["items"][-1]["at"] for line in new["items"])
    assert any("unrecognized key" in line["text"] for line in new["items"])
    again = expect(ada.api.get(f"/instances/{instance}/logs?after={new['follow']}"), 200)
    assert not any("unrecognized key" in line["text"] for line in again["items"])
    assert len(expect(ada.api.get(f"/instances/{instance}/logs?tail=1"), 200)["items"]) == 1
    expect(bob.api.get(f"/instances/{instance}/logs"), 404)
    answer = ada.api.get(f"/instances/{instance}/logs?after=1%26follow=true")
    assert (answer.status, answer.field) == (400, "after"), answer


def test_the_log_of_what_is_stopped_is_there(ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    ada.act(instance, "stop", "stopped")
    assert expect(ada.api.get(f"/instances/{instance}/logs"), 200)["items"]
