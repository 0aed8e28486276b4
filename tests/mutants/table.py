"""The table of mutants: the files of rows/, which look like this (README.md has the rest).

    9.2.1  an expired token is none
      libs/net/token.c
    - if (c.expires_at_s <= now_s)
    + if (false)
      test_token.c::an_expired_token_is_told_so
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent
REQUIREMENT = re.compile(r"\d+\.\d+\.\d+|V\d+(\.\d+)?")


class TableError(Exception):
    """A row that says nothing, or that does not fit the tree any more."""


@dataclass
class Change:
    """Lines of a file, and what stands in their place."""

    path: str
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    def apply(self, root: Path) -> str:
        """The file's text with the defence taken out. Lines are the same whatever their indentation."""
        file = root / self.path
        if not file.is_file():
            raise TableError(f"there is no {self.path}")
        lines = file.read_text().split("\n")
        bare, size = [line.strip() for line in lines], len(self.old)
        found = [i for i in range(len(lines)) if bare[i:i + size] == self.old]
        if len(found) != 1:
            raise TableError(f"{self.path} has these lines {len(found)} times: {' / '.join(self.old)[:100]}")
        at = found[0]
        indent = lines[at][:len(lines[at]) - len(lines[at].lstrip())]
        return "\n".join([*lines[:at], *(indent + line for line in self.new), *lines[at + size:]])


@dataclass
class Mutant:
    """One defence, and the tests of which each must fail without it."""

    ids: list[str]
    what: str
    where: str
    changes: list[Change] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)

    def check(self) -> None:
        if not self.changes or not all(c.old and c.old != c.new for c in self.changes) or not self.tests:
            raise TableError(f"{self.where}: a mutant has a file, lines to take out, and a test")


def head(line: str, where: str) -> Mutant:
    ids, _, what = line.partition("  ")
    names = ids.split(", ")
    if not what.strip() or not all(REQUIREMENT.fullmatch(name) for name in names):
        raise TableError(f"{where}: not like '1.2.3, 1.2.4  what is taken away'")
    return Mutant(names, what.strip(), where)


def read(file: Path) -> list[Mutant]:
    found: list[Mutant] = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        where = f"{file.name}:{number}"
        if not line or line.startswith("#"):
            continue
        if line[0] not in " -+":
            found.append(head(line, where))
        elif not found:
            raise TableError(f"{where}: no mutant is begun")
        elif line.startswith("  ") and "::" in line:
            found[-1].tests.append(line.strip())
        elif line.startswith("  "):
            found[-1].changes.append(Change(line.strip()))
        elif not found[-1].changes or line[0] == " ":
            raise TableError(f"{where}: which file?")
        else:
            change = found[-1].changes[-1]
            (change.old if line[0] == "-" else change.new).append(line[1:].strip())
    for mutant in found:
        mutant.check()
    return found


def table() -> list[Mutant]:
    return [mutant for file in sorted((FOLDER / "rows").glob("*.txt")) for mutant in read(file)]


def untried() -> dict[str, str]:
    """Requirements that no line of code stands for, and why."""
    found = {}
    for line in (FOLDER / "untried.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            mutant = head(line, "untried.txt")
            found.update({name: mutant.what for name in mutant.ids})
    return found


def sources() -> dict[str, Path]:
    """The tests' files, by name."""
    return {p.name: p for p in (ROOT / "tests").rglob("test_*.[cp]*") if p.suffix in (".c", ".py")}
