"""What a person sees while the stack starts: one line a part, with its address and time."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO


def flush() -> None:
    """At the end: what nobody reads any more (`make status | head`) is no error of ours."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # Python flushes once more when it ends
        os.close(nowhere)


class Say:
    """Prints short lines; a test harness passes quiet=True and reads the logs instead."""

    def __init__(self, quiet: bool = False, out: TextIO | None = None) -> None:
        self.quiet = quiet
        self.out = out or sys.stdout

    def line(self, text: str) -> None:
        """One line, at once: `make run` may be piped. A start does not end half-way because its reader did."""
        if self.quiet:
            return
        try:
            print(text, file=self.out, flush=True)
        except BrokenPipeError:
            self.quiet = True

    def part(self, name: str, what: str, since: float | None = None) -> None:
        """`name  what  (1.2 s)`; `since` is a time.monotonic()."""
        took = f"  ({time.monotonic() - since:.1f} s)" if since is not None else ""
        self.line(f"  {name:<18} {what}{took}")

    def step(self, text: str) -> "Step":
        """A step that takes long: says when it begins and how long it took."""
        return Step(self, text)


class Step:
    """`with say.step("npm packages"):` prints the start at once and the time at the end."""

    def __init__(self, say: Say, text: str) -> None:
        self.say = say
        self.text = text
        self.start = 0.0
        self.seconds = 0.0

    def __enter__(self) -> "Step":
        self.start = time.monotonic()
        self.say.line(f"    {self.text} …")
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.seconds = time.monotonic() - self.start
        word = "failed after" if kind else "done in"
        self.say.line(f"    {self.text}: {word} {self.seconds:.1f} s")
