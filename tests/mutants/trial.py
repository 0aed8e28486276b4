"""A tree of its own in which mutants are built and tested; the working tree is never touched."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

from table import ROOT, Change, TableError, sources

BUILD_S, TEST_S = 600, 300
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
OUT = Path("build/asan")

# What became of a test: red is a failure of the test itself, dead anything that kept it from a verdict.
GREEN, RED, DEAD = "green", "red", "dead"
Result = tuple[str, str]  # one of these, and what was said


def run(argv: list[str], cwd: Path, seconds: int, env: dict[str, str] | None = None) -> tuple[int, str]:
    with tempfile.TemporaryFile("w+", errors="replace") as out:
        child = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                 env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **SANITIZERS, **(env or {})},
                                 start_new_session=True)
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            status = stop(child)
        except BaseException:
            stop(child)
            raise
        out.seek(0)
        return status, out.read()


def stop(child: subprocess.Popen[bytes]) -> int:
    """pytest takes down what it has started when it is asked to end."""
    for sig, seconds in ((2, 60), (9, 10)):
        try:
            os.killpg(child.pid, sig)
            child.wait(seconds)
            break
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    return -1


class Trial:
    """The scratch tree. Files that are as they were keep their times, so that little is built anew."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.sources = sources()
        self.before: dict[Path, str] = {}
        self.path = os.environ["PATH"]
        if Path("/usr/lib/ccache").is_dir():
            self.path = "/usr/lib/ccache:" + self.path

    def sync(self) -> None:
        """Makes the tree what the working tree is now, for this process alone until it ends."""
        self.tree.mkdir(parents=True, exist_ok=True)
        self.lock = os.open(self.tree, os.O_RDONLY)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TableError(f"another run is at work in {self.tree}") from None
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                                check=True, capture_output=True, text=True).stdout.split("\0")
        names = {n for n in listed if n and (ROOT / n).is_file()}
        for name in names:
            copy_if_other(ROOT / name, self.tree / name)
        for old in self.tree.rglob("*"):
            name = old.relative_to(self.tree)
            if old.is_file() and name.parts[0] != "build" and str(name) not in names:
                old.unlink()

    def put(self, changes: list[Change]) -> None:
        for change in changes:
            file = self.tree / change.path
            self.before.setdefault(file, file.read_text())
            file.write_text(change.apply(self.tree))

    def take_back(self) -> None:
        for file, text in self.before.items():
            file.write_text(text)
        self.before.clear()

    # ---- building --------------------------------------------------------------------------------

    def program(self, file: str) -> Path:
        return OUT / self.sources[file].relative_to(ROOT).with_suffix("")

    def build(self, tests: list[str]) -> str:
        """What these tests need; "" or why it does not build."""
        files = {t.partition("::")[0] for t in tests}
        goals = [str(self.program(f)) for f in files if f.endswith(".c")]
        if any(f.endswith(".py") and "contract" not in self.sources[f].parts for f in files):
            goals.append("build")
        if not goals:
            return ""
        status, out = run(["make", "-s", f"-j{os.cpu_count()}", "V=asan", *goals], self.tree, BUILD_S,
                          {"PATH": self.path, "CCACHE_NOHASHDIR": "1"})
        wrong = re.findall(r"^.*(?:error:|undefined reference|\*\*\*).*$", out, re.M)
        return "" if status == 0 else (wrong or [out[-300:]])[0]

    # ---- testing ---------------------------------------------------------------------------------

    def test(self, tests: list[str], is_baseline: bool = False) -> dict[str, Result]:
        found: dict[str, Result] = {}
        for file in sorted({t.partition("::")[0] for t in tests if ".c::" in t}):
            names = [t.partition("::")[2] for t in tests if t.startswith(file + "::")]
            found.update(self.cmocka(file, names))
        folders: dict[str, list[str]] = {}
        for t in tests:
            if ".py::" in t:
                folders.setdefault(self.sources[t.partition("::")[0]].parent.name, []).append(t)
        for some in folders.values():
            found.update(self.pytest(some, TEST_S * (10 if is_baseline else 1)))
        return found

    def cmocka(self, file: str, names: list[str]) -> dict[str, Result]:
        status, out = run([str(self.tree / self.program(file))], self.tree, TEST_S, {"CMOCKA_MESSAGE_OUTPUT": "TAP"})
        found: dict[str, Result] = {}
        for name in names:
            line = re.search(rf"^(ok|not ok) \d+ - {name}\n((?:#.*\n)*)", out, re.M)
            if line and line[1] == "ok":
                found[f"{file}::{name}"] = GREEN, ""
            elif line:
                found[f"{file}::{name}"] = RED, line[2].replace("#", " ").strip()
            elif re.search(r"Sanitizer|runtime error", out) and re.search(rf" in {name} ", out):
                found[f"{file}::{name}"] = RED, re.search(r".*(Sanitizer|runtime error).*", out)[0]  # type: ignore[index]
            else:
                found[f"{file}::{name}"] = DEAD, f"status {status}: {out[-200:]}"
        return found

    def pytest(self, tests: list[str], seconds: int) -> dict[str, Result]:
        files = sorted({str(self.sources[t.partition("::")[0]].relative_to(ROOT)) for t in tests})
        names = sorted({t.partition("::")[2] for t in tests})
        report = self.tree / "build" / "trial.xml"
        report.unlink(missing_ok=True)
        status, out = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short",
                           *(["--maxfail=3"] if len(tests) == 1 else []), f"--junitxml={report}", "-k", " or ".join(names), *files],
                          self.tree, seconds, {"ZAKI_BIN": str(self.tree / OUT / "bin")})
        found: dict[str, Result] = {t: (DEAD, f"pytest status {status}: {out[-300:]}") for t in tests}
        if not report.exists():
            return found
        for case in xml.parse(report).getroot().iter("testcase"):
            test = (case.get("classname") or "").split(".")
            file = next((f"{part}.py" for part in test if f"{part}.py" in self.sources), "")
            name = f"{file}::" + (case.get("name") or "").partition("[")[0]
            if name in found and found[name][0] != RED:
                found[name] = verdict(case)
        return found


def verdict(case: xml.Element) -> Result:
    kinds = {child.tag: child for child in case}
    if "failure" in kinds:
        return RED, kinds["failure"].get("message") or ""
    if "error" in kinds:
        return DEAD, kinds["error"].get("message") or ""
    return (DEAD, "skipped") if "skipped" in kinds else (GREEN, "")


def copy_if_other(source: Path, target: Path) -> None:
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    shutil.copymode(source, target)
