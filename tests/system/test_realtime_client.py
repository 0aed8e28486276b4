"""The frontends' own WebSocket client (frontends/realtime, as built) against the real gateway."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
import time
from typing import Any, Callable

import pytest

from zaki.api import expect
from zaki.patience import PATIENCE_S, patient
from zaki.people import Person
from zaki.suite import PROJECT, Suite
from zaki.telegram import Bot

pytestmark = pytest.mark.disturbs
CLIENT = PROJECT / "frontends" / "realtime"


class Page:
    """The client in a process of its own, and what it says."""

    def __init__(self, suite: Suite, person: Person, instance: str) -> None:
        node = shutil.which("node")
        assert node and (CLIENT / "dist").is_dir(), "make realtime-client builds it"
        env = {"PATH": "/usr/bin:/bin", "API_URL": suite.api.base + suite.api.prefix, "WS_URL": suite.ws_url,
               "TOKEN": person.access_token, "INSTANCE": instance}
        self.child = subprocess.Popen([node, str(CLIENT / "test" / "listen.mjs")], env=env, text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.heard: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stdout
        for line in self.child.stdout:
            self._lines.put(line)

    def until(self, fits: Callable[[dict[str, Any]], bool], timeout: float = PATIENCE_S) -> dict[str, Any]:
        deadline = time.monotonic() + patient(timeout)
        while True:
            try:
                said = json.loads(self._lines.get(timeout=max(0.01, deadline - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"not heard within {timeout} s; heard: {self.heard[-20:]}") from None
            self.heard.append(said)
            if fits(said):
                return dict(said)

    def until_status(self, status: str) -> None:
        if self.statuses()[-1:] != [status]:
            self.until(lambda s: s.get("event") == "instance.status" and s["data"]["status"] == status)

    def statuses(self) -> list[str]:
        """Those heard of, one of each kind in a row."""
        found: list[str] = []
        for said in self.heard:
            if said.get("event") == "instance.status" and said["data"]["status"] not in found[-1:]:
                found.append(said["data"]["status"])
        return found

    def end(self) -> int:
        assert self.child.stdin
        self.child.stdin.close()
        try:
            return self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait(5)


def test_it_hears_all_through_a_crash_of_the_gateway(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot)["id"]
    suite.wait_told(instance)
    page = Page(suite, ada, instance)
    try:
        page.until(lambda s: s.get("state") == "running")
        ada.act(instance, "stop")
        page.until_status("stopped")
        ada.act(instance, "start")
        page.until_status("starting")
        with suite.killed("gateway"):
            page.until(lambda s: s.get("status") == "waiting")
        page.until_status("running")
        assert page.statuses() == ["stopping", "stopped", "starting", "running"], page.heard
        numbers = [int(s["position"].split(":")[1]) for s in page.heard if "position" in s]
        assert numbers == sorted(set(numbers)), "in order, and none twice"
        assert len([s for s in page.heard if "state" in s]) == 1, "it resumed"
        expect(ada.api.delete(f"/instances/{instance}"), 202)
        page.until(lambda s: "ended" in s)
    finally:
        status = page.end()
    assert status == 0


def test_it_stops_where_nobody_is_signed_in(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot)["id"]
    page = Page(suite, ada, instance)
    try:
        page.until(lambda s: "state" in s)
        expect(ada.api.post("/auth/logout", {}), 200)
        page.until(lambda s: s.get("status") == "signed_out")
    finally:
        page.end()
