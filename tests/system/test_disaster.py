"""The loss of a machine: a platform whose store and two secrets are all that is left comes back on an
empty one, with everybody's password, second factor, keys, assistants and files."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

import psycopg2
import pytest

from stack.postgres import url as database_url
from test_second_factor import App, enrolled, login
from zaki.api import Api, expect
from zaki.kept import Kept
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import BIN, BUILD, PROJECT, SLOW, Suite
from zaki.telegram import Bot

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the assistants' files belong to another user")

LEFT_OUT = {
    "sessions": "people sign in anew: what was revoked must not come alive again", "refresh_tokens": "as sessions",
    "ended_sessions": "as sessions", "mail_outbox": "mails under way", "email_tokens": "mailed links: they are asked for anew",
    "email_changes": "as email_tokens", "sign_in_failures": "guesses of the last minutes", "platform": "a new machine is another",
    "operations": "what was under way on the machine", "instance_links": "links are made anew", "link_holders": "of processes",
    "owner_links": "open for minutes: without it people are approved by their requests",
    "event_outbox": "events under way", "event_outbox_backup": "events under way", "restores": "work under way",
    "backup_jobs": "work under way", "backup_users": "figures of the last clearing", "platform_dumps": "the store says",
    "platform_dump_plan": "of this machine", "erased_users": "the store says", "mirrors": "the store says", "disaster_restore": "of this machine",
    "disaster_assistants": "of this machine", "trials": "of this machine", "schema_migrations": "in the dump's head", "idempotency_auth": "of the last day",
    "idempotency_instance": "of the last day", "idempotency_backup": "of the last day",
}


def zakictl(*argv: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / "zakictl"), *argv], env={"PATH": "/usr/bin:/bin", **env}, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180 * SLOW)


def dump(suite: Suite) -> str:
    done = zakictl("backups", "dump", env={"ZAKICTL_NATS_URL": suite.env["ZAKICTL_NATS_URL"]})
    assert done.returncode == 0, done.stdout
    time.sleep(1.1)  # a dump's name has its second: which of two in one is the newer is left to chance
    return str(suite.sql("SELECT id FROM platform_dumps WHERE status = 'done' ORDER BY created_at DESC LIMIT 1")[0]["id"])


# What the newest migrations did to tables that a dump holds, taken back: so a platform of an earlier
# build has them.
OLDER = {
    ("storage-backup", 3): ("DROP TABLE mirrors",
                            "ALTER TABLE backups DROP COLUMN trial_at, DROP COLUMN trial_ms, DROP COLUMN trial_error"),
    ("instance-manager", 10): ("DROP TABLE trials",),
}


def older_dump(suite: Suite) -> str:
    """A dump that an earlier build would have made. zakictl cannot ask for it: only the dumping itself
    works with this schema."""
    had = {r["id"] for r in suite.sql("SELECT id FROM platform_dumps")}
    undone = 0
    for (service, version), undos in OLDER.items():
        later = suite.sql("SELECT 1 FROM schema_migrations WHERE service = %s AND version > %s", service, version)
        if len(later) == len(undos):  # else what came after it might need it
            for undo in undos:
                suite.sql(undo)
            suite.sql("DELETE FROM schema_migrations WHERE service = %s AND version > %s", service, version)
            undone += len(undos)
    assert undone, "say in OLDER how the newest migrations are taken back"
    suite.sql("UPDATE platform_dump_plan SET next_at = now()")
    made = wait_until(lambda: [r["id"] for r in suite.sql("SELECT id FROM platform_dumps WHERE status = 'done'")
                               if r["id"] not in had], 60 * SLOW, "the older dump is made")
    suite.sql("UPDATE platform_dump_plan SET next_at = now() + interval '1 day'")
    # A second one may have begun before that: the next that is asked for is not to be that one.
    wait_until(lambda: not suite.sql("SELECT 1 FROM platform_dumps WHERE status NOT IN ('done', 'failed')"), 60 * SLOW,
               "no dump is under way")
    done = zakictl("migrate", env={"DATABASE_URL": suite.stack.database_url()})
    assert done.returncode == 0 and done.stdout.count("applied ") == undone, done.stdout
    time.sleep(1.1)
    return str(made[0])


def chunks(store: Path, person: str) -> set[Path]:
    return set((store / "users" / person / "chunks").iterdir())


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@dataclass
class Lost:
    """What was, and what is left of it."""

    store: Path
    secrets: dict[str, str] = field(default_factory=dict)
    ada: Any = None
    bob: Any = None
    app: App | None = None
    key: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    trees: dict[str, Any] = field(default_factory=dict)
    bots: dict[str, Bot] = field(default_factory=dict)
    erased: str = ""
    dumps: list[str] = field(default_factory=list)
    older: str = ""
    words: list[str] = field(default_factory=list)


def live(suite: Suite, lost: Lost) -> None:
    """A platform's life until the machine is lost."""
    ada, bob, eve = (Person.new(suite.api, name) for name in ("Ada Lovelace", "Bob", "Eve"))
    suite.sql("UPDATE platform_dump_plan SET next_at = now() + interval '1 day'")
    lost.app, _ = enrolled(ada)
    lost.key = expect(ada.api.post("/users/me/api-keys", {"name": "Script", "scope": "write"}), 201)["key"]
    kept = {name: Kept(suite, person, suite.telegram.bot()) for name, person in (("ada", ada), ("bob", bob))}
    stopped = ada.provision(bot := suite.telegram.bot())["id"]
    ada.wait(stopped, "running")
    ada.act(stopped, "stop", "stopped")
    lost.bots = {kept["ada"].id: ada.bots[kept["ada"].id], kept["bob"].id: bob.bots[kept["bob"].id], stopped: bot}
    lost.ids = {"ada": kept["ada"].id, "bob": kept["bob"].id, "stopped": stopped}

    kept["ada"].write("MEMORY.md", b"# Memory\nlikes tea\n")
    kept["ada"].backup()
    kept["bob"].write("MEMORY.md", b"the good state\n")
    kept["bob"].backup()
    lost.trees["bob"] = kept["bob"].tree()
    lost.older = older_dump(suite)
    lost.dumps.append(dump(suite))

    lost.erased = eve.id
    expect(eve.api.delete("/users/me"), 202)
    wait_until(lambda: not suite.sql("SELECT 1 FROM users WHERE id = %s", eve.id), 60 * SLOW, "the account is gone")
    lost.dumps.append(dump(suite))

    # Newer than any dump: the store alone knows of it.
    kept["ada"].write("notes/today.md", os.urandom(100_000))
    kept["ada"].backup()
    lost.trees["ada"] = kept["ada"].tree()
    # Bob's newest is damaged: the one before it is to be taken.
    before = chunks(lost.store, bob.id)
    kept["bob"].write("MEMORY.md", os.urandom(200_000))
    kept["bob"].backup()
    for pack in chunks(lost.store, bob.id) - before:
        flip(pack)
    lost.ada, lost.bob = ada, bob
    lost.words = [ada.email, bob.email, "Ada Lovelace", bot.token, bob.bots[kept["bob"].id].token, ada.id, stopped, "argon2id"]


@pytest.fixture(scope="module")
def lost() -> Iterator[Lost]:
    folder = Path(tempfile.mkdtemp(prefix="zaki-lost-"))
    it = Lost(folder / "store")
    suite = Suite({"STORAGE_URL": f"file://{it.store}"})
    try:
        suite.up()
        live(suite, it)
        it.secrets = {"ENCRYPTION_KEY": suite.stack.secrets.get("encryption"),
                      "IDENTITY_KEY": suite.stack.secrets.get("identity")}
        wrong = suite.destroy()
        assert not wrong, "\n".join(wrong)
        yield it
    finally:
        if suite.folder.exists():
            suite.destroy()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def anew(lost: Lost) -> Iterator[Suite]:
    """An empty machine."""
    suite = Suite({"STORAGE_URL": f"file://{lost.store}", **lost.secrets})
    try:
        suite.up()
        suite.sql("UPDATE platform_dump_plan SET next_at = now() + interval '1 day'")
        for bot in lost.bots.values():
            suite.telegram.post("/_control/bots", {"token": bot.token, "username": bot.username})
        yield suite
    finally:
        wrong = suite.destroy()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def env(lost: Lost, anew: Suite) -> dict[str, str]:
    return {"DATABASE_URL": anew.stack.database_url(), "STORAGE_URL": f"file://{lost.store}", **lost.secrets}


def is_empty(suite: Suite) -> bool:
    return all(not suite.sql(f"SELECT 1 FROM {table}") for table in ("users", "instances", "backups", "disaster_restore"))


def test_every_table_is_in_the_dump_or_left_out_for_a_reason(anew: Suite) -> None:
    dumped = re.findall(r"^DUMP_TABLE\((\w+),", (PROJECT / "services/storage-backup/dump/tables.def").read_text(), re.M)
    there = {r["tablename"] for r in anew.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert there == set(dumped) | set(LEFT_OUT) and not set(dumped) & set(LEFT_OUT)
    for row in anew.sql("SELECT table_name, is_identity FROM information_schema.columns"
                        " WHERE table_schema = 'public' AND column_name = 'id'"):
        line = f"DUMP_TABLE({row['table_name']},"
        for text in (PROJECT / "services/storage-backup/dump/tables.def").read_text().splitlines():
            if text.startswith(line):
                assert ("NUMBERED" in text) == (row["is_identity"] == "YES"), text


def test_the_dumps_are_sealed(lost: Lost) -> None:
    objects = [p for p in (lost.store / "platform").rglob("*") if p.is_file()]
    assert len([p for p in objects if p.name == "head"]) == 3 and len(objects) > 10
    for path in objects:
        data = path.read_bytes()
        for word in lost.words:
            assert word.encode() not in data and word not in str(path), path
    assert lost.erased not in " ".join(map(str, objects))


def test_another_program_reads_a_dump(lost: Lost) -> None:
    """By docs/BACKUP_FORMAT.md alone."""
    sys.path.append(str(PROJECT / "tests" / "vault"))
    from reader import Dump  # pylint: disable=import-outside-toplevel,import-error

    first, second = (Dump(lost.store, name, lost.secrets["ENCRYPTION_KEY"].encode()) for name in lost.dumps)
    assert {u["email"] for u in second.tables["users"]} == {lost.ada.email, lost.bob.email}
    assert {u["id"] for u in first.tables["users"]} == {lost.ada.id, lost.bob.id, lost.erased}
    assert {i["id"] for i in second.tables["instances"]} == set(lost.ids.values())
    assert second.created_ms > first.created_ms and set(second.schemas) == {"auth", "instance-manager", "storage-backup"}
    # What is sealed in the database is sealed in the dump as well.
    assert all(lost.bots[i["id"]].token not in str(i) for i in second.tables["instances"])
    assert first.erased == {lost.erased}


def test_a_wrong_secret_is_refused(anew: Suite, env: dict[str, str]) -> None:
    done = zakictl("disaster-restore", env={**env, "ENCRYPTION_KEY": "x" * 64})
    assert done.returncode == 1 and "was made with another ENCRYPTION_KEY" in done.stdout, done.stdout
    for wrong, said in (("", "is needed: 1 people have a second factor"), ("y" * 64, "is not the one")):
        done = zakictl("disaster-restore", env={**env, "IDENTITY_KEY": wrong})
        assert done.returncode == 2 and f"IDENTITY_KEY {said}" in done.stdout, done.stdout
    done = zakictl("disaster-restore", env={**env, "STORAGE_URL": env["STORAGE_URL"] + "/elsewhere"})
    assert done.returncode == 1 and "holds no dump" in done.stdout, done.stdout
    for odd in (("--dump", "../x"), ("--what",), ("--dump",)):
        assert zakictl("disaster-restore", *odd, env=env).returncode == 2
    assert is_empty(anew)


def test_a_dry_run_says_what_would_be_done(anew: Suite, lost: Lost, env: dict[str, str]) -> None:
    done = zakictl("disaster-restore", "--dry-run", env=env)
    assert done.returncode == 0, done.stdout
    assert lost.dumps[1] in done.stdout and "2 accounts and 3 assistants" in done.stdout
    assert f"assistant {lost.ids['ada']}: backup" in done.stdout
    assert is_empty(anew)


def test_the_newest_good_dump_is_taken(anew: Suite, lost: Lost, env: dict[str, str]) -> None:
    part = lost.store / "platform" / "dumps" / lost.dumps[1] / "000000"
    good = part.read_bytes()
    flip(part)
    done = zakictl("disaster-restore", "--dry-run", env=env)
    assert done.returncode == 0, done.stdout
    assert re.search(rf"dump {lost.dumps[1]} is not good: .*000000.*damaged", done.stdout), done.stdout
    assert f"dump {lost.dumps[0]} of" in done.stdout
    # It knew the account that was erased since.
    assert f"account {lost.erased} was erased after the dump: it stays so" in done.stdout
    assert "2 accounts and 3 assistants" in done.stdout
    part.unlink()
    done = zakictl("disaster-restore", "--dry-run", env=env)
    assert done.returncode == 0 and "000000: is missing" in done.stdout, done.stdout
    done = zakictl("disaster-restore", "--dry-run", "--dump", lost.dumps[1], env=env)
    assert done.returncode == 1 and "000000: is missing" in done.stdout, done.stdout
    part.write_bytes(good)
    assert is_empty(anew)


def kept_of(suite: Suite, person: Person, instance: str) -> Kept:
    kept = Kept.__new__(Kept)
    kept.suite, kept.person, kept.api, kept.id = suite, person, person.api, instance
    return kept


def came_back(suite: Suite, lost: Lost, person: Person, name: str) -> None:
    instance = lost.ids[name]
    shown = person.wait(instance, "running", 90 * SLOW)
    assert shown["bot_username"] == lost.bots[instance].username
    assert kept_of(suite, person, instance).tree() == lost.trees[name]
    assert lost.bots[instance].token in suite.data(person.id, instance, ".openclaw", "openclaw.json").read_text()


def test_a_dump_of_an_older_schema_is_loaded_and_then_migrated(anew: Suite, lost: Lost, env: dict[str, str]) -> None:
    """Into a database without any schema. The daemons of that one are waited for, in vain."""
    admin = database_url("postgres", anew.stack.secrets.get("postgres_superuser"), anew.stack.ports.get("POSTGRES_PORT"))
    with contextlib.closing(psycopg2.connect(admin)) as db:
        db.autocommit = True
        db.cursor().execute("CREATE DATABASE older OWNER zaki_owner")
    with contextlib.closing(psycopg2.connect(admin.rpartition("/")[0] + "/older")) as db:  # as deploy/postgres/roles.sql does it
        db.autocommit = True
        db.cursor().execute("ALTER SCHEMA public OWNER TO zaki_owner")
    url = env["DATABASE_URL"].rpartition("/")[0] + "/older"
    refused = zakictl("disaster-restore", "--dry-run", "--dump", lost.older, env={**env, "DATABASE_URL": url})
    assert refused.returncode == 1 and "has no schema yet" in refused.stdout, refused.stdout
    current = {r["service"]: r["v"] for r in anew.sql("SELECT service, max(version) AS v FROM schema_migrations GROUP BY 1")}
    wrong = zakictl("disaster-restore", "--dump", lost.older, env=env)
    assert wrong.returncode == 1 and "the dump is of schema" in wrong.stdout, wrong.stdout
    assert is_empty(anew)

    with subprocess.Popen([str(BIN / "zakictl"), "disaster-restore", "--dump", lost.older], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env={**env, "DATABASE_URL": url}) as restore, \
            contextlib.closing(psycopg2.connect(url)) as db:
        db.autocommit = True

        def ask(sql: str) -> list[Any]:
            assert restore.poll() is None, restore.stdout.read() if restore.stdout else ""
            with db.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()
        try:
            # The rows are in before the rest of the schema is made.
            wait_until(lambda: ask("SELECT to_regclass('disaster_assistants')")[0][0] and
                       ask("SELECT 1 FROM disaster_assistants") and
                       dict(ask("SELECT service, max(version) FROM schema_migrations GROUP BY 1")) == current,
                       60 * SLOW, "all is migrated")
            assert {r[0] for r in ask("SELECT email FROM users")} == {lost.ada.email, lost.bob.email}
            assert {r[0] for r in ask("SELECT id::text FROM instances")} == set(lost.ids.values())
            # As the migrations that came later leave rows which were there.
            assert ask("SELECT count(*) > 0, count(trial_at), count(trial_ms), count(trial_error) FROM backups") == [(True, 0, 0, 0)]
            assert ask("SELECT count(*) FROM platform_dump_plan") == [(1,)]
            assert ask("SELECT count(*) FROM trials") == [(0,)]
        finally:
            restore.kill()
    with contextlib.closing(psycopg2.connect(admin)) as db:
        db.autocommit = True
        db.cursor().execute("DROP DATABASE older WITH (FORCE)")


def test_the_platform_comes_back(anew: Suite, lost: Lost, env: dict[str, str]) -> None:
    points = re.findall(r'fault_point\("(disaster\.\w+)"\)',
                        "".join(p.read_text() for p in sorted((PROJECT / "tools/zakictl").glob("disaster*.c"))))
    assert len(points) == 5
    if BUILD != "release":
        for point in ("disaster.loading", "disaster.loaded", "disaster.choosing", "disaster.chosen", "disaster.following"):
            assert point in points
            done = zakictl("disaster-restore", env={**env, "ZAKI_FAULT": point})
            assert done.returncode == -signal.SIGKILL, (point, done.stdout)
            assert is_empty(anew) == (point == "disaster.loading"), point
    done = zakictl("disaster-restore", env=env)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert ("going on with the return from dump " + lost.dumps[1] in done.stdout) == (BUILD != "release")
    # The stopped one was perhaps backed up by the schedule, if it took long.
    assert re.search("(2 assistants restored, 1 begin|3 assistants restored, 0 begin) anew, 0 failed", done.stdout), done.stdout

    people = {}
    for name, old in (("ada", lost.ada), ("bob", lost.bob)):
        person = Person(Api(anew.api.base), old.email, old.password)
        assert lost.app
        answer = login(person, **({"code": lost.app.code()} if name == "ada" else {}))
        person.take(expect(answer, 200))
        assert person.id == old.id
        people[name] = person
        came_back(anew, lost, person, name)
    expect(login(Person(Api(anew.api.base), lost.ada.email, lost.ada.password)), 401, "SECOND_FACTOR_REQUIRED")
    expect(anew.api.as_user(lost.key).get("/users/me"), 200)
    expect(anew.api.as_user(lost.ada.access_token).get("/users/me"), 401)

    ada = people["ada"]
    assert ada.instance(lost.ids["stopped"])["status"] == "stopped"
    ada.act(lost.ids["stopped"], "start", "running")
    # What comes now goes on behind what was.
    told = expect(ada.api.get("/users/me/audit?limit=100"), 200)["items"]
    assert {"registered", "second_factor_enabled"} <= {a["action"] for a in told}
    again = kept_of(anew, ada, lost.ids["ada"])
    assert again.backup()["id"] in [b["id"] for b in again.list()]

    done = zakictl("disaster-restore", env=env)
    assert done.returncode == 1 and "is not empty" in done.stdout, done.stdout
