#!/usr/bin/python3
"""Reads backups by docs/BACKUP_FORMAT.md alone: nothing of the engine is used.

    reader.py STORE_FOLDER USER_ID BACKUP_ID ENCRYPTION_KEY    lists the backup, with a hash of each file
    reader.py STORE_FOLDER DUMP_ID ENCRYPTION_KEY              lists a dump of the platform
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as aead_open


def blake(key: bytes, *parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(parts), key=key, digest_size=32).digest()


@dataclass
class Keys:
    tag: bytes
    chunk_id: bytes
    pack: bytes
    manifest: bytes
    box: bytes

    @classmethod
    def derive(cls, secret: bytes, user: str) -> "Keys":
        root = blake(blake(b"zaki backup master key", secret), user.encode())

        def sub(n: int, size: int = 32) -> bytes:
            return hashlib.blake2b(key=root, salt=struct.pack("<QQ", n, 0), person=b"zakibkup".ljust(16, b"\0"),
                                   digest_size=size).digest()
        return cls(sub(1, 16)[:8], sub(2), sub(3), sub(4), sub(5))


class Bytes:
    """Numbers and texts off a run of bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def more(self) -> bool:
        return self.at < len(self.data)

    def take(self, count: int) -> bytes:
        part = self.data[self.at: self.at + count]
        assert len(part) == count, "cut off"
        self.at += count
        return part

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self) -> int:
        value = self.number()
        return (value >> 1) ^ -(value & 1)

    def u32(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    def text(self) -> bytes:
        return self.take(self.number())


def unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 26)


@dataclass
class Entry:
    kind: str
    path: bytes
    mode: int = 0
    mtime: tuple[int, int] = (0, 0)
    target: bytes = b""
    size: int = 0
    flags: int = 0
    content: bytes = field(default=b"", repr=False)


class Backup:
    def __init__(self, store: Path, user: str, backup: str, secret: bytes) -> None:
        self.folder, self.user = store / "users" / user, user
        self.keys = Keys.derive(secret, user)
        self.cache: dict[bytes, bytes] = {}
        data = Bytes((self.folder / "backups" / f"{backup}.manifest").read_bytes())
        assert data.take(8) == b"ZAKIMAN1" and data.take(8) == self.keys.tag
        key = blake(self.keys.manifest, data.take(32), backup.encode())

        def segment(section: int, number: int) -> Bytes:
            nonce = bytes([section]) + bytes(15) + struct.pack("<Q", number)
            return Bytes(unzstd(aead_open(data.take(data.u32()), b"zakimanf" + user.encode() + backup.encode(), nonce, key)))

        head = segment(1, 0)
        self.ids = [head.text().decode() for _ in range(3)]
        assert self.ids[0] == user and self.ids[2] == backup
        names = ("full", "created_ms", "files", "dirs", "links", "notes", "bytes", "chunks", "chunks_new", "stored",
                 "packs", "pack_segments", "entry_segments")
        self.head = {name: head.number() for name in names}
        self.packs: list[tuple[bytes, int]] = []
        for i in range(self.head["pack_segments"]):
            rows = segment(2, i)
            while rows.more():
                self.packs.append((rows.take(16), rows.u32()))
        assert len(self.packs) == self.head["packs"]
        self.entries: list[Entry] = []
        self.notes: list[tuple[int, bytes]] = []
        for i in range(self.head["entry_segments"]):
            self.records(segment(3, i))
        assert not data.more()

    def records(self, data: Bytes) -> None:
        while data.more():
            kind = data.take(1).decode()
            if kind == "N":
                self.notes.append((data.number(), data.text()))
            elif kind == "H":
                self.entries[-1].content += bytes(data.number())
            elif kind == "C":
                pack, offset, length, plain = (data.number() for _ in range(4))
                self.entries[-1].content += self.chunk(pack, offset, length, plain, data.take(32))
            else:
                entry = Entry(kind, data.text())
                entry.mode, _, _ = data.number(), data.number(), data.number()
                entry.mtime = (data.signed(), data.number())
                if kind == "L":
                    entry.target = data.text()
                elif kind == "F":
                    entry.size, entry.flags, _ = data.number(), data.number(), data.number()
                    data.signed(), data.number(), data.number()
                self.entries.append(entry)

    def pack(self, number: int) -> bytes:
        """A whole pack, its own index checked against its frames."""
        pack_id, size = self.packs[number]
        if pack_id in self.cache:
            return self.cache[pack_id]
        data = (self.folder / "chunks" / pack_id.hex()).read_bytes()
        assert len(data) == size and data[:8] == b"ZAKIPCK1" and data[8:16] == self.keys.tag
        index_len = struct.unpack("<I", data[-4:])[0]
        frame = data[-4 - index_len: -4]
        index = Bytes(aead_open(frame[24:], b"zakipack" + self.user.encode() + pack_id, frame[:24], self.keys.pack))
        at = 16
        while index.more():
            chunk_id, length, plain = index.take(32), index.u32(), index.u32()
            assert len(self.open_frame(data[at: at + length], chunk_id)) == plain
            at += length
        assert at == len(data) - 4 - index_len
        self.cache[pack_id] = data
        return data

    def open_frame(self, frame: bytes, chunk_id: bytes) -> bytes:
        text = aead_open(frame[24:], b"zakichnk" + self.user.encode() + chunk_id, frame[:24], self.keys.pack)
        data = text[1:] if text[0] == 0 else unzstd(text[1:])
        assert blake(self.keys.chunk_id, data) == chunk_id
        return data

    def chunk(self, pack: int, offset: int, length: int, plain: int, chunk_id: bytes) -> bytes:
        data = self.open_frame(self.pack(pack)[offset: offset + length], chunk_id)
        assert len(data) == plain
        return data


PLATFORM = "00000000-0000-0000-0000-000000000000"


class Dump:
    """A dump of the platform's tables, and which accounts were erased since."""

    def __init__(self, store: Path, name: str, secret: bytes) -> None:
        self.store, self.keys = store, Keys.derive(secret, PLATFORM)
        root = f"platform/dumps/{name}/"
        data = Bytes(self.box(root + "head"))
        assert data.number() == 1
        self.created_ms = data.number()
        self.schemas = {data.text().decode(): data.number() for _ in range(data.number())}
        self.tables: dict[str, list[dict[str, Any]]] = {}
        for number in range(data.number()):
            table, rows, length, digest = data.text().decode(), data.number(), data.number(), data.take(32)
            part = self.box(f"{root}{number:06d}")
            assert len(part) == length and hashlib.blake2b(part, digest_size=32).digest() == digest
            found = json.loads(part)
            assert len(found) == rows
            self.tables.setdefault(table, []).extend(found)
        assert not data.more()
        self.erased = {self.box(f"platform/erased/{p.name}").decode() for p in (store / "platform" / "erased").glob("*")}

    def box(self, key: str) -> bytes:
        data = (self.store / key).read_bytes()
        assert data[:8] == b"ZAKIBOX1" and data[8:16] == self.keys.tag
        return unzstd(aead_open(data[40:], key.encode(), data[16:40], self.keys.box))


def main() -> None:
    if len(sys.argv) == 4:
        dump = Dump(Path(sys.argv[1]), sys.argv[2], sys.argv[3].encode())
        for table, rows in dump.tables.items():
            print(table, len(rows))
        return
    store, user, backup, secret = sys.argv[1:]
    for entry in Backup(Path(store), user, backup, secret.encode()).entries:
        assert len(entry.content) == entry.size
        print(entry.kind, oct(entry.mode), entry.size, hashlib.sha256(entry.content).hexdigest()[:16], repr(entry.path))


if __name__ == "__main__":
    main()
