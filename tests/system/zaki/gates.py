"""Gateways of a test's own, beside the suite's, with other settings."""

from __future__ import annotations

import contextlib
import secrets
import socket
from dataclasses import dataclass
from typing import Iterator

from .api import Api
from .suite import Suite


@dataclass
class Gate:
    """One gateway: its two doors, and its process."""

    name: str
    api: Api
    ws_url: str
    pid: int


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    found = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return found


@contextlib.contextmanager
def gates(suite: Suite, count: int, **env: str) -> Iterator[list[Gate]]:
    """So many of them, which share the suite's bus, Redis and services."""
    ports, made = free_ports(2 * count), []
    try:
        for rest, ws in zip(ports[::2], ports[1::2]):
            name = f"gateway-{secrets.token_hex(3)}"
            record = suite.start_extra("gateway", name, {"PORT": str(rest), "WS_PORT": str(ws), "METRICS_PORT": "0", **env})
            made.append(Gate(name, Api(f"http://127.0.0.1:{rest}"), f"ws://127.0.0.1:{ws}/ws", record.pid))
        yield made
    finally:
        for gate in made:
            suite.end_extra(gate.name)
