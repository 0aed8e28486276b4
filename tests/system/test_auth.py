"""Accounts and sessions through the REST API: SPEC 3 and 5."""

from __future__ import annotations

import re
import secrets
import threading

import pytest

from zaki import jwt
from zaki.api import Api, Answer, expect
from zaki.patience import wait_until
from zaki.people import Person, idempotency
from zaki.suite import Suite

pytestmark = pytest.mark.core

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def an_email() -> str:
    return f"eve-{secrets.token_hex(8)}@example.org"


# ---- register and login --------------------------------------------------------------------------

def test_register_gives_a_user_and_tokens(api: Api) -> None:
    email = an_email()
    answer = api.post("/auth/register", {"email": email, "password": "a good long one", "name": "Eve"})
    data = expect(answer, 201)

    assert set(data) == {"user", "access_token", "refresh_token", "token_type", "expires_in"}
    assert set(data["user"]) == {"id", "email", "name", "email_verified", "subscription_tier",
                                 "created_at", "updated_at"}
    assert (data["token_type"], data["expires_in"]) == ("Bearer", 900)
    user = data["user"]
    assert UUID.fullmatch(user["id"]) and TIME.fullmatch(user["created_at"])
    assert (user["email"], user["name"], user["email_verified"], user["subscription_tier"]) == \
        (email, "Eve", False, "free")
    assert answer.json["success"] is True and answer.json["error"] is None

    head, claims = jwt.parts(data["access_token"])
    assert head["alg"] == "HS256" and head["kid"]
    assert {"iss", "aud", "sub", "sid", "jti", "typ", "iat", "exp"} <= set(claims)
    assert claims["sub"] == user["id"] and claims["exp"] - claims["iat"] == 900


def test_a_name_is_optional(api: Api) -> None:
    data = expect(api.post("/auth/register", {"email": an_email(), "password": "a good long one"}), 201)
    assert data["user"]["name"] is None


def test_an_address_registers_once_however_it_is_written(api: Api) -> None:
    email = an_email()
    expect(api.post("/auth/register", {"email": email, "password": "a good long one"}), 201)
    for again in (email, email.upper()):
        expect(api.post("/auth/register", {"email": again, "password": "another long one"}), 409, "EMAIL_TAKEN")


def test_many_at_once_make_one_account(api: Api) -> None:
    email, answers = an_email(), []

    def register() -> None:
        answers.append(api.post("/auth/register", {"email": email, "password": "a good long one"}).status)

    threads = [threading.Thread(target=register) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(answers) == [201] + [409] * 5


@pytest.mark.parametrize("what, password, ok", [
    ("seven characters", "1fA.x7q", False),
    ("eight", "1fA.x7qz", True),
    ("128", "xY3-" * 32, True),
    ("129", "xY3-" * 32 + "z", False),
    ("eight that are not ASCII", "пароль→ё", True),
    ("spaces are characters", "a b c d e f", True),
    ("no rules of composition", "only lower case letters", True),
    ("a common one", "password123", False),
    ("a common one in capitals", "PASSWORD123", False),
    ("digits in a row", "12345678", False),
    ("empty", "", False),
])
def test_password_rules(api: Api, what: str, password: str, ok: bool) -> None:
    answer = api.post("/auth/register", {"email": an_email(), "password": password})
    if ok:
        expect(answer, 201)
    else:
        expect(answer, 400, "VALIDATION_ERROR")
        assert answer.field == "password", what


def test_login_opens_a_further_session(ada: Person, api: Api) -> None:
    first = ada.access_token
    data = expect(api.post("/auth/login", {"email": ada.email, "password": ada.password}), 200)
    assert data["user"] == ada.user and data["access_token"] != first
    for token in (first, data["access_token"]):
        expect(api.as_user(token).get("/users/me"), 200)
    expect(api.post("/auth/login", {"email": ada.email.upper(), "password": ada.password}), 200)


def test_wrong_password_and_unknown_address_look_the_same(ada: Person, api: Api) -> None:
    wrong = api.post("/auth/login", {"email": ada.email, "password": "not this one"})
    nobody = api.post("/auth/login", {"email": an_email(), "password": "not this one"})
    expect(wrong, 401, "INVALID_CREDENTIALS")
    expect(nobody, 401, "INVALID_CREDENTIALS")
    assert wrong.json == nobody.json


def test_wrong_password_and_unknown_address_take_the_same_time(ada: Person, api: Api) -> None:
    """In turns, and the fastest of each: whatever else the machine does only adds to it."""
    nobody = an_email()

    def seconds(email: str) -> float:
        return api.post("/auth/login", {"email": email, "password": "not this one"}).seconds

    pairs = [(seconds(ada.email), seconds(nobody)) for _ in range(5)]
    known, unknown = (min(times) for times in zip(*pairs))
    assert 0.4 < known / unknown < 2.5, pairs


# ---- refresh and logout --------------------------------------------------------------------------

def refresh(api: Api, token: str) -> Answer:
    return api.post("/auth/refresh", {"refresh_token": token})


def test_refresh_gives_new_tokens(ada: Person, api: Api) -> None:
    data = expect(refresh(api, ada.refresh_token), 200)
    assert data["refresh_token"] != ada.refresh_token and data["access_token"] != ada.access_token
    assert data["user"]["id"] == ada.id
    expect(api.as_user(data["access_token"]).get("/users/me"), 200)


def test_the_predecessor_has_a_moment_of_grace(ada: Person, api: Api) -> None:
    """Two tabs refresh at once: neither is thrown out."""
    first = expect(refresh(api, ada.refresh_token), 200)
    second = expect(refresh(api, ada.refresh_token), 200)
    for data in (first, second):
        expect(api.as_user(data["access_token"]).get("/users/me"), 200)


def test_grace_ends(ada: Person, api: Api, suite: Suite) -> None:
    second = expect(refresh(api, ada.refresh_token), 200)
    suite.sql("UPDATE refresh_tokens SET used_at = used_at - interval '11 s' WHERE session_id IN "
              "(SELECT id FROM sessions WHERE user_id = %s) AND used_at IS NOT NULL", ada.id)
    expect(refresh(api, ada.refresh_token), 401, "TOKEN_REUSED")
    expect(refresh(api, second["refresh_token"]), 401)


def test_a_stolen_refresh_token_ends_the_family(ada: Person, api: Api, suite: Suite) -> None:
    second = expect(refresh(api, ada.refresh_token), 200)
    third = expect(refresh(api, second["refresh_token"]), 200)
    other = Person(Api(api.base), ada.email, ada.password)
    other.login()

    expect(refresh(api, ada.refresh_token), 401, "TOKEN_REUSED")
    expect(refresh(api, third["refresh_token"]), 401)
    for token in (ada.access_token, third["access_token"]):
        expect(api.as_user(token).get("/users/me"), 401, "UNAUTHENTICATED")
    expect(other.api.get("/users/me"), 200)  # another sign-in is another family
    assert suite.sql("SELECT action FROM audit_log WHERE user_id = %s AND action LIKE %s", ada.id, "%reus%")


@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 256])
def test_an_unknown_refresh_token(api: Api, token: str) -> None:
    expect(refresh(api, token), 401)


def test_an_expired_refresh_token(ada: Person, api: Api, suite: Suite) -> None:
    suite.sql("UPDATE refresh_tokens SET expires_at = now() - interval '1 s' WHERE session_id IN "
              "(SELECT id FROM sessions WHERE user_id = %s)", ada.id)
    expect(refresh(api, ada.refresh_token), 401)


def test_logout_works_at_once_and_only_here(ada: Person, api: Api) -> None:
    other = Person(Api(api.base), ada.email, ada.password)
    other.login()
    expect(ada.api.post("/auth/logout", {}), 200)
    expect(ada.api.get("/users/me"), 401, "UNAUTHENTICATED")
    expect(refresh(api, ada.refresh_token), 401)
    expect(other.api.get("/users/me"), 200)


def test_logout_by_refresh_token_alone(ada: Person, api: Api) -> None:
    expect(api.post("/auth/logout", {"refresh_token": ada.refresh_token}), 200)
    expect(ada.api.get("/users/me"), 401)


def test_logout_outlives_redis(ada: Person, suite: Suite) -> None:
    """Redis loses everything: who signed out stays out, also once it is vouched for again and no gateway
    asks auth about a token that it knows."""
    import redis  # Debian's python3-redis

    store = redis.Redis.from_url(suite.env["REDIS_URL"])
    expect(ada.api.get("/users/me"), 200)
    expect(ada.api.post("/auth/logout", {}), 200)
    wait_until(lambda: suite.sql("SELECT 1 FROM ended_sessions WHERE session_id = %s AND in_redis_at IS NOT NULL",
                                 jwt.parts(ada.access_token)[1]["sid"]), 15, "Redis was told")
    store.flushall()
    expect(ada.api.get("/users/me"), 401)
    wait_until(lambda: store.exists("zaki:auth:ready"), 15, "Redis is vouched for")
    expect(ada.api.get("/users/me"), 401)


# ---- the account ---------------------------------------------------------------------------------

def test_me_can_be_renamed(ada: Person) -> None:
    before = expect(ada.api.get("/users/me"), 200)
    after = expect(ada.api.patch("/users/me", {"name": "Countess of Lovelace ✓"}), 200)
    assert after["name"] == "Countess of Lovelace ✓" and after["updated_at"] >= before["updated_at"]
    assert {**after, "name": "", "updated_at": ""} == {**before, "name": "", "updated_at": ""}
    assert expect(ada.api.get("/users/me"), 200) == after


@pytest.mark.parametrize("field", ["id", "email", "email_verified", "subscription_tier", "password_hash"])
def test_the_rest_of_me_cannot_be_patched(ada: Person, field: str) -> None:
    answer = ada.api.patch("/users/me", {"name": "x", field: "pro"})
    expect(answer, 400, "VALIDATION_ERROR")
    assert answer.field == field
    assert expect(ada.api.get("/users/me"), 200) == ada.user


def test_a_deleted_account_is_gone(ada: Person, api: Api, suite: Suite) -> None:
    other = Person(Api(api.base), ada.email, ada.password)
    other.login()
    assert expect(ada.api.delete("/users/me"), 202) == {"id": ada.id, "status": "deleting"}
    for person in (ada, other):
        for path in ("/instances", "/users/me"):  # a service that does not know of its end, and auth itself
            expect(person.api.get(path), 401)
    expect(api.post("/auth/login", {"email": ada.email, "password": ada.password}), 401, "INVALID_CREDENTIALS")
    expect(refresh(api, ada.refresh_token), 401)
    wait_until(lambda: not suite.sql("SELECT 1 FROM users WHERE id = %s", ada.id), 20, "the row goes")
    for table in ("sessions", "audit_log", "account_deletions", "instances"):
        assert not suite.sql(f"SELECT 1 FROM {table} WHERE user_id = %s", ada.id), table
    expect(api.post("/auth/register", {"email": ada.email, "password": "a new beginning"}), 201)


def test_a_deleted_account_takes_its_assistants_along(ada: Person, suite: Suite) -> None:
    bot = suite.telegram.bot()
    instance = ada.running(bot)["id"]
    expect(ada.api.delete("/users/me"), 202)
    wait_until(lambda: not suite.sql("SELECT 1 FROM users WHERE id = %s", ada.id), 40, "the row goes")
    assert not suite.containers(instance)
    assert not suite.data(ada.id).exists()
    assert not suite.sql("SELECT 1 FROM instances WHERE id = %s", instance)
    Person.new(suite.api).provision(bot)  # the bot is free again


# ---- idempotency ---------------------------------------------------------------------------------

def test_the_same_key_registers_once(api: Api) -> None:
    body, key = {"email": an_email(), "password": "a good long one"}, idempotency()
    first = expect(api.post("/auth/register", body, headers=key), 201)
    again = expect(api.post("/auth/register", body, headers=key), 201)
    assert again["user"]["id"] == first["user"]["id"]
    expect(api.post("/auth/register", {**body, "name": "other"}, headers=key), 409, "CONFLICT")


# ---- paths ---------------------------------------------------------------------------------------

def test_both_base_paths_name_the_same(ada: Person) -> None:
    assert ada.api.get("=/v1/users/me").json == ada.api.get("=/api/users/me").json
