#!/usr/bin/python3
"""`make bench`: what SPEC 13 promises, measured, each figure beside its limit or its peer in one run.

Times of a shared machine mean little; the ratio of two that were measured in turns, in one run, does.
Each subject is a module of this folder (common.py says what it looks like). Writes docs/BENCHMARKS.md;
with --only the result is only shown.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

sys.dont_write_bytecode = True

# --build names the builds' folder; the daemons are those of its release build.
if "--build" in sys.argv[:-1]:
    os.environ["ZAKI_BIN"] = str(Path(sys.argv[sys.argv.index("--build") + 1]).absolute() / "release" / "bin")

# pylint: disable=wrong-import-position
from common import PROJECT, Bench, Section, machine, table  # noqa: E402
from engine import shared_engine  # noqa: E402
from stack.errors import StackError  # noqa: E402

REPORT = PROJECT / "docs" / "BENCHMARKS.md"
LOAD_AT_START = " ".join(f"{x:.2f}" for x in os.getloadavg())

# In this order; daemons starts the suite's anew, and sockets has a suite of its own.
SUBJECTS = ("rest", "backup", "login", "sign_ins", "daemons", "sockets", "instances")


def report(sections: list[Section]) -> str:
    lines = [
        "# Benchmarks", "",
        "Written by `make bench`; do not edit. Compare ratios within one run, never times of two runs: the machines",
        "that this is measured on are shared.", "",
        f"- machine: {machine()}", f"- date: {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        f"- load average when it began: {LOAD_AT_START}", "",
        "## Against SPEC 13", "",
        *table(["what", "to reach", "measured", ""], [row for s in sections for row in s.figures]), "",
    ]
    return "\n".join(lines + [line for s in sections for line in s.lines])


def run(bench: Bench, names: list[str]) -> list[Section]:
    subjects = [importlib.import_module(name) for name in names]
    try:
        for subject in subjects:
            if hasattr(subject, "before"):
                subject.before(bench)
        return [subject.measure(bench) for subject in subjects]
    finally:
        wrong = bench.end()
        if wrong:
            print("\n".join(wrong), file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=6, help="of one run under load")
    parser.add_argument("--only", choices=SUBJECTS, action="append", help="these alone; docs stay as they are")
    parser.add_argument("--out", type=Path, default=REPORT)
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where the builds lie")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="zaki-bench-"))
    try:
        with shared_engine(args.build.absolute()):
            text = report(run(Bench(args.rounds, args.seconds, folder), args.only or list(SUBJECTS)))
    except StackError as e:  # the engine, say, has been taken away
        print(f"the run is void: {e.text()}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n" + text)
    if not args.only:
        args.out.parent.mkdir(exist_ok=True)
        args.out.write_text(text)
        print(f"written to {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
