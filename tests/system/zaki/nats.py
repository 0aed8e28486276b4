"""A NATS client of a few lines: enough to publish, ask and listen as any of the bus's users.

It is a second opinion on the bus: it shares no code with the daemons.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from .patience import PATIENCE_S


@dataclass
class Message:
    subject: str
    reply: str
    headers: bytes
    data: bytes

    def header(self, name: str) -> str:
        for line in self.headers.decode(errors="replace").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return ""

    @property
    def status(self) -> str:
        """The status on a header's first line: 503 means that nobody answers this subject."""
        return self.headers[8:12].decode(errors="replace").strip()


class Refused(Exception):
    """The server turned the connection down."""


@dataclass
class Nats:
    """One connection. Everything received waits in `messages`; errors of the server in `errors`."""

    url: str
    inbox: str = "_INBOX"
    messages: list[Message] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        u = urlsplit(self.url)
        self._more = threading.Condition()
        self._pongs = 0
        self._sid = 0
        self._closed = False
        self._sock = socket.create_connection((u.hostname or "", u.port or 4222), timeout=PATIENCE_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._sock.makefile("rb")
        self._file.readline()  # INFO
        hello = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True,
                 "name": "tests", "lang": "python", "version": "1", "protocol": 1}
        if u.username:
            hello |= {"user": unquote(u.username), "pass": unquote(u.password or "")}
        self._send(f"CONNECT {json.dumps(hello)}\r\nPING\r\n".encode())
        line = self._file.readline().decode(errors="replace").strip()
        if not line.startswith("PONG"):
            self._sock.close()
            raise Refused(line)
        self._sock.settimeout(None)
        threading.Thread(target=self._read, daemon=True).start()

    def _send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def _read(self) -> None:
        try:
            while line := self._file.readline():
                self._line(line.decode(errors="replace").strip())
        except (OSError, ValueError):
            pass
        with self._more:
            self._closed = True
            self._more.notify_all()

    def _line(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        words = rest.split()
        got = None
        if verb in ("MSG", "HMSG"):
            sizes = 2 if verb == "HMSG" else 1
            total = int(words[-1])
            head = int(words[-2]) if verb == "HMSG" else 0
            body = self._file.read(total + 2)[:-2]
            reply = words[2] if len(words) == 3 + sizes else ""
            got = Message(words[0], reply, body[:head], body[head:])
        elif verb == "PING":
            self._send(b"PONG\r\n")
        with self._more:
            if got:
                self.messages.append(got)
            elif verb == "-ERR":
                self.errors.append(rest)
            elif verb == "PONG":
                self._pongs += 1
            self._more.notify_all()

    def subscribe(self, subject: str) -> None:
        self._sid += 1
        self._send(f"SUB {subject} {self._sid}\r\n".encode())

    def publish(self, subject: str, data: bytes, reply: str = "", headers: dict[str, str] | None = None) -> None:
        if headers:
            head = ("NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode()
            self._send(f"HPUB {subject} {reply} {len(head)} {len(head) + len(data)}\r\n".encode() + head + data + b"\r\n")
        else:
            self._send(f"PUB {subject} {reply} {len(data)}\r\n".encode() + data + b"\r\n")

    def publish_many(self, messages: list[tuple[str, bytes]]) -> None:
        """In one write."""
        self._send(b"".join(b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(data), data) for subject, data in messages))

    def flush(self, timeout: float = PATIENCE_S) -> None:
        """Returns once the server has seen all that was sent; its refusals are then in `errors`."""
        with self._more:
            want = self._pongs + 1
            self._send(b"PING\r\n")
            if not self._more.wait_for(lambda: self._pongs >= want or self._closed, timeout):
                raise TimeoutError("the bus does not answer")

    def request(self, subject: str, data: bytes, headers: dict[str, str] | None = None,
                timeout: float = PATIENCE_S) -> Message:
        """Asks and returns the first answer."""
        inbox = f"{self.inbox}.{os.urandom(8).hex()}"
        self.subscribe(inbox)
        self.publish(subject, data, inbox, headers)
        return self.wait_for(lambda m: m.subject == inbox, timeout)

    def wait_for(self, fits: Any, timeout: float = PATIENCE_S) -> Message:
        """The first message that fits, also one that is here already."""
        deadline = time.monotonic() + timeout
        with self._more:
            while True:
                for message in self.messages:
                    if fits(message):
                        return message
                left = deadline - time.monotonic()
                if left <= 0 or self._closed or not self._more.wait(left):
                    raise TimeoutError(f"no such message on the bus; the server said: {self.errors}")

    def refused(self, what: str) -> bool:
        """Whether the server refused something with this word in it."""
        self.flush()
        return any(what.lower() in e.lower() for e in self.errors)

    def close(self) -> None:
        # The reading thread holds the socket, too: only a shutdown ends the connection.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def __enter__(self) -> "Nats":
        return self

    def __exit__(self, *rest: object) -> None:
        self.close()
