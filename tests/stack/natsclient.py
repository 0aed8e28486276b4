"""A NATS client of a few lines, for asking the real server what a user may do."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit


class NatsClient:
    """One connection. Every call waits for the server's word, so nothing is timed."""

    def __init__(self, url: str) -> None:
        u = urlsplit(url)
        assert u.hostname and u.port
        self.sock = socket.create_connection((u.hostname, u.port), timeout=10)
        self.file = self.sock.makefile("rb")
        assert self.file.readline().startswith(b"INFO ")
        options = {"verbose": False, "pedantic": False, "user": u.username, "pass": u.password, "name": "test",
                   "lang": "python", "version": "1", "headers": True, "no_responders": True}
        self.refusals: list[str] = []
        self.messages: list[tuple[str, str, bytes]] = []
        self._send(f"CONNECT {json.dumps(options)}\r\n".encode())
        self.sync()

    def _send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def sync(self) -> None:
        """Reads everything that the server has said so far."""
        self._send(b"PING\r\n")
        while self._read() != b"PONG":
            pass

    def _read(self) -> bytes:
        line = self.file.readline().rstrip(b"\r\n")
        if not line:
            raise ConnectionError(f"closed by the server; it said {self.refusals}")
        words = line.split(b" ")
        if words[0] == b"-ERR":
            self.refusals.append(line.decode())
        elif words[0] in (b"MSG", b"HMSG"):
            size = int(words[-1])
            reply = words[3] if len(words) == (5 if words[0] == b"MSG" else 6) else b""
            self.messages.append((words[1].decode(), reply.decode(), self.file.read(size + 2)[:-2]))
        elif words[0] == b"PING":
            self._send(b"PONG\r\n")
        return words[0]

    def publish(self, subject: str, data: bytes = b"", reply: str = "") -> bool:
        """Whether the server lets this user send there."""
        before = len(self.refusals)
        self._send(f"PUB {subject} {reply + ' ' if reply else ''}{len(data)}\r\n".encode() + data + b"\r\n")
        self.sync()
        return len(self.refusals) == before

    def subscribe(self, subject: str, sid: int = 1) -> bool:
        """Whether the server lets this user listen there."""
        before = len(self.refusals)
        self._send(f"SUB {subject} {sid}\r\n".encode())
        self.sync()
        return len(self.refusals) == before

    def next(self) -> tuple[str, str, bytes]:
        """The next message: (subject, reply, data)."""
        while not self.messages:
            self._read()
        return self.messages.pop(0)

    def close(self) -> None:
        """Ends the connection."""
        self.file.close()
        self.sock.close()
