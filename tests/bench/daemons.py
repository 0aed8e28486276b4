"""The daemons themselves: memory while nothing happens and after the load, and how fast they start."""

from __future__ import annotations

import re
import statistics
import time
from datetime import datetime
from pathlib import Path

from common import Bench, Section, table, verdict
from zaki.suite import DAEMONS, Suite

START_ROUNDS = 5

_idle: dict[str, tuple[float, float]] = {}


def memory(suite: Suite) -> dict[str, tuple[float, float]]:
    """(RSS, PSS) of each daemon in MB; PSS counts what they share once."""
    found = {}
    for name, pid in suite.pids().items():
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kb = {k: int(v) for k, v in re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.M)}
        found[name] = (kb["Rss"] / 1000 * 1.024, kb["Pss"] / 1000 * 1.024)
    return found


def start_ms(suite: Suite, name: str) -> float:
    """From before its process is made to the time in its `ready` line."""
    stack = suite.stack
    stack.stop_part(name)
    spec = stack.spec(name, {})
    begin = time.time()
    record = stack.runner.start(spec)
    stack.runner.wait_ready(spec, record)
    stack.paths.run(f"{name}.held").unlink(missing_ok=True)
    line = next(line for line in stack.runner.log_since(record).splitlines() if '"message":"ready"' in line.replace(" ", ""))
    stamp = re.findall(r'"timestamp":\s*"([^"]+)"', line)[0]
    return (datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() - begin) * 1000


def before(bench: Bench) -> None:
    _idle.update(memory(bench.suite))


def measure(bench: Bench) -> Section:
    """Last of all: it stops and starts every daemon."""
    suite, idle = bench.suite, _idle
    after = memory(suite)
    starts = {name: statistics.median(start_ms(suite, name) for _ in range(START_ROUNDS)) for name in DAEMONS}
    rss, pss = sum(r for r, _ in idle.values()), sum(p for _, p in idle.values())
    slowest = max(starts, key=lambda n: starts[n])
    return Section(
        [[f"memory of the {len(idle)} daemons, idle", "≤ 60 MB together, of five",
          f"{pss:.1f} MB (PSS); {rss:.1f} MB where shared pages count in each (RSS)", verdict(pss <= 60)],
         ["start of a daemon to ready", "≤ 200 ms", f"{starts[slowest]:.0f} ms ({slowest}, the slowest)",
          verdict(max(starts.values()) <= 200)]],
        ["## Memory and start", "",
         *table(["daemon", "RSS idle MB", "PSS idle MB", "RSS after the load MB", "start to ready ms"],
                [[n, f"{idle[n][0]:.1f}", f"{idle[n][1]:.1f}", f"{after[n][0]:.1f}", f"{starts[n]:.0f}"] for n in idle] +
                [["together", f"{rss:.1f}", f"{pss:.1f}", f"{sum(r for r, _ in after.values()):.1f}", ""]]), ""])
