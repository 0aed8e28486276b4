"""`make run` shows the daemons' logs as they come."""

from __future__ import annotations

import select
import sys
from pathlib import Path
from typing import Callable


def ends(folder: Path, names: list[str]) -> dict[str, int]:
    """How long each of these logs is now."""
    return {n: _size(folder / f"{n}.log") for n in names}


def follow(folder: Path, at: dict[str, int], there: Callable[[], bool], pause: float = 0.2) -> None:
    """Prints the lines of these logs from there on, each with its part's name, until interrupted or the
    stack is no longer `there`. A log that was set aside is read from its start again. BrokenPipeError where nobody
    reads any more, although there be nothing to print."""
    out = select.poll()
    out.register(sys.stdout, 0)  # POLLERR and POLLHUP come unasked
    width = max(len(n) for n in at)
    rest: dict[str, bytes] = dict.fromkeys(at, b"")
    while there():
        for name in rest:
            path = folder / f"{name}.log"
            size = _size(path)
            if size < at[name]:
                at[name], rest[name] = 0, b""
            if size == at[name]:
                continue
            with open(path, "rb") as log:
                log.seek(at[name])
                data = rest[name] + log.read(size - at[name])
            at[name] = size
            *lines, rest[name] = data.split(b"\n")
            for line in lines:
                print(f"{name:<{width}} | {line.decode(errors='replace')}", flush=True)
        if out.poll(pause * 1000):
            raise BrokenPipeError


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
