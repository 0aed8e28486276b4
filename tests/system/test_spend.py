"""What an assistant costs, by the prices that a person gives, and the month's limit on it."""

from __future__ import annotations

from typing import Any

from zaki.api import expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import SLOW, Suite
from zaki.telegram import Bot

OWNER = 7
LINK_S = 15 * SLOW
LIMIT = "spending limit is reached"


def test_a_limit_pauses_the_model_and_says_so(suite: Suite, ada: Person, bot: Bot) -> None:
    base = suite.stack.computed("instance-manager")["DEFAULT_PROVIDER_BASE_URL"]
    mine = {"name": "mine", "api_key": "fake-key-0123456789", "base_url": base,
            "input_price_micros": 1_000_000, "output_price_micros": 2_000_000}  # 1 and 2 dollars a million
    instance = ada.running(bot, owner_telegram_id=OWNER, provider=mine, model="mine/echo")["id"]

    def get(rest: str) -> Any:
        return expect(ada.api.get(f"/instances/{instance}/{rest}"), 200)

    def limit(micros: int) -> Any:
        return expect(ada.api.call("PUT", f"/instances/{instance}/usage/limit", {"monthly_micros": micros}), 200)

    def answers(text: str) -> bool:
        return bot.says(bot.hears(OWNER, text), timeout=3, text=f"echo: {text}") is not None

    def told_times() -> int:
        sent = bot.fake.get(f"/_control/bots/{bot.id}/sent?since=0&wait=0")["sent"]
        return sum(LIMIT in (m["text"] or "") for m in sent)

    shown = next(p for p in get("providers")["items"] if p["name"] == "mine")
    assert (shown["input_price_micros"], shown["output_price_micros"]) == (1_000_000, 2_000_000)
    wait_until(lambda: get("sessions")["live"], LINK_S)
    assert answers("x" * 94)  # 94 bytes in, "echo: " and 94 out: 94 + 200 millionths
    wait_until(lambda: get("usage?days=1")["total"]["cost_micros"] == 294, LINK_S, "it is counted")

    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        assert not limit(400)["paused"]
        after = bot.hears(OWNER, "y" * 94)
        reached = ws.expect("instance.spend_reached", LINK_S)["data"]
        assert reached["spent_micros"] == 588 and reached["monthly_micros"] == 400 and LIMIT in reached["message"]
        assert bot.says(after, text=LIMIT), "the person is told in Telegram"
        assert get("usage?days=1")["limit"] == {"monthly_micros": 400, "spent_micros": 588, "paused": True}
        wait_until(lambda: not answers("are you there?"), 30 * SLOW, "the model is paused")
        refused = ada.api.post(f"/instances/{instance}/chat", {"message": "hi"})
        assert (refused.status, refused.code) == (403, "QUOTA_EXCEEDED") and LIMIT in str(refused)
        told = {i["kind"]: i["summary"] for i in get("activity")["items"]}
        assert LIMIT in told["spend_reached"]

        assert not limit(10_000)["paused"], "raised"
        assert ws.expect("instance.spend_resumed", LINK_S)["data"]["monthly_micros"] == 10_000
        wait_until(lambda: answers("again?"), 30 * SLOW, "it goes on")

        limit(500)
        ws.expect("instance.spend_reached", LINK_S)
        wait_until(lambda: told_times() == 2, LINK_S, "told once each time")
        # The month ends: what was spent was spent in the last one.
        suite.sql("UPDATE spend_limits SET paused_month = paused_month - interval '1 month' WHERE instance_id = %s", instance)
        suite.sql("UPDATE usage_daily SET day = day - interval '1 month' WHERE instance_id = %s", instance)
        ada.act(instance, "restart", "running")  # the stand-in counts from nothing, as the real one does in a new month
        ws.expect("instance.spend_resumed", LINK_S)
        wait_until(lambda: answers("a new month"), 30 * SLOW)
        assert not get("usage?days=1")["limit"]["paused"]
    assert told_times() == 2


def test_prices_belong_to_an_address_of_ones_own(ada: Person, bot: Bot) -> None:
    made = ada.provision(bot, owner_telegram_id=OWNER)
    body = {"api_key": "sk-0123456789abcdef", "output_price_micros": 5}
    answer = ada.api.call("PUT", f"/instances/{made['id']}/providers/openai", body)
    assert (answer.status, answer.field) == (400, "output_price_micros"), answer
