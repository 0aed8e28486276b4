"""REST under load, beside its limit: civetweb → nats-server → a C echo and back, with nothing in
between (bench-limit.c, bench-echo.c), which is what the parts below us cost by themselves."""

from __future__ import annotations

import re
import statistics
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

from common import Bench, Section, find_program, free_ports, program, table, verdict

MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


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
def echo(folder: Path, size: int) -> Iterator[str]:
    """The limit's address: a nats-server of its own, the echo, and civetweb before them."""
    ports = free_ports(2)
    nats = f"nats://127.0.0.1:{ports[0]}"
    with ExitStack() as stack:
        for argv, env, ready in (
                (["nats-server", "-a", "127.0.0.1", "-p", str(ports[0])], {}, "Server is ready"),
                (["bench-echo"], {"NATS_URL": nats}, "ready"),
                (["bench-limit"], {"NATS_URL": nats, "PORT": str(ports[1]), "BYTES": str(size)}, "ready")):
            stack.enter_context(program([find_program(argv[0]), *argv[1:]], env, ready, folder / f"{argv[0]}.log"))
        yield f"http://127.0.0.1:{ports[1]}/"


def load_rows(targets: list[Target], connections: int) -> list[list[str]]:
    limit = targets[0].median(connections)
    rows = []
    for t in targets:
        r = t.median(connections)
        spread = [x.rate for x in t.runs[connections]]
        rows.append([t.name, f"{r.rate:,.0f}", f"{min(spread):,.0f}–{max(spread):,.0f}", f"{r.p50:.2f}", f"{r.p90:.2f}",
                     f"{r.p99:.2f}", f"{r.rate / limit.rate:.2f}", f"{r.p50 / limit.p50:.2f}", f"{r.p99 / limit.p99:.2f}"])
    return rows


def run_all(bench: Bench, targets: list[Target]) -> None:
    """In turns, and in both orders: what else the machine does hits all alike."""
    for number in range(bench.rounds):
        for target in targets if number % 2 == 0 else targets[::-1]:
            for connections, share in ((32, 1.0), (1, 0.5)):
                result = wrk(target, connections, max(2, round(bench.seconds * share)))
                target.runs.setdefault(connections, []).append(result)
                bench.say(f"round {number + 1}  {target.name:<20} {connections:>3} connections  {result.rate:9,.0f} req/s  "
                          f"p50 {result.p50:6.2f}  p99 {result.p99:7.2f} ms")


def measure(bench: Bench) -> Section:
    person = bench.person
    size = len(person.api.get("/users/me").body)
    with echo(bench.folder, size) as limit_url:
        base = bench.suite.env["GATEWAY_URL"] + "/api"
        targets = [Target("limit (echo)", limit_url), Target("GET /api/users/me", base + "/users/me", person.access_token),
                   Target("GET /api/instances", base + "/instances", person.access_token)]
        run_all(bench, targets)
    limit, me = targets[0], targets[1]
    rate = me.median(32).rate / limit.median(32).rate
    tail = me.median(32).p99 / limit.median(32).p99
    single = me.median(1).p50 / limit.median(1).p50
    head = ["", "req/s", "min–max", "p50 ms", "p90 ms", "p99 ms", "rate ÷ limit", "p50 ÷ limit", "p99 ÷ limit"]
    return Section(
        [["GET /api/users/me, 32 connections: rate", "≥ 0.5 × the echo's", f"{rate:.2f} ×", verdict(rate >= 0.5)],
         ["the same: p99", "< 4 × the echo's", f"{tail:.2f} ×", verdict(tail < 4)],
         ["the same, one connection: p50", "≤ 2 × the echo's", f"{single:.2f} ×", verdict(single <= 2)]],
        ["## REST", "",
         f"Each line is the median of {bench.rounds} rounds, taken in turns and in both orders. The limit is civetweb",
         "(64 threads) → nats-server → a C echo and back, a body of the same size.", "",
         "### 32 connections", "", *table(head, load_rows(targets, 32)), "",
         "### One connection", "", *table(head, load_rows(targets, 1)), ""])
