"""How much one may do (SPEC 5 and 10): exact over several gateways, and nobody else's business."""

from __future__ import annotations

import contextlib
import json
import secrets
import time

import pytest

from zaki.api import Answer, Api, expect
from zaki.figures import figures
from zaki.gates import Gate, gates
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import Suite
from zaki.ws import Refused, Socket


def an_address() -> dict[str, str]:
    """Somebody that no other test is."""
    return {"X-Forwarded-For": f"198.{secrets.randbelow(2) + 18}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"}


def login(gate: Gate, headers: dict[str, str]) -> Answer:
    """At an account of its own: guesses at one account have a limit beside the address's."""
    body = {"email": f"nobody-{secrets.token_hex(8)}@example.org", "password": "not this one"}
    return gate.api.post("/auth/login", body, headers=headers)


def says_when(answer: Answer, limit: int) -> None:
    """A 429 that tells its client all there is to know."""
    expect(answer, 429, "RATE_LIMITED")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert int(answer.headers["RateLimit-Limit"]) == limit
    assert answer.headers["RateLimit-Remaining"] == "0"
    assert 1 <= int(answer.headers["RateLimit-Reset"]) <= 60


# ---- the three -----------------------------------------------------------------------------------

def test_the_101st_request_of_a_minute(suite: Suite, ada: Person, bob: Person) -> None:
    """Two gateways share the load, and count together. The suite's default: 100."""
    with gates(suite, 2, RATE_API_PER_MIN="100") as both:
        start = time.monotonic()
        answers = [both[i % 2].api.as_user(ada.access_token).get("/users/me") for i in range(103)]
        if time.monotonic() - start > 55:
            pytest.skip("the machine is too slow to send 103 requests in a minute")
        assert [a.status for a in answers] == [200] * 100 + [429] * 3
        assert [int(a.headers["RateLimit-Remaining"]) for a in answers[:100]] == list(range(99, -1, -1))
        says_when(answers[100], 100)
        expect(both[0].api.as_user(bob.access_token).get("/users/me"), 200)


@pytest.mark.core
def test_the_sixth_sign_in_attempt(suite: Suite) -> None:
    address = an_address()
    with gates(suite, 2, RATE_AUTH_PER_MIN="5") as both:
        for i in range(5):
            expect(login(both[i % 2], address), 401)
        for gate in both:
            says_when(login(gate, address), 5)
        register = {"email": f"eve-{secrets.token_hex(8)}@example.org", "password": "a good long one"}
        says_when(both[0].api.post("/auth/register", register, headers=address), 5)
        expect(login(both[0], an_address()), 401)


def test_the_eleventh_socket(suite: Suite, ada: Person, bob: Person) -> None:
    held: list[Socket] = []
    with gates(suite, 2, WS_PER_USER="10") as both:
        try:
            for i in range(10):
                held.append(Socket.with_token(both[i % 2].ws_url, ada.access_token))
            for gate in both:
                with pytest.raises(Refused) as refused:
                    Socket.with_token(gate.ws_url, ada.access_token)
                assert refused.value.status == 429
            held.append(Socket.with_token(both[0].ws_url, bob.access_token))
        finally:
            for ws in held:
                ws.close()


def test_the_tier_says_how_many(suite: Suite, ada: Person, bob: Person) -> None:
    """Where no setting does: requests and sockets, and what it was while auth is away."""
    suite.sql("UPDATE users SET subscription_tier = 'pro' WHERE id = %s", bob.id)
    with gates(suite, 1, RATE_API_PER_MIN="0", WS_PER_USER="0") as (gate,), contextlib.ExitStack() as held:
        for person, requests in ((ada, 100), (bob, 300)):
            answer = gate.api.as_user(person.access_token).get("/users/me")
            expect(answer, 200)
            assert answer.headers["RateLimit-Limit"] == str(requests)
        for person, sockets in ((ada, 10), (bob, 20)):
            for _ in range(sockets):
                held.enter_context(Socket.with_token(gate.ws_url, person.access_token))
            with pytest.raises(Refused) as refused:
                Socket.with_token(gate.ws_url, person.access_token)
            assert refused.value.status == 429
        assert gate.api.get("/users/me").status == 401  # a stranger counts as well, and has no tier


def test_what_was_refused_counts_for_nothing(suite: Suite, ada: Person) -> None:
    """Knocking on does not put off the moment: Retry-After falls, and then it is good again."""
    import redis  # Debian's python3-redis

    with gates(suite, 1, RATE_API_PER_MIN="3") as (gate,):
        mine = gate.api.as_user(ada.access_token)
        for _ in range(3):
            expect(mine.get("/users/me"), 200)
        waits = [int(mine.get("/users/me").headers["Retry-After"]) for _ in range(20)]
        assert waits == sorted(waits, reverse=True) and waits[0] <= 60
        # A minute goes by: all that Redis knows of is older than that.
        store, key = redis.Redis.from_url(suite.env["REDIS_URL"]), f"zaki:rate:api:{ada.id}"
        times = [int(t) - 60_000_000 for t in store.lrange(key, 0, -1)]
        store.delete(key)
        store.rpush(key, *times)
        answers = [mine.get("/users/me") for _ in range(4)]
        assert [a.status for a in answers] == [200] * 3 + [429]
        assert [a.headers["RateLimit-Remaining"] for a in answers] == ["2", "1", "0", "0"]


def test_each_leaves_the_minute_by_itself(suite: Suite, ada: Person) -> None:
    """Not all at once: three that came at three times come back at three times."""
    import redis

    store, key = redis.Redis.from_url(suite.env["REDIS_URL"]), f"zaki:rate:api:{ada.id}"
    seconds, micros = store.time()
    now = seconds * 1_000_000 + micros
    store.rpush(key, now - 61_000_000, now - 40_000_000, now - 1_000_000)
    store.expire(key, 60)
    with gates(suite, 1, RATE_API_PER_MIN="3") as (gate,):
        mine = gate.api.as_user(ada.access_token)
        expect(mine.get("/users/me"), 200)
        answer = mine.get("/users/me")
        says_when(answer, 3)
        assert int(answer.headers["Retry-After"]) <= 20


# ---- whose address it is -------------------------------------------------------------------------

def test_a_stranger_cannot_choose_its_address(suite: Suite) -> None:
    """The header counts only from a proxy that we were told of."""
    with gates(suite, 1, RATE_AUTH_PER_MIN="3", TRUSTED_PROXIES="192.0.2.1") as (gate,):
        seen = [login(gate, an_address()).status for _ in range(5)]
        assert seen.count(429) >= 2 and seen[-1] == 429


def test_a_client_of_our_proxy_cannot_choose_its_address_either(suite: Suite) -> None:
    """The proxy adds whom it saw at the end: what stands before that is the client's own invention."""
    with gates(suite, 1, RATE_AUTH_PER_MIN="3") as (gate,):
        seen = an_address()["X-Forwarded-For"]
        statuses = [login(gate, {"X-Forwarded-For": f"{an_address()['X-Forwarded-For']}, {seen}"}).status for _ in range(5)]
        assert statuses == [401] * 3 + [429] * 2


def test_ipv6_is_counted_by_network(suite: Suite) -> None:
    """A home has 2^64 addresses: they are one."""
    net = f"2001:db8:{secrets.token_hex(2)}"
    with gates(suite, 1, RATE_AUTH_PER_MIN="3") as (gate,):
        homes = [f"{net}:1::{i + 1:x}" for i in range(5)]
        assert [login(gate, {"X-Forwarded-For": a}).status for a in homes] == [401] * 3 + [429] * 2
        expect(login(gate, {"X-Forwarded-For": f"{net}:2::1"}), 401)


def test_a_mapped_address_is_the_ipv4_one(suite: Suite) -> None:
    address = an_address()["X-Forwarded-For"]
    with gates(suite, 1, RATE_AUTH_PER_MIN="2") as (gate,):
        forms = [address, f"::ffff:{address}", f"{address}:4711"]
        assert [login(gate, {"X-Forwarded-For": a}).status for a in forms] == [401, 401, 429]


def test_who_is_turned_away_is_in_the_log(suite: Suite, ada: Person, api: Api) -> None:
    """Who, from where, at which door and why; and nothing of what they showed."""

    def refused() -> list[dict[str, str]]:
        lines = [json.loads(line) for line in (suite.log("gateway") + suite.log(name)).splitlines()
                 if '"request refused"' in line]
        return [line for line in lines if line["address"] == address["X-Forwarded-For"]]

    address = an_address()
    expect(api.as_user("a.forged.token").get("/users/me", headers=address), 401)
    with gates(suite, 1, RATE_API_PER_MIN="1") as (gate,):
        name = gate.name
        statuses = [gate.api.as_user(ada.access_token).get("/users/me", headers=address).status for _ in range(2)]
        assert statuses == [200, 429]
        wait_until(lambda: len(refused()) >= 2, 20, "both are told")  # a moment after the answer
        mine, text = refused(), suite.log("gateway") + suite.log(name)
    assert [line["code"] for line in mine] == ["UNAUTHENTICATED", "RATE_LIMITED"], mine
    assert all(line["route"] == "/users/me" and line["trace_id"] for line in mine)
    assert [line["user_id"] for line in mine if line["code"] == "RATE_LIMITED"] == [ada.id]
    assert "a.forged.token" not in text and ada.access_token not in text


# ---- Redis is away -------------------------------------------------------------------------------

@pytest.mark.disturbs
def test_limits_are_local_while_redis_is_away(suite: Suite, ada: Person) -> None:
    """Each gateway counts by itself, and says so in its figures."""
    with gates(suite, 1, RATE_API_PER_MIN="4") as (gate,):
        mine = gate.api.as_user(ada.access_token)
        expect(mine.get("/users/me"), 200)
        before = figures(suite, "gateway")
        assert before["zaki_limits_local"] == 0
        with suite.without("redis"):
            answers = [mine.get("/users/me") for _ in range(6)]
            assert [a.status for a in answers] == [200] * 4 + [429] * 2
            assert answers[-1].headers["RateLimit-Remaining"] == "0"
            now = figures(suite, "gateway")
            assert now["zaki_limits_local"] >= 1
            refused = 'zaki_limit_refused_total{limit="api"}'
            assert now[refused] == before[refused] + 2
            with suite.socket(ada.access_token):
                assert figures(suite, "gateway")["zaki_ws_limits_local"] >= 1
        wait_until(lambda: mine.get("/users/me").status in (200, 429) and figures(suite, "gateway")["zaki_limits_local"] == 0,
                   20, "limits are shared again")
        with suite.socket(ada.access_token):
            wait_until(lambda: figures(suite, "gateway")["zaki_ws_limits_local"] == 0, 20, "sockets are counted together")


def test_figures_are_the_daemons_own(suite: Suite, api: Api, ada: Person) -> None:
    """Each daemon reports its rows of the one table, and no other's."""
    before = figures(suite, "gateway")
    expect(ada.api.get("/users/me"), 200)
    expect(api.get("/users/me"), 401)
    after = figures(suite, "gateway")
    assert after['zaki_http_requests_total{class="2xx"}'] > before['zaki_http_requests_total{class="2xx"}']
    assert after["zaki_credentials_refused_total"] > before["zaki_credentials_refused_total"]
    assert "zaki_calls_refused_total" in figures(suite, "auth")
    assert not [s for s in figures(suite, "auth") if s.startswith("zaki_http")]
