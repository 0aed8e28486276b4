"""Nothing secret is readable where it should not be: on the bus, in logs, in `docker inspect`, in the
environment of any process, in the database, in Redis, in the stream's files."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Iterator
from urllib.parse import quote

import pytest
import redis

from zaki.api import expect
from zaki.nats import Nats
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import BIN, Suite

PASSWORD_OF_MINE = "correct horse battery staple 42"
PROVIDER_KEY = "sk-live-0123456789abcdefghijklmnop"


def forms(secret: str) -> set[bytes]:
    """As it is, and as it may look where it was wrapped."""
    raw = secret.encode()
    return {raw, raw[::-1], quote(secret, safe="").encode(), raw.hex().encode(), base64.b64encode(raw).rstrip(b"="),
            base64.urlsafe_b64encode(raw).rstrip(b"="), json.dumps(secret)[1:-1].encode()}


class Journey:
    """A person's whole way, with every kind of secret in it, while somebody listens to the bus."""

    def __init__(self, suite: Suite, folder: Path) -> None:
        self.suite = suite
        self.tail = folder / "tail.txt"
        self.secrets: dict[str, str] = {}
        with self.listening() as bus:
            self.go()
            bus.flush()
            self.bus = b"\n".join(m.subject.encode() + b" " + m.headers + m.data for m in bus.messages)
            self.subjects = {m.subject for m in bus.messages}

    @contextlib.contextmanager
    def listening(self) -> Iterator[Nats]:
        env = {"NATS_URL": self.suite.stack.nats_url("operator"), "PATH": os.environ["PATH"],
               **self.suite.stack.settings.passed}
        with open(self.tail, "wb") as out, \
                subprocess.Popen([str(BIN / "zakictl"), "tail", ">"], stdout=out, stderr=subprocess.STDOUT, env=env) as tail, \
                Nats(self.suite.stack.nats_url("operator"), inbox="_INBOX_operator") as bus:
            bus.subscribe(">")
            bus.flush()
            probe = Person.new(self.suite.api)
            # Only once zakictl has shown something is it known to listen.
            wait_until(lambda: expect(probe.api.get("/users/me"), 200) and b"zaki.rpc.auth.user_get" in self.tail.read_bytes(),
                       20, "zakictl tail listens")
            yield bus
            last = Person.new(self.suite.api)
            wait_until(lambda: last.id.encode() in self.tail.read_bytes(), 20, "zakictl has shown the last of it")
            tail.terminate()
            tail.wait(10)

    def note(self, name: str, value: str) -> None:
        assert len(value) >= 8, name
        self.secrets[name] = value

    def go(self) -> None:
        suite = self.suite
        person = Person.new(suite.api)
        person.email = person.email.replace("ada", "mine")
        bot, other = suite.telegram.bot(), suite.telegram.bot()
        tokens = expect(suite.api.post("/auth/register", {"email": person.email, "password": PASSWORD_OF_MINE}), 201)
        person.take(tokens)
        self.note("password", PASSWORD_OF_MINE)
        self.note_tokens("at sign-up", tokens)
        self.note_tokens("at sign-in", expect(suite.api.post(
            "/auth/login", {"email": person.email, "password": PASSWORD_OF_MINE}), 200))
        suite.api.post("/auth/login", {"email": person.email, "password": "wrong and secret too"})
        self.note("a wrong password", "wrong and secret too")
        person.take(expect(suite.api.post("/auth/refresh", {"refresh_token": person.refresh_token}), 200))
        self.note("the refreshed access token", person.access_token)
        self.note("the refreshed refresh token", person.refresh_token)
        ticket = expect(person.api.post("/auth/ws-ticket"), 200)["ticket"]
        self.note("ticket", ticket)
        self.note("bot token", bot.token)
        self.note("the bot token's secret half", bot.token.split(":")[1])
        self.note("the second bot token", other.token)
        self.note("provider key", PROVIDER_KEY)
        expect(person.api.post("/onboarding/validate-bot-token", {"bot_token": bot.token}), 200)
        unknown = suite.telegram.unknown_token()
        person.api.post("/onboarding/validate-bot-token", {"bot_token": unknown})
        self.note("a token that Telegram does not know", unknown)
        provider = {"name": "mine", "api_key": PROVIDER_KEY, "base_url": suite.env["LLM_FAKE_URL"] + "/v1"}
        made = person.running(bot, owner_telegram_id=7, model="mine/model-1", provider=provider)
        instance = self.instance = made["id"]
        bot.wait_polled()
        assert bot.says(bot.hears(7, "hello"), text="hello")
        config = json.loads(suite.data(person.id, instance, ".openclaw", "openclaw.json").read_text())
        self.note("gateway token", config["gateway"]["auth"]["token"])
        assert self.secrets["bot token"] in json.dumps(config) and PROVIDER_KEY in json.dumps(config)
        with suite.socket(person.access_token) as ws:
            ws.subscribe(f"instance.{instance}")
            person.act(instance, "stop", "stopped")
            person.act(instance, "start", "running")
        expect(person.api.patch(f"/instances/{instance}", {"bot_token": other.token}), 200)
        other.wait_polled()
        person.wait(instance, "running")
        self.inspected = json.dumps(suite.engine.json("GET", f"/containers/{made['container_name']}/json")).encode()
        self.stored = b"\n".join(self.database())
        self.cached = b"\n".join(self.redis_dump())
        self.streamed = b"\n".join(self.stream_files())
        # Signed out and in again: the events of an end are on the bus too.
        expect(person.api.post("/auth/logout", {}), 200)

    def note_tokens(self, when: str, tokens: dict[str, str]) -> None:
        self.note(f"access token {when}", tokens["access_token"])
        self.note(f"its signature {when}", tokens["access_token"].split(".")[2])
        self.note(f"refresh token {when}", tokens["refresh_token"])

    def database(self) -> Iterator[bytes]:
        for row in self.suite.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"):
            for line in self.suite.sql(f"SELECT t::text AS line FROM {row['table_name']} t"):
                yield str(line["line"]).encode()

    def redis_dump(self) -> Iterator[bytes]:
        r = redis.Redis.from_url(self.suite.env["REDIS_URL"])
        for key in r.scan_iter(count=1000):
            yield key
            with contextlib.suppress(redis.ResponseError):
                yield r.dump(key) or b""
            with contextlib.suppress(redis.ResponseError):
                yield r.get(key) or b""

    def stream_files(self) -> Iterator[bytes]:
        for file in (self.suite.stack.paths.state / "nats").rglob("*.blk"):
            yield file.read_bytes()

    def find(self, where: str, data: bytes, *but: str) -> None:
        for name, secret in self.secrets.items():
            if name not in but:
                for form in forms(secret):
                    at = data.find(form)
                    assert at < 0, f"{name} is readable {where}: …{data[max(0, at - 120):at]!r}<HERE>"


@pytest.fixture(scope="module")
def journey(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    return Journey(suite, tmp_path_factory.mktemp("bus"))


@pytest.mark.core
def test_the_bus(journey: Journey) -> None:
    wanted = {"zaki.rpc.auth.register", "zaki.rpc.auth.login", "zaki.rpc.auth.refresh", "zaki.rpc.auth.ws_ticket",
              "zaki.rpc.auth.logout", "zaki.rpc.instance.check_token", "zaki.rpc.instance.create",
              "zaki.rpc.instance.update", "zaki.rpc.realtime.subscribe"}
    assert wanted <= journey.subjects, f"the record lacks {wanted - journey.subjects}"
    assert any(s.startswith("_INBOX_gateway") for s in journey.subjects), "replies are in the record"
    assert any(s.startswith("zaki.evt.instance.") for s in journey.subjects)
    assert any(s.startswith("zaki.rt.") for s in journey.subjects)
    journey.find("on the bus", journey.bus)


def test_what_zakictl_shows(journey: Journey) -> None:
    text = journey.tail.read_bytes()
    assert b"zaki.rpc.auth.register" in text and journey.instance.encode() in text
    journey.find("in `zakictl tail`", text)


def test_the_logs(journey: Journey, suite: Suite) -> None:
    logs = suite.logs()
    assert {"gateway.log", "auth.log", "instance-manager.log", "realtime-fanout.log",
            "storage-backup.log", "nats.log", "postgres.log"} <= set(logs)
    for name, text in logs.items():
        journey.find(f"in {name}", text.encode())
        for line in text.splitlines():
            if name.removesuffix(".log") in ("gateway", "auth", "instance-manager", "realtime-fanout", "storage-backup"):
                assert isinstance(json.loads(line), dict), f"{name}: not one JSON object a line: {line[:200]}"


def test_docker_inspect(journey: Journey) -> None:
    assert journey.instance.encode() in journey.inspected
    journey.find("in docker inspect", journey.inspected)


def test_the_database(journey: Journey) -> None:
    assert journey.instance.encode() in journey.stored
    journey.find("in the database", journey.stored)


def test_redis(journey: Journey) -> None:
    assert journey.cached
    journey.find("in Redis", journey.cached)


def test_the_streams_files(journey: Journey) -> None:
    assert journey.instance.encode() in journey.streamed
    journey.find("in the stream's files", journey.streamed)


def test_environments_and_arguments(journey: Journey, suite: Suite) -> None:
    """Of every process of the stack: neither people's secrets nor the suite's own."""
    own = {p.name: p.read_text().strip() for p in (suite.stack.paths.state / "secrets").glob("*.key")}
    assert {"jwt", "bus", "encryption"} <= {n.removesuffix(".key") for n in own}, own.keys()
    found = 0
    for name in ("gateway", "auth", "instance-manager", "realtime-fanout", "storage-backup", "nats", "postgres", "redis",
                 "supervisor"):
        pid = suite.stack.pid(name)
        data = Path(f"/proc/{pid}/cmdline").read_bytes()
        with contextlib.suppress(PermissionError):  # better still
            data += Path(f"/proc/{pid}/environ").read_bytes()
            found += 1
        journey.find(f"in {name}'s environment", data)
        for secret, value in own.items():
            assert value.encode() not in data, f"{secret} is in {name}'s environment or arguments"
    assert found


def test_the_suites_own_secrets_are_in_no_log(journey: Journey, suite: Suite) -> None:
    own = {p.name: p.read_text().strip() for p in (suite.stack.paths.state / "secrets").glob("*.key")}
    for where, text in {**suite.logs(), "bus": journey.bus.decode(errors="replace")}.items():
        for name, value in own.items():
            assert value not in text, f"{name} is in {where}"


def test_answers_give_nothing_back(journey: Journey, suite: Suite, ada: Person) -> None:
    """What was written is never read back: neither in an instance nor in a user."""
    bot = suite.telegram.bot()
    provider = {"name": "mine", "api_key": PROVIDER_KEY, "base_url": suite.env["LLM_FAKE_URL"] + "/v1"}
    instance = ada.running(bot, model="mine/m", provider=provider)["id"]
    for path in ("/instances", f"/instances/{instance}", "/users/me", "/health"):
        body = ada.api.get(path).body
        for secret in (bot.token, PROVIDER_KEY, ada.password):
            assert secret.encode() not in body, path
