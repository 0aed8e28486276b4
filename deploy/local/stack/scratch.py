"""State folders for tests."""

from __future__ import annotations

import tempfile
from pathlib import Path


def temp_state_dir(prefix: str = "zaki-test-") -> Path:
    """A fresh folder that the servers' users can walk into (pytest's own tmp_path is private, and
    root's servers don't run as root). Stack.destroy() removes it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    folder.chmod(0o755)
    return folder
