"""Where the stack keeps its things.

    STATE/run.env        addresses for people and tests     STATE/log/NAME.log
    STATE/settings.json  what this stack was started with   STATE/run/NAME.json, lock
    STATE/ports.json     ports, kept over restarts          STATE/data  (DATA_DIR)
    STATE/secrets/       NAME.key, and a folder a daemon    STATE/{postgres,redis,nats,edge,docker}

As root the servers and daemons run as users of their own, who must be able to walk into STATE. Below
/root or a private temporary folder they can't: then STATE becomes a link to a folder in /var/lib.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from .errors import StackError

PROJECT = Path(__file__).resolve().parents[3]
RELOCATED = Path("/var/lib/zaki-local")


class Paths:
    """The folders of one stack; made on first use, with the modes that each needs."""

    def __init__(self, state_dir: str | os.PathLike[str]) -> None:
        self.asked = Path(os.path.abspath(state_dir))
        self.state = self.asked
        self.relocated = False

    def make(self) -> None:
        """Makes what is missing; repeatable."""
        self._relocate_if_unreachable()
        self.state.mkdir(parents=True, exist_ok=True)
        # 0711 where others may pass through but not look around.
        for name, mode in (("", 0o755), ("run", 0o711), ("log", 0o700), ("secrets", 0o711),
                           ("data", 0o711), ("cache", 0o700)):
            folder = self.state / name
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)

    def _relocate_if_unreachable(self) -> None:
        """Only for root: an ordinary user's servers run as that user."""
        if self.asked.is_symlink():
            self.state = Path(os.path.realpath(self.asked))
            self.relocated = True
            return
        if os.geteuid() != 0 or reachable_by_all(self.asked.parent):
            return
        if self.asked.exists() and any(self.asked.iterdir()):
            raise StackError(f"{self.asked} lies in a folder that only its owner can enter",
                             "the servers run as users of their own: move the project, or chmod o+x the folder")
        target = RELOCATED / hashlib.sha256(str(self.asked).encode()).hexdigest()[:12]
        target.mkdir(parents=True, exist_ok=True)
        if self.asked.exists():
            self.asked.rmdir()
        self.asked.parent.mkdir(parents=True, exist_ok=True)
        self.asked.symlink_to(target)
        self.state = target
        self.relocated = True

    def remove(self) -> None:
        """Removes everything, the link included."""
        shutil.rmtree(self.state, ignore_errors=True)
        if self.asked.is_symlink():
            self.asked.unlink()

    def log(self, name: str) -> Path:
        """A part's log."""
        return self.state / "log" / f"{name}.log"

    def run(self, name: str) -> Path:
        """A file of the running stack."""
        return self.state / "run" / name

    def own(self, name: str, uid: int, gid: int, mode: int = 0o700) -> Path:
        """A folder that belongs to one server's user."""
        folder = self.state / name
        folder.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(folder, uid, gid)
        folder.chmod(mode)
        return folder


def reachable_by_all(folder: Path) -> bool:
    """Whether any user may walk into this folder (of those parents that exist)."""
    for step in (folder, *folder.parents):
        if step.exists() and not step.stat().st_mode & 0o001:
            return False
    return True


def write_private(path: Path, text: str, mode: int = 0o600, uid: int = -1, gid: int = -1) -> None:
    """Writes a file that is never readable by others, not even for a moment, and never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as out:
        out.write(text)
        if uid >= 0 and os.geteuid() == 0:
            os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)
    os.replace(temporary, path)
