"""The demo against a stack of its own with the real OpenClaw, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).with_name("demo.py")


def test_the_demo_with_the_real_openclaw() -> None:
    done = subprocess.run([sys.executable, str(DEMO), "--private"], timeout=600, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "All 2" in done.stdout or "All 3" in done.stdout
