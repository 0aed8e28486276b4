"""RFC 6455, case by case, against the gateway. The numbers are those of the Autobahn test suite, whose cases
these are as far as they fit a server that is no echo: a message is answered by a frame that shows it was
understood whole, where Autobahn waits for it to come back. Cases of ours begin with Z. docs/REALTIME.md
says what the gateway does beyond the RFC (text only, 4096 bytes a message, no extensions)."""

from __future__ import annotations

import json
import struct
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Iterator

import pytest

from zaki.patience import PATIENCE_S
from zaki.people import Person
from zaki.rawws import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame, RawSocket, close_frame, frame
from zaki.suite import Suite

pytestmark = pytest.mark.core

LIMIT = 4096  # WS_FRAME_MAX
TOPIC = f"instance.{uuid.UUID(int=7 << 64)}"
SAY = f"unsubscribe:{TOPIC}"  # answered with the topic in it, so that a mangled one shows
ANSWER = "unsubscribed"
OPEN = 0  # the socket goes on


def padded(size: int) -> str:
    """SAY as JSON of this many bytes, the part that matters last."""
    text = json.dumps({"event": SAY})
    return "{" + " " * (size - len(text)) + text[1:]


def pieces(text: str | bytes, size: int) -> bytes:
    """A message in fragments of size bytes."""
    data = text.encode() if isinstance(text, str) else text
    parts = [data[at:at + size] for at in range(0, len(data), size)] or [b""]
    return b"".join(frame(CONT if n else TEXT, part, fin=n == len(parts) - 1) for n, part in enumerate(parts))


@dataclass(frozen=True)
class Case:
    """What is sent, what is answered in this order, and how it ends: OPEN, or the close frame's code."""

    number: str
    send: list[bytes]
    want: list[Any] = field(default_factory=list)  # ANSWER, "error", or a pong's payload
    end: int = OPEN
    chop: int = 0
    pause: float = 0.0  # between the parts of send
    flood: bool = False  # what is answered before the end does not matter

    def __str__(self) -> str:
        return self.number


T, PG = frame(TEXT, SAY), frame(PING, "p")
BIN125 = bytes(range(125, 250))[:125]
CASES = [
    # ---- 1: framing
    Case("1.1.1 empty text", [frame(TEXT)], ["error"]),
    *[Case(f"1.1 text of {n}", [frame(TEXT, padded(n))], [ANSWER])
      for n in (125, 126, 127, 128, 255, 256, 257, 511, 512, 513, 1024, 4095, LIMIT)],
    Case("1.1 text past the limit", [frame(TEXT, padded(LIMIT + 1))], end=1009),
    Case("1.1.6 text of 65535", [frame(TEXT, b"*" * 65535)], end=1009),
    Case("1.1.7 text of 65536", [frame(TEXT, b"*" * 65536)], end=1009),
    Case("1.1.8 the same by 997", [frame(TEXT, b"*" * 65536)], end=1009, chop=997),
    *[Case(f"1.2 binary of {n}", [frame(BINARY, b"\xfe" * n)], end=1003 if n <= LIMIT else 1009)
      for n in (0, 125, 126, 127, 128, 65535, 65536)],
    *[Case(f"Z1 text of {n} by {chop}", [frame(TEXT, padded(n))], [ANSWER], chop=chop)
      for n in (126, 300, 2000) for chop in (1, 7, 255, 256, 257)],
    Case("Z2 length in 16 bits where 7 do", [frame(TEXT, SAY, width=16)], end=1002),
    Case("Z3 length in 64 bits where 7 do", [frame(TEXT, SAY, width=64)], end=1002),
    Case("Z4 length with the highest bit", [bytes([0x81, 0xFF]) + struct.pack(">Q", 1 << 63) + b"abcd"], end=1002),
    Case("Z5 unmasked text", [frame(TEXT, SAY, mask=None)], end=1002),
    Case("Z5 unmasked ping", [frame(PING, "p", mask=None)], end=1002),
    Case("Z5 unmasked close", [frame(CLOSE, struct.pack(">H", 1000), mask=None)], end=1002),
    Case("Z6 a mask of zeros", [frame(TEXT, SAY, mask=bytes(4))], [ANSWER]),
    Case("Z7 two messages at once", [T + T], [ANSWER, ANSWER]),
    # ---- 2: pings and pongs
    Case("2.1 ping without payload", [frame(PING)], [b""]),
    Case("2.2 ping with text", [frame(PING, "Hello, world!")], [b"Hello, world!"]),
    Case("2.3 ping that is no text", [frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")], [b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"]),
    Case("2.4 ping of 125", [frame(PING, BIN125)], [BIN125]),
    Case("2.5 ping of 126", [frame(PING, b"\xfe" * 126)], end=1002),
    Case("2.6 ping of 125 by 1", [frame(PING, BIN125)], [BIN125], chop=1),
    Case("2.7 pong without payload", [frame(PONG)]),
    Case("2.8 pong with payload", [frame(PONG, "unsolicited")]),
    Case("2.9 pong, then ping", [frame(PONG, "unsolicited") + frame(PING, "p")], [b"p"]),
    Case("2.10 ten pings", [b"".join(frame(PING, f"payload-{n}") for n in range(10))], [b"payload-%d" % n for n in range(10)]),
    Case("2.11 ten pings by 1", [b"".join(frame(PING, f"payload-{n}") for n in range(10))],
         [b"payload-%d" % n for n in range(10)], chop=1),
    Case("Z8 pong of 126", [frame(PONG, b"x" * 126)], end=1002),
    # ---- 3: reserved bits
    Case("3.1 text with RSV 1", [frame(TEXT, SAY, rsv=1)], end=1002),
    Case("3.2 text, text with RSV 2, ping", [T + frame(TEXT, SAY, rsv=2) + PG], [ANSWER], 1002),
    Case("3.3 the same one by one", [T, frame(TEXT, SAY, rsv=3), PG], [ANSWER], 1002),
    Case("3.4 the same by 1", [T + frame(TEXT, SAY, rsv=4) + PG], [ANSWER], 1002, chop=1),
    Case("3.5 binary with RSV 5", [frame(BINARY, b"\xff" * 8, rsv=5)], end=1002),
    Case("3.6 ping with RSV 6", [frame(PING, b"\xff" * 8, rsv=6)], end=1002),
    Case("3.7 close with RSV 7", [frame(CLOSE, struct.pack(">H", 1000), rsv=7)], end=1002),
    Case("Z9 continuation with RSV 4", [frame(TEXT, SAY[:9], fin=False) + frame(CONT, SAY[9:], rsv=4)], end=1002),
    # ---- 4: reserved opcodes
    *[Case(f"4.1 opcode {op}", [frame(op, payload)], end=1002) for op, payload in ((3, ""), (4, "reserved"))],
    *[Case(f"4.1 text, opcode {op}, ping", [T + frame(op, payload) + PG], [ANSWER], 1002, chop=chop)
      for op, payload, chop in ((5, "", 0), (6, "reserved", 0), (7, "reserved", 1))],
    *[Case(f"4.2 opcode {op}", [frame(op, payload)], end=1002) for op, payload in ((11, ""), (12, "reserved"))],
    *[Case(f"4.2 text, opcode {op}, ping", [T + frame(op, payload) + PG], [ANSWER], 1002, chop=chop)
      for op, payload, chop in ((13, "", 0), (14, "reserved", 0), (15, "reserved", 1))],
    # ---- 5: fragments
    Case("5.1 a ping in fragments", [frame(PING, "frag", fin=False) + frame(CONT, "ment")], end=1002),
    Case("5.2 a pong in fragments", [frame(PONG, "frag", fin=False) + frame(CONT, "ment")], end=1002),
    Case("Z10 a close in fragments", [frame(CLOSE, struct.pack(">H", 1000), fin=False)], end=1002),
    Case("5.3 two fragments", [pieces(SAY, 30)], [ANSWER]),
    Case("5.4 one by one", [frame(TEXT, SAY[:30], fin=False), frame(CONT, SAY[30:])], [ANSWER], pause=0.05),
    Case("5.5 by 1", [pieces(SAY, 30)], [ANSWER], chop=1),
    Case("5.6 a ping between", [frame(TEXT, SAY[:30], fin=False) + PG + frame(CONT, SAY[30:])], [b"p", ANSWER]),
    Case("5.7 one by one", [frame(TEXT, SAY[:30], fin=False), PG, frame(CONT, SAY[30:])], [b"p", ANSWER], pause=0.05),
    Case("5.8 by 1", [frame(TEXT, SAY[:30], fin=False) + PG + frame(CONT, SAY[30:])], [b"p", ANSWER], chop=1),
    *[Case(f"5.9-11 a last continuation of nothing, by {chop}", [frame(CONT, "x") + T], end=1002, chop=chop) for chop in (0, 1)],
    *[Case(f"5.12-14 a continuation of nothing, by {chop}", [frame(CONT, "x", fin=False) + T], end=1002, chop=chop)
      for chop in (0, 1)],
    Case("5.15 a message, then a continuation", [pieces(SAY, 30) + frame(CONT, "x", fin=False) + T], [ANSWER], 1002),
    Case("5.16 continuations and texts", [(frame(CONT, "a", fin=False) + pieces(SAY, 30)) * 2], end=1002),
    Case("5.17 the same with FIN", [(frame(CONT, "a") + pieces(SAY, 30)) * 2], end=1002),
    Case("5.18 two beginnings", [frame(TEXT, "frag", fin=False) + frame(TEXT, "ment")], end=1002),
    Case("5.19 five fragments, pings, a pause",
         [frame(TEXT, SAY[:10], fin=False) + frame(CONT, SAY[10:20], fin=False) + frame(PING, "1"),
          frame(CONT, SAY[20:30], fin=False) + frame(CONT, SAY[30:40], fin=False) + frame(PING, "2") + frame(CONT, SAY[40:])],
         [b"1", b"2", ANSWER], pause=1.0),
    Case("5.20 one by one",
         [frame(TEXT, SAY[:10], fin=False), frame(CONT, SAY[10:20], fin=False), frame(PING, "1"),
          frame(CONT, SAY[20:30], fin=False), frame(CONT, SAY[30:40], fin=False), frame(PING, "2"), frame(CONT, SAY[40:])],
         [b"1", b"2", ANSWER], pause=0.05),
    Case("Z11 a binary continuation", [frame(BINARY, "ab", fin=False) + frame(CONT, "cd")], end=1003),
    *[Case(f"Z12 {n} bytes in fragments of {size}", [pieces(padded(n), size)], [ANSWER])
      for n, size in ((300, 1), (600, 255), (600, 256), (600, 257), (1000, 300), (LIMIT, 1000), (LIMIT, 4000))],
    Case("Z13 fragments past the limit", [pieces(padded(LIMIT + 1), 1000)], end=1009),
    Case("Z14 empty fragments", [frame(TEXT, fin=False) + frame(CONT, SAY, fin=False) + frame(CONT)], [ANSWER]),
    Case("Z15 empty fragments alone", [frame(TEXT, fin=False) + frame(CONT, fin=False) + frame(CONT)], ["error"]),
    Case("Z16 a long ping in a long fragment",
         [frame(TEXT, padded(600)[:400], fin=False) + frame(PING, BIN125) + frame(CONT, padded(600)[400:])],
         [BIN125, ANSWER], chop=13),
    Case("Z17 messages in fragments, one after the other", [pieces(padded(600), 256) * 3], [ANSWER] * 3),
    # ---- 6: UTF-8
    *[Case(f"6 good {n}: {text.hex()[:24]}", [frame(TEXT, text)], ["error"]) for n, text in enumerate((
        "Hello-µ@ßöäüàá-UTF-8!!".encode(), "κόσμε".encode(), b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80",
        b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf", b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd",
        b"\xef\xbf\xbe", b"\xf0\x9f\xbf\xbf", b"\xf3\xbf\xbf\xbe"))],
    *[Case(f"6 bad {n}: {text.hex()[:24]}", [frame(TEXT, text)], end=1007) for n, text in enumerate((
        "κόσμε".encode() + b"\xed\xa0\x80edited", b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80\xbf\x80\xbf\x80",
        b"\xc2", b"\xc2\x20", b"\xe0\xa0", b"\xe0\x80\x80", b"\xf0\x90\x80", b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xf4\x90\x80\x80", b"\xc0\xaf",
        b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xc0\x80", b"\xed\xa0\x80",
        b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xfe", b"\xff", b"\xfe\xfe\xff\xff", b"\xf5\x80\x80\x80",
        bytes(range(0x80, 0xC0)), b"a" * 300 + b"\xff", b"a" * 255 + b"\xc3", b"a" * 254 + b"\xe2\x82"))],
    Case("6.2.1 characters across fragments", [pieces("κόσμε-€-😀 ".encode() * 3, 1)], ["error"]),
    Case("Z18 characters across our buffers", [frame(TEXT, ("€" * 1000).encode())], ["error"]),
    Case("Z18 the same, shifted", [frame(TEXT, ("a" + "😀" * 500).encode())], ["error"]),
    Case("6.3.2 bad, by fragments of 1", [pieces("κόσμε".encode() + b"\xed\xa0\x80edited", 1)], end=1007),
    Case("Z19 a message ends in a character", [frame(TEXT, b"\xe2\x82", fin=False) + frame(CONT, b"")], end=1007),
    Case("Z20 the next message begins anew", [frame(TEXT, "€") + frame(TEXT, b"\xac")], ["error"], 1007),
    Case("6.4.1 bad in the second of three, which never comes",
         [frame(TEXT, "κόσμε", fin=False), frame(CONT, b"\xf4\x90\x80\x80", fin=False)], end=1007, pause=0.05),
    Case("6.4.2 bad byte early in it",
         [frame(TEXT, "κόσμε".encode() + b"\xf4", fin=False), frame(CONT, b"\x90", fin=False)], end=1007, pause=0.05),
    Case("6.4.3 bad within one frame that never ends",
         [frame(TEXT, "κόσμε".encode() + b"\xf4\x90\x80\x80" + b"x" * 100)[:40]], end=1007),
    Case("6.4.4 the same, byte by byte", [frame(TEXT, "κόσμε".encode() + b"\xf4\x90\x80\x80" + b"x" * 100)[:40]], end=1007, chop=1),
    # ---- 7: closing
    Case("7.1.1 a message, then close", [T + close_frame(1000)], [ANSWER], 1000),
    Case("7.1.2 two closes", [close_frame(1000) + close_frame(1000)], end=1000),
    Case("7.1.3 a ping after it", [close_frame(1000) + PG], end=1000),
    Case("7.1.4 a message after it", [close_frame(1000) + T], end=1000),
    Case("7.1.5 within a message", [frame(TEXT, SAY[:30], fin=False) + close_frame(1000) + frame(CONT, SAY[30:])], end=1000),
    Case("7.1.6 a huge message, close, ping", [frame(TEXT, b"B" * (256 << 10)) + close_frame(1000) + PG], end=1009),
    Case("7.3.1 no payload", [frame(CLOSE)], end=1005),
    Case("7.3.2 one byte", [frame(CLOSE, "a")], end=1002),
    Case("7.3.3 a code", [close_frame(1000)], end=1000),
    Case("7.3.4 a reason", [close_frame(1000, "Hello World!")], end=1000),
    Case("7.3.5 a reason of 123", [close_frame(1000, "*" * 123)], end=1000),
    Case("7.3.6 a reason of 124", [close_frame(1000, "*" * 124)], end=1002),
    Case("7.5.1 a reason that is no text", [close_frame(1000, "κόσμε".encode() + b"\xed\xa0\x80edited")], end=1007),
    *[Case(f"7.7 code {code}", [close_frame(code)], end=code)
      for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)],
    *[Case(f"7.9 code {code}", [close_frame(code)], end=1002)
      for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999)],
    *[Case(f"7.13 code {code}", [close_frame(code)], end=1002) for code in (5000, 65535)],
    # ---- 9: sizes; 10: many fragments
    *[Case(f"9.1 text of {n >> 10} KiB", [frame(TEXT, b"*" * n)], end=1009) for n in (1 << 18, 1 << 20)],
    Case("9.3 4 MiB in fragments of 64 KiB", [pieces(b"*" * (4 << 20), 65536)], end=1009),
    Case("9.5 1 MiB by 64", [frame(TEXT, b"*" * (1 << 20))], end=1009, chop=1024),
    Case("Z21 a length of 2^62", [bytes([0x81, 0xFF]) + struct.pack(">Q", 1 << 62) + b"abcdefgh"], end=1009),
    Case("10.1.1 fragments of 1 up to the limit", [pieces(padded(LIMIT), 1)], [ANSWER], chop=1300),
    Case("Z22 too many messages", [T * 400], end=1008, flood=True),
    Case("Z23 too many fragments", [frame(TEXT, "x", fin=False) + frame(CONT, fin=False) * 20000], end=1008, flood=True),
    Case("Z24 too many pings", [PG * 20000], end=1008, flood=True),
]


def read(ws: RawSocket, count: int) -> list[Frame]:
    """So many frames; fewer when the connection ends."""
    got: list[Frame] = []
    for one in ws.frames():
        assert one.fin and not one.rsv and not one.masked and len(one.payload) < (1 << 20), one
        got.append(one)
        if len(got) == count or one.opcode == CLOSE:
            break
    return got


def told(f: Frame) -> Any:
    if f.opcode == PONG:
        return f.payload
    assert f.opcode == TEXT, f
    data = json.loads(f.payload.decode())
    if data["event"] == ANSWER:
        assert data["topic"] == TOPIC
    return data["event"]


@pytest.fixture(name="token", scope="module")
def _token(suite: Suite) -> Iterator[str]:
    yield Person.new(suite.api).access_token


def opened(suite: Suite, token: str, **headers: str | None) -> RawSocket:
    """One after the other, so a place may not be free again yet."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        ws = RawSocket(f"{suite.ws_url}?token={token}", **headers)
        if ws.status != 429 or time.monotonic() > deadline:
            assert ws.status == 101, ws.head
            return ws
        ws.close()
        time.sleep(0.05)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_frames(suite: Suite, token: str, case: Case) -> None:
    with opened(suite, token) as ws:
        for n, part in enumerate(case.send):
            if n and case.pause:
                time.sleep(case.pause)
            ws.send(part, case.chop)
        if case.flood:
            assert [f.code for f in ws.frames() if f.opcode == CLOSE] == [case.end]
            return
        got = read(ws, len(case.want)) if case.want else []
        assert [told(f) for f in got] == case.want
        if case.end == OPEN:
            ws.send(frame(PING, "still there"))
            assert [told(f) for f in read(ws, 1)] == [b"still there"]
            ws.send(close_frame(1000))
        last = read(ws, 2)
        assert last and last[-1].opcode == CLOSE and len(last) == 1, last
        assert last[0].code == (case.end or 1000), last
        last[0].payload[2:].decode()
        # The other side of a closing handshake; then the connection ends, ours to see.
        ws.send(close_frame(last[0].code if last[0].code != 1005 else 1000))
        assert not list(ws.frames())


def test_the_handshake(suite: Suite, token: str) -> None:
    """The RFC's own example (1.3); nothing that was offered is agreed to (9.1, 1.9); the version is told (4.4)."""
    with opened(suite, token, Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==", Sec_WebSocket_Protocol="chat",
                Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits") as ws:
        names = [line.partition(":")[0].lower() for line in ws.head.split("\r\n")[1:]]
        assert sorted(names) == ["connection", "sec-websocket-accept", "upgrade"], ws.head
        assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in ws.head
    with RawSocket(f"{suite.ws_url}?token={token}", Sec_WebSocket_Version="8") as ws:
        assert ws.status == 400 and "Sec-WebSocket-Version: 13" in ws.head, ws.head
