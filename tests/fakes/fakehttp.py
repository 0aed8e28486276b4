"""A small HTTP/1.1 server on asyncio, shared by the fakes of outside parties.

Why not http.server: a fake holds hundreds of long polls open at once and has to notice when the
client of one is gone, because a dead poller must not count as a second one. One event loop does
both, and since everything runs on that one thread, the fakes need no locks.

Bounds: header 16 KiB, body per server, 75 s of idling. Bad input is answered, never raised.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
import traceback
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

HEADER_MAX = 16 * 1024  # bytes
IDLE_S = 75.0
STREAM_CHUNK = 64 * 1024  # bytes asked for in one read of a body
IP_FREEBIND = 15  # from <linux/in.h>; the socket module does not name it

REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    409: "Conflict", 413: "Payload Too Large", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}


class HttpError(Exception):
    """A request that cannot be served: status and a text for people."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class DropConnection(Exception):
    """Close the connection without an answer: a fault that a test asked for."""


@dataclass
class Request:
    """What came in. `gone` is set once the client has closed its side."""

    method: str
    path: str  # percent-decoded
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes
    gone: asyncio.Event
    log: dict[str, Any] = field(default_factory=dict)  # fields for this request's log line

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object."""
        if not self.body.strip():
            return {}
        value = parse_json(self.body)
        if not isinstance(value, dict):
            raise HttpError(400, "the body must be a JSON object")
        return value

    def query_number(self, name: str, default: float, low: float, high: float) -> float:
        text = self.query.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            raise HttpError(400, f"{name}: not a number") from None
        if not low <= value <= high:
            raise HttpError(400, f"{name}: must be from {low:g} to {high:g}")
        return value


@dataclass
class Response:
    """What goes out: a body, or a stream whose length is not known before."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


Handler = Callable[[Request], Awaitable[Response]]


def parse_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HttpError(400, "the body is not valid JSON") from None


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    # Lone surrogates are legal in JSON escapes but not in UTF-8; ASCII output carries both.
    body = json.dumps(value, separators=(",", ":")).encode("ascii")
    return Response(status, body, headers=headers or {})


def log(service: str, level: str, message: str, **fields: Any) -> None:
    """One JSON line on stderr, in the shape that the platform's daemons use."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    line = {"timestamp": stamp, "level": level, "service": service, "message": message, **fields}
    try:
        sys.stderr.write(json.dumps(line) + "\n")
        sys.stderr.flush()
    except OSError:
        pass  # whoever read the log is gone; serving goes on


async def wait_any(timeout: float | None, *events: asyncio.Event) -> bool:
    """Wait until one of the events is set; False when the time is up first."""
    if any(event.is_set() for event in events):
        return True
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in tasks:
            task.cancel()


class Routes:
    """A table of control endpoints: method and path pattern to handler."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, re.Pattern[str], Callable[..., Any]]] = []

    def add(self, method: str, pattern: str, handler: Callable[..., Any]) -> None:
        self._rows.append((method, re.compile(pattern), handler))

    async def call(self, request: Request) -> Response:
        allowed: list[str] = []
        for method, pattern, handler in self._rows:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                result = handler(request, *match.groups())
                response: Response = await result if asyncio.iscoroutine(result) else result
                return response
            if match:
                allowed.append(method)
        if allowed:
            raise HttpError(405, f"{request.path} takes {', '.join(allowed)}")
        raise HttpError(404, f"no such endpoint: {request.method} {request.path}")


class _Protocol(asyncio.StreamReaderProtocol):
    """A stream protocol that also tells at once when the peer has closed its side."""

    def __init__(self, serve: Callable[..., Awaitable[None]]) -> None:
        self.gone = asyncio.Event()
        reader = asyncio.StreamReader(limit=HEADER_MAX)
        super().__init__(reader, lambda r, w: serve(r, w, self.gone))

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)


class HttpServer:
    """Reads requests, calls the handler, writes answers, and logs one line for each."""

    def __init__(self, service: str, handler: Handler, body_max: int,
                 mask: Callable[[str], str] = lambda path: path) -> None:
        self.service = service
        self.handler = handler
        self.body_max = body_max
        self.mask = mask  # takes secrets out of a path before it is logged
        self.error_body: Callable[[int, str], Any] = lambda _status, text: {"error": text}

    def protocol(self) -> asyncio.BaseProtocol:
        return _Protocol(self._connection)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                          gone: asyncio.Event) -> None:
        try:
            while await self._exchange(reader, writer, gone):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError, DropConnection):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                        gone: asyncio.Event) -> bool:
        """One request and its answer; True when another may follow on this connection."""
        try:
            request = await self._read_request(reader, writer, gone)
        except HttpError as e:
            self._log("?", "?", e.status, time.monotonic(), {"error": e.message})
            await self._write(writer, json_response(self.error_body(e.status, e.message), e.status),
                              keep=False, head=False)
            # Closing on unread input would reset the connection and lose the answer.
            await self._discard(reader)
            return False
        if request is None:
            return False
        started = time.monotonic()
        keep = request.headers.get("connection", "").lower() != "close" and not gone.is_set()
        try:
            response = await self._handle(request)
        except DropConnection:
            self._log(request.method, request.path, 0, started, {**request.log, "dropped": True})
            writer.transport.abort()
            raise
        try:
            await self._write(writer, response, keep, request.method == "HEAD")
        except DropConnection:
            request.log["cut"] = True
            writer.transport.abort()
            raise
        finally:
            self._log(request.method, request.path, response.status, started, request.log)
        return keep

    async def _handle(self, request: Request) -> Response:
        try:
            return await self.handler(request)
        except HttpError as e:
            request.log["error"] = e.message
            return json_response(self.error_body(e.status, e.message), e.status)
        except DropConnection:
            raise
        except Exception as e:  # a fault of ours: say so and keep serving
            request.log["error"] = f"{type(e).__name__}: {e}"
            request.log["where"] = traceback.format_exc(limit=-3)
            return json_response(self.error_body(500, "internal error of the fake"), 500)

    def _log(self, method: str, path: str, status: int, started: float,
             more: dict[str, Any]) -> None:
        if "error" in more:
            more["error"] = self.mask(more["error"])
        log(self.service, "info" if status < 500 else "warn", "request", method=method,
            path=self.mask(path), status=status,
            duration_ms=round((time.monotonic() - started) * 1000, 1), **more)

    async def _read_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                            gone: asyncio.Event) -> Request | None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_S)
        except asyncio.LimitOverrunError:
            raise HttpError(431, "header too large") from None
        except asyncio.IncompleteReadError as e:
            if e.partial.strip():
                raise HttpError(400, "request cut short") from None
            return None
        method, target, headers = parse_head(head)
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await asyncio.wait_for(self._read_body(reader, headers), IDLE_S)
        split = urllib.parse.urlsplit(target)
        query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
        return Request(method, urllib.parse.unquote(split.path), query, headers, body, gone)

    async def _read_body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if "transfer-encoding" in headers:
            if headers["transfer-encoding"].lower() != "chunked":
                raise HttpError(501, "unknown transfer encoding")
            return await self._read_chunked(reader)
        length = headers.get("content-length", "0")
        if not re.fullmatch(r"[0-9]{1,12}", length):
            raise HttpError(400, "bad Content-Length")
        if int(length) > self.body_max:
            raise HttpError(413, f"the body may have at most {self.body_max} bytes")
        return await reader.readexactly(int(length))

    async def _read_chunked(self, reader: asyncio.StreamReader) -> bytes:
        body = bytearray()
        while True:
            try:
                line = await reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError:
                raise HttpError(400, "bad chunk") from None
            size = line.split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size):
                raise HttpError(400, "bad chunk size")
            count = int(size, 16)
            if len(body) + count > self.body_max:
                raise HttpError(413, f"the body may have at most {self.body_max} bytes")
            if count == 0:
                while (await reader.readuntil(b"\r\n")) != b"\r\n":
                    pass
                return bytes(body)
            body += await reader.readexactly(count)
            if await reader.readexactly(2) != b"\r\n":
                raise HttpError(400, "bad chunk")

    @staticmethod
    async def _discard(reader: asyncio.StreamReader) -> None:
        try:
            async with asyncio.timeout(1.0):
                while await reader.read(STREAM_CHUNK):
                    pass
        except (TimeoutError, ConnectionError):
            pass

    @staticmethod
    async def _write(writer: asyncio.StreamWriter, response: Response, keep: bool,
                     head: bool) -> None:
        lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Status')}",
                 f"Content-Type: {response.content_type}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines.append("Connection: " + ("keep-alive" if keep else "close"))
        if response.stream is None:
            lines.append(f"Content-Length: {len(response.body)}")
        else:
            lines.append("Transfer-Encoding: chunked")
        start = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        if response.stream is None:
            writer.write(start + (b"" if head else response.body))
            await writer.drain()
            return
        writer.write(start)
        async for piece in response.stream:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers of a request; refuses what is not HTTP/1.x."""
    lines = head.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"([A-Z]{1,16}) (/\S*) HTTP/1\.[01]", lines[0])
    if not match:
        raise HttpError(400, "not an HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        if line:
            name, colon, value = line.partition(":")
            if not colon:
                raise HttpError(400, "bad header line")
            headers[name.strip().lower()] = value.strip()
    return match[1], match[2], headers


def arguments(description: str) -> argparse.ArgumentParser:
    """The command line that all fakes share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", action="append", metavar="ADDRESS",
                        help="address to serve on; may be repeated (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--state", metavar="DIR", help="keep state here over restarts")
    parser.add_argument("--freebind", action="store_true",
                        help="serve on addresses that do not exist yet (a network made later)")
    return parser


def _listen(hosts: list[str], port: int, freebind: bool) -> list[socket.socket]:
    """Sockets on all hosts with one port; the first one chooses it where it is 0."""
    sockets: list[socket.socket] = []
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if freebind:
            sock.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
        try:
            sock.bind((host, port))
        except (OSError, OverflowError) as e:
            raise SystemExit(f"cannot serve on {host}:{port}: {e}") from None
        port = sock.getsockname()[1]
        sockets.append(sock)
    return sockets


async def _serve(server: HttpServer, sockets: list[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for sock in sockets:
        await loop.create_server(server.protocol, sock=sock, backlog=1024)
    urls = [f"http://{'[' + h + ']' if ':' in h else h}:{p}"
            for h, p in (sock.getsockname()[:2] for sock in sockets)]
    print("ready " + " ".join(urls), flush=True)
    log(server.service, "info", "ready", urls=urls, pid=os.getpid())
    await stop.wait()
    log(server.service, "info", "stopped")


def run(server: HttpServer, options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; open connections are cut, as a crash would."""
    sockets = _listen(options.host or ["127.0.0.1"], options.port, options.freebind)
    asyncio.run(_serve(server, sockets))
    return 0
