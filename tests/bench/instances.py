"""Assistants: how much of a provisioning is ours, and what it costs to watch 200 of them. The image is the
stand-in for OpenClaw, which is ready 10 ms after it starts: what it would take is beside the point."""

from __future__ import annotations

import copy
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import daemons
from common import SETTINGS, Bench, Section, free_ports, table, verdict
from sockets import cpu_s
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import Suite

ROUNDS = 10
MANY, AT_ONCE = 200, 4
SETTLE_S, WATCH_S = 30.0, 60.0
REMOVED = 10
GATEWAY_PORT = "18789/tcp"


def provisioned_s(suite: Suite, person: Person) -> tuple[str, float]:
    """The assistant, and the time from the request until it is told to run."""
    bot = suite.telegram.bot()
    begin = time.monotonic()
    made = person.provision(bot)["id"]
    while (seen := person.instance(made)["status"]) != "running":
        if seen == "error" or time.monotonic() > begin + 60:
            raise SystemExit(f"an assistant that should run is {seen}")
        time.sleep(0.005)
    return made, time.monotonic() - begin


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def bare_s(suite: Suite, like: dict[str, Any], folder: Path) -> float:
    """The same container from the same files, by the engine alone: create, start, until it is ready."""
    config, host = dict(like["Config"]), copy.deepcopy(like["HostConfig"])
    (port,) = free_ports(1)
    host["PortBindings"] = {GATEWAY_PORT: [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
    host["RestartPolicy"] = {"Name": "no"}
    copies = []
    for number, mount in enumerate(host["Mounts"]):
        copies.append(folder / f"mount-{number}")
        subprocess.run(["cp", "-a", mount["Source"], copies[-1]], check=True)
        mount["Source"] = str(copies[-1])
    config["Labels"] = {}
    begin = time.monotonic()
    made = suite.engine.json("POST", "/containers/create", body={**config, "HostConfig": host})["Id"]
    try:
        suite.engine.json("POST", f"/containers/{made}/start")
        wait_until(lambda: is_ready(port), 30, "the bare container is ready")
        return time.monotonic() - begin
    finally:
        suite.engine.remove(made)
        subprocess.run(["rm", "-rf", *copies], check=True)


def provisioning(bench: Bench, suite: Suite, person: Person) -> tuple[float, float]:
    """(whole, bare) in seconds: medians of what was done in turns."""
    wholes, bares = [], []
    for number in range(ROUNDS):
        made, whole = provisioned_s(suite, person)
        (container,) = suite.containers(made)
        like = suite.engine.json("GET", f"/containers/{container['Id']}/json")
        bare = bare_s(suite, like, bench.folder)
        person.remove(made)
        wholes.append(whole)
        bares.append(bare)
        bench.say(f"provisioning {number + 1}: {whole * 1000:.0f} ms, the engine alone {bare * 1000:.0f} ms")
    return statistics.median(wholes), statistics.median(bares)


def share(pid: int, seconds: float) -> float:
    """Of one core, over so long."""
    begin, spent = time.monotonic(), cpu_s(pid)
    time.sleep(seconds)
    return (cpu_s(pid) - spent) / (time.monotonic() - begin)


def mended_s(suite: Suite, instance: str) -> float:
    """From the end of a container, by somebody's hand, to the start of another in its place."""
    (old,) = suite.containers(instance)
    suite.engine.remove(old["Id"])
    begin = time.monotonic()
    wait_until(lambda: [c for c in suite.containers(instance) if c["Id"] != old["Id"] and c["State"] == "running"],
               60, "the container is back")
    return time.monotonic() - begin


def watch(bench: Bench, suite: Suite, person: Person) -> tuple[float, list[float], float]:
    """Share of a core while nothing happens, times until a lost container is back, and MB of memory."""
    begin = time.monotonic()
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        ids = [made for made, _ in pool.map(lambda _: provisioned_s(suite, person), range(MANY))]
    bench.say(f"{MANY} assistants run after {time.monotonic() - begin:.0f} s")
    time.sleep(SETTLE_S)
    pid = suite.pids()["instance-manager"]
    assert pid
    idle = share(pid, WATCH_S)
    _, memory = daemons.memory(suite)["instance-manager"]
    return idle, [mended_s(suite, instance) for instance in ids[::MANY // REMOVED]], memory


def measure(bench: Bench) -> Section:
    suite = Suite({**SETTINGS, "INSTANCES_FREE": str(MANY + 1)}, supervise=False)
    try:
        suite.up()
        person = Person.new(suite.api)
        whole, bare = provisioning(bench, suite, person)
        idle, mended, memory = watch(bench, suite, person)
    finally:
        for line in suite.destroy():
            bench.say(line)
    ours = whole - bare
    return Section(
        [["provisioning: our part", "≤ 0.5 s", f"{ours:.2f} s", verdict(ours <= 0.5)],
         [f"{MANY} assistants supervised, nothing happens", "≤ 5 % of a core", f"{idle * 100:.1f} %", verdict(idle <= 0.05)],
         ["the same: a lost container is back", "within 10 s", f"{max(mended):.1f} s, the slowest of {len(mended)}",
          verdict(max(mended) <= 10)]],
        ["## Assistants", "",
         f"With the stand-in for OpenClaw. Provisioning: medians of {ROUNDS}, in turns with the same container from the same",
         f"files by the engine alone. Supervised: {MANY} at once, instance-manager over {WATCH_S:.0f} s; then {len(mended)} containers",
         "removed by hand, one after the other.", "",
         *table(["", ""], [
             ["from the request to `running`", f"{whole * 1000:.0f} ms"],
             ["the engine alone: create, start, ready", f"{bare * 1000:.0f} ms"],
             [f"instance-manager with {MANY}: memory (PSS)", f"{memory:.1f} MB"],
             ["a lost container is back: median", f"{statistics.median(mended):.1f} s"]]), ""])
