"""Backups and restores of assistants' files, over HTTP, with the daemon's own schedule."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from test_health import parts
from zaki.api import expect
from zaki.kept import Kept
from zaki.patience import wait_until
from zaki.people import Person, idempotency
from zaki.suite import SLOW, Suite
from zaki.telegram import Bot
from zaki.zakictl import zakictl

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the assistants' files belong to another user")

SECRET_TEXT = "the-cat-is-called-Schroedinger"


@pytest.fixture
def kept(suite: Suite, ada: Person, bot: Bot) -> Kept:
    return Kept(suite, ada, bot)


def metrics(suite: Suite) -> str:
    with urllib.request.urlopen(suite.env["METRICS_URL"], timeout=20) as answer:
        return str(answer.read().decode())


def odd_files(kept: Kept) -> None:
    """What a workspace may hold, and more."""
    kept.write("MEMORY.md", f"# Memory\n{SECRET_TEXT}\n".encode())
    kept.write("empty", b"")
    kept.write("with space/and \"quotes\"", os.urandom(70000))
    kept.write(os.fsdecode(b"bad-\xff\xfe-name"), b"no text")
    kept.write("deep/" + "/".join("d" * 20 for _ in range(8)) + "/leaf", b"leaf")
    script = kept.write("run.sh", b"#!/bin/sh\n")
    script.chmod(0o750)
    os.symlink("/etc/passwd", kept.workspace / "link")
    os.lchown(kept.workspace / "link", 1000, 1000)
    os.utime(kept.workspace / "MEMORY.md", ns=(10**18, 1234567890123456789))


def test_backup_change_restore(kept: Kept) -> None:
    odd_files(kept)
    before = kept.tree()
    with kept.suite.socket(kept.person.access_token) as ws:
        ws.subscribe(f"instance.{kept.id}")
        made = kept.backup()
        told = ws.expect("backup.status", 20 * SLOW, lambda f: f["data"]["status"] == "done")
        assert told["data"]["backup_id"] == made["id"] and told["data"]["percent"] == 100
    assert made["kind"] == "manual" and made["verified_at"] and made["expires_at"] and made["files"] > 0

    (kept.workspace / "MEMORY.md").write_bytes(b"overwritten")
    (kept.workspace / "run.sh").unlink()
    kept.write("new", b"to be gone again")
    restored = kept.restore(made["id"])
    kept.person.wait(kept.id, "running")
    assert kept.tree() == before
    assert kept.left_beside() == []

    # What was there before the restore is a backup too, and a way back.
    assert restored["checkpoint_id"] in [b["id"] for b in kept.list() if b["kind"] == "checkpoint"]
    kept.restore(restored["checkpoint_id"])
    assert (kept.workspace / "new").read_bytes() == b"to be gone again"
    assert not (kept.workspace / "run.sh").exists()


def test_how_far_it_is(kept: Kept) -> None:
    """In events, step by step, with figures; and in the rows that say so afterwards."""
    kept.write("big", os.urandom(25_000_000))
    kept.write("MEMORY.md", b"first\n")

    def told(ws: Any, work: str, step: str, percent: int = 0) -> dict[str, Any]:
        seen = ws.expect("backup.status", 60 * SLOW, lambda f: f["data"]["work"] == work and f["data"]["step"] == step
                         and percent <= f["data"]["percent"] < 100)["data"]
        assert seen["status"] == "running"
        return dict(seen)

    def ended(ws: Any, work: str) -> dict[str, Any]:
        return dict(ws.expect("backup.status", 60 * SLOW, lambda f: f["data"]["work"] == work
                              and f["data"]["status"] == "done")["data"])

    with kept.suite.socket(kept.person.access_token) as ws:
        ws.subscribe(f"instance.{kept.id}")
        asked = kept.create()["id"]
        assert 0 < told(ws, "backup", "copying", 1)["bytes"] <= 30_000_000
        told(ws, "backup", "reading")
        done, made = ended(ws, "backup"), kept.done(asked)
        assert made["bytes"] > 25_000_000 and made["files"] >= 2
        assert (done["percent"], done["files"], done["bytes"]) == (100, made["files"], made["bytes"])
        (kept.workspace / "big").unlink()
        asked = expect(kept.api.post(f"/backups/{made['id']}/restore", {}), 202)["id"]
        told(ws, "restore", "fetching")
        done, restored = ended(ws, "restore"), kept.restored(asked)
    assert (restored["files"], restored["bytes"]) == (done["files"], done["bytes"]) == (made["files"], made["bytes"])


def test_one_file(kept: Kept) -> None:
    kept.write("MEMORY.md", b"first\n")
    kept.write("other.md", b"other\n")
    made = kept.backup()
    kept.write("MEMORY.md", b"second\n")
    kept.write("other.md", b"stays\n")
    restored = kept.restore(made["id"], path="workspace/MEMORY.md")
    assert restored["path"] == "workspace/MEMORY.md" and (restored["files"], restored["bytes"]) == (1, 6)
    assert (kept.workspace / "MEMORY.md").read_bytes() == b"first\n"
    assert (kept.workspace / "other.md").read_bytes() == b"stays\n"
    owner = (kept.workspace / "MEMORY.md").stat()
    assert (owner.st_uid, owner.st_gid) == (1000, 1000)
    kept.person.wait(kept.id, "running")
    for bad in ("../../etc/passwd", "/etc/passwd", "workspace/../../x", "etc", "workspace//x"):
        answer = kept.api.post(f"/backups/{made['id']}/restore", {"path": bad})
        assert answer.status == 400 and answer.json["error"]["details"]["field"] == "path", bad


def test_a_stopped_assistant_stays_stopped(kept: Kept) -> None:
    kept.write("a", b"1")
    made = kept.backup()
    kept.person.act(kept.id, "stop", "stopped")
    kept.write("a", b"2")
    kept.restore(made["id"])
    assert (kept.workspace / "a").read_bytes() == b"1"
    assert kept.person.instance(kept.id)["status"] == "stopped"
    assert all(c["State"] != "running" for c in kept.suite.containers(kept.id))


def test_into_another_assistant(kept: Kept, suite: Suite) -> None:
    kept.write("MEMORY.md", b"of the first\n")
    made = kept.backup()
    other = Kept(suite, kept.person, suite.telegram.bot())
    asked = expect(kept.api.post(f"/backups/{made['id']}/restore", {"to_instance": other.id}), 202)
    assert asked["instance_id"] == other.id
    other.restored(asked["id"])
    other.person.wait(other.id, "running")
    assert (other.workspace / "MEMORY.md").read_bytes() == b"of the first\n"


def test_looking_into_it(kept: Kept) -> None:
    kept.write("MEMORY.md", b"one\ntwo\nthree\n")
    kept.write("a/b", b"x" * 1000)
    first = kept.backup()
    files: dict[str, Any] = {}
    cursor = ""
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = expect(kept.api.get(f"/backups/{first['id']}/files?limit=2{more}"), 200)
        assert len(page["items"]) <= 2
        files |= {f["path"]: f for f in page["items"]}
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert files["workspace/MEMORY.md"]["size"] == 14 and files["workspace/a"]["type"] == "directory"
    text = expect(kept.api.get(f"/backups/{first['id']}/file/workspace/MEMORY.md"), 200)
    assert text["text"] == "one\ntwo\nthree\n"
    expect(kept.api.get(f"/backups/{first['id']}/file/workspace/none"), 404, "NOT_FOUND")

    kept.write("MEMORY.md", b"one\n2\nthree\n")
    kept.write("added", b"")
    (kept.workspace / "a" / "b").unlink()
    diff = expect(kept.api.get(f"/backups/{first['id']}/diff?path=workspace"), 200)
    changes = {c["path"]: c["change"] for c in diff["items"]}
    assert changes["workspace/MEMORY.md"] == "changed" and changes["workspace/added"] == "removed"
    assert changes["workspace/a/b"] == "added"
    diff = expect(kept.api.get(f"/backups/{first['id']}/diff?path=workspace/MEMORY.md"), 200)
    assert diff["text_diff"] == "@@ -1,3 +1,3 @@\n one\n-2\n+two\n three\n"

    second = kept.backup()
    third = kept.backup()
    versions = expect(kept.api.get(f"/instances/{kept.id}/memory/MEMORY.md/history"), 200)["items"]
    assert [(v["size"], v["backups"]) for v in versions] == [(12, 2), (14, 1)]
    assert versions[0]["backup_id"] in (second["id"], third["id"]) and versions[1]["backup_id"] == first["id"]
    # Each can be read, and put back, alone.
    read = [expect(kept.api.get(f"/backups/{v['backup_id']}/file/workspace/MEMORY.md"), 200)["text"] for v in versions]
    assert read == ["one\n2\nthree\n", "one\ntwo\nthree\n"]
    for version, text in reversed(list(zip(versions, read))):
        kept.restore(version["backup_id"], path="workspace/MEMORY.md")
        assert (kept.workspace / "MEMORY.md").read_text() == text and (kept.workspace / "added").exists()


def test_history_goes_over_all_backups(kept: Kept) -> None:
    """In pages that end between two versions, however many backups there are."""
    made = []
    for text in (b"1", b"22", b"22", b"333"):
        kept.write("MEMORY.md", text)
        made.append(kept.backup()["id"])
    # So many others in between, of which the store knows nothing any more.
    kept.suite.sql("INSERT INTO backups (instance_id, user_id, kind, status, is_stored, created_at) SELECT instance_id, user_id,"
                   " kind, 'done', true, created_at - interval '1 us' FROM backups, generate_series(1, 520) WHERE id = %s", made[1])
    pages, cursor = [], ""
    while cursor is not None and len(pages) < 10:
        page = expect(kept.api.get(f"/instances/{kept.id}/memory/MEMORY.md/history?limit=1" + (f"&cursor={cursor}" if cursor else "")),
                      200)
        pages.append([(v["backup_id"], v["size"], v["backups"]) for v in page["items"]])
        cursor = page["next_cursor"]
    assert pages == [[(made[3], 3, 1)], [(made[1], 2, 2)], [(made[0], 1, 1)]]
    whole, cursor = [], ""
    while cursor is not None and len(whole) < 10:  # one page, unless the time for one was over
        page = expect(kept.api.get(f"/instances/{kept.id}/memory/MEMORY.md/history" + (f"?cursor={cursor}" if cursor else "")), 200)
        whole += [v["size"] for v in page["items"]]
        cursor = page["next_cursor"]
    assert whole == [3, 2, 1] and cursor is None
    answer = kept.api.get(f"/instances/{kept.id}/memory/MEMORY.md/history?cursor=none")
    assert answer.status == 400 and answer.json["error"]["details"]["field"] == "cursor"
    kept.suite.sql("DELETE FROM backups WHERE instance_id = %s AND started_at IS NULL", kept.id)


def test_verify(kept: Kept) -> None:
    made = kept.backup()
    expect(kept.api.post(f"/backups/{made['id']}/verify", {}), 202)
    wait_until(lambda: kept.done(made["id"])["verified_at"] > made["verified_at"], 30 * SLOW, "it is verified again")


def trials(suite: Suite) -> list[dict[str, Any]]:
    return [c for c in suite.containers() if "zaki.trial" in c["Labels"]]


def nothing_tried(suite: Suite) -> bool:
    return not trials(suite) and not suite.sql("SELECT 1 FROM trials") and not list(suite.data(".scratch").glob("trial-*"))


def test_a_drill_starts_the_assistant_from_what_it_restored(kept: Kept, suite: Suite) -> None:
    """Without a network, so that it polls no bot, and never beside another trial."""
    steer = suite.data(kept.person.id, kept.id, ".openclaw", "stub.json")
    steer.write_text('{"ready_ms": 2000}')  # long enough to be looked at
    os.chown(steer, 1000, 1000)
    made = kept.backup()
    steer.unlink()
    with suite.socket(kept.person.access_token) as ws:
        ws.subscribe(f"instance.{kept.id}")
        suite.sql("UPDATE backup_targets SET next_drill_at = now() - interval '1 s' WHERE instance_id = %s", kept.id)
        box = suite.engine.json("GET", f"/containers/{wait_until(lambda: trials(suite), 40 * SLOW)[0]['Id']}/json")
        told = ws.expect("backup.status", 40 * SLOW, lambda f: f["data"]["work"] == "drill" and f["data"]["status"] == "done")
    host, own = box["HostConfig"], suite.engine.json("GET", f"/containers/{suite.containers(kept.id)[0]['Id']}/json")
    assert host["NetworkMode"] == "none" and not host["PortBindings"] and host["RestartPolicy"]["Name"] == "no"
    assert host["Memory"] == own["HostConfig"]["Memory"] and box["Config"]["Image"] == own["Config"]["Image"]
    assert kept.id not in (box["Config"]["Labels"].get("zaki.instance"), box["Name"])
    seen = kept.done(made["id"])
    assert seen["proven_at"] and expect(kept.api.get(f"/instances/{kept.id}/backups"), 200)["last_proven_at"] == seen["proven_at"]
    assert seen["trial_ms"] == told["data"]["trial_ms"] > 0 and seen["trial_at"] and not seen["trial_error"]
    assert nothing_tried(suite)
    assert kept.person.instance(kept.id)["status"] == "running"
    assert 'zaki_backup_trials_total{service="storage-backup"' in metrics(suite)


def test_one_that_does_not_start_is_alarmed(kept: Kept, suite: Suite) -> None:
    steer = suite.data(kept.person.id, kept.id, ".openclaw", "stub.json")
    kept.person.act(kept.id, "stop", "stopped")
    steer.write_text('{"exit_after_ms": 1, "exit_code": 3}')
    os.chown(steer, 1000, 1000)
    bad = kept.backup()
    steer.unlink()
    kept.person.act(kept.id, "start", "running")
    with suite.socket(kept.person.access_token) as ws:
        ws.subscribe(f"instance.{kept.id}")
        said = zakictl(suite, "backups", "drill", bad["id"])
        assert said.status == 1 and "does not start from it: It ended with status 3." in said.err, said
        assert ws.expect("backup.alert", 40 * SLOW)["data"]["problem"] == "unstartable"
    seen = expect(kept.api.get(f"/backups/{bad['id']}"), 200)
    assert seen["status"] == "done" and seen["trial_error"] == "It ended with status 3."
    assert not seen["proven_at"] and seen["trial_ms"] is None
    assert nothing_tried(suite)
    # It is tried again soon, with the newest; this one starts.
    due = suite.sql("SELECT next_drill_at - now() AS due FROM backup_targets WHERE instance_id = %s", kept.id)[0]["due"]
    assert due.total_seconds() <= 6 * 3600
    said = zakictl(suite, "backups", "drill", kept.backup()["id"])
    assert said.status == 0 and "the assistant started from it in " in said.out, said
    wait_until(lambda: not suite.sql("SELECT 1 FROM backup_targets WHERE problem <> ''"), 30 * SLOW)


def test_asking_twice_makes_one(kept: Kept) -> None:
    key = idempotency()
    one = expect(kept.api.post(f"/instances/{kept.id}/backups", {}, headers=key), 202)
    two = expect(kept.api.post(f"/instances/{kept.id}/backups", {}, headers=key), 202)
    assert one["id"] == two["id"]
    kept.done(one["id"])


def test_so_many_a_day_by_hand(kept: Kept, suite: Suite) -> None:
    """As the tier says; the schedule's own are not counted, and yesterday's are over."""
    made = kept.backup()
    suite.sql("INSERT INTO backups (instance_id, user_id, kind, status) SELECT instance_id, user_id, kind, 'failed' FROM backups, "
              "generate_series(1, 23) WHERE id = %s", made["id"])
    late = kept.api.post(f"/instances/{kept.id}/backups", {})
    expect(late, 429, "RATE_LIMITED")
    assert 0 < int(late.headers["Retry-After"]) <= 86400
    suite.sql("UPDATE users SET subscription_tier = 'pro' WHERE id = %s", kept.person.id)
    kept.backup()
    suite.sql("UPDATE users SET subscription_tier = 'free' WHERE id = %s", kept.person.id)
    suite.sql("UPDATE backups SET created_at = created_at - interval '1 day' WHERE user_id = %s", kept.person.id)
    kept.backup()


def test_nobody_elses(kept: Kept, bob: Person) -> None:
    made = kept.backup()
    restore = kept.suite.sql("INSERT INTO restores (backup_id, instance_id, user_id, status, finished_at) "
                             "SELECT id, instance_id, user_id, 'done', now() FROM backups WHERE id = %s RETURNING id", made["id"])
    expect(kept.api.get(f"/restores/{restore[0]['id']}"), 200)
    for path in (f"/instances/{kept.id}/backups", f"/backups/{made['id']}", f"/backups/{made['id']}/files",
                 f"/backups/{made['id']}/diff", f"/backups/{made['id']}/file/workspace/x",
                 f"/instances/{kept.id}/memory/x/history", f"/restores/{restore[0]['id']}"):
        expect(bob.api.get(path), 404, "NOT_FOUND")
    for path in (f"/instances/{kept.id}/backups", f"/backups/{made['id']}/restore", f"/backups/{made['id']}/verify"):
        expect(bob.api.post(path, {}), 404, "NOT_FOUND")
    own = Kept(kept.suite, bob, kept.suite.telegram.bot())
    expect(bob.api.post(f"/backups/{made['id']}/restore", {"to_instance": own.id}), 404, "NOT_FOUND")
    hers = own.backup()
    expect(bob.api.post(f"/backups/{hers['id']}/restore", {"to_instance": kept.id}), 404, "NOT_FOUND")


def test_the_schedule_makes_up_for_what_was_missed(kept: Kept, suite: Suite) -> None:
    """The clock's columns are moved, as an outage of days would leave them: one full backup comes of it."""
    assert not kept.list()  # whoever is asked about is known at once
    suite.sql("UPDATE backup_targets SET next_full_at = now() - interval '5 days',"
              " next_incremental_at = now() - interval '5 days' WHERE instance_id = %s", kept.id)
    wait_until(lambda: [b for b in kept.list() if b["kind"] == "full" and b["status"] == "done"], 40 * SLOW)
    assert len(kept.list()) == 1
    due = suite.sql("SELECT next_full_at - now() AS full, next_incremental_at - now() AS more FROM backup_targets"
                    " WHERE instance_id = %s", kept.id)[0]
    assert 22 < due["full"].total_seconds() / 3600 < 26 and 5 < due["more"].total_seconds() / 3600 < 7
    suite.sql("UPDATE backup_targets SET next_incremental_at = now() WHERE instance_id = %s", kept.id)
    wait_until(lambda: [b for b in kept.list() if b["kind"] == "incremental" and b["status"] == "done"], 40 * SLOW)


def test_a_clock_that_was_wrong_and_is_set_back(kept: Kept, suite: Suite) -> None:
    """What a wrong clock put off by years comes within its period; and a good backup of a time that is still to come
    hides no failure."""
    made = kept.backup()
    waits = suite.sql("INSERT INTO backup_jobs (work, scope, user_id, instance_id, backup_id, next_try_at) VALUES ('verify', %s, %s, %s,"
                      " %s, now() + interval '3 years') RETURNING id", kept.id, kept.person.id, kept.id, made["id"])[0]["id"]
    suite.sql("UPDATE backup_targets SET next_full_at = now() + interval '3 years', next_incremental_at = now() + interval '3 years',"
              " next_drill_at = now() + interval '3 years' WHERE instance_id = %s", kept.id)
    wait_until(lambda: suite.sql("SELECT 1 FROM backup_targets WHERE instance_id = %s AND next_full_at <= now() + interval '24 hours'"
                                 " AND next_incremental_at <= now() + interval '6 hours' AND next_drill_at <= now() + interval '7 days'",
                                 kept.id), 30 * SLOW, "it is due within its periods")
    wait_until(lambda: suite.sql("SELECT 1 FROM backup_jobs WHERE id = %s AND status = 'done'", waits), 30 * SLOW)
    with suite.socket(kept.person.access_token) as ws:
        ws.subscribe(f"instance.{kept.id}")
        suite.sql("UPDATE backups SET created_at = now() + interval '3 years' WHERE id = %s", made["id"])
        suite.sql("INSERT INTO backups (instance_id, user_id, kind, status, expires_at) VALUES (%s, %s, 'manual', 'failed',"
                  " now() + interval '1 day')", kept.id, kept.person.id)
        assert ws.expect("backup.alert", 40 * SLOW)["data"]["problem"] == "failed"
    kept.backup()
    wait_until(lambda: not suite.sql("SELECT 1 FROM backup_targets WHERE problem <> ''"), 30 * SLOW)


def test_retention_keeps_the_newest(kept: Kept, suite: Suite) -> None:
    old, new = kept.backup(), kept.backup()
    suite.sql("UPDATE backups SET expires_at = now() - interval '1 day' WHERE instance_id = %s", kept.id)
    suite.sql("INSERT INTO backup_users (user_id) VALUES (%s) ON CONFLICT (user_id) DO UPDATE SET next_prune_at = now()",
              kept.person.id)
    wait_until(lambda: [b["id"] for b in kept.list()] == [new["id"]], 40 * SLOW, "the old one is gone")
    expect(kept.api.get(f"/backups/{old['id']}"), 404)
    kept.restore(new["id"])


def test_a_failed_one_is_said_and_alarmed(kept: Kept, suite: Suite) -> None:
    kept.backup()
    manifest_gone = kept.backup()
    for path in Path(suite.env["STORAGE_URL"].removeprefix("file://")).rglob(f"*{manifest_gone['id']}*"):
        subprocess.run(["rm", "-rf", str(path)], check=True)
    with suite.socket(kept.person.access_token) as ws:
        ws.subscribe(f"instance.{kept.id}")
        expect(kept.api.post(f"/backups/{manifest_gone['id']}/verify", {}), 202)
        alert = ws.expect("backup.alert", 40 * SLOW)
    assert alert["data"]["problem"] == "damaged"
    seen = expect(kept.api.get(f"/backups/{manifest_gone['id']}"), 200)
    assert seen["status"] == "damaged" and seen["error"]
    expect(kept.api.post(f"/backups/{manifest_gone['id']}/restore", {}), 409, "CONFLICT")
    # A full one is made at once, and then all is well again.
    wait_until(lambda: [b for b in kept.list() if b["kind"] == "full" and b["status"] == "done"], 60 * SLOW)
    wait_until(lambda: not suite.sql("SELECT 1 FROM backup_targets WHERE problem <> ''"), 30 * SLOW)


def test_what_is_damaged_in_the_store_is_made_good(kept: Kept, suite: Suite) -> None:
    """Bits that turn in the store: whichever backup needs them is said to be damaged as soon as one is seen to be,
    and the next one stores them anew, so that what is there now can be restored."""
    kept.write("MEMORY.md", os.urandom(300_000))
    first, second = kept.backup(), kept.backup()
    store = Path(suite.env["STORAGE_URL"].removeprefix("file://"))
    for pack in (store / "users" / kept.person.id / "chunks").iterdir():
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
    before = kept.tree()
    third = kept.backup()  # leans on them, is read back, and made anew
    state = {b["id"]: b["status"] for b in kept.list()}  # the full one may be there, too
    assert [state[b["id"]] for b in (first, second, third)] == ["damaged", "damaged", "done"]
    expect(kept.api.post(f"/backups/{first['id']}/restore", {}), 409, "CONFLICT")
    kept.write("MEMORY.md", b"overwritten")
    kept.restore(third["id"])
    assert kept.tree() == before
    wait_until(lambda: [b for b in kept.list() if b["kind"] == "full" and b["status"] == "done"], 60 * SLOW, "a full one is due")
    wait_until(lambda: not suite.sql("SELECT 1 FROM backup_targets WHERE problem <> ''"), 30 * SLOW)


def test_what_is_overdue_or_unproven_is_alarmed(kept: Kept, suite: Suite) -> None:
    made = kept.backup()
    with suite.socket(kept.person.access_token) as ws:
        ws.subscribe(f"instance.{kept.id}")
        suite.sql("UPDATE backup_targets SET created_at = now() - interval '60 days' WHERE instance_id = %s", kept.id)
        assert ws.expect("backup.alert", 40 * SLOW)["data"]["problem"] == "unproven"
        suite.sql("UPDATE backups SET created_at = now() - interval '20 hours' WHERE id = %s", made["id"])
        assert ws.expect("backup.alert", 40 * SLOW)["data"]["problem"] == "overdue"
    newer = kept.backup()
    suite.sql("UPDATE backup_targets SET next_drill_at = now() WHERE instance_id = %s", kept.id)
    wait_until(lambda: kept.done(newer["id"])["proven_at"], 40 * SLOW, "a drill has proven it")
    wait_until(lambda: not suite.sql("SELECT 1 FROM backup_targets WHERE problem <> '' AND instance_id = %s", kept.id),
               30 * SLOW, "all is well again")


def test_a_dump_of_the_platform_that_is_overdue_is_alarmed(suite: Suite) -> None:
    """In /health, in the figures for Prometheus, and by zakictl; until there is one again."""
    def shown(name: str) -> float:
        return float(re.findall(rf"^{name}{{[^}}]*}} (\S+)$", metrics(suite), re.M)[0])

    suite.sql("UPDATE platform_dump_plan SET next_at = now() + interval '1 day'")
    assert zakictl(suite, "backups", "dump").status == 0
    wait_until(lambda: time.time() - shown("zaki_platform_dump_last_success_timestamp_seconds") < 600, 30 * SLOW)
    assert shown("zaki_platform_dump_not_well") == 0
    suite.sql("UPDATE platform_dumps SET created_at = created_at - interval '60 days'")
    suite.sql("UPDATE platform_dump_plan SET created_at = created_at - interval '60 days'")
    suite.sql("INSERT INTO platform_dumps (id) VALUES ('20000101T000000Z-0000000000000000')")  # one is being made, it seems
    wait_until(lambda: shown("zaki_platform_dump_not_well") == 1, 30 * SLOW, "it is alarmed")
    assert time.time() - shown("zaki_platform_dump_last_success_timestamp_seconds") > 59 * 86400
    said = zakictl(suite, "backups", "dumps")
    assert said.status == 1 and "the platform's dump is overdue" in said.err, said
    assert parts(suite.api.get("=/health"))["backups"] == "down"
    assert zakictl(suite, "backups", "dump").status == 0
    wait_until(lambda: shown("zaki_platform_dump_not_well") == 0, 30 * SLOW, "all is well again")
    assert zakictl(suite, "backups", "dumps").status == 0


def test_the_store_ends_with_the_account(kept: Kept, suite: Suite) -> None:
    kept.backup()
    store = Path(suite.env["STORAGE_URL"].removeprefix("file://"))
    assert list(store.rglob(f"*{kept.person.id}*"))
    expect(kept.api.delete("/users/me"), 202)
    wait_until(lambda: not suite.sql("SELECT 1 FROM users WHERE id = %s", kept.person.id), 60 * SLOW, "the account is gone")
    assert not [p for p in store.rglob("*") if kept.person.id in str(p) and p.is_file()]
    for table in ("backups", "backup_targets", "backup_jobs", "restores", "backup_users"):
        assert not suite.sql(f"SELECT 1 FROM {table} WHERE user_id = %s", kept.person.id), table


def test_backups_outlive_their_assistant(kept: Kept) -> None:
    kept.write("MEMORY.md", b"kept\n")
    made = kept.backup()
    kept.person.remove(kept.id)
    assert expect(kept.api.get(f"/backups/{made['id']}"), 200)["status"] == "done"
    other = Kept(kept.suite, kept.person, kept.suite.telegram.bot())
    asked = expect(kept.api.post(f"/backups/{made['id']}/restore", {"to_instance": other.id}), 202)
    other.restored(asked["id"])
    assert (other.workspace / "MEMORY.md").read_bytes() == b"kept\n"


def test_nothing_of_it_can_be_read_in_the_store(kept: Kept, suite: Suite) -> None:
    kept.write("MEMORY.md", SECRET_TEXT.encode() * 100)
    kept.write("copy/of-a-telling-name.md", SECRET_TEXT.encode() * 100)
    kept.backup()
    store = Path(suite.env["STORAGE_URL"].removeprefix("file://"))
    objects = [p for p in store.rglob("*") if p.is_file()]
    assert objects
    for path in objects:
        data = path.read_bytes()
        for word in (SECRET_TEXT.encode(), b"of-a-telling-name", b"MEMORY.md", b"SQLite format"):
            assert word not in data, f"{word!r} is in {path}"
        assert "telling" not in str(path)


def test_two_share_the_work(suite: Suite, kept: Kept) -> None:
    """Either takes what the other has not: each asked-for backup is made once."""
    def done_by(name: str) -> set[str]:
        lines = [line for line in suite.log(name).splitlines() if '"work done"' in line]
        return {b for b in asked if any(b in line for line in lines)}

    asked: list[str] = []
    suite.start_extra("storage-backup", "storage-backup-2", {})
    try:
        others = [Kept(suite, Person.new(suite.api), suite.telegram.bot()) for _ in range(3)]
        for _ in range(10):
            round_of = [(k, k.create()["id"]) for k in (kept, *others)]
            asked += [backup for _, backup in round_of]
            for k, backup in round_of:
                k.done(backup)
            if done_by("storage-backup") and done_by("storage-backup-2"):
                break
        first, second = done_by("storage-backup"), done_by("storage-backup-2")
        assert first and second and not first & second and first | second == set(asked)
    finally:
        assert suite.end_extra("storage-backup-2") == "stopped"


def killed_at_work(suite: Suite, kept: Kept) -> str:
    """A backup whose maker was killed with -9, and that is that one's own for a day. Again where it was done before."""
    of_it = "WHERE backup_id = %s AND lease_owner IS NOT NULL"
    for _ in range(3):
        kept.write("big", os.urandom(100_000_000))
        asked = str(kept.create()["id"])
        wait_until(lambda: suite.sql(f"SELECT 1 FROM backup_jobs {of_it}", asked) or  # pylint: disable=cell-var-from-loop
                   kept.api.get(f"/backups/{asked}").data["status"] == "done")  # pylint: disable=cell-var-from-loop
        suite.stack.kill_part("storage-backup", hold=True)
        if suite.sql(f"UPDATE backup_jobs SET lease_until = now() + interval '1 day' {of_it} RETURNING id", asked):
            return asked
        suite.stack.start_part("storage-backup")
    raise AssertionError("each was done before its maker was killed")


@pytest.mark.disturbs
def test_another_takes_over_at_once(suite: Suite, kept: Kept) -> None:
    """It does not wait for the lease of a dead one to run out."""
    asked = killed_at_work(suite, kept)
    try:
        suite.start_extra("storage-backup", "storage-backup-2", {})
        kept.done(asked)
        wait_until(lambda: any('"work done"' in line and asked in line
                               for line in suite.log("storage-backup-2").splitlines()), what="the other made it")
        suite.end_extra("storage-backup-2")
    finally:
        suite.stack.start_part("storage-backup")
