"""The WebSocket: who may open one, what comes through it and in which order (SPEC 4)."""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import Any

import pytest

from zaki.api import Api, expect
from zaki.patience import PATIENCE_S
from zaki.people import Person
from zaki.suite import Suite
from zaki.telegram import Bot
from zaki.ws import CHECK_S, Closed, Refused, Socket

pytestmark = pytest.mark.core
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
POSITION = re.compile(r"[0-9a-f]{8}:\d+")
STATUSES = ("provisioning", "starting", "running", "stopping", "stopped", "restarting")


def number(position: str) -> int:
    return int(position.split(":")[1])


def statuses(frames: list[dict[str, Any]]) -> list[str]:
    """The states told, one of each kind in a row."""
    found: list[str] = []
    for f in frames:
        if f["event"] == "instance.status" and f["data"]["status"] not in found[-1:]:
            found.append(f["data"]["status"])
    return found


def running(suite: Suite, person: Person, bot: Bot) -> str:
    """A new assistant that runs, and whose events so far are in the stream: none of them comes as a later one."""
    instance = str(person.running(bot)["id"])
    suite.wait_told(instance)
    return instance


def until(ws: Socket, status: str, timeout: float = 40.0) -> None:
    ws.expect("instance.status", timeout, lambda f: f["data"]["status"] == status)


# ---- who -----------------------------------------------------------------------------------------

def test_a_token_in_the_address(ada: Person, suite: Suite) -> None:
    with suite.socket(ada.access_token) as ws:
        ws.quiet(0.1)


def test_a_ticket_opens_one_socket(ada: Person, suite: Suite) -> None:
    data = expect(ada.api.post("/auth/ws-ticket"), 200)
    assert set(data) == {"ticket", "expires_in"} and 0 < data["expires_in"] <= 30
    with Socket(f"{suite.ws_url}?ticket={data['ticket']}") as ws:
        ws.quiet(0.1)
    with pytest.raises(Refused) as refused:
        Socket(f"{suite.ws_url}?ticket={data['ticket']}")
    assert refused.value.status == 401


def test_a_cookie_with_an_origin_that_is_allowed(ada: Person, suite: Suite) -> None:
    answer = suite.api.post("/auth/login", {"email": ada.email, "password": ada.password})
    cookie = {"Cookie": answer.cookies()["__Host-zaki_access"].split(";")[0]}
    with Socket(suite.ws_url, {**cookie, "Origin": suite.stack.public_url()}) as ws:
        ws.quiet(0.1)
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        with pytest.raises(Refused) as refused:
            Socket(suite.ws_url, {**cookie, **headers})
        assert refused.value.status in (401, 403), headers


@pytest.mark.parametrize("query", ["", "?token=", "?token=x", "?token=a.b.c", "?ticket=", "?ticket=unknown",
                                   "?ticket=" + "x" * 5000, "?token=" + "x" * 3000, "?other=1", "?token=%ff%00"])
def test_nobody(suite: Suite, query: str) -> None:
    with pytest.raises((Refused, Closed, OSError, Exception)) as refused:
        Socket(suite.ws_url + query)
    if isinstance(refused.value, Refused):
        assert refused.value.status in (400, 401, 403, 414, 431), refused.value


def test_a_refresh_token_and_a_finished_session(ada: Person, suite: Suite) -> None:
    with pytest.raises(Refused):
        suite.socket(ada.refresh_token)
    expect(ada.api.post("/auth/logout", {}), 200)
    with pytest.raises(Refused) as refused:
        suite.socket(ada.access_token)
    assert refused.value.status == 401


def test_another_path(ada: Person, suite: Suite) -> None:
    with pytest.raises(Refused) as refused:
        Socket(suite.ws_url.replace("/ws", "/nowhere") + f"?token={ada.access_token}")
    assert refused.value.status in (400, 403, 404)


def test_ten_sockets_and_no_more(ada: Person, bob: Person, suite: Suite) -> None:
    held = [suite.socket(ada.access_token) for _ in range(10)]
    try:
        try:
            extra = suite.socket(ada.access_token)
            end = extra.closed(5)
            assert end.code in (4429, 1013, 1008), end
        except Refused as refused:
            assert refused.status == 429, refused
        with suite.socket(bob.access_token) as ws:
            ws.quiet(0.1)
        held.pop().close()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                held.append(suite.socket(ada.access_token))
                break
            except Refused:
                assert time.monotonic() < deadline, "a closed socket makes room"
    finally:
        for ws in held:
            ws.close()


# ---- subscribing ---------------------------------------------------------------------------------

def test_subscribed_comes_with_the_state(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = running(suite, ada, bot)
    with suite.socket(ada.access_token) as ws:
        frame = ws.subscribe(f"instance.{instance}")
        assert POSITION.fullmatch(frame["position"]) and TIME.fullmatch(frame["ts"])
        assert frame["data"]["instance"]["id"] == instance
        assert frame["data"]["instance"]["status"] == "running"
        sessions = ws.subscribe(f"sessions.{instance}")
        assert sessions["data"]["sessions"] == []


def test_both_ways_of_writing_it(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = running(suite, ada, bot)
    with suite.socket(ada.access_token) as ws:
        for text in (f"subscribe:instance.{instance}", json.dumps({"event": f"subscribe:instance.{instance}"})):
            ws.send(text)
            ws.expect("subscribed")
            ws.send(text.replace("subscribe:", "unsubscribe:"))
            assert ws.expect("unsubscribed")["topic"] == f"instance.{instance}"


def test_events_come_in_order(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = running(suite, ada, bot)
    with suite.socket(ada.access_token) as ws:
        first = ws.subscribe(f"instance.{instance}")
        stop = ada.api.post(f"/instances/{instance}/stop")
        expect(stop, 202)
        until(ws, "stopped")
        start = ada.api.post(f"/instances/{instance}/start")
        expect(start, 202)
        until(ws, "running")
        frames = [f for f in ws.seen if f["event"] != "subscribed"]

    assert statuses(frames) == ["stopping", "stopped", "starting", "running"], ws.names()
    assert {"channel.connected", "channel.disconnected", "instance.activity"} >= {f["event"] for f in frames} - {"instance.status"}
    numbers = [number(f["position"]) for f in [first, *frames]]
    assert numbers == sorted(set(numbers)), "positions grow, and no event comes twice"
    for f in frames:
        assert f["topic"] == f"instance.{instance}" and TIME.fullmatch(f["ts"])
        assert f["data"]["instance_id"] == instance and re.fullmatch("[0-9a-f]{32}", f["trace_id"])
    traces = [stop.headers["X-Request-Id"], start.headers["X-Request-Id"]]
    told = {s: f["trace_id"] for f in frames if f["event"] == "instance.status" for s in [f["data"]["status"]]}
    assert told["stopping"] == traces[0] and told["starting"] == traces[1]


def test_two_sockets_hear_the_same(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = running(suite, ada, bot)
    with suite.socket(ada.access_token) as one, suite.socket(ada.access_token) as two:
        for ws in (one, two):
            ws.subscribe(f"instance.{instance}")
        ada.act(instance, "stop")
        for ws in (one, two):
            until(ws, "stopped")
        assert [f for f in one.seen if f["event"] == "instance.status"] == \
            [f for f in two.seen if f["event"] == "instance.status"]


def test_unsubscribed_is_quiet(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = running(suite, ada, bot)
    for word in (f"unsubscribe:instance.{instance}", "unsubscribe:*"):
        with suite.socket(ada.access_token) as ws:
            ws.subscribe(f"instance.{instance}")
            ws.send(word)
            ws.expect("unsubscribed")
            ada.act(instance, "stop", "stopped")
            ada.act(instance, "start", "running")
            ws.quiet(0.5)


def test_nobody_hears_of_anothers(ada: Person, bob: Person, bot: Bot, suite: Suite) -> None:
    instance = running(suite, ada, bot)
    with suite.socket(bob.access_token) as ws:
        for topic in (f"instance.{instance}", f"sessions.{instance}", f"instance.{uuid.uuid4()}"):
            ws.send(f"subscribe:{topic}")
            frame = ws.expect("error")
            assert frame["data"]["code"] == "NOT_FOUND", frame
        ada.act(instance, "stop", "stopped")
        ws.quiet(0.5)


def test_the_missed_comes_after_all(ada: Person, bot: Bot, suite: Suite) -> None:
    """Between two sockets things happened: with `since` each event comes, once, in order."""
    instance = running(suite, ada, bot)
    with suite.socket(ada.access_token) as witness:
        witness.subscribe(f"instance.{instance}")
        with suite.socket(ada.access_token) as ws:
            position = ws.subscribe(f"instance.{instance}")["position"]
        ada.act(instance, "stop")
        until(witness, "stopped")
        missed = [f for f in witness.seen if f["event"] != "subscribed" and number(f["position"]) > number(position)]
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}", since=position)
        ada.act(instance, "start")
        until(ws, "running")
        got = [f for f in ws.seen if f["event"] not in ("subscribed",)]
    assert got[:len(missed)] == missed
    assert statuses(got) == ["stopping", "stopped", "starting", "running"]


@pytest.mark.parametrize("since", ["00000000:1", "ffffffff:999999"])
def test_a_position_that_is_too_old(ada: Person, bot: Bot, suite: Suite, since: str) -> None:
    instance = running(suite, ada, bot)
    with suite.socket(ada.access_token) as ws:
        ws.send({"event": f"subscribe:instance.{instance}", "since": since})
        frames = [ws.recv(), ws.recv()]
        assert {f["event"] for f in frames} == {"subscribed", "resync"}, frames


def test_the_end_of_an_assistant_is_told(ada: Person, bob: Person, bot: Bot, suite: Suite) -> None:
    instance = running(suite, ada, bot)
    with suite.socket(ada.access_token) as ws:
        position = ws.subscribe(f"instance.{instance}")["position"]
        ws.subscribe(f"sessions.{instance}")
        expect(ada.api.delete(f"/instances/{instance}"), 202)
        over = {}
        while len(over) < 2:
            frame = ws.recv(40)
            if frame["event"] == "unsubscribed":
                over[frame["topic"]] = [f["event"] for f in ws.seen if f["topic"] == frame["topic"]][-2]
        assert over == {f"instance.{instance}": "instance.deleted", f"sessions.{instance}": "instance.deleted"}
        ws.send(f"subscribe:instance.{instance}")
        assert ws.expect("error")["data"]["code"] == "NOT_FOUND"
        told = [f for f in ws.seen if f["topic"] == f"instance.{instance}" and f["event"] not in ("subscribed", "error")]

    # Whoever was away hears the same, or where its position is of no use the end alone; nobody else does.
    with suite.socket(ada.access_token) as ws:
        ws.send({"event": f"subscribe:instance.{instance}", "since": position})
        ws.expect("unsubscribed")
        assert [f["event"] for f in ws.seen] == [f["event"] for f in told]
        assert ws.seen[:-1] == told[:-1]
        ws.send({"event": f"subscribe:sessions.{instance}", "since": "00000000:1"})
        assert [ws.recv()["event"], ws.recv()["event"]] == ["instance.deleted", "unsubscribed"]
    with suite.socket(bob.access_token) as ws:
        for topic in (f"instance.{instance}", f"sessions.{instance}"):
            ws.send({"event": f"subscribe:{topic}", "since": position})
            assert ws.expect("error")["data"]["code"] == "NOT_FOUND"


# ---- frames that are wrong -----------------------------------------------------------------------

@pytest.mark.parametrize("frame", [
    "", "x", "subscribe", "subscribe:", "subscribe:instance", "subscribe:instance.", "subscribe:instance.abc",
    "subscribe:*", "subscribe:other.00000000-0000-4000-8000-000000000000", "unsubscribe:", "SUBSCRIBE:instance.x",
    "subscribe:instance.00000000-0000-4000-8000-000000000000.x", "subscribe:instance.>", "subscribe:instance.*",
    "{", "{}", "[]", "null", '{"event": 7}', '{"event": "subscribe:instance.x", "other": 1}', '{"event": ""}',
    '{"event": "subscribe:instance.x", "event": "y"}', '{"since": "x"}', '{"event": "a\\u0000b"}',
    '{"event": "subscribe:instance.00000000-0000-4000-8000-000000000000", "since": 7}',
    '{"event": "subscribe:instance.00000000-0000-4000-8000-000000000000", "since": "' + "9" * 300 + '"}',
    "ü" * 100, "[" * 2000,
])
def test_wrong_frames_are_answered(ada: Person, suite: Suite, frame: str) -> None:
    with suite.socket(ada.access_token) as ws:
        ws.send(frame)
        answer = ws.expect("error")
        assert answer["data"]["code"] in ("VALIDATION_ERROR", "NOT_FOUND"), answer
        ws.send("subscribe:nonsense")  # and it goes on
        ws.expect("error")


def test_frames_that_end_the_socket_end_no_other(ada: Person, suite: Suite) -> None:
    with suite.socket(ada.access_token) as good:
        for frame in (b"\x00\x01binary", "x" * 100_000, b"\xff" * 70_000):
            with suite.socket(ada.access_token) as ws:
                try:
                    ws.send(frame)
                    ws.expect("error", 3)
                except (Closed, OSError) as end:
                    assert not isinstance(end, Closed) or end.code in (1003, 1007, 1008, 1009, 1006), end
        good.send("subscribe:nonsense")
        good.expect("error")


def test_a_quiet_socket_stays_open(suite: Suite) -> None:
    """Through several pings; opened when the suite started, so that hardly any waiting is left."""
    assert suite.quiet
    since, ws = suite.quiet
    ws.quiet(max(0.1, since + 60 - time.monotonic()))
    ws.send("subscribe:nonsense")
    ws.expect("error")


# ---- the end -------------------------------------------------------------------------------------

def test_logout_closes_the_sessions_sockets(ada: Person, suite: Suite, api: Api) -> None:
    other = Person(Api(api.base), ada.email, ada.password)
    other.login()
    with suite.socket(ada.access_token) as ws, suite.socket(other.access_token) as stays:
        start = time.monotonic()
        expect(ada.api.post("/auth/logout", {}), 200)
        end = ws.closed()
        assert end.code == 4401 and time.monotonic() - start < CHECK_S / 2, end
        stays.quiet(0.3)
        stays.send("subscribe:nonsense")
        stays.expect("error")


def test_a_deleted_account_closes_all_its_sockets(ada: Person, suite: Suite) -> None:
    with suite.socket(ada.access_token) as ws:
        expect(ada.api.delete("/users/me"), 202)
        assert ws.closed(5).code == 4401


def test_a_reused_token_closes_the_familys_sockets(ada: Person, suite: Suite, api: Api) -> None:
    with suite.socket(ada.access_token) as ws:
        second = expect(api.post("/auth/refresh", {"refresh_token": ada.refresh_token}), 200)
        expect(api.post("/auth/refresh", {"refresh_token": second["refresh_token"]}), 200)
        expect(api.post("/auth/refresh", {"refresh_token": ada.refresh_token}), 401, "TOKEN_REUSED")
        assert ws.closed(5).code == 4401
