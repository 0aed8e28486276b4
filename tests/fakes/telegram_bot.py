"""One bot as Telegram's servers keep it: updates waiting, what it sent, who polls it.

Clients keep the last update_id they saw over restarts and ignore smaller ones, so the ids only
grow: they start from the clock and the highest one is kept in the state directory.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from fakehttp import wait_any

TOKEN_FORM = re.compile(r"([0-9]{1,20}):[A-Za-z0-9_-]{30,128}")
ID_EPOCH_S = 1_704_067_200  # 2024-01-01: ids from the clock still fit 31 bits until 2030
PENDING_MAX = 10_000
SENT_MAX = 2_000
CALLS_MAX = 500
FILES_MAX = 16

CONFLICT_POLL = ("Conflict: terminated by other getUpdates request; make sure that only one bot "
                 "instance is running")
CONFLICT_WEBHOOK = ("Conflict: can't use getUpdates method while webhook is active; use "
                    "deleteWebhook to delete the webhook first")
CONFLICT_SET_WEBHOOK = "Conflict: terminated by setWebhook request"
# Telegram delivers these only to bots that ask for them by name.
ONLY_ON_REQUEST = {"chat_member", "message_reaction", "message_reaction_count"}


class ApiError(Exception):
    """An answer with ok false."""

    def __init__(self, code: int, description: str, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.retry_after = retry_after


class Poll:
    """One getUpdates request that waits."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.error: ApiError | None = None

    def abort(self, code: int, description: str) -> None:
        self.error = ApiError(code, description)
        self.wake.set()


class Bot:
    """Registered by a test; all that the Bot API shows of it hangs here."""

    def __init__(self, token: str, username: str, name: str, state: Path | None) -> None:
        self.token = token
        self.id = int(token.split(":")[0])
        self.username = username
        self.name = name
        self.next_update_id = max(1, int((time.time() - ID_EPOCH_S) * 10))
        self.next_message_id = 1
        self.pending: deque[dict[str, Any]] = deque()
        self.allowed_updates: list[str] = []
        self.webhook: dict[str, Any] = {}
        self.commands: dict[str, list[Any]] = {}
        self.sent: deque[dict[str, Any]] = deque(maxlen=SENT_MAX)
        self.sent_seq = 0
        self.sent_more = asyncio.Event()
        self.calls: Counter[str] = Counter()
        self.call_log: deque[dict[str, Any]] = deque(maxlen=CALLS_MAX)
        self.conflicts = 0
        self.last_poll_at: float | None = None
        self.poll: Poll | None = None
        self.files: dict[str, tuple[str, bytes]] = {}
        self.messages: dict[tuple[int, int], dict[str, Any]] = {}
        self._file = state / f"bot-{self.id}.json" if state else None

    # What outlives a restart.

    def save(self, deleted: bool = False) -> None:
        """Written beside and renamed, so that a kill leaves the old file or the new one."""
        if self._file is None:
            return
        kept = {"token": self.token, "username": self.username, "name": self.name,
                "next_update_id": self.next_update_id, "next_message_id": self.next_message_id,
                "sent_seq": self.sent_seq, "pending": list(self.pending),
                "allowed_updates": self.allowed_updates, "webhook": self.webhook,
                "deleted": deleted}
        part = self._file.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # holds a token
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            json.dump(kept, out)
        part.replace(self._file)

    def take_over(self, kept: dict[str, Any]) -> None:
        """Continue the counters of an earlier life, and its queue unless it was deleted."""
        self.next_update_id = max(self.next_update_id, int(kept.get("next_update_id", 0)))
        self.next_message_id = max(self.next_message_id, int(kept.get("next_message_id", 0)))
        self.sent_seq = max(self.sent_seq, int(kept.get("sent_seq", 0)))
        if not kept.get("deleted", True):
            self.pending.extend(kept.get("pending", []))
            self.allowed_updates = list(kept.get("allowed_updates", []))
            self.webhook = dict(kept.get("webhook", {}))

    def user(self) -> dict[str, Any]:
        return {"id": self.id, "is_bot": True, "first_name": self.name, "username": self.username}

    # Updates.

    def inject(self, kind: str, content: dict[str, Any]) -> int:
        """Queue an update of the kind; its id, also where the bot did not ask for such ones."""
        if len(self.pending) >= PENDING_MAX:
            raise ApiError(400, f"more than {PENDING_MAX} updates are waiting")
        update_id = self.next_update_id
        self.next_update_id += 1
        if kind in self.allowed_updates or not (self.allowed_updates or kind in ONLY_ON_REQUEST):
            self.pending.append({"update_id": update_id, kind: content})
        self.save()
        if self.poll:
            self.poll.wake.set()
        return update_id

    def confirm(self, offset: int) -> None:
        """Forget what the client has seen: all below offset, or all but the last -offset."""
        before = len(self.pending)
        if offset < 0:
            while len(self.pending) > -offset:
                self.pending.popleft()
        else:
            while self.pending and self.pending[0]["update_id"] < offset:
                self.pending.popleft()
        if len(self.pending) != before:
            self.save()

    async def get_updates(self, offset: int, limit: int, timeout: float,
                          gone: asyncio.Event) -> list[dict[str, Any]]:
        """The long poll. Another one of the same bot ends this one with 409, as Telegram does."""
        if self.webhook.get("url"):
            raise ApiError(409, CONFLICT_WEBHOOK)
        if self.poll:
            self.conflicts += 1
            self.poll.abort(409, CONFLICT_POLL)
        self.confirm(offset)
        self.poll = mine = Poll()
        self.last_poll_at = time.time()
        deadline = time.monotonic() + timeout
        try:
            while not self.pending:
                left = deadline - time.monotonic()
                if left <= 0 or not await wait_any(left, mine.wake, gone) or gone.is_set():
                    break
                if mine.error:
                    raise mine.error
                mine.wake.clear()
            if mine.error:
                raise mine.error
            return list(self.pending)[:limit]
        finally:
            if self.poll is mine:
                self.poll = None

    def drop_pending(self) -> None:
        self.pending.clear()
        self.save()

    # What the bot does.

    def new_message_id(self) -> int:
        self.next_message_id += 1
        return self.next_message_id - 1

    def record(self, method: str, chat_id: Any, text: str | None, more: dict[str, Any]) -> None:
        """Remember something the bot sent and wake whoever waits for it."""
        self.sent_seq += 1
        self.sent.append({"seq": self.sent_seq, "time": round(time.time(), 3), "method": method,
                          "chat_id": chat_id, "text": text, **more})
        self.save()
        self.sent_more.set()
        self.sent_more = asyncio.Event()

    def keep_message(self, message: dict[str, Any]) -> None:
        """Keep a sent message for later edits; the oldest ones are forgotten."""
        self.messages[(message["chat"]["id"], message["message_id"])] = message
        while len(self.messages) > SENT_MAX:
            del self.messages[next(iter(self.messages))]

    def keep_file(self, file_id: str, name: str, content: bytes) -> None:
        self.files[file_id] = (name, content)
        while len(self.files) > FILES_MAX:
            del self.files[next(iter(self.files))]

    def shown(self) -> dict[str, Any]:
        """For the control endpoint; the token is not repeated."""
        return {"id": self.id, "username": self.username, "name": self.name,
                "pending": len(self.pending), "polling": self.poll is not None,
                "last_poll_at": self.last_poll_at, "conflicts": self.conflicts,
                "next_update_id": self.next_update_id, "sent": self.sent_seq,
                "webhook_url": self.webhook.get("url", ""), "commands": self.commands}


class Bots:
    """All registered bots, and the state directory they live in."""

    def __init__(self, state: Path | None) -> None:
        self.state = state
        self.by_id: dict[int, Bot] = {}
        self._gone: dict[int, dict[str, Any]] = {}  # counters of deleted bots
        if state:
            state.mkdir(parents=True, exist_ok=True)
            for path in sorted(state.glob("bot-*.json")):
                self._load(path)

    def _load(self, path: Path) -> None:
        try:
            kept = json.loads(path.read_text("ascii"))
            token = kept["token"]
            if not TOKEN_FORM.fullmatch(token):
                raise ValueError("bad token")
            bot = Bot(token, kept["username"], kept["name"], self.state)
            bot.take_over(kept)
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise SystemExit(f"{path}: not a state file of this fake: {e}") from None
        if kept.get("deleted"):
            self._gone[bot.id] = kept
        else:
            self.by_id[bot.id] = bot

    def find(self, token: str) -> Bot | None:
        match = TOKEN_FORM.fullmatch(token)
        bot = self.by_id.get(int(match[1])) if match else None
        return bot if bot and bot.token == token else None

    def register(self, token: str, username: str, name: str) -> Bot:
        """A new bot; one that exists gets the new token and name and keeps its updates."""
        bot_id = int(token.split(":")[0])
        bot = self.by_id.get(bot_id)
        if bot:
            if bot.token != token and bot.poll:
                bot.poll.abort(401, "Unauthorized")
            bot.token, bot.username, bot.name = token, username, name
        else:
            bot = Bot(token, username, name, self.state)
            bot.take_over(self._gone.pop(bot_id, {}))
            self.by_id[bot_id] = bot
        bot.save()
        return bot

    def delete(self, bot: Bot) -> None:
        if bot.poll:
            bot.poll.abort(401, "Unauthorized")
        del self.by_id[bot.id]
        bot.pending.clear()
        bot.save(deleted=True)
        bot.sent_more.set()
        self._gone[bot.id] = {"next_update_id": bot.next_update_id, "sent_seq": bot.sent_seq,
                              "next_message_id": bot.next_message_id}
