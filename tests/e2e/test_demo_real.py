"""The demo against a stack of its own with the real OpenClaw, once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).with_name("demo.py")


def test_the_demo_with_the_real_openclaw() -> None:
    done = subprocess.run([sys.executable, str(DEMO), "--private"], timeout=1200, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout)
    if os.environ.get("ZAKI_KEEP_LOGS"):
        Path(os.environ["ZAKI_KEEP_LOGS"] + ".txt").write_text(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "All 2" in done.stdout or "All 3" in done.stdout
