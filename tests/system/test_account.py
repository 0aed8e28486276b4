"""One's account: its sign-ins, what was done in it, its tier, and leaving for good with a way back."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any, Iterator

import psycopg2
import pytest

from zaki.api import Api, expect
from zaki.mail import mails_to, wait_mail
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import BIN, Suite
from zaki.telegram import Bot
from zaki.ws import CHECK_S


def again(person: Person, agent: str = "", address: str = "") -> Person:
    """The same person, signed in once more."""
    api = Api(person.api.base, headers={k: v for k, v in (("User-Agent", agent), ("X-Forwarded-For", address)) if v})
    other = Person(api, person.email, person.password)
    other.login()
    return other


# ---- sign-ins ------------------------------------------------------------------------------------

def test_sessions_show_where_one_is_signed_in(ada: Person) -> None:
    other = again(ada, "Phone/1.0", "203.0.113.50")
    items = expect(other.api.get("/auth/sessions"), 200)["items"]
    assert len(items) == 2 and [s["current"] for s in items].count(True) == 1
    mine = next(s for s in items if s["current"])
    assert (mine["device"], mine["address"]) == ("Phone/1.0", "203.0.113.50")
    assert mine["created_at"] <= mine["last_used_at"] < mine["expires_at"]
    for s in items:
        assert set(s) == {"id", "address", "device", "created_at", "last_used_at", "expires_at", "current"}


def test_one_session_is_ended(ada: Person) -> None:
    other = again(ada)
    theirs = next(s["id"] for s in expect(other.api.get("/auth/sessions"), 200)["items"] if s["current"])
    expect(ada.api.delete(f"/auth/sessions/{theirs}"), 200)
    expect(other.api.get("/users/me"), 401)
    expect(other.api.as_user("").post("/auth/refresh", {"refresh_token": other.refresh_token}), 401)
    expect(ada.api.get("/users/me"), 200)
    expect(ada.api.delete(f"/auth/sessions/{theirs}"), 404, "NOT_FOUND")


def test_all_others_are_ended(ada: Person) -> None:
    others = [again(ada) for _ in range(3)]
    assert expect(ada.api.delete("/auth/sessions"), 200) == {"ended": 3}
    for other in others:
        expect(other.api.get("/users/me"), 401)
    assert len(expect(ada.api.get("/auth/sessions"), 200)["items"]) == 1


def test_nobody_ends_anothers_session(ada: Person, bob: Person) -> None:
    mine = expect(ada.api.get("/auth/sessions"), 200)["items"][0]["id"]
    expect(bob.api.delete(f"/auth/sessions/{mine}"), 404, "NOT_FOUND")
    expect(ada.api.get("/users/me"), 200)


def test_a_session_ends_after_its_whole_life_and_after_idling(ada: Person, suite: Suite, api: Api) -> None:
    """However much it is used: 30 days; unused: 7 days, a refresh token's life."""
    row = suite.sql("SELECT extract(epoch FROM s.expires_at - s.created_at)::int AS whole, "
                    "extract(epoch FROM t.expires_at - t.issued_at)::int AS idle FROM sessions s "
                    "JOIN refresh_tokens t ON t.session_id = s.id WHERE s.user_id = %s", ada.id)[0]
    assert (row["whole"], row["idle"]) == (30 * 86400, 7 * 86400)
    suite.sql("UPDATE sessions SET expires_at = now() + interval '1 hour' WHERE user_id = %s", ada.id)
    data = expect(api.post("/auth/refresh", {"refresh_token": ada.refresh_token}), 200)
    left = suite.sql("SELECT max(t.expires_at) <= max(s.expires_at) AS capped FROM sessions s JOIN refresh_tokens t "
                     "ON t.session_id = s.id WHERE s.user_id = %s AND t.used_at IS NULL", ada.id)
    assert left[0]["capped"]
    suite.sql("UPDATE sessions SET expires_at = now() WHERE user_id = %s", ada.id)
    expect(api.post("/auth/refresh", {"refresh_token": data["refresh_token"]}), 401)


@pytest.mark.disturbs
def test_an_ended_session_stays_ended_through_restarts(ada: Person, suite: Suite) -> None:
    other = again(ada)
    expect(ada.api.delete("/auth/sessions"), 200)
    for part in ("redis", "auth", "gateway"):
        suite.stack.restart_part(part, {})
        wait_until(lambda: ada.api.get("/users/me").status == 200, 30, f"{part} is back")
        expect(other.api.get("/users/me"), 401)


# ---- the audit log -------------------------------------------------------------------------------

def test_the_audit_log_is_read_by_pages(ada: Person) -> None:
    for i in range(5):
        expect(ada.api.patch("/users/me", {"name": f"Ada {i}"}), 200)
    whole = expect(ada.api.get("/users/me/audit?limit=100"), 200)
    assert whole["next_cursor"] is None
    seen, cursor = [], ""
    while True:
        page = expect(ada.api.get(f"/users/me/audit?limit=2{cursor}"), 200)
        assert len(page["items"]) <= 2
        seen += page["items"]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == whole["items"] and [e["action"] for e in seen][:5] == ["account_updated"] * 5
    assert {"registered", "signed_in"} <= {e["action"] for e in seen}
    assert all(set(e) == {"at", "action", "session_id", "address", "device", "trace_id"} for e in seen)


def test_a_failed_sign_in_shows_with_where_it_came_from(ada: Person, api: Api) -> None:
    answer = api.post("/auth/login", {"email": ada.email, "password": "not this one"},
                      headers={"X-Forwarded-For": "203.0.113.66", "User-Agent": "Guesser/2"})
    first = expect(ada.api.get("/users/me/audit?limit=1"), 200)["items"][0]
    assert (first["action"], first["address"], first["device"]) == ("sign_in_failed", "203.0.113.66", "Guesser/2")
    assert first["trace_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("cursor", ["garbage", "0", "-1", "+1", "01", "1x", "99999999999999999999", "%201"])
def test_a_cursor_that_is_none(ada: Person, cursor: str) -> None:
    answer = ada.api.get(f"/users/me/audit?cursor={cursor}")
    expect(answer, 400, "VALIDATION_ERROR")
    assert answer.field == "cursor"


def test_nobody_reads_anothers_audit_log(ada: Person, bob: Person, suite: Suite) -> None:
    last = suite.sql("SELECT max(id) AS id FROM audit_log WHERE user_id = %s", ada.id)[0]["id"]
    theirs = expect(bob.api.get(f"/users/me/audit?cursor={last + 1000}"), 200)["items"]
    sessions = {r["id"] for r in suite.sql("SELECT id::text FROM sessions WHERE user_id = %s", ada.id)}
    assert theirs and not sessions & {e["session_id"] for e in theirs}


@pytest.mark.parametrize("statement", ["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log",
                                       "UPDATE audit_log SET at = now()", "ALTER TABLE audit_log DISABLE TRIGGER ALL"])
def test_the_audit_log_can_only_be_added_to(suite: Suite, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        suite.sql(statement, role="zaki_auth")


# ---- tiers ---------------------------------------------------------------------------------------

def zakictl(suite: Suite, *args: str) -> "subprocess.CompletedProcess[str]":
    env = {"DATABASE_URL": suite.stack.database_url("zaki_owner"), "PATH": os.environ["PATH"],
           **suite.stack.settings.passed}
    return subprocess.run([str(BIN / "zakictl"), *args], env=env, capture_output=True, text=True, check=False, timeout=60)


def test_an_operator_changes_a_tier(ada: Person, suite: Suite) -> None:
    done = zakictl(suite, "user", "set-tier", ada.email.upper(), "pro")
    assert done.returncode == 0 and "pro, was free" in done.stdout, done.stderr
    assert expect(ada.api.get("/users/me"), 200)["subscription_tier"] == "pro"
    first = expect(ada.api.get("/users/me/audit?limit=1"), 200)["items"][0]
    assert (first["action"], first["device"]) == ("tier_changed", "zakictl")
    assert zakictl(suite, "user", "set-tier", ada.email, "free").returncode == 0
    assert expect(ada.api.get("/users/me"), 200)["subscription_tier"] == "free"


def test_a_tier_or_person_that_is_none(ada: Person, suite: Suite) -> None:
    wrong = zakictl(suite, "user", "set-tier", ada.email, "gold")
    assert wrong.returncode == 2 and "free, pro" in wrong.stderr
    nobody = zakictl(suite, "user", "set-tier", "nobody@example.org", "pro")
    assert nobody.returncode == 1 and "nobody@example.org" in nobody.stderr
    assert expect(ada.api.get("/users/me"), 200)["subscription_tier"] == "free"


def test_an_operator_ends_somebodys_sessions(ada: Person, bob: Person, suite: Suite) -> None:
    """All of theirs, sockets too, at once; nobody else's."""
    other = again(ada)
    with suite.socket(ada.access_token) as ws:
        done = zakictl(suite, "user", "sign-out", ada.email.upper())
        assert done.returncode == 0 and "2 sessions ended" in done.stdout, done.stderr
        start = time.monotonic()
        for person in (ada, other):
            wait_until(lambda p=person: p.api.get("/users/me").status == 401, 10, "the session is refused")
        assert ws.closed(10).code == 4401
        assert time.monotonic() - start < CHECK_S / 2
    expect(ada.api.as_user("").post("/auth/refresh", {"refresh_token": ada.refresh_token}), 401)
    expect(bob.api.get("/users/me"), 200)
    ada.login()
    ended = [e for e in expect(ada.api.get("/users/me/audit"), 200)["items"] if e["action"] == "session_ended"]
    assert len(ended) == 2 and all(e["device"] == "zakictl" and e["session_id"] for e in ended)
    assert zakictl(suite, "user", "sign-out", "nobody@example.org").returncode == 1


def test_an_operator_ends_everybodys_sessions(ada: Person, bob: Person, suite: Suite) -> None:
    others = suite.sql("UPDATE sessions SET ended_at = now(), ended_reason = 'set aside' WHERE ended_at IS NULL"
                       " AND user_id NOT IN (%s, %s) RETURNING id::text", ada.id, bob.id)
    try:
        done = zakictl(suite, "user", "sign-out", "--all")
    finally:
        suite.sql("UPDATE sessions SET ended_at = NULL, ended_reason = NULL WHERE id::text = ANY(%s)", [r["id"] for r in others])
    assert done.returncode == 0 and "everybody: 2 sessions ended" in done.stdout, done.stderr
    for person in (ada, bob):
        wait_until(lambda p=person: p.api.get("/users/me").status == 401, 10, "the session is refused")


# ---- leaving -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def graceful(suite: Suite) -> Iterator[None]:
    """Accounts can be had back for a week."""
    suite.stack.restart_part("auth", {"ACCOUNT_DELETION_GRACE_S": "604800"})
    yield
    suite.stack.restart_part("auth", {})


def leave(person: Person) -> Any:
    return expect(person.api.delete("/users/me"), 202)


@pytest.mark.disturbs
@pytest.mark.usefixtures("graceful")
class TestGrace:
    def test_an_account_can_be_had_back(self, ada: Person, suite: Suite) -> None:
        said = leave(ada)
        assert (said["id"], said["status"]) == (ada.id, "leaving") and said["deletes_at"]
        expect(ada.api.get("/users/me"), 401)
        wait_mail(suite, ada.email, "Your account is to be deleted")
        ada.login()
        assert expect(ada.api.get("/users/me"), 200)["deletes_at"] == said["deletes_at"]
        restored = expect(ada.api.post("/users/me/restore"), 200)
        assert "deletes_at" not in restored and restored["id"] == ada.id
        expect(ada.api.patch("/users/me", {"name": "Still here"}), 200)
        assert not suite.sql("SELECT 1 FROM account_deletions WHERE user_id = %s", ada.id)
        wait_mail(suite, ada.email, "Your account stays")
        done = [e["action"] for e in expect(ada.api.get("/users/me/audit"), 200)["items"]]
        assert {"account_deletion_requested", "account_restored"} <= set(done)

    def test_one_that_leaves_changes_nothing_else(self, ada: Person, bot: Bot) -> None:
        said = leave(ada)
        ada.login()
        expect(ada.api.patch("/users/me", {"name": "x"}), 409, "CONFLICT")
        expect(ada.api.post("/auth/change-email", {"email": "other-" + ada.email}), 409, "CONFLICT")
        refused = ada.api.post("/onboarding/provision", {"bot_token": bot.token})
        expect(refused, 409, "CONFLICT")
        assert "restore" in refused.error["message"]
        assert ada.api.get("/users/me/export").status == 200  # what they take along
        assert leave(ada) == said  # asked again: the same day

    def test_it_is_gone_once_the_grace_is_over(self, ada: Person, suite: Suite) -> None:
        leave(ada)
        ada.login()
        suite.sql("UPDATE users SET deletes_at = now() WHERE id = %s", ada.id)
        suite.sql("UPDATE account_deletions SET next_try_at = now() WHERE user_id = %s", ada.id)
        wait_until(lambda: not suite.sql("SELECT 1 FROM users WHERE id = %s", ada.id), 30, "the row goes")
        expect(ada.api.get("/users/me"), 401)
        expect(ada.api.as_user("").post("/auth/login", {"email": ada.email, "password": ada.password}), 401)
        for table in ("mail_outbox", "email_tokens", "sessions"):
            assert not suite.sql(f"SELECT 1 FROM {table} WHERE user_id = %s", ada.id), table

    def test_nothing_is_restored_that_stays(self, ada: Person) -> None:
        expect(ada.api.post("/users/me/restore"), 409, "CONFLICT")

    def test_leaving_asks_for_the_password_again(self, ada: Person, suite: Suite) -> None:
        suite.sql("UPDATE sessions SET proven_at = now() - interval '2 hours' WHERE user_id = %s", ada.id)
        expect(ada.api.delete("/users/me"), 403, "REAUTHENTICATION_REQUIRED")
        assert not mails_to(suite, ada.email, "Your account is to be deleted")
        expect(ada.api.post("/auth/reauthenticate", {"password": ada.password}), 200)
        leave(ada)
