"""What the benchmarks share: one run of them, what a subject hands in, tables, helper programs.

A subject is a module of this folder with

    def measure(bench: Bench) -> Section

and, where something is to be seen before any load, `def before(bench: Bench) -> None`. bench.py runs
those that it lists, in its order.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Iterator

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "tests" / "system"), str(PROJECT / "tests" / "run")]

# pylint: disable=wrong-import-position
from zaki.patience import wait_until  # noqa: E402
from zaki.people import Person  # noqa: E402
from zaki.suite import BIN, Suite  # noqa: E402

SETTINGS = {"RATE_API_PER_MIN": "1000000", "RATE_AUTH_PER_MIN": "1000000", "LOG_LEVEL": "info"}


@dataclass
class Section:
    """What a subject hands in: its rows against SPEC 13, and its own part of the report."""

    figures: list[list[str]] = field(default_factory=list)  # what, to reach, measured, verdict
    lines: list[str] = field(default_factory=list)


@dataclass
class Bench:
    """One run of the benchmarks."""

    rounds: int
    seconds: int  # of one measurement under load
    folder: Path  # for scratch; gone at the end

    @cached_property
    def suite(self) -> Suite:
        """The running suite, started by whoever asks first."""
        suite = Suite(SETTINGS, supervise=False)
        try:
            return suite.up()
        except BaseException:
            suite.destroy()
            raise

    @cached_property
    def person(self) -> Person:
        """Somebody with one assistant that runs."""
        person = Person.new(self.suite.api)
        person.running(self.suite.telegram.bot())
        return person

    def end(self) -> list[str]:
        """Ends what was started; says what was wrong."""
        suite = self.__dict__.pop("suite", None)
        return suite.destroy() if suite else []

    def say(self, text: str) -> None:
        print(text, flush=True)


def machine() -> str:
    cpu = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    total = int(re.findall(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[0]) / (1 << 20)
    return f"{cpu[0] if cpu else platform.machine()}, {os.cpu_count()} cores, {total:.0f} GiB, Linux {platform.release()}"


def verdict(good: bool) -> str:
    return "reached" if good else "**not reached**"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * w for w in widths], *rows]
    return ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths)) + " |" for line in lines]


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    found = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return found


def find_program(name: str) -> str:
    """A program of the project's build, or else of the system."""
    ours = BIN / name
    return str(ours) if ours.exists() else shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin") or name


@contextmanager
def program(argv: list[str], env: dict[str, str], ready: str, log: Path) -> Iterator[None]:
    """A helper of the benchmark, from its ready line to SIGTERM."""
    with open(log, "wb") as out:
        child = subprocess.Popen(argv, env={**os.environ, **env}, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: ready in log.read_text() or child.poll() is not None, 20, f"{argv[0]} is ready")
        if child.poll() is not None:
            raise SystemExit(f"{argv[0]} ended: {log.read_text()}")
        yield
    finally:
        child.terminate()
        child.wait(10)
