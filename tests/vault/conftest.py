"""The backup store and format from outside: real programs, real S3, a reader that is written anew."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = Path(os.environ.get("ZAKI_BIN") or ROOT / "build" / "asan" / "bin") / "bench-backup"
USER = "11111111-1111-4111-8111-111111111111"
INSTANCE = "33333333-3333-4333-8333-333333333333"
SECRET = "0123456789abcdef0123456789abcdef"
KEYS = {"R2_ACCESS_KEY_ID": "S3RVER", "R2_SECRET_ACCESS_KEY": "S3RVER"}


@dataclass
class Answer:
    """What the tool said: a code where it failed, else figures."""

    code: str
    text: str
    figures: dict[str, int]


@dataclass
class Place:
    """A folder with an instance's files, and the tool run against some store."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def instance(self) -> Path:
        return self.data / USER / INSTANCE

    def run(self, *argv: str, **env: str) -> Answer:
        done = subprocess.run([str(TOOL), *argv], env={**os.environ, **KEYS, **env}, text=True, timeout=240,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode == 0:
            return Answer("", "", json.loads(done.stdout))
        if done.returncode == -9:
            return Answer("killed", "", {})
        assert done.returncode == 1, done.stderr
        code, _, text = done.stderr.partition(": ")
        return Answer(code, text, {})

    def engine(self, verb: str, url: str, backup: str, *more: str, **env: str) -> Answer:
        return self.run(verb, url, str(self.data), str(self.folder / "scratch"), backup, *more, **env)

    def restored_equals(self, url: str, backup: str) -> None:
        target = str(uuid.uuid4())
        said = self.engine("restore", url, backup, target)
        assert said.code == "", said.text
        subprocess.run(["diff", "-r", str(self.instance / "workspace"), str(self.data / USER / target / "workspace")],
                       check=True)


@pytest.fixture
def place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="zaki-vault-", dir="/var/tmp"))
    here = Place(folder)
    (here.instance / ".openclaw").mkdir(parents=True)
    (here.instance / "workspace").mkdir()
    yield here
    shutil.rmtree(folder)
