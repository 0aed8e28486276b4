"""Caddy with deploy/edge/Caddyfile in front of a stand-in gateway."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import socket
import threading
from pathlib import Path
from typing import Iterator

import pytest

from stack import Stack, temp_state_dir
from stack import edge as stack_edge
from stack.edge import site

SECRETS = {"token": "TOKEN-MUST-NOT-SHOW", "ticket": "TICKET-MUST-NOT-SHOW"}


class Echo(http.server.BaseHTTPRequestHandler):
    """Says what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer({"who": self.server.who, "path": self.path, "for": self.headers.get("X-Forwarded-For"),  # type: ignore
                     "proto": self.headers.get("X-Forwarded-Proto")})

    def do_POST(self) -> None:
        size = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.answer({"size": size})

    def answer(self, what: dict[str, object]) -> None:
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "__Host-zaki_refresh=ANSWER-MUST-NOT-SHOW")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def serve(port: int, who: str) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Echo)
    server.who = who  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def edge() -> Iterator[Stack]:
    stack = Stack(temp_state_dir(), random_ports=True, parts=("edge",))
    stack.paths.make()
    port, _ = stack.ports.claim("PORT")
    ws, _ = stack.ports.claim("WS_PORT")
    servers = [serve(port, "gateway"), serve(ws, "ws")]
    try:
        stack.up()
        yield stack
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        stack.destroy()


def ask(stack: Stack, method: str, path: str, body: bytes | None = None,
        headers: dict[str, str] | None = None) -> tuple[int, dict[str, object]]:
    conn = http.client.HTTPConnection("localhost", stack.ports.get("PUBLIC_PORT"), timeout=20)
    conn.request(method, path, body, headers or {})
    answer = conn.getresponse()
    return answer.status, json.loads(answer.read())


@pytest.mark.parametrize("path, who", [
    ("/api/users/me?a=1", "gateway"), ("/v1/instances", "gateway"), ("/health", "gateway"), ("/api", "gateway"),
    ("/ws?x=1", "ws"), ("/ws", "ws"),
])
def test_a_path_goes_to_its_part_unchanged(edge: Stack, path: str, who: str) -> None:
    status, seen = ask(edge, "GET", path)
    assert (status, seen["who"], seen["path"]) == (200, who, path)


@pytest.mark.parametrize("path", ["/", "/app", "/apix", "/healthz", "/ws/x", "/metrics", "/index.html"])
def test_what_nobody_serves_is_not_found_in_the_platforms_words(edge: Stack, path: str) -> None:
    status, body = ask(edge, "GET", path)
    assert status == 404
    assert body["success"] is False and body["data"] is None and body["error"]["code"] == "NOT_FOUND"  # type: ignore[index]


def test_a_client_cannot_claim_another_address(edge: Stack) -> None:
    _, seen = ask(edge, "GET", "/api/x", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"})
    assert (seen["for"], seen["proto"]) in [("127.0.0.1", "http"), ("::1", "http")]


def test_a_body_of_a_mebibyte_passes_and_a_flood_does_not(edge: Stack) -> None:
    assert ask(edge, "POST", "/api/x", b"x" * (1 << 20)) == (200, {"size": 1 << 20})
    conn = http.client.HTTPConnection("localhost", edge.ports.get("PUBLIC_PORT"), timeout=20)
    conn.putrequest("POST", "/api/x")
    conn.putheader("Content-Length", str(50 << 20))
    conn.endheaders()
    answer = conn.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"]["code"] == "PAYLOAD_TOO_LARGE"


def test_a_part_that_is_away_is_503_and_no_token_is_in_the_log(state: object) -> None:
    stack, held = Stack(temp_state_dir(), random_ports=True, parts=("edge",)), contextlib.ExitStack()
    try:
        stack.up()
        for name in ("PORT", "WS_PORT"):  # bound and not listening: nobody else can serve there meanwhile
            hold = held.enter_context(socket.socket())
            hold.bind(("127.0.0.1", stack.ports.get(name)))
        query = "&".join(f"{k}={v}" for k, v in SECRETS.items())
        for path in (f"/ws?{query}", f"/api/x?{query}"):
            status, body = ask(stack, "GET", path, headers={"Cookie": "a=COOKIE-MUST-NOT-SHOW",
                                                            "Authorization": "Bearer BEARER-MUST-NOT-SHOW"})
            assert status == 503
            assert body["error"]["code"] == "SERVICE_UNAVAILABLE"  # type: ignore[index]
        assert "MUST-NOT-SHOW" not in stack.log("edge")
    finally:
        held.close()
        stack.destroy()


def test_no_secret_would_be_in_a_log_of_requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The edge logs no request, so its filter is seen to work where somebody lets it: each request and each failure."""
    text = stack_edge.CADDYFILE.read_text()
    loud = text.replace("level WARN", "level DEBUG").replace("{$EDGE_SITE} {", "{$EDGE_SITE} {\n\tlog", 1)
    loud = loud.replace("servers {", "servers {\n\t\tlog_credentials", 1)  # which Caddy hides by itself otherwise
    assert [loud.count(part) for part in ("level DEBUG", "\tlog\n", "log_credentials")] == [1, 1, 1]
    (tmp_path / "Caddyfile").write_text(loud)
    monkeypatch.setattr(stack_edge, "CADDYFILE", tmp_path / "Caddyfile")
    stack = Stack(temp_state_dir(), random_ports=True, parts=("edge",))
    stack.paths.make()
    server = serve(stack.ports.claim("PORT")[0], "gateway")  # and nobody at the WebSocket's
    try:
        stack.up()
        query = "&".join(f"{k}={v}" for k, v in SECRETS.items())
        hidden = {"Cookie": "__Host-zaki_access=COOKIE-MUST-NOT-SHOW", "Authorization": "Bearer BEARER-MUST-NOT-SHOW"}
        assert ask(stack, "GET", f"/api/x?{query}&b=2", headers=hidden)[0] == 200
        assert ask(stack, "POST", f"/api/x?{query}", b'{"password": "BODY-MUST-NOT-SHOW"}', headers=hidden)[0] == 200
        assert ask(stack, "GET", f"/ws?{query}", headers={**hidden, "Sec-WebSocket-Key": "KEY-MUST-NOT-SHOW"})[0] == 503
        lines = [json.loads(line) for line in stack.log("edge").splitlines() if line.startswith("{")]
        told = [line["request"] for line in lines if "request" in line]
        assert {r["uri"].partition("?")[0] for r in told} == {"/api/x", "/ws"} and len(told) >= 4
        assert "/api/x?b=2&ticket=REDACTED&token=REDACTED" in {r["uri"] for r in told}
        assert any(line["level"] == "error" for line in lines), "the failure is told, too"
        assert "MUST-NOT-SHOW" not in stack.log("edge")
    finally:
        server.shutdown()
        server.server_close()
        stack.destroy()


@pytest.mark.parametrize("url, want", [
    ("", ("http://:8080", "127.0.0.1", 8080)),
    ("http://localhost:9000", ("http://:8080", "127.0.0.1", 8080)),
    ("https://zaki.example", ("https://zaki.example:443", "0.0.0.0", 443)),
    ("https://zaki.example:8443/", ("https://zaki.example:8443", "0.0.0.0", 8443)),
])
def test_tls_is_for_an_address_with_https(url: str, want: tuple[str, str, int]) -> None:
    assert site(url, 8080) == want
