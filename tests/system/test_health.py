"""GET /health: what it says of each part, and that the rest works while one is away."""

from __future__ import annotations

from typing import Any

import pytest

from zaki.api import Answer, Api, expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import SERVERS, SLOW, Suite
from zaki.telegram import Bot

SERVICES = ("auth", "instance-manager", "realtime-fanout", "storage-backup")


def parts(answer: Answer) -> dict[str, str]:
    """name → status of everything it names."""
    found: dict[str, str] = {}

    def walk(value: Any, name: str = "") -> None:
        if isinstance(value, dict):
            own = str(value.get("name", name))
            if isinstance(value.get("status"), str) and own:
                found[own] = value["status"]
            for key, inner in value.items():
                walk(inner, key if isinstance(inner, dict) else "")
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(answer.json)
    return found


@pytest.mark.core
def test_all_is_well(api: Api) -> None:
    for path in ("/health", "=/health", "=/v1/health"):
        answer = api.get(path)
        expect(answer, 200)
        assert answer.json["success"] is True
        seen = parts(answer)
        assert {s: seen.get(s) for s in SERVICES} == {s: "up" for s in SERVICES}, answer


def test_it_needs_no_token_and_tells_no_secret(api: Api, suite: Suite) -> None:
    text = api.get("/health").body.decode()
    for word in ("password", "nats://", "postgresql://", "redis://", str(suite.stack.paths.state)):
        assert word not in text


def is_down_alone(seen: dict[str, str], service: str) -> bool:
    return seen.get(service) == "down" and all(seen.get(s) in ("up", "degraded") for s in SERVICES if s != service)


@pytest.mark.disturbs
@pytest.mark.core
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_down_is_named_and_the_rest_works(suite: Suite, ada: Person, bot: Bot, service: str) -> None:
    api = ada.api
    with suite.without(service):
        wait_until(lambda: is_down_alone(parts(api.get("/health")), service), what=f"{service} is named, and nothing else")
        assert api.get("/health").status == 200  # the gateway reaches the bus

        me, instances = api.get("/users/me"), api.get("/instances")
        if service == "auth":
            expect(me, 503, "SERVICE_UNAVAILABLE")
        else:
            expect(me, 200)
            expect(suite.api.post("/auth/login", {"email": ada.email, "password": ada.password}), 200)
        if service == "instance-manager":
            expect(instances, 503, "SERVICE_UNAVAILABLE")
        else:
            expect(instances, 200)
        if service == "realtime-fanout":
            with suite.socket(ada.access_token) as ws:  # opens; a subscription is answered, not left waiting
                ws.send("subscribe:instance.00000000-0000-4000-8000-000000000000")
                assert ws.expect("error", 10)["data"]["code"] == "SERVICE_UNAVAILABLE"
    wait_until(lambda: parts(api.get("/health")).get(service) == "up", 15 * SLOW, f"{service} is back")
    expect(api.get("/users/me"), 200)
    instance = ada.running(bot)["id"]
    ada.remove(instance)


@pytest.mark.disturbs
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_is_down_is_named(suite: Suite, api: Api, server: str) -> None:
    with suite.without(server):
        if server == "nats":
            answer = wait_until(lambda: next((a for a in [api.get("/health")] if a.status == 503), None), 15 * SLOW)
            assert answer.json["success"] is False and answer.code == "SERVICE_UNAVAILABLE"
        else:
            wait_until(lambda: any(server in name and status == "down" for name, status in parts(api.get("/health")).items()),
                       15 * SLOW, f"{server} is named")
    wait_until(lambda: api.get("/health").status == 200, 15 * SLOW)
    wait_until(lambda: "down" not in parts(api.get("/health")).values(), 15 * SLOW, "all is well again")


@pytest.mark.disturbs
def test_the_gateway_starts_and_ends_whatever_is_away(suite: Suite, ada: Person) -> None:
    """A gateway restarted while auth is away serves what it can."""
    with suite.without("auth"):
        suite.stack.restart_part("gateway")
        wait_until(lambda: ada.api.get("/instances").status in (200, 503), 15 * SLOW)
        expect(ada.api.get("/users/me"), 503, "SERVICE_UNAVAILABLE")
    wait_until(lambda: ada.api.get("/users/me").status == 200, 15 * SLOW)
