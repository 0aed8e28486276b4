"""s3rver behind a gate that checks each request's SigV4 signature (by botocore, which s3rver leaves to
others) and breaks what a test asks it to break."""

from __future__ import annotations

import hashlib
import html
import http.client
import re
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Callable
from urllib.parse import parse_qs, quote_plus, urlsplit
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BUCKET = "zaki"
PACKAGE = "s3rver@3.7.1"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def error(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>'.encode()


@dataclass
class Fault:
    """What goes wrong with requests that match, the first `times` of them."""

    kind: str  # 500 503 403 full cut half damaged-answer bad-digest skew nonsense
    matches: Callable[[str, str], bool]  # method, path with query
    times: int = 1
    hits: int = 0


@dataclass
class Gate:
    upstream: int
    folder: Path
    faults: list[Fault] = field(default_factory=list)
    bad_signatures: list[str] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    encodes: bool = False  # answers encoding-type=url, as R2 and AWS do and s3rver does not
    sse: int = 0
    without_sse: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0

    @property
    def url(self) -> str:
        return f"s3+http://127.0.0.1:{self.port}/{BUCKET}/some/where?region=us-east-1"

    def fault_for(self, method: str, path: str) -> str:
        with self.lock:
            self.seen.append((method, path))
            for fault in self.faults:
                if fault.hits < fault.times and fault.matches(method, path):
                    fault.hits += 1
                    return fault.kind
        return ""


def signature_is_good(method: str, url: str, headers: dict[str, str], body: bytes) -> bool:
    """Signs the same request anew, with nothing but what its own signature names."""
    given = headers.get("authorization", "")
    if "SignedHeaders=" not in given:
        return False
    signed = given.split("SignedHeaders=")[1].split(",")[0].split(";")
    if any(name not in headers for name in signed):
        return False  # it names what it does not send
    if headers.get("x-amz-content-sha256") != hashlib.sha256(body).hexdigest():
        return False
    request = AWSRequest(method, url, {name: headers[name] for name in signed}, body)
    auth = S3SigV4Auth(Credentials("S3RVER", "S3RVER"), "s3", "us-east-1")
    request.context["timestamp"] = headers["x-amz-date"]
    request.context["signing"] = {}
    canonical = auth.canonical_request(request)
    return given.endswith("Signature=" + auth.signature(auth.string_to_sign(request, canonical), request))


def encoded_listing(text: bytes) -> bytes:
    """A listing's names percent-encoded, and said to be: of AWS a space is a plus."""
    def encode(found: re.Match[str]) -> str:
        return f"<{found[1]}>{escape(quote_plus(html.unescape(found[2]), safe='/'))}</{found[1]}>"
    names = re.sub(r"<(Key|Prefix)>([^<]*)</\1>", encode, text.decode())
    return names.replace("</ListBucketResult>", "<EncodingType>url</EncodingType></ListBucketResult>").encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gate: Gate

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, headers: list[tuple[str, str]], cut: int = -1) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "keep-alive", "transfer-encoding"):
                self.send_header(name, value)
        length = dict((n.lower(), v) for n, v in headers).get("content-length", "0") if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut] if cut >= 0 else body)
        if cut >= 0:
            self.hang_up()

    def hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def forward(self, body: bytes) -> tuple[int, bytes, list[tuple[str, str]]]:
        conn = http.client.HTTPConnection("127.0.0.1", self.gate.upstream, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "expect")}
        headers["Host"] = self.headers["Host"]
        conn.request(self.command, self.path, body or None, headers)
        got = conn.getresponse()
        try:
            return got.status, got.read(), got.getheaders()
        finally:
            conn.close()

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k.lower(): v for k, v in self.headers.items()}
        kind = self.gate.fault_for(self.command, self.path)
        with self.gate.lock:
            is_sealed = headers.get("x-amz-server-side-encryption") == "AES256"
            self.gate.sse += is_sealed
            if self.command == "PUT" and "uploadId" not in self.path and not is_sealed:
                self.gate.without_sse.append(self.path)
        if not signature_is_good(self.command, f"http://{headers['host']}{self.path}", headers, body):
            self.gate.bad_signatures.append(f"{self.command} {self.path}")
            return self.answer(403, error("SignatureDoesNotMatch"), [])
        if kind in ("500", "503"):
            return self.answer(int(kind), error("SlowDown" if kind == "503" else "InternalError"), [])
        if kind == "full":
            return self.answer(507, error("QuotaExceeded"), [])
        if kind == "403":
            return self.answer(403, error("AccessDenied"), [])
        if kind == "skew":
            then = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 3600))
            return self.answer(403, error("RequestTimeTooSkewed"), [("Date", then)])
        if kind == "nonsense":
            return self.answer(418, error("Teapot"), [])
        if kind == "bad-digest":
            return self.answer(400, error("BadDigest"), [])
        if kind == "cut":
            return self.hang_up()
        status, text, more = self.forward(body)
        if self.gate.encodes and "url" in parse_qs(urlsplit(self.path).query).get("encoding-type", []):
            text = encoded_listing(text)
        if kind == "half":  # done, and then the connection breaks in the middle of the answer
            return self.answer(status, text + b"." * 10, more, cut=len(text) // 2)
        if kind == "damaged-answer" and text:
            text = text[:-1] + bytes([text[-1] ^ 1])
        return self.answer(status, text, more)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any


class Server:
    """s3rver from npm with its gate, on free ports."""

    def __init__(self, folder: Path, package: Path) -> None:
        self.port = free_port()
        program = package / "node_modules" / "s3rver" / "bin" / "s3rver.js"
        self.child = subprocess.Popen(["node", "--openssl-legacy-provider", str(program), "-d", str(folder), "-a", "127.0.0.1", "-p", str(self.port),
                                       "--configure-bucket", BUCKET], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.gate = Gate(self.port, folder)
        handler = type("GateHandler", (Handler,), {"gate": self.gate})
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.httpd.daemon_threads = True
        self.gate.port = self.httpd.server_port
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()
        self.wait()

    def wait(self) -> None:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("s3rver does not start")

    def end(self) -> None:
        self.httpd.shutdown()
        self.httpd.server_close()
        self.child.terminate()
        self.child.wait(10)


def install(folder: Path) -> Path:
    """s3rver, once a build folder."""
    if not (folder / "node_modules" / "s3rver").exists():
        folder.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        assert npm, "npm is missing: deploy/local/install test"
        subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE], check=True,
                       timeout=300)
    return folder


def parts(path: str) -> str:
    return urlsplit(path).query
