"""The links to assistants' gateways: what comes over them, and which instance-manager holds which."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from zaki.api import expect
from zaki.patience import wait_until
from zaki.people import Person, idempotency
from zaki.suite import SLOW, Suite
from zaki.telegram import Bot, Telegram

LINK_S = 10 * SLOW
IDLE_S = 5  # in which nothing happens, to see what that costs
TRIES = 4  # of what a machine that stands still at the wrong moment spoils
LEASE_S = 6  # of a process that holds links (link_store.h)


def links(suite: Suite) -> list[dict[str, Any]]:
    """Each link, its holder where that one's lease stands, and whether it is up."""
    return suite.sql("SELECT l.instance_id, h.holder, l.connected_at IS NOT NULL AS is_up FROM instance_links l "
                     "LEFT JOIN link_holders h ON h.holder = l.holder AND h.lease_until > now()")


def is_linked(suite: Suite, instance: str) -> bool:
    return any(row["instance_id"] == instance and row["holder"] and row["is_up"] for row in links(suite))


def linked(suite: Suite, person: Person, bot: Bot, **more: Any) -> str:
    """A new assistant that runs and is linked."""
    instance = str(person.running(bot, **more)["id"])
    wait_until(lambda: is_linked(suite, instance), LINK_S)
    return instance


def test_a_conversation_is_told_and_kept(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = linked(suite, ada, bot, owner_telegram_id=7)
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"sessions.{instance}")
        bot.hears(7, "good morning")
        made = ws.expect("session.created", LINK_S)["data"]["session"]
        assert made["session_key"] == "agent:main:telegram:direct:7" and made["channel"] == "telegram"
        assert ws.expect("session.updated", LINK_S)["data"]["session"]["message_count"] == 2
    key = made["session_key"]
    page = expect(ada.api.get(f"/instances/{instance}/sessions/{key}?limit=1"), 200)
    assert page["items"][0]["text"] == "echo: good morning" and page["live"]
    older = expect(ada.api.get(f"/instances/{instance}/sessions/{key}?limit=1&cursor={page['next_cursor']}"), 200)
    assert older["items"][0]["text"] == "good morning" and not older["next_cursor"]
    assert ada.api.get(f"/instances/{instance}/sessions/agent:main:nobody").code == "NOT_FOUND"


def test_a_chat_streams_and_the_same_key_runs_once(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = linked(suite, ada, bot)
    key = idempotency()
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"sessions.{instance}")
        first = expect(ada.api.post(f"/instances/{instance}/chat", {"message": "hello"}, headers=key), 202)
        again = expect(ada.api.post(f"/instances/{instance}/chat", {"message": "hello"}, headers=key), 202)
        assert first == again
        assert ws.expect("chat.delta", LINK_S)["data"]["text"] == "echo: hello"
        done = ws.expect("chat.done", LINK_S)["data"]
        assert done["run_id"] == first["run_id"] and done["text"] == "echo: hello"
    page = expect(ada.api.get(f"/instances/{instance}/sessions/{first['session_key']}"), 200)
    assert [m["role"] for m in page["items"]] == ["assistant", "user"]


def test_another_persons_assistant_is_not_there(ada: Person, bob: Person, bot: Bot, suite: Suite) -> None:
    instance = linked(suite, ada, bot)
    for method, rest, body in (("GET", "sessions", None), ("GET", "sessions/agent:main:main", None),
                               ("GET", "channels", None), ("GET", "pairing", None), ("GET", "usage", None),
                               ("GET", "calendar", None), ("GET", "tasks", None),
                               ("POST", "chat", {"message": "hi"}), ("POST", "chat/stop", {}),
                               ("POST", "pairing/x/approve", {}), ("POST", "pairing/x/dismiss", {}),
                               ("PUT", "usage/limit", {"monthly_micros": 1}),
                               ("DELETE", "sessions/agent:main:main", None)):
        answer = bob.api.call(method, f"/instances/{instance}/{rest}", body)
        assert answer.status == 404 and answer.code == "NOT_FOUND", (method, rest, answer)


def test_a_stopped_assistant_is_answered_from_what_is_stored(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = linked(suite, ada, bot, owner_telegram_id=7)
    bot.hears(7, "remember me")
    wait_until(lambda: expect(ada.api.get(f"/instances/{instance}/sessions"), 200)["items"], LINK_S)
    ada.act(instance, "stop", "stopped")
    wait_until(lambda: not expect(ada.api.get(f"/instances/{instance}/sessions"), 200)["live"], LINK_S)
    kept = expect(ada.api.get(f"/instances/{instance}/sessions?q=remember"), 200)
    assert kept["items"] and kept["as_of"]
    assert ada.api.post(f"/instances/{instance}/chat", {"message": "hi"}).code == "CONFLICT"
    for nothing in ("pairing", "calendar", "tasks"):
        empty = expect(ada.api.get(f"/instances/{instance}/{nothing}"), 200)
        assert empty["items"] == [] and not empty["live"], nothing
    assert expect(ada.api.get(f"/instances/{instance}/channels"), 200)["items"][0]["status"] == "off"
    ada.act(instance, "start", "running")
    wait_until(lambda: is_linked(suite, instance), LINK_S)


def test_a_conversation_is_renamed_and_deleted(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = linked(suite, ada, bot, owner_telegram_id=7)
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"sessions.{instance}")
        bot.hears(7, "about boats")
        key = ws.expect("session.created", LINK_S)["data"]["session"]["session_key"]
        path = f"/instances/{instance}/sessions/{key}"
        assert expect(ada.api.patch(path, {"title": "Boats"}), 200)["title"] == "Boats"
        wait_until(lambda: ws.expect("session.updated", LINK_S)["data"]["session"]["title"] == "Boats", LINK_S)
        assert expect(ada.api.get(path), 200)["session"]["title"] == "Boats"
        assert ada.api.patch(path, {"title": ""}).field == "title"
        expect(ada.api.delete(path), 200)
        assert ws.expect("session.deleted", LINK_S)["data"]["session_key"] == key
    for answer in (ada.api.get(path), ada.api.delete(path), ada.api.patch(path, {"title": "x"})):
        assert (answer.status, answer.code) == (404, "NOT_FOUND"), answer


def test_who_asks_is_let_in_or_sent_away(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = linked(suite, ada, bot)

    def asking() -> dict[str, Any]:
        return {r["sender_id"]: r for r in expect(ada.api.get(f"/instances/{instance}/pairing"), 200)["items"]}

    def settle(code: str, verb: str, body: Any) -> Any:
        return ada.api.post(f"/instances/{instance}/pairing/{code}/{verb}", body)

    for who in (7, 8, 9):
        bot.hears(who, "may I?")
    wait_until(lambda: set(asking()) == {"7", "8", "9"}, LINK_S)
    codes = {who: r["code"] for who, r in asking().items()}
    assert expect(settle(codes["9"], "dismiss", {}), 200)["sender_id"] == "9"
    assert set(asking()) == {"7", "8"} and settle(codes["9"], "dismiss", {}).code == "NOT_FOUND"
    assert expect(settle(codes["8"], "approve", {}), 200)["owner"] is False
    wait_until(lambda: bot.says(bot.hears(8, "in"), timeout=3, text="echo: in"), LINK_S)
    assert expect(settle(codes["7"], "approve", {"owner": True}), 200)["owner"] is True
    settings = expect(ada.api.get(f"/instances/{instance}/settings"), 200)
    assert settings["owner_telegram_id"] == 7 and settings["access"] == "allowlist"
    wait_until(lambda: bot.says(bot.hears(7, "mine"), timeout=3, text="echo: mine"), LINK_S)
    bot.hears(10, "and I?")
    assert settle("x" * 32, "approve", {}).code == "CONFLICT", "nobody else may write"
    assert settle("x" * 32, "approve", {"owner": True}).code == "NOT_FOUND"
    # Unless the owner lets people ask.
    expect(ada.api.patch(f"/instances/{instance}/settings", {"access": "pairing"}), 200)
    wait_until(lambda: bot.hears(11, "now?") and "11" in asking(), LINK_S)
    assert expect(settle(asking()["11"]["code"], "approve", {}), 200)["owner"] is False


def test_a_channel_that_breaks_is_told_at_once(ada: Person, bot: Bot, suite: Suite) -> None:
    """Nobody waits for the next regular look: the link has the instance looked at."""
    def wakes() -> int:
        return int(suite.sql("SELECT wake FROM instances WHERE id = %s", instance)[0]["wake"])

    instance = linked(suite, ada, bot, owner_telegram_id=7)
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        for status, cause, remedy in ((409, "bot_conflict", "give another bot's token"),
                                      (401, "bot_token_refused", "give a new one")):
            bot.fake.fault(method="getUpdates", bot=bot.id, status=status, times=100_000)
            before = wakes()
            bot.hears(7, "the poll under way ends")
            told = ws.expect("channel.disconnected", LINK_S)["data"]["reason"]
            assert remedy in told and ada.instance(instance)["status_cause"] == cause
            wait_until(lambda: wakes() > before, what="the link has told")  # pylint: disable=cell-var-from-loop
            bot.fake.no_faults()
            expect(ada.api.patch(f"/instances/{instance}", {"bot_token": bot.new_token()}), 200)
            ws.expect("channel.connected", LINK_S)


def told_before_the_list(suite: Suite, person: Person, bot: Bot) -> bool:
    """An assistant does not answer what it is asked for; then its channel breaks."""
    instance = linked(suite, person, bot, owner_telegram_id=7)
    container = suite.containers(instance)[0]["Id"]

    def log() -> bytes:
        return suite.engine.call("GET", f"/containers/{container}/logs", {"stdout": 1, "stderr": 1}).read()

    with suite.socket(person.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        suite.data(person.id, instance, ".openclaw", "stub.json").write_text('{"dumb": "sessions.list"}')
        bot.hears(7, "what it cost is asked for")
        wait_until(lambda: b"sessions.list is not answered" in log())
        bot.fake.fault(method="getUpdates", bot=bot.id, status=409, times=100_000)
        bot.hears(7, "the poll under way ends")
        ws.expect("channel.disconnected")
        lost = [line for line in suite.log("instance-manager").splitlines()
                if instance in line and "what an assistant's gateway told was lost" in line]
        bot.fake.no_faults()
    person.remove(instance)
    return not lost


def test_a_channel_that_breaks_is_told_while_all_is_asked_for(ada: Person, telegram: Telegram, suite: Suite) -> None:
    """A gateway that is slow to list its conversations may take a while about it; its channel's state does not wait."""
    assert any(told_before_the_list(suite, ada, telegram.bot()) for _ in range(TRIES))


@pytest.mark.disturbs
def test_two_share_the_links_and_one_takes_over(suite: Suite, telegram: Telegram) -> None:
    suite.start_extra("instance-manager", "instance-manager-2", {})
    try:
        people = [Person.new(suite.api) for _ in range(6)]
        instances = [str(p.provision(telegram.bot())["id"]) for p in people]
        for person, instance in zip(people, instances):
            person.wait(instance, "running")
        wait_until(lambda: all(is_linked(suite, i) for i in instances), LINK_S)
        assert len({row["instance_id"] for row in links(suite)}) == len(links(suite))

        # Whichever process a request comes to, it goes to the one that holds the link.
        for n in range(4):
            for person, instance in zip(people, instances):
                expect(person.api.post(f"/instances/{instance}/chat", {"message": f"hello {n}"}), 202)
        for person, instance in zip(people, instances):
            page = expect(person.api.get(f"/instances/{instance}/sessions/agent:main:main"), 200)
            assert len(page["items"]) == 8, "each was said once"

        suite.stack.kill_part("instance-manager", hold=True)
        begin = time.monotonic()
        wait_until(lambda: all(is_linked(suite, i) for i in instances) and
                   len({r["holder"] for r in links(suite) if r["instance_id"] in instances}) == 1,
                   (LEASE_S + 4) * SLOW)
        print(f"taken over after {time.monotonic() - begin:.1f} s")
        for person, instance in zip(people, instances):
            expect(person.api.post(f"/instances/{instance}/chat", {"message": "still there?"}), 202)
    finally:
        suite.stack.start_part("instance-manager")
        suite.end_extra("instance-manager-2")
    wait_until(lambda: all(is_linked(suite, i) for i in instances), LINK_S)


def usage_of(pid: int) -> tuple[float, float, int]:
    """(seconds of processor, MiB resident, threads) of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        pages = int(f.read().split()[1])
    ticks = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / ticks, pages * os.sysconf("SC_PAGE_SIZE") / 2**20, int(fields[17])


@pytest.mark.disturbs
def test_all_are_linked_again_after_a_restart(suite: Suite, telegram: Telegram) -> None:
    """ZAKI_LINKS says how many; prints what they cost the process. Then up to twenty of them lose their
    containers, and have them back."""
    count = int(os.environ.get("ZAKI_LINKS", "12"))
    people = [Person.new(suite.api) for _ in range((count + 2) // 3)]  # three each, as the tests' settings allow

    def make(n: int) -> str:
        return str(people[n // 3].provision(telegram.bot())["id"])

    with ThreadPoolExecutor(4) as pool:
        instances = list(pool.map(make, range(count)))
    wait_until(lambda: all(is_linked(suite, i) for i in instances), 60 + 3 * count * SLOW)
    before = {row["holder"] for row in links(suite)}
    suite.stack.kill_part("instance-manager", hold=True)
    begin = time.monotonic()
    suite.stack.start_part("instance-manager")
    wait_until(lambda: sum(bool(r["is_up"] and r["holder"] and r["holder"] not in before)
                           for r in links(suite)) >= count, 60)
    took = time.monotonic() - begin
    time.sleep(2)
    pid = suite.stack.pid("instance-manager")
    assert pid
    first = usage_of(pid)
    time.sleep(IDLE_S)
    last = usage_of(pid)
    print(f"{count} links: again after {took:.1f} s, {last[2]} threads, {last[1]:.0f} MiB, "
          f"idle {(last[0] - first[0]) / IDLE_S * 100:.1f} % of a core")
    lost = {c["Id"]: c["Labels"]["zaki.instance"] for c in suite.containers() if c["Labels"]["zaki.instance"] in instances[:20]}
    begin = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(suite.engine.remove, lost))

    def are_back() -> bool:
        now = {c["Labels"]["zaki.instance"] for c in suite.containers() if c["State"] == "running" and c["Id"] not in lost}
        return set(lost.values()) <= now

    wait_until(are_back, 15 * SLOW)
    print(f"{len(lost)} containers: back after {time.monotonic() - begin:.1f} s")
    for n, instance in enumerate(instances):
        expect(people[n // 3].api.delete(f"/instances/{instance}"), 202)
    for n, instance in enumerate(instances):
        people[n // 3].wait_gone(instance, 120)
