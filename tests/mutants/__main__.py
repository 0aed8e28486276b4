"""`make mutants`: takes one defence away at a time and sees that the tests which say they hold it fail.

    python3 tests/mutants --build build             all
    python3 tests/mutants --build build 9.2 refresh  those whose requirement begins so, or whose line has the word
    python3 tests/mutants … --trust                 without the first round, in which nothing is taken away

The status is 1 when a mutant survives, does not build, or no longer fits the tree, or when a test is red
without any.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from table import ROOT, Mutant, TableError, table  # noqa: E402
from trial import DEAD, GREEN, RED, Trial  # noqa: E402


def say(text: str) -> None:
    print(text, flush=True)


def wanted(mutants: list[Mutant], words: list[str]) -> list[Mutant]:
    def fits(m: Mutant) -> bool:
        return any(i == w or i.startswith(w + ".") for i in m.ids for w in words) or any(
            w in f"{m.where} {m.what} {' '.join(m.tests)}" for w in words)
    return [m for m in mutants if not words or fits(m)]


def baseline(trial: Trial, mutants: list[Mutant]) -> set[str]:
    """Every test once, with nothing taken away; those that are not green."""
    tests = sorted({t for m in mutants for t in m.tests})
    say(f"{len(tests)} tests with every defence in place …")
    wrong = trial.build(tests)
    if wrong:
        sys.exit(f"the tree does not build: {wrong}")
    bad = {t: r for t, r in trial.test(tests, True).items() if r[0] != GREEN}
    for test, (state, why) in bad.items():
        say(f"  {state}  {test}: {' '.join(why.split())[:300]}")
    return set(bad)


def attempt(trial: Trial, mutant: Mutant) -> tuple[bool, str]:
    """Whether each of its tests saw it; what to print below the line."""
    try:
        trial.put(mutant.changes)
        wrong = trial.build(mutant.tests)
        if wrong:
            return False, f"does not build: {wrong}"
        results = trial.test(mutant.tests)
    except TableError as e:
        return False, str(e)
    finally:
        trial.take_back()
    lines = []
    for test, (state, why) in results.items():
        word = {GREEN: "SURVIVED", RED: "red", DEAD: "NO VERDICT"}[state]
        lines.append(f"{word:<10} {test}: {' '.join(why.split())[:160]}")
    return all(state == RED for state, _ in results.values()), "\n".join(lines)


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--build", type=Path, default=Path("build"))
    ask.add_argument("--trust", action="store_true")
    ask.add_argument("words", nargs="*")
    args = ask.parse_args()

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it off; so would pytest
    mutants = wanted(table(), args.words)
    for mutant in mutants:
        for change in mutant.changes:
            change.apply(ROOT)
    trial = Trial((ROOT / args.build / "mutants").resolve())
    trial.sync()
    bad = set() if args.trust else baseline(trial, mutants)
    failed = []
    for number, mutant in enumerate(mutants, 1):
        start = time.monotonic()
        is_caught, text = attempt(trial, mutant)
        if not is_caught:
            failed.append(mutant)
        say(f"{'caught' if is_caught else 'FAILED':<7} {number:>3}/{len(mutants)} {', '.join(mutant.ids):<14} {mutant.what}"
            f"  ({mutant.where}, {time.monotonic() - start:.0f} s)")
        say("\n".join(f"          {line}" for line in text.splitlines()))
    for mutant in failed:
        say(f"FAILED  {mutant.where}  {mutant.what}")
    say(f"{len(mutants) - len(failed)} mutants caught, {len(failed)} not; {len(bad)} tests red without any")
    return 1 if failed or bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TableError as error:
        sys.exit(f"mutants: {error}")
