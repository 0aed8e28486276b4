"""The local stack's own tests: real servers, on free ports, in folders of their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "local"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from stack import SERVERS, Stack, temp_state_dir  # noqa: E402


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder that is gone afterwards, whatever the test did."""
    folder = temp_state_dir()
    yield folder
    stack = Stack.attach(folder) or Stack(folder)
    stack.destroy()


@pytest.fixture(scope="module")
def servers() -> Iterator[Stack]:
    """nats-server, PostgreSQL and Redis, shared by the tests of one file."""
    stack = Stack(temp_state_dir(), random_ports=True, parts=SERVERS)
    try:
        stack.up()
        yield stack
    finally:
        stack.destroy()
