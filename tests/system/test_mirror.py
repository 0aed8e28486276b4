"""STORAGE_MIRROR: the newest backup of each assistant as plain files in the store, for as long as it is
wanted, without what is secret. Most of it with storage-backup alone, whose assistants are folders and rows."""

from __future__ import annotations

import json
import os
import re
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from test_health import parts
from zaki.api import expect
from zaki.kept import Kept
from zaki.patience import wait_until
from zaki.people import Person
from zaki.stubborn import Reviver
from zaki.suite import BUILD, SLOW, Suite
from zaki.tables import fault_points
from zaki.telegram import Bot
from zaki.zakictl import zakictl

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the assistants' files belong to another user")

ON = {"STORAGE_MIRROR": "1", "BACKUP_DRILL_START": "0"}
OFF = {"BACKUP_DRILL_START": "0"}
PROVIDER_KEY = "sk-mirror-0123456789abcdefghijklmnop"
NATURAL = ("MEMORY.md", "Tagebuch/Frühling & Sommer 100%.md", "日本語/🐈 + \"x\".txt", "deep/" + "/".join("d" * 20 for _ in range(8)))
UNFIT = os.fsdecode(b"bad-\xff-name")
POINTS = [p for p in fault_points("storage-backup") if p.startswith("mirror.")]


def users(suite: Suite) -> Path:
    return Path(suite.env["STORAGE_URL"].removeprefix("file://"), "users")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}


def plain(suite: Suite) -> list[Path]:
    """What lies mirrored of anybody."""
    return [p for home in users(suite).glob("*") for p in home.glob("*") if p.name in (".openclaw", "workspace", "instances")]


def row_of(suite: Suite, instance: str) -> dict[str, Any]:
    rows = suite.sql("SELECT * FROM mirrors WHERE instance_id = %s", instance)
    return dict(rows[0]) if rows else {}


def place_of(suite: Suite, user: str, instance: str) -> Path:
    home = users(suite) / user
    return home if row_of(suite, instance)["has_seat"] else home / "instances" / instance


def holds(suite: Suite, instance: str, backup: str) -> None:
    wait_until(lambda: (row := row_of(suite, instance)) and row["backup_id"] == backup and not row["next_id"], 60 * SLOW,
               "the mirror holds the backup")


@dataclass
class Assistant:
    """A folder, and rows that say it is to be backed up."""

    suite: Suite
    user: str = field(default_factory=lambda: str(uuid.uuid4()))
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        self.folder = self.suite.data(self.user, self.id)
        self.workspace = self.folder / "workspace"
        self.workspace.mkdir(parents=True)
        (self.folder / ".openclaw").mkdir()
        self.suite.sql("INSERT INTO backup_targets (instance_id, user_id, next_full_at, next_incremental_at, next_drill_at)"
                       " SELECT %s, %s, t, t, t FROM (SELECT now() + interval '1 day' AS t) s", self.id, self.user)

    def write(self, name: str, data: bytes) -> None:
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def ask(self, work: str = "backup") -> str:
        """A backup's id."""
        backup = str(uuid.uuid4())
        if work == "backup":
            self.suite.sql("INSERT INTO backups (id, instance_id, user_id, kind) VALUES (%s, %s, %s, 'incremental')",
                           backup, self.id, self.user)
        self.suite.sql("INSERT INTO backup_jobs (work, scope, user_id, instance_id, backup_id) VALUES (%s, %s, %s, %s, %s)", work,
                       self.id if work == "backup" else self.user, self.user, self.id if work == "backup" else None,
                       backup if work == "backup" else None)
        return backup

    def backup(self) -> str:
        made = self.ask()
        wait_until(lambda: self.suite.sql("SELECT 1 FROM backups WHERE id = %s AND status = 'done'", made), 60 * SLOW,
                   "the backup is done")
        return made

    @property
    def place(self) -> Path:
        return place_of(self.suite, self.user, self.id)

    def row(self) -> dict[str, Any]:
        return row_of(self.suite, self.id)

    def mirrored(self, backup: str) -> None:
        holds(self.suite, self.id, backup)
        wanted = files(self.workspace)
        wanted.pop(UNFIT, None)
        assert files(self.place / "workspace") == wanted

    def followed(self) -> None:
        self.mirrored(self.backup())

    def deleted(self) -> None:
        """As when instance-manager names it no more."""
        self.suite.sql("UPDATE backup_targets SET is_live = false WHERE instance_id = %s", self.id)


@pytest.fixture(scope="module")
def alone() -> Iterator[Suite]:
    suite = Suite(parts=("nats", "postgres", "redis", "storage-backup", "gateway"), supervise=False)
    try:
        suite.up()
        suite.stack.restart_part("storage-backup", ON)
        yield suite
    finally:
        wrong = suite.destroy()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def kept(alone: Suite) -> Assistant:
    if not alone.stack.pid("storage-backup"):
        alone.stack.start_part("storage-backup", ON)
    return Assistant(alone)


def test_it_is_the_tree_and_follows_it(kept: Assistant) -> None:
    for name in NATURAL:
        kept.write(name, os.urandom(3000))
    kept.write("empty", b"")
    kept.write("large", os.urandom(9_000_000))
    kept.write(UNFIT, b"no store can hold the name")
    (kept.workspace / "link").symlink_to("/etc/passwd")
    kept.followed()
    assert kept.row()["has_seat"]
    assert '"files are not mirrored' in kept.suite.log("storage-backup")

    kept.write("MEMORY.md", b"changed")
    kept.write("new/file", b"new")
    (kept.workspace / NATURAL[1]).unlink()
    (kept.workspace / NATURAL[1]).parent.rmdir()
    large = (kept.place / "workspace" / "large").stat()
    kept.followed()
    assert (kept.place / "workspace" / "large").stat().st_ino == large.st_ino  # it did not travel again
    assert not (kept.place / "workspace" / "Tagebuch").exists()


def test_each_assistant_has_a_place_of_its_own(kept: Assistant) -> None:
    suite = kept.suite
    second, other = Assistant(suite, kept.user), Assistant(suite)
    for one in (kept, second, other):
        one.write("whose.md", one.id.encode())
        one.followed()
    assert [one.row()["has_seat"] for one in (kept, second, other)] == [True, False, True]

    # With the assistant its mirror goes, and another of its person's may take the seat.
    kept.deleted()
    wait_until(lambda: not kept.row() and not (users(suite) / kept.user / "workspace").exists(), 30 * SLOW, "the mirror is gone")
    third = Assistant(suite, kept.user)
    third.write("whose.md", third.id.encode())
    third.followed()
    assert third.row()["has_seat"] and not second.row()["has_seat"]
    assert files(second.place / "workspace") == files(second.workspace)

    # With the account all of it goes, and no one else's.
    second.ask("erase")
    wait_until(lambda: not (users(suite) / kept.user).exists() and not suite.sql("SELECT 1 FROM backup_jobs WHERE user_id = %s",
                                                                                 kept.user), 60 * SLOW, "all is erased")
    assert not suite.sql("SELECT 1 FROM mirrors WHERE user_id = %s", kept.user)
    assert files(other.place / "workspace") == files(other.workspace)


def shown(suite: Suite, name: str) -> float:
    with urllib.request.urlopen(suite.env["METRICS_URL"], timeout=20) as answer:
        found = re.findall(rf"^{name}{{[^}}]*}} (\S+)$", answer.read().decode(), re.M)
    return float(found[0]) if found else -1  # it has just started


def test_one_that_fails_harms_no_backup_and_is_made_up(kept: Assistant) -> None:
    suite = kept.suite
    kept.write("MEMORY.md", b"first")
    in_the_way = users(suite) / kept.user / "workspace"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.symlink_to("/nowhere")  # no link is followed: the store refuses what lies below
    made = kept.backup()
    wait_until(lambda: shown(suite, "zaki_mirror_failures_total") >= 1, 60 * SLOW, "it has failed")
    assert kept.row()["next_id"] == made and not kept.row()["backup_id"]
    newer = kept.backup()  # which waits for no mirror

    suite.sql("UPDATE backup_jobs SET created_at = created_at - interval '2 hours' WHERE work = 'mirror'"
              " AND finished_at IS NULL AND instance_id = %s", kept.id)
    wait_until(lambda: shown(suite, "zaki_mirrors_not_well") == 1, 30 * SLOW, "it is alarmed")
    wait_until(lambda: shown(suite, "zaki_mirror_lag_seconds") > 7000, 30 * SLOW)
    assert parts(suite.api.get("=/health"))["mirrors"] == "down"
    said = suite.log("storage-backup")
    assert "a mirror is behind its assistant's newest backup" in said
    assert "MEMORY.md" not in said  # files' names are people's

    in_the_way.unlink()
    suite.sql("UPDATE backup_jobs SET next_try_at = now() WHERE work = 'mirror' AND finished_at IS NULL AND instance_id = %s",
              kept.id)
    kept.mirrored(newer)
    wait_until(lambda: shown(suite, "zaki_mirrors_not_well") == 0, 30 * SLOW, "all is well again")


@pytest.fixture(scope="module")
def struck(alone: Suite) -> Assistant:
    """One whose passes are broken off, one after another."""
    if not alone.stack.pid("storage-backup"):
        alone.stack.start_part("storage-backup", ON)
    one = Assistant(alone)
    one.write("stays.md", b"stays")
    one.write("goes.md", b"goes")
    one.followed()
    return one


@pytest.mark.skipif(BUILD == "release", reason="a release build has no fault points")
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(struck: Assistant, point: str, record_testsuite_property: Callable[[str, object], None]) -> None:
    """In the middle of a pass from one backup to the next, or while a mirror is removed."""
    suite = struck.suite
    once = suite.folder / f"killed-{point}"
    suite.folder.chmod(0o777)
    suite.stack.restart_part("storage-backup", {**ON, "ZAKI_FAULT": point, "ZAKI_FAULT_ONCE": str(once)})
    with Reviver(suite, "storage-backup", env=ON):
        if point == "mirror.removed":
            place = struck.place
            struck.deleted()
            wait_until(lambda: not struck.row() and not (place / "workspace").exists(), 60 * SLOW, "the mirror is gone")
        else:
            for old in [p for p in struck.workspace.iterdir() if p.name.startswith("goes")]:
                old.unlink()
            struck.write("sub/changes.md", point.encode())
            struck.write(f"goes-{point}.md", b"next time")
            struck.mirrored(struck.ask())
    assert once.exists(), "it was not killed there"
    record_testsuite_property("table", f"daemon: mirror       killed at {point:24} mended by the next pass")


def test_a_pass_broken_off_whose_backup_is_gone_is_made_anew(kept: Assistant) -> None:
    suite = kept.suite
    kept.write("one.md", b"1")
    first = kept.backup()
    holds(suite, kept.id, first)
    suite.stack.stop_part("storage-backup")
    suite.sql("UPDATE mirrors SET next_id = %s WHERE instance_id = %s", str(uuid.uuid4()), kept.id)
    (kept.place / "workspace" / "stray.md").write_text("of that one")
    suite.stack.start_part("storage-backup", ON)
    kept.write("two.md", b"2")
    kept.followed()


def test_nothing_plain_stays_when_it_is_off_again(kept: Assistant) -> None:
    suite = kept.suite
    kept.write("MEMORY.md", b"plain")
    made = kept.backup()
    kept.mirrored(made)
    suite.stack.restart_part("storage-backup", OFF)
    wait_until(lambda: not suite.sql("SELECT 1 FROM mirrors") and not plain(suite), 60 * SLOW, "all mirrors are removed")
    assert zakictl(suite, "backups", "verify", made).status == 0

    # Nor what no row tells of, as after a disaster: with the next clearing.
    home = users(suite) / kept.user
    for place in (home / ".openclaw", home / "instances" / str(uuid.uuid4()) / "workspace"):
        place.mkdir(parents=True)
        (place / "left.md").write_text("plain")
    assert zakictl(suite, "backups", "prune", kept.user).status == 0
    wait_until(lambda: not suite.sql("SELECT 1 FROM mirrors") and not plain(suite), 60 * SLOW, "that is removed, too")


# ---- with real assistants ----------------------------------------------------------------------------


@pytest.mark.disturbs
def test_nothing_secret_lies_in_it_and_it_goes_with_its_person(suite: Suite, ada: Person, bot: Bot) -> None:
    suite.stack.restart_part("storage-backup", ON)
    first = Kept(suite, ada, bot)
    expect(ada.api.call("PUT", f"/instances/{first.id}/providers/mine",
                        {"api_key": PROVIDER_KEY, "base_url": suite.env["LLM_FAKE_URL"] + "/v1"}), 200)
    config = suite.data(ada.id, first.id, ".openclaw", "openclaw.json")
    wait_until(lambda: PROVIDER_KEY in config.read_text(), 30 * SLOW, "the key is in the assistant's configuration")
    gateway = json.loads(config.read_text())["gateway"]["auth"]["token"]
    (config.parent / "openclaw.json.last-good").write_text(config.read_text())
    (config.parent / "notes.md").write_text("one's own")
    second = Kept(suite, ada, suite.telegram.bot())
    for one in (first, second):
        one.write("MEMORY.md", one.id.encode())
        holds(suite, one.id, one.backup()["id"])
        assert files(place_of(suite, ada.id, one.id) / "workspace") == {"MEMORY.md": one.id.encode()}
    assert "notes.md" in files(users(suite) / ada.id / ".openclaw")
    secrets = [token.encode() for token in (ada.bots[first.id].token, ada.bots[second.id].token, PROVIDER_KEY, gateway)]
    for path, held in ((p, p.read_bytes()) for root in plain(suite) for p in root.rglob("*") if p.is_file()):
        assert not [s for s in secrets if s in held], path

    ada.remove(first.id)
    wait_until(lambda: not row_of(suite, first.id) and not (users(suite) / ada.id / "workspace").exists(), 30 * SLOW,
               "the mirror is gone with its assistant")
    assert files(place_of(suite, ada.id, second.id) / "workspace") == {"MEMORY.md": second.id.encode()}
    expect(ada.api.delete("/users/me"), 202)
    wait_until(lambda: not suite.sql("SELECT 1 FROM users WHERE id = %s", ada.id), 120 * SLOW, "the account is gone")
    assert not (users(suite) / ada.id).exists() and not suite.sql("SELECT 1 FROM mirrors WHERE user_id = %s", ada.id)
    suite.stack.restart_part("storage-backup", {})
    wait_until(lambda: not suite.sql("SELECT 1 FROM mirrors") and not plain(suite), 120 * SLOW, "all mirrors are removed")
