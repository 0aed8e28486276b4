"""GET /health and GET /users/me while 500 sign-ins come at once, again and again (SPEC 5)."""

from __future__ import annotations

import time

from common import Bench, Section, table, verdict
from zaki.people import Person
from zaki.flood import Flood

COUNT = 500
FLOODS_A_ROUND = 2
HEALTH_MS = 100


def measure(bench: Bench) -> Section:
    suite = bench.suite
    person = Person.new(suite.api)  # the others' sessions may have been ended by signing in so often
    health: list[float] = []
    me: list[float] = []
    statuses: list[int] = []
    for i in range(bench.rounds * FLOODS_A_ROUND):
        flood = Flood(suite.api.base, COUNT, f"{i}-{person.email}")
        while not flood.is_over():
            for answer, times in ((suite.api.get("/health"), health), (person.api.get("/users/me"), me)):
                if answer.status != 200:
                    raise SystemExit(f"the run is void: {answer}")
                times.append(answer.seconds * 1000)
            time.sleep(0.005)
        statuses += [c.status for c in flood.end()]
    if set(statuses) != {401, 503}:
        raise SystemExit(f"the run is void: sign-ins were answered {sorted(set(statuses))}")
    bench.say(f"/health while {COUNT} sign in: {max(health):.1f} ms at worst")

    def row(name: str, times: list[float]) -> list[str]:
        times.sort()
        return [name, str(len(times)), *(f"{times[min(len(times) - 1, len(times) * part // 100)]:.1f}" for part in (50, 90, 99, 100))]

    return Section(
        [[f"GET /health while {COUNT} sign in: the slowest", f"< {HEALTH_MS} ms", f"{max(health):.0f} ms", verdict(max(health) < HEALTH_MS)]],
        [f"## {COUNT} sign-ins at once", "",
         f"{bench.rounds * FLOODS_A_ROUND} times, from a client on the same machine; {statuses.count(401)} were let in to the hash and answered",
         f"401, the other {statuses.count(503)} 503 with Retry-After. Beside them one client asks, a connection a request:", "",
         *table(["", "requests", "p50 ms", "p90 ms", "p99 ms", "slowest ms"], [row("GET /health", health), row("GET /api/users/me", me)]), ""])
