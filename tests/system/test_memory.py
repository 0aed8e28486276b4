"""The workspace's files over REST: the same files that the container has, running or stopped."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stack.errors import StackError
from zaki.api import Answer, expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import BUILD, Suite
from zaki.telegram import Bot

MIB = 1024 * 1024


class Memory:
    """One assistant's files."""

    def __init__(self, suite: Suite, person: Person, bot: Bot) -> None:
        self.person = person
        self.instance = person.running(bot)["id"]
        self.folder: Path = suite.data(person.id, self.instance, "workspace")

    def call(self, method: str, path: str = "", body: Any = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        where = f"/instances/{self.instance}/memory" + (f"/{quote(path)}" if path else "")
        return self.person.api.call(method, where, body, headers=sent)

    def put(self, path: str, content: str, **headers: str) -> Answer:
        return self.call("PUT", path, {"content": content}, **headers)

    def paths(self) -> list[str]:
        return [item["path"] for item in expect(self.call("GET"), 200)["items"]]


@pytest.fixture
def memory(suite: Suite, ada: Person, bot: Bot) -> Memory:
    return Memory(suite, ada, bot)


def test_a_file_is_the_containers_file(suite: Suite, memory: Memory) -> None:
    written = memory.put("preferences/food.md", "Likes söup.\n")
    item = expect(written, 200)
    on_disk = memory.folder / "preferences" / "food.md"
    assert on_disk.read_text() == "Likes söup.\n"
    assert (on_disk.stat().st_uid, on_disk.stat().st_gid) == (1000, 1000)
    assert (on_disk.parent.stat().st_uid, on_disk.parent.stat().st_gid) == (1000, 1000)
    assert written.headers["ETag"] == f'"{item["etag"]}"' and item["size"] == 13

    on_disk.write_text("Likes tea.\n")  # as the assistant would
    read = memory.call("GET", "preferences/food.md")
    got = expect(read, 200)
    assert (got["content"], got["encoding"]) == ("Likes tea.\n", "utf-8")
    assert got["etag"] != item["etag"] and read.headers["ETag"] == f'"{got["etag"]}"'
    assert "preferences/food.md" in memory.paths()

    memory.person.act(memory.instance, "stop", "stopped")
    assert expect(memory.call("GET", "preferences/food.md"), 200)["content"] == "Likes tea.\n"
    expect(memory.put("preferences/food.md", "Likes both.\n"), 200)
    assert on_disk.read_text() == "Likes both.\n"
    expect(memory.call("DELETE", "preferences/food.md"), 200)
    assert not on_disk.exists()
    expect(memory.call("GET", "preferences/food.md"), 404, "NOT_FOUND")


def test_a_lost_update_is_refused(memory: Memory) -> None:
    expect(memory.put("a.md", "one", If_None_Match="*"), 200)
    expect(memory.put("a.md", "two", If_None_Match="*"), 409, "CONFLICT")
    tag = memory.call("GET", "a.md").headers["ETag"]
    expect(memory.put("a.md", "two", If_Match=tag), 200)
    expect(memory.put("a.md", "three", If_Match=tag), 409, "CONFLICT")
    expect(memory.call("DELETE", "a.md", If_Match=tag), 409, "CONFLICT")
    assert expect(memory.call("GET", "a.md"), 200)["content"] == "two"
    expect(memory.put("absent.md", "x", If_Match="*"), 409, "CONFLICT")
    for wrong in ("abc", '"abc', 'W/"abc"', '"a", "b"', '""'):
        answer = memory.put("a.md", "x", If_Match=wrong)
        assert (answer.status, answer.field) == (400, "If-Match"), answer
    expect(memory.call("DELETE", "a.md", If_Match=memory.call("GET", "a.md").headers["ETag"]), 200)


def test_bytes_that_are_no_text(memory: Memory) -> None:
    raw = os.urandom(MIB)
    body = {"content": base64.b64encode(raw).decode(), "encoding": "base64"}
    expect(memory.call("PUT", "picture.bin", body), 200)
    assert (memory.folder / "picture.bin").read_bytes() == raw
    got = expect(memory.call("GET", "picture.bin"), 200)
    assert got["encoding"] == "base64" and base64.b64decode(got["content"]) == raw
    answer = memory.call("PUT", "picture.bin", {"content": "no base64!", "encoding": "base64"})
    assert (answer.status, answer.field) == (400, "content"), answer


def test_a_file_has_a_mebibyte(memory: Memory) -> None:
    text = "ä\n" * (MIB // 3) + "e"
    assert len(text.encode()) == MIB
    expect(memory.put("long.md", text), 200)
    assert expect(memory.call("GET", "long.md"), 200)["content"] == text
    expect(memory.put("long.md", text + "e"), 413, "PAYLOAD_TOO_LARGE")
    (memory.folder / "long.md").write_bytes(b"e" * (MIB + 1))
    expect(memory.call("GET", "long.md"), 413, "PAYLOAD_TOO_LARGE")
    item = next(i for i in expect(memory.call("GET"), 200)["items"] if i["path"] == "long.md")
    assert item["size"] == MIB + 1 and item["etag"] is None


@pytest.mark.parametrize("path", [
    "../.openclaw/openclaw.json", "..%2f.openclaw%2fopenclaw.json", "%2e%2e/x", "a/../../x", ".git/config", ".env",
    "a/%2e%2e/b", "%2fetc%2fpasswd", "a//b", "a/", "a%00b", "a%0ab", "a" * 300, "/".join("a" * 20),
])
def test_no_path_leads_out(memory: Memory, path: str) -> None:
    api = memory.person.api
    for method, body in (("GET", None), ("PUT", {"content": "x"}), ("DELETE", None)):
        answer = api.call(method, f"/instances/{memory.instance}/memory/{path}", body)
        assert answer.status in (400, 404, 405), (method, answer)


def test_no_link_leads_out(memory: Memory) -> None:
    (memory.folder / "link.md").symlink_to("../.openclaw/openclaw.json")
    (memory.folder / "out").symlink_to("..")
    assert not {"link.md", "out/.openclaw/openclaw.json"} & set(memory.paths())
    for path in ("link.md", "out/x.md"):
        expect(memory.call("GET", path), 404, "NOT_FOUND")
        expect(memory.call("DELETE", path), 404, "NOT_FOUND")
        expect(memory.put(path, "x"), 400, "VALIDATION_ERROR")


def test_a_list_in_pages(memory: Memory) -> None:
    want = sorted(f"pages/{n:03d}.md" for n in range(25))
    for path in want:
        expect(memory.put(path, path), 200)
    seen: list[str] = []
    cursor = ""
    while True:
        page = expect(memory.person.api.get(f"/instances/{memory.instance}/memory?limit=7"
                                            + (f"&cursor={cursor}" if cursor else "")), 200)
        seen += [item["path"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert [p for p in seen if p.startswith("pages/")] == want and len(seen) == len(set(seen))


@pytest.mark.disturbs
@pytest.mark.skipif(BUILD == "release", reason="a release build has no fault points")
@pytest.mark.parametrize("point, left", [("memory.written", "old"), ("memory.placed", "new")])
def test_a_crash_leaves_the_old_or_the_new(suite: Suite, memory: Memory, point: str, left: str) -> None:
    expect(memory.put("a.md", "old"), 200)
    once = suite.folder / f"memory-{point}"
    try:
        suite.stack.restart_part("instance-manager", {"ZAKI_FAULT": point, "ZAKI_FAULT_ONCE": str(once)})
    except StackError:
        pass
    suite.folder.chmod(0o1777)
    assert memory.put("a.md", "new").status in (503, 504)
    wait_until(lambda: memory.call("GET", "a.md").status == 200, 60)
    assert expect(memory.call("GET", "a.md"), 200)["content"] == left
    expect(memory.put("a.md", "newer"), 200)
    assert sorted(p.name for p in memory.folder.parent.iterdir()) == [".openclaw", "workspace"]
    suite.stack.restart_part("instance-manager", {})
