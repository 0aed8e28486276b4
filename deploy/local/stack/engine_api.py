"""A small client for the Docker Engine API, over its unix socket or plain TCP.

The stack needs a dozen calls, so it speaks HTTP itself: no `docker` command has to be there, and a
command of another version can't get in the way.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
from typing import Any, Iterable, Iterator
from urllib.parse import quote, urlencode, urlsplit

from .errors import StackError

API = "/v1.41"
CHUNK = 1 << 20


class _UnixConnection(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class EngineError(StackError):
    """The engine answered with an error; `status` is its HTTP status (0: no answer)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Engine:
    """Calls to one engine. Stateless: a connection a call."""

    def __init__(self, host: str) -> None:
        self.host = host

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        url = urlsplit(self.host)
        if url.scheme == "unix":
            return _UnixConnection(url.path, timeout)
        if url.scheme in ("tcp", "http") and url.hostname:
            return http.client.HTTPConnection(url.hostname, url.port or 2375, timeout=timeout)
        raise StackError(f"DOCKER_HOST is '{self.host}'", "use unix:///path/docker.sock or tcp://host:port")

    def call(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None,
             stream: Iterable[bytes] | None = None, timeout: float = 30.0) -> http.client.HTTPResponse:
        """One request; raises EngineError for an answer of 400 and above."""
        if query:
            path += "?" + urlencode(query)
        conn = self._connect(timeout)
        headers = {"Host": "engine", "Connection": "close"}
        data: Any = None
        if stream is not None:
            headers |= {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
            data = stream
        elif body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body)
        try:
            conn.request(method, API + path, data, headers, encode_chunked=stream is not None)
            answer = conn.getresponse()
        except (OSError, http.client.HTTPException) as e:
            conn.close()
            raise EngineError(0, f"the Docker engine at {self.host} does not answer: {e}") from e
        if answer.status >= 400:
            raw = answer.read()
            try:
                text = json.loads(raw)["message"]
            except (ValueError, KeyError, TypeError):
                text = raw[:300].decode(errors="replace")
            raise EngineError(answer.status, f"Docker: {text}")
        return answer

    def json(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None,
             timeout: float = 30.0) -> Any:
        """One request whose answer is JSON, or nothing."""
        raw = self.call(method, path, query, body, timeout=timeout).read()
        return json.loads(raw) if raw.strip() else None

    def progress(self, answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        """The lines of a long call (build, pull, import); an error among them is raised."""
        for line in answer:
            if not line.strip():
                continue
            message = json.loads(line)
            if "error" in message:
                raise EngineError(answer.status, f"Docker: {message['error']}")
            yield message

    def alive(self, timeout: float = 3.0) -> bool:
        """Whether it answers _ping."""
        try:
            return self.call("GET", "/_ping", timeout=timeout).read() == b"OK"
        except StackError:
            return False

    def image(self, name: str) -> dict[str, Any] | None:
        """What the engine knows of an image, or None where it has none."""
        try:
            found: dict[str, Any] = self.json("GET", f"/images/{quote(name)}/json")
            return found
        except EngineError as e:
            if e.status == 404:
                return None
            raise

    def pull(self, name: str) -> None:
        """Fetches an image from its registry."""
        repo, tag = split_tag(name)
        answer = self.call("POST", "/images/create", {"fromImage": repo, "tag": tag}, timeout=900)
        for _ in self.progress(answer):
            pass

    def containers(self, labels: list[str], everything: bool = True) -> list[dict[str, Any]]:
        """Containers that carry all these labels (`key=value`)."""
        filters = json.dumps({"label": labels})
        query = {"all": int(everything), "filters": filters}
        found: list[dict[str, Any]] = self.json("GET", "/containers/json", query)
        return found

    def run(self, spec: dict[str, Any], timeout: float = 120.0) -> tuple[int, str]:
        """Runs a container to its end and removes it: (exit status, what it printed)."""
        cid = self.json("POST", "/containers/create", body=spec)["Id"]
        try:
            self.json("POST", f"/containers/{cid}/start")
            done = self.json("POST", f"/containers/{cid}/wait", timeout=timeout)
            return done["StatusCode"], self.logs(cid)
        finally:
            self.remove(cid)

    def logs(self, cid: str, tail: int = 200) -> str:
        """The last lines of a container's output, both streams."""
        query = {"stdout": 1, "stderr": 1, "tail": tail}
        raw = self.call("GET", f"/containers/{cid}/logs", query).read()
        return b"".join(_frames(raw)).decode(errors="replace")

    def remove(self, cid: str) -> None:
        """Removes a container, running or not; one that is gone already is fine."""
        try:
            self.json("DELETE", f"/containers/{cid}", {"force": 1, "v": 1}, timeout=60)
        except EngineError as e:
            if e.status not in (404, 409):  # 409: a removal is under way
                raise

    def network(self, name: str) -> str:
        """The bridge network of this name, made where missing; returns its gateway's address."""
        found = self._network(name)
        if found is None:
            body = {"Name": name, "Driver": "bridge", "CheckDuplicate": True, "Labels": {"zaki": "1"},
                    "Options": {"com.docker.network.bridge.enable_icc": "false"}}
            try:
                self.json("POST", "/networks/create", body=body)
            except EngineError as e:
                if e.status != 409:  # another stack made it just now
                    raise
            found = self._network(name)
        for config in (found or {}).get("IPAM", {}).get("Config") or []:
            if "Gateway" in config:
                return str(config["Gateway"])
        raise StackError(f"the Docker network '{name}' has no gateway address")

    def _network(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.json("GET", f"/networks/{quote(name)}")
            return found
        except EngineError as e:
            if e.status == 404:
                return None
            raise


def split_tag(name: str) -> tuple[str, str]:
    """`host:5000/a/b:1` → (`host:5000/a/b`, `1`)."""
    head, _, last = name.rpartition("/")
    base, _, tag = last.partition(":")
    return (f"{head}/{base}" if head else base), tag or "latest"


def chunks_of(pipe: Any) -> Iterator[bytes]:
    """A pipe's bytes, piece by piece, for a streamed request."""
    while data := pipe.read(CHUNK):
        yield data


def _frames(raw: bytes) -> Iterator[bytes]:
    """Takes the engine's eight-byte frame headers off a log stream."""
    at = 0
    while at + 8 <= len(raw):
        (size,) = struct.unpack(">I", raw[at + 4:at + 8])
        yield raw[at + 8:at + 8 + size]
        at += 8 + size
