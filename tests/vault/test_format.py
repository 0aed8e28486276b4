"""The format as docs/BACKUP_FORMAT.md has it, read by a program that knows nothing else."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import uuid

from conftest import INSTANCE, ROOT, SECRET, USER, Place
from reader import PLATFORM, Backup, Keys


def test_another_program_reads_a_backup(place: Place) -> None:
    work = place.instance / "workspace"
    (work / "MEMORY.md").write_text("likes tea\n" * 1000)
    (work / "empty").touch()
    (work / "photo").write_bytes(os.urandom(12_000_000))
    (work / "notes").mkdir()
    os.symlink("MEMORY.md", work / "link")
    with open(work / "sparse", "wb") as f:
        f.write(b"begin")
        f.truncate(5_000_000)
    with open(os.path.join(os.fsencode(work), b"\xff\xfe name"), "wb") as f:
        f.write(b"bytes")
    db = sqlite3.connect(place.instance / ".openclaw" / "a.sqlite")
    db.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES('in the log')")
    backup = str(uuid.uuid4())
    said = place.engine("snapshot", f"file://{place.folder}/store", backup)
    assert said.code == "", said.text
    db.close()

    read = Backup(place.folder / "store", USER, backup, SECRET.encode())
    assert read.ids == [USER, INSTANCE, backup]
    assert {n: read.head[n] for n in ("files", "dirs", "links", "full")} == {"files": 6, "dirs": 3, "links": 1, "full": 1}
    for entry in read.entries:
        path = os.path.join(os.fsencode(place.instance), entry.path)
        there = os.lstat(path)
        assert entry.mode == there.st_mode & 0o7777
        if entry.kind == "L":
            assert entry.target == os.readlink(path)
        elif entry.kind == "F" and not entry.flags & 1:
            with open(path, "rb") as f:
                assert entry.content == f.read() and len(entry.content) == entry.size
            assert entry.mtime == divmod(there.st_mtime_ns, 10**9)
        elif entry.kind == "F":
            copy = place.folder / "copy.sqlite"
            copy.write_bytes(entry.content)
            assert sqlite3.connect(copy).execute("SELECT x FROM t").fetchall() == [("in the log",)]
    paths = [entry.path for entry in read.entries]
    assert paths == sorted(paths, key=lambda p: p.replace(b"/", b"\0"))


PAGE = (ROOT / "docs" / "BACKUP_FORMAT.md").read_text()


def test_the_vectors_of_the_page() -> None:
    given = dict(re.findall(r"^    (\S+) +([0-9a-f]{16,64})$", PAGE, re.M))
    keys = Keys.derive(SECRET.encode(), USER)
    assert given == {"tag": keys.tag.hex(), "chunk-id-key": keys.chunk_id.hex(), "pack-key": keys.pack.hex(),
                     "manifest-key": keys.manifest.hex(), "box-key": keys.box.hex(),
                     "platform-box-key": Keys.derive(SECRET.encode(), PLATFORM).box.hex(),
                     "chunk-id": hashlib.blake2b(b"likes tea\n", key=keys.chunk_id, digest_size=32).hexdigest()}


def test_the_backup_of_the_page(place: Place) -> None:
    """Its objects, as they are printed, are read by the other program, and restored by the engine: whatever it
    comes to write one day, what it wrote then stays readable."""
    blocks = ["".join(lines.split()) for lines in re.findall(r"(?:^    [0-9a-f]{2,112}\n)+", PAGE, re.M)]
    [pack] = [b for b in blocks if bytes.fromhex(b)[:8] == b"ZAKIPCK1"]
    [manifest] = [b for b in blocks if bytes.fromhex(b)[:8] == b"ZAKIMAN1"]
    [backup] = re.findall(r"A backup `(\S+)` of", PAGE)
    [pack_id] = re.findall(r"Its pack\n`(\S+)`", PAGE)
    folder = place.folder / "store" / "users" / USER
    for path, text in ((f"chunks/{pack_id}", pack), (f"backups/{backup}.manifest", manifest)):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(bytes.fromhex(text))

    read = Backup(place.folder / "store", USER, backup, SECRET.encode())
    assert read.ids == [USER, INSTANCE, backup]
    moment = (1770724800, 500_000_000)
    assert [(e.kind, e.path, e.mode, e.mtime, e.content, e.target) for e in read.entries if e.kind != "L"] == [
        ("D", b".openclaw", 0o700, moment, b"", b""), ("D", b"workspace", 0o755, moment, b"", b""),
        ("F", b"workspace/MEMORY.md", 0o644, moment, b"likes tea\n", b""),
        ("F", b"workspace/hole", 0o644, moment, bytes(65536), b"")]
    assert [(e.path, e.target) for e in read.entries if e.kind == "L"] == [(b"workspace/link", b"MEMORY.md")]

    url, target = f"file://{place.folder}/store", str(uuid.uuid4())
    assert place.engine("verify", url, backup).code == ""
    assert place.engine("restore", url, backup, target).code == ""
    restored = place.data / USER / target
    assert {p.relative_to(restored).as_posix() for p in restored.rglob("*")} == {
        ".openclaw", ".restored", "workspace", "workspace/MEMORY.md", "workspace/hole", "workspace/link"}
    assert (restored / "workspace" / "link").read_text() == "likes tea\n"
    assert (restored / "workspace" / "hole").stat().st_mtime_ns == moment[0] * 10**9 + moment[1]
