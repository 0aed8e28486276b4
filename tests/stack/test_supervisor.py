"""The supervisor that `up` leaves behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Callable

import pytest

from stack import SERVERS, Stack
from stack.supervisor import BACKOFF_MOST, Backoff, trim_logs


def until(what: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


def supervised(state: Path) -> Stack:
    stack = Stack(state, random_ports=True, parts=SERVERS, supervise=True)
    stack.up()
    return stack


def test_a_part_that_ends_is_started_again(state: Path) -> None:
    stack = supervised(state)
    for part in SERVERS:
        killed = stack.kill_part(part, hold=False)
        until(lambda: stack.pid(part) not in (None, killed))
    until(lambda: stack.postgres()._ready(stack.runner.alive("postgres")))  # type: ignore[arg-type]
    assert stack.psql("SELECT 1;") == "1"
    assert "redis had ended; started again" in stack.log("supervisor")


def test_a_part_that_a_test_holds_stays_away(state: Path) -> None:
    stack = supervised(state)
    stack.kill_part("redis")
    killed = stack.kill_part("nats", hold=False)
    until(lambda: stack.pid("nats") not in (None, killed))  # it has looked since
    assert stack.pid("redis") is None
    starter = threading.Thread(target=stack.start_part, args=("redis",))
    with stack._locked():  # another command
        starter.start()
        time.sleep(0.5)
        # Whoever has the lock next, it is not the supervisor that starts it, who waits for nothing.
        assert stack.paths.run("redis.held").exists() and stack.pid("redis") is None
    starter.join(60)
    assert stack.pid("redis") and not stack.paths.run("redis.held").exists()


def test_the_supervisor_itself_may_be_killed(state: Path) -> None:
    stack = supervised(state)
    killed = stack.kill_part("supervisor")
    stack.kill_part("redis")
    stack.up()
    assert stack.pid("supervisor") not in (None, killed)
    again = stack.kill_part("redis", hold=False)
    until(lambda: stack.pid("redis") not in (None, again))


def test_down_is_not_undone_by_it(state: Path) -> None:
    stack = supervised(state)
    pid = stack.pid("supervisor")
    stack.down()
    assert pid and stack.runner.alive("supervisor") is None
    assert all(stack.pid(part) is None for part in SERVERS)


def test_it_ends_with_its_state_folder(state: Path) -> None:
    stack = supervised(state)
    record = stack.runner.alive("supervisor")
    assert record
    (state / "settings.json").rename(state / "settings.away")
    until(lambda: not stack.runner.is_running(record))
    (state / "settings.away").rename(state / "settings.json")


def test_restarts_come_ever_more_slowly_and_start_anew_after_a_steady_time() -> None:
    wait = Backoff()
    assert wait.may_start(100.0)
    delays = []
    now = 100.0
    for _ in range(10):
        wait.note_start(now)
        delays.append(wait.delay)
        assert not wait.may_start(now + wait.delay - 0.01)
        now += wait.delay
        assert wait.may_start(now)
    assert delays == sorted(delays) and delays[0] == 0.25 and delays[-1] == BACKOFF_MOST
    wait.note_start(now + 31)
    assert wait.delay == 0.25


def test_a_log_that_has_grown_too_long_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.supervisor.LOG_MOST", 10)
    with open(tmp_path / "gateway.log", "ab") as writer:
        writer.write(b"a line of a log\n")
        writer.flush()
        trim_logs(tmp_path)
        writer.write(b"next\n")
    assert (tmp_path / "gateway.log").read_bytes() == b"next\n"
    assert (tmp_path / "gateway.log.1").read_bytes() == b"a line of a log\n"
