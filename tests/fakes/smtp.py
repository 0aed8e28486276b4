#!/usr/bin/python3
"""A mail server that takes every mail and keeps it, for tests: SMTP as RFC 5321 has it.

In a test:  with Smtp() as server: … server.url … server.wait_for("ada@example.org")
By hand:    smtp.py [--host H] [--port P]   prints `ready smtp://H:P` and one JSON line a mail.

Faults: server.reply["RCPT"] = ["451 later", …] answers the next RCPTs like that and then as usual;
an answer of "" says nothing and hangs; "drop" closes the connection. "DONE" is the answer to the
end of the data: with "drop" the mail is taken and the client never hears of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import email
import email.policy
import json
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

LINE_MAX = 64 * 1024
MAIL_MAX = 1 << 20
IDLE_S = 60.0


@dataclass
class Mail:
    """One mail as it came."""

    sender: str
    to: list[str]
    data: bytes
    at: float = field(default_factory=time.time)

    @property
    def message(self) -> EmailMessage:
        parsed = email.message_from_bytes(self.data, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def part(self, kind: str) -> str:
        """The text of its "plain" or "html" part."""
        found = self.message.get_body((kind,))
        assert found is not None, f"no {kind} part"
        return str(found.get_content())

    @property
    def token(self) -> str:
        """Of the link in it; the same in both parts."""
        found = {m for kind in ("plain", "html") for m in re.findall(r"#token=([\w-]+)", self.part(kind))}
        assert len(found) == 1, found
        return found.pop()


class _Drop(Exception):
    """Close the connection now."""


class Session:
    """One connection."""

    def __init__(self, server: "Smtp", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.sender: str | None = None
        self.to: list[str] = []

    async def say(self, command: str, text: str) -> bool:
        """Answers as usual, or as a test ordered; whether the command was accepted."""
        ordered = self.server.reply.get(command)
        answer = ordered.pop(0) if ordered else text
        if answer == "drop":
            raise _Drop
        if answer == "":
            await asyncio.sleep(IDLE_S)
            raise _Drop
        self.writer.write(answer.encode() + b"\r\n")
        await self.writer.drain()
        return answer[:1] in "23"

    async def run(self) -> None:
        await self.say("GREETING", "220 fake.example ESMTP")
        while True:
            line = await asyncio.wait_for(self.reader.readuntil(b"\r\n"), IDLE_S)
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            self.server.commands.append(line.decode("utf-8", "replace").strip())
            if not await self.command(verb.upper(), rest):
                return

    async def command(self, verb: str, rest: str) -> bool:
        if verb in ("EHLO", "HELO"):
            self.sender, self.to = None, []
            await self.say(verb, "250-fake.example\r\n250-8BITMIME\r\n250 SIZE 1048576" if verb == "EHLO"
                           else "250 fake.example")
        elif verb == "MAIL":
            path = re.match(r"FROM:<([^>]*)>", rest, re.I)
            if not path:
                await self.say(verb, "501 FROM:<address>")
            elif await self.say(verb, "250 ok"):
                self.sender, self.to = path[1], []
        elif verb == "RCPT":
            path = re.match(r"TO:<([^>]+)>", rest, re.I)
            if self.sender is None or not path:
                await self.say(verb, "503 MAIL first" if path else "501 TO:<address>")
            elif await self.say(verb, "250 ok"):
                self.to.append(path[1])
        elif verb == "DATA":
            await self.data()
        elif verb == "RSET":
            self.sender, self.to = None, []
            await self.say(verb, "250 ok")
        elif verb == "QUIT":
            await self.say(verb, "221 bye")
            return False
        else:
            await self.say(verb, "250 ok" if verb == "NOOP" else "502 not known here")
        return True

    async def data(self) -> None:
        if self.sender is None or not self.to:
            await self.say("DATA", "503 RCPT first")
            return
        if not await self.say("DATA", "354 go on"):
            return
        lines, size = [], 0
        while (line := await asyncio.wait_for(self.reader.readuntil(b"\r\n"), IDLE_S)) != b".\r\n":
            size += len(line)
            if size > MAIL_MAX:
                raise _Drop
            lines.append(line[1:] if line.startswith(b".") else line)
        mail = Mail(self.sender, self.to, b"".join(lines))
        self.sender, self.to = None, []
        refused = (self.server.reply.get("DONE") or ["2"])[0][:1] in "45"
        if not refused:
            self.server.take(mail)
        await self.say("DONE", "250 taken")


class Smtp:
    """The server, on a thread of its own. `mails` is all that came; lock-free: CPython's lists."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        self.reply: dict[str, list[str]] = {}
        self.on_mail: Any = None
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port}"

    def take(self, mail: Mail) -> None:
        with self._news:
            self.mails.append(mail)
            self._news.notify_all()
        if self.on_mail:
            self.on_mail(mail)

    def to(self, address: str) -> list[Mail]:
        return [m for m in self.mails if address in m.to]

    def wait_for(self, address: str, count: int = 1, timeout: float = 30.0) -> Mail:
        """The count-th mail to this address."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.to(address)) >= count, timeout):
                raise TimeoutError(f"{len(self.to(address))} of {count} mails to {address}")
        return self.to(address)[count - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Session(self, reader, writer).run()
        except (_Drop, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError):
            writer.transport.abort()
        finally:
            writer.close()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=LINE_MAX)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server
        self._server.close()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __enter__(self) -> "Smtp":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with Smtp(options.host, options.port) as server:
        server.on_mail = lambda m: print(json.dumps({"to": m.to, "subject": m.message["Subject"],
                                                     "text": m.part("plain")}), flush=True)
        print(f"ready {server.url}", flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


if __name__ == "__main__":
    sys.exit(main())
