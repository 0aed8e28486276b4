"""Access and refresh tokens under attack (SPEC 5): what is not ours, not now or not theirs is refused."""

from __future__ import annotations

import secrets
import threading
import uuid
from typing import Any, Callable

import pytest

from zaki import jwt
from zaki.api import Answer, Api, expect
from zaki.gates import gates
from zaki.people import Person
from zaki.suite import Suite

Forge = Callable[[dict[str, Any], dict[str, Any], str], str]


def without(claims: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in claims.items() if k != name}


def swapped(head: dict[str, Any], claims: dict[str, Any], secret: str, **changed: Any) -> str:
    """Another payload under the signature of the right one."""
    good, bad = jwt.sign(head, claims, secret), jwt.sign(head, {**claims, **changed}, secret)
    return ".".join([*bad.split(".")[:2], good.split(".")[2]])


# Each is refused, whoever signed it: most of these are signed with the right secret.
FORGED: dict[str, Forge] = {
    "alg none": lambda h, c, s: jwt.sign({**h, "alg": "none"}, c, s),
    "alg None": lambda h, c, s: jwt.sign({**h, "alg": "None"}, c, s),
    "alg none with a signature": lambda h, c, s: jwt.sign({**h, "alg": "none"}, c, s, "HS256"),
    "HS512 with the right secret": lambda h, c, s: jwt.sign({**h, "alg": "HS512"}, c, s),
    "HS384 with the right secret": lambda h, c, s: jwt.sign({**h, "alg": "HS384"}, c, s),
    "RS256 with the secret": lambda h, c, s: jwt.sign({**h, "alg": "RS256"}, c, s, "HS256"),
    "ES256 with the secret": lambda h, c, s: jwt.sign({**h, "alg": "ES256"}, c, s, "HS256"),
    "another secret": lambda h, c, s: jwt.sign(h, c, "another secret of some length 0123456789"),
    "no secret": lambda h, c, s: jwt.sign(h, c, ""),
    "signature cut off": lambda h, c, s: jwt.sign(h, c, s).rsplit(".", 1)[0] + ".",
    "changed payload": lambda h, c, s: swapped(h, c, s, exp=c["exp"] + 3600),
    "changed user": lambda h, c, s: swapped(h, c, s, sub=str(uuid.uuid4())),
    "expired": lambda h, c, s: jwt.sign(h, {**c, "iat": c["iat"] - 2000, "exp": c["iat"] - 1100}, s),
    "no expiry": lambda h, c, s: jwt.sign(h, without(c, "exp"), s),
    "expiry as a text": lambda h, c, s: jwt.sign(h, {**c, "exp": str(c["exp"])}, s),
    "not yet valid": lambda h, c, s: jwt.sign(h, {**c, "nbf": c["iat"] + 600}, s),
    "issued in the future": lambda h, c, s: jwt.sign(h, {**c, "iat": c["iat"] + 600, "exp": c["exp"] + 600}, s),
    "wrong iss": lambda h, c, s: jwt.sign(h, {**c, "iss": "evil"}, s),
    "no iss": lambda h, c, s: jwt.sign(h, without(c, "iss"), s),
    "wrong aud": lambda h, c, s: jwt.sign(h, {**c, "aud": "evil"}, s),
    "no aud": lambda h, c, s: jwt.sign(h, without(c, "aud"), s),
    "refresh used as access": lambda h, c, s: jwt.sign(h, {**c, "typ": "refresh"}, s),
    "no type": lambda h, c, s: jwt.sign(h, without(c, "typ"), s),
    "no session": lambda h, c, s: jwt.sign(h, without(c, "sid"), s),
    "a session that is none": lambda h, c, s: jwt.sign(h, {**c, "sid": str(uuid.uuid4())}, s),
    "no user": lambda h, c, s: jwt.sign(h, without(c, "sub"), s),
    "a user that is no id": lambda h, c, s: jwt.sign(h, {**c, "sub": "' OR 1=1 --"}, s),
    "wrong kid": lambda h, c, s: jwt.sign({**h, "kid": "0000000000000000"}, c, s),
    "no kid": lambda h, c, s: jwt.sign(without(h, "kid"), c, s),
    "kid a path": lambda h, c, s: jwt.sign({**h, "kid": "../../../dev/null"}, c, s),
    "one part": lambda h, c, s: "abc",
    "empty parts": lambda h, c, s: "..",
    "no base64": lambda h, c, s: "!!!.???.###",
    "8 KiB": lambda h, c, s: jwt.sign(h, {**c, "pad": "x" * 6000}, s),
}


@pytest.mark.core
@pytest.mark.parametrize("what", FORGED)
def test_forged_tokens_are_refused(ada: Person, api: Api, suite: Suite, what: str) -> None:
    head, claims = jwt.parts(ada.access_token)
    secret = suite.stack.secrets.get("jwt")
    assert expect(api.as_user(jwt.sign(head, claims, secret)).get("/users/me"), 200)["id"] == ada.id
    for path in ("/users/me", "/instances"):
        expect(api.as_user(FORGED[what](head, claims, secret)).get(path), 401, "UNAUTHENTICATED")


def test_anothers_session_is_refused(ada: Person, bob: Person, api: Api, suite: Suite) -> None:
    """Also under our own signature: the session has to be its user's."""
    head, claims = jwt.parts(ada.access_token)
    _, bobs = jwt.parts(bob.access_token)
    secret = suite.stack.secrets.get("jwt")
    for changed in ({"sid": bobs["sid"]}, {"sub": bobs["sub"]}):
        expect(api.as_user(swapped(head, claims, secret, **changed)).get("/users/me"), 401, "UNAUTHENTICATED")
        expect(api.as_user(jwt.sign(head, {**claims, **changed}, secret)).get("/users/me"), 401, "UNAUTHENTICATED")
    expect(ada.api.get("/users/me"), 200)
    expect(bob.api.get("/users/me"), 200)


def test_a_revoked_session_is_refused(ada: Person, api: Api, suite: Suite) -> None:
    """On every gateway, at once, however the token is written."""
    head, claims = jwt.parts(ada.access_token)
    again = jwt.sign(head, {**claims, "jti": str(uuid.uuid4())}, suite.stack.secrets.get("jwt"))
    with gates(suite, 1) as (gate,):
        for token in (ada.access_token, again):
            expect(gate.api.as_user(token).get("/users/me"), 200)
        expect(ada.api.post("/auth/logout", {}), 200)
        for token in (ada.access_token, again):
            for door in (api, gate.api):
                expect(door.as_user(token).get("/users/me"), 401, "UNAUTHENTICATED")


def test_a_token_of_100_kib_is_refused(ada: Person, api: Api, suite: Suite) -> None:
    """Before anything of it is decoded: as a header too long for any gateway, as a cookie and in a body."""
    head, claims = jwt.parts(ada.access_token)
    huge = jwt.sign(head, {**claims, "pad": "x" * 75_000}, suite.stack.secrets.get("jwt"))
    assert len(huge) > 100_000
    assert api.as_user(huge).get("/users/me").status in (400, 413, 431)
    assert api.get("/users/me", headers={"Cookie": f"__Host-zaki_access={huge}"}).status in (400, 413, 431)
    expect(api.post("/auth/refresh", {"refresh_token": huge}), 413)
    expect(ada.api.get("/users/me"), 200)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "bearer"])
def test_what_is_no_bearer_token(api: Api, header: str) -> None:
    expect(api.get("/users/me", headers={"Authorization": header}), 401, "UNAUTHENTICATED")


def test_a_refresh_token_is_no_access_token(ada: Person, api: Api) -> None:
    expect(api.as_user(ada.refresh_token).get("/users/me"), 401, "UNAUTHENTICATED")
    expect(api.post("/auth/refresh", {"refresh_token": ada.access_token}), 400)


@pytest.mark.disturbs
def test_good_tokens_go_on_while_auth_is_away(ada: Person, api: Api, bob: Person, suite: Suite) -> None:
    """A gateway that has not seen the token yet asks auth once; where nobody answers, the signature and
    Redis have to do. A signed-out one stays out."""
    expect(bob.api.post("/auth/logout", {}), 200)
    with gates(suite, 1) as (gate,), suite.without("auth"):
        expect(gate.api.as_user(ada.access_token).get("/instances"), 200)
        assert gate.api.as_user(bob.access_token).get("/instances").status in (401, 503)


# ---- key rotation --------------------------------------------------------------------------------

@pytest.mark.disturbs
def test_key_rotation_signs_nobody_out(ada: Person, suite: Suite) -> None:
    """auth and gateway restart with a new secret and the one before; then without the one before."""
    old, new = suite.stack.secrets.get("jwt"), secrets.token_hex(32)
    file = suite.folder / "next-jwt"
    file.write_text(new + "\n")
    file.chmod(0o644)
    rotated = {"JWT_SECRET_FILE": str(file), "JWT_SECRET_PREVIOUS": old}
    suite.stack.stop_part("auth")
    suite.start_extra("auth", "auth-rotated", rotated)
    try:
        with gates(suite, 1, **rotated) as (gate,):
            expect(gate.api.as_user(ada.access_token).get("/users/me"), 200)
            fresh = expect(gate.api.post("/auth/refresh", {"refresh_token": ada.refresh_token}), 200)
            assert jwt.parts(fresh["access_token"])[0]["kid"] != jwt.parts(ada.access_token)[0]["kid"]
            expect(gate.api.as_user(fresh["access_token"]).get("/users/me"), 200)
            # Under the kid of one key and the secret of the other, nothing goes.
            head, claims = jwt.parts(fresh["access_token"])
            expect(gate.api.as_user(jwt.sign(head, claims, old)).get("/users/me"), 401)
        with gates(suite, 1, JWT_SECRET_FILE=str(file)) as (later,):
            expect(later.api.as_user(ada.access_token).get("/users/me"), 401)
            expect(later.api.as_user(fresh["access_token"]).get("/users/me"), 200)
    finally:
        suite.end_extra("auth-rotated")


# ---- refresh -------------------------------------------------------------------------------------

def refresh(api: Api, token: str) -> Answer:
    return api.post("/auth/refresh", {"refresh_token": token})


def audit(suite: Suite, person: Person) -> list[str]:
    return [r["action"] for r in suite.sql("SELECT action FROM audit_log WHERE user_id = %s ORDER BY id", person.id)]


@pytest.mark.core
def test_two_clients_refresh_at_the_same_moment(ada: Person, api: Api, suite: Suite) -> None:
    """Both go on, with tokens of their own; nothing is called theft."""
    answers: list[Answer] = []
    start = threading.Barrier(2)

    def client() -> None:
        start.wait()
        answers.append(refresh(api, ada.refresh_token))

    threads = [threading.Thread(target=client) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    both = [expect(a, 200) for a in answers]
    assert both[0]["refresh_token"] != both[1]["refresh_token"]
    for tokens in both:
        expect(api.as_user(tokens["access_token"]).get("/users/me"), 200)
        expect(refresh(api, tokens["refresh_token"]), 200)
    assert not [a for a in audit(suite, ada) if "reused" in a]


def test_a_stolen_token_used_later_ends_the_family(ada: Person, api: Api, suite: Suite) -> None:
    """Whoever comes second is found out; both are signed out, and the audit says so."""
    stolen = ada.refresh_token
    mine = expect(refresh(api, stolen), 200)
    mine = expect(refresh(api, mine["refresh_token"]), 200)
    expect(refresh(api, stolen), 401, "TOKEN_REUSED")
    expect(refresh(api, mine["refresh_token"]), 401)
    expect(api.as_user(mine["access_token"]).get("/users/me"), 401)
    rows = suite.sql("SELECT session_id::text, address::text, trace_id FROM audit_log WHERE user_id = %s"
                     " AND action = 'refresh_token_reused'", ada.id)
    assert len(rows) == 1 and rows[0]["session_id"] == jwt.parts(ada.access_token)[1]["sid"]
    assert rows[0]["address"] and rows[0]["trace_id"]
