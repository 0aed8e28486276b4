"""The operator's command line, against a running suite."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Mapping

from .suite import BIN, SLOW, Suite


@dataclass
class Said:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


def zakictl(suite: Suite, *argv: str, timeout: float = 60, env: Mapping[str, str] | None = None) -> Said:
    done = subprocess.run([str(BIN / "zakictl"), *argv], env={**os.environ, **suite.env, **(env or {})}, text=True,
                          check=False, timeout=timeout * SLOW, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return Said(done.returncode, done.stdout, done.stderr)
