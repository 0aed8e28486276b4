"""Later versions of the stub, and what an upgrade to one does to an assistant."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

from .suite import BIN, Suite, stub_image


def next_image(how: str) -> str:
    """The stub as a later version that serves ("ok"), never becomes ready ("hang") or ends ("exit")."""
    base = stub_image()
    image = f"{base}-{how}"
    subprocess.run(["docker", "build", "-q", "-t", image, "-"], check=True, stdout=subprocess.DEVNULL, text=True,
                   env={**os.environ, "DOCKER_BUILDKIT": "0"}, input=f"FROM {base}\nENV OPENCLAW_STUB_NEXT={how}\n")
    return image


def want(suite: Suite, image: str, **more: str) -> None:
    """Restarts instance-manager with another OPENCLAW_IMAGE."""
    suite.stack.restart_part("instance-manager", {"OPENCLAW_IMAGE": image, **more})


def zakictl(suite: Suite, *args: str, seconds: float = 120) -> "subprocess.CompletedProcess[str]":
    """The operator's command line, as `zakictl instances …`."""
    env = {"PATH": "/usr/bin:/bin", "ZAKICTL_NATS_URL": suite.env["ZAKICTL_NATS_URL"]}
    return subprocess.run([str(BIN / "zakictl"), "instances", *args], env=env, capture_output=True, text=True,
                          check=False, timeout=seconds)


def zakictl_begin(suite: Suite, *args: str) -> "subprocess.Popen[str]":
    """The same, not waited for."""
    env = {"PATH": "/usr/bin:/bin", "ZAKICTL_NATS_URL": suite.env["ZAKICTL_NATS_URL"]}
    return subprocess.Popen([str(BIN / "zakictl"), "instances", *args], env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def image_of(suite: Suite, instance: str) -> str:
    """What the instance's one container is made from."""
    (box,) = suite.containers(instance)
    return str(suite.engine.json("GET", f"/containers/{box['Id']}/json")["Config"]["Image"])


def tree(folder: Path) -> dict[str, Any]:
    """Everything of an assistant: contents, modes, owners, links, and the files' times; but for the lease
    that each of its starts takes."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.name != "stub-owner"):
        st = path.lstat()
        what: Any = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (st.st_mode, st.st_uid, st.st_gid, what,
                                                st.st_mtime_ns if stat.S_ISREG(st.st_mode) else 0)
    return found


class Events:
    """The engine's events of one instance's containers; how many ran at once, at most."""

    def __init__(self, suite: Suite, instance: str) -> None:
        filters = json.dumps({"type": ["container"], "label": [f"zaki.instance={instance}"]})
        self.running = {box["Id"] for box in suite.containers(instance) if box["State"] == "running"}
        self.most = len(self.running)
        self.seen: list[str] = []
        self.answer = suite.engine.call("GET", "/events", {"filters": filters}, timeout=600)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self.answer:
                event = json.loads(line)
                self.seen.append(event["Action"])
                if event["Action"] == "start":
                    self.running.add(event["Actor"]["ID"])
                elif event["Action"] in ("die", "destroy"):
                    self.running.discard(event["Actor"]["ID"])
                self.most = max(self.most, len(self.running))

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *rest: object) -> None:
        raw = getattr(self.answer.fp, "raw", None)
        with contextlib.suppress(OSError, AttributeError):
            raw._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]  # pylint: disable=protected-access
        self.thread.join(10)
