"""`zakictl backups`: what it prints, and its exit status."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path

import pytest

from zaki.kept import Kept
from zaki.people import Person
from zaki.suite import Suite
from zaki.telegram import Bot
from zaki.zakictl import Said, zakictl

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the assistants' files belong to another user")

NOBODY = str(uuid.uuid4())
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def good(said: Said) -> str:
    assert said.status == 0 and said.err == "", said
    return said.out


@pytest.mark.parametrize("argv, names", [
    ((), "is not known here"), (("frobnicate",), "frobnicate"), (("list", NOBODY, "x"), "list"), (("create",), "create"),
    (("verify",), "verify"), (("drill",), "drill"), (("restore",), "restore"), (("restore", NOBODY, "a", "b"), "restore"),
    (("prune",), "prune"), (("du",), "du"), (("list", "x"), "instance_id"), (("create", "x"), "instance_id"),
    (("verify", "x"), "backup_id"), (("drill", "x"), "backup_id"), (("restore", "x"), "backup_id"),
    (("prune", "x"), "user_id"), (("du", "x"), "user_id"),
])
def test_bad_arguments_are_named(suite: Suite, argv: tuple[str, ...], names: str) -> None:
    said = zakictl(suite, "backups", *argv)
    assert said.status == 2 and said.out.count("\n") <= 1, said
    assert said.err.startswith("zakictl backups: ") and names in said.err and said.err.count("\n") == 1, said


def test_what_is_not_there(suite: Suite) -> None:
    for verb in ("create", "verify", "drill", "restore"):
        said = zakictl(suite, "backups", verb, NOBODY)
        assert said.status == 1 and said.out == "" and NOBODY in said.err, said
    assert good(zakictl(suite, "backups", "list", NOBODY)).count("\n") == 1  # its heading
    assert good(zakictl(suite, "backups", "du", NOBODY)) == "0 backups, 0 objects, 0 bytes\n"


def test_all_it_does(suite: Suite, ada: Person, bot: Bot) -> None:
    kept = Kept(suite, ada, bot)
    kept.write("MEMORY.md", b"first\n")
    kept.write("other.md", b"first\n")

    # The daemon may not have looked which assistants there are; whoever asks over HTTP is known at once.
    over_http = kept.backup()["id"]
    out = good(zakictl(suite, "backups", "create", kept.id))
    made = re.match(rf"backup ({UUID})\n", out)
    assert made and out.endswith("done reading 100 %\n"), out
    backup = made[1]
    assert kept.done(backup)["kind"] == "manual"

    def listed() -> dict[str, str]:
        lines = good(zakictl(suite, "backups", "list", kept.id)).splitlines()
        assert lines[0].split() == ["BACKUP", "ASSISTANT", "KIND", "STATUS", "BYTES", "STORED", "MADE", "PROVEN"]
        return {line.split()[0]: line for line in lines[1:]}

    assert list(listed()) == [backup, over_http]  # newest first
    assert listed()[backup].split()[1:4] == [kept.id, "manual", "done"] and listed()[backup].split()[-1] == "-"
    assert backup in good(zakictl(suite, "backups", "list"))

    assert good(zakictl(suite, "backups", "verify", backup)).endswith("done reading 100 %\n")
    assert listed()[backup].split()[-1] == "-"
    assert re.search(r"done starting 100 %\nthe assistant started from it in \d+\.\d s\n$",
                     good(zakictl(suite, "backups", "drill", backup)))
    assert re.match(r"\d{4}-\d\d-\d\dT", listed()[backup].split()[-1])

    kept.write("MEMORY.md", b"second\n")
    kept.write("other.md", b"second\n")
    assert good(zakictl(suite, "backups", "restore", backup, "workspace/MEMORY.md")).endswith("100 %\n")
    assert (kept.workspace / "MEMORY.md").read_bytes() == b"first\n"
    assert (kept.workspace / "other.md").read_bytes() == b"second\n"
    said = zakictl(suite, "backups", "restore", backup, "workspace/none")
    assert said.status == 1 and "it failed: It is not there any more." in said.err, said
    said = zakictl(suite, "backups", "restore", backup, "../etc")
    assert said.status == 2 and "path" in said.err, said
    assert good(zakictl(suite, "backups", "restore", backup)).endswith("100 %\n")
    assert (kept.workspace / "other.md").read_bytes() == b"first\n"

    store = Path(suite.env["STORAGE_URL"].removeprefix("file://"))
    there = [p for p in store.rglob("*") if ada.id in str(p) and p.is_file()]
    manifests = [p for p in there if p.suffix == ".manifest"]
    assert good(zakictl(suite, "backups", "du", ada.id)) == \
        f"{len(manifests)} backups, {len(there)} objects, {sum(p.stat().st_size for p in there)} bytes\n"
    suite.sql("UPDATE backups SET expires_at = now() - interval '1 day' WHERE id = %s", over_http)
    assert good(zakictl(suite, "backups", "prune", ada.id)).endswith("done clearing 100 %\n")
    assert over_http not in listed() and backup in listed()

    # One whose manifest is gone does not verify, says so, and cannot be restored.
    [lost] = [p for p in manifests if p.stem == backup]
    lost.unlink()
    said = zakictl(suite, "backups", "verify", backup)
    assert said.status == 1 and "it failed: It is not there any more." in said.err, said
    assert listed()[backup].split()[3] == "damaged"
    said = zakictl(suite, "backups", "restore", backup)
    assert said.status == 1 and "this backup is damaged" in said.err, said
    kept.backup()  # all is well again, for the others' /health


def test_it_needs_to_know_the_bus(suite: Suite) -> None:
    assert "ZAKICTL_NATS_URL" in suite.env
    said = zakictl(suite, "backups", "list", env={"ZAKICTL_NATS_URL": ""})
    assert said.status == 2 and "ZAKICTL_NATS_URL" in said.err, said
    said = zakictl(suite, "backups", "list", env={"ZAKICTL_NATS_URL": "nats://zakictl:wrong@127.0.0.1:1"})
    assert said.status == 1 and said.out.count("\n") <= 1 and "wrong" not in said.err, said
