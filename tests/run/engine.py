"""The Docker engine that one run of tests or benchmarks works with."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Iterator

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "deploy" / "local"))

# pylint: disable=wrong-import-position
from stack import Stack  # noqa: E402
from stack.engine_api import Engine  # noqa: E402


@contextlib.contextmanager
def shared_engine(build: Path) -> Iterator[None]:
    """The machine's engine, that of the stack which `make run` started, or one of this run's own: only
    one can run on a machine. DOCKER_HOST says which. Its images stay for the next time."""
    running = Stack.attach(PROJECT / ".zaki")
    if "DOCKER_HOST" not in os.environ and running and running.docker_host and Engine(running.docker_host).alive():
        os.environ["DOCKER_HOST"] = running.docker_host
    given = {"DOCKER_HOST": os.environ["DOCKER_HOST"]} if os.environ.get("DOCKER_HOST") else {}
    stack = Stack(build / "engine", given, parts=("engine",))
    stack.up()
    os.environ["DOCKER_HOST"] = stack.docker_host
    try:
        yield
    finally:
        stack.down()
