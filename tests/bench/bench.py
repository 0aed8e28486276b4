#!/usr/bin/python3
"""`make bench`: the whole path beside its limit, in one run.

The limit is civetweb → nats-server → a C echo and back, with nothing in between (bench-limit.c,
bench-echo.c): what the parts below us cost by themselves. Times of a shared machine mean little;
the ratio of two that were measured in turns, in one run, does. Writes docs/BENCHMARKS.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator

sys.dont_write_bytecode = True
PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "tests" / "system")]

# --build names the builds' folder; the daemons are those of its release build.
if "--build" in sys.argv[:-1]:
    os.environ["ZAKI_BIN"] = str(Path(sys.argv[sys.argv.index("--build") + 1]).absolute() / "release" / "bin")

# pylint: disable=wrong-import-position
from zaki.people import Person  # noqa: E402
from zaki.suite import BIN, DAEMONS, Suite, wait_until  # noqa: E402

REPORT = PROJECT / "docs" / "BENCHMARKS.md"
SETTINGS = {"RATE_API_PER_MIN": "1000000", "LOG_LEVEL": "info"}
MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
START_ROUNDS = 5


@dataclass
class Result:
    """One run of wrk."""

    rate: float  # answers a second
    p50: float  # milliseconds, as the rest
    p90: float
    p99: float


@dataclass
class Target:
    """What is measured: where, and as whom."""

    name: str
    url: str
    token: str = ""
    runs: dict[int, list[Result]] = field(default_factory=dict)  # by connections

    def median(self, connections: int) -> Result:
        runs = self.runs[connections]
        return Result(*(statistics.median(getattr(r, f) for r in runs) for f in ("rate", "p50", "p90", "p99")))


def wrk(target: Target, connections: int, seconds: int) -> Result:
    """One run; an answer that is not 2xx or a broken socket makes it void."""
    argv = ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "5s"]
    if target.token:
        argv += ["-H", f"Authorization: Bearer {target.token}"]
    out = subprocess.run([*argv, target.url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"{target.name}: the run is void\n{out}")

    def percentile(p: int) -> float:
        value, unit = re.findall(rf"^\s+{p}%\s+([\d.]+)(us|ms|s|m)$", out, re.M)[0]
        return float(value) * MS[unit]

    rate = float(re.findall(r"^Requests/sec:\s+([\d.]+)", out, re.M)[0])
    return Result(rate, percentile(50), percentile(90), percentile(99))


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


@contextmanager
def echo(folder: Path, size: int) -> Iterator[str]:
    """The limit's address: a nats-server of its own, the echo, and civetweb before them."""
    import socket
    ports = []
    for _ in range(2):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            ports.append(s.getsockname()[1])
    nats = f"nats://127.0.0.1:{ports[0]}"
    server = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin") or "nats-server"
    with ExitStack() as stack:
        for argv, env, ready in (
                ([server, "-a", "127.0.0.1", "-p", str(ports[0])], {}, "Server is ready"),
                ([str(BIN / "bench-echo")], {"NATS_URL": nats}, "ready"),
                ([str(BIN / "bench-limit")], {"NATS_URL": nats, "PORT": str(ports[1]), "BYTES": str(size)}, "ready")):
            stack.enter_context(program(argv, env, ready, folder / f"{Path(argv[0]).name}.log"))
        yield f"http://127.0.0.1:{ports[1]}/"


# ---- memory and starting -------------------------------------------------------------------------

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


# ---- the report ----------------------------------------------------------------------------------

def verdict(good: bool) -> str:
    return "reached" if good else "**not reached**"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * w for w in widths], *rows]
    return ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths)) + " |" for line in lines]


def load_rows(targets: list[Target], connections: int) -> list[list[str]]:
    limit = targets[0].median(connections)
    rows = []
    for t in targets:
        r = t.median(connections)
        spread = [x.rate for x in t.runs[connections]]
        rows.append([t.name, f"{r.rate:,.0f}", f"{min(spread):,.0f}–{max(spread):,.0f}", f"{r.p50:.2f}", f"{r.p90:.2f}",
                     f"{r.p99:.2f}", f"{r.rate / limit.rate:.2f}", f"{r.p50 / limit.p50:.2f}", f"{r.p99 / limit.p99:.2f}"])
    return rows


def figures(targets: list[Target], idle: dict[str, tuple[float, float]], starts: dict[str, float]) -> list[list[str]]:
    """SPEC 13's figures of this part, each with what was measured."""
    limit, me = targets[0], targets[1]
    rate = me.median(32).rate / limit.median(32).rate
    tail = me.median(32).p99 / limit.median(32).p99
    single = me.median(1).p50 / limit.median(1).p50
    rss, pss = sum(r for r, _ in idle.values()), sum(p for _, p in idle.values())
    slowest = max(starts, key=lambda n: starts[n])
    return [
        ["GET /api/users/me, 32 connections: rate", "≥ 0.5 × the echo's", f"{rate:.2f} ×", verdict(rate >= 0.5)],
        ["the same: p99", "< 4 × the echo's", f"{tail:.2f} ×", verdict(tail < 4)],
        ["the same, one connection: p50", "≤ 2 × the echo's", f"{single:.2f} ×", verdict(single <= 2)],
        [f"memory of the {len(idle)} daemons, idle", "≤ 60 MB together, of five",
         f"{pss:.1f} MB (PSS); {rss:.1f} MB where shared pages count in each (RSS)", verdict(pss <= 60)],
        ["start of a daemon to ready", "≤ 200 ms", f"{starts[slowest]:.0f} ms ({slowest}, the slowest)",
         verdict(max(starts.values()) <= 200)],
    ]


def machine() -> str:
    cpu = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    total = int(re.findall(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[0]) / (1 << 20)
    return f"{cpu[0] if cpu else platform.machine()}, {os.cpu_count()} cores, {total:.0f} GiB, Linux {platform.release()}"


def report(targets: list[Target], idle: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]],
           starts: dict[str, float], rounds: int) -> str:
    head = ["", "req/s", "min–max", "p50 ms", "p90 ms", "p99 ms", "rate ÷ limit", "p50 ÷ limit", "p99 ÷ limit"]
    lines = [
        "# Benchmarks", "",
        "Written by `make bench`; do not edit. Compare ratios within one run, never times of two runs: the machines",
        "that this is measured on are shared.", "",
        f"- machine: {machine()}", f"- date: {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        f"- load average when it began: {LOAD_AT_START}",
        f"- each line is the median of {rounds} rounds, taken in turns and in both orders",
        "- limit: civetweb (64 threads) → nats-server → a C echo and back, a body of the same size", "",
        "## Against SPEC 13", "", *table(["what", "to reach", "measured", ""], figures(targets, idle, starts)), "",
        "The others of SPEC 13's figures belong to parts that are measured with their own issues.", "",
        "## 32 connections", "", *table(head, load_rows(targets, 32)), "",
        "## One connection", "", *table(head, load_rows(targets, 1)), "",
        "## Memory and start", "",
        *table(["daemon", "RSS idle MB", "PSS idle MB", "RSS after the load MB", "start to ready ms"],
               [[n, f"{idle[n][0]:.1f}", f"{idle[n][1]:.1f}", f"{after[n][0]:.1f}", f"{starts[n]:.0f}"] for n in idle] +
               [["together", f"{sum(r for r, _ in idle.values()):.1f}", f"{sum(p for _, p in idle.values()):.1f}",
                 f"{sum(r for r, _ in after.values()):.1f}", ""]]), "",
    ]
    return "\n".join(lines)


LOAD_AT_START = " ".join(f"{x:.2f}" for x in os.getloadavg())


def run(rounds: int, seconds: int, folder: Path) -> str:
    suite = Suite(SETTINGS, supervise=False)
    try:
        suite.up()
        idle = memory(suite)
        person = Person.new(suite.api)
        person.running(suite.telegram.bot())
        size = len(person.api.get("/users/me").body)
        with echo(folder, size) as limit_url:
            base = suite.env["GATEWAY_URL"] + "/api"
            targets = [Target("limit (echo)", limit_url), Target("GET /api/users/me", base + "/users/me", person.access_token),
                       Target("GET /api/instances", base + "/instances", person.access_token)]
            for number in range(rounds):
                for target in targets if number % 2 == 0 else targets[::-1]:
                    for connections, share in ((32, 1.0), (1, 0.5)):
                        result = wrk(target, connections, max(2, round(seconds * share)))
                        target.runs.setdefault(connections, []).append(result)
                        print(f"round {number + 1}  {target.name:<20} {connections:>3} connections  {result.rate:9,.0f} req/s  "
                              f"p50 {result.p50:6.2f}  p99 {result.p99:7.2f} ms", flush=True)
        after = memory(suite)
        starts = {name: statistics.median(start_ms(suite, name) for _ in range(START_ROUNDS)) for name in DAEMONS}
        return report(targets, idle, after, starts, rounds)
    finally:
        wrong = suite.destroy()
        if wrong:
            print("\n".join(wrong), file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=6, help="of one run with 32 connections")
    parser.add_argument("--out", type=Path, default=REPORT)
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where the builds lie")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="zaki-bench-"))
    try:
        text = run(args.rounds, args.seconds, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n" + text)
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(text)
    print(f"written to {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
