"""Failures that a test orders from a fake: which request, how often, and what goes wrong."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from fakehttp import DropConnection, HttpError

DELAY_MAX_MS = 600_000
FAULTS_MAX = 1000


@dataclass
class Fault:
    """One order. `times` counts down; None means until it is removed."""

    target: str  # whose requests: a bot's id or token, a key's text to match, or "*"
    method: str  # which of them, or "*"
    status: int | None
    times: int | None
    delay_ms: int
    drop: bool
    retry_after: int | None
    description: str | None
    cut_after: int | None  # streams only: break the connection after this many chunks

    def shown(self) -> dict[str, Any]:
        """For the control endpoint; of a token only the bot's id."""
        fields = {k: v for k, v in vars(self).items() if v is not None}
        return {**fields, "target": re.sub(r"^(\d+):.*", r"\1", self.target)}


def number(body: dict[str, Any], name: str, low: int, high: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise HttpError(400, f"{name}: must be an integer from {low} to {high}")
    return value


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= 4096:
        raise HttpError(400, f"{name}: must be a text")
    return value


FIELDS = {"token", "bot", "bot_id", "target", "match", "method", "status", "times", "delay_ms",
          "drop", "retry_after", "description", "cut_after"}


def fault_from(body: dict[str, Any]) -> Fault:
    """A fault from a control request; refuses unknown fields, since a typo would test nothing."""
    unknown = set(body) - FIELDS
    if unknown:
        raise HttpError(400, f"unknown field: {sorted(unknown)[0]}")
    targets = [_text(body, name) for name in ("target", "token", "bot", "bot_id", "match")]
    drop = body.get("drop", False)
    if not isinstance(drop, bool):
        raise HttpError(400, "drop: must be true or false")
    times = 1 if "times" not in body else number(body, "times", 1, 1_000_000)
    fault = Fault(
        target=next((t for t in targets if t is not None), "*"),
        method=(_text(body, "method") or "*").lower(), status=number(body, "status", 200, 599),
        times=times, delay_ms=number(body, "delay_ms", 0, DELAY_MAX_MS) or 0, drop=drop,
        retry_after=number(body, "retry_after", 0, 86_400), description=_text(body, "description"),
        cut_after=number(body, "cut_after", 0, 1_000_000))
    if fault.status is None and not fault.drop and not fault.delay_ms and fault.cut_after is None:
        raise HttpError(400, "a fault needs status, delay_ms, drop or cut_after")
    return fault


class Faults:
    """The orders in force, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, body: dict[str, Any]) -> Fault:
        fault = fault_from(body)
        if len(self._faults) >= FAULTS_MAX:
            raise HttpError(400, "too many faults")
        self._faults.append(fault)
        return fault

    def clear(self) -> int:
        count = len(self._faults)
        self._faults.clear()
        return count

    def shown(self) -> list[dict[str, Any]]:
        return [fault.shown() for fault in self._faults]

    def take(self, names: set[str], method: str) -> Fault | None:
        """The first order that fits, counted as used."""
        for fault in self._faults:
            if fault.target in names | {"*"} and fault.method in (method.lower(), "*"):
                return self._use(fault)
        return None

    def take_containing(self, text: str, method: str) -> Fault | None:
        """The same where the target is a part of a text."""
        for fault in self._faults:
            if (fault.target == "*" or fault.target in text) and fault.method in (method, "*"):
                return self._use(fault)
        return None

    def _use(self, fault: Fault) -> Fault:
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self._faults.remove(fault)
        return fault


async def suffer(fault: Fault | None) -> None:
    """The part of a fault that is the same everywhere: delay, then drop."""
    if fault is None:
        return
    if fault.delay_ms:
        await asyncio.sleep(fault.delay_ms / 1000)
    if fault.drop:
        raise DropConnection
