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


def test_the_vectors_of_the_page() -> None:
    page = (ROOT / "docs" / "BACKUP_FORMAT.md").read_text()
    given = dict(re.findall(r"^    (\S+) +([0-9a-f]{16,64})$", page, re.M))
    keys = Keys.derive(SECRET.encode(), USER)
    assert given == {"tag": keys.tag.hex(), "chunk-id-key": keys.chunk_id.hex(), "pack-key": keys.pack.hex(),
                     "manifest-key": keys.manifest.hex(), "box-key": keys.box.hex(),
                     "platform-box-key": Keys.derive(SECRET.encode(), PLATFORM).box.hex(),
                     "chunk-id": hashlib.blake2b(b"likes tea\n", key=keys.chunk_id, digest_size=32).hexdigest()}
