#!/usr/bin/python3
"""`make soak`: sockets that come and go, events all the while; memory, threads and files of the gateway and
realtime-fanout must stay flat, and no event may be lost or come twice. MINUTES says how long (15); of that
length or longer it writes docs/SOAK.md."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

sys.dont_write_bytecode = True
if "--build" in sys.argv[:-1]:
    os.environ["ZAKI_BIN"] = str(Path(sys.argv[sys.argv.index("--build") + 1]).absolute() / "release" / "bin")

# pylint: disable=wrong-import-position
from common import BIN, PROJECT, SETTINGS, Suite, machine, table  # noqa: E402
from engine import shared_engine  # noqa: E402
from sockets import memory_kb  # noqa: E402
from stack.errors import StackError  # noqa: E402
from zaki.crowd import Crowd, Publisher, listeners  # noqa: E402
from zaki.people import Person  # noqa: E402

SOCKETS, TOPICS, CHURN, RATE = 2000, 200, 40, 100.0
STEP_S = 5.0
WARM = 0.25  # of the time, before what is kept for later is all there
GROWTH = 1.10  # of the medians of the last third and of the first
SLACK_KB = 2048
WATCHED = ("gateway", "realtime-fanout")
REPORT, REPORT_MINUTES = PROJECT / "docs" / "SOAK.md", 15


@dataclass
class Sample:
    """One look at a process."""

    kb: int
    threads: int
    files: int


def look(pid: int) -> Sample:
    proc = Path(f"/proc/{pid}")
    return Sample(memory_kb(pid), len(list((proc / "task").iterdir())), len(list((proc / "fd").iterdir())))


@dataclass
class Result:
    """What came of it."""

    wrong: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    told: str = ""

    def judge(self, name: str, samples: list[Sample]) -> None:
        """What grew: the first third after the warming up beside the last."""
        rest = samples[int(len(samples) * WARM):]
        third = max(1, len(rest) // 3)
        for what, slack in (("kb", SLACK_KB), ("threads", 0), ("files", SOCKETS // 20)):
            first = statistics.median(getattr(s, what) for s in rest[:third])
            last = statistics.median(getattr(s, what) for s in rest[-third:])
            grew = last > first * (GROWTH if what == "kb" else 1) + slack
            most = max(getattr(s, what) for s in rest)
            self.rows.append([name, {"kb": "memory of its own, KB", "files": "open files"}.get(what, what),
                              f"{first:,.0f}", f"{last:,.0f}", f"{most:,.0f}", "**grew**" if grew else "flat"])
            if grew:
                self.wrong.append(f"{name}: {what} grew from {first:,.0f} to {last:,.0f}")

    def report(self, minutes: float) -> str:
        return "\n".join([
            "# Soak", "",
            f"Written by `make soak MINUTES={minutes:g}`; do not edit. {SOCKETS:,} sockets on one gateway, {CHURN} of them a second",
            f"leave and come back with their last position; {RATE:.0f} events a second on {TOPICS} topics all the while. After the",
            "first quarter of the time, medians of the first third of the rest beside those of its last third.", "",
            f"- machine: {machine()}, shared with other work", f"- date: {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, when it ended",
            f"- {self.told}", "",
            *table(["process", "what", "first third", "last third", "most", ""], self.rows), "",
            *[f"- **{w}**" for w in self.wrong]])


def soak(minutes: float, folder: Path) -> Result:
    suite = Suite({**SETTINGS, "WS_PER_USER": "100"}, supervise=False)
    samples: dict[str, list[Sample]] = {name: [] for name in WATCHED}
    try:
        suite.up()
        pids = {name: pid for name, pid in suite.pids().items() if name in WATCHED and pid}
        lines, ids = listeners(suite, Person.new(suite.api).access_token, TOPICS)
        port = int(suite.env["WS_URL"].rsplit(":", 1)[1])
        with Crowd(BIN / "bench-ws", port, SOCKETS, lines, folder) as crowd:
            crowd.wait_live(timeout=120)
            crowd.ask(f"churn {CHURN}")
            with Publisher(suite, ids, RATE) as publisher:
                end = time.monotonic() + minutes * 60
                while time.monotonic() < end:
                    time.sleep(STEP_S)
                    for name, pid in pids.items():
                        samples[name].append(look(pid))
                    seen = crowd.stats()
                    if len(samples["gateway"]) % 6 == 0:
                        print(f"{seen['live']} live, {seen['churned']} gone and back, {seen['events']:,} events, "
                              f"p99 {seen['p99']:.0f} ms, gateway {samples['gateway'][-1]}", flush=True)
            seen = crowd.stats()
        result = Result()
        for name in WATCHED:
            result.judge(name, samples[name])
        result.wrong += [f"{seen[what]} {what}: {seen['first_wrong']}" for what in ("gaps", "twice", "errors") if seen[what]]
        result.told = (f"{seen['churned']:,} sockets left and came back; {publisher.sent:,} events published, {seen['events']:,} "
                       f"received; {seen['gaps']} gaps, {seen['twice']} twice, {seen['resyncs']} resyncs")
        return result
    finally:
        for line in suite.destroy():
            print(line, file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where the builds lie")
    parser.add_argument("--minutes", type=float, default=15)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="zaki-soak-"))
    try:
        with shared_engine(args.build.absolute()):
            result = soak(args.minutes, folder)
    except StackError as e:  # the engine, say, has been taken away
        print(f"the run is void: {e.text()}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = result.report(args.minutes)
    print(text)
    if args.minutes >= REPORT_MINUTES:
        REPORT.write_text(text)
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
