"""What goes through the link to an assistant, with the real OpenClaw: asked over REST and heard on the
WebSocket, as a person would. One assistant for all of it, for it takes long to start: what a test sets
stays for those after it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator

import pytest

sys.dont_write_bytecode = True
PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "tests" / "system"), str(PROJECT / "deploy" / "local")]

# pylint: disable=wrong-import-position
from stack import image  # noqa: E402
from stack.engine_api import Engine, EngineError, split_tag  # noqa: E402
from stack.say import Say  # noqa: E402
from zaki.api import expect  # noqa: E402
from zaki.patience import wait_until  # noqa: E402
from zaki.people import Person, idempotency  # noqa: E402
from zaki.suite import Suite  # noqa: E402
from zaki.telegram import Bot  # noqa: E402
from zaki.upgrades import Events, image_of, want, zakictl  # noqa: E402

READY_S, REPLY_S, FRESH_S = 240.0, 120.0, 300.0
RESYNC_S = 300  # (LINK_RESYNC_MS)
STRANGER, OWNER, UNWANTED = 777, 778, 779
PRICES = {"DEFAULT_INPUT_PRICE_MICROS": "1000000", "DEFAULT_OUTPUT_PRICE_MICROS": "2000000"}
LIMIT = "spending limit is reached"
CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"


class Lab:
    """One person with one assistant that runs and is linked, and waits for its owner."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.person = Person.new(suite.api)
        self.bot: Bot = suite.telegram.bot()
        self.signed_in = time.monotonic()
        self.made = self.person.provision(self.bot, owner_link=True)
        self.id = self.made["id"]
        self.person.wait(self.id, "running", READY_S)
        self.wait(lambda: self.get("sessions")["live"], 30)
        self.started = self.state()["StartedAt"]

    def state(self) -> dict[str, Any]:
        name = self.made["container_name"]
        return dict(self.suite.engine.json("GET", f"/containers/{name}/json")["State"])

    def path(self, rest: str) -> str:
        return f"/instances/{self.id}/{rest}"

    def ask(self, method: str, rest: str, body: Any, status: int) -> Any:
        """Again, where a busy machine let it wait too long: the same key acts once."""
        deadline, key = time.monotonic() + REPLY_S, idempotency() if method == "POST" else {}
        while True:
            answer = self.person.api.call(method, self.path(rest), body, headers=key)
            if answer.status not in (503, 504) or time.monotonic() > deadline:
                return expect(answer, status)

    def get(self, rest: str) -> Any:
        return self.ask("GET", rest, None, 200)

    def post(self, rest: str, body: Any, status: int = 200) -> Any:
        return self.ask("POST", rest, body, status)

    def patch(self, rest: str, body: Any) -> Any:
        return self.ask("PATCH", rest, body, 200)

    def drop(self, rest: str) -> None:
        """DELETE; one that was not waited for may have been done."""
        deadline, answer = time.monotonic() + REPLY_S, self.person.api.delete(self.path(rest))
        while answer.status in (503, 504) and time.monotonic() < deadline:
            answer = self.person.api.delete(self.path(rest))
            if answer.status == 404:
                return
        expect(answer, 200)

    def config(self) -> Any:
        return json.loads(self.suite.data(self.person.id, self.id, ".openclaw", "openclaw.json").read_text())

    def reply(self, who: int, text: str, seconds: float = REPLY_S) -> str:
        """What the bot says next, "" for nothing."""
        said = self.bot.says(self.bot.hears(who, text), seconds)
        return str(said["text"]) if said else ""

    @staticmethod
    def wait(true: Any, seconds: float) -> Any:
        return wait_until(true, seconds)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    name = image.default_name()
    suite = Suite({"INSTANCE_READY_TIMEOUT_S": str(int(READY_S)), **PRICES}, image=name)
    try:
        suite.up()
        image.ensure(Engine(suite.stack.docker_host), name, "", PROJECT / ".zaki" / "cache", Say())
        yield Lab(suite)
    finally:
        with contextlib.suppress(EngineError):
            suite.engine.json("DELETE", f"/images/{later(suite)}")
        wrong = suite.destroy()
    assert not wrong, "\n".join(wrong)


@pytest.fixture(autouse=True)
def _signed_in(lab: Lab) -> None:
    """An access token is good for fifteen minutes, which is not long on a busy machine."""
    if time.monotonic() - lab.signed_in > FRESH_S:
        lab.person.login()
        lab.signed_in = time.monotonic()


def later(suite: Suite) -> str:
    """The same image under a name of this suite's own: another version, as far as the platform knows."""
    return f"{split_tag(image.default_name())[0]}:{suite.folder.name}"


def test_whoever_opens_the_link_is_the_owner(lab: Lab) -> None:
    """The channel is off until then; it begins without a restart, with the message that opened the link."""
    after = lab.bot.hears(OWNER, "/start " + lab.made["owner_link"].split("?start=")[1])
    assert lab.bot.says(after, REPLY_S, text="/start"), "their first message is answered"
    settings = lab.get("settings")
    assert (settings["owner_telegram_id"], settings["access"]) == (OWNER, "allowlist")
    assert lab.state()["StartedAt"] == lab.started
    assert lab.bot.shown()["conflicts"] == 0, "two read the bot's messages at a time"


def test_a_stranger_is_let_in_and_heard_of(lab: Lab) -> None:
    lab.patch("settings", {"access": "pairing", "sessions": "per_person"})
    lab.wait(lambda: lab.config()["channels"]["telegram"]["dmPolicy"] == "pairing", 30)
    with lab.suite.socket(lab.person.access_token) as ws:
        ws.subscribe(f"sessions.{lab.id}")

        def asking() -> Any:
            lab.reply(STRANGER, "may I come in?", 3)
            return lab.get("pairing")["items"]

        asked = lab.wait(asking, REPLY_S)[0]
        assert asked["sender_id"] == str(STRANGER) and asked["name"]
        assert lab.post(f"pairing/{asked['code']}/approve", {})["sender_id"] == str(STRANGER)
        assert lab.person.api.post(lab.path(f"pairing/{asked['code']}/approve"), {}).code == "NOT_FOUND"

        after = lab.bot.hears(STRANGER, "hello from Telegram")
        created = ws.expect("session.created", REPLY_S, lambda f: str(STRANGER) in f["data"]["session"]["session_key"])
        key = created["data"]["session"]["session_key"]
        assert created["data"]["session"]["channel"] == "telegram"
        ws.expect("session.updated", REPLY_S, lambda f: f["data"]["session"]["session_key"] == key)
        assert lab.bot.says(after, REPLY_S, text="hello from Telegram")
        lab.wait(lambda: any(m["role"] == "assistant" for m in lab.get(f"sessions/{key}")["items"]), 15)
    page = lab.get(f"sessions/{key}?limit=1")
    assert page["live"] and page["items"][0]["text"] and page["next_cursor"]
    older = lab.get(f"sessions/{key}?limit=1&cursor={page['next_cursor']}")
    assert older["items"][0]["text"] == "hello from Telegram" and older["items"][0]["role"] == "user"
    assert lab.get(f"sessions?q={STRANGER}")["items"] and not lab.get("sessions?q=nobody-like-that")["items"]


def test_a_stranger_is_sent_away(lab: Lab) -> None:
    lab.bot.hears(UNWANTED, "and me?")
    asked = lab.wait(lambda: [r for r in lab.get("pairing")["items"] if r["sender_id"] == str(UNWANTED)], 30)[0]
    assert lab.post(f"pairing/{asked['code']}/dismiss", {})["code"] == asked["code"]
    assert not [r for r in lab.get("pairing")["items"] if r["sender_id"] == str(UNWANTED)]
    assert lab.person.api.post(lab.path(f"pairing/{asked['code']}/dismiss"), {}).code == "NOT_FOUND"


def age_s(frame: dict[str, Any]) -> float:
    """How long ago the gateway changed the conversation that this event tells of."""
    at = datetime.strptime(frame["data"]["session"]["last_active_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
    return (datetime.now(timezone.utc) - at.replace(tzinfo=timezone.utc)).total_seconds()


def test_what_happens_is_told_and_not_found_later(lab: Lab) -> None:
    """What is not told is found when everything is asked for anew, RESYNC_S after the last time."""
    key = "agent:main:told-0"
    with lab.suite.socket(lab.person.access_token) as ws:
        ws.subscribe(f"sessions.{lab.id}")
        lab.post("chat", {"message": "tell me", "session_key": key}, 202)
        for event in ("session.created", "session.updated"):
            age = age_s(ws.expect(event, REPLY_S, lambda f: f["data"]["session"]["session_key"] == key))
            print(f"{event} after {age:.2f} s")
            assert age < RESYNC_S / 5
        ws.expect("chat.done", REPLY_S)


def test_a_conversation_is_renamed_and_deleted(lab: Lab) -> None:
    key = "agent:main:told-0"
    with lab.suite.socket(lab.person.access_token) as ws:
        ws.subscribe(f"sessions.{lab.id}")
        lab.patch(f"sessions/{key}", {"title": "Boats"})
        ws.expect("session.updated", 30, lambda f: f["data"]["session"]["title"] == "Boats")
        lab.drop(f"sessions/{key}")
        assert ws.expect("session.deleted", 30)["data"]["session_key"] == key
    assert lab.person.api.get(lab.path(f"sessions/{key}")).code == "NOT_FOUND"


def test_a_chat_streams_and_is_kept(lab: Lab) -> None:
    with lab.suite.socket(lab.person.access_token) as ws:
        ws.subscribe(f"sessions.{lab.id}")
        run = lab.post("chat", {"message": "tell me something"}, 202)["run_id"]
        assert ws.expect("chat.delta", REPLY_S)["data"]["run_id"] == run
        done = ws.expect("chat.done", REPLY_S)["data"]
        assert done["run_id"] == run and done["outcome"] == "done" and "tell me something" in done["text"]
    assert not lab.post("chat/stop", {})["stopped"]


def test_a_reply_is_stopped_in_its_midst(lab: Lab) -> None:
    llm = lab.suite.llm
    assert llm.post("/_control/replies", {"match": "take your time", "reply": "slowly " * 400,
                                          "chunk_delay_ms": 200, "times": 1}).status < 300
    try:
        with lab.suite.socket(lab.person.access_token) as ws:
            ws.subscribe(f"sessions.{lab.id}")
            run = lab.post("chat", {"message": "take your time"}, 202)["run_id"]
            assert ws.expect("chat.delta", REPLY_S)["data"]["run_id"] == run
            assert lab.post("chat/stop", {"run_id": run})["stopped"]
            done = ws.expect("chat.done", 30)["data"]
            assert done["run_id"] == run and done["outcome"] == "stopped", done
    finally:
        llm.delete("/_control/replies")


def test_a_setting_is_taken_with_no_restart(lab: Lab) -> None:
    lab.patch("settings", {"access": "open", "model": "fake/other"})
    since = lab.suite.llm.get("/_control/requests").json["next"]
    lab.wait(lambda: "anybody?" in lab.reply(UNWANTED, "anybody?", 5), REPLY_S)  # taken up within some seconds
    asked = lab.suite.llm.get(f"/_control/requests?since={since}").json["requests"]
    assert "other" in {r["model"] for r in asked}, asked
    lab.patch("settings", {"access": "pairing", "model": "fake/echo"})
    assert lab.state()["StartedAt"] == lab.started


def test_a_setting_that_openclaw_refuses_is_not_set(lab: Lab) -> None:
    """A word that it keeps for itself: it says no, in its own words, and all is as it was."""
    before = lab.get("settings")

    def refused() -> Any:
        answer = lab.person.api.patch(lab.path("settings"), {"model": "fake/__OPENCLAW_REDACTED__", "access": "open"})
        if answer.status == 200:  # a busy one is not waited for
            lab.patch("settings", {"model": before["model"], "access": before["access"]})
        return answer.status == 400 and answer

    answer = lab.wait(refused, REPLY_S)
    assert answer.field == "model" and "refused by OpenClaw" in str(answer), answer
    assert lab.get("settings") == before
    lab.wait(lambda: not lab.suite.sql("SELECT 1 FROM instances WHERE id = %s AND config_generation > applied_config",
                                       lab.id), 30)
    config = lab.config()
    assert config["agents"]["defaults"]["model"]["primary"] == "fake/echo"
    assert config["channels"]["telegram"]["dmPolicy"] == "pairing" and lab.state()["StartedAt"] == lab.started
    lab.wait(lambda: "as ever?" in lab.reply(STRANGER, "as ever?"), REPLY_S)


def test_a_channel_that_breaks_is_named_and_mended(lab: Lab) -> None:
    """A token that Telegram takes no more, then a second poller: told with what helps, and a new token does."""
    channel = lab.get("channels")["items"][0]
    assert channel["status"] == "connected" and channel["bot_name"]
    assert channel["bot_link"] == f"https://t.me/{lab.bot.username}"
    fake = lab.bot.fake
    with lab.suite.socket(lab.person.access_token) as ws:
        ws.subscribe(f"instance.{lab.id}")
        fake.fault(method="getUpdates", bot=lab.bot.id, status=401, times=100_000, description="Unauthorized")
        begin = time.monotonic()
        lab.bot.hears(STRANGER, "the poll under way ends")
        assert "give a new one" in ws.expect("channel.disconnected", 60)["data"]["reason"]
        print(f"told of after {time.monotonic() - begin:.2f} s")
        assert lab.person.instance(lab.id)["status_cause"] == "bot_token_refused"
        fake.no_faults()
        fake.fault(method="getUpdates", bot=lab.bot.id, status=409, times=100_000, description=CONFLICT)
        expect(lab.person.api.patch(f"/instances/{lab.id}", {"bot_token": lab.bot.new_token()}), 200)
        told = ws.expect("instance.status", 60, lambda f: f["data"]["status_cause"] == "bot_conflict")["data"]
        assert told["status"] == "unhealthy" and "stop it, or give another" in told["status_reason"], told
        fake.no_faults()
        expect(lab.person.api.patch(f"/instances/{lab.id}", {"bot_token": lab.bot.new_token()}), 200)
        ws.expect("channel.connected", REPLY_S)
    lab.person.wait(lab.id, "running", 60)


def test_a_file_written_is_in_the_container_and_back(lab: Lab) -> None:
    name, note = lab.made["container_name"], f"# Boats\n{time.time()}\n"
    lab.ask("PUT", "memory/boats.md", {"content": note}, 200)
    file = f"{name}:/home/node/workspace/boats.md"
    inside = subprocess.run(["docker", "cp", file, "-"], check=True, capture_output=True, timeout=30).stdout
    assert note.encode() in inside
    assert lab.get("memory/boats.md")["content"] == note


def test_a_job_is_added_runs_and_is_removed(lab: Lab) -> None:
    new = {"name": "check", "message": "ping", "schedule": {"kind": "every", "every_ms": 3600000}}
    added = lab.post("calendar", new, 201)
    job = added["id"]
    assert added["name"] == "check" and added["next_run_at"] and not added["builtin"]
    assert lab.person.api.post(lab.path("calendar"), {"name": "x", "message": "y", "schedule": {
        "kind": "cron", "expr": "nonsense"}}).code == "VALIDATION_ERROR"
    edited = lab.patch(f"calendar/{job}", {"enabled": False, "name": "other"})
    assert edited["name"] == "other" and not edited["enabled"]
    lab.post(f"calendar/{job}/run", {}, 202)
    runs = lab.wait(lambda: lab.get(f"calendar/{job}/runs")["items"], REPLY_S)
    assert runs[0]["status"] == "ok" and runs[0]["summary"]
    assert any(t["title"] == "other" for t in lab.get("tasks")["items"])
    lab.drop(f"calendar/{job}")
    assert lab.person.api.delete(lab.path(f"calendar/{job}")).code == "NOT_FOUND"


def test_usage_has_what_the_llm_counted_and_a_limit_pauses_it(lab: Lab) -> None:
    lab.wait(lambda: lab.get("usage?days=2")["total"]["total_tokens"], REPLY_S)
    usage = lab.get("usage?days=2")
    assert usage["total"]["total_tokens"] == sum(d["total_tokens"] for d in usage["days"]) > 0
    assert usage["models"][0]["name"].startswith("fake/") and usage["sessions"]
    assert usage["total"]["cost_micros"] > 0, "counted by the prices that the operator gives"

    def limit(micros: int) -> Any:
        return lab.ask("PUT", "usage/limit", {"monthly_micros": micros}, 200)

    def answered(text: str) -> bool:
        return f"You said: {text}" in lab.reply(STRANGER, text)

    with lab.suite.socket(lab.person.access_token) as ws:
        ws.subscribe(f"instance.{lab.id}")
        assert not limit(10**9)["paused"]
        told = lab.bot.fake.get(f"/_control/bots/{lab.bot.id}/sent?since=0")["next"]
        assert limit(1)["paused"]
        assert LIMIT in ws.expect("instance.spend_reached", 30)["data"]["message"]
        assert lab.bot.says(told, REPLY_S, text=LIMIT), "the owner is told in Telegram"
        assert lab.person.api.post(lab.path("chat"), {"message": "hi"}).code == "QUOTA_EXCEEDED"
        lab.wait(lambda: not answered("still paid?"), 60)
        assert "model is unavailable" in lab.reply(STRANGER, "really?"), "whoever writes is not left waiting"
        assert not limit(10**9)["paused"]
        ws.expect("instance.spend_resumed", 30)
        lab.wait(lambda: answered("and now?"), REPLY_S)


def test_it_is_upgraded_and_keeps_its_state(lab: Lab) -> None:
    old, new = image.default_name(), later(lab.suite)
    repo, tag = split_tag(new)
    lab.suite.engine.call("POST", f"/images/{old}/tag", {"repo": repo, "tag": tag}).read()

    def talks() -> set[str]:
        return {s["session_key"] for s in lab.get("sessions")["items"] if ":cron:" not in s["session_key"]}

    note, kept = lab.get("memory/boats.md")["content"], talks()
    assert image_of(lab.suite, lab.id) == old
    want(lab.suite, new)
    with Events(lab.suite, lab.id) as events:
        done = zakictl(lab.suite, "upgrade", lab.id, seconds=2 * READY_S)
    assert done.returncode == 0 and done.stdout.strip().endswith("done"), done
    assert events.most == 1 and image_of(lab.suite, lab.id) == new
    lab.wait(lambda: lab.get("sessions")["live"], 60)
    assert lab.get("memory/boats.md")["content"] == note
    assert talks() == kept
    lab.wait(lambda: "still you?" in lab.reply(STRANGER, "still you?"), REPLY_S)
    assert lab.bot.shown()["conflicts"] == 0, "two read the bot's messages at a time"


def test_what_is_stored_is_there_while_it_is_stopped(lab: Lab) -> None:
    before = lab.get("sessions")["items"]
    lab.person.act(lab.id, "stop", "stopped")
    lab.wait(lambda: not lab.get("sessions")["live"], 30)
    after = lab.get("sessions")
    assert after["as_of"] and {s["session_key"] for s in after["items"]} == {s["session_key"] for s in before}
    assert lab.person.api.post(lab.path("chat"), {"message": "anyone?"}).code == "CONFLICT"
    assert lab.get("usage?days=2")["total"]["total_tokens"] > 0
