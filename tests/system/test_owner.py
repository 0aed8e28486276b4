"""Whose an assistant is: bound by the link that a new one has, or by approving who asked."""

from __future__ import annotations

from typing import Any

import pytest

from zaki.api import expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import SLOW, Suite
from zaki.telegram import Bot

OWNER, STRANGER = 7, 9


class Awaiting:
    """A new assistant whose owner is not known, and its link."""

    def __init__(self, suite: Suite, person: Person, bot: Bot) -> None:
        self.suite, self.person, self.bot = suite, person, bot
        made = expect(person.api.post("/onboarding/provision", {"bot_token": bot.token}), 202)
        self.id, self.link = str(made["id"]), str(made["owner_link"])
        head, self.nonce = self.link.split("?start=")
        assert head == f"https://t.me/{bot.username}" and len(self.nonce) == 32

    def settings(self) -> Any:
        return expect(self.person.api.get(f"/instances/{self.id}/settings"), 200)

    def kinds(self) -> list[str]:
        return [i["kind"] for i in expect(self.person.api.get(f"/instances/{self.id}/activity"), 200)["items"]]

    def has_link(self) -> bool:
        return "owner_link" in self.person.instance(self.id)

    def is_bound(self, who: int) -> bool:
        seen = self.settings()
        return bool(seen["owner_telegram_id"] == who and seen["access"] == "allowlist")


@pytest.mark.core
def test_whoever_opens_the_link_is_the_owner(suite: Suite, ada: Person, bob: Person, bot: Bot) -> None:
    new = Awaiting(suite, ada, bot)
    ada.wait(new.id, "running")
    started = ada.instance(new.id)
    assert started["owner_link"] == new.link, "shown again to its owner"
    assert "owner_link" not in expect(ada.api.get("/instances"), 200)["items"][0]
    assert "waits for its owner" in expect(ada.api.get(f"/instances/{new.id}/channels"), 200)["items"][0]["reason"]
    expect(bob.api.get(f"/instances/{new.id}"), 404)

    expect(ada.api.patch(f"/instances/{new.id}/settings", {"persona": "coach"}), 200)  # says "pairing" as well
    after = bot.hears(OWNER, f"/start {new.nonce}")
    wait_until(lambda: new.is_bound(OWNER), 30 * SLOW, "the owner is bound")
    assert not new.has_link() and new.settings()["sessions"] == "shared"
    assert bot.says(after, text="/start"), "their first message is not lost"
    assert bot.says(bot.hears(OWNER, "it is me"), text="echo: it is me")
    assert not bot.says(bot.hears(STRANGER, f"/start {new.nonce}"), timeout=2), "a link is of one use"
    assert "owner_bound" in new.kinds()
    assert bot.shown()["conflicts"] == 0, "two read this bot's messages at a time"


def test_a_link_is_opened_before_it_runs_or_while_it_is_stopped(suite: Suite, ada: Person, bot: Bot) -> None:
    new = Awaiting(suite, ada, bot)
    ada.act(new.id, "stop", "stopped")
    after = bot.hears(OWNER, f"/start {new.nonce}")
    ada.act(new.id, "start", "running")
    wait_until(lambda: new.is_bound(OWNER), 30 * SLOW)
    assert bot.says(after, text="/start")


def test_who_writes_without_it_asks_to_be_let_in(suite: Suite, ada: Person, bot: Bot) -> None:
    new = Awaiting(suite, ada, bot)
    ada.wait(new.id, "running")
    after = bot.hears(STRANGER, "/start 0123456789abcdef0123456789abcdef")
    assert bot.says(after, text="Pairing code"), "their message is not lost"
    assert not new.has_link() and "owner_link_ended" in new.kinds()
    assert new.settings()["owner_telegram_id"] is None and new.settings()["access"] == "pairing"
    assert not bot.says(bot.hears(OWNER, f"/start {new.nonce}"), timeout=3, text="echo"), "it is of no use any more"


def test_who_may_write_is_said_otherwise(suite: Suite, ada: Person, bot: Bot, telegram: Any) -> None:
    new = Awaiting(suite, ada, bot)
    ada.wait(new.id, "running")
    expect(ada.api.patch(f"/instances/{new.id}", {"owner_telegram_id": OWNER}), 200)
    wait_until(lambda: bot.says(bot.hears(OWNER, "hello"), timeout=3, text="echo: hello"), 30 * SLOW)
    assert not new.has_link()
    for fields in ({"owner_link": False}, {"owner_telegram_id": OWNER}):
        other = telegram.bot()
        made = ada.provision(other, **fields)
        assert "owner_link" not in made
        ada.remove(str(made["id"]))


def test_a_link_runs_out(suite: Suite, ada: Person, bot: Bot) -> None:
    new = Awaiting(suite, ada, bot)
    ada.wait(new.id, "running")
    suite.sql("UPDATE owner_links SET deadline = now() WHERE instance_id = %s", new.id)
    assert not new.has_link()
    wait_until(lambda: "owner_link_ended" in new.kinds(), 30 * SLOW)
    assert bot.says(bot.hears(OWNER, f"/start {new.nonce}"), text="Pairing code")


@pytest.mark.parametrize("code", [401, 409])
def test_a_bot_that_cannot_be_read_is_named_as_ever(suite: Suite, ada: Person, bot: Bot, code: int) -> None:
    """The link ends, and OpenClaw's own channel says what is wrong."""
    bot.fake.fault(method="getUpdates", bot=bot.id, status=code, times=100_000)
    try:
        new = Awaiting(suite, ada, bot)
        cause = {401: "bot_token_refused", 409: "bot_conflict"}[code]
        wait_until(lambda: ada.instance(new.id)["status_cause"] == cause, 60 * SLOW)
        assert not new.has_link()
    finally:
        bot.fake.no_faults()
