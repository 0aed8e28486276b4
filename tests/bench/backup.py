"""Backups of 1 GiB beside restic and borg, on the same data and disk: time, processor, bytes, memory."""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from common import Bench, Section, find_program, table, verdict

USER = "11111111-1111-4111-8111-111111111111"
INSTANCE = "33333333-3333-4333-8333-333333333333"
IDS = ["aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb", "cccccccc-cccc-4ccc-8ccc-cccccccccccc"]
GIB = 1 << 30
DATABASE_BYTES = 206_000_000
NOTES = 8192
REST_S = 5.0  # what changed within 3 s of a backup's begin is read again by the next (RACY_S), and is not what changes here


def make_data(root: Path) -> None:
    """206 MB of SQLite, 8,192 notes, media up to 1 GiB; the same each time."""
    r = random.Random(1)
    agent = root / ".openclaw" / "agents" / "main" / "agent"
    media = root / "workspace" / "media"
    agent.mkdir(parents=True)
    media.mkdir(parents=True)
    words = ["".join(r.choices("abcdefghijklmnopqrstuvwxyz", k=r.randint(3, 9))) for _ in range(4000)]
    db = sqlite3.connect(agent / "openclaw-agent.sqlite")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)")
    while (agent / "openclaw-agent.sqlite").stat().st_size < DATABASE_BYTES:
        db.executemany("INSERT INTO t(body) VALUES(?)", [(" ".join(r.choices(words, k=150)),) for _ in range(4000)])
        db.commit()
    db.close()
    for i in range(NOTES):
        folder = root / "workspace" / "notes" / f"{i // 256:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"note-{i}.md").write_text(" ".join(r.choices(words, k=r.randint(50, 700))))
    total = sum(f.stat().st_size for f in root.rglob("*") if f.is_file())
    for i in range(1000):
        size = min(r.randint(1 << 20, 24 << 20), GIB - total)
        if size <= 0:
            break
        (media / f"{i}.jpg").write_bytes(r.randbytes(size))
        total += size


def change_data(root: Path) -> None:
    """About 1 %: rows, notes, a new picture, and an insertion in a media file."""
    r = random.Random(2)
    db = sqlite3.connect(root / ".openclaw" / "agents" / "main" / "agent" / "openclaw-agent.sqlite")
    count = db.execute("SELECT max(id) FROM t").fetchone()[0]
    db.executemany("UPDATE t SET body = upper(body) WHERE id = ?", [(i,) for i in r.sample(range(1, count), 60)])
    db.executemany("INSERT INTO t(body) VALUES(?)", [("new " * 200,)] * 1000)
    db.commit()
    db.close()
    for i in r.sample(range(NOTES), NOTES // 100):
        with open(root / "workspace" / "notes" / f"{i // 256:02d}" / f"note-{i}.md", "a", encoding="ascii") as f:
            f.write("more")
    picture = root / "workspace" / "media" / "3.jpg"
    data = picture.read_bytes()
    picture.write_bytes(data[:500_000] + r.randbytes(70_000) + data[500_000:])
    (root / "workspace" / "media" / "new.jpg").write_bytes(r.randbytes(3 << 20))


@dataclass
class Run:
    seconds: float
    processor: float
    memory_mb: float
    stored: int = 0


def peak_kib(pid: int) -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) if found else 0
    except OSError:
        return 0


def measure_run(argv: list[str], env: dict[str, str], cwd: Path) -> Run:
    """The peak of memory is asked for while it runs: what wait4 says has this process's own in it."""
    os.sync()
    peak = 0
    began = time.monotonic()
    child = subprocess.Popen(argv, env={**os.environ, **env}, cwd=cwd, stdout=subprocess.DEVNULL)
    while True:
        pid, status, used = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, peak_kib(child.pid))
        time.sleep(0.01)
    seconds = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{argv[0]} ended with {child.returncode}")
    return Run(seconds, used.ru_utime + used.ru_stime, peak * 1024 / 1e6)


def size_of(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


class Peer:
    """One program: backup, backup again, restore."""

    env: dict[str, str] = {}

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.store = name, folder, folder / f"{name}-store"
        self.runs: list[Run] = []

    def argv(self, step: int) -> list[str]:
        raise NotImplementedError

    def step(self, step: int) -> None:
        before = size_of(self.store) if self.store.exists() else 0
        run = measure_run(self.argv(step), self.env, self.folder / "out" if step == 2 else self.folder)
        run.stored = size_of(self.store) - before
        self.runs.append(run)


class Ours(Peer):
    def argv(self, step: int) -> list[str]:
        more = [[IDS[0]], [IDS[1], IDS[0]], [IDS[1], INSTANCE]][step]
        data = self.folder / ("out" if step == 2 else "data")
        return self.program("restore" if step == 2 else "snapshot", data, *more)

    def program(self, verb: str, data: Path, *more: str) -> list[str]:
        return [find_program("bench-backup"), verb, f"file://{self.store}", str(data), str(self.folder / "scratch"), *more]

    def full(self) -> Run:
        """As once a day: nothing has changed, and all that it relies on is read back."""
        return measure_run(self.program("full", self.folder / "data", IDS[2], IDS[1]), self.env, self.folder)


class Restic(Peer):
    env = {"RESTIC_PASSWORD": "bench", "XDG_CACHE_HOME": "/nonexistent"}

    def argv(self, step: int) -> list[str]:
        what = ["restore", "latest", "-t", "."] if step == 2 else ["backup", "data"]
        if step == 0:
            subprocess.run(["restic", "--no-cache", "-q", "-r", str(self.store), "init"], check=True, env={**os.environ, **self.env})
        return ["restic", "--no-cache", "-q", "-r", str(self.store), *what]


class Borg(Peer):
    env = {"BORG_PASSPHRASE": "bench", "BORG_BASE_DIR": ""}

    def argv(self, step: int) -> list[str]:
        self.env["BORG_BASE_DIR"] = str(self.folder / "borg-base")
        if step == 0:
            subprocess.run(["borg", "init", "-e", "repokey-blake2", str(self.store)], check=True,
                           env={**os.environ, **self.env}, stderr=subprocess.DEVNULL)
        return ["borg", "extract", f"{self.store}::1"] if step == 2 else ["borg", "create", f"{self.store}::{step}", "data"]


def measure(bench: Bench) -> Section:
    folder = bench.folder / "backup"
    root = folder / "data" / USER / INSTANCE
    root.mkdir(parents=True)
    bench.say("backup: 1 GiB of data")
    make_data(root)
    time.sleep(REST_S)
    ours = Ours("ours", folder)
    peers: list[Peer] = [ours, Restic("restic", folder), Borg("borg", folder)]
    for step, name in enumerate(("first", "again", "restore")):
        if step == 1:
            change_data(root)
        for peer in peers if step % 2 == 0 else reversed(peers):
            bench.say(f"backup: {name}, {peer.name}")
            (folder / "out").mkdir(exist_ok=True)
            if step == 2:
                (folder / "out" / USER).mkdir(exist_ok=True)
            peer.step(step)
            shutil.rmtree(folder / "out")
    bench.say("backup: full, ours")
    full = ours.full()
    shutil.rmtree(folder)
    return section(peers, full)


def section(peers: list[Peer], full: Run) -> Section:
    ours, restic, borg = (peer.runs for peer in peers)
    result = Section()
    for step, name in enumerate(("backup of 1 GiB", "again after 1 % changed")):
        ratio = ours[step].seconds / restic[step].seconds
        result.figures.append([f"{name}: time", "≤ restic's", f"{ratio:.2f} ×", verdict(ratio <= 1)])
        best = min(restic[step].stored, borg[step].stored)
        share = ours[step].stored / best
        result.figures.append([f"{name}: bytes", "≤ 1.05 × the better of both", f"{share:.2f} ×", verdict(share <= 1.05)])
    memory = max(run.memory_mb for run in (*ours, full))
    result.figures.append(["backup and restore: memory", "≤ 64 MB", f"{memory:.0f} MB", verdict(memory <= 64)])
    rows = [[f"{name}, {peer.name}", f"{run.seconds:.1f}", f"{run.processor:.1f}", f"{run.stored / 1e6:.1f}", f"{run.memory_mb:.0f}"]
            for step, name in enumerate(("first", "again", "restore")) for peer in peers for run in [peer.runs[step]]]
    rows.append(["full, nothing changed, all read back, ours", f"{full.seconds:.1f}", f"{full.processor:.1f}", "",
                 f"{full.memory_mb:.0f}"])
    result.lines = ["## Backups", "", "1 GiB: 206 MB of SQLite, 8,192 notes, media, at rest for five seconds; then 1 % changed, with an",
                    "insertion in a media file; then restored. To a directory of the same disk.", "",
                    *table(["", "s", "processor s", "MB stored", "MB of memory"], rows), ""]
    return result
