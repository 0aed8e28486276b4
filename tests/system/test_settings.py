"""What people set of an assistant: who may write, whose conversation it is, its character."""

from __future__ import annotations

import json
from typing import Any

import pytest

from zaki.api import Answer, expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import Suite
from zaki.telegram import Bot

OWNER, FRIEND, STRANGER = 7, 8, 9


class Mine:
    def __init__(self, suite: Suite, person: Person, bot: Bot, **more: Any) -> None:
        self.suite, self.person, self.bot = suite, person, bot
        self.made = person.running(bot, **more)
        self.instance = self.made["id"]
        self.started = self.state()["StartedAt"]
        self.bot.wait_polled()

    def state(self) -> dict[str, Any]:
        return dict(self.suite.engine.json("GET", f"/containers/{self.made['container_name']}/json")["State"])

    def get(self) -> dict[str, Any]:
        return dict(expect(self.person.api.get(f"/instances/{self.instance}/settings"), 200))

    def patch(self, **fields: Any) -> Answer:
        return self.person.api.patch(f"/instances/{self.instance}/settings", fields)

    def config(self) -> dict[str, Any]:
        return dict(json.loads(self.suite.data(self.person.id, self.instance, ".openclaw", "openclaw.json").read_text()))

    def policy(self) -> str:
        return str(self.config()["channels"]["telegram"]["dmPolicy"])

    def answers(self, who: int, text: str) -> bool:
        return self.bot.says(self.bot.hears(who, text), text=f"echo: {text}", timeout=10) is not None


def test_who_may_write(suite: Suite, ada: Person, bot: Bot) -> None:
    mine = Mine(suite, ada, bot, owner_telegram_id=OWNER)
    assert mine.get() == {"name": mine.made["name"], "model": "fake/echo", "memory_mib": 2048, "access": "allowlist",
                          "sessions": "shared", "allowed_users": [], "owner_telegram_id": OWNER, "persona": None}
    assert mine.answers(OWNER, "it is me")

    answer = expect(mine.patch(allowed_users=[str(FRIEND)]), 200)
    assert answer["allowed_users"] == [str(FRIEND)] and answer == mine.get()
    wait_until(lambda: mine.config()["channels"]["telegram"]["allowFrom"] == [str(OWNER), str(FRIEND)], 30)
    wait_until(lambda: mine.answers(FRIEND, "a friend"), 30, "the friend is answered")

    expect(mine.patch(access="open", sessions="per_person"), 200)
    wait_until(lambda: mine.policy() == "open", 30)
    assert mine.config()["session"]["dmScope"] == "per-channel-peer"
    wait_until(lambda: mine.answers(STRANGER, "a stranger"), 30, "anybody is answered")

    expect(mine.patch(access="pairing", sessions="shared"), 200)
    wait_until(lambda: mine.policy() == "pairing", 30)
    assert mine.config()["session"]["dmScope"] == "main"
    assert mine.state()["StartedAt"] == mine.started, "the container was restarted"


def test_nobody_is_locked_out_by_mistake(suite: Suite, ada: Person, bot: Bot) -> None:
    mine = Mine(suite, ada, bot)
    assert (mine.get()["access"], mine.get()["sessions"]) == ("pairing", "per_person")
    for fields, field in (({"access": "allowlist"}, "allowed_users"), ({"allowed_users": ["x"]}, "allowed_users"),
                          ({"allowed_users": ["7", "7"]}, "allowed_users"), ({"allowed_users": ["0"]}, "allowed_users"),
                          ({"allowed_users": [str(n) for n in range(1, 52)]}, "allowed_users"),
                          ({"access": "everyone"}, "access"), ({"persona": "pirate"}, "persona"),
                          ({"model": "unknown/model"}, "model")):
        answer = mine.patch(**fields)
        assert (answer.status, answer.field) == (400, field), (fields, answer)
    assert mine.get()["access"] == "pairing" and mine.policy() == "pairing"


def test_what_openclaw_refuses_is_not_set(suite: Suite, ada: Person, bot: Bot) -> None:
    """Asked before anything is written: its own words, the field, and all stays as it was."""
    mine = Mine(suite, ada, bot, owner_telegram_id=OWNER)
    wait_until(lambda: expect(ada.api.get(f"/instances/{mine.instance}/sessions"), 200)["live"], 30)
    before = mine.get()
    answer = mine.patch(model="fake/refused", access="open", persona="coach")
    assert (answer.status, answer.field) == (400, "model") and "agents.defaults.model" in str(answer), answer
    assert mine.get() == before
    # Its own file is written again, once, and that is written down.
    wait_until(lambda: not suite.sql("SELECT 1 FROM instances WHERE id = %s AND config_generation > applied_config",
                                     mine.instance), 30)
    expect(mine.patch(name="Other"), 200)
    wait_until(lambda: mine.config()["agents"]["defaults"]["model"]["primary"] == "fake/echo", 30)
    assert mine.policy() == "allowlist" and mine.answers(OWNER, "still here")
    expect(mine.patch(model="fake/other"), 200)
    wait_until(lambda: mine.config()["agents"]["defaults"]["model"]["primary"] == "fake/other", 30)
    assert mine.state()["StartedAt"] == mine.started, "the container was restarted"


def test_what_it_refuses_when_it_starts_is_told(suite: Suite, ada: Person, bot: Bot) -> None:
    """Nobody to ask while it is stopped: exit status 78 says it, and another model mends it."""
    mine = Mine(suite, ada, bot, owner_telegram_id=OWNER)
    ada.act(mine.instance, "stop", "stopped")
    expect(mine.patch(model="fake/refused"), 200)
    ada.act(mine.instance, "start")
    wait_until(lambda: ada.instance(mine.instance)["status_cause"] == "config_refused", 30)
    seen = ada.instance(mine.instance)
    assert seen["status"] == "error" and "model" in seen["status_reason"], seen
    expect(mine.patch(model="fake/echo"), 200)
    ada.act(mine.instance, "start", "running")


def test_a_character_becomes_the_soul(suite: Suite, ada: Person, bot: Bot) -> None:
    mine = Mine(suite, ada, bot)
    personas = {p["name"]: p for p in expect(ada.api.get("/personas"), 200)["items"]}
    assert len(personas) >= 3 and all(p["title"] and p["text"].startswith("# Soul") for p in personas.values())
    for name in ("coach", "concise"):
        assert expect(mine.patch(persona=name), 200)["persona"] == name
        soul = expect(ada.api.get(f"/instances/{mine.instance}/memory/SOUL.md"), 200)
        assert soul["content"] == personas[name]["text"]
    assert mine.get()["persona"] == "concise"


def test_settings_of_what_is_stopped(suite: Suite, ada: Person, bob: Person, bot: Bot) -> None:
    mine = Mine(suite, ada, bot)
    ada.act(mine.instance, "stop", "stopped")
    got = expect(mine.patch(name="Jarvis", memory_mib=1024, access="open", persona="tutor"), 200)
    assert (got["name"], got["memory_mib"], got["access"]) == ("Jarvis", 1024, "open")
    ada.act(mine.instance, "start", "running")
    assert mine.policy() == "open"
    told = [i["kind"] for i in expect(ada.api.get(f"/instances/{mine.instance}/activity"), 200)["items"]]
    assert "settings" in told
    expect(bob.api.get(f"/instances/{mine.instance}/settings"), 404)
    expect(bob.api.patch(f"/instances/{mine.instance}/settings", {"name": "mine"}), 404)


@pytest.mark.parametrize("field, value", [("owner_telegram_id", 1), ("bot_token", "x" * 40), ("user_id", "x")])
def test_what_is_no_setting(suite: Suite, ada: Person, bot: Bot, field: str, value: Any) -> None:
    mine = Mine(suite, ada, bot)
    answer = mine.patch(**{field: value})
    assert (answer.status, answer.field) == (400, field), answer
