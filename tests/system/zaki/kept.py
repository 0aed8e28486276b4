"""An assistant with files, backups and restores."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from .api import expect
from .patience import wait_until
from .people import Person
from .suite import SLOW, Suite
from .telegram import Bot


class Kept:
    """A person's assistant, its files, and its backups."""

    def __init__(self, suite: Suite, person: Person, bot: Bot) -> None:
        self.suite, self.person, self.api = suite, person, person.api
        self.id = person.running(bot)["id"]

    @property
    def workspace(self) -> Path:
        return self.suite.data(self.person.id, self.id, "workspace")

    def write(self, name: str, data: bytes) -> Path:
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        for p in (path, *path.parents):
            if p == self.workspace:
                break
            os.chown(p, 1000, 1000)
        return path

    def tree(self) -> dict[str, Any]:
        """Everything below the workspace, times and modes included."""
        found: dict[str, Any] = {}
        for path in sorted(self.workspace.rglob("*")):
            st = path.lstat()
            what: Any = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            times = st.st_mtime_ns if stat.S_ISREG(st.st_mode) else 0
            found[str(path.relative_to(self.workspace))] = (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, times, what)
        return found

    def create(self) -> dict[str, Any]:
        return dict(expect(self.api.post(f"/instances/{self.id}/backups", {}), 202))

    def backup(self) -> dict[str, Any]:
        return self.done(self.create()["id"])

    def done(self, backup: str, timeout: float = 60) -> dict[str, Any]:
        def there() -> Any:
            answer = self.api.get(f"/backups/{backup}")
            if answer.status in (503, 504):  # who was asked has just been killed
                return None
            b = expect(answer, 200)
            assert b["status"] not in ("failed", "damaged"), b
            return b if b["status"] == "done" else None
        return dict(wait_until(there, timeout * SLOW, "the backup is done"))

    def restore(self, backup: str, **more: str) -> dict[str, Any]:
        asked = expect(self.api.post(f"/backups/{backup}/restore", more), 202)
        return self.restored(asked["id"])

    def restored(self, restore: str, timeout: float = 60) -> dict[str, Any]:
        def there() -> Any:
            r = expect(self.api.get(f"/restores/{restore}"), 200)
            assert r["status"] != "failed", r
            return r if r["status"] == "done" else None
        return dict(wait_until(there, timeout * SLOW, "the restore is done"))

    def list(self) -> list[dict[str, Any]]:
        return list(expect(self.api.get(f"/instances/{self.id}/backups"), 200)["items"])

    def left_beside(self) -> list[str]:
        return [p.name for p in self.workspace.parent.parent.glob("*.restore-*")]
