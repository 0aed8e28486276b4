"""docs/SECURITY.md against the tests: every requirement of ASVS 5.0 at levels 1 and 2 has one row, every
row says how or why not, and every test that it names is there."""

from __future__ import annotations

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]

# ASVS 5.0.0: how many requirements of levels 1 and 2 each section has; they come first in it.
SECTIONS = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2, "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1,
    "3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5, "3.7": 2, "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4,
    "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3, "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4,
    "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2, "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
    "9.1": 3, "9.2": 4, "10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3,
    "11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1, "11.6": 1, "12.1": 3, "12.2": 2, "12.3": 4,
    "13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5, "14.1": 2, "14.2": 4, "14.3": 3,
    "15.1": 3, "15.2": 3, "15.3": 7, "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 3,
    "17.1": 1, "17.2": 4, "17.3": 2,
}


def rows() -> list[tuple[str, str, str, str]]:
    found = []
    for line in (ROOT / "docs/SECURITY.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) == 4 and re.match(r"V?\d+(\.|$)", cells[0]):
            found.append(tuple(cells))
    return found  # type: ignore[return-value]


def ids(cell: str) -> list[str]:
    """"1.2.6–1.2.8, 1.3.1", "V4.3" (a section), "V17" (a chapter)."""
    found = []
    for part in re.split(r",\s*", cell):
        if part.startswith("V"):
            name = part[1:]
            found += [f"{s}.{n + 1}" for s, count in SECTIONS.items() if s == name or s.split(".")[0] == name
                      for n in range(count)]
        elif "–" in part:
            first, last = part.split("–")
            section, low = first.rsplit(".", 1)
            assert last.rsplit(".", 1)[0] == section, part
            found += [f"{section}.{n}" for n in range(int(low), int(last.rsplit(".", 1)[1]) + 1)]
        else:
            found.append(part)
    return found


def test_every_requirement_has_one_row() -> None:
    want = [f"{section}.{n + 1}" for section, count in SECTIONS.items() for n in range(count)]
    have = [i for row in rows() for i in ids(row[0])]
    assert sorted(have) == sorted(set(have)), "twice: " + ", ".join(sorted({i for i in have if have.count(i) > 1}))
    assert not set(want) - set(have), "missing: " + ", ".join(i for i in want if i not in have)
    assert not set(have) - set(want), "no such requirement at levels 1 and 2: " + ", ".join(sorted(set(have) - set(want)))


def test_every_row_says_how_or_why() -> None:
    for number, state, how, shown in rows():
        assert state in ("met", "part", "open", "n/a"), number
        assert how, f"{number} says neither how nor why not"
        assert state in ("n/a", "open") or "::" in shown, f"{number} is shown by nothing"


def test_every_test_that_is_named_is_there() -> None:
    sources = {p.name: p for p in (ROOT / "tests").rglob("test_*.[cp]*")}
    named = re.findall(r"`(test_[\w.]+)::(\w+)`", (ROOT / "docs/SECURITY.md").read_text())
    assert len(named) > 100
    for file, name in named:
        assert file in sources, f"there is no {file}"
        text = sources[file].read_text()
        how = rf"^\s*def {name}\(" if file.endswith(".py") else rf"cmocka_unit_test\w*\(\s*{name}\b"
        assert re.search(how, text, re.M), f"{file} has no test {name}"
