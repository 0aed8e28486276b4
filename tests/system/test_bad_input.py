"""Every endpoint of the route table with every kind of wrong input: the code of SPEC 3, the field's
name, nothing changed, and the daemons keep serving (conftest looks at their pids after each test)."""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import Any, Iterator

import pytest

from zaki import bad
from zaki.api import Api, expect, raw_request
from zaki.nats import Message, Nats
from zaki.patience import PATIENCE_S
from zaki.people import Person
from zaki.suite import Suite
from zaki.tables import Route, local_paths, routes, subjects

ROUTES = routes()
WITH_BODY = [r for r in ROUTES if r.has_body]
WITH_ID = [r for r in ROUTES if r.parameters]
BY_QUERY = [r for r in ROUTES if not r.has_body]
SIGNED_IN = [r for r in ROUTES if r.needs in ("USER", "SELF")]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
HEADER_MAX = 16 * 1024


def each(found: list[Route] | tuple[Route, ...]) -> Any:
    return pytest.mark.parametrize("route", found, ids=[r.name for r in found])


class Owner:
    """Somebody with an assistant that no wrong request may change."""

    def __init__(self, suite: Suite) -> None:
        self.person = Person.new(suite.api)
        self.instance = self.person.running(suite.telegram.bot())["id"]
        self.before = self.state()

    def state(self) -> tuple[Any, Any]:
        seen = dict(self.person.instance(self.instance))
        seen.pop("observed_at")
        return expect(self.person.api.get("/users/me"), 200), seen

    def path(self, route: Route, instance: str = "") -> str:
        return bad.path_of(route.path, instance or self.instance)

    def send(self, route: Route, body: Any = None, raw: bytes | None = None, **more: Any) -> Any:
        api = self.person.api if route.needs != "NOTHING" else self.person.api.as_user("")
        return api.call(route.method, self.path(route), body, raw=raw, **more)


@pytest.fixture(scope="module")
def owner(suite: Suite) -> Owner:
    return Owner(suite)


@pytest.fixture(autouse=True)
def _unchanged(request: pytest.FixtureRequest, owner: Owner) -> Any:
    """Looked at when the last case of a test is through: what was taken as good fails its own case."""
    yield
    items = request.session.items
    following = items.index(request.node) + 1
    if following == len(items) or items[following].originalname != request.node.originalname:
        assert owner.state() == owner.before


# ---- bodies --------------------------------------------------------------------------------------

@pytest.mark.parametrize("what", bad.MALFORMED)
@each(WITH_BODY)
def test_malformed_body(owner: Owner, route: Route, what: str) -> None:
    if bad.MALFORMED[what].strip() == b"" and not route.required():
        pytest.skip("an empty body is an empty object where nothing is required")
    expect(owner.send(route, raw=bad.MALFORMED[what]), 400, "VALIDATION_ERROR")


@each(WITH_BODY)
def test_unknown_field(owner: Owner, route: Route) -> None:
    for name in ("no_such_field", "__proto__", "Name", "user_id", "x" * 200):
        answer = owner.send(route, {**bad.body_of(route), name: 1})
        expect(answer, 400, "VALIDATION_ERROR")
        assert answer.field and name.startswith(answer.field), answer


@each([r for r in WITH_BODY if r.required()])
def test_missing_field(owner: Owner, route: Route) -> None:
    for name in route.required():
        body = bad.body_of(route)
        del body[name]
        answer = owner.send(route, body)
        expect(answer, 400, "VALIDATION_ERROR")
        assert answer.field == name


@each([r for r in WITH_BODY if r.fields()])
def test_wrong_value(owner: Owner, route: Route) -> None:
    """Wrong type, too long, too short, out of range, wrong form: each field, also within objects."""
    for kind, name, value in bad.wrong_fields(route.fields()):
        answer = owner.send(route, bad.with_value(bad.body_of(route), name, value))
        shown = f"{kind}: {name} = {str(value)[:60]!r}: {answer}"
        assert (answer.status, answer.code, answer.field) == (400, "VALIDATION_ERROR", name), shown


@each([r for r in WITH_BODY if r.fields()])
def test_duplicate_key(owner: Owner, route: Route) -> None:
    for name, prop in route.fields().items():
        answer = owner.send(route, raw=bad.twice(bad.body_of(route), name, bad.sample(name, prop)))
        expect(answer, 400, "VALIDATION_ERROR")
        assert answer.field == name


@pytest.mark.parametrize("what, text", [("NUL", b"a\\u0000b"), ("invalid UTF-8", b"a\xffb"), ("raw NUL", b"a\x00b"),
                                        ("lone surrogate", b"a\\udfffb"), ("control character", b"a\x1fb")])
@each([r for r in WITH_BODY if bad.text_fields(r.fields())])
def test_text_that_is_none(owner: Owner, route: Route, what: str, text: bytes) -> None:
    for name in bad.text_fields(route.fields()):
        body = json.dumps(bad.with_value(bad.body_of(route), name, "@@@")).encode()
        answer = owner.send(route, raw=body.replace(b"@@@", text * 8))
        expect(answer, 400, "VALIDATION_ERROR")
        assert answer.field in ("", name)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
                                  "application/xml", "application/jsonx", "", "application/json-patch+json"])
@each([r for r in WITH_BODY if r.fields()])
def test_wrong_content_type(owner: Owner, route: Route, kind: str) -> None:
    answer = owner.send(route, bad.body_of(route), headers={"Content-Type": kind})
    expect(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


@each([r for r in WITH_BODY if r.fields()])
def test_content_type_may_name_utf8(owner: Owner, route: Route) -> None:
    for kind in ("application/json; charset=utf-8", "Application/JSON;charset=UTF-8"):
        expect(owner.send(route, {"no_such_field": 1}, headers={"Content-Type": kind}), 400, "VALIDATION_ERROR")


@each(WITH_BODY)
def test_oversized_body(owner: Owner, route: Route) -> None:
    for size in (route.body_max + 1, route.body_max + (1 << 20)):
        raw = b'{"name": "' + b"a" * (size - 12) + b'"}'
        expect(owner.send(route, raw=raw), 413, "PAYLOAD_TOO_LARGE")


@each(WITH_BODY)
def test_oversized_body_is_refused_before_it_is_sent(suite: Suite, owner: Owner, route: Route) -> None:
    head = (f"{route.method} /api{owner.path(route)} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {owner.person.access_token}\r\nContent-Length: {1 << 30}\r\n\r\n")
    answer = raw_request(suite.api.base, head.encode())  # that no body follows is not waited for
    assert answer and answer.status == 413, answer


@each(WITH_BODY)
def test_oversized_body_in_chunks(suite: Suite, owner: Owner, route: Route) -> None:
    head = (f"{route.method} /api{owner.path(route)} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {owner.person.access_token}\r\nTransfer-Encoding: chunked\r\n\r\n").encode()
    chunks = b"".join(b"4000\r\n" + b" " * 0x4000 + b"\r\n" for _ in range(route.body_max // 0x4000 + 2)) + b"0\r\n\r\n"
    answer = raw_request(suite.api.base, head + chunks)
    assert answer and answer.status in (411, 413), answer


@each(SIGNED_IN)
def test_who_may_not_send_is_not_listened_to(suite: Suite, owner: Owner, route: Route) -> None:
    """Without a token the body is not even read: malformed, huge or never sent, the answer is 401."""
    nobody = suite.api
    path = owner.path(route)
    expect(nobody.call(route.method, path, raw=b"{{{" if route.has_body else None), 401, "UNAUTHENTICATED")
    head = (f"{route.method} /api{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: 1000\r\n\r\n")
    answer = raw_request(nobody.base, head.encode())
    assert answer and answer.status == 401, answer


# ---- paths, methods, headers, queries ------------------------------------------------------------

@each(ROUTES)
def test_oversized_header(owner: Owner, route: Route) -> None:
    answer = owner.send(route, {} if route.has_body else None, headers={"X-Long": "a" * (HEADER_MAX + 1)})
    expect(answer, 431, "HEADERS_TOO_LARGE")


def test_oversized_headers_of_every_shape(suite: Suite) -> None:
    shapes = {
        "one long line": b"X-Long: " + b"a" * 30_000,
        "many lines": b"\r\n".join(b"X-%d: %s" % (i, b"a" * 100) for i in range(400)),
        "very many short lines": b"\r\n".join(b"X-%d: a" % i for i in range(3000)),
    }
    for what, lines in shapes.items():
        answer = raw_request(suite.api.base, b"GET /api/health HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n\r\n")
        assert answer and answer.status == 431 and answer.code == "HEADERS_TOO_LARGE", (what, answer)
    # Past what is read at all nobody knows whether it is a header.
    answer = raw_request(suite.api.base, b"GET /api/health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 2_000_000)
    assert answer is None or (answer.status in (400, 431) and answer.code), answer
    long_path = raw_request(suite.api.base, b"GET /api/" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert long_path and long_path.status in (404, 414, 431), long_path


@pytest.mark.parametrize("path", sorted({r.path for r in ROUTES} | set(local_paths())))
def test_wrong_method(owner: Owner, path: str) -> None:
    methods = {r.method for r in ROUTES if r.path == path} | local_paths().get(path, set())
    for method in [m for m in METHODS if m not in methods] + ["TRACE", "PROPFIND"]:
        answer = owner.person.api.call(method, bad.path_of(path, owner.instance))
        expect(answer, 405, "METHOD_NOT_ALLOWED")
        allowed = {m.strip() for m in answer.headers["Allow"].split(",")}
        assert methods <= allowed <= methods | {"OPTIONS", "HEAD"}, (method, allowed)


@pytest.mark.parametrize("path", [
    "=/", "=/api", "=/api/", "=/v1", "=/v2/users/me", "=/apiusers/me", "/nowhere", "/users", "/users/me/", "/users/me/x",
    "/users//me", "//users/me", "/Users/Me", "/users/me%2f", "/users/%6de", "/instances/", "=/api/../etc/passwd",
    "/..%2f..%2fetc%2fpasswd", "/users/me%00", "/users/me;x", "/users/../users/me", "/instances/%zz", "/.git/config",
])
def test_unknown_path(owner: Owner, path: str) -> None:
    answer = owner.person.api.get(path)
    if path == "/users/%6de" and answer.status == 200:
        return  # decoded to the same path: that is what RFC 3986 calls equivalent
    assert (answer.status, answer.code) in ((404, "NOT_FOUND"), (400, "VALIDATION_ERROR")), answer


@pytest.mark.parametrize("instance", [
    "abc", "1", "-", "%20", "00000000-0000-0000-0000-00000000000g", "00000000000000000000000000000000",
    "{id}", "a" * 36, "a" * 500, "%27%20OR%201%3D1", "..", "%2e%2e%2fx", "%00", "%ff", "*", "null",
])
@each(WITH_ID)
def test_an_id_that_is_no_uuid(owner: Owner, route: Route, instance: str) -> None:
    api = owner.person.api
    answer = api.call(route.method, owner.path(route, instance), bad.body_of(route) if route.has_body else None)
    if instance in ("..", "%2e%2e%2fx", "%00"):  # no path at all
        assert answer.status in (400, 404, 405), answer
        return
    expect(answer, 400, "VALIDATION_ERROR")
    assert answer.field == route.parameters[0]


@each(WITH_ID)
def test_an_id_in_capitals_is_no_id_of_ours(owner: Owner, route: Route) -> None:
    answer = owner.person.api.call(route.method, owner.path(route, owner.instance.upper()),
                                   bad.body_of(route) if route.has_body else None)
    assert answer.status in (400, 404), answer


@each(WITH_ID)
def test_an_id_that_is_nobodys_or_somebody_elses(owner: Owner, bob: Person, route: Route) -> None:
    body = {"name": "mine now"} if "name" in route.fields() else ({} if route.has_body else None)
    if route.has_body and route.required():
        body = {name: bad.body_of(route)[name] for name in route.required()}
    unknown = str(uuid.uuid4())
    theirs = bob.api.call(route.method, owner.path(route), body)
    nobodys = bob.api.call(route.method, owner.path(route, unknown), body)
    expect(theirs, 404, "NOT_FOUND")
    expect(nobodys, 404, "NOT_FOUND")
    assert theirs.body.replace(owner.instance.encode(), b"ID") == nobodys.body.replace(unknown.encode(), b"ID")


def test_the_path_alone_says_which(owner: Owner, bob: Person, suite: Suite) -> None:
    mine = bob.running(suite.telegram.bot())["id"]
    answer = bob.api.patch(f"/instances/{mine}", {"instance_id": owner.instance, "name": "renamed"})
    assert answer.status in (200, 202, 400), answer
    bob.remove(mine)


@each(BY_QUERY)
def test_a_body_where_none_belongs(owner: Owner, route: Route) -> None:
    for raw in (b"{}", b'{"name": "x"}', b"{{{"):
        expect(owner.send(route, raw=raw), 400, "VALIDATION_ERROR")


@each(BY_QUERY)
def test_unknown_query_parameter(owner: Owner, route: Route) -> None:
    answer = owner.person.api.call(route.method, owner.path(route) + "?no_such_field=1")
    expect(answer, 400, "VALIDATION_ERROR")
    assert answer.field == "no_such_field"


@pytest.mark.parametrize("query, field", [
    ("limit=0", "limit"), ("limit=101", "limit"), ("limit=-1", "limit"), ("limit=abc", "limit"), ("limit=1.5", "limit"),
    ("limit=", "limit"), ("limit=1e1", "limit"), ("limit=99999999999999999999", "limit"), ("limit=%00", "limit"),
    ("limit=1&limit=2", "limit"), ("cursor=", "cursor"), ("cursor=garbage", "cursor"), ("cursor=" + "A" * 300, "cursor"),
    ("cursor=%ff%fe", "cursor"), ("cursor=a%20b", "cursor"), ("no_such=1", "no_such"), ("user_id=1", "user_id"),
    ("limit=%zz", "limit"), ("=1", ""), ("%00=1", ""),
])
def test_wrong_query(owner: Owner, query: str, field: str) -> None:
    answer = owner.person.api.get(f"/instances?{query}")
    expect(answer, 400, "VALIDATION_ERROR")
    assert answer.field in (field, "cursor" if "%ff" in query else field), answer


@pytest.mark.parametrize("key", ["a" * 129, "ümlaut", "tab\there"])
def test_wrong_idempotency_key(owner: Owner, key: str) -> None:
    answer = owner.person.api.post(f"/instances/{owner.instance}/stop", headers={"Idempotency-Key": key})
    expect(answer, 400, "VALIDATION_ERROR")
    assert answer.field in ("", "Idempotency-Key")


# ---- HTTP itself ---------------------------------------------------------------------------------

@pytest.mark.parametrize("what, request_bytes", [
    ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200),
    ("no version", b"GET /api/health\r\n\r\n"),
    ("a version that is none", b"GET /api/health HTTP/9.9\r\nHost: x\r\n\r\n"),
    ("a method that is none", b"G@T /api/health HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("no path", b"GET HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a header without a colon", b"GET /api/health HTTP/1.1\r\nHost: x\r\nbroken\r\n\r\n"),
    ("a negative length", b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n{}"),
    ("a length that is no number", b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: abc\r\n\r\n{}"),
    ("a length past 2^64", b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999999999999999\r\n\r\n{}"),
    ("chunks that are none", b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    ("an encoding that is unknown", b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: gzip\r\n\r\nxx"),
    ("random bytes", os.urandom(600) + b"\r\n\r\n"),
])
def test_broken_http(suite: Suite, what: str, request_bytes: bytes) -> None:
    answer = raw_request(suite.api.base, request_bytes, half_close=True)
    assert answer is None or 400 <= answer.status < 600, (what, answer)
    expect(suite.api.get("/health"), 200)


def test_two_lengths_are_no_way_to_smuggle(suite: Suite) -> None:
    """A request inside a request's body must not be taken for one."""
    inner = b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n"
    for framing in (b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(inner),
                    b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % (len(inner) + 5)):
        body = inner if b"chunked" not in framing else b"0\r\n\r\n" + inner
        head = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + framing + b"\r\n"
        import socket
        from urllib.parse import urlsplit
        url = urlsplit(suite.api.base)
        with socket.create_connection((url.hostname or "", url.port or 80), timeout=PATIENCE_S) as s:
            s.sendall(head + body)
            s.shutdown(socket.SHUT_WR)
            got = b""
            while data := s.recv(65536):
                got += data
        assert got.count(b"HTTP/1.1 ") <= 1, got
        assert b" 400 " in got.split(b"\r\n")[0] or not got, got[:200]


def test_a_body_shorter_than_said(suite: Suite) -> None:
    answer = raw_request(suite.api.base, b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                         b"Content-Length: 50\r\n\r\n{\"email\":", half_close=True)
    assert answer is None or answer.status == 400, answer


# ---- the bus -------------------------------------------------------------------------------------

CALLS = [s for s in subjects().values() if s.kind in ("CALL", "ONCE")]
# Who may ask zaki.int.<service>.<verb>; the permissions of deploy/nats are tested elsewhere.
ASKERS = ("gateway", "realtime-fanout", "auth", "instance-manager", "storage-backup", "zakictl")


class Askers:
    """A connection of each daemon that may ask, opened once: the server takes its time over a password."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.open: dict[str, Nats] = {}
        self.may: dict[str, str] = {}  # subject → who may ask it

    def bus(self, user: str) -> Nats:
        if user not in self.open:
            self.open[user] = Nats(self.suite.stack.nats_url(user), inbox=f"_INBOX_{user}")
        return self.open[user]

    def __call__(self, subject: str, data: bytes, headers: dict[str, str]) -> Message | None:
        """As a daemon that may ask this."""
        known = self.may.get(subject)
        users = (known,) if known else ("gateway",) if subject.startswith("zaki.rpc.") else ASKERS
        for user in users:
            bus, inbox = self.bus(user), f"_INBOX_{user}.{uuid.uuid4().hex}"
            bus.subscribe(inbox)
            bus.publish(subject, data, inbox, headers)
            if not bus.refused(f'Permissions Violation for Publish to "{subject}"'):
                self.may[subject] = user
                return bus.wait_for(lambda m: m.subject == inbox)
        return None

    def close(self) -> None:
        for bus in self.open.values():
            bus.close()


@pytest.fixture(scope="module")
def ask(suite: Suite) -> Iterator[Askers]:
    askers = Askers(suite)
    yield askers
    askers.close()


@pytest.mark.parametrize("call", CALLS, ids=[c.name for c in CALLS])
def test_a_bus_message_that_breaks_its_schema(ask: Askers, owner: Owner, call: Any) -> None:
    actor = {"Zaki-Actor": f"{owner.person.id} {uuid.uuid4()}"}
    for what, data in bad.MALFORMED.items():
        answer = ask(call.name, data, actor)
        assert answer, f"nobody may ask {call.name}"
        assert answer.header("Zaki-Status") == "400", (what, answer)
        assert json.loads(answer.data)["error"]["code"] == "VALIDATION_ERROR", (what, answer)
    answer = ask(call.name, b'{"no_such_field": 1}', actor)
    assert answer and json.loads(answer.data)["error"]["details"]["field"] == "no_such_field", answer


def test_a_bus_message_with_a_plain_secret(ask: Askers) -> None:
    """A secret that is not sealed is refused, and not taken for the secret."""
    data = json.dumps({"email": "eve@example.org", "password": "in plain words"}).encode()
    answer = ask("zaki.rpc.auth.login", data, {})
    assert answer and answer.header("Zaki-Status") == "400", answer
    assert json.loads(answer.data)["error"]["details"]["field"] == "password"


@pytest.mark.parametrize("headers", [
    {"Zaki-Actor": "x"}, {"Zaki-Actor": "a b"}, {"Zaki-Actor": "' OR 1=1 --"}, {"Zaki-Deadline": "soon"},
    {"Zaki-Deadline": "-1"}, {"Zaki-Idempotency-Key": "k" * 500}, {"Zaki-Client": "x" * 500},
])
def test_bus_headers_that_are_wrong(ask: Askers, headers: dict[str, str]) -> None:
    answer = ask("zaki.rpc.auth.user_get", b"{}", headers)
    assert answer and answer.header("Zaki-Status") == "400", answer


def test_a_bus_message_without_an_actor(ask: Askers) -> None:
    for call in ("auth.user_get", "auth.user_delete", "instance.list"):
        answer = ask(f"zaki.rpc.{call}", b"{}", {})
        assert answer and answer.header("Zaki-Status") in ("401", "403"), (call, answer)


def test_a_verb_that_is_unknown(ask: Askers) -> None:
    for service in ("auth", "instance", "realtime"):
        answer = ask(f"zaki.rpc.{service}.no_such_verb", b"{}", {})
        assert answer and answer.header("Zaki-Status") == "404", answer


def test_a_bus_message_past_its_deadline(ask: Askers, ada: Person) -> None:
    headers = {"Zaki-Actor": f"{ada.id} {uuid.uuid4()}", "Zaki-Deadline": str(int(time.time() * 1000) - 1000)}
    answer = ask("zaki.rpc.auth.user_get", b"{}", headers)
    assert answer and answer.header("Zaki-Status") == "504", answer


def test_it_still_works_after_all_that(owner: Owner, api: Api) -> None:
    expect(api.get("/health"), 200)
    assert owner.person.instance(owner.instance)["status"] == "running"
