"""kill -9 of storage-backup at every fault point of its sources, in the middle of backups, restores and
the clearing away of old ones. Whatever is listed as done afterwards can be restored, nothing is half
restored, and nothing is left beside. The table is printed at the end."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any, Iterator

import pytest

from stack.errors import StackError
from zaki.api import expect
from zaki.kept import Kept
from zaki.people import Person
from zaki.stubborn import Reviver, Stubborn
from zaki.suite import BUILD, SLOW, Suite, wait_until
from zaki.tables import fault_points

pytestmark = [pytest.mark.disturbs,
              pytest.mark.skipif(BUILD == "release", reason="a release build has no fault points"),
              pytest.mark.skipif(os.geteuid() != 0, reason="the assistants' files belong to another user")]

POINTS = fault_points("storage-backup")


def is_rare(point: str) -> bool:
    """Passed only where the store is an S3, or a day after a pack was condemned: the engine's own tests
    come to them. Those of the platform's dump are test_disaster.py's."""
    return point == "prune.delete" or point.startswith(("s3.", "storage.s3", "dump."))


TABLE: list[tuple[str, str, str]] = []


def settle(suite: Suite) -> None:
    """While none lives: its claims under an Idempotency-Key are old now and not in a while."""
    suite.sql("UPDATE idempotency_backup SET claimed_at = claimed_at - interval '1 hour' WHERE status IS NULL")


class Journey:
    """Backup, change, restore, proof, clearing: while the daemon dies somewhere on it."""

    def __init__(self, kept: Kept) -> None:
        self.kept, self.suite = kept, kept.suite
        kept.api.timeout = 5
        self.client = Stubborn(kept.api, 120)

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(self.client.call("POST", path, body, headers={"Idempotency-Key": str(uuid.uuid4())}).data)

    def until(self, path: str, what: str) -> dict[str, Any]:
        def ended(answer: Any) -> bool:
            assert answer.data["status"] not in ("failed", "damaged"), str(answer)
            return bool(answer.data["status"] == "done")
        return dict(self.client.until(path, ended, what, good=(200,)).data)

    def backup(self) -> dict[str, Any]:
        made = self.call(f"/instances/{self.kept.id}/backups", {})
        return self.until(f"/backups/{made['id']}", "the backup is done")

    def restore(self, backup: str, **more: str) -> dict[str, Any]:
        asked = self.call(f"/backups/{backup}/restore", more)
        return self.until(f"/restores/{asked['id']}", "the restore is done")

    def proof(self, backup: str) -> None:
        before = self.client.call("GET", f"/backups/{backup}").data
        self.call(f"/backups/{backup}/verify", {})
        self.suite.sql("UPDATE backup_targets SET next_drill_at = now() - interval '1 s',"
                       " next_incremental_at = now() - interval '1 s' WHERE instance_id = %s", self.kept.id)
        self.client.until(f"/backups/{backup}", lambda a: a.data["verified_at"] > before["verified_at"], "verified")
        wait_until(lambda: not self.suite.sql("SELECT 1 FROM backup_jobs WHERE instance_id = %s AND finished_at IS NULL",
                                              self.kept.id), 90 * SLOW, "drill and increment are done")

    def prune(self, but: str) -> None:
        self.suite.sql("UPDATE backups SET expires_at = now() - interval '1 day' WHERE instance_id = %s AND id <> %s",
                       self.kept.id, but)
        self.suite.sql("INSERT INTO backup_users (user_id) VALUES (%s)"
                       " ON CONFLICT (user_id) DO UPDATE SET next_prune_at = now()", self.kept.person.id)
        wait_until(lambda: self.suite.sql("SELECT 1 FROM backup_users WHERE user_id = %s AND next_prune_at > now()"
                                          " AND pruned_at IS NOT NULL", self.kept.person.id), 90 * SLOW, "it is cleared")

    def run(self) -> None:
        kept = self.kept
        kept.write("MEMORY.md", os.urandom(200_000))
        kept.write("sub/file", b"one")
        before = kept.tree()
        made = self.backup()
        kept.write("MEMORY.md", b"changed")
        (kept.workspace / "sub" / "file").unlink()
        self.restore(made["id"])
        assert kept.tree() == before
        kept.write("MEMORY.md", b"changed")
        self.restore(made["id"], path="workspace/MEMORY.md")
        assert kept.tree() == before
        self.proof(made["id"])
        self.prune(made["id"])
        # Whatever is left in the list as done can be restored.
        listed = [b for b in kept.list() if b["status"] == "done"]
        assert made["id"] in [b["id"] for b in listed]
        for one in listed[-2:]:
            expect(kept.api.get(f"/backups/{one['id']}/files?limit=1"), 200)
        self.restore(made["id"])
        assert kept.tree() == before
        wait_until(lambda: kept.left_beside() == [], 30 * SLOW, "nothing is left beside")
        self.client.until(f"/instances/{kept.id}", lambda a: a.data["status"] == "running", "it runs", good=(200,))


@pytest.fixture(scope="module")
def kept(suite: Suite) -> Iterator[Kept]:
    yield Kept(suite, Person.new(suite.api), suite.telegram.bot())
    suite.stack.restart_part("storage-backup", {})
    print("\n" + "\n".join(f"{point:32} {died:10} {after}" for point, died, after in TABLE))


def arm(suite: Suite, point: str) -> Path:
    folder = suite.folder / "faults"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o1777)
    once = folder / f"{point}-{uuid.uuid4().hex[:6]}"
    try:
        suite.stack.restart_part("storage-backup", {"ZAKI_FAULT": point, "ZAKI_FAULT_ONCE": str(once)})
    except StackError:
        assert once.exists(), f"it did not start and did not reach {point}"
    return once


@pytest.mark.parametrize("point", [p for p in POINTS if not p.startswith("erase") and not is_rare(p)])
def test_killed_at(suite: Suite, kept: Kept, point: str) -> None:
    once = arm(suite, point)
    with Reviver(suite, "storage-backup", while_dead=lambda: settle(suite)):
        Journey(kept).run()
    TABLE.append((point, "killed" if once.exists() else "not passed", "every listed backup restores; nothing half"))
    assert once.exists() or not point.startswith(("backup.", "restore.", "prune.", "create.", "plan.", "drill.", "verify.")), \
        f"{point} is never passed"


@pytest.mark.parametrize("point", [p for p in POINTS if p.startswith("erase")])
def test_killed_while_erasing(suite: Suite, point: str) -> None:
    person = Person.new(suite.api)
    own = Kept(suite, person, suite.telegram.bot())
    own.backup()
    once = arm(suite, point)
    with Reviver(suite, "storage-backup", while_dead=lambda: settle(suite)):
        expect(person.api.delete("/users/me"), 202)
        wait_until(lambda: not suite.sql("SELECT 1 FROM users WHERE id = %s", person.id), 120 * SLOW, "the account is gone")
    assert once.exists()
    assert not suite.sql("SELECT 1 FROM backups WHERE user_id = %s", person.id)
    store = Path(suite.env["STORAGE_URL"].removeprefix("file://"))
    assert not [p for p in store.rglob("*") if person.id in str(p) and p.is_file()]
    TABLE.append((point, "killed", "nothing of the person is left"))
