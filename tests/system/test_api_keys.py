"""API keys end to end: made, used, limited, revoked; and what they may not do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from zaki.api import Api, expect
from zaki.gates import gates
from zaki.nats import Nats
from zaki.patience import wait_until
from zaki.people import Person, idempotency
from zaki.suite import Suite
from zaki.tables import routes
from zaki.ws import Refused, Socket

NOBODYS = "00000000-0000-4000-8000-000000000000"


def make(person: Person, scope: str = "write", **more: Any) -> dict[str, Any]:
    return dict(expect(person.api.post("/users/me/api-keys", {"name": "Backup script", "scope": scope, **more}), 201))


def keys(person: Person) -> list[dict[str, Any]]:
    return list(expect(person.api.get("/users/me/api-keys"), 200)["items"])


def test_a_key_is_shown_once(ada: Person, suite: Suite) -> None:
    made = make(ada)
    assert re.fullmatch(r"zaki_[A-Za-z0-9_-]{43}", made["key"])
    view = made["api_key"]
    assert set(view) == {"id", "name", "scope", "hint", "created_at", "expires_at", "last_used_at"}
    assert (view["name"], view["scope"], view["expires_at"], view["last_used_at"]) == ("Backup script", "write", None, None)
    assert view["hint"] == made["key"][-4:]
    assert keys(ada) == [view]
    answer = ada.api.get("/users/me/api-keys")
    assert made["key"].encode() not in answer.body
    rows = suite.sql("SELECT k::text AS line FROM api_keys k WHERE user_id = %s", ada.id)
    assert len(rows) == 1 and made["key"][5:-4] not in rows[0]["line"]


def test_a_key_signs_in(ada: Person, api: Api) -> None:
    mine = api.as_user(make(ada)["key"])
    assert expect(mine.get("/users/me"), 200)["id"] == ada.id
    expect(mine.get("/instances"), 200)
    expect(mine.post(f"/instances/{NOBODYS}/start"), 404, "NOT_FOUND")
    assert keys(ada)[0]["last_used_at"] is not None


def test_a_key_that_may_only_read(ada: Person, api: Api) -> None:
    mine = api.as_user(make(ada, "read")["key"])
    expect(mine.get("/instances"), 200)
    assert mine.call("HEAD", "/instances").status == 200
    for method, path in (("POST", f"/instances/{NOBODYS}/start"), ("PATCH", f"/instances/{NOBODYS}"),
                         ("DELETE", f"/instances/{NOBODYS}")):
        expect(mine.call(method, path, {} if method != "DELETE" else None), 403, "FORBIDDEN")


@pytest.mark.parametrize("route", [r for r in routes() if r.needs == "SELF"], ids=lambda r: r.name)
def test_a_key_does_not_touch_the_account(ada: Person, api: Api, route: Any) -> None:
    """Nor make another key, nor end a session: whoever finds one cannot stay."""
    mine = api.as_user(make(ada)["key"])
    path = re.sub(r"\{\w+\}", NOBODYS, route.path)
    expect(mine.call(route.method, path, {} if route.has_body else None), 403, "FORBIDDEN")


def test_a_revoked_key_ends_at_once(ada: Person, api: Api, suite: Suite) -> None:
    """On every gateway, also one that used it a moment ago and remembers it."""
    made = make(ada)
    with gates(suite, 1) as (gate,):
        both = [api.as_user(made["key"]), gate.api.as_user(made["key"])]
        for mine in both:
            expect(mine.get("/users/me"), 200)
        expect(ada.api.delete(f"/users/me/api-keys/{made['api_key']['id']}"), 200)
        for mine in both:
            expect(mine.get("/users/me"), 401, "UNAUTHENTICATED")
    assert keys(ada) == []
    expect(ada.api.delete(f"/users/me/api-keys/{made['api_key']['id']}"), 404, "NOT_FOUND")
    expect(ada.api.get("/users/me"), 200)


def test_anothers_key_cannot_be_revoked(ada: Person, bob: Person, api: Api) -> None:
    made = make(ada)
    expect(bob.api.delete(f"/users/me/api-keys/{made['api_key']['id']}"), 404, "NOT_FOUND")
    expect(api.as_user(made["key"]).get("/users/me"), 200)
    assert keys(bob) == []


def test_an_expired_key(ada: Person, api: Api, suite: Suite) -> None:
    answer = ada.api.post("/users/me/api-keys", {"name": "late", "scope": "read", "expires_at": "2020-01-01T00:00:00.000Z"})
    expect(answer, 400, "VALIDATION_ERROR")
    assert answer.field == "expires_at"
    made = make(ada, expires_at="2099-01-01T00:00:00.000Z")
    assert made["api_key"]["expires_at"] == "2099-01-01T00:00:00.000Z"
    suite.sql("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id = %s", made["api_key"]["id"])
    expect(api.as_user(made["key"]).get("/users/me"), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("key", ["zaki_", "zaki_" + "A" * 43, "zaki_" + "A" * 42, "zaki_" + "A" * 44, "zaki_" + "é" * 43,
                                 "ZAKI_" + "A" * 43])
def test_what_is_no_key(api: Api, key: str) -> None:
    expect(api.get("/users/me", headers={"Authorization": f"Bearer {key}".encode().decode("latin-1")}),
           401, "UNAUTHENTICATED")


def test_a_key_is_limited_like_its_user(suite: Suite, ada: Person) -> None:
    """Several keys are no way around the limit."""
    tokens = [ada.access_token, make(ada)["key"], make(ada)["key"]]
    import redis
    redis.Redis.from_url(suite.env["REDIS_URL"]).delete(f"zaki:rate:api:{ada.id}")
    with gates(suite, 1, RATE_API_PER_MIN="5") as (gate,):
        address = {"X-Forwarded-For": "203.0.113.78"}
        seen = [gate.api.as_user(tokens[i % 3]).get("/users/me", headers=address).status for i in range(8)]
        assert seen == [200] * 5 + [429] * 3


def test_guessing_keys_is_limited_by_address(suite: Suite) -> None:
    with gates(suite, 1, RATE_API_PER_MIN="5") as (gate,):
        address = {"X-Forwarded-For": "203.0.113.77"}
        seen = [gate.api.as_user(f"zaki_{i:043d}").get("/users/me", headers=address).status for i in range(7)]
        assert seen == [401] * 5 + [429] * 2


def test_so_many_and_no_more(ada: Person) -> None:
    for _ in range(20):
        make(ada)
    expect(ada.api.post("/users/me/api-keys", {"name": "one more", "scope": "read"}), 403, "QUOTA_EXCEEDED")
    listed = keys(ada)
    assert len(listed) == 20
    expect(ada.api.delete(f"/users/me/api-keys/{listed[0]['id']}"), 200)
    make(ada)


def test_a_new_key_asks_for_the_password_again(ada: Person, suite: Suite) -> None:
    """It outlives the session: whoever found one cannot stay with it."""
    suite.sql("UPDATE sessions SET proven_at = now() - interval '2 hours' WHERE user_id = %s", ada.id)
    body = {"name": "late", "scope": "read"}
    expect(ada.api.post("/users/me/api-keys", body), 403, "REAUTHENTICATION_REQUIRED")
    expect(ada.api.post("/auth/reauthenticate", {"password": ada.password}), 200)
    expect(ada.api.post("/users/me/api-keys", body), 201)


def test_the_same_idempotency_key_makes_one(ada: Person) -> None:
    head, body = idempotency(), {"name": "once", "scope": "read"}
    first = expect(ada.api.post("/users/me/api-keys", body, headers=head), 201)
    assert expect(ada.api.post("/users/me/api-keys", body, headers=head), 201) == first
    assert len(keys(ada)) == 1


def test_keys_are_audited(ada: Person, suite: Suite) -> None:
    made = make(ada)
    expect(ada.api.delete(f"/users/me/api-keys/{made['api_key']['id']}"), 200)
    seen = [r["action"] for r in suite.sql("SELECT action FROM audit_log WHERE user_id = %s ORDER BY id", ada.id)]
    assert seen[-2:] == ["api_key_created", "api_key_revoked"]


def test_a_key_ends_with_its_account(ada: Person, api: Api, suite: Suite) -> None:
    mine = api.as_user(make(ada)["key"])
    expect(mine.get("/users/me"), 200)
    expect(ada.api.delete("/users/me"), 202)
    for path in ("/users/me", "/instances"):  # auth itself, and a service that does not know of its end
        expect(mine.get(path), 401, "UNAUTHENTICATED")
    wait_until(lambda: not suite.sql("SELECT 1 FROM api_keys WHERE user_id = %s", ada.id), 30, "the keys are gone")


def test_a_key_opens_no_socket(ada: Person, suite: Suite) -> None:
    key = make(ada)["key"]
    with pytest.raises(Refused) as refused:
        Socket.with_token(suite.ws_url, key)
    assert refused.value.status == 401


def test_a_key_is_not_readable_on_the_bus(ada: Person, api: Api, suite: Suite) -> None:
    with Nats(suite.env["NATS_URL"], inbox="_INBOX_operator") as bus:
        bus.subscribe(">")
        bus.flush()
        key = make(ada)["key"]
        expect(api.as_user(key).get("/users/me"), 200)
        bus.wait_for(lambda m: m.subject == "zaki.int.auth.key_check")
        bus.wait_for(lambda m: m.subject == "zaki.rpc.auth.user_get")
        heard = b"".join(m.headers + m.data for m in bus.messages)
        assert key.encode() not in heard and key[5:].encode() not in heard
    assert not [name for name, text in suite.logs().items() if key[5:] in text]


@pytest.mark.disturbs
def test_a_revoked_key_stays_so_without_redis(ada: Person, api: Api, suite: Suite) -> None:
    """Redis forgets everything, or is away: auth is asked."""
    import redis

    good, bad = make(ada), make(ada)
    expect(api.as_user(bad["key"]).get("/users/me"), 200)
    expect(ada.api.delete(f"/users/me/api-keys/{bad['api_key']['id']}"), 200)
    redis.Redis.from_url(suite.env["REDIS_URL"]).flushall()
    expect(api.as_user(bad["key"]).get("/users/me"), 401)
    with suite.without("redis"):
        expect(api.as_user(bad["key"]).get("/users/me"), 401)
        expect(api.as_user(good["key"]).get("/users/me"), 200)
