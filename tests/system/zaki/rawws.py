"""A WebSocket as bytes: for what a well-behaved client library would never send."""

from __future__ import annotations

import base64
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator
from urllib.parse import urlsplit

from .patience import PATIENCE_S

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"


@dataclass(frozen=True)
class Frame:
    """As it came."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    masked: bool = False

    @property
    def code(self) -> int:
        """Of a close frame; 1005 where it has none."""
        return struct.unpack(">H", self.payload[:2])[0] if len(self.payload) >= 2 else 1005


# pylint: disable-next=too-many-arguments
def frame(opcode: int, payload: bytes | str = b"", fin: bool = True, rsv: int = 0, mask: bytes | None = MASK,
          width: int = 0) -> bytes:
    """The bytes of one frame; width: of the length field (7, 16, 64), where it shall not be the shortest."""
    data = payload.encode() if isinstance(payload, str) else payload
    width = width or (7 if len(data) < 126 else 16 if len(data) < 65536 else 64)
    bit = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if width == 7:
        head += bytes([bit | len(data)])
    else:
        head += bytes([bit | (126 if width == 16 else 127)]) + struct.pack(">H" if width == 16 else ">Q", len(data))
    if mask is None:
        return head + data
    key = int.from_bytes((mask * (len(data) // 4 + 1))[:len(data)], "big") if data else 0
    body = (int.from_bytes(data, "big") ^ key).to_bytes(len(data), "big")
    return head + mask + body


def close_frame(code: int, reason: bytes | str = b"") -> bytes:
    data = reason.encode() if isinstance(reason, str) else reason
    return frame(CLOSE, struct.pack(">H", code) + data)


def request(path: str, host: str, **more: str | None) -> bytes:
    """An upgrade; more: header fields with _ for -, None to leave one out."""
    fields: dict[str, str | None] = {
        "Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode()}
    fields.update({name.replace("_", "-"): value for name, value in more.items()})
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    return (f"GET {path} HTTP/1.1\r\n" + "".join(lines) + "\r\n").encode()


class RawSocket:
    """One connection; the handshake is done where url has a query, else the caller's to do."""

    def __init__(self, url: str, upgrade: bool = True, timeout: float = PATIENCE_S, **headers: str | None) -> None:
        u = urlsplit(url)
        self.host = f"{u.hostname}:{u.port}"
        self.path = u.path + (f"?{u.query}" if u.query else "")
        self.sock = socket.create_connection((u.hostname or "", u.port or 80), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.head = ""
        if upgrade:
            self.head = self.ask(request(self.path, self.host, **headers))

    def ask(self, data: bytes) -> str:
        """Sends a request; the answer's header."""
        self.sock.sendall(data)
        while b"\r\n\r\n" not in self.rest:
            more = self.sock.recv(65536)
            if not more:
                break
            self.rest += more
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    @property
    def status(self) -> int:
        """Of the answer to the handshake."""
        return int(self.head.split(" ", 2)[1]) if self.head else 0

    def is_held(self) -> bool:
        """Whether the other side, on this machine, still has the connection open (proc(5), /proc/net/tcp: 01)."""
        here, there = self.sock.getsockname()[1], self.sock.getpeername()[1]
        rows = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(local.endswith(f":{there:04X}") and remote.endswith(f":{here:04X}") and state == "01"
                   for local, remote, state in rows)

    def send(self, data: bytes, chop: int = 0) -> None:
        """In pieces of chop bytes; what the other side does not take any more is its business."""
        try:
            for at in range(0, len(data), chop or len(data) or 1):
                self.sock.sendall(data[at:at + (chop or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _need(self, size: int) -> bytes:
        while len(self.rest) < size:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError
            self.rest += more
        got, self.rest = self.rest[:size], self.rest[size:]
        return got

    def recv(self) -> Frame:
        """The next frame. EOFError: the connection ended; TimeoutError: nothing comes."""
        try:
            one, two = self._need(2)
            size = two & 0x7F
            if size == 126:
                size = struct.unpack(">H", self._need(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self._need(8))[0]
            key = self._need(4) if two & 0x80 else b""
            return Frame(one & 0x0F, self._need(size), bool(one & 0x80), one >> 4 & 7, bool(key))
        except ConnectionResetError:
            raise EOFError from None

    def frames(self) -> Iterator[Frame]:
        """All that come until the connection ends."""
        try:
            while True:
                yield self.recv()
        except EOFError:
            pass

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> "RawSocket":
        return self

    def __exit__(self, *rest: object) -> None:
        self.close()
