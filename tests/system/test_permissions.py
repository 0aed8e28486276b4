"""What the bus's users and the database's roles must not be able to do."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

import psycopg2
import pytest

from zaki.nats import Nats, Refused
from zaki.suite import DAEMONS, Suite
from zaki.tables import subjects

USERS = (*DAEMONS, "realtime-fanout-events", "zakictl", "operator")
SERVES = {"auth": "auth", "instance": "instance-manager", "realtime": "realtime-fanout",
          "backup": "storage-backup"}


def connect(suite: Suite, user: str) -> Nats:
    return Nats(suite.stack.nats_url(user), inbox=f"_INBOX_{user}")


def may_publish(suite: Suite, user: str, subject: str) -> bool:
    with connect(suite, user) as bus:
        bus.publish(subject, b"{}", reply=f"_INBOX_{user}.x")
        return not bus.refused("Permissions Violation for Publish")


def may_subscribe(suite: Suite, user: str, subject: str) -> bool:
    with connect(suite, user) as bus:
        bus.subscribe(subject)
        return not bus.refused("Permissions Violation for Subscription")


@pytest.mark.parametrize("user", USERS)
def test_only_the_gateway_speaks_for_people(suite: Suite, user: str) -> None:
    for s in subjects().values():
        if s.name.startswith("zaki.rpc."):
            # Nothing is asked for: the messages are refused, or break their schema.
            assert may_publish(suite, user, s.name) == (user == "gateway"), s.name


@pytest.mark.parametrize("user", USERS)
def test_nobody_takes_anothers_calls(suite: Suite, user: str) -> None:
    for part, owner in SERVES.items():
        for root in ("zaki.rpc", "zaki.int"):
            allowed = may_subscribe(suite, user, f"{root}.{part}.*")
            assert allowed == (user in (owner, "operator")), (user, f"{root}.{part}.*")


@pytest.mark.parametrize("user", USERS)
def test_nobody_reads_anothers_replies(suite: Suite, user: str) -> None:
    if user == "operator":
        return  # may listen to everything; what is secret is sealed (test_secrets)
    for other in USERS:
        assert may_subscribe(suite, user, f"_INBOX_{other}.>") == (user == other), other
    for subject in (">", "zaki.>", "_INBOX.>", "*.*.*.*", "$SYS.>"):
        assert not may_subscribe(suite, user, subject), subject


def test_the_operator_hears_all_and_says_nothing(suite: Suite) -> None:
    assert may_subscribe(suite, "operator", ">")
    for subject in ("zaki.int.auth.session_check", "zaki.int.instance.purge_user", "zaki.evt.user.x.session_ended",
                    "zaki.evt.instance.x.status", "zaki.rt.x", "_INBOX_gateway.x", "$JS.API.STREAM.DELETE.ZAKI_EVENTS",
                    "$JS.API.STREAM.PURGE.ZAKI_EVENTS", "$JS.API.STREAM.UPDATE.ZAKI_EVENTS", "anything"):
        assert not may_publish(suite, "operator", subject), subject


@pytest.mark.parametrize("user, subject", [
    ("gateway", "zaki.evt.instance.x.status"), ("gateway", "zaki.evt.user.x.session_ended"),
    ("gateway", "zaki.int.instance.purge_user"), ("gateway", "zaki.rt.x"),
    ("auth", "zaki.evt.instance.x.status"), ("auth", "zaki.rt.x"),
    ("instance-manager", "zaki.evt.user.x.session_ended"), ("instance-manager", "zaki.rt.x"),
    ("instance-manager", "zaki.int.instance.purge_user"),
    ("realtime-fanout", "zaki.evt.instance.x.status"), ("realtime-fanout", "zaki.evt.user.x.session_ended"),
    ("realtime-fanout", "zaki.int.instance.purge_user"), ("realtime-fanout", "zaki.rt.x"),
    ("realtime-fanout-events", "zaki.evt.instance.x.status"), ("realtime-fanout-events", "zaki.int.instance.state"),
    ("storage-backup", "zaki.evt.instance.x.status"), ("storage-backup", "zaki.evt.user.x.session_ended"),
    ("storage-backup", "zaki.int.instance.purge_user"),
])
def test_nobody_forges(suite: Suite, user: str, subject: str) -> None:
    assert not may_publish(suite, user, subject)


@pytest.mark.parametrize("user", [*DAEMONS, "realtime-fanout-events"])
def test_no_daemon_deletes_the_stream(suite: Suite, user: str) -> None:
    assert not may_publish(suite, user, "$JS.API.STREAM.DELETE.ZAKI_EVENTS")
    assert not may_publish(suite, user, "$JS.API.STREAM.PURGE.ZAKI_EVENTS")


@pytest.mark.parametrize("url", ["nats://{host}", "nats://gateway:wrong@{host}", "nats://nobody:x@{host}",
                                 "nats://gateway:@{host}"])
def test_strangers_stay_outside(suite: Suite, url: str) -> None:
    host = suite.stack.nats_url("gateway").rpartition("@")[2]
    with pytest.raises((Refused, ConnectionError)):
        with Nats(url.format(host=host)) as bus:
            bus.flush()
            raise AssertionError("came in")


# ---- PostgreSQL ----------------------------------------------------------------------------------

NOT_FOR = {
    "zaki_auth": [
        "SELECT 1 FROM instances", "SELECT 1 FROM provider_keys", "UPDATE instances SET desired = 'stopped'",
        "DELETE FROM audit_log", "UPDATE audit_log SET action = 'x'", "UPDATE audit_log SET user_id = NULL", "TRUNCATE audit_log",
        "UPDATE users SET subscription_tier = 'pro'", "TRUNCATE users",
    ],
    "zaki_instance_manager": [
        "SELECT 1 FROM users", "SELECT 1 FROM sessions", "SELECT 1 FROM refresh_tokens", "UPDATE users SET name = 'x'",
        "DELETE FROM audit_instance", "UPDATE audit_instance SET action = 'x'", "UPDATE instances SET user_id = id",
        "TRUNCATE instances", "UPDATE platform SET id = gen_random_uuid()",
    ],
    # It reads what its dumps hold, and nothing of sessions, tokens and mails.
    "zaki_storage_backup": [
        "SELECT 1 FROM sessions", "SELECT 1 FROM refresh_tokens", "SELECT 1 FROM email_tokens", "SELECT 1 FROM mail_outbox",
        "SELECT 1 FROM instance_links", "SELECT 1 FROM disaster_restore", "UPDATE users SET password_hash = 'x'",
        "DELETE FROM users", "INSERT INTO recovery_codes SELECT '', id FROM users", "DELETE FROM second_factors",
        "UPDATE api_keys SET scope = 'write'", "DELETE FROM audit_log", "UPDATE instances SET desired = 'stopped'",
        "UPDATE provider_keys SET name = 'x'", "TRUNCATE audit_instance", "SELECT nextval('audit_log_id_seq')",
    ],
}
NOT_FOR_ANY = [
    "CREATE TABLE x (a int)", "CREATE TEMP TABLE x (a int)", "CREATE SCHEMA x", "DROP TABLE instances", "DROP TABLE users",
    "ALTER TABLE users ADD COLUMN x int", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE ROLE x",
    "SET ROLE zaki_owner", "SET ROLE postgres", "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/passwd')", "SELECT passwd FROM pg_shadow", "ALTER ROLE CURRENT_USER SUPERUSER",
    "CREATE EXTENSION file_fdw", "DROP DATABASE zaki",
]


@pytest.mark.parametrize("role", NOT_FOR)
def test_roles_keep_to_their_tables(suite: Suite, role: str) -> None:
    for statement in NOT_FOR[role] + NOT_FOR_ANY:
        with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ActiveSqlTransaction)):
            suite.sql(statement, role=role)
            raise AssertionError(f"{role} may: {statement}")


@pytest.mark.parametrize("role", NOT_FOR)
def test_roles_reach_no_other_database(suite: Suite, role: str) -> None:
    for database in ("postgres", "template1"):
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(suite.stack.database_url(role).replace("/zaki", f"/{database}")).close()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(suite.stack.database_url(role).replace(f"{role}:", f"{role}:x")).close()


# ---- processes and files -------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user all daemons are that user")


@needs_root
def test_daemons_are_users_of_their_own(suite: Suite) -> None:
    uids, privileges = {}, {}
    for name, pid in suite.pids().items():
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        uids[name] = status["Uid"].split()[0]
        privileges[name] = (int(status["CapEff"], 16), status["NoNewPrivs"].strip())
    rooted = ("instance-manager", "storage-backup")  # they read and write what belongs to the containers
    apart = {name: uid for name, uid in uids.items() if name not in rooted}
    assert len(set(apart.values())) == len(apart) and "0" not in apart.values(), uids
    for name in ("gateway", "auth", "realtime-fanout"):
        assert uids[name] != "0" and privileges[name] == (0, "1"), name
    sys_admin, sys_ptrace, net_admin, sys_module = 1 << 21, 1 << 19, 1 << 12, 1 << 16
    for name in rooted:
        assert privileges[name][1] == "1"
        assert privileges[name][0] & (sys_admin | sys_ptrace | net_admin | sys_module) == 0


@needs_root
def test_secrets_are_files_for_one_daemon(suite: Suite) -> None:
    folder = suite.stack.paths.state / "secrets"
    uid = {d: Path(f"/proc/{p}").stat().st_uid for d, p in suite.pids().items()}
    for daemon in ("gateway", "auth", "realtime-fanout"):
        for secret in [p for p in folder.rglob("*") if p.is_file()]:
            read = subprocess.run(["setpriv", "--reuid", str(uid[daemon]), "--clear-groups", "--", "cat", str(secret)],
                                  capture_output=True, check=False)
            own = secret.parent.name == daemon
            assert (read.returncode == 0) == own, f"{daemon} and {secret.relative_to(folder)}"


def test_the_state_folder_is_private(suite: Suite) -> None:
    state = suite.stack.paths.state
    for name in ("log", "run.env", "settings.json"):
        assert (state / name).stat().st_mode & 0o077 == 0, name
    for data in suite.data().glob("*/*"):
        assert data.stat().st_mode & 0o007 == 0, data
    assert uuid.UUID(suite.platform())
