"""A thousand sockets, events at a known rate, and the gateway, realtime-fanout and nats-server killed
with -9 in turn: each client's events are complete and in order, or it was told to begin anew."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from zaki.crowd import Crowd, Publisher, listeners
from zaki.people import Person
from zaki.suite import BIN, Suite, wait_until

pytestmark = pytest.mark.disturbs
SOCKETS, TOPICS, RATE = 1000, 100, 200.0
PROGRAM = BIN / "bench-ws"


@pytest.fixture(name="lab")
def _lab(suite: Suite, tmp_path: Path) -> Iterator[tuple[Crowd, Publisher, list[str]]]:
    # Ten sockets a user is the limit.
    lines, ids = listeners(suite, Person.new(suite.api).access_token, TOPICS)
    with Crowd(PROGRAM, int(suite.env["WS_URL"].rsplit(":", 1)[1]), SOCKETS, lines, tmp_path) as crowd:
        crowd.wait_live(timeout=60)
        with Publisher(suite, ids, RATE) as publisher:
            wait_until(lambda: publisher.sent > 2 * len(ids), 60, "events are published")
            yield crowd, publisher, ids


def settled(crowd: Crowd, publisher: Publisher, timeout: float = 60.0) -> dict[str, Any]:
    """All are there again and have had what was published after that."""
    crowd.wait_live(timeout=timeout)
    before = publisher.sent
    wait_until(lambda: publisher.sent >= before + TOPICS * 4 or publisher.error, 60, "events are published")
    assert not publisher.error, publisher.error
    events = int(crowd.stats()["events"])
    time.sleep(0.5)
    wait_until(lambda: int(crowd.stats()["events"]) > events, 20, "events come")
    return crowd.stats()


def test_killed_in_turn(suite: Suite, lab: tuple[Crowd, Publisher, list[str]]) -> None:
    crowd, publisher, _ = lab
    for name in ("gateway", "realtime-fanout", "nats", "gateway"):
        with suite.killed(name):
            time.sleep(1.0)
        seen = settled(crowd, publisher)
        told = f"after {name}: {seen}"
        print(told)
        assert seen["gaps"] == 0 and seen["twice"] == 0 and seen["errors"] == 0, told
        # All of it is within the stream's window, so nobody had to begin anew.
        assert seen["resyncs"] == 0, told
