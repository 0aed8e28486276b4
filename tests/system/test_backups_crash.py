"""kill -9 of storage-backup at every fault point of its sources, in the middle of backups, restores,
proofs and the clearing away of old ones. Whatever is listed as done afterwards can be restored, nothing
is half restored, and nothing is left beside. The table is part of the report of `make test`."""

from __future__ import annotations

import os
import sqlite3
import sys
import uuid
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from stack.errors import StackError
from zaki.api import expect
from zaki.kept import Kept
from zaki.patience import wait_until
from zaki.people import Person
from zaki.stubborn import Reviver, Stubborn
from zaki.suite import BUILD, PROJECT, SLOW, Suite
from zaki.tables import fault_points
from zaki.zakictl import zakictl

sys.path.append(str(PROJECT / "tests" / "vault"))
from reader import Dump  # pylint: disable=wrong-import-position,import-error  # noqa: E402

pytestmark = [pytest.mark.disturbs,
              pytest.mark.skipif(BUILD == "release", reason="a release build has no fault points"),
              pytest.mark.skipif(os.geteuid() != 0, reason="the assistants' files belong to another user")]

# Those of an S3 are passed in tests/vault/test_s3.py, those of mirrors in test_mirror.py.
POINTS = [p for p in fault_points("storage-backup") if not p.startswith(("store.s3", "mirror."))]
LATER = {"ZAKI_FAULT_LATER_S": str(2 * 86400)}  # past the grace of what was condemned
# A drill that is no more than the proof of another stage starts nothing: that takes seconds each time.
QUICK = {**LATER, "BACKUP_DRILL_START": "0"}
DEATHS_MAX = 3  # of services/storage-backup/job.h


def settle(suite: Suite) -> None:
    """While none lives: its claims under an Idempotency-Key are old now and not in a while."""
    suite.sql("UPDATE idempotency_backup SET claimed_at = claimed_at - interval '1 hour' WHERE status IS NULL")


def restart(suite: Suite, env: dict[str, str]) -> None:
    try:
        suite.stack.restart_part("storage-backup", env)
    except StackError:
        assert "ZAKI_FAULT" in env, "it does not start"  # killed while it started


class Journey:
    """What is asked of backups, each a stage of its own, while the daemon dies somewhere in it."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.kept = kept = Kept(suite, Person.new(suite.api), suite.telegram.bot())
        kept.api.timeout = 5
        self.client = Stubborn(kept.api, 120)
        kept.write("MEMORY.md", os.urandom(200_000))
        kept.write("sub/file", b"one")
        self.query("CREATE TABLE t (x)")
        self.before = kept.tree()
        self.made = self.backup()["id"]
        # Its first full one would come in some minutes, in the middle of some stage.
        suite.sql("UPDATE backup_targets SET next_full_at = now() + interval '10 days' WHERE instance_id = %s", kept.id)

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(self.client.call("POST", path, body, headers={"Idempotency-Key": str(uuid.uuid4())}).data)

    def until(self, path: str, what: str) -> dict[str, Any]:
        def ended(answer: Any) -> bool:
            assert answer.data["status"] not in ("failed", "damaged"), str(answer)
            return bool(answer.data["status"] == "done")
        return dict(self.client.until(path, ended, what, good=(200,)).data)

    def query(self, sql: str, *args: str) -> None:
        """On a database of the assistant's."""
        file = self.kept.workspace.parent / ".openclaw" / "notes.sqlite"
        with sqlite3.connect(file) as db:
            db.execute(sql, args)
        os.chown(file, 1000, 1000)

    def operator(self, *argv: str) -> None:
        wait_until(lambda: zakictl(self.suite, "backups", *argv).status == 0, 90 * SLOW, f"zakictl backups {argv}")

    def idle(self) -> None:
        wait_until(lambda: not self.suite.sql("SELECT 1 FROM backup_jobs WHERE user_id = %s AND finished_at IS NULL",
                                              self.kept.person.id), 90 * SLOW, "nothing is under way")

    # ---- the stages ----------------------------------------------------------------------------

    def backup(self) -> dict[str, Any]:
        made = self.call(f"/instances/{self.kept.id}/backups", {})
        return self.until(f"/backups/{made['id']}", "the backup is done")

    def backup_stage(self) -> None:
        note = uuid.uuid4().hex
        self.kept.write("note.md", note.encode())
        self.query("INSERT INTO t VALUES (?)", note)
        self.kept.write("big", os.urandom(100_000))
        made = self.backup()
        (self.kept.workspace / "big").unlink()
        (self.kept.workspace / "note.md").unlink()
        text = self.client.call("GET", f"/backups/{made['id']}/file/workspace/note.md").data["text"]
        assert text == note
        self.operator("drill", made["id"])

    def restore_stage(self, **path: str) -> None:
        self.kept.write("MEMORY.md", b"changed")
        if not path:
            (self.kept.workspace / "sub" / "file").unlink()
        asked = self.call(f"/backups/{self.made}/restore", path)
        self.until(f"/restores/{asked['id']}", "the restore is done")
        assert self.kept.tree() == self.before
        wait_until(lambda: self.kept.left_beside() == [], 30 * SLOW, "nothing is left beside")
        self.client.until(f"/instances/{self.kept.id}", lambda a: a.data["status"] == "running", "it runs", good=(200,))

    def path_stage(self) -> None:
        self.restore_stage(path="workspace/MEMORY.md")

    def verify_stage(self) -> None:
        before = self.client.call("GET", f"/backups/{self.made}").data["verified_at"]
        self.call(f"/backups/{self.made}/verify", {})
        self.client.until(f"/backups/{self.made}", lambda a: a.data["verified_at"] > before, "verified")

    def drill_stage(self) -> None:
        self.operator("drill", self.made)

    def prune_stage(self) -> None:
        """A backup is past its time, with what it alone holds. What an earlier round condemned goes, where
        it is past its grace."""
        self.kept.write("big", os.urandom(100_000))
        self.backup()
        (self.kept.workspace / "big").unlink()
        self.suite.sql("UPDATE backups SET expires_at = now() - interval '1 day', created_at = created_at"
                       " - interval '1 day' WHERE instance_id = %s AND id <> %s", self.kept.id, self.made)
        self.operator("prune", self.kept.person.id)
        kept = [b["id"] for b in self.client.call("GET", f"/instances/{self.kept.id}/backups").data["items"]]
        assert kept == [self.made]
        self.operator("drill", self.made)

    def plan_stage(self) -> None:
        self.suite.sql("UPDATE backup_targets SET next_incremental_at = now() - interval '1 s' WHERE instance_id = %s",
                       self.kept.id)
        wait_until(lambda: self.suite.sql("SELECT 1 FROM backups WHERE instance_id = %s AND kind = 'incremental'"
                                          " AND status = 'done'", self.kept.id), 60 * SLOW, "the schedule made one")

    def dump_stage(self) -> None:
        """Of the platform's tables; what is left of one that never became whole goes."""
        folder = Path(self.suite.env["STORAGE_URL"].removeprefix("file://"), "platform", "dumps")
        broken = folder / f"20200101T000000Z-{uuid.uuid4().hex[:16]}"
        broken.mkdir(parents=True)
        (broken / "000000").write_bytes(b"of no head")
        self.operator("dump")
        newest = self.suite.sql("SELECT id FROM platform_dumps WHERE status = 'done' ORDER BY created_at DESC LIMIT 1")[0]["id"]
        dump = Dump(folder.parent.parent, newest, self.suite.stack.secrets.get("encryption").encode())
        assert self.kept.person.id in {u["id"] for u in dump.tables["users"]}
        assert not (broken / "000000").exists()
        # None is said to be good that is not, and none is under way.
        for row in self.suite.sql("SELECT id, status FROM platform_dumps"):
            assert row["status"] in ("done", "failed")
            assert row["status"] == "failed" or (folder / row["id"] / "head").exists()

    def stages(self) -> dict[str, Callable[[], None]]:
        """The cheapest first: a point is tried in the first that passes it."""
        return {"dump": self.dump_stage, "verify": self.verify_stage, "drill": self.drill_stage, "backup": self.backup_stage,
                "prune": self.prune_stage, "restore one": self.path_stage, "restore": self.restore_stage,
                "schedule": self.plan_stage}

    def promises(self) -> None:
        """Whatever is listed as done is there, whole; nothing is under way, or half."""
        self.idle()
        assert self.kept.tree() == self.before
        assert self.kept.left_beside() == []
        assert not self.trials() and not list(self.suite.data(".scratch").glob("trial-*"))

    def trials(self) -> list[str]:
        """Containers of drills' trials."""
        return [str(c["Names"]) for c in self.suite.containers() if "zaki.trial" in c["Labels"]]


class Tried:
    """A journey, which points each of its stages passes, and what came of killing at them."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.rows: list[tuple[str, str, str]] = []
        self.folder = suite.folder / "faults"
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o1777)
        self.journey = Journey(suite)
        restart(suite, {"BACKUP_DRILL_START": "0"})  # by the clock: what it condemns is deleted later on
        self.journey.prune_stage()
        self.passed = self.look()

    def look(self) -> dict[str, list[str]]:
        """The stages that pass each point; one may stand there too many, since other tests' assistants may just then
        be backed up before they go."""
        trace = self.folder / "trace"
        found: dict[str, list[str]] = {}
        wait_until(lambda: not self.suite.sql("SELECT 1 FROM backup_jobs WHERE finished_at IS NULL"), 90 * SLOW,
                   "nobody's backup is under way")
        for name, stage in self.journey.stages().items():
            if name in ("dump", "backup"):
                restart(self.suite, {"ZAKI_FAULT_TRACE": str(trace), **(LATER if name == "dump" else QUICK)})
            trace.unlink(missing_ok=True)
            stage()
            self.journey.idle()
            for point in set(trace.read_text().split()):
                found.setdefault(point, []).append(name)
        return found

    def arm(self, point: str) -> Path:
        once = self.folder / f"{point}-{uuid.uuid4().hex[:6]}"
        restart(self.suite, {"ZAKI_FAULT": point, "ZAKI_FAULT_ONCE": str(once), **self.env(point)})
        return once

    def env(self, point: str) -> dict[str, str]:
        return LATER if self.passed.get(point, [""])[0] == "drill" else QUICK

    def reviver(self, point: str) -> Reviver:
        return Reviver(self.suite, "storage-backup", while_dead=lambda: settle(self.suite), env=self.env(point))


@pytest.fixture(scope="module")
def tried(suite: Suite, record_testsuite_property: Callable[[str, object], None]) -> Iterator[Tried]:
    t = Tried(suite)
    yield t
    restart(suite, {})
    rows = [f"daemon: {stage:12} killed at {point:24} {after}" for stage, point, after in sorted(t.rows)]
    record_testsuite_property("table", "\n".join(rows))


@pytest.mark.parametrize("point", [p for p in POINTS if not p.startswith("erase")])
def test_killed_at(tried: Tried, point: str) -> None:
    assert point in tried.passed, "no stage passes it"
    if point == "prune.delete":
        restart(tried.suite, {})
        tried.journey.prune_stage()
    once = tried.arm(point)
    with tried.reviver(point):
        for stage in tried.passed[point]:
            tried.journey.stages()[stage]()
            tried.journey.promises()
            if once.exists():
                break
    assert once.exists(), "it was not killed there"
    tried.rows.append((stage, point, "every listed backup restores; nothing half"))


class Chain(Reviver):
    """Starts a daemon again each time to die at the next point. The supervisor, which would start it
    without, is away meanwhile."""

    def __init__(self, tried: Tried, name: str, points: list[str]) -> None:
        super().__init__(tried.suite, name, while_dead=self.next)
        self.left, self.marks, self.folder = list(points), dict[str, Path](), tried.folder
        self.env: dict[str, str] = {}
        self.next()

    def next(self) -> None:
        if self.env and not Path(self.env["ZAKI_FAULT_ONCE"]).exists():
            return  # not there yet
        self.env = {}
        if self.left:
            point = self.left.pop(0)
            self.marks[point] = self.folder / f"{point}-{uuid.uuid4().hex[:6]}"
            self.env = {"ZAKI_FAULT": point, "ZAKI_FAULT_ONCE": str(self.marks[point])}


def test_instance_manager_killed_in_a_trial(suite: Suite, tried: Tried) -> None:
    """At each of its steps, in one drill: it is asked again, and goes on with the container that is there."""
    restart(suite, LATER)
    points = ["trial.taken", "trial.created", "trial.started", "trial.removed"]
    assert {*points, "trial.swept"} == {p for p in fault_points("instance-manager") if p.startswith("trial.")}
    chain = Chain(tried, "instance-manager", points)
    with suite.without("supervisor"):
        suite.stack.restart_part("instance-manager", chain.env)
        with chain:
            tried.journey.drill_stage()
    assert all(mark.exists() for mark in chain.marks.values()) and list(chain.marks) == points
    tried.journey.promises()
    tried.rows += [("drill", point, "one container, gone afterwards") for point in points]


def test_a_trial_that_nobody_asks_for_any_more_is_swept_away(suite: Suite, tried: Tried) -> None:
    """storage-backup is killed while the container runs and stays away; instance-manager as well, as it sweeps."""
    restart(suite, LATER)
    suite.sql("UPDATE backup_targets SET next_drill_at = now() WHERE instance_id = %s", tried.journey.kept.id)
    wait_until(tried.journey.trials, 60 * SLOW, "the trial's container is there")
    chain = Chain(tried, "instance-manager", ["trial.swept"])
    with suite.without("supervisor"), suite.killed("storage-backup"):
        suite.stack.stop_part("instance-manager")
        suite.sql("UPDATE trials SET until = now() - interval '1 s'")  # its half minute is over
        with chain:
            wait_until(lambda: not tried.journey.trials() and not suite.sql("SELECT 1 FROM trials"), 60 * SLOW, "all is gone")
        assert chain.marks["trial.swept"].exists()
        suite.stack.start_part("instance-manager")
    # Taken up again, the drill clears away what it had restored, and ends well.
    tried.journey.promises()
    assert suite.sql("SELECT status FROM backup_jobs WHERE work = 'drill' AND instance_id = %s ORDER BY created_at DESC LIMIT 1",
                     tried.journey.kept.id)[0]["status"] == "done"
    tried.rows.append(("drill", "trial.swept", "no container stays behind"))


def test_every_backup_that_is_listed_after_all_that_can_be_restored(tried: Tried) -> None:
    restart(tried.suite, QUICK)
    done = [b for b in tried.journey.kept.list() if b["status"] == "done"]
    assert tried.journey.made in [b["id"] for b in done]
    for one in done:
        tried.journey.operator("drill", one["id"])
    left = tried.suite.sql("SELECT id, status FROM backups WHERE instance_id = %s AND status IN ('pending', 'running')",
                           tried.journey.kept.id)
    wait_until(lambda: not left or not tried.suite.sql(
        "SELECT 1 FROM backups WHERE instance_id = %s AND status IN ('pending', 'running')", tried.journey.kept.id),
        30 * SLOW, "checkpoints that were broken off are said to have failed")


@pytest.mark.parametrize("point", [p for p in POINTS if p.startswith("erase")])
def test_killed_while_erasing(suite: Suite, tried: Tried, point: str) -> None:
    person = Person.new(suite.api)
    own = Kept(suite, person, suite.telegram.bot())
    own.backup()
    once = tried.arm(point)
    with tried.reviver(point):
        expect(person.api.delete("/users/me"), 202)

        def is_gone() -> bool:
            # auth's pauses between its questions are its own; here nobody waits for them.
            suite.sql("UPDATE account_deletions SET next_try_at = now() WHERE user_id = %s AND next_try_at > now()", person.id)
            return not suite.sql("SELECT 1 FROM users WHERE id = %s", person.id)

        wait_until(is_gone, 120 * SLOW, "the account is gone")
    assert once.exists()
    assert not suite.sql("SELECT 1 FROM backups WHERE user_id = %s", person.id)
    store = Path(suite.env["STORAGE_URL"].removeprefix("file://"))
    assert not [p for p in store.rglob("*") if person.id in str(p) and p.is_file()]
    tried.rows.append(("erase", point, "nothing of the person is left"))


def test_told_to_end_in_the_middle(suite: Suite, tried: Tried) -> None:
    """SIGTERM puts work down, whole or not begun; the next process takes it up."""
    journey = tried.journey
    restart(suite, LATER)
    big = journey.kept.write("big", os.urandom(30_000_000))
    for stage in ("backup", "restore"):
        if stage == "backup":
            asked = journey.call(f"/instances/{journey.kept.id}/backups", {})
            path = f"/backups/{asked['id']}"
        else:
            big.write_bytes(b"changed")
            path = "/restores/" + journey.call(f"/backups/{asked['id']}/restore", {})["id"]
        wait_until(lambda: suite.sql("SELECT 1 FROM backup_jobs WHERE lease_owner IS NOT NULL AND instance_id = %s",
                                     journey.kept.id), 30 * SLOW, "it is under way")
        restart(suite, LATER)
        journey.until(path, f"the {stage} is done")
    assert big.stat().st_size == 30_000_000
    big.unlink()
    wait_until(lambda: journey.kept.left_beside() == [], 30 * SLOW, "nothing is left beside")
    journey.promises()


def test_work_that_always_kills_is_given_up(suite: Suite, tried: Tried) -> None:
    """One file's restore takes the daemon down each time: it is tried so often and no more, said to have
    failed, and alarmed; what others asked for in the meantime is done."""
    kept, other = tried.journey.kept, Kept(suite, Person.new(suite.api), suite.telegram.bot())
    fault = {"ZAKI_FAULT": "restore.path.swap"}
    suite.stack.stop_part("supervisor")  # which starts it without the fault
    restart(suite, fault)
    with suite.socket(kept.person.access_token) as ws, Reviver(suite, "storage-backup", while_dead=lambda: settle(suite),
                                                               env=fault) as reviver:
        ws.subscribe(f"instance.{kept.id}")
        asked = tried.journey.call(f"/backups/{tried.journey.made}/restore", {"path": "workspace/MEMORY.md"})
        theirs = Stubborn(other.api, 120).call("POST", f"/instances/{other.id}/backups", {},
                                               headers={"Idempotency-Key": str(uuid.uuid4())}).data
        alert = ws.expect("backup.alert", 90 * SLOW)["data"]
        other.done(theirs["id"])
        failed = tried.journey.client.until(f"/restores/{asked['id']}", lambda a: a.data["status"] == "failed", "given up",
                                            good=(200,)).data
        assert reviver.starts == DEATHS_MAX
    assert alert["problem"] == "failed" and "brought the backup service down" in alert["message"]
    assert "brought the backup service down" in failed["error"]
    job = suite.sql("SELECT status, deaths FROM backup_jobs WHERE id = %s", asked["id"])[0]
    assert job["status"] == "failed" and job["deaths"] == DEATHS_MAX + 1
    assert suite.sql("SELECT deaths FROM backup_jobs WHERE backup_id = %s", theirs["id"])[0]["deaths"] <= 1 + 1
    restart(suite, {})
    kept.person.wait(kept.id, "running", 90 * SLOW)
    assert kept.tree() == tried.journey.before


def test_a_lease_of_a_live_process_that_nobody_works_on_runs_out(suite: Suite, tried: Tried) -> None:
    """Its end could not be written, say: the daemon does not keep it for ever."""
    kept = tried.journey.kept
    name = suite.sql("SELECT application_name AS n FROM pg_stat_activity WHERE application_name LIKE 'storage-backup %%'")[0]["n"]
    suite.sql("INSERT INTO backup_jobs (work, scope, user_id, instance_id, backup_id, status, lease_owner, lease_until)"
              " VALUES ('verify', %s, %s, %s, %s, 'running', %s, now() + interval '1 s')", kept.id, kept.person.id, kept.id,
              tried.journey.made, name.split()[1] + ".999999999")
    tried.journey.idle()
