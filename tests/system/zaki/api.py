"""The REST API as a client sees it, and a raw socket for requests that no client would send."""

from __future__ import annotations

import http.client
import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Mapping
from urllib.parse import urlsplit

from .patience import PATIENCE_S


@dataclass
class Answer:
    """One response. `data`, `code` and `field` read the envelope (SPEC 3)."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float = 0.0
    request: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"] or {}

    @property
    def code(self) -> str:
        return self.error.get("code", "")

    @property
    def field(self) -> str:
        return (self.error.get("details") or {}).get("field", "")

    def cookies(self) -> dict[str, str]:
        """Set-Cookie lines by name, each with its attributes."""
        found = {}
        for line in self.headers.get_all("Set-Cookie") or []:
            found[line.split("=", 1)[0].strip()] = line
        return found

    def __str__(self) -> str:
        return f"{self.request} → {self.status} {self.body[:600].decode(errors='replace')}"


class ApiError(AssertionError):
    """An answer that was not the one expected; shows the request and what came."""

    def __init__(self, answer: Answer, expected: object) -> None:
        super().__init__(f"expected {expected}: {answer}")
        self.answer = answer


@dataclass
class Api:
    """One client: an address and, once signed in, a token. Each request has a connection of its own."""

    base: str
    token: str = ""
    prefix: str = "/api"
    headers: dict[str, str] = field(default_factory=dict)
    timeout: float = PATIENCE_S

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None,
             raw: bytes | None = None) -> Answer:
        """Sends body as JSON, or raw as it is. path is below /api unless it begins with '='."""
        target = path[1:] if path.startswith("=") else self.prefix + path
        sent = dict(self.headers)
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        url = urlsplit(self.base)
        conn = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=self.timeout)
        start = time.monotonic()
        try:
            conn.request(method, target, data, sent)
            got = conn.getresponse()
            return Answer(got.status, got.headers, got.read(), time.monotonic() - start,
                          f"{method} {target}")
        finally:
            conn.close()

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self.call("DELETE", path, **more)

    def as_user(self, token: str) -> "Api":
        """The same door, as somebody who is signed in."""
        return Api(self.base, token, self.prefix, dict(self.headers), self.timeout)


def expect(answer: Answer, status: int, code: str = "") -> Any:
    """The data of an answer that has this status (and error code); else the test fails with it."""
    if answer.status != status or (code and answer.code != code):
        raise ApiError(answer, f"{status} {code}".strip())
    return answer.data if answer.body else None


def patiently(send: Any, *statuses: int, seconds: float = PATIENCE_S) -> Answer:
    """Sends again while the answer is 429 or 503, as long as Retry-After says."""
    deadline = time.monotonic() + seconds
    while True:
        answer: Answer = send()
        if answer.status not in (429, 503) or answer.status in statuses or time.monotonic() > deadline:
            return answer
        time.sleep(min(float(answer.headers.get("Retry-After") or 1), max(0.0, deadline - time.monotonic())))


def raw_request(base: str, data: bytes, timeout: float = PATIENCE_S, more: bytes = b"",
                half_close: bool = False) -> Answer | None:
    """Sends bytes as they are and reads one answer; None where the server just closed.

    `more` is sent while the answer may already be under way: a server that refuses early and closes
    must still get its answer across.
    """
    url = urlsplit(base)
    with socket.create_connection((url.hostname or "", url.port or 80), timeout=timeout) as s:
        s.settimeout(timeout)
        try:
            s.sendall(data)
            if more:
                s.sendall(more)
        except OSError:
            pass  # the answer may be there all the same
        if half_close:
            s.shutdown(socket.SHUT_WR)
        got = http.client.HTTPResponse(s)
        try:
            got.begin()
            return Answer(got.status, got.headers, got.read(), 0.0, repr(data[:80]))
        except (http.client.HTTPException, ConnectionError, TimeoutError):
            return None
        finally:
            got.close()
