"""What goes through the link to an assistant, with the real OpenClaw: asked over REST and heard on the
WebSocket, as a person would."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

sys.dont_write_bytecode = True
PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "tests" / "system"), str(PROJECT / "deploy" / "local")]

# pylint: disable=wrong-import-position
from stack import image  # noqa: E402
from stack.engine_api import Engine  # noqa: E402
from stack.say import Say  # noqa: E402
from zaki.api import expect  # noqa: E402
from zaki.people import Person  # noqa: E402
from zaki.suite import Suite, wait_until  # noqa: E402
from zaki.telegram import Bot  # noqa: E402

READY_S, REPLY_S = 240.0, 120.0
STRANGER = 777


class Lab:
    """One person with one assistant that runs and is linked."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.person = Person.new(suite.api)
        self.bot: Bot = suite.telegram.bot()
        self.id = self.person.running(self.bot, timeout=READY_S)["id"]
        self.wait(lambda: self.get("sessions")["live"], 30)

    def path(self, rest: str) -> str:
        return f"/instances/{self.id}/{rest}"

    def get(self, rest: str) -> Any:
        return expect(self.person.api.get(self.path(rest)), 200)

    def post(self, rest: str, body: Any, status: int = 200) -> Any:
        return expect(self.person.api.post(self.path(rest), body), status)

    @staticmethod
    def wait(true: Any, seconds: float) -> Any:
        return wait_until(true, seconds)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    name = image.default_name()
    suite = Suite({"INSTANCE_READY_TIMEOUT_S": str(int(READY_S))}, image=name)
    try:
        suite.up()
        image.ensure(Engine(suite.stack.docker_host), name, "", PROJECT / ".zaki" / "cache", Say())
        yield Lab(suite)
    finally:
        wrong = suite.destroy()
    assert not wrong, "\n".join(wrong)


def test_a_stranger_is_let_in_and_heard_of(lab: Lab) -> None:
    with lab.suite.socket(lab.person.access_token) as ws:
        ws.subscribe(f"sessions.{lab.id}")
        lab.bot.hears(STRANGER, "may I come in?")
        asked = lab.wait(lambda: lab.get("pairing")["items"], 30)[0]
        assert asked["sender_id"] == str(STRANGER) and asked["name"]
        assert lab.post(f"pairing/{asked['code']}/approve", {})["sender_id"] == str(STRANGER)
        assert lab.person.api.post(lab.path(f"pairing/{asked['code']}/approve"), {}).code == "NOT_FOUND"

        after = lab.bot.hears(STRANGER, "hello from Telegram")
        created = ws.expect("session.created", REPLY_S)["data"]["session"]
        assert created["channel"] == "telegram" and str(STRANGER) in created["session_key"]
        ws.expect("session.updated", REPLY_S)
        assert lab.bot.says(after, REPLY_S, text="hello from Telegram")
        told = time.monotonic()
        key = created["session_key"]
        lab.wait(lambda: any(m["role"] == "assistant" for m in lab.get(f"sessions/{key}")["items"]), 5)
        assert time.monotonic() - told < 5
    page = lab.get(f"sessions/{key}?limit=1")
    assert page["live"] and page["items"][0]["text"] and page["next_cursor"]
    older = lab.get(f"sessions/{key}?limit=1&cursor={page['next_cursor']}")
    assert older["items"][0]["text"] == "hello from Telegram" and older["items"][0]["role"] == "user"
    assert lab.get(f"sessions?q={STRANGER}")["items"] and not lab.get("sessions?q=nobody-like-that")["items"]


def test_a_chat_streams_and_is_kept(lab: Lab) -> None:
    with lab.suite.socket(lab.person.access_token) as ws:
        ws.subscribe(f"sessions.{lab.id}")
        run = lab.post("chat", {"message": "tell me something"}, 202)["run_id"]
        assert ws.expect("chat.delta", REPLY_S)["data"]["run_id"] == run
        done = ws.expect("chat.done", REPLY_S)["data"]
        assert done["run_id"] == run and done["outcome"] == "done" and "tell me something" in done["text"]
    assert not lab.post("chat/stop", {})["stopped"]


def test_channels_say_how_they_are(lab: Lab) -> None:
    channel = lab.get("channels")["items"][0]
    assert channel["status"] == "connected" and channel["bot_name"]
    assert channel["bot_link"] == f"https://t.me/{lab.bot.username}"


def test_a_job_is_added_runs_and_is_removed(lab: Lab) -> None:
    job = lab.post("calendar", {"name": "check", "message": "ping",
                                "schedule": {"kind": "every", "every_ms": 3600000}}, 201)["id"]
    assert lab.person.api.post(lab.path("calendar"), {"name": "x", "message": "y", "schedule": {
        "kind": "cron", "expr": "nonsense"}}).code == "VALIDATION_ERROR"
    edited = expect(lab.person.api.patch(lab.path(f"calendar/{job}"), {"enabled": False, "name": "other"}), 200)
    assert edited["name"] == "other" and not edited["enabled"]
    lab.post(f"calendar/{job}/run", {}, 202)
    runs = lab.wait(lambda: lab.get(f"calendar/{job}/runs")["items"], REPLY_S)
    assert runs[0]["status"] == "ok" and runs[0]["summary"]
    assert any(t["title"] == "other" for t in lab.get("tasks")["items"])
    expect(lab.person.api.delete(lab.path(f"calendar/{job}")), 200)
    assert lab.person.api.delete(lab.path(f"calendar/{job}")).code == "NOT_FOUND"


def test_usage_has_what_the_llm_counted(lab: Lab) -> None:
    lab.wait(lambda: lab.get("usage?days=2")["total"]["total_tokens"], REPLY_S)
    usage = lab.get("usage?days=2")
    assert usage["total"]["total_tokens"] == sum(d["total_tokens"] for d in usage["days"]) > 0
    assert usage["models"][0]["name"].startswith("fake/") and usage["sessions"]
    limit = expect(lab.person.api.call("PUT", lab.path("usage/limit"), {"monthly_micros": 10**9}), 200)
    assert limit["monthly_micros"] == 10**9 and not limit["paused"]


def test_what_is_stored_is_there_while_it_is_stopped(lab: Lab) -> None:
    before = lab.get("sessions")["items"]
    lab.person.act(lab.id, "stop", "stopped")
    lab.wait(lambda: not lab.get("sessions")["live"], 30)
    after = lab.get("sessions")
    assert after["as_of"] and {s["session_key"] for s in after["items"]} == {s["session_key"] for s in before}
    assert lab.person.api.post(lab.path("chat"), {"message": "anyone?"}).code == "CONFLICT"
    assert lab.get("usage?days=2")["total"]["total_tokens"] > 0
