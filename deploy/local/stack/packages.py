"""Debian packages that only some machines need, installed when it turns out that this one does."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .errors import StackError

SCRIPT = Path(__file__).resolve().parents[1] / "install"


def install(group: str) -> None:
    """Runs deploy/local/install, which says what it installs and does nothing where all is there."""
    if subprocess.run([str(SCRIPT), group], stdin=subprocess.DEVNULL, check=False).returncode:
        raise StackError(f"what is needed could not be installed (deploy/local/install {group})",
                         "install it by hand, then start again")
