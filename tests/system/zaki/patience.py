"""How long tests wait for what must come.

A machine that tests run on may stand still for seconds, and such a wait ends as soon as the thing is there: so
none is shorter than PATIENCE_S, and no test judges by the clock how fast something was. That is what `make bench`
is for; a test shows by its cause that something was told at once, or not by a time-out.
"""

from __future__ import annotations

import time
from typing import Any, Callable

PATIENCE_S = 60.0


def patient(seconds: float) -> float:
    return max(seconds, PATIENCE_S)


def wait_until(true: Callable[[], Any], timeout: float = PATIENCE_S, what: str = "") -> Any:
    """The first truthy answer; asks often, since nothing tells us."""
    deadline = time.monotonic() + patient(timeout)
    while True:
        value = true()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patient(timeout):.0f} s: {what or true}")
        time.sleep(0.02)
