"""Many sign-ins at the same moment, from a process of its own, so that whoever measures beside it is
not slowed down by it; each at an account of its own, since guesses at one have a
limit. Run as a program: HOST PORT COUNT EMAIL; prints what came, as JSON."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Came:
    """One answer; status 0: the connection broke."""

    status: int
    retry_after: int
    seconds: float


async def one(host: str, port: int, email: str, start: asyncio.Event) -> tuple[int, int, float]:
    body = json.dumps({"email": email, "password": "not this one"}).encode()
    head = (f"POST /api/auth/login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()
    await start.wait()
    began = asyncio.get_running_loop().time()
    try:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(head + body)
        text = (await asyncio.wait_for(reader.read(), 120)).decode()
        writer.close()
    except (OSError, asyncio.TimeoutError):
        return 0, 0, asyncio.get_running_loop().time() - began
    lines = text.split("\r\n\r\n")[0].split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    status = int(lines[0].split()[1]) if lines[0] else 0
    return status, int(fields.get("retry-after", 0)), asyncio.get_running_loop().time() - began


async def all_at_once(host: str, port: int, count: int, email: str) -> None:
    start = asyncio.Event()
    tasks = [asyncio.create_task(one(host, port, f"{i}-{email}", start)) for i in range(count)]
    await asyncio.sleep(0)
    start.set()
    print(json.dumps(await asyncio.gather(*tasks)))


class Flood:
    """One that is under way."""

    def __init__(self, url: str, count: int, email: str) -> None:
        at = urlsplit(url)
        self.child = subprocess.Popen([sys.executable, str(Path(__file__)), str(at.hostname), str(at.port), str(count), email],
                                      stdout=subprocess.PIPE, text=True)

    def is_over(self) -> bool:
        return self.child.poll() is not None

    def end(self) -> list[Came]:
        out, _ = self.child.communicate(timeout=150)
        return [Came(*row) for row in json.loads(out)]


def stood_in_line(waits: list[float], came: list[Came]) -> str:
    """What is wrong where others' requests, asked one after the other meanwhile, waited behind the sign-ins, the
    last of which waited for all before it; the same machine was as slow for both."""
    slowest, middle = max(c.seconds for c in came), statistics.median(waits)
    if len(waits) >= 3 and middle < slowest / 4:
        return ""
    return f"{len(waits)} answers, of {middle:.3f} s; the slowest sign-in took {slowest:.3f} s"


if __name__ == "__main__":
    asyncio.run(all_at_once(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
