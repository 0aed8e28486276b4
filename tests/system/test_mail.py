"""What is done by mail: confirming an address, a new password, another address; and how mails get out."""

from __future__ import annotations

import base64
import secrets
import statistics
import time
from typing import Any, Callable

import pytest

from zaki.api import Answer, Api, expect
from zaki.mail import Smtp, mail_files, mails_to, wait_mail
from zaki.patience import wait_until
from zaki.people import Person, idempotency
from zaki.suite import BUILD, SLOW, Suite

VERIFY, RESET = "Confirm your e-mail", "Set a new password"
CHANGED, NEW, OLD = "Your password has changed", "Confirm your new", "Agree to your new"


def an_email() -> str:
    return f"eve-{secrets.token_hex(8)}@example.org"


def settled(suite: Suite, email: str) -> None:
    """Nothing waits for this address any more."""
    wait_until(lambda: not suite.sql("SELECT 1 FROM mail_outbox WHERE email = %s AND state = 'waiting'", email),
               20, f"no mail waits for {email}")


def actions(person: Person) -> list[str]:
    return [e["action"] for e in expect(person.api.get("/users/me/audit?limit=100"), 200)["items"]]


def forgot(suite: Suite, person: Person, count: int = 1) -> str:
    """Asks for a link and reads it from the mail."""
    expect(suite.api.post("/auth/forgot-password", {"email": person.email}), 202)
    return wait_mail(suite, person.email, RESET, count).token


# ---- confirming an address -----------------------------------------------------------------------

def test_signing_up_mails_a_link_that_confirms_the_address(ada: Person, suite: Suite, api: Api) -> None:
    mail = wait_mail(suite, ada.email, VERIFY)
    assert suite.stack.public_url() + "/verify-email#token=" in mail.part("plain")
    expect(api.post("/auth/verify-email", {"token": mail.token}), 200)
    assert expect(ada.api.get("/users/me"), 200)["email_verified"] is True
    assert "email_verified" in actions(ada)


def test_a_link_is_good_once(ada: Person, suite: Suite, api: Api) -> None:
    token = wait_mail(suite, ada.email, VERIFY).token
    expect(api.post("/auth/verify-email", {"token": token}), 200)
    expect(api.post("/auth/verify-email", {"token": token}), 400, "LINK_INVALID")


def test_a_link_ends(ada: Person, suite: Suite, api: Api) -> None:
    token = wait_mail(suite, ada.email, VERIFY).token
    suite.sql("UPDATE email_tokens SET expires_at = now() WHERE user_id = %s", ada.id)
    expect(api.post("/auth/verify-email", {"token": token}), 400, "LINK_INVALID")
    assert expect(ada.api.get("/users/me"), 200)["email_verified"] is False


def test_a_link_is_for_one_purpose(ada: Person, suite: Suite, api: Api) -> None:
    verify, reset = wait_mail(suite, ada.email, VERIFY).token, forgot(suite, ada)
    for path, body in (("/auth/verify-email", {"token": reset}), ("/auth/confirm-email", {"token": reset}),
                       ("/auth/confirm-email", {"token": verify}),
                       ("/auth/reset-password", {"token": verify, "password": "a better long one"})):
        expect(api.post(path, body), 400, "LINK_INVALID")
    expect(api.post("/auth/verify-email", {"token": verify}), 200)


def test_a_link_can_be_had_again_until_the_address_is_confirmed(ada: Person, suite: Suite, api: Api) -> None:
    first = wait_mail(suite, ada.email, VERIFY).token
    expect(api.post("/auth/resend-verification", {"email": ada.email.upper()}), 202)
    second = wait_mail(suite, ada.email, VERIFY, 2).token
    assert first != second
    expect(api.post("/auth/verify-email", {"token": second}), 200)
    expect(api.post("/auth/verify-email", {"token": first}), 400, "LINK_INVALID")
    expect(api.post("/auth/resend-verification", {"email": ada.email}), 202)
    settled(suite, ada.email)
    assert len(mails_to(suite, ada.email, VERIFY)) == 2


# ---- a new password by mail ----------------------------------------------------------------------

def test_a_reset_sets_the_password_and_ends_all_sessions(ada: Person, suite: Suite, api: Api) -> None:
    token = forgot(suite, ada)
    expect(api.post("/auth/reset-password", {"token": token, "password": "a better long one"}), 200)
    expect(ada.api.get("/users/me"), 401)
    expect(api.post("/auth/refresh", {"refresh_token": ada.refresh_token}), 401)
    expect(api.post("/auth/login", {"email": ada.email, "password": ada.password}), 401)
    ada.password = "a better long one"
    ada.login()
    assert ada.user["email_verified"] is True  # the link came to that address
    assert "password_reset" in actions(ada)
    wait_mail(suite, ada.email, CHANGED)
    expect(api.post("/auth/reset-password", {"token": token, "password": "and another one"}), 400, "LINK_INVALID")


def test_a_reset_link_is_good_for_half_an_hour(ada: Person, suite: Suite, api: Api) -> None:
    token = forgot(suite, ada)
    row = suite.sql("SELECT extract(epoch FROM expires_at - created_at)::int AS s, hash FROM email_tokens "
                    "WHERE user_id = %s AND purpose = 'reset'", ada.id)
    assert [r["s"] for r in row] == [1800]
    assert token.encode() not in bytes(row[0]["hash"])
    suite.sql("UPDATE email_tokens SET expires_at = now() WHERE user_id = %s", ada.id)
    expect(api.post("/auth/reset-password", {"token": token, "password": "a better long one"}), 400, "LINK_INVALID")
    expect(ada.api.get("/users/me"), 200)


def test_a_used_link_ends_the_others(ada: Person, suite: Suite, api: Api) -> None:
    first, second = forgot(suite, ada), forgot(suite, ada, 2)
    expect(api.post("/auth/reset-password", {"token": second, "password": "a better long one"}), 200)
    expect(api.post("/auth/reset-password", {"token": first, "password": "another better one"}), 400, "LINK_INVALID")


def test_a_weak_password_does_not_use_the_link_up(ada: Person, suite: Suite, api: Api) -> None:
    token = forgot(suite, ada)
    answer = api.post("/auth/reset-password", {"token": token, "password": "password123"})
    expect(answer, 400, "VALIDATION_ERROR")
    assert answer.field == "password"
    expect(api.post("/auth/reset-password", {"token": token, "password": "a better long one"}), 200)


def test_nobody_hears_whether_an_address_exists(ada: Person, suite: Suite, api: Api) -> None:
    nobody = an_email()
    for path in ("/auth/forgot-password", "/auth/resend-verification"):
        known, unknown = (api.post(path, {"email": e}) for e in (ada.email, nobody))
        assert (known.status, known.json) == (unknown.status, unknown.json) == (202, known.json)
    settled(suite, nobody)
    assert not mails_to(suite, nobody)


def test_one_address_gets_few_mails_an_hour(ada: Person, suite: Suite, api: Api) -> None:
    for _ in range(8):
        expect(api.post("/auth/forgot-password", {"email": ada.email}), 202)
    settled(suite, ada.email)
    assert len(mails_to(suite, ada.email, RESET)) == 5


# ---- changing the password -----------------------------------------------------------------------

def test_a_changed_password_ends_the_other_sessions(ada: Person, suite: Suite, api: Api) -> None:
    other = Person(Api(api.base), ada.email, ada.password)
    other.login()
    expect(ada.api.post("/auth/change-password", {"password": ada.password, "new_password": "a better long one"}), 200)
    expect(ada.api.get("/users/me"), 200)
    expect(other.api.get("/users/me"), 401)
    expect(api.post("/auth/refresh", {"refresh_token": other.refresh_token}), 401)
    expect(api.post("/auth/login", {"email": ada.email, "password": ada.password}), 401)
    expect(api.post("/auth/login", {"email": ada.email, "password": "a better long one"}), 200)
    wait_mail(suite, ada.email, CHANGED)


def test_the_old_password_is_needed(ada: Person, suite: Suite) -> None:
    answer = ada.api.post("/auth/change-password", {"password": "not this one", "new_password": "a better long one"})
    expect(answer, 401, "INVALID_CREDENTIALS")
    ada.login()
    assert "password_refused" in actions(ada)


@pytest.mark.parametrize("new", ["password123", "1234567", "x" * 129])
def test_the_new_password_follows_the_rules(ada: Person, new: str) -> None:
    answer = ada.api.post("/auth/change-password", {"password": ada.password, "new_password": new})
    expect(answer, 400, "VALIDATION_ERROR")
    assert answer.field == "new_password"


def test_a_changed_password_ends_links_that_were_out(ada: Person, suite: Suite, api: Api) -> None:
    token = forgot(suite, ada)
    expect(ada.api.post("/auth/change-password", {"password": ada.password, "new_password": "a better long one"}), 200)
    expect(api.post("/auth/reset-password", {"token": token, "password": "of a stranger"}), 400, "LINK_INVALID")


# ---- another address -----------------------------------------------------------------------------

def confirmed(suite: Suite, person: Person) -> None:
    expect(suite.api.post("/auth/verify-email", {"token": wait_mail(suite, person.email, VERIFY).token}), 200)


def test_an_address_changes_once_both_ends_agree(ada: Person, suite: Suite, api: Api) -> None:
    confirmed(suite, ada)
    new = an_email()
    assert expect(ada.api.post("/auth/change-email", {"email": new}), 202) == {"status": "waiting"}
    to_new, to_old = wait_mail(suite, new, NEW), wait_mail(suite, ada.email, OLD)
    assert new in to_old.part("plain")
    assert expect(api.post("/auth/confirm-email", {"token": to_new.token}), 200) == {"status": "waiting"}
    assert expect(ada.api.get("/users/me"), 200)["email"] == ada.email
    expect(api.post("/auth/confirm-email", {"token": to_new.token}), 400, "LINK_INVALID")
    assert expect(api.post("/auth/confirm-email", {"token": to_old.token}), 200) == {"status": "changed"}
    me = expect(ada.api.get("/users/me"), 200)
    assert (me["email"], me["email_verified"]) == (new, True)
    expect(api.post("/auth/login", {"email": ada.email, "password": ada.password}), 401)
    expect(api.post("/auth/login", {"email": new, "password": ada.password}), 200)
    wait_mail(suite, ada.email, "Your e-mail address has changed")
    assert "email_changed" in actions(ada)


def test_one_that_was_never_confirmed_needs_the_new_end_only(ada: Person, suite: Suite, api: Api) -> None:
    """Mistyped at sign-up: nobody reads the old address."""
    new = an_email()
    expect(ada.api.post("/auth/change-email", {"email": new}), 202)
    token = wait_mail(suite, new, NEW).token
    assert expect(api.post("/auth/confirm-email", {"token": token}), 200) == {"status": "changed"}
    assert not mails_to(suite, ada.email, OLD)


def test_another_wish_ends_the_one_before(ada: Person, suite: Suite, api: Api) -> None:
    first, second = an_email(), an_email()
    expect(ada.api.post("/auth/change-email", {"email": first}), 202)
    token = wait_mail(suite, first, NEW).token
    expect(ada.api.post("/auth/change-email", {"email": second}), 202)
    expect(api.post("/auth/confirm-email", {"token": token}), 400, "LINK_INVALID")


def test_an_address_that_is_taken_is_told_to_nobody(ada: Person, bob: Person, suite: Suite) -> None:
    expect(ada.api.post("/auth/change-email", {"email": bob.email}), 202)
    settled(suite, bob.email)
    assert not mails_to(suite, bob.email, NEW)


def test_an_address_taken_meanwhile(ada: Person, suite: Suite, api: Api) -> None:
    new = an_email()
    expect(ada.api.post("/auth/change-email", {"email": new}), 202)
    token = wait_mail(suite, new, NEW).token
    expect(api.post("/auth/register", {"email": new, "password": "a good long one"}), 201)
    expect(api.post("/auth/confirm-email", {"token": token}), 409, "EMAIL_TAKEN")
    assert expect(ada.api.get("/users/me"), 200)["email"] == ada.email


def test_strangers_are_written_to_a_few_times_an_hour(ada: Person) -> None:
    for _ in range(5):
        expect(ada.api.post("/auth/change-email", {"email": an_email()}), 202)
    expect(ada.api.post("/auth/change-email", {"email": an_email()}), 429, "RATE_LIMITED")


def test_what_is_sensitive_asks_for_the_password_again(ada: Person, suite: Suite) -> None:
    suite.sql("UPDATE sessions SET proven_at = now() - interval '2 hours' WHERE user_id = %s", ada.id)
    expect(ada.api.post("/auth/change-email", {"email": an_email()}), 403, "REAUTHENTICATION_REQUIRED")
    expect(ada.api.post("/auth/reauthenticate", {"password": "not this one"}), 401, "INVALID_CREDENTIALS")
    expect(ada.api.post("/auth/change-email", {"email": an_email()}), 403, "REAUTHENTICATION_REQUIRED")
    assert expect(ada.api.post("/auth/reauthenticate", {"password": ada.password}), 200)["expires_in"] >= 30
    expect(ada.api.post("/auth/change-email", {"email": an_email()}), 202)
    assert {"reauthenticated", "password_refused", "email_change_requested"} <= set(actions(ada))


def test_refreshing_proves_nothing(ada: Person, suite: Suite, api: Api) -> None:
    suite.sql("UPDATE sessions SET proven_at = now() - interval '2 hours' WHERE user_id = %s", ada.id)
    ada.take(expect(api.post("/auth/refresh", {"refresh_token": ada.refresh_token}), 200))
    expect(ada.api.post("/auth/change-email", {"email": an_email()}), 403, "REAUTHENTICATION_REQUIRED")


@pytest.mark.parametrize("written, kept", [
    ("Ann.LEE-{}@EXAMPLE.org", "ann.lee-{}@example.org"), ("a-{}@xn--BCHER-kva.example", "a-{}@xn--bcher-kva.example"),
    ("a-{}@b\u00fccher.example", "a-{}@xn--bcher-kva.example"), ("a-{}@bu\u0308cher.example", "a-{}@xn--bcher-kva.example"),
    ("a-{}@B\u00dcCHER.example", "a-{}@xn--bcher-kva.example"),
])
def test_one_mailbox_is_one_account_however_it_is_written(api: Api, written: str, kept: str) -> None:
    tag = secrets.token_hex(6)
    body = {"email": written.format(tag), "password": "a good long one"}
    assert expect(api.post("/auth/register", body), 201)["user"]["email"] == kept.format(tag)
    expect(api.post("/auth/register", {**body, "email": kept.format(tag)}), 409, "EMAIL_TAKEN")
    expect(api.post("/auth/login", body), 200)


# ---- the same time -------------------------------------------------------------------------------

def timings(send: Callable[[str], Answer], known: list[str], unknown: list[str]) -> tuple[list[float], list[float]]:
    """By turns, so that whatever else the machine does meets both alike."""
    a, b = [], []
    for k, u in zip(known, unknown):
        first, second = ((k, a), (u, b)) if len(a) % 2 else ((u, b), (k, a))
        for email, to in (first, second):
            to.append(send(email).seconds)
    return a, b


def rank(a: list[float], b: list[float]) -> float:
    """How likely one of a is above one of b: 0.5 where nothing tells them apart (Mann-Whitney)."""
    return sum((x > y) + 0.5 * (x == y) for x in a for y in b) / (len(a) * len(b))


@pytest.mark.parametrize("what", ["login", "forgot-password", "resend-verification"])
def test_known_and_unknown_addresses_take_the_same_time(suite: Suite, api: Api, what: str) -> None:
    count = 24 if what == "login" else 120
    people = [Person.new(api).email for _ in range(6)]
    known = [people[i % len(people)] for i in range(count)]
    unknown = [an_email() for _ in range(6)] * (count // 6)

    def send(email: str) -> Answer:
        if what == "login":
            return api.post("/auth/login", {"email": email, "password": "not this one"})
        return api.post(f"/auth/{what}", {"email": email})

    for email in {*people, *unknown}:
        settled(suite, email)
    a, b = timings(send, known, unknown)
    p = rank(a, b)
    print(f"{what}: medians {statistics.median(a) * 1e3:.2f} and {statistics.median(b) * 1e3:.2f} ms, rank {p:.2f}")
    # Chance alone keeps p within 0.5 ± 3σ (σ = sqrt(2n+1 / 12n²)); a hash more or less is 0 or 1. The ratio is
    # of the faster quarter's ends: on a busy machine times have two humps, and medians jump between them.
    ratio = statistics.quantiles(a)[0] / statistics.quantiles(b)[0]
    sigma = ((2 * count + 1) / (12 * count * count)) ** 0.5
    assert abs(p - 0.5) < max(4 * sigma, 0.25) and 0.6 < ratio < 1.67, (p, ratio)


# ---- guesses -------------------------------------------------------------------------------------

def guess(api: Api, email: str, source: str, password: str = "not this one") -> Answer:
    return api.post("/auth/login", {"email": email, "password": password}, headers={"X-Forwarded-For": source})


def test_guesses_at_one_account_slow_down(ada: Person, api: Api) -> None:
    for _ in range(5):
        expect(guess(api, ada.email, "198.51.100.7"), 401, "INVALID_CREDENTIALS")
    answer = guess(api, ada.email, "198.51.100.7", ada.password)
    expect(answer, 429, "RATE_LIMITED")
    wait = int(answer.headers["Retry-After"])
    assert wait >= 1
    time.sleep(wait)
    expect(guess(api, ada.email, "198.51.100.7"), 401)
    wait_until(lambda: int(guess(api, ada.email, "198.51.100.7").headers.get("Retry-After", 0)) > wait,
               what="the next wait is longer")


def test_an_unknown_address_slows_down_the_same(api: Api) -> None:
    email = an_email()
    answers = [guess(api, email, "198.51.100.8").status for _ in range(5)]
    while len(answers) < 12 and answers[-1] != 429:  # the first wait is a second, which a slow machine may need
        answers.append(guess(api, email, "198.51.100.8").status)
    assert answers == [401] * (len(answers) - 1) + [429], answers


def test_a_stranger_locks_nobody_out(ada: Person, api: Api) -> None:
    """Forty sources guess; the owner gets in at once from where they were before and from anywhere."""
    for i in range(40):
        expect(guess(api, ada.email, f"198.51.100.{i + 10}"), 401)
    # Besieged: a source that nobody knows has one failure.
    assert 429 in [guess(api, ada.email, "198.51.100.49").status for _ in range(6)]
    expect(guess(api, ada.email, "203.0.113.77", ada.password), 200)
    expect(api.post("/auth/login", {"email": ada.email, "password": ada.password}), 200)


def test_the_right_password_wipes_the_slate(ada: Person, api: Api) -> None:
    for _ in range(2):
        for _ in range(4):
            expect(guess(api, ada.email, "198.51.100.9"), 401)
        expect(guess(api, ada.email, "198.51.100.9", ada.password), 200)


def test_a_session_in_hand_is_no_way_to_guess_the_password(ada: Person) -> None:
    answers = [ada.api.post("/auth/reauthenticate", {"password": f"guess number {i}"}).status for i in range(7)]
    assert answers == [401] * 5 + [429] * 2


# ---- how mails get out ---------------------------------------------------------------------------

def test_mails_are_private_files_where_there_is_no_server(ada: Person, suite: Suite) -> None:
    wait_mail(suite, ada.email, VERIFY)
    assert (suite.stack.paths.state / "mail").stat().st_mode & 0o077 == 0
    for file in mail_files(suite):
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_no_link_is_kept_in_the_clear(ada: Person, suite: Suite) -> None:
    tokens = [wait_mail(suite, ada.email, VERIFY).token, forgot(suite, ada)]
    rows = [str(r) for t in ("mail_outbox", "email_tokens") for r in suite.sql(f"SELECT t::text FROM {t} t")]
    for token in tokens:
        for form in (token, token.encode().hex()[:40], base64.urlsafe_b64decode(token + "=").hex()[:40]):
            assert not any(form in row for row in rows)
        assert not any(token in text for text in suite.logs().values())


@pytest.fixture
def smtp(suite: Suite) -> Any:
    """auth sends to a mail server of the test's own, and tries again soon."""
    with Smtp() as server:
        suite.stack.restart_part("auth", {"SMTP_URL": server.url, "SMTP_TLS": "off", "MAIL_RETRY_S": "1",
                                          "MAIL_FROM": "noreply@zaki.example"})
        try:
            yield server
        finally:
            suite.stack.restart_part("auth", {})


@pytest.mark.disturbs
def test_mails_go_out_by_smtp(suite: Suite, smtp: Smtp) -> None:
    person = Person.new(suite.api)
    mail = smtp.wait_for(person.email)
    assert mail.sender == "noreply@zaki.example" and str(mail.message["From"]) == "Zaki <noreply@zaki.example>"
    assert person.email in str(mail.message["To"]) and mail.message["Message-ID"]
    assert mail.message.get_content_type() == "multipart/alternative"
    assert "<a " in mail.part("html") and mail.token in mail.part("plain")
    expect(suite.api.post("/auth/verify-email", {"token": mail.token}), 200)


@pytest.mark.disturbs
def test_a_mail_is_tried_again_until_it_is_taken(suite: Suite, smtp: Smtp) -> None:
    smtp.reply = {"GREETING": ["421 busy"], "RCPT": ["451 try later"], "DONE": ["452 full"]}
    person = Person.new(suite.api)
    smtp.wait_for(person.email)
    settled(suite, person.email)
    row = suite.sql("SELECT state, attempts FROM mail_outbox WHERE email = %s", person.email)[0]
    assert row["state"] == "sent" and row["attempts"] >= 4
    assert len(smtp.to(person.email)) == 1


@pytest.mark.disturbs
def test_a_mail_that_may_have_got_through_goes_again_as_the_same(suite: Suite, smtp: Smtp) -> None:
    smtp.reply = {"DONE": ["drop"]}
    person = Person.new(suite.api)
    first, second = smtp.wait_for(person.email), smtp.wait_for(person.email, 2)
    assert first.message["Message-ID"] == second.message["Message-ID"]
    expect(suite.api.post("/auth/verify-email", {"token": first.token}), 200)  # both links are good


@pytest.mark.disturbs
def test_a_refused_mail_is_dead_and_can_be_seen(suite: Suite, smtp: Smtp) -> None:
    smtp.reply = {"RCPT": ["550 no such person"]}
    person = Person.new(suite.api)
    wait_until(lambda: suite.sql("SELECT 1 FROM mail_outbox WHERE email = %s AND state = 'dead' AND "
                                 "reason = 'refused'", person.email), 20, "it is dead")
    assert "mail is not delivered" in suite.log("auth") and person.email not in suite.log("auth")
    assert expect(suite.api.get("/health"), 200)["status"] == "up"  # a stranger's typo is no outage


@pytest.mark.disturbs
def test_mail_that_does_not_get_out_shows_in_health(suite: Suite, smtp: Smtp) -> None:
    smtp.reply = {"GREETING": ["421 busy"] * 1000}
    person = Person.new(suite.api)
    wait_until(lambda: suite.sql("SELECT 1 FROM mail_outbox WHERE email = %s AND attempts > 0", person.email), 20)
    suite.sql("UPDATE mail_outbox SET created_at = now() - interval '20 minutes' WHERE email = %s", person.email)
    wait_until(lambda: b'"mail"' in suite.api.get("/health").body and b"mails wait" in suite.api.get("/health").body,
               20, "health names it")
    suite.sql("UPDATE mail_outbox SET attempts = 11, next_try_at = now(), lease_until = NULL WHERE email = %s",
              person.email)
    wait_until(lambda: suite.sql("SELECT 1 FROM mail_outbox WHERE email = %s AND state = 'dead' AND "
                                 "reason = 'given up'", person.email), 20, "it is given up")
    suite.sql("DELETE FROM mail_outbox WHERE email = %s", person.email)


@pytest.mark.disturbs
def test_no_mail_goes_in_the_clear_where_tls_is_wanted(suite: Suite) -> None:
    with Smtp() as server:
        suite.stack.restart_part("auth", {"SMTP_URL": server.url.replace("//", "//user:hunter2hunter2@"),
                                          "MAIL_RETRY_S": "1"})
        try:
            person = Person.new(suite.api)
            wait_until(lambda: suite.sql("SELECT 1 FROM mail_outbox WHERE email = %s AND attempts > 1", person.email),
                       20, "it was tried")
            assert not server.mails and not any("MAIL" in c or "AUTH" in c for c in server.commands)
            assert "hunter2hunter2" not in suite.log("auth")
        finally:
            suite.stack.restart_part("auth", {})
            suite.sql("DELETE FROM mail_outbox WHERE state = 'waiting'")


@pytest.mark.disturbs
@pytest.mark.skipif(BUILD == "release", reason="a release build has no fault points")
@pytest.mark.parametrize("point", ["mail.leased", "mail.linked", "mail.sent"])
def test_auth_dies_over_a_mail(suite: Suite, point: str) -> None:
    """Whatever is written down is sent; a lease of the dead is taken over."""
    once = suite.folder / f"{point}-{secrets.token_hex(4)}"
    suite.folder.chmod(0o1777)
    person = Person.new(suite.api)
    settled(suite, person.email)
    suite.stack.restart_part("auth", {"ZAKI_FAULT": point, "ZAKI_FAULT_ONCE": str(once)})
    with Smtp():
        asked = suite.api.post("/auth/resend-verification", {"email": person.email}, headers=idempotency())
        assert asked.status in (202, 503, 504), asked  # it may die before it has answered
        wait_until(once.exists, 20, f"{point} is reached")
        suite.stack.start_part("auth")
        suite.sql("UPDATE mail_outbox SET lease_until = now() WHERE state = 'waiting'")
        token = wait_mail(suite, person.email, VERIFY, 2, 30 * SLOW).token
    settled(suite, person.email)
    expect(suite.api.post("/auth/verify-email", {"token": token}), 200)
