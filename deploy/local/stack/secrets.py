"""Secrets: made once, kept in files, handed to each daemon as files that only it can read."""

from __future__ import annotations

import os
import secrets as random_bytes
import shutil
from pathlib import Path

from .paths import Paths, write_private
from .users import User


class Secrets:
    """STATE/secrets: NAME.key are the stack's own; a folder a daemon holds what that one is given."""

    def __init__(self, paths: Paths) -> None:
        self.folder = paths.state / "secrets"

    def get(self, name: str) -> str:
        """The secret of this name, made where it is missing: 64 hex digits, safe in any URL."""
        path = self.folder / f"{name}.key"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            value = random_bytes.token_hex(32)
            write_private(path, value + "\n")
            return value

    def hand_over(self, part: str, user: User, values: dict[str, str]) -> dict[str, str]:
        """Writes values as files for one part; returns NAME_FILE → path for its environment.
        The folder belongs to the part's user alone and is made anew, so nothing old stays."""
        folder = self.folder / part
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        env = {}
        for name, value in values.items():
            write_private(folder / name, value + "\n", 0o400, user.uid, user.gid)
            env[f"{name}_FILE"] = str(folder / name)
        if os.geteuid() == 0:
            os.chown(folder, user.uid, user.gid)
        return env

    def path(self, part: str, name: str) -> Path:
        """Where a handed-over secret lies."""
        return self.folder / part / name
