"""One running suite for tests: the stack library with the settings that tests want.

ZAKI_BIN names the folder of the daemons under test (a release, ASan or TSan build).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Iterator, Mapping

import psycopg2
import psycopg2.extras

PROJECT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(PROJECT / "deploy" / "local"))

# pylint: disable=wrong-import-position
from stack.core import DEFAULT_BIN, Stack  # noqa: E402
from stack.engine_api import Engine, EngineError  # noqa: E402
from stack.process import Record, Spec  # noqa: E402

from .api import Api  # noqa: E402
from .patience import PATIENCE_S, wait_until  # noqa: E402
from .telegram import Telegram  # noqa: E402
from .ws import Socket  # noqa: E402

DAEMONS = ("realtime-fanout", "auth", "instance-manager", "storage-backup", "gateway")
SERVERS = ("nats", "postgres", "redis")
BIN = Path(os.environ.get("ZAKI_BIN") or DEFAULT_BIN).resolve()
BUILD = next((kind for kind in ("asan", "tsan") if kind in BIN.parts), "release")
# Sanitized daemons are slower: what is a promise in seconds is measured on the release build.
SLOW = {"release": 1, "asan": 3, "tsan": 6}[BUILD]

# What a sanitizer writes into a daemon's log.
REPORT = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|LeakSanitizer has|runtime error:|"
                    r"WARNING: ThreadSanitizer|FATAL: ThreadSanitizer|UndefinedBehaviorSanitizer")

SETTINGS = {
    "FAKES": "1",
    "RATE_API_PER_MIN": "100000",
    "RATE_AUTH_PER_MIN": "100000",
    "WS_PER_USER": "10",
    "INSTANCES_FREE": "3",
    "INSTANCE_STOP_GRACE_S": "2",
    "INSTANCE_READY_TIMEOUT_S": "60",
    "ACCOUNT_DELETION_GRACE_S": "0",
    "REAUTH_S": "3600",  # a slow machine is no reason to ask for the password again
    "LOG_LEVEL": "debug",  # the search for secrets reads every line there can be
    "ZAKI_FAULT_PATIENCE": "3",  # a machine that stands still for some seconds is no server that is away (base/fault.h)
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=23",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def stub_image() -> str:
    """The small image that stands in for OpenClaw, built where the engine lacks it."""
    done = subprocess.run([str(PROJECT / "tests" / "fakes" / "stub" / "build.sh")], check=True,
                          stdout=subprocess.PIPE, text=True)
    return done.stdout.split()[-1]


class Suite:
    """A stack of its own: state folder, ports and network are nobody else's."""

    def __init__(self, settings: Mapping[str, str] | None = None, *, image: str = "", supervise: bool = True,
                 parts: tuple[str, ...] = (*SERVERS, "engine", *DAEMONS), bin_dir: Path = BIN) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="zaki-system-"))
        self.folder.chmod(0o755)  # the daemons run as users of their own
        # Read by them, who can't enter the project where it lies in somebody's home.
        known = shutil.copy(PROJECT / "tests" / "run" / "tsan.supp", self.folder)
        Path(known).chmod(0o644)
        self.network = f"{self.folder.name}"
        values = {**SETTINGS, "INSTANCE_NETWORK": self.network,
                  "TSAN_OPTIONS": f"exitcode=66:second_deadlock_stack=1:suppressions={known}", **(settings or {})}
        if "instance-manager" in parts:
            values["OPENCLAW_IMAGE"] = image or stub_image()
        if os.environ.get("DOCKER_HOST"):
            values.setdefault("DOCKER_HOST", os.environ["DOCKER_HOST"])
        self.stack = Stack(self.folder / "state", values, random_ports=True, bin_dir=bin_dir, parts=parts,
                           supervise=supervise)
        self.extra: dict[str, tuple[Spec, Record]] = {}
        self.quiet: tuple[float, Socket] | None = None  # a socket that nobody uses, and since when

    # ---- life ----------------------------------------------------------------------------------

    def up(self) -> "Suite":
        self.stack.up()
        return self

    def destroy(self) -> list[str]:
        """Ends everything; says what was wrong: daemons that had to be killed or left things behind."""
        wrong = []
        for name in list(self.extra):
            self.end_extra(name)
        with contextlib.suppress(Exception):
            self.stack.stop_part("supervisor")
        for name in reversed([d for d in DAEMONS if d in self.stack.parts]):
            how, status = self.stop(name)
            if how == "killed":
                wrong.append(f"{name} did not end at SIGTERM")
            if status not in (0, None):
                wrong.append(f"{name} ended with status {status} at SIGTERM")
        wrong += self.reports()
        self.keep_logs()
        platform, engine = self.platform(), self.engine if self.stack.docker_host else None
        self.stack.destroy()
        if engine:
            wrong += [f"container {c['Names']} is left" for c in self.containers_of(engine, platform)]
            with contextlib.suppress(EngineError):
                engine.json("DELETE", f"/networks/{self.network}")
        wrong += [f"process {line} is left" for line in self.processes()]
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            wrong.append(f"{self.folder} is left")
        return wrong

    def keep_logs(self) -> None:
        """ZAKI_KEEP_LOGS names a folder where the logs of the last run stay."""
        kept = os.environ.get("ZAKI_KEEP_LOGS")
        if kept:
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(self.stack.paths.state / "log", kept)

    def stop(self, name: str) -> tuple[str, int | None]:
        """(how it ended, its exit status where it is a child of this process)."""
        record = self.stack.runner.alive(name)
        children = getattr(self.stack.runner, "_children", {})
        child = children.get(record.pid) if record else None
        how = self.stack.stop_part(name)
        return how, child.wait(5) if child else None

    def processes(self) -> list[str]:
        """Processes of this stack that still run."""
        want = f"ZAKI_STATE={self.stack.paths.state}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and want in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(f"{entry.name} {(entry / 'comm').read_text().strip()}")
        return found

    # ---- doors ---------------------------------------------------------------------------------

    @property
    def env(self) -> dict[str, str]:
        return self.stack.env()

    @property
    def api(self) -> Api:
        return Api(self.env["GATEWAY_URL"])

    @property
    def ws_url(self) -> str:
        return self.env["WS_URL"] + "/ws"

    @property
    def telegram(self) -> Telegram:
        return Telegram(self.env["TELEGRAM_FAKE_URL"])

    @property
    def llm(self) -> Api:
        return Api(self.env["LLM_FAKE_URL"], prefix="")

    @property
    def engine(self) -> Engine:
        return Engine(self.stack.docker_host)

    def socket(self, token: str, **more: Any) -> Socket:
        return Socket.with_token(self.ws_url, token, **more)

    def sql(self, query: str, *args: Any, role: str = "zaki_owner") -> list[dict[str, Any]]:
        """Rows, as the tables' owner unless another role is named."""
        with contextlib.closing(psycopg2.connect(self.stack.database_url(role))) as db:
            db.autocommit = True
            with db.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(query, args)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    def wait_told(self, instance: str) -> None:
        """Until the stream has all that happened to the assistant: a state that can be read may be told later."""
        wait_until(lambda: not self.sql("SELECT 1 FROM event_outbox WHERE key = %s", instance), 30, "its events are told")

    # ---- looking inside ------------------------------------------------------------------------

    def platform(self) -> str:
        """The label that this stack's containers carry."""
        note = self.stack.paths.run("platform")
        return note.read_text().strip() if note.exists() else ""

    @staticmethod
    def containers_of(engine: Engine, platform: str) -> list[dict[str, Any]]:
        return engine.containers([f"zaki.platform={platform}"]) if platform else []

    def containers(self, instance: str = "") -> list[dict[str, Any]]:
        """This stack's containers, running or not; of one instance where it is named."""
        found = self.containers_of(self.engine, self.platform())
        return [c for c in found if not instance or c["Labels"].get("zaki.instance") == instance]

    def data(self, *parts: str) -> Path:
        return Path(self.stack.data_dir(), *parts)

    def log(self, name: str) -> str:
        return self.stack.log(name)

    def logs(self) -> dict[str, str]:
        """Every log of the stack, servers included."""
        folder = self.stack.paths.state / "log"
        return {p.name: p.read_text(errors="replace") for p in sorted(folder.glob("*"))}

    def reports(self) -> list[str]:
        """What sanitizers wrote, a few lines of each."""
        found = []
        for name, text in self.logs().items():
            match = REPORT.search(text)
            if match:
                line = text.rfind("\n", 0, match.start()) + 1
                found.append(f"{name}:\n{text[max(0, line - 1500):line + 4000]}")
        return found

    def pids(self) -> dict[str, int | None]:
        return {name: self.stack.pid(name) for name in DAEMONS}

    # ---- disturbing it -------------------------------------------------------------------------

    @contextlib.contextmanager
    def without(self, name: str) -> Iterator[None]:
        """One part stopped in order, and back."""
        self.stack.stop_part(name)
        try:
            yield
        finally:
            self.stack.start_part(name)

    @contextlib.contextmanager
    def killed(self, name: str) -> Iterator[None]:
        """One part killed with -9, and back."""
        self.stack.kill_part(name, hold=True)
        try:
            yield
        finally:
            self.stack.start_part(name)

    def start_extra(self, kind: str, name: str, env: Mapping[str, str]) -> Record:
        """One more process of a daemon, beside the stack's own, with other settings."""
        spec = self.stack.spec(kind, env)
        spec.name = name
        record = self.stack.runner.start(spec)
        self.stack.runner.wait_ready(spec, record)
        self.extra[name] = (spec, record)
        return record

    def end_extra(self, name: str) -> str:
        del self.extra[name]
        return self.stack.runner.stop(name, timeout=PATIENCE_S)
