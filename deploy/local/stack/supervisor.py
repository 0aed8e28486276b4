"""Keeps the parts running: a small process that `up` leaves behind.

It owns nothing: what should run and how is in settings.json and the records, so it may be killed at
any moment, and the next `up` starts it again. Commands and the supervisor take the same lock, so
they never start a part twice.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StackError
from .process import Record, Runner, Spec
from .users import me

if TYPE_CHECKING:
    from .core import Stack
    from .paths import Paths

PAUSE = 0.25
BACKOFF_FIRST, BACKOFF_MOST = 0.25, 15.0
LOG_MOST = 64 << 20
STEADY = 30.0  # a part that ran this long has recovered: its back-off starts anew
NAME = "supervisor"
ENTRY = Path(__file__).resolve().parents[1] / "stack.py"


def spec(paths: "Paths", runner: Runner) -> Spec:
    """Runs as the person who started the stack: it has to start parts as `up` does."""
    argv = ["/usr/bin/python3", str(ENTRY), "--state", str(paths.asked), "supervise"]

    def ready(record: Record) -> bool:
        return "watching" in runner.log_since(record)

    env = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return Spec(name=NAME, argv=argv, user=me(), env=env, ready=ready, confined=False)


class Backoff:
    """How long to wait before the next start of one part."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.due = 0.0
        self.started = 0.0

    def may_start(self, now: float) -> bool:
        """Whether it is time. The first restart is at once."""
        return now >= self.due

    def note_start(self, now: float) -> None:
        """Doubles the wait for the next one, unless the part had run steadily."""
        steady = self.started and now - self.started > STEADY
        self.delay = BACKOFF_FIRST if steady or not self.delay else min(self.delay * 2, BACKOFF_MOST)
        self.started = now
        self.due = now + self.delay


def note(text: str) -> None:
    """One line in its log."""
    print(f"{datetime.now(timezone.utc).isoformat(timespec='milliseconds')} {text}", flush=True)


def run(state_dir: str) -> int:
    """The loop. Ends by SIGTERM, or when the state folder no longer names it."""
    from .core import Stack

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    waits: dict[str, Backoff] = {}
    settings = Path(state_dir) / "settings.json"
    read: object = None
    stack: Stack | None = None
    note("watching")
    while True:
        time.sleep(PAUSE)
        seen = (settings.stat().st_ino, settings.stat().st_mtime_ns) if settings.exists() else None
        if stack is None or seen != read:  # read again when a command has changed something
            stack, read = Stack.attach(state_dir), seen
        if stack is None:
            note("no stack here any more")
            return 0
        trim_logs(stack.paths.state / "log")
        record = stack.runner.record(NAME)
        # Until `up` has written the record there is none; another's means that we were replaced.
        if record and record.pid != os.getpid():
            note(f"another supervisor is at work (pid {record.pid})")
            return 0
        for name in missing(stack):
            wait = waits.setdefault(name, Backoff())
            if wait.may_start(time.monotonic()):
                revive(stack, name, wait)


def trim_logs(folder: Path) -> None:
    """Keeps a log that has grown too long as NAME.log.1 and starts it anew. It is emptied, not renamed:
    its writer has it open, to append."""
    for log in folder.glob("*.log"):
        if log.stat().st_size > LOG_MOST:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def missing(stack: "Stack") -> list[str]:
    """Parts that should run and don't."""
    return [name for name in stack.wanted()
            if not stack.runner.alive(name) and not stack.paths.run(f"{name}.held").exists()]


def revive(stack: "Stack", name: str, wait: Backoff) -> None:
    """Starts one part again. Does not wait for it: another may be needed for it to become ready."""
    try:
        if stack.revive(name):
            wait.note_start(time.monotonic())
            note(f"{name} had ended; started again, next not before {wait.delay:.2f} s")
    except (StackError, OSError) as e:
        wait.note_start(time.monotonic())
        note(f"{name} can't be started: {e}")
