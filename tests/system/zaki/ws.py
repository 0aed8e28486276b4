"""A WebSocket client for tests that are written in plain, blocking steps.

Debian's python3-websockets is asyncio only: one event loop in a thread of its own serves all sockets.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any, Callable, Coroutine
from urllib.parse import quote

import websockets.client
import websockets.exceptions

from .patience import PATIENCE_S, patient

CHECK_S = 60  # from a socket's start to when its session is looked at again, where nobody told of its end (ws_client.h)

_loop: asyncio.AbstractEventLoop | None = None
_lock = threading.Lock()


def _run(work: Coroutine[Any, Any, Any], timeout: float) -> Any:
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="websockets", daemon=True).start()
    future = asyncio.run_coroutine_threadsafe(work, _loop)
    try:
        return future.result(timeout + 5)
    except BaseException:
        future.cancel()
        raise


async def _open(url: str, headers: dict[str, str], timeout: float) -> Any:
    return await websockets.client.connect(url, extra_headers=headers, open_timeout=timeout, max_queue=None,
                                           max_size=4 << 20, ping_interval=None, compression=None)


class Refused(AssertionError):
    """The handshake was answered with an HTTP status instead."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        super().__init__(f"the handshake was answered {status}")
        self.status = status
        self.body = body


class Closed(AssertionError):
    """The server closed the socket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code} {reason}")
        self.code = code
        self.reason = reason


class Socket:
    """One socket. Frames that expect() passes over are kept in `seen`, so nothing is lost to a test."""

    def __init__(self, url: str, headers: dict[str, str] | None = None, timeout: float = PATIENCE_S) -> None:
        self.seen: list[dict[str, Any]] = []
        try:
            self._ws = _run(_open(url, headers or {}, timeout), timeout)
        except websockets.exceptions.InvalidStatusCode as e:
            raise Refused(e.status_code) from None

    @classmethod
    def with_token(cls, ws_url: str, token: str, **more: Any) -> "Socket":
        """The seed's form: /ws?token=JWT."""
        return cls(f"{ws_url}?token={quote(token)}", **more)

    def send(self, text: str | bytes | dict[str, Any]) -> None:
        data = json.dumps(text) if isinstance(text, dict) else text
        _run(self._ws.send(data), PATIENCE_S)

    def recv(self, timeout: float = PATIENCE_S) -> dict[str, Any]:
        """The next frame; Closed when there will be none, TimeoutError when none came."""
        try:
            text = _run(asyncio.wait_for(self._ws.recv(), timeout), timeout)
        except asyncio.TimeoutError:
            raise TimeoutError(f"no frame within {timeout} s; seen: {self.names()}") from None
        except websockets.exceptions.ConnectionClosed:
            raise Closed(self._ws.close_code or 1006, self._ws.close_reason or "") from None
        frame = json.loads(text)
        self.seen.append(frame)
        return frame

    def expect(self, event: str, timeout: float = PATIENCE_S,
               where: Callable[[dict[str, Any]], bool] = lambda frame: True) -> dict[str, Any]:
        """The next frame of this event that fits."""
        return self.recv_where(lambda frame: frame.get("event") == event and where(frame), timeout)

    def recv_where(self, fits: Callable[[dict[str, Any]], bool], timeout: float = PATIENCE_S) -> dict[str, Any]:
        """The next frame that fits."""
        deadline = time.monotonic() + patient(timeout)
        while True:
            frame = self.recv(max(0.001, deadline - time.monotonic()))
            if fits(frame):
                return frame

    def names(self) -> list[str]:
        """What was seen, short enough for a failure message."""
        return [f"{f.get('event')}:{(f.get('data') or {}).get('status', '')}" for f in self.seen]

    def subscribe(self, topic: str, since: str = "", timeout: float = PATIENCE_S) -> dict[str, Any]:
        """The `subscribed` frame. Asked again where nobody was there to answer, as a client does."""
        deadline = time.monotonic() + patient(timeout)
        while True:
            self.send({"event": f"subscribe:{topic}", "since": since} if since else f"subscribe:{topic}")
            frame = self.recv_where(lambda f: f.get("topic") == topic and f["event"] in ("subscribed", "error"), timeout)
            if frame["event"] == "subscribed":
                return frame
            assert frame["data"]["code"] in ("SERVICE_UNAVAILABLE", "TIMEOUT") and time.monotonic() < deadline, frame
            time.sleep(0.5)

    def quiet(self, seconds: float) -> None:
        """Fails if a frame comes within this time."""
        try:
            frame = self.recv(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"a frame came where none should: {frame}")

    def closed(self, timeout: float = PATIENCE_S) -> Closed:
        """Reads on until the server closes; how it did."""
        try:
            while True:
                self.recv(patient(timeout))
        except Closed as end:
            return end

    def close(self) -> None:
        try:
            _run(self._ws.close(), 5)
        except (OSError, asyncio.TimeoutError, TimeoutError):
            pass

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *rest: object) -> None:
        self.close()
