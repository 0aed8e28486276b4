"""What a daemon counts of itself, as any NATS tool reads it: $SRV.STATS (ADR-32)."""

from __future__ import annotations

import json
from typing import Any

from .nats import Nats
from .suite import Suite


def stats(suite: Suite, service: str, seconds: float = 1.0) -> list[dict[str, Any]]:
    """One document of each process of the service that answers."""
    url = suite.env["NATS_URL"]
    found: list[dict[str, Any]] = []
    with Nats(url, inbox="_INBOX_operator") as bus:
        inbox = f"{bus.inbox}.figures"
        bus.subscribe(inbox)
        bus.publish(f"$SRV.STATS.{service}", b"", inbox)
        bus.flush()
        taken = 0
        try:
            while True:
                bus.wait_for(lambda m: m.subject == inbox and len(bus.messages) > taken, seconds)
                taken += 1
        except TimeoutError:
            pass
        found = [json.loads(m.data) for m in bus.messages if m.subject == inbox]
    return found


def figures(suite: Suite, service: str) -> dict[str, float]:
    """The service's figures, summed over its processes; a gauge of 0 and 1 says how many say 1."""
    total: dict[str, float] = {}
    for one in stats(suite, service):
        for series, value in one["data"].items():
            total[series] = total.get(series, 0) + value
    return total
