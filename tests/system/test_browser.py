"""What a browser is told and held to (SPEC 5): cookies, Origin, CORS, headers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from zaki.api import Answer, Api, expect
from zaki.gates import gates
from zaki.people import Person
from zaki.suite import Suite

ACCESS, REFRESH = "__Host-zaki_access", "__Host-zaki_refresh"
EVIL = "https://evil.example"


def cookie_of(answer: Answer, name: str) -> str:
    return answer.cookies()[name].split(";")[0]


def signed_in_by_cookie(ada: Person, api: Api) -> tuple[Answer, str]:
    answer = api.post("/auth/login", {"email": ada.email, "password": ada.password})
    expect(answer, 200)
    return answer, f"{cookie_of(answer, ACCESS)}; {cookie_of(answer, REFRESH)}"


# ---- cookies -------------------------------------------------------------------------------------

@pytest.mark.core
def test_cookies_are_kept_from_scripts_and_other_sites(ada: Person, api: Api) -> None:
    answer, _ = signed_in_by_cookie(ada, api)
    assert set(answer.cookies()) == {ACCESS, REFRESH}
    for line in answer.cookies().values():
        attributes = [a.strip().lower() for a in line.split(";")[1:]]
        assert {"httponly", "secure", "samesite=lax", "path=/"} <= set(attributes), line
        assert not any(a.startswith("domain") for a in attributes), line


def test_a_cookie_signs_in(ada: Person, api: Api) -> None:
    _, cookie = signed_in_by_cookie(ada, api)
    assert expect(api.get("/users/me", headers={"Cookie": cookie}), 200)["id"] == ada.id


@pytest.mark.parametrize("cookie", [
    f"{ACCESS}=", f"{ACCESS}", "zaki_access=TOKEN", f"{ACCESS.lower()}x=TOKEN", f"{ACCESS.upper()}=TOKEN",
    f"{ACCESS}=TOKEN; {ACCESS}=TOKEN", f"{ACCESS}=TOKEN; {ACCESS}=other", f"{ACCESS}=\"TOKEN\"",
    f"{REFRESH}=TOKEN",
])
def test_a_cookie_that_is_not_ours_signs_nobody_in(ada: Person, api: Api, cookie: str) -> None:
    """One under a name without __Host- could come from a neighbouring site; one that comes twice did."""
    sent = cookie.replace("TOKEN", ada.access_token)
    expect(api.get("/users/me", headers={"Cookie": sent}), 401, "UNAUTHENTICATED")


def test_a_header_comes_before_the_cookie(ada: Person, bob: Person, api: Api) -> None:
    _, cookie = signed_in_by_cookie(ada, api)
    assert expect(api.as_user(bob.access_token).get("/users/me", headers={"Cookie": cookie}), 200)["id"] == bob.id
    expect(api.as_user("x.y.z").get("/users/me", headers={"Cookie": cookie}), 401)


# ---- CSRF ----------------------------------------------------------------------------------------

ASKED_BY = [
    ({}, 403),
    ({"Origin": EVIL}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "PUBLIC.evil.example"}, 403),
    ({"Origin": "PUBLIC/"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "none"}, 403),
    ({"Referer": "PUBLIC/settings"}, 403),
    ({"Origin": "PUBLIC"}, 200),
    ({"Sec-Fetch-Site": "same-origin"}, 200),
]


def asked_by(suite: Suite, headers: dict[str, str]) -> dict[str, str]:
    return {k: v.replace("PUBLIC", suite.stack.public_url()) for k, v in headers.items()}


@pytest.mark.core
@pytest.mark.parametrize("headers, status", ASKED_BY)
def test_a_change_by_cookie_needs_the_right_origin(ada: Person, api: Api, suite: Suite,
                                                   headers: dict[str, str], status: int) -> None:
    _, cookie = signed_in_by_cookie(ada, api)
    answer = api.patch("/users/me", {"name": "By cookie"}, headers={"Cookie": cookie, **asked_by(suite, headers)})
    expect(answer, status, "FORBIDDEN" if status == 403 else "")
    assert (expect(ada.api.get("/users/me"), 200)["name"] == "By cookie") == (status == 200)


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize("headers", [h for h, status in ASKED_BY if status == 403])
def test_another_site_cannot_refresh_or_sign_out(ada: Person, api: Api, suite: Suite, path: str,
                                                 headers: dict[str, str]) -> None:
    _, cookie = signed_in_by_cookie(ada, api)
    expect(api.post(path, {}, headers={"Cookie": cookie, **asked_by(suite, headers)}), 403, "FORBIDDEN")
    expect(api.get("/users/me", headers={"Cookie": cookie}), 200)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_site_is_no_request(ada: Person, api: Api, kind: str) -> None:
    """What a page may send without asking first: no sign-in of the attacker's choice (login CSRF)."""
    body = f'{{"email": "{ada.email}", "password": "{ada.password}"}}'.encode()
    answer = api.call("POST", "/auth/login", raw=body, headers={"Content-Type": kind, "Origin": EVIL})
    expect(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert not answer.cookies()


def test_a_bearer_token_needs_no_origin(ada: Person) -> None:
    """No browser adds it by itself."""
    expect(ada.api.patch("/users/me", {"name": "By token"}, headers={"Origin": EVIL}), 200)


def test_refresh_and_logout_by_cookie(ada: Person, api: Api, suite: Suite) -> None:
    _, cookie = signed_in_by_cookie(ada, api)
    origin = {"Origin": suite.stack.public_url()}
    answer = api.post("/auth/refresh", {}, headers={"Cookie": cookie, **origin})
    expect(answer, 200)
    cookie = f"{cookie_of(answer, ACCESS)}; {cookie_of(answer, REFRESH)}"
    answer = api.post("/auth/logout", {}, headers={"Cookie": cookie, **origin})
    expect(answer, 200)
    for line in answer.cookies().values():
        assert "max-age=0" in line.lower() or "1970" in line, line
    expect(api.get("/users/me", headers={"Cookie": cookie}), 401)


def test_signing_out_leaves_nothing_in_the_browser(ada: Person, api: Api, suite: Suite) -> None:
    answer, cookie = signed_in_by_cookie(ada, api)
    assert answer.headers["Clear-Site-Data"] is None
    answer = api.post("/auth/logout", {}, headers={"Cookie": cookie, "Origin": suite.stack.public_url()})
    expect(answer, 200)
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'


# ---- CORS ----------------------------------------------------------------------------------------

ASK = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type"}


def test_a_preflight_of_ours(api: Api, suite: Suite) -> None:
    ours = suite.stack.public_url()
    answer = api.call("OPTIONS", "/users/me", headers={"Origin": ours, **ASK})
    assert answer.status == 204 and not answer.body
    head = answer.headers
    assert head["Access-Control-Allow-Origin"] == ours
    assert head["Access-Control-Allow-Credentials"] == "true"
    assert {"GET", "PATCH", "DELETE"} <= set(re.split(r",\s*", head["Access-Control-Allow-Methods"]))
    allowed = head["Access-Control-Allow-Headers"].lower()
    assert "authorization" in allowed and "content-type" in allowed and "*" not in allowed
    assert "origin" in head["Vary"].lower()


@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost", "PUBLIC.evil.example", "PUBLIC@evil.example", "*"])
def test_a_preflight_of_others(api: Api, suite: Suite, origin: str) -> None:
    answer = api.call("OPTIONS", "/users/me", headers={**asked_by(suite, {"Origin": origin}), **ASK})
    assert not [h for h in answer.headers if h.lower().startswith("access-control-")]


@pytest.mark.parametrize("origin, is_ours", [("PUBLIC", True), (EVIL, False), ("null", False)])
def test_an_answer_names_its_reader(ada: Person, suite: Suite, origin: str, is_ours: bool) -> None:
    """The origin itself or nothing: never *, and never an echo."""
    for answer in (ada.api.get("/users/me", headers=asked_by(suite, {"Origin": origin})),
                   ada.api.get("/nowhere", headers=asked_by(suite, {"Origin": origin}))):
        allowed = answer.headers["Access-Control-Allow-Origin"]
        assert allowed == (suite.stack.public_url() if is_ours else None)
        assert answer.headers["Vary"] and "origin" in answer.headers["Vary"].lower()


def test_the_list_is_exact(suite: Suite, ada: Person) -> None:
    with gates(suite, 1, CORS_ORIGINS="https://app.example, http://localhost:5173") as (gate,):
        def allowed(origin: str) -> Any:
            return gate.api.as_user(ada.access_token).get("/users/me", headers={"Origin": origin}).headers[
                "Access-Control-Allow-Origin"]

        for good in ("https://app.example", "http://localhost:5173", suite.stack.public_url()):
            assert allowed(good) == good
        for bad in ("http://app.example", "https://app.example:8443", "https://a.app.example", "https://app.example.evil",
                    "http://localhost:5174", "https://APP.example/"):
            assert allowed(bad) is None


# ---- headers -------------------------------------------------------------------------------------

@pytest.mark.core
def test_answers_carry_the_usual_headers(ada: Person, api: Api) -> None:
    for answer in (ada.api.get("/users/me"), api.get("/users/me"), api.get("/nowhere"), api.get("/health"),
                   api.call("OPTIONS", "/users/me"), api.call("TRACE", "/users/me")):
        head = answer.headers
        assert answer.status == 204 or head["Content-Type"].startswith("application/json")
        assert head["X-Content-Type-Options"] == "nosniff"
        assert head["Cache-Control"] and "no-store" in head["Cache-Control"]
        assert head["X-Frame-Options"] == "DENY" and "frame-ancestors 'none'" in head["Content-Security-Policy"]
        for directive in ("default-src", "object-src", "base-uri", "form-action"):
            assert f"{directive} 'none'" in head["Content-Security-Policy"]
        assert head["Cross-Origin-Resource-Policy"] == "same-origin"
        assert head["Referrer-Policy"] == "no-referrer"
        assert re.fullmatch(r"[0-9a-f]{32}", head["X-Request-Id"])
        assert "Server" not in head and "X-Powered-By" not in head


def test_private_answers_are_kept_by_nobody(ada: Person, api: Api) -> None:
    """Whoever is signed in, by whatever: no cache on the way may keep it."""
    _, cookie = signed_in_by_cookie(ada, api)
    for answer in (ada.api.get("/users/me"), api.get("/users/me", headers={"Cookie": cookie}),
                   ada.api.get("/instances"), ada.api.get("/users/me", headers={"Authorization": "Bearer x.y.z"})):
        assert answer.headers["Cache-Control"] == "no-store"


def test_hsts_where_the_platform_is_behind_tls(suite: Suite, api: Api) -> None:
    """And not on a plain address, where it would lock people out."""
    assert api.get("/health").headers["Strict-Transport-Security"] is None
    with gates(suite, 1, PUBLIC_URL="https://zaki.example") as (gate,):
        for path in ("/health", "/users/me", "/nowhere"):
            value = gate.api.get(path).headers["Strict-Transport-Security"]
            assert value and int(re.findall(r"max-age=(\d+)", value)[0]) >= 31536000 and "includeSubDomains" in value
