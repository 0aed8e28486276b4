"""A person with an account, and what they do with their assistants."""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from .api import Answer, Api, expect
from .patience import PATIENCE_S, patient
from .telegram import Bot

SETTLED = ("running", "stopped", "error")


class Failed(AssertionError):
    """An instance came to rest in another state than the one waited for."""


@dataclass
class Person:
    """Signed in. Each test has people of its own, so that no test sees another's."""

    api: Api
    email: str
    password: str
    user: dict[str, Any] = field(default_factory=dict)
    access_token: str = ""
    refresh_token: str = ""
    bots: dict[str, Bot] = field(default_factory=dict)

    @classmethod
    def new(cls, api: Api, name: str = "Ada") -> "Person":
        """Registers somebody nobody else is."""
        person = cls(Api(api.base, prefix=api.prefix, timeout=api.timeout),
                     f"ada-{secrets.token_hex(8)}@example.org", "correct horse " + secrets.token_hex(8))
        person.take(expect(api.post("/auth/register", {"email": person.email, "password": person.password,
                                                       "name": name}), 201))
        return person

    @property
    def id(self) -> str:
        return str(self.user["id"])

    def take(self, tokens: dict[str, Any]) -> None:
        """Goes on with these tokens."""
        self.user = tokens["user"]
        self.access_token = tokens["access_token"]
        self.refresh_token = tokens["refresh_token"]
        self.api.token = self.access_token

    def login(self) -> None:
        """A further session; it becomes the one in use."""
        self.take(expect(self.api.as_user("").post("/auth/login", {"email": self.email,
                                                                   "password": self.password}), 200))

    # ---- assistants ----------------------------------------------------------------------------

    def provision(self, bot: Bot, **more: Any) -> dict[str, Any]:
        """POST /onboarding/provision; the instance as first answered. Where nobody says whose it is, people
        pair at once: test_owner.py has the other way."""
        if "owner_telegram_id" not in more:
            more.setdefault("owner_link", False)
        made = expect(self.api.post("/onboarding/provision", {"bot_token": bot.token, **more}), 202)
        self.bots[made["id"]] = bot
        return dict(made)

    def running(self, bot: Bot, timeout: float = PATIENCE_S, **more: Any) -> dict[str, Any]:
        """A new assistant that runs."""
        return self.wait(self.provision(bot, **more)["id"], "running", timeout)

    def instance(self, instance: str) -> dict[str, Any]:
        return dict(expect(self.api.get(f"/instances/{instance}"), 200))

    def wait(self, instance: str, status: str, timeout: float = PATIENCE_S) -> dict[str, Any]:
        """Until it is in this state; `error` ends the wait at once."""
        deadline = time.monotonic() + patient(timeout)
        while True:
            seen = self.instance(instance)
            if seen["status"] == status:
                return seen
            if seen["status"] == "error" or time.monotonic() > deadline:
                raise Failed(f"instance {instance} should be {status} and is {seen['status']}: "
                             f"{seen['status_reason']}")
            time.sleep(0.03)

    def act(self, instance: str, verb: str, status: str = "", timeout: float = PATIENCE_S) -> dict[str, Any]:
        """start, stop or restart; with `status` it waits until that is so."""
        answer = expect(self.api.post(f"/instances/{instance}/{verb}"), 202)
        return self.wait(instance, status, timeout) if status else dict(answer)

    def remove(self, instance: str, timeout: float = PATIENCE_S) -> None:
        """DELETE, and until it is gone."""
        expect(self.api.delete(f"/instances/{instance}"), 202)
        self.wait_gone(instance, timeout)

    def wait_gone(self, instance: str, timeout: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patient(timeout)
        while True:
            answer: Answer = self.api.get(f"/instances/{instance}")
            if answer.status == 404:
                return
            expect(answer, 200)
            if time.monotonic() > deadline:
                raise Failed(f"instance {instance} is still {answer.data['status']}")
            time.sleep(0.03)


def idempotency() -> dict[str, str]:
    """A fresh Idempotency-Key header."""
    return {"Idempotency-Key": str(uuid.uuid4())}
