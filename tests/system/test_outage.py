"""nats-server, PostgreSQL and Redis killed with -9 under requests, and back: 503 with a clear code
while away, right answers afterwards from the same processes, and no accepted write lost."""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable

import pytest

from zaki.api import Answer, Api, expect
from zaki.patience import wait_until
from zaki.people import Person, idempotency
from zaki.stubborn import Stubborn
from zaki.suite import SLOW, Suite
from zaki.telegram import Bot, Telegram

pytestmark = [pytest.mark.disturbs, pytest.mark.core]
SERVERS = ("nats", "postgres", "redis")
# In flight when the server died: their time-out is the honest answer.
CLEAR = {503: "SERVICE_UNAVAILABLE", 504: "TIMEOUT"}


@dataclass
class Seen:
    """One answer, with the time that its request was sent."""

    at: float
    took: float
    what: str
    answer: Answer | None


@dataclass
class Load:
    """People at work: each thread repeats its request and keeps what was answered."""

    works: dict[str, Callable[[], Answer]]
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=w) for w in self.works.items()]
        for t in self._threads:
            t.start()
        return self

    def _run(self, what: str, send: Callable[[], Answer]) -> None:
        while not self._end.wait(0.01):
            start = time.monotonic()
            try:
                answer: Answer | None = send()
            except (OSError, http.client.HTTPException):
                answer = None
            self.seen.append(Seen(start, time.monotonic() - start, what, answer))

    def __exit__(self, *rest: object) -> None:
        self._end.set()
        for t in self._threads:
            t.join()

    def good_after(self, when: float) -> set[str]:
        """Which of them were answered 2xx to a request sent after this time."""
        return {s.what for s in self.seen if s.at > when and s.answer and s.answer.status < 300}


class Writes:
    """Writes that were accepted, to be found again."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.ada = Person.new(suite.api)
        self.sent = 0
        self.accepted = 0
        self.registered: list[tuple[str, str]] = []
        self.logged_out: list[str] = []

    def rename(self) -> Answer:
        self.sent += 1
        number = self.sent
        answer = self.ada.api.patch("/users/me", {"name": f"n{number}"})
        if answer.status == 200:
            assert answer.data["name"] == f"n{number}"
            self.accepted = number
        return answer

    def register(self) -> Answer:
        email = f"load-{secrets.token_hex(8)}@example.org"
        answer = self.suite.api.post("/auth/register", {"email": email, "password": "a good long one"})
        if answer.status == 201:
            self.registered.append((email, answer.data["access_token"]))
        return answer

    def leave(self) -> Answer:
        """Registers and signs out: an accepted logout is a write too."""
        answer = self.register()
        if answer.status == 201:
            token = self.registered[-1][1]
            out = self.suite.api.as_user(token).post("/auth/logout", {})
            if out.status == 200:
                self.registered.pop()
                self.logged_out.append(token)
            return out
        return answer

    def check(self) -> None:
        name = str(expect(self.ada.api.get("/users/me"), 200)["name"])
        assert self.accepted <= int(name[1:]) <= self.sent, "an accepted rename is lost"
        for _, token in self.registered:
            expect(self.suite.api.as_user(token).get("/users/me"), 200)
        for token in self.logged_out:
            expect(self.suite.api.as_user(token).get("/users/me"), 401)
        assert self.accepted and (self.registered or self.logged_out)


def test_the_load_works_without_an_outage(suite: Suite) -> None:
    writes = Writes(suite)
    with Load({"rename": writes.rename, "leave": writes.leave}) as load:
        wait_until(lambda: len(load.seen) > 20, 60 * SLOW)
    assert all(s.answer and s.answer.status < 300 for s in load.seen), [str(s.answer) for s in load.seen[:5]]
    writes.check()


@pytest.mark.parametrize("server", SERVERS)
def test_killed_under_requests(suite: Suite, server: str, ada: Person, bot: Bot) -> None:
    writes = Writes(suite)
    instance = ada.running(bot)["id"]
    pids = suite.pids()
    works = {"rename": writes.rename, "register": writes.register,
             "me": lambda: writes.ada.api.get("/users/me"), "list": lambda: ada.api.get("/instances"),
             "get": lambda: ada.api.get(f"/instances/{instance}")}
    with Load(works) as load:
        wait_until(lambda: len(load.good_after(0)) == len(works), 30 * SLOW, "all work")
        until = time.monotonic()
        suite.stack.kill_part(server)
        down = time.monotonic()
        wait_until(lambda: {s.what for s in load.seen if s.at > down + 0.3} == set(works), 30 * SLOW,
                   "each was asked while it was away")
        if server == "redis":  # limits and revocations are asked elsewhere meanwhile: nothing stops
            wait_until(lambda: load.good_after(down + 0.3) >= {"me", "list", "get"})
        back_from = time.monotonic()
        suite.stack.start_part(server)
        up = time.monotonic()
        wait_until(lambda: load.good_after(up) == set(works), 30 * SLOW, "all work again")
        healed = time.monotonic()
    assert suite.pids() == pids, "a daemon was restarted"

    for s in load.seen:
        assert s.answer, f"{s.what} was not answered at all, {s.at - down:.2f} s after the kill"
        if s.answer.status >= 400:
            assert s.answer.status in CLEAR and s.answer.code == CLEAR[s.answer.status], str(s.answer)
            assert s.at + s.took > until and s.at < healed
    away = [s for s in load.seen if down + 0.3 < s.at and s.at + s.took < back_from]
    if server != "redis":
        assert away and all(s.answer and s.answer.status == 503 for s in away), [str(s.answer) for s in away]
    writes.check()


def test_a_failed_request_is_in_the_log_with_its_reason(suite: Suite, ada: Person) -> None:
    """Under the name that the answer gives it, once; the answer itself tells no more than it must."""
    with suite.without("auth"):
        answer = ada.api.get("/users/me")
    assert answer.status in (503, 504), answer
    lines = [json.loads(line) for line in suite.log("gateway").splitlines() if answer.headers["X-Request-Id"] in line]
    told = [line for line in lines if line["level"] in ("warn", "error")]
    assert [(line["message"], line["status"]) for line in told] == [("request failed", str(answer.status))], lines
    assert told[0]["error"] and told[0]["user_id"] == ada.id and told[0]["route"] == "/users/me"


@pytest.mark.parametrize("server", SERVERS)
def test_an_action_accepted_before_is_carried_out_after(suite: Suite, server: str, ada: Person, telegram: Telegram) -> None:
    made = [ada.running(telegram.bot())["id"] for _ in range(3)]
    pids = suite.pids()
    expect(ada.api.post(f"/instances/{made[0]}/stop"), 202)
    expect(ada.api.post(f"/instances/{made[1]}/restart"), 202)
    expect(ada.api.delete(f"/instances/{made[2]}"), 202)
    with suite.killed(server):
        time.sleep(0.5)  # the outage itself
    client = Stubborn(ada.api, 60 * SLOW)
    client.until(f"/instances/{made[0]}", lambda a: a.data["status"] == "stopped", "stopped")
    client.until(f"/instances/{made[1]}", lambda a: a.data["status"] == "running", "restarted")
    client.until(f"/instances/{made[2]}", lambda a: a.status == 404, "deleted")
    assert {c["Labels"]["zaki.instance"]: c["State"] for c in suite.containers() if c["State"] == "running"
            and c["Labels"]["zaki.instance"] in made} == {made[1]: "running"}
    assert suite.pids() == pids


@pytest.mark.parametrize("server", SERVERS)
def test_a_request_may_be_repeated_through_an_outage(suite: Suite, server: str, ada: Person, bot: Bot) -> None:
    """With an Idempotency-Key the create is made once, whenever the server went."""
    key, answers = idempotency(), []
    client = Stubborn(ada.api, 100 * SLOW)
    client.meanwhile = lambda: age_claims(suite)

    def create() -> None:
        answers.append(client.call("POST", "/instances", {"bot_token": bot.token}, headers=key))

    thread = threading.Thread(target=create)
    thread.start()
    with suite.killed(server):
        time.sleep(0.3)
    thread.join()
    assert len(answers) == 1
    assert [i["id"] for i in expect(ada.api.get("/instances"), 200)["items"]] == [answers[0].data["id"]]
    ada.wait(answers[0].data["id"], "running")


def age_claims(suite: Suite) -> None:
    """As in test_crash: what a lost process claimed is old at once."""
    try:
        suite.sql("UPDATE idempotency_instance SET claimed_at = claimed_at - interval '1 hour' "
                  "WHERE status IS NULL AND claimed_at < now() - interval '20 s'")
    except Exception:  # the database is the one that is away  # pylint: disable=broad-except
        pass


@pytest.mark.parametrize("server", SERVERS)
def test_sockets_hear_everything_after_an_outage(suite: Suite, server: str, ada: Person, bot: Bot) -> None:
    """No event is lost: what happened meanwhile comes through the same socket afterwards."""
    instance = ada.running(bot)["id"]
    with suite.socket(ada.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        with suite.killed(server):
            time.sleep(0.3)
        client = Stubborn(ada.api, 60 * SLOW)
        client.call("POST", f"/instances/{instance}/stop", headers=idempotency())
        stopped = _until(ws, "stopped", 60 * SLOW)
        client.call("POST", f"/instances/{instance}/start", headers=idempotency())
        running = _until(ws, "running", 60 * SLOW)
        seen = [f["position"] for f in ws.seen if f["event"] == "instance.status"]
        assert len(seen) == len(set(seen)), "no event twice"
        assert _number(running) > _number(stopped)


def _until(ws: Any, status: str, timeout: float) -> dict[str, Any]:
    return dict(ws.expect("instance.status", timeout, lambda f: f["data"]["status"] == status))


def _number(frame: dict[str, Any]) -> int:
    return int(frame["position"].split(":")[1])


def test_the_engine_is_away_for_a_moment(suite: Suite, ada: Person, api: Api) -> None:
    """instance-manager frozen: the rest goes on, and its callers get a clear answer in time."""
    import os
    import signal
    pid = suite.stack.pid("instance-manager")
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = ada.api.get("/instances")
        assert answer.status in CLEAR and answer.code == CLEAR[answer.status], str(answer)
        expect(ada.api.get("/users/me"), 200)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: ada.api.get("/instances").status == 200, 20 * SLOW)
