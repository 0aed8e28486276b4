"""The Telegram fake as a test steers it: bots, people who write to them, what the bots say."""

from __future__ import annotations

import itertools
import os
import secrets
import time
from dataclasses import dataclass
from typing import Any

from .api import Answer, Api
from .patience import PATIENCE_S

_numbers = itertools.count(int.from_bytes(os.urandom(3), "big") * 1000 + 10_000_000_000)


@dataclass
class Bot:
    """A bot that the fake knows; `said` is the number of the last thing read from it."""

    fake: "Telegram"
    id: int
    token: str
    username: str

    def hears(self, person: int, text: str) -> int:
        """A person writes; returns the number after which an answer comes."""
        body = {"from": {"id": person, "first_name": f"Person {person}"}, "text": text}
        return int(self.fake.post(f"/_control/bots/{self.id}/messages", body)["sent_seq"])

    def says(self, after: int, timeout: float = PATIENCE_S, text: str = "") -> dict[str, Any] | None:
        """The next message that it sends (with this text in it), or None within the time."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            got = self.fake.get(f"/_control/bots/{self.id}/sent?since={after}&wait={left:.3f}")
            for sent in got["sent"]:
                if sent["method"] == "sendMessage" and text in (sent["text"] or ""):
                    return dict(sent)
            after = got["next"]
            if left <= 0:
                return None

    def shown(self) -> dict[str, Any]:
        return dict(self.fake.get(f"/_control/bots/{self.id}"))

    def wait_polled(self, timeout: float = PATIENCE_S) -> None:
        """Returns once somebody long-polls for this bot."""
        deadline = time.monotonic() + timeout
        while not self.shown()["polling"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody polls bot {self.id}")
            time.sleep(0.02)

    def new_token(self) -> str:
        """As /revoke at BotFather does: another token, the same bot."""
        self.token = f"{self.id}:{secrets.token_urlsafe(26)}"
        self.fake.post("/_control/bots", {"token": self.token, "username": self.username})
        return self.token


class Telegram:
    """Its control endpoints."""

    def __init__(self, base: str) -> None:
        self.api = Api(base, prefix="", timeout=150)

    def post(self, path: str, body: Any) -> Any:
        return self._good(self.api.post(path, body))

    def get(self, path: str) -> Any:
        return self._good(self.api.get(path))

    @staticmethod
    def _good(answer: Answer) -> Any:
        if answer.status >= 300:
            raise AssertionError(f"the Telegram fake: {answer}")
        return answer.json

    def bot(self, username: str = "") -> Bot:
        """A new bot of its own for a test."""
        number = next(_numbers)
        token = f"{number}:{secrets.token_urlsafe(26)}"
        username = username or f"zaki{number}_bot"
        self.post("/_control/bots", {"token": token, "username": username, "name": f"Zaki {number}"})
        return Bot(self, number, token, username)

    def unknown_token(self) -> str:
        """Looks right and is nobody's."""
        return f"{next(_numbers)}:{secrets.token_urlsafe(26)}"

    def fault(self, **order: Any) -> None:
        """Orders a failure; see tests/fakes/README.md."""
        self.post("/_control/faults", order)

    def no_faults(self) -> None:
        self.api.delete("/_control/faults")
