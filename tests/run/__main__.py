"""Every test, with the numbers at the end: `make test` calls it once all is built.

    python3 tests/run --build build            all groups
    python3 tests/run --build build -g system  the groups with this in their name
    python3 tests/run … -- -k login            what follows goes to pytest

The last line is "N passed, N failed", or with ", N skipped". A group that could not run has failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from counts import Counts  # noqa: E402
from engine import shared_engine  # noqa: E402
from groups import LANES, PROJECT, Context, Group  # noqa: E402
from stack.engine_api import Engine  # noqa: E402
from stack.errors import StackError  # noqa: E402
from stack.image import default_name  # noqa: E402
from stack.postgres import binaries  # noqa: E402

print_lock = threading.Lock()


def say(text: str) -> None:
    with print_lock:
        print(text, flush=True)


def version(*argv: str) -> str:
    """The first line that a program says of itself."""
    program = shutil.which(argv[0], path="/usr/sbin:/usr/bin:/usr/local/bin")
    if not program:
        return "not installed"
    done = subprocess.run([program, *argv[1:]], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def real_servers() -> list[str]:
    """What the tests run against: nothing of this is faked."""
    found = [version("nats-server", "--version"), version(str(binaries(Path("/nonexistent")) / "postgres"), "--version"),
             version("redis-server", "--version").split(" sha=")[0], "Caddy " + version("caddy", "version").split()[0]]
    if not os.environ.get("DOCKER_HOST"):
        return found
    try:
        engine = Engine(os.environ["DOCKER_HOST"])
        found.append("Docker Engine " + engine.json("GET", "/version")["Version"] + f" ({engine.host})")
        image = engine.image(default_name())
        found.append(f"OpenClaw image {default_name()}" + ("" if image else " (not there yet: the demo's stack makes it)"))
    except StackError as e:
        found.append(f"Docker Engine: {e}")
    return found


def run_group(ctx: Context, group: Group) -> Counts:
    start = time.monotonic()
    say(f"  {group.name:<22} …")
    try:
        counts = group.run(ctx, group.name)
    except Exception as e:  # whatever it is, the group did not run  # pylint: disable=broad-except
        counts = Counts().fail(f"{group.name} could not run: {type(e).__name__}: {e}")
    for failure in counts.failures:
        say(f"\nFAILED  [{group.name}] {failure}\n")
    say(f"  {group.name:<22} {counts.line():<44} {time.monotonic() - start:7.1f} s")
    return counts


def run_lane(ctx: Context, lane: list[Group], total: list[tuple[Group, Counts]]) -> None:
    for group in lane:
        if not ctx.stop.is_set():
            total.append((group, run_group(ctx, group)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where the builds lie")
    parser.add_argument("-g", "--group", action="append", default=[], help="only groups with this in their name")
    parser.add_argument("--one-lane", action="store_true", help="one group after the other")
    parser.add_argument("--list", action="store_true", help="name the groups")
    parser.add_argument("pytest", nargs="*", help="further arguments for pytest, behind --")
    args = parser.parse_args()

    lanes = [[g for g in lane if not args.group or any(w in g.name for w in args.group)] for lane in LANES]
    if args.list:
        print("\n".join(g.name for lane in lanes for g in lane))
        return 0
    if args.one_lane:
        lanes = [[g for lane in lanes for g in lane]]
    logs = args.build.absolute() / "test-logs"
    logs.mkdir(parents=True, exist_ok=True)
    ctx = Context(args.build.absolute(), logs, threading.Event(), tuple(args.pytest))
    signal.signal(signal.SIGTERM, lambda *_: ctx.stop.set())
    signal.signal(signal.SIGINT, lambda *_: ctx.stop.set())
    return run(ctx, [lane for lane in lanes if lane])


def run(ctx: Context, lanes: list[list[Group]]) -> int:
    start = time.monotonic()
    needs_engine = any(g.needs_engine for lane in lanes for g in lane)
    with shared_engine(ctx.build) if needs_engine else contextlib.nullcontext():
        say("Real servers: " + "\n              ".join(real_servers()) + f"\nLogs: {ctx.logs}\n")
        done: list[tuple[Group, Counts]] = []
        threads = [threading.Thread(target=run_lane, args=(ctx, lane, done)) for lane in lanes]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    return summary(ctx, lanes, done, time.monotonic() - start)


def in_one_line(failure: str) -> str:
    """Its name and the first thing that was wrong: what is left to read where the middle of a long log is cut out."""
    name, *lines = failure.splitlines()
    wrong = next((line.strip() for line in lines if line.lstrip().startswith("E  ")), lines[-1].strip() if lines else "")
    return f"{name}  {' '.join(wrong.split())}"[:300]


def summary(ctx: Context, lanes: list[list[Group]], done: list[tuple[Group, Counts]], seconds: float) -> int:
    total = Counts()
    table = [row for _, counts in done for row in counts.table]
    if table:
        print("\nBroken at each step, and what came of it:\n" + "\n".join(f"  {row}" for row in table))
    ran = {group.name: counts for group, counts in done}
    print()
    for group in [g for lane in lanes for g in lane]:
        counts = ran.get(group.name) or Counts().fail(f"{group.name} did not run")
        total.add(counts)
        print(f"  {group.name:<22} {counts.line()}")
    for failure in total.failures:
        print(f"  FAILED  {in_one_line(failure)}")
    (ctx.logs / "summary.json").write_text(json.dumps({g.name: vars(c) for g, c in done}, indent=1))
    print(f"  {seconds:.0f} s\n")
    print(total.line(), flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
