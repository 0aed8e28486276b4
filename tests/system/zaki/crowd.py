"""Many sockets at once: bench-ws as the clients, assistants that exist in the database alone, and a
publisher that stands for instance-manager's outbox."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

from . import jwt, nats
from .patience import wait_until
from .suite import Suite

TOKEN_S = 7200
ACK_S = 2.0
_ports = itertools.count(1)


def assistants(suite: Suite, owners: list[str]) -> list[str]:
    """The ids of new assistants, one for each owner named: stopped ones, which nobody reconciles and
    which cost no engine anything."""
    rows = [(str(uuid.uuid4()), owner, next(_ports)) for owner in owners]
    with contextlib.closing(psycopg2.connect(suite.stack.database_url("zaki_owner"))) as db:
        with db.cursor() as cursor:
            psycopg2.extras.execute_values(
                cursor, "INSERT INTO instances (id, user_id, name, container_name, port, bot_token_encrypted,"
                " gateway_token_encrypted, bot_key, model, memory_mib, desired, status, next_check_at) VALUES %s",
                [(i, owner, "crowd", f"crowd-{i}", port, "none", "none", i, "test/model", 1024, "stopped", "stopped",
                  "2100-01-01") for i, owner, port in rows])
        db.commit()
    return [i for i, _, _ in rows]


def listeners(suite: Suite, token: str, count: int) -> tuple[list[str], list[str]]:
    """(lines for bench-ws, assistants' ids): so many people, each with a session and an assistant.
    `token` is anyone's."""
    head, claims = jwt.parts(token)
    secret, now = suite.stack.secrets.get("jwt"), int(time.time())
    people = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(count)]
    insert = psycopg2.extras.execute_values
    with contextlib.closing(psycopg2.connect(suite.stack.database_url("zaki_owner"))) as db:
        with db.cursor() as cursor:
            insert(cursor, "INSERT INTO users (id, email, password_hash) VALUES %s",
                   [(user, f"crowd-{user}@example.org", "none") for user, _ in people])
            insert(cursor, "INSERT INTO sessions (id, user_id, expires_at) VALUES %s",
                   [(session, user, "2100-01-01") for user, session in people])
        db.commit()
    ids, lines = assistants(suite, [user for user, _ in people]), []
    for (user, session), instance in zip(people, ids):
        mine = {**claims, "sub": user, "sid": session, "jti": str(uuid.uuid4()), "iat": now, "exp": now + TOKEN_S}
        lines.append(f"{jwt.sign(head, mine, secret)} instance.{instance}")
    return lines, ids


class Crowd:
    """bench-ws, running. ask() is one of its commands."""

    def __init__(self, program: Path, port: int, sockets: int, lines: list[str], folder: Path) -> None:
        env = dict(os.environ)
        if lines:
            topics = folder / f"topics-{uuid.uuid4().hex[:8]}"
            topics.touch(0o600)
            topics.write_text("\n".join(lines) + "\n")
            env["TOPICS"] = str(topics)
        self.sockets = sockets
        self.child = subprocess.Popen([str(program), str(port), str(sockets)], env=env, text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, command: str) -> dict[str, Any]:
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        assert line, f"bench-ws ended with {self.child.wait(5)}"
        return dict(json.loads(line))

    def stats(self) -> dict[str, Any]:
        return self.ask("stats")

    def wait_live(self, count: int = 0, timeout: float = 60.0) -> None:
        def there() -> bool:
            time.sleep(0.05)
            return int(self.ask("peek")["live"]) >= (count or self.sockets)
        try:
            wait_until(there, timeout)
        except TimeoutError:
            raise AssertionError(f"not all sockets are live: {self.stats()}") from None

    def end(self) -> None:
        with contextlib.suppress(OSError, AssertionError):
            assert self.child.stdin
            self.child.stdin.close()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(5)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *rest: object) -> None:
        self.end()


class Publisher:
    """Numbered events, at a rate, each until the stream has it and in their order: as an outbox does."""

    def __init__(self, suite: Suite, ids: list[str], rate: float) -> None:
        self.suite = suite
        self.ids = ids
        self.rate = rate
        self.sent = 0  # that the stream has
        self.error: BaseException | None = None
        self._end = threading.Event()
        self._bus: nats.Nats | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _connected(self) -> nats.Nats:
        if not self._bus:
            self._bus = nats.Nats(self.suite.stack.nats_url("instance-manager"), inbox="_INBOX_instance-manager")
        return self._bus

    def _publish(self, number: int) -> bool:
        instance = self.ids[number % len(self.ids)]
        body = {"n": number // len(self.ids), "t": time.monotonic_ns(), "instance_id": instance}
        try:
            bus = self._connected()
            ack = bus.request(f"zaki.evt.instance.{instance}.status", json.dumps(body).encode(),
                              {"Nats-Msg-Id": f"crowd-{instance}-{body['n']}"}, ACK_S)
            bus.messages.clear()
            return b'"seq"' in ack.data
        except (OSError, TimeoutError, nats.Refused):
            if self._bus:
                self._bus.close()
            self._bus = None
            return False

    def _run(self) -> None:
        begin, first = time.monotonic(), self.sent
        try:
            while not self._end.is_set():
                due = begin + (self.sent - first) / self.rate - time.monotonic()
                if due > 0 and self._end.wait(due):
                    break
                if self._publish(self.sent):
                    self.sent += 1
                elif not self._end.wait(0.1):
                    begin, first = time.monotonic(), self.sent
        except BaseException as e:  # the test asks for it  # pylint: disable=broad-except
            self.error = e

    def __enter__(self) -> "Publisher":
        self._thread.start()
        return self

    def __exit__(self, *rest: object) -> None:
        self._end.set()
        self._thread.join(15)
        if self._bus:
            self._bus.close()
