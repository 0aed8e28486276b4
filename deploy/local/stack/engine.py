"""Which container engine the assistants run on: the one named, the machine's, or one of our own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import packages
from .engine_api import Engine
from .errors import StackError
from .paths import Paths
from .process import Record, Spec, stat
from .users import User

MACHINE_SOCKET = Path("/var/run/docker.sock")
PLATFORM_LABEL = "zaki.platform"


class EngineChoice:
    """Finds the engine; `own` says that the stack has to run one."""

    def __init__(self, paths: Paths, docker_host: str) -> None:
        self.paths = paths
        self.named = docker_host
        self.socket = paths.state / "docker" / "docker.sock"

    def find(self) -> tuple[str, bool]:
        """(DOCKER_HOST, own). Raises with what to do where there is none and none can be started."""
        if self.named:
            if not Engine(self.named).alive():
                raise StackError(f"the Docker engine at DOCKER_HOST={self.named} does not answer",
                                 "start it, or unset DOCKER_HOST")
            return self.named, False
        own = f"unix://{self.socket}"
        if self.socket.exists() and Engine(own).alive():
            return own, True
        if MACHINE_SOCKET.exists():
            machine = f"unix://{MACHINE_SOCKET}"
            if Engine(machine).alive():
                return machine, False
            if not os.access(MACHINE_SOCKET, os.W_OK):
                raise StackError(f"this user may not use the Docker engine at {MACHINE_SOCKET}",
                                 "add the user to the group docker (usermod -aG docker NAME), then sign in anew")
        if os.geteuid() != 0:
            raise StackError("no Docker engine runs on this machine, and only root can start one",
                             "start Docker, set DOCKER_HOST, or run this as root")
        if not shutil.which("dockerd"):
            packages.install("engine")
            if _comes_up(MACHINE_SOCKET):  # Debian's package starts it where there is systemd
                return f"unix://{MACHINE_SOCKET}", False
        if len(str(self.socket)) > 107:
            raise StackError(f"the path {self.socket} is too long for a socket", "use a shorter state folder")
        return own, True

    def spec(self, driver: str) -> Spec:
        """An engine of our own. Not confined: it makes namespaces and mounts for a living.

        A dockerd that was killed leaves its pid file, and with a reused pid the next one would not
        start; we know by our record whether ours lives, so the file goes.
        """
        folder = self.paths.state / "docker"
        folder.mkdir(mode=0o711, exist_ok=True)
        (folder / "dockerd.pid").unlink(missing_ok=True)
        self._end_stale_containerd(folder / "exec" / "containerd" / "containerd.pid")
        argv = [shutil.which("dockerd") or "dockerd", "--host", f"unix://{self.socket}",
                "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"),
                "--pidfile", str(folder / "dockerd.pid"), "--storage-driver", driver,
                "--log-level", "warn", "--group", "root"]
        return Spec(name="engine", argv=argv, user=User("root", 0, 0), confined=False, ready=self._ready,
                    address=f"unix://{self.socket}", ready_timeout=60, stop_signal=signal.SIGTERM,
                    stop_timeout=40)

    def _end_stale_containerd(self, pid_file: Path) -> None:
        """dockerd runs a containerd of its own, which ends with it, but not at once: one that is just
        ending is taken for alive by the next dockerd, which then waits for it in vain. The containers
        themselves don't hang on it."""
        try:
            pid = int(pid_file.read_text())
            if Path(f"/proc/{pid}/comm").read_text().strip() == "containerd":
                os.kill(pid, signal.SIGTERM)
                deadline = time.monotonic() + 10
                while (found := stat(pid)) and found[0] not in "ZX" and time.monotonic() < deadline:
                    time.sleep(0.02)
        except (OSError, ValueError):
            pass  # no file, or no such process any more
        pid_file.unlink(missing_ok=True)

    def driver(self, refused: bool = False) -> str:
        """overlay2; vfs (slow, but works on any file system) where that was refused once. The choice
        is kept: another driver would not see the images of the first."""
        note = self.paths.state / "docker" / "driver"
        if refused:
            note.write_text("vfs")
        return note.read_text().strip() if note.exists() else "overlay2"

    def unmount(self) -> None:
        """An engine leaves its data folder mounted onto itself, and one that was killed its containers'
        file systems: then nobody could remove the state folder."""
        lines = Path("/proc/self/mounts").read_text().splitlines()
        below = str(self.paths.state / "docker") + "/"
        for point in reversed([line.split()[1] for line in lines]):
            if point.startswith(below):
                subprocess.run(["umount", point], check=False, capture_output=True)

    def _ready(self, record: Record) -> bool:
        return Engine(f"unix://{self.socket}").alive(timeout=2)


def _comes_up(sock: Path, seconds: float = 5.0) -> bool:
    """Whether an engine answers there soon."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if sock.exists() and Engine(f"unix://{sock}").alive():
            return True
        time.sleep(0.2)
    return False


def stop_containers(engine: Engine, platform: str, grace: int = 10) -> int:
    """Stops this platform's containers, all at once. What is wanted stays in the database, so the
    next start brings them back. Returns how many were running."""
    running = engine.containers([f"{PLATFORM_LABEL}={platform}"], everything=False)
    if not running:
        return 0

    def stop(cid: str) -> None:
        engine.call("POST", f"/containers/{cid}/stop", {"t": grace}, timeout=grace + 30)

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(stop, [c["Id"] for c in running]))
    return len(running)


def remove_containers(engine: Engine, platform: str) -> int:
    """Removes this platform's containers, as they are: for a stack whose data goes too."""
    found = engine.containers([f"{PLATFORM_LABEL}={platform}"])
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(engine.remove, [c["Id"] for c in found]))
    return len(found)
