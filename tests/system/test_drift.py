"""What people do to containers by hand is mended, told and recorded; troubles inside are named."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from zaki.api import expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import SLOW, Suite
from zaki.telegram import Bot, Telegram
from zaki.ws import Socket

MEND_S = 10 * SLOW  # SPEC 13: seen and mended within ten seconds


def box(suite: Suite, instance: str) -> dict[str, Any]:
    """Its one container."""
    found = suite.containers(instance)
    assert len(found) <= 1, "the container is doubled"
    return found[0] if found else {}


def is_running(suite: Suite, instance: str) -> bool:
    return box(suite, instance).get("State") == "running"


def limit(suite: Suite, instance: str) -> int:
    now = box(suite, instance).get("Id")
    return int(suite.engine.json("GET", f"/containers/{now}/json")["HostConfig"]["Memory"]) if now else 0


def audited(suite: Suite, instance: str) -> list[dict[str, Any]]:
    return suite.sql("SELECT action, detail FROM audit_instance WHERE instance_id = %s AND actor = 'platform' "
                     "ORDER BY id", instance)


def told(suite: Suite, person: Person, instance: str, kind: str, disturb: Any) -> None:
    """disturb() leads to a drift event of this kind, an audit row, and the wanted state."""
    with suite.socket(person.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        disturb()
        event = ws.expect("instance.drift", MEND_S)
        assert event["data"]["kind"] == kind and event["data"]["message"], event
    assert audited(suite, instance), "an audit entry"


@pytest.mark.core
def test_a_container_removed_by_hand_comes_back(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot, owner_telegram_id=7)["id"]
    old = box(suite, instance)["Id"]
    told(suite, ada, instance, "container_missing", lambda: suite.engine.remove(old))
    wait_until(lambda: is_running(suite, instance) and box(suite, instance)["Id"] != old, MEND_S)
    ada.wait(instance, "running")
    bot.wait_polled()
    assert bot.says(bot.hears(7, "still you?"), text="still you?")


@pytest.mark.parametrize("how", ["stop?t=1", "kill"])
def test_a_container_stopped_by_hand_is_started(ada: Person, bot: Bot, suite: Suite, how: str) -> None:
    instance = ada.running(bot)["id"]
    cid = box(suite, instance)["Id"]
    told(suite, ada, instance, "container_stopped",
         lambda: suite.engine.call("POST", f"/containers/{cid}/{how}").read())
    wait_until(lambda: is_running(suite, instance), MEND_S)
    ada.wait(instance, "running")


def test_a_container_started_by_hand_is_stopped(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot)["id"]
    ada.act(instance, "stop", "stopped")
    cid = box(suite, instance).get("Id")
    if not cid:
        pytest.skip("a stopped assistant has no container here")
    told(suite, ada, instance, "container_running",
         lambda: suite.engine.call("POST", f"/containers/{cid}/start").read())
    wait_until(lambda: not is_running(suite, instance), MEND_S)
    ada.wait(instance, "stopped")


def test_a_container_changed_by_hand_is_made_anew(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot)["id"]
    cid = box(suite, instance)["Id"]
    change = {"Memory": 512 << 20, "MemorySwap": 512 << 20}
    told(suite, ada, instance, "container_changed",
         lambda: suite.engine.json("POST", f"/containers/{cid}/update", body=change))
    wait_until(lambda: limit(suite, instance) == 2 << 30, MEND_S)
    ada.wait(instance, "running")


def stray(suite: Suite, labels: dict[str, str]) -> str:
    name = f"zaki-user-{labels['zaki.instance']}"
    made = suite.engine.json("POST", "/containers/create", {"name": name},
                             {"Image": suite.stack.image_name(), "Labels": labels, "HostConfig": {"NetworkMode": "none"}})
    suite.engine.call("POST", f"/containers/{made['Id']}/start").read()
    return str(made["Id"])


def test_a_stray_container_is_removed(ada: Person, suite: Suite) -> None:
    instance = str(uuid.uuid4())
    stray(suite, {"zaki.platform": suite.platform(), "zaki.instance": instance, "zaki.user": ada.id})
    wait_until(lambda: not suite.containers(instance), MEND_S)
    wait_until(lambda: audited(suite, instance), 5, "an audit entry")


def test_other_peoples_containers_are_left_alone(suite: Suite, ada: Person, bot: Bot) -> None:
    other = str(uuid.uuid4())
    cid = stray(suite, {"zaki.platform": other, "zaki.instance": other, "zaki.user": other})
    try:
        instance = ada.running(bot)["id"]
        suite.engine.remove(box(suite, instance)["Id"])  # the reconciler looks around
        ada.wait(instance, "running")
        wait_until(lambda: is_running(suite, instance), MEND_S)
        assert suite.engine.containers([f"zaki.platform={other}"])
    finally:
        suite.engine.remove(cid)


def test_everything_removed_at_once(suite: Suite, ada: Person, telegram: Telegram) -> None:
    made = [ada.running(telegram.bot())["id"] for _ in range(3)]
    for container in suite.containers():
        if container["Labels"]["zaki.instance"] in made:
            suite.engine.remove(container["Id"])
    for instance in made:
        wait_until(lambda i=instance: is_running(suite, i), MEND_S)
        ada.wait(instance, "running")


def test_a_stop_while_the_container_is_gone(suite: Suite, ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    suite.engine.remove(box(suite, instance)["Id"])
    ada.act(instance, "stop", "stopped")
    assert not is_running(suite, instance)
    ada.act(instance, "start", "running")


# ---- troubles inside, as the stub plays them (tests/fakes/stub) ------------------------------------

def steer(suite: Suite, person: Person, instance: str, **how: Any) -> None:
    """What the stub does from its next look at the file on."""
    suite.data(person.id, instance, ".openclaw", "stub.json").write_text(json.dumps(how))


def look_now(suite: Suite, instance: str) -> None:
    """The reconciler's next look, which may be ten seconds off."""
    suite.sql("UPDATE instances SET next_check_at = now() WHERE id = %s AND lease_owner IS NULL", instance)


def reason(person: Person, instance: str) -> str:
    return str(person.instance(instance)["status_reason"] or "").lower()


def cause(person: Person, instance: str) -> str:
    return str(person.instance(instance)["status_cause"])


def named(ws: Socket, what: tuple[str, str], remedy: str, seconds: float = 60) -> None:
    """An event that names the state and its cause, and says what the person can do or what is done for them."""
    told = ws.expect("instance.status", seconds * SLOW, lambda f: f["data"]["status_cause"] == what[1])["data"]
    assert told["status"] == what[0] and remedy in told["status_reason"], told


def causes_told(person: Person, instance: str) -> str:
    """What the timeline says of its states, the latest first."""
    items = expect(person.api.get(f"/instances/{instance}/activity?limit=100"), 200)["items"]
    return "; ".join(str(i["summary"]) for i in items if i["kind"] == "status")


def test_a_config_that_is_refused_is_named(suite: Suite, ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        steer(suite, ada, instance, exit_after_ms=0, exit_code=78)
        named(ws, ("error", "config_refused"), "Change the model or the provider, then start the assistant again")
    assert ada.instance(instance)["status"] == "error" and cause(ada, instance) == "config_refused"
    cid = box(suite, instance)["Id"]
    wait_until(lambda: not suite.engine.json("GET", f"/containers/{cid}/json")["State"]["Running"], 20, "it is stopped")
    assert suite.engine.json("GET", f"/containers/{cid}/json")["RestartCount"] <= 4 + SLOW, "the loop is ended at once"
    suite.data(ada.id, instance, ".openclaw", "stub.json").unlink()
    ada.act(instance, "start", "running")  # a person's wish forgives


def test_a_bot_polled_by_somebody_else_is_named(suite: Suite, ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        steer(suite, ada, instance, telegram="conflict")
        named(ws, ("unhealthy", "bot_conflict"), "stop it, or give another bot's token")
    assert cause(ada, instance) == "bot_conflict" and ada.instance(instance)["status"] == "unhealthy"
    suite.data(ada.id, instance, ".openclaw", "stub.json").unlink()
    ada.wait(instance, "running")
    assert ada.instance(instance)["status_cause"] is None


def test_a_token_that_is_refused_is_named(suite: Suite, ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        steer(suite, ada, instance, telegram="blocked")
        named(ws, ("unhealthy", "bot_token_refused"), "give a new one")
    assert cause(ada, instance) == "bot_token_refused"


def test_too_little_memory_is_named(suite: Suite, ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    expect(ada.api.patch(f"/instances/{instance}", {"memory_mib": 1024}), 200)
    wait_until(lambda: limit(suite, instance) == 1 << 30, MEND_S)
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        steer(suite, ada, instance, oom=True, once=True)
        named(ws, ("restarting", "out_of_memory"), "Give it more memory")
    ada.wait(instance, "running")
    assert "memory" in causes_told(ada, instance)


def test_channels_that_are_held_back_are_begun(suite: Suite, ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        steer(suite, ada, instance, telegram="off")
        named(ws, ("unhealthy", "channels_off"), "switched on again by itself")
        ws.expect("instance.status", 90 * SLOW, lambda f: f["data"]["status"] == "running")
    bot.wait_polled()


def test_one_that_is_never_ready_is_named(suite: Suite, ada: Person, bot: Bot) -> None:
    """It lives, and /readyz says no for ever; a minute of that is taken as past."""
    instance = ada.running(bot)["id"]

    def since() -> bool:
        look_now(suite, instance)
        return bool(suite.sql("UPDATE instances SET not_ready_since_ms = not_ready_since_ms - 61000 "
                              "WHERE id = %s AND not_ready_since_ms > 0 RETURNING 1", instance))

    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        steer(suite, ada, instance, ready_ms=10**9)
        wait_until(since, 30 * SLOW, "it is seen")
        named(ws, ("unhealthy", "connecting"), "restart it or look at its logs")
        assert "restart it" in ws.expect("channel.disconnected", 10 * SLOW)["data"]["reason"]
        suite.data(ada.id, instance, ".openclaw", "stub.json").unlink()
        ada.act(instance, "restart")
        ws.expect("channel.connected", 60 * SLOW)
    ada.wait(instance, "running")


def test_what_hangs_is_restarted_and_named(suite: Suite, ada: Person, bot: Bot) -> None:
    """At its third miss (test_decide.c counts them): the second is taken as past."""
    instance = ada.running(bot)["id"]

    def missed_twice() -> bool:
        look_now(suite, instance)
        return bool(suite.sql("UPDATE instances SET probe_misses = 2 WHERE id = %s AND probe_misses = 1 "
                              "AND lease_owner IS NULL RETURNING 1", instance))

    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        steer(suite, ada, instance, healthz="hang", once=True)
        wait_until(missed_twice, 60 * SLOW, "it is seen")
        look_now(suite, instance)
        named(ws, ("unhealthy", "no_answer"), "is being restarted", 90)
    ada.wait(instance, "running")


def test_what_ends_again_and_again_is_stopped(suite: Suite, ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        steer(suite, ada, instance, exit_after_ms=50, exit_code=3)
        named(ws, ("error", "crash_loop"), "Look at its settings, then start it again", 120)
    assert cause(ada, instance) == "crash_loop" and "stopped" in reason(ada, instance)


def test_a_crash_is_got_over(suite: Suite, ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    steer(suite, ada, instance, exit_after_ms=0, exit_code=3, once=True)
    cid = box(suite, instance)["Id"]
    wait_until(lambda: suite.engine.json("GET", f"/containers/{cid}/json")["RestartCount"] >= 1, 20, "a restart")
    ada.wait(instance, "running")
    assert expect(ada.api.get(f"/instances/{instance}"), 200)["desired"] == "running"


@pytest.mark.disturbs
def test_a_crash_that_nobody_watched_is_told(suite: Suite, ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    cid = box(suite, instance)["Id"]
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        with suite.killed("instance-manager"):
            steer(suite, ada, instance, exit_after_ms=0, exit_code=3, once=True)
            wait_until(lambda: suite.engine.json("GET", f"/containers/{cid}/json")["RestartCount"] >= 1, 20, "a restart")
            wait_until(lambda: is_running(suite, instance), 20)
        ws.expect("instance.status", 30 * SLOW, lambda f: f["data"]["status_cause"] == "crashed")
    ada.wait(instance, "running")
