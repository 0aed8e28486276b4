"""What a socket may not do to others, and how long it lives: limits, stalled and half-open clients, other
people's topics, and the end of a session through restarts."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterator

import pytest

from zaki import jwt
from zaki.api import expect
from zaki.crowd import assistants
from zaki.figures import stats
from zaki.nats import Nats
from zaki.patience import wait_until
from zaki.people import Person
from zaki.rawws import CLOSE, TEXT, RawSocket, frame
from zaki.suite import SLOW, Suite
from zaki.ws import CHECK_S, Closed, Refused, Socket

BEAT_S = 10  # WS_BEAT_S: what a gateway that crashed held is free again after this
QUEUE = 256  # WS_QUEUE_MSGS_MAX


def free_ports(count: int) -> list[str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(s.getsockname()[1]) for s in held]
    for s in held:
        s.close()
    return ports


@pytest.fixture(name="second")
def _second(suite: Suite) -> Iterator[str]:
    """The address of one more gateway, which pings every two seconds."""
    port, ws_port = free_ports(2)
    suite.start_extra("gateway", "gateway-2", {"PORT": port, "WS_PORT": ws_port, "METRICS_PORT": "0", "WS_PING_S": "2"})
    yield f"ws://127.0.0.1:{ws_port}/ws"
    suite.end_extra("gateway-2")


@pytest.fixture(name="bus")
def _bus(suite: Suite) -> Iterator[Nats]:
    with Nats(suite.stack.nats_url("instance-manager"), inbox="_INBOX_instance-manager") as bus:
        yield bus


def publish(bus: Nats, instance: str, numbers: range, size: int = 0) -> None:
    for n in numbers:
        body = {"n": n, "instance_id": instance, "pad": "x" * size}
        bus.publish(f"zaki.evt.instance.{instance}.status", json.dumps(body).encode())
    bus.flush(20)


# ---- one client and the others -------------------------------------------------------------------

def test_a_stalled_client_delays_nobody_and_resumes(ada: Person, suite: Suite, bus: Nats) -> None:
    instance = assistants(suite, [ada.id])[0]
    topic, count = f"instance.{instance}", 420
    with suite.socket(ada.access_token) as good, RawSocket(f"{suite.ws_url}?token={ada.access_token}") as bad:
        bad.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        good.subscribe(topic)
        bad.send(frame(TEXT, f"subscribe:{topic}"))
        last = json.loads(bad.recv().payload)["position"]
        publish(bus, instance, range(count), size=900)
        got = [good.expect("instance.status", 20 * SLOW)["data"]["n"] for _ in range(count)]
        assert got == list(range(count)), "the other gets all, in order"

        wait_until(lambda: not bad.is_held(), what="it is cut, two seconds after it was told and did not even take that")
        seen = []
        for one in bad.frames():
            if one.opcode == CLOSE:
                assert one.code == 1013 and b"last position" in one.payload
            elif one.opcode == TEXT:
                data = json.loads(one.payload)
                seen.append(data["data"]["n"])
                last = data["position"]
        assert seen == list(range(len(seen))) and len(seen) < count - QUEUE // 2
        with suite.socket(ada.access_token) as again:
            again.subscribe(topic, since=last)
            rest = [again.expect("instance.status", 20)["data"]["n"] for _ in range(count - len(seen))]
            assert rest == list(range(len(seen), count)), "and it gets what it missed"


def test_64_topics_and_no_more(ada: Person, suite: Suite) -> None:
    ids = assistants(suite, [ada.id] * 33)
    topics = [f"{kind}.{i}" for i in ids for kind in ("instance", "sessions")]
    with suite.socket(ada.access_token) as ws:
        for topic in topics[:64]:
            ws.send(f"subscribe:{topic}")
        for _ in topics[:64]:
            ws.expect("subscribed")
        ws.send(f"subscribe:{topics[64]}")
        refused = ws.expect("error")
        assert refused["topic"] == topics[64] and refused["data"]["code"] == "QUOTA_EXCEEDED", refused
        ws.send(f"unsubscribe:{topics[0]}")
        ws.expect("unsubscribed")
        ws.subscribe(topics[64])


def test_a_half_open_socket_is_found(ada: Person, suite: Suite, second: str) -> None:
    """25 s between pings and 37.5 of silence, here 2 and 3."""
    start = time.monotonic()
    with RawSocket(f"{second}?token={ada.access_token}") as mute, Socket.with_token(second, ada.access_token) as good:
        assert mute.status == 101, mute.head
        assert [f.opcode for f in mute.frames()].count(9) >= 1
        assert time.monotonic() - start > 2.5
        good.quiet(3)
        good.send("subscribe:nonsense")
        good.expect("error")


def test_a_gateway_that_stood_still_ends_nobody(ada: Person, suite: Suite, second: str) -> None:
    """For longer than it takes a client's silence; it had asked nobody for a sign of life."""
    pid = suite.extra["gateway-2"][1].pid
    with Socket.with_token(second, ada.access_token) as ws:
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(4)
        finally:
            os.kill(pid, signal.SIGCONT)
        ws.quiet(3)
        ws.send("subscribe:nonsense")
        ws.expect("error")


@pytest.mark.disturbs
def test_ten_sockets_over_all_gateways_also_after_a_crash(ada: Person, suite: Suite, second: str) -> None:
    held = [Socket.with_token(second, ada.access_token) for _ in range(10)]
    with pytest.raises(Refused) as refused:
        suite.socket(ada.access_token)
    assert refused.value.status == 429
    suite.stack.runner.kill("gateway-2")
    for ws in held:
        assert ws.closed().code == 1006

    def opened() -> Socket | None:
        try:
            return suite.socket(ada.access_token)
        except Refused:
            return None
    with wait_until(opened, BEAT_S + 5 * SLOW, "the crashed gateway's sockets are forgotten"):
        pass


def test_ten_and_no_more_where_all_come_at_once(ada: Person, suite: Suite, second: str) -> None:
    def opened(n: int) -> Socket | None:
        try:
            return Socket.with_token(second if n % 2 else suite.ws_url, ada.access_token, timeout=30.0)
        except Refused as refused:
            assert refused.status == 429
            return None
    with ThreadPoolExecutor(24) as pool:
        held = [ws for ws in pool.map(opened, range(24)) if ws]
    for ws in held:
        ws.close()
    assert len(held) == 10


def test_a_gateway_that_ends_says_so_and_gives_the_places_back(ada: Person, suite: Suite, second: str) -> None:
    held = [Socket.with_token(second, ada.access_token) for _ in range(10)]
    suite.stack.runner.stop("gateway-2", timeout=15.0)
    assert [ws.closed().code for ws in held] == [1001] * 10
    for ws in [suite.socket(ada.access_token) for _ in range(10)]:
        ws.close()


# ---- several of each ------------------------------------------------------------------------------

def sent_to(heard: Nats) -> dict[str, set[str]]:
    """{gateway: the topics that it was sent events of}, of all that the bus has by now: what a gateway has been
    sent is on its way to this listener too, and before the answer to a ping."""
    heard.flush()
    found: dict[str, set[str]] = {}
    for m in list(heard.messages):
        lines = m.data.decode().splitlines()
        found.setdefault(m.subject, set()).update(line.split(" ")[1] for line in lines[::2])
    return found


def test_two_gateways_and_two_fanouts_share_the_load(ada: Person, suite: Suite, second: str, bus: Nats) -> None:
    """Each gateway is sent what it has listeners for, each fanout answers subscriptions, and one that is killed
    costs no event."""
    topics = [f"instance.{i}" for i in assistants(suite, [ada.id] * 3)]
    mine, theirs, shared = topics
    suite.start_extra("realtime-fanout", "realtime-fanout-2", {})
    with suite.socket(ada.access_token) as one, Socket.with_token(second, ada.access_token) as two, \
            Nats(suite.env["NATS_URL"]) as heard:
        heard.subscribe("zaki.rt.>")
        for ws, topic in ((one, mine), (one, shared), (two, theirs), (two, shared)):
            ws.subscribe(topic)

        def asked() -> list[int]:
            two.subscribe(theirs)
            return [n for one in stats(suite, "realtime-fanout", 0.3)
                    for n in [sum(e["num_requests"] for e in one["endpoints"] if e["subject"].endswith(".subscribe"))] if n]
        wait_until(lambda: len(asked()) == 2, 30, "both fanouts are asked")
        heard.flush()
        heard.messages.clear()

        def all_hear(numbers: range) -> None:
            for topic in topics:
                publish(bus, topic.split(".")[1], numbers)
            for ws, own in ((one, {mine, shared}), (two, {theirs, shared})):
                got = [ws.expect("instance.status", 20 * SLOW) for _ in range(2 * len(numbers))]
                assert {f["topic"] for f in got} == own
                for topic in own:
                    assert [f["data"]["n"] for f in got if f["topic"] == topic] == list(numbers)
        wanted = sorted(map(sorted, ({mine, shared}, {theirs, shared})))
        all_hear(range(5))
        assert sorted(map(sorted, sent_to(heard).values())) == wanted
        suite.stack.runner.kill("realtime-fanout-2")
        all_hear(range(5, 10))
        assert sorted(map(sorted, sent_to(heard).values())) == wanted
    suite.end_extra("realtime-fanout-2")


# ---- other people's topics -----------------------------------------------------------------------

def forms(instance: str, position: str) -> list[str]:
    """Ways to ask for it."""
    escaped = "".join(f"\\u{ord(c):04x}" for c in f"subscribe:instance.{instance}")
    return [
        *[f"subscribe:{kind}.{instance}" for kind in ("instance", "sessions", "session", "channel", "user", "Instance")],
        f"subscribe:instance.{instance.upper()}", f"SUBSCRIBE:instance.{instance}", f" subscribe:instance.{instance}",
        f"subscribe: instance.{instance}", f"subscribe:instance. {instance}", f"subscribe:instance.{instance} ",
        f"subscribe:instance.{instance}\n", f"subscribe:instance.{instance}\0", f"\ufeffsubscribe:instance.{instance}",
        f"subscribe:instance.\u200b{instance}", f"subscribe:ｉnstance.{instance}", f"subscribe:instance%2e{instance}",
        f"subscribe:instance.%{ord(instance[0]):02x}{instance[1:]}", f"subscribe:instance.{{{instance}}}",
        f"subscribe:instance.urn:uuid:{instance}", f"subscribe:instance.{instance.replace('-', '')}",
        "subscribe:instance.*", "subscribe:instance.>", "subscribe:*", "subscribe:>", "subscribe:sessions.*",
        f"subscribe:instance.{instance}.status", f"subscribe:zaki.evt.instance.{instance}.status",
        f"subscribe:../instance.{instance}", f"subscribe:instance.{instance[:-1]}?", f"subscribe:instance.{instance[:8]}*",
        f"subscribe:instance.{instance},instance.{instance}", f"unsubscribe:subscribe:instance.{instance}",
        json.dumps({"event": f"subscribe:instance.{instance}"}), f'{{"event":"{escaped}"}}',
        json.dumps({"event": f"subscribe:instance.{instance}", "since": position}),
        json.dumps({"event": f"subscribe:sessions.{instance}", "since": position}),
        json.dumps({"event": f"subscribe:instance.{instance}", "since": position.split(":")[0] + ":0"}),
        json.dumps({"event": "subscribe", "topic": f"instance.{instance}"}),
        json.dumps({"event": "subscribe:", "topic": f"instance.{instance}"}),
        json.dumps({"event": f"subscribe:instance.{instance}", "user_id": "x"}),
        json.dumps([{"event": f"subscribe:instance.{instance}"}]), json.dumps({"event": [f"subscribe:instance.{instance}"]}),
        f'{{"event":"subscribe:instance.{instance}","event":"subscribe:instance.{instance}"}}',
        f'{{"Event":"subscribe:instance.{instance}"}}', f'  {{"event":"subscribe:instance.{instance}"}}',
    ]


def test_nothing_of_anothers_in_any_form(ada: Person, bob: Person, suite: Suite, bus: Nats) -> None:
    theirs, mine = assistants(suite, [ada.id, bob.id])
    with suite.socket(ada.access_token) as owner, suite.socket(bob.access_token) as ws:
        position = owner.subscribe(f"instance.{theirs}")["position"]
        publish(bus, theirs, range(3))
        for text in forms(theirs, position):
            ws.send(text)
            answer = ws.recv()
            assert answer["event"] == "error", (text, answer)
            assert answer["data"]["code"] in ("NOT_FOUND", "VALIDATION_ERROR"), (text, answer)
            assert set(answer["data"]) <= {"code", "message", "field"} and "position" not in answer
            time.sleep(0.05)  # twenty a second
        # Somebody else's token makes it nobody else's socket.
        ws.send({"event": "authenticate", "token": ada.access_token})
        assert ws.expect("error")["data"]["code"] == "FORBIDDEN"
        ws.send(f"subscribe:instance.{theirs}")
        assert ws.expect("error")["data"]["code"] == "NOT_FOUND"
        ws.subscribe(f"instance.{mine}")
        publish(bus, theirs, range(3, 6))
        publish(bus, mine, range(1))
        assert ws.expect("instance.status")["topic"] == f"instance.{mine}"
        ws.quiet(0.3)
        assert all(theirs not in json.dumps(f) or f["event"] == "error" for f in ws.seen)
        assert [owner.expect("instance.status")["data"]["n"] for _ in range(6)] == list(range(6))


@pytest.mark.disturbs
def test_an_assistant_that_changes_hands(ada: Person, bob: Person, suite: Suite) -> None:
    """No call does that; whoever does it in the database: at the next resume the owner is asked for again."""
    instance = assistants(suite, [ada.id])[0]
    topic = f"instance.{instance}"
    with suite.socket(ada.access_token) as was, suite.socket(bob.access_token) as is_now:
        was.subscribe(topic)
        with suite.killed("nats"):
            suite.sql("UPDATE instances SET user_id = %s WHERE id = %s", bob.id, instance)
        refused = was.expect("error", 60)
        assert refused["topic"] == topic and refused["data"]["code"] == "NOT_FOUND", refused
        is_now.subscribe(topic)
        with Nats(suite.stack.nats_url("instance-manager"), inbox="_INBOX_instance-manager") as bus:
            publish(bus, instance, range(2))
        assert [is_now.expect("instance.status", 20)["data"]["n"] for _ in range(2)] == [0, 1]
        was.quiet(0.3)


@pytest.mark.disturbs
def test_an_assistant_that_goes_while_the_bus_is_away(ada: Person, suite: Suite) -> None:
    """Its topics resume into the end, which comes to the stream only after they have asked."""
    instance = assistants(suite, [ada.id])[0]
    with suite.socket(ada.access_token) as ws:
        topics = [f"{kind}.{instance}" for kind in ("instance", "sessions")]
        for topic in topics:
            ws.subscribe(topic)
        with suite.killed("nats"):
            suite.sql("WITH gone AS (DELETE FROM instances WHERE id = %s RETURNING id, user_id)"
                      " INSERT INTO event_outbox (subject, key, trace_id, body)"
                      " SELECT 'zaki.evt.instance.*.deleted', id, '', json_build_object('instance_id', id,"
                      " 'user_id', user_id)::text FROM gone", instance)
        for _ in topics:
            ws.expect("unsubscribed", 30)
        for topic in topics:
            assert [f["event"] for f in ws.seen if f["topic"] == topic] == ["subscribed", "instance.deleted", "unsubscribed"]
    wait_until(lambda: suite.api.get("/health").status == 200, 30, "the bus is back for everybody")


@pytest.mark.parametrize("query", ["token={bob}&token={ada}", "token={ada}&token={bob}"])
def test_two_tokens_are_not_two_people(ada: Person, bob: Person, suite: Suite, query: str) -> None:
    """Whichever counts, the socket is that one's alone."""
    a, b = assistants(suite, [ada.id, bob.id])
    try:
        ws = Socket(f"{suite.ws_url}?" + query.format(ada=ada.access_token, bob=bob.access_token))
    except Refused:
        return
    with ws:
        ws.send(f"subscribe:instance.{a}")
        ws.send(f"subscribe:instance.{b}")
        assert sorted(ws.recv()["event"] for _ in range(2)) == ["error", "subscribed"]


# ---- the end of a session ------------------------------------------------------------------------

def short(suite: Suite, person: Person, seconds: int) -> str:
    """Their token, ending so soon."""
    head, claims = jwt.parts(person.access_token)
    return jwt.sign(head, {**claims, "exp": int(time.time()) + seconds}, suite.stack.secrets.get("jwt"))


def test_a_token_that_expires_ends_its_socket_unless_renewed(ada: Person, suite: Suite) -> None:
    token = short(suite, ada, 8)
    with suite.socket(token) as ends, suite.socket(token) as stays:
        stays.send({"event": "authenticate", "token": ada.access_token})
        stays.expect("authenticated")
        end, late = ends.closed(), time.time() - jwt.parts(token)[1]["exp"]
        assert end.code == 4401 and 0 <= late < CHECK_S / 2, (end, late)
        stays.quiet(0.5)


def ended(ws: Socket, start: float) -> None:
    """Its end was told, and not found when sockets are looked at."""
    end: Any = ws.closed()
    assert isinstance(end, Closed) and end.code == 4401, end
    assert time.monotonic() - start < CHECK_S / 2, time.monotonic() - start


@pytest.fixture(name="dawdling", params=["ws.adopt", "ws.renewed"])
def _dawdling(request: pytest.FixtureRequest, suite: Suite) -> Iterator[tuple[str, str]]:
    """A gateway that takes its time at a point, and that point."""
    port, ws_port = free_ports(2)
    suite.start_extra("gateway", "gateway-3", {"PORT": port, "WS_PORT": ws_port, "METRICS_PORT": "0",
                                               "ZAKI_FAULT_DELAY": f"{request.param}=1200"})
    yield f"ws://127.0.0.1:{ws_port}/ws", request.param
    suite.end_extra("gateway-3")


def test_a_session_that_ends_while_a_socket_is_given_to_it(ada: Person, suite: Suite, dawdling: tuple[str, str]) -> None:
    """It was found good, and no socket was its own yet when its end was told."""
    url, point = dawdling
    ending = Person(suite.api, ada.email, ada.password)
    ending.login()
    out = threading.Timer(0.4, lambda: expect(ending.api.post("/auth/logout", {}), 200))
    try:
        if point == "ws.adopt":
            out.start()
        with Socket.with_token(url, (ending if point == "ws.adopt" else ada).access_token) as ws:
            if point == "ws.renewed":
                out.start()
                ws.send({"event": "authenticate", "token": ending.access_token})
                ws.expect("authenticated")
            ended(ws, time.monotonic())
    except (Refused, TimeoutError) as late:  # a machine so busy that the end came first
        assert isinstance(late, Refused) or point == "ws.renewed" and ws.seen[-1]["event"] == "error", late
    finally:
        out.join()


@pytest.mark.disturbs
@pytest.mark.parametrize("part", ["redis", "auth", "realtime-fanout", "nats"])
def test_a_session_ends_its_sockets_after_a_crash_of(part: str, ada: Person, suite: Suite) -> None:
    with suite.socket(ada.access_token) as ws:
        with suite.killed(part):
            time.sleep(0.5)
        wait_until(lambda: ada.api.get("/users/me").status == 200, 30, "requests are answered again")
        start = time.monotonic()
        expect(ada.api.post("/auth/logout", {}), 200)
        ended(ws, start)


@pytest.mark.disturbs
def test_a_session_that_ended_while_the_bus_was_away(ada: Person, suite: Suite) -> None:
    """Its event may come before the gateway listens again."""
    with suite.socket(ada.access_token) as ws:
        with suite.killed("nats"):
            session = jwt.parts(ada.access_token)[1]["sid"]
            suite.sql("UPDATE sessions SET ended_at = now(), ended_reason = 'logout' WHERE id = %s", session)
            suite.sql("INSERT INTO ended_sessions (session_id, user_id, reason) VALUES (%s, %s, 'logout')",
                      session, ada.id)
            time.sleep(0.5)
        start = time.monotonic()
        ended(ws, start)
