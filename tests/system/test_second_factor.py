"""The second factor: authenticator app and recovery codes, at sign-in and for what is sensitive."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import threading
import time
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from zaki.api import Answer, Api, expect
from zaki.mail import wait_mail
from zaki.people import Person
from zaki.suite import Suite

STEP = 30


def code_at(secret: str, step: int) -> str:
    """RFC 6238, written down a second time."""
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1000000:06d}"


class App:
    """An authenticator app, for one account."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.last = 0

    def code(self) -> str:
        """One that was not used yet: the step's before where it lasts, this step's, the next one's; else it waits."""
        early = 1 if time.time() % STEP < STEP - 10 else 0
        while (step := max(self.last + 1, int(time.time()) // STEP - early)) > int(time.time()) // STEP + 1:
            time.sleep(0.5)
        self.last = step
        return code_at(self.secret, step)

    def wrong(self) -> str:
        now = int(time.time()) // STEP
        near = {code_at(self.secret, now + i) for i in range(-3, 4)}
        return next(c for c in (f"{i:06d}" for i in range(100)) if c not in near)


def enrolled(person: Person) -> tuple[App, list[str]]:
    made = expect(person.api.post("/auth/second-factor/enroll"), 200)
    app = App(made["secret"])
    codes = expect(person.api.post("/auth/second-factor/confirm", {"code": app.code()}), 200)["items"]
    return app, [c["code"] for c in codes]


def login(person: Person, **more: str) -> Answer:
    return Api(person.api.base).post("/auth/login", {"email": person.email, "password": person.password, **more})


def aged(suite: Suite, person: Person) -> None:
    suite.sql("UPDATE sessions SET proven_at = now() - interval '2 hours' WHERE user_id = %s", person.id)


def test_enrolment_shows_what_an_app_needs(ada: Person) -> None:
    made = expect(ada.api.post("/auth/second-factor/enroll"), 200)
    uri = urlsplit(made["uri"])
    fields = {k: v[0] for k, v in parse_qs(uri.query).items()}
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", f"/Zaki:{ada.email}")
    assert fields == {"secret": made["secret"], "issuer": "Zaki", "algorithm": "SHA1", "digits": "6", "period": "30"}
    assert len(base64.b32decode(made["secret"])) == 20
    assert expect(ada.api.post("/auth/second-factor/enroll"), 200)["secret"] != made["secret"]
    assert expect(ada.api.get("/auth/second-factor"), 200) == {"enabled": False, "recovery_codes_left": 0}


def test_one_that_is_not_confirmed_asks_nobody(ada: Person) -> None:
    expect(ada.api.post("/auth/second-factor/enroll"), 200)
    expect(login(ada), 200)


def test_sign_in_needs_the_code(ada: Person, suite: Suite) -> None:
    app, codes = enrolled(ada)
    assert len(set(codes)) == 10
    assert expect(ada.api.get("/auth/second-factor"), 200) == {"enabled": True, "recovery_codes_left": 10}
    refused = login(ada)
    expect(refused, 401, "SECOND_FACTOR_REQUIRED")
    assert not refused.cookies()
    expect(login(ada, code=app.wrong()), 401, "SECOND_FACTOR_INVALID")
    expect(login(ada, code=app.code()), 200)
    wait_mail(suite, ada.email, "Your second factor is on")


def test_a_wrong_password_does_not_tell_of_the_second_factor(ada: Person, api: Api) -> None:
    app, _ = enrolled(ada)
    for more in ({}, {"code": app.wrong()}):
        answer = api.post("/auth/login", {"email": ada.email, "password": "not this one", **more})
        expect(answer, 401, "INVALID_CREDENTIALS")


def test_no_code_is_good_twice(ada: Person) -> None:
    app, _ = enrolled(ada)
    code = app.code()
    expect(login(ada, code=code), 200)
    expect(login(ada, code=code), 401, "SECOND_FACTOR_INVALID")


def test_of_many_with_one_code_one_gets_in(ada: Person) -> None:
    app, _ = enrolled(ada)
    code, answers = app.code(), []
    threads = [threading.Thread(target=lambda: answers.append(login(ada, code=code).status)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers.count(200) == 1, answers


def test_old_codes_are_over(ada: Person) -> None:
    app, _ = enrolled(ada)
    now = int(time.time()) // STEP
    for step in (now - 3, now + 4):
        expect(login(ada, code=code_at(app.secret, step)), 401, "SECOND_FACTOR_INVALID")


def test_codes_cannot_be_tried_out(ada: Person) -> None:
    app, codes = enrolled(ada)
    for i in range(5):
        answer = Api(ada.api.base).post("/auth/login", {"email": ada.email, "password": ada.password,
                                                         "code": app.wrong()},
                                        headers={"X-Forwarded-For": f"203.0.113.{i}"})
        expect(answer, 401, "SECOND_FACTOR_INVALID")
    # Wherever it comes from: only who has the password gets here.
    answer = Api(ada.api.base).post("/auth/login", {"email": ada.email, "password": ada.password, "code": codes[0]},
                                    headers={"X-Forwarded-For": "203.0.113.200"})
    expect(answer, 429, "RATE_LIMITED")


def test_a_recovery_code_is_good_once(ada: Person, suite: Suite) -> None:
    _, codes = enrolled(ada)
    expect(login(ada, code=codes[3].lower().replace("-", "")), 200)
    expect(login(ada, code=codes[3]), 401, "SECOND_FACTOR_INVALID")
    assert expect(ada.api.get("/auth/second-factor"), 200)["recovery_codes_left"] == 9
    kept = [str(r) for r in suite.sql("SELECT r::text FROM recovery_codes r WHERE user_id = %s", ada.id)]
    assert len(kept) == 9 and not any(c.replace("-", "") in row for c in codes for row in kept)


def test_a_recovery_code_is_its_owners(ada: Person, bob: Person) -> None:
    _, codes = enrolled(ada)
    enrolled(bob)
    expect(login(bob, code=codes[0]), 401, "SECOND_FACTOR_INVALID")
    expect(login(ada, code=codes[0]), 200)


def test_new_recovery_codes_end_the_old(ada: Person) -> None:
    _, old = enrolled(ada)
    new = [c["code"] for c in expect(ada.api.post("/auth/second-factor/recovery-codes"), 200)["items"]]
    assert not set(old) & set(new)
    expect(login(ada, code=old[0]), 401, "SECOND_FACTOR_INVALID")
    expect(login(ada, code=new[0]), 200)


def test_it_can_be_taken_away(ada: Person, suite: Suite) -> None:
    app, _ = enrolled(ada)
    expect(ada.api.post("/auth/second-factor/enroll"), 409, "CONFLICT")
    expect(ada.api.post("/auth/second-factor/disable"), 200)
    expect(login(ada), 200)
    assert expect(ada.api.get("/auth/second-factor"), 200) == {"enabled": False, "recovery_codes_left": 0}
    expect(ada.api.post("/auth/second-factor/disable"), 409, "CONFLICT")
    wait_mail(suite, ada.email, "Your second factor is off")
    done = [e["action"] for e in expect(ada.api.get("/users/me/audit"), 200)["items"]]
    assert {"second_factor_enabled", "second_factor_disabled"} <= set(done) and app.secret


@pytest.mark.parametrize("path, body", [
    ("/auth/second-factor/enroll", None), ("/auth/second-factor/confirm", {"code": "123456"}),
    ("/auth/second-factor/recovery-codes", None), ("/auth/second-factor/disable", None),
])
def test_each_change_asks_for_the_password_again(ada: Person, suite: Suite, path: str, body: Any) -> None:
    aged(suite, ada)
    expect(ada.api.post(path, body), 403, "REAUTHENTICATION_REQUIRED")


def test_proving_oneself_takes_the_code_too(ada: Person, suite: Suite) -> None:
    app, _ = enrolled(ada)
    aged(suite, ada)
    expect(ada.api.post("/auth/reauthenticate", {"password": ada.password}), 401, "SECOND_FACTOR_REQUIRED")
    expect(ada.api.post("/auth/second-factor/disable"), 403, "REAUTHENTICATION_REQUIRED")
    expect(ada.api.post("/auth/reauthenticate", {"password": ada.password, "code": app.code()}), 200)
    expect(ada.api.post("/auth/second-factor/disable"), 200)


def test_a_change_of_password_takes_the_code_too(ada: Person) -> None:
    app, _ = enrolled(ada)
    body = {"password": ada.password, "new_password": "a better long one"}
    expect(ada.api.post("/auth/change-password", body), 401, "SECOND_FACTOR_REQUIRED")
    expect(ada.api.post("/auth/change-password", {**body, "code": app.code()}), 200)


def test_a_mailed_link_does_not_get_around_it(ada: Person, suite: Suite, api: Api) -> None:
    enrolled(ada)
    expect(api.post("/auth/forgot-password", {"email": ada.email}), 202)
    token = wait_mail(suite, ada.email, "Set a new password").token
    expect(api.post("/auth/reset-password", {"token": token, "password": "a better long one"}), 200)
    ada.password = "a better long one"
    expect(login(ada), 401, "SECOND_FACTOR_REQUIRED")


def test_the_secret_lies_sealed(ada: Person, bob: Person, suite: Suite) -> None:
    app, codes = enrolled(ada)
    other, _ = enrolled(bob)
    raw = base64.b32decode(app.secret)
    kept = suite.sql("SELECT secret FROM second_factors WHERE user_id = %s", ada.id)[0]["secret"]
    for form in (app.secret, raw.hex(), base64.b64encode(raw).decode()):
        assert form not in kept
        assert not any(form in text for text in suite.logs().values())
    assert not any(c in text for c in codes for text in suite.logs().values())
    # Another's row does not open: the secret is bound to its user.
    suite.sql("UPDATE second_factors SET secret = %s WHERE user_id = %s", kept, bob.id)
    expect(login(bob, code=code_at(app.secret, int(time.time()) // STEP + 1)), 500, "INTERNAL_ERROR")
    assert other.secret != app.secret


@pytest.mark.disturbs
def test_a_new_key_still_opens_what_the_one_before_sealed(ada: Person, suite: Suite) -> None:
    app, _ = enrolled(ada)
    before = suite.stack.secrets.get("identity")
    clear = {"IDENTITY_KEY_FILE": ""}  # the stack hands the key over as a file
    suite.stack.restart_part("auth", {**clear, "IDENTITY_KEY": "n" * 40, "IDENTITY_KEY_PREVIOUS": before})
    try:
        expect(login(ada, code=app.code()), 200)
        suite.stack.restart_part("auth", {**clear, "IDENTITY_KEY": "n" * 40})
        code = app.code()
        expect(login(ada, code=code), 500, "INTERNAL_ERROR")
    finally:
        suite.stack.restart_part("auth", {})
    expect(login(ada, code=code), 200)  # it was not used up
