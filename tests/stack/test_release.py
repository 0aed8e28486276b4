"""What is promised in megabytes, of the build that people run; tests/system has the same
paths under sanitizers."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

# pylint: disable=wrong-import-position
from zaki.api import expect  # noqa: E402
from zaki.flood import Came, Flood, stood_in_line  # noqa: E402
from zaki.people import Person  # noqa: E402
from zaki.suite import BUILD, SERVERS, Suite  # noqa: E402

COUNT = 500
HASH_MB, SPARE_MB = 64, 32


@pytest.fixture(scope="module")
def suite() -> Iterator[Suite]:
    """As much of it as signs people in."""
    assert BUILD == "release"
    s = Suite({"LOG_LEVEL": "info"}, parts=(*SERVERS, "auth", "gateway"), supervise=False)
    try:
        yield s.up()
    finally:
        wrong = s.destroy()
    assert not wrong, "\n".join(wrong)


def peak_mb(suite: Suite) -> float:
    text = Path(f"/proc/{suite.stack.pid('auth')}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", text)[0]) / 1024


def flood(suite: Suite, email: str) -> tuple[list[float], list[Came]]:
    """How long each /health took from before the first sign-in to after the last; what these got."""
    waits, under_way = [], Flood(suite.api.base, COUNT, email)
    while not under_way.is_over():
        answer = suite.api.get("/health")
        expect(answer, 200)
        waits.append(answer.seconds)
        time.sleep(0.005)
    return waits, under_way.end()


def test_memory_stays_and_nobody_else_waits_while_500_sign_in(suite: Suite) -> None:
    """That /health takes 100 ms at most meanwhile is measured by `make bench`."""
    before = peak_mb(suite)
    waits, came = flood(suite, Person.new(suite.api).email)
    statuses = [c.status for c in came]
    assert len(came) == COUNT and {401, 503} <= set(statuses) <= {401, 503, 504}, sorted(set(statuses))
    assert not (wrong := stood_in_line(waits, came)), wrong
    bound = (os.cpu_count() or 1) * HASH_MB + SPARE_MB
    assert peak_mb(suite) - before <= bound, f"{before:.0f} MB, then {peak_mb(suite):.0f} MB"
