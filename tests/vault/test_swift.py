"""The S3 store against a second real implementation, OpenStack Swift."""

from __future__ import annotations

import os
import re
import uuid
from typing import Iterator

import pytest

from conftest import Place
from swift_store import KEYS, LISTED_AT_ONCE, Swift


@pytest.fixture
def swift(place: Place) -> Iterator[Swift]:
    server = Swift(place.folder / "swift")
    try:
        server.make_bucket()
        yield server
    finally:
        server.end()


def test_all_of_it(place: Place, swift: Swift) -> None:
    """Objects of one part and of several, names, listings of many pages; then a backup, another, a restore, a prune."""
    def said(verb: str, key: str, file: str) -> tuple[str, int]:
        answer = place.run(verb, swift.url, key, file, **KEYS)
        return answer.code or "done", answer.figures.get("bytes", 0)

    file, back, out = (place.folder / name for name in ("object", "back", "list"))
    for size, key in ((6, "a/small"), (20_000_000, "a/b ä+%&=#.md")):
        file.write_bytes(os.urandom(size))
        assert said("put", key, str(file)) == ("done", 0)
        assert said("head", key, "-") == ("done", size)
        assert said("get", key, str(back))[0] == "done" and back.read_bytes() == file.read_bytes()
    assert said("list", "a/", str(out))[0] == "done"
    assert out.read_text().splitlines() == ["20000000 a/b ä+%&=#.md", "6 a/small"]
    for key in ("a/small", "a/small", "a/b ä+%&=#.md"):
        assert said("delete", key, "-")[0] == "done"
    assert said("head", "a/small", "-")[0] == "NOT_FOUND"

    file.write_bytes(b"x")
    keys = [f"many/{i:02d}" for i in range(2 * LISTED_AT_ONCE + 3)]
    for key in keys:
        assert said("put", key, str(file))[0] == "done"
    assert said("list", "many/", str(out))[0] == "done"
    assert out.read_text().splitlines() == [f"1 {key}" for key in keys]
    assert said("dirs", "", str(out))[0] == "done" and out.read_text() == "dir many/\n"

    workspace = place.instance / "workspace"
    (workspace / "note.md").write_text("likes tea")
    (workspace / "big").write_bytes(os.urandom(20_000_000))
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    assert place.engine("snapshot", swift.url, first, **KEYS).code == ""
    (workspace / "note.md").write_text("likes coffee")
    assert place.engine("snapshot", swift.url, second, first, **KEYS).figures["chunks_new"] <= 2
    assert place.engine("clear", swift.url, first, **KEYS).code == ""
    assert place.engine("verify", swift.url, second, **KEYS).code == ""
    target = str(uuid.uuid4())
    assert place.engine("restore", swift.url, second, target, **KEYS).code == ""
    restored = place.instance.parent / target / "workspace"
    assert {p.name: p.read_bytes() for p in restored.iterdir()} == {p.name: p.read_bytes() for p in workspace.iterdir()}

    wrong = place.run("list", swift.url, "", str(out), **{**KEYS, "R2_SECRET_ACCESS_KEY": "wrong"})
    assert wrong.code == "FORBIDDEN" and "SignatureDoesNotMatch" in wrong.text


def test_a_clock_that_is_an_hour_off(place: Place) -> None:
    """It is the store that says so; the error says whose clock, and which way."""
    server = Swift(place.folder / "swift", skew_s=3600)
    try:
        said = place.run("list", server.url, "", "/dev/null", **KEYS)
    finally:
        server.end()
    assert said.code == "FORBIDDEN" and re.search(r"clock is wrong: 3[56]\d\d s behind the store", said.text), said
