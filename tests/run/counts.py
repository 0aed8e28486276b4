"""What a group of tests came to, read from what its programs print."""

from __future__ import annotations

import re
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Counts:
    """Numbers of tests, and what was said of those that failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    table: list[str] = field(default_factory=list)  # rows that tests say belong into the report: "| …"

    def add(self, other: "Counts") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures
        self.table += other.table

    def fail(self, what: str) -> "Counts":
        self.failed += 1
        self.failures.append(what)
        return self

    def line(self) -> str:
        more = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{more}"


def from_tap(name: str, status: int, out: str) -> Counts:
    """A cmocka program's TAP. One that ends badly without saying which test failed has failed itself:
    a crash, a sanitizer's report, a set-up that gave up."""
    counts = Counts(table=re.findall(r"^\| (.*)$", out, re.M))
    planned = sum(int(n) for n in re.findall(r"^1\.\.(\d+)", out, re.M))
    for word, rest in re.findall(r"^(ok|not ok) \d+(.*)$", out, re.M):
        if "# SKIP" in rest.upper():
            counts.skipped += 1
        elif word == "ok":
            counts.passed += 1
        else:
            counts.failed += 1
    if status != 0 or counts.failed:
        missing = planned - counts.passed - counts.failed - counts.skipped
        if not counts.failed or missing > 0:
            counts.failed += max(1, missing)
        counts.failures.append(f"{name}: status {status}\n{tail(out)}")
    elif planned == 0 or planned != counts.passed + counts.skipped:
        counts.fail(f"{name}: planned {planned} tests and told of {counts.passed}\n{tail(out)}")
    return counts


def from_junit(name: str, status: int, file: Path, out: str) -> Counts:
    """A pytest run's report."""
    counts = Counts()
    try:
        root = xml.parse(file).getroot()
    except (OSError, xml.ParseError):
        return counts.fail(f"{name}: pytest gave no report (status {status})\n{tail(out)}")
    for said in root.iter("property"):
        if said.get("name") == "table":
            counts.table += (said.get("value") or "").splitlines()
    for case in root.iter("testcase"):
        kinds = {child.tag: child for child in case}
        bad = kinds.get("failure", kinds.get("error"))
        if bad is not None:
            counts.fail(f"{case.get('classname')}::{case.get('name')}\n{tail(bad.text or bad.get('message') or '')}")
        elif "skipped" in kinds:
            counts.skipped += 1
        else:
            counts.passed += 1
    if status not in (0, 1) or (status == 1 and not counts.failed) or not (counts.passed or counts.failed):
        counts.fail(f"{name}: pytest ended with status {status}\n{tail(out)}")
    return counts


def tail(text: str, lines: int = 60) -> str:
    """The end of a text, indented."""
    return "\n".join(f"    {line[:300]}" for line in text.strip().splitlines()[-lines:])
