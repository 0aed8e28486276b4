"""WebSockets: ten thousand on one gateway, an event to all of them, a thousand topics with ten events a
second each, a hundred stalled clients among them; beside the same client against Node's `ws`.

The gateway has a suite of its own here, so that the events' path is the real one: stream, realtime-fanout,
Redis, bus, gateway. Node's server gets its line on its standard input and has nothing of that to do."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

from common import PROJECT, SETTINGS, Bench, Section, free_ports, table, verdict
from zaki.crowd import Crowd, listeners
from zaki.nats import Nats
from zaki.people import Person
from zaki.suite import BIN, Suite

SOCKETS = 10_000
TOPICS = 1_000
STALLED = 100
RATES = (1, 10)  # events a second and topic
ROUNDS = 15  # one event to all
PACK_S = 0.01  # the publisher's stroke
CLIENT = PROJECT / "frontends" / "realtime"


def memory_kb(pid: int) -> int:
    """What it has for itself: shared pages count for nobody."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(n) for n in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.M))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect(port: int, pid: int, lines: list[str], folder: Path) -> tuple[Crowd, dict[str, float]]:
    """All sockets, and what they cost."""
    before, cpu = memory_kb(pid), cpu_s(pid)
    begin = time.monotonic()
    crowd = Crowd(BIN / "bench-ws", port, SOCKETS, lines, folder)
    crowd.wait_live(timeout=240)
    took = time.monotonic() - begin
    time.sleep(1.0)
    return crowd, {"rate": SOCKETS / took, "kb": (memory_kb(pid) - before) / SOCKETS,
                   "cpu_us": (cpu_s(pid) - cpu) / SOCKETS * 1e6}


def wait_events(crowd: Crowd, count: int, timeout: float) -> bool:
    """Whether so many have come, all in all."""
    deadline = time.monotonic() + timeout
    while int(crowd.ask("peek")["events"]) < count:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def to_all(crowd: Crowd, send: Callable[[], None]) -> dict[str, Any]:
    """One event to all of them: how long it took to each."""
    have = int(crowd.stats()["events"])
    send()
    if not wait_events(crowd, have + SOCKETS, 30):
        raise SystemExit(f"an event did not reach all: {crowd.stats()}")
    return crowd.stats()


def in_turns(sides: list[tuple[Crowd, Callable[[], None]]]) -> list[dict[str, float]]:
    """Medians of the rounds' percentiles, for each side."""
    rounds: list[list[dict[str, Any]]] = [[] for _ in sides]
    for n in range(ROUNDS):
        for k in range(len(sides)):
            side = (k + n) % len(sides)
            rounds[side].append(to_all(*sides[side]))
            time.sleep(0.3)
    return [{p: statistics.median(r[p] for r in own) for p in ("p50", "p99", "max")} for own in rounds]


@contextlib.contextmanager
def node(port: int) -> Iterator[subprocess.Popen[str]]:
    env = {**os.environ, "PORT": str(port), "WS_FROM": str(CLIENT)}
    child = subprocess.Popen([shutil.which("node") or "node", str(Path(__file__).with_name("ws_peer.mjs"))], env=env,
                             text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout and child.stdout.readline().strip() == "ready"
        yield child
    finally:
        assert child.stdin
        child.stdin.close()
        child.wait(30)


def event(instance: str, n: int) -> dict[str, Any]:
    return {"n": n, "t": time.monotonic_ns(), "instance_id": instance, "status": "running", "desired": "running"}


def line(instance: str, n: int) -> str:
    """What Node's server is to send: the gateway's own frame."""
    return json.dumps({"event": "instance.status", "topic": f"instance.{instance}", "position": f"00000000:{n}",
                       "ts": "2026-01-01T00:00:00.000Z", "trace_id": "0" * 32, "data": event(instance, n)},
                      separators=(",", ":")) + "\n"


def message(instance: str, n: int) -> tuple[str, bytes]:
    return f"zaki.evt.instance.{instance}.status", json.dumps(event(instance, n)).encode()


def flow(bus: Nats, crowd: Crowd, ids: list[str], rate: int, first: int, seconds: int) -> dict[str, Any]:
    """rate events a second for each topic, evenly, numbered from first. Each stroke ends with the stream's word
    that it has all of it, so that the stream is not outrun."""
    before, sent = int(crowd.stats()["events"]), 0
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        due = min(sent + TOPICS, int((time.monotonic() - begin) * rate * TOPICS))
        if due > sent:
            stroke = [message(ids[k % TOPICS], first + k // TOPICS) for k in range(sent, due)]
            bus.publish_many(stroke[:-1])
            bus.request(*stroke[-1], timeout=30)
            bus.messages.clear()
            sent = due
        time.sleep(PACK_S)
    took = time.monotonic() - begin
    # A topic that was in the middle of its round is finished, so that the next flow's numbers follow.
    bus.publish_many([message(ids[k % TOPICS], first + k // TOPICS) for k in range(sent, -(-sent // TOPICS) * TOPICS)])
    sent = -(-sent // TOPICS) * TOPICS
    is_whole = wait_events(crowd, before + sent, 60)
    stats = crowd.stats()
    return {**stats, "rate": sent / took, "is_whole": is_whole, "arrived": (int(stats["events"]) - before) / sent,
            "next": first + sent // TOPICS,
            "is_good": is_whole and stats["gaps"] == 0 and stats["twice"] == 0 and sent / took >= 0.95 * rate * TOPICS}


def compare(bench: Bench) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the gateway, Node's ws): both open at once, in turns."""
    suite = Suite({**SETTINGS, "WS_PER_USER": "1000000"}, supervise=False)
    try:
        suite.up()
        port, pid = int(suite.env["WS_URL"].rsplit(":", 1)[1]), suite.pids()["gateway"]
        assert pid
        token = Person.new(suite.api).access_token
        lines, ids = listeners(suite, token, 1)
        numbers = [itertools.count(), itertools.count()]
        peer_port = free_ports(1)[0]
        with Nats(suite.stack.nats_url("instance-manager"), inbox="_INBOX_instance-manager") as bus, \
                contextlib.ExitStack() as crowds:
            crowd, ours = connect(port, pid, lines, bench.folder)
            crowds.enter_context(crowd)
            with node(peer_port) as child:
                peer, theirs = connect(peer_port, child.pid, [], bench.folder)

                def tell_node() -> None:
                    assert child.stdin
                    child.stdin.write(line(ids[0], next(numbers[1])))
                    child.stdin.flush()
                with peer:
                    both = in_turns([(crowd, lambda: bus.publish(*message(ids[0], next(numbers[0])))), (peer, tell_node)])
            ours, theirs = {**ours, **both[0]}, {**theirs, **both[1]}
            bench.say(f"gateway: {ours}\nNode ws: {theirs}")
            more, topics = listeners(suite, token, TOPICS)
            others = crowds.enter_context(Crowd(BIN / "bench-ws", port, TOPICS + STALLED, more, bench.folder))
            others.wait_live(timeout=120)
            others.ask(f"stall {STALLED}")
            first = 0
            for rate in RATES:
                ours[f"flow {rate}"] = flow(bus, others, topics, rate, first, max(5, bench.seconds))
                first = ours[f"flow {rate}"]["next"]
                bench.say(f"{rate} a second and topic: {ours[f'flow {rate}']}")
        return ours, theirs
    finally:
        wrong = suite.destroy()
        if wrong:
            bench.say("\n".join(wrong))


def measure(bench: Bench) -> Section:
    ours, node_ws = compare(bench)
    flows = [(rate, ours[f"flow {rate}"]) for rate in RATES]
    rows = [[name, f"{r['rate']:,.0f}", f"{r['kb']:.1f}", f"{r['cpu_us']:.0f}", f"{r['p50']:.0f}", f"{r['p99']:.0f}",
             f"{r['max']:.0f}"] for name, r in (("gateway", ours), ("Node ws", node_ws))]
    return Section(
        [[f"memory a socket, {SOCKETS:,} on one gateway", "≤ 4 KB", f"{ours['kb']:.1f} KB (Node ws {node_ws['kb']:.1f})",
          verdict(ours["kb"] <= 4)],
         [f"one event to {SOCKETS:,} sockets: p99", "≤ Node ws in the same run",
          f"{ours['p99']:.0f} ms against {node_ws['p99']:.0f}", verdict(ours["p99"] <= node_ws["p99"])],
         *[[f"{TOPICS:,} topics × {rate} events/s, {STALLED} clients stalled", "all of them arrive, in order",
            f"{f['rate']:,.0f} events/s, {100 * f['arrived']:.0f} % within a minute, p50 {f['p50']:,.0f} ms, p99 {f['p99']:,.0f} ms",
            verdict(f["is_good"])] for rate, f in flows]],
        ["## WebSockets", "",
         f"{SOCKETS:,} sockets of one process, on one machine with the servers; medians of {ROUNDS} events to all, in turns. The",
         "gateway's figures are those of the whole path: stream, realtime-fanout, Redis, bus, gateway, with sign-in and",
         "subscription; Node's `ws` does nothing but take sockets and send a line to each.", "",
         *table(["", "connects/s", "KB a socket", "CPU µs a socket", "p50 ms", "p99 ms", "last ms"], rows), "",
         f"Then {TOPICS:,} topics of one listener each beside them, through the whole path, with {STALLED} more",
         "listeners that take nothing:", "",
         *table(["events/s a topic", "events/s", "arrived", "gaps", "twice", "p50 ms", "p99 ms"],
                [[str(rate), f"{f['rate']:,.0f}", f"{100 * f['arrived']:.0f} %", str(f["gaps"]), str(f["twice"]), f"{f['p50']:,.1f}",
                  f"{f['p99']:,.1f}"] for rate, f in flows]), ""])
