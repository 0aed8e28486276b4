"""Starts the fakes as a user would: as processes, on ports of their own choice."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
PATIENCE_S = 90.0  # for what must come: the machine may stand still


class Fake:
    """A running fake and a small client for it."""

    def __init__(self, script: str, *arguments: str, log: Path) -> None:
        self.log_path = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen([sys.executable, str(HERE / script), *arguments],
                                            stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout
        line = self.process.stdout.readline().split()
        assert line[:1] == ["ready"], log.read_text()
        self.urls = line[1:]
        self.url = self.urls[0]

    def request(self, method: str, path: str, body: Any = None,
                headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and decoded JSON; a body that is not bytes is sent as JSON."""
        status, _, data = self.raw(method, path, body, headers)
        return status, json.loads(data)

    def raw(self, method: str, path: str, body: Any = None,
            headers: dict[str, str] | None = None) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=PATIENCE_S)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, value = self.request("GET", path)
        assert status == 200, value
        return value

    def post(self, path: str, body: Any = None) -> Any:
        status, value = self.request("POST", path, {} if body is None else body)
        assert status in (200, 201), value
        return value

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_S)


@pytest.fixture
def telegram(tmp_path: Path) -> Iterator[Fake]:
    fake = Fake("telegram.py", log=tmp_path / "telegram.log")
    yield fake
    assert fake.stop() == 0


@pytest.fixture(scope="session")
def telegram_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    fake = Fake("telegram.py", log=tmp_path_factory.mktemp("telegram") / "log")
    yield fake
    assert fake.stop() == 0


@pytest.fixture
def shared_telegram(telegram_process: Fake) -> Fake:
    """One process for the many small cases that need no fresh one."""
    telegram_process.post("/_control/reset")
    return telegram_process


@pytest.fixture(scope="session")
def llm_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    fake = Fake("llm.py", log=tmp_path_factory.mktemp("llm") / "log")
    yield fake
    assert fake.stop() == 0


@pytest.fixture
def llm(llm_process: Fake) -> Fake:
    llm_process.post("/_control/reset")
    return llm_process
