"""A thousand sockets, events at a known rate, and the gateway, realtime-fanout and nats-server killed
with -9 in turn: each client's events are complete and in order, or it was told to begin anew."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
import redis  # Debian's python3-redis

from zaki.crowd import Crowd, Publisher, listeners
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import BIN, Suite

pytestmark = pytest.mark.disturbs
SOCKETS, TOPICS, RATE = 1000, 200, 200.0
FORGOTTEN = 4  # times
BEATEN_MS = 8000  # is left of the key's life at the next beat
TRIES = 3  # a machine that stands still for all that a replay may take makes a resync of it, rightly
STATE_S = 2  # may the state take
PROGRAM = BIN / "bench-ws"


@contextlib.contextmanager
def lab(suite: Suite, folder: Path, sockets: int, topics: int) -> Iterator[tuple[Crowd, Publisher]]:
    """So many sockets over so many topics, each of another person's: ten sockets a user is the limit, and those
    of a gateway that was killed count for some seconds more."""
    lines, ids = listeners(suite, Person.new(suite.api).access_token, topics)
    with Crowd(PROGRAM, int(suite.env["WS_URL"].rsplit(":", 1)[1]), sockets, lines, folder) as crowd:
        crowd.wait_live(timeout=120)
        with Publisher(suite, ids, RATE) as publisher:
            wait_until(lambda: publisher.sent > 2 * len(ids), 60, "events are published")
            yield crowd, publisher


def settled(crowd: Crowd, publisher: Publisher) -> dict[str, Any]:
    """All are there again and have had what was published after that: two events of each topic, so that one that
    is missing shows."""
    crowd.wait_live(timeout=120)
    before, had, more = publisher.sent, int(crowd.ask("peek")["events"]), 2 * len(publisher.ids)
    wait_until(lambda: publisher.sent >= before + more or publisher.error, 120, "events are published")
    assert not publisher.error, publisher.error
    want = had + more * crowd.sockets // len(publisher.ids)
    wait_until(lambda: int(crowd.ask("peek")["events"]) >= want, 60, "events come")
    return crowd.stats()


def test_killed_in_turn(suite: Suite, tmp_path: Path) -> None:
    """Nobody misses anything unseen; and all of it is within the stream's window, so nobody has to begin anew."""
    with lab(suite, tmp_path, SOCKETS, TOPICS) as (crowd, publisher):
        resyncs = 0
        for name in ("gateway", "realtime-fanout", "nats", "gateway"):
            for _ in range(TRIES):
                with suite.killed(name):
                    time.sleep(1.0)
                seen = settled(crowd, publisher)
                told = f"after {name}: {seen}"
                print(told)
                assert seen["gaps"] == 0 and seen["twice"] == 0 and seen["errors"] == 0, told
                new, resyncs = seen["resyncs"] - resyncs, seen["resyncs"]
                if not new:
                    break
            assert not new, told


@contextlib.contextmanager
def stopped(suite: Suite, name: str) -> Iterator[None]:
    pid = suite.stack.pid(name)
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_forgotten_by_redis(suite: Suite, tmp_path: Path) -> None:
    """The gateway's key goes, again and again, while clients come and go: each one that comes registers its
    topic anew, so that events come again just when those that were missed are not told yet. Their questions
    take as long as the key is away: whoever is asked for the state is stopped."""
    store = redis.Redis.from_url(suite.env["REDIS_URL"])
    # One that was killed a moment ago is known for some seconds more.
    key = wait_until(lambda: len(known := store.keys("zaki:rt:gateway:*")) == 1 and known[0], 20, "one gateway is left")
    with lab(suite, tmp_path, 200, 20) as (crowd, publisher):
        crowd.ask("churn 300")
        for _ in range(FORGOTTEN):
            # Just before the next beat, so that nobody waits for long.
            wait_until(lambda: BEATEN_MS < store.pttl(key) < BEATEN_MS + 400, 20, "the gateway makes itself known")
            with stopped(suite, "instance-manager"):
                cap = time.monotonic() + STATE_S / 2
                assert store.delete(key) == 1
                wait_until(lambda: store.exists(key) or time.monotonic() > cap)
            wait_until(lambda: store.exists(key), 20, "the gateway makes itself known again")
        crowd.ask("churn 0")
        seen = settled(crowd, publisher)
        assert seen["churned"] > 10 * FORGOTTEN
        assert [seen[what] for what in ("gaps", "twice", "errors", "resyncs")] == [0] * 4, seen
