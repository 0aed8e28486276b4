"""Starting, recognising and ending processes.

A pid alone is no identity: it is reused. A record holds pid, start time and boot, and only a process
that matches all three is ever signalled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Callable

from .errors import StackError
from .paths import Paths, write_private
from .users import User, wrap

LOG_MAX = 16 << 20


@dataclass
class Spec:
    """How one part is run. `ready` is asked with the record until it says yes."""

    name: str
    argv: list[str]
    user: User
    ready: Callable[["Record"], bool]
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    address: str = ""
    ready_timeout: float = 30.0
    stop_signal: int = signal.SIGTERM
    stop_timeout: float = 10.0
    bind_low: bool = False
    confined: bool = True  # the container engine is not


@dataclass
class Record:
    """A started process, as kept in run/NAME.json."""

    name: str
    pid: int
    start: int
    boot: str
    log_offset: int
    address: str = ""


def boot_id() -> str:
    """Changes with each start of the machine; start times count from there."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def stat(pid: int) -> tuple[str, int] | None:
    """(state, start time in ticks), or None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2:].split()  # the name before may hold anything
    return fields[0], int(fields[19])


def has_ended(pid: int, state: str) -> bool:
    """A killed process' first thread is a zombie while the others still end: until the last has, its
    ports are taken and its files open (proc(5), /proc/PID/task)."""
    if state not in "ZX":
        return False
    try:
        return len(os.listdir(f"/proc/{pid}/task")) <= 1
    except OSError:
        return True


class Runner:
    """Processes of one stack."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def record(self, name: str) -> Record | None:
        """What was last started under this name; says nothing about whether it lives."""
        try:
            return Record(**json.loads(self.paths.run(f"{name}.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def alive(self, name: str) -> Record | None:
        """The record, where its very process still runs."""
        record = self.record(name)
        return record if record and self.is_running(record) else None

    def is_running(self, record: Record) -> bool:
        """Same pid, same start, same boot, and not all of its threads have ended."""
        child = self._children.get(record.pid)
        if child and child.poll() is not None:
            del self._children[record.pid]
        found = stat(record.pid)
        return (found is not None and found[1] == record.start and not has_ended(record.pid, found[0])
                and record.boot == boot_id())

    def is_outdated(self, record: Record) -> bool:
        """Whether its program was replaced since it started."""
        try:
            return os.readlink(f"/proc/{record.pid}/exe").endswith(" (deleted)")
        except OSError:
            return False

    def start(self, spec: Spec) -> Record:
        """Starts it in a session of its own, so that no Ctrl-C and no closed terminal reaches it."""
        log = self.paths.log(spec.name)
        if log.exists() and log.stat().st_size > LOG_MAX:
            log.replace(log.with_suffix(".log.1"))
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
               "HOME": "/nonexistent", **spec.env,
               # How a process whose record was lost is found again (orphans()).
               "ZAKI_STATE": str(self.paths.state), "ZAKI_PART": spec.name}
        argv = wrap(spec.argv, spec.user, spec.bind_low) if spec.confined else spec.argv
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            offset = os.fstat(fd).st_size
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=fd, stderr=fd, env=env,
                                     cwd=spec.cwd, start_new_session=True)
        except OSError as e:
            raise StackError(f"{spec.name} can't be started: {e}") from e
        finally:
            os.close(fd)
        self._children[child.pid] = child
        found = stat(child.pid)
        record = Record(spec.name, child.pid, found[1] if found else 0, boot_id(), offset, spec.address)
        write_private(self.paths.run(f"{spec.name}.json"), json.dumps(asdict(record)))
        return record

    def wait_ready(self, spec: Spec, record: Record) -> None:
        """Returns once it serves; a part that ends or takes too long is an error with its last words."""
        deadline = time.monotonic() + spec.ready_timeout
        pause = 0.005
        while not spec.ready(record):
            if not self.is_running(record):
                raise StackError(f"{spec.name} ended while it started\n{self.last_words(record)}")
            if time.monotonic() > deadline:
                raise StackError(f"{spec.name} is not ready after {spec.ready_timeout:.0f} s\n"
                                 f"{self.last_words(record)}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    def last_words(self, record: Record, lines: int = 8) -> str:
        """The end of its log since this start, indented."""
        text = self.log_since(record).strip().splitlines()[-lines:]
        path = self.paths.log(record.name)
        return "\n".join(["", *(f"    {line[:400]}" for line in text), f"  its log: {path}"])

    def log_since(self, record: Record) -> str:
        """What it logged since it was started."""
        try:
            with open(self.paths.log(record.name), "rb") as log:
                log.seek(record.log_offset)
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def stop(self, name: str, sig: int = signal.SIGTERM, timeout: float = 10.0) -> str:
        """Asks it to end, then makes it. Says how: '', 'stopped' or 'killed'."""
        record = self.alive(name)
        how = ""
        if record:
            self.signal(record, sig)
            how = "stopped" if self.gone(record, timeout) else "killed"
            if how == "killed":
                self.signal(record, signal.SIGKILL)
                self.gone(record, 5.0)
        self.paths.run(f"{name}.json").unlink(missing_ok=True)
        return how

    def kill(self, name: str, sig: int = signal.SIGKILL) -> int:
        """Ends it without warning; returns its pid. The record stays, as after a crash."""
        record = self.alive(name)
        if not record:
            raise StackError(f"{name} is not running")
        self.signal(record, sig)
        if sig == signal.SIGKILL and not self.gone(record, 10.0):
            raise StackError(f"{name} (pid {record.pid}) did not end")
        return record.pid

    def signal(self, record: Record, sig: int) -> None:
        """By pidfd: between the check and the signal the pid can't pass to somebody else."""
        try:
            fd = os.pidfd_open(record.pid)
        except ProcessLookupError:
            return
        try:
            if self.is_running(record):
                signal.pidfd_send_signal(fd, sig)
        except ProcessLookupError:
            pass
        finally:
            os.close(fd)

    def gone(self, record: Record, timeout: float) -> bool:
        """Waits for its end; whether it came within the time (seconds)."""
        deadline = time.monotonic() + timeout
        while self.is_running(record):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def end_orphans(self, name: str, program: str) -> int:
        """Ends processes of this stack and part that no record names: a command that was killed
        between starting one and writing its record leaves such. Returns how many."""
        ended = 0
        record = self.record(name)
        for pid in orphans(self.paths.state, name, program):
            found = stat(pid)
            if not found or (record and (record.pid, record.start) == (pid, found[1])):
                continue
            stray = Record(name, pid, found[1], boot_id(), 0)
            self.signal(stray, signal.SIGTERM)
            if not self.gone(stray, 5.0):
                self.signal(stray, signal.SIGKILL)
                self.gone(stray, 5.0)
            ended += 1
        return ended


def orphans(state: Path, name: str, program: str) -> list[int]:
    """Pids whose environment says that this stack started them as this part."""
    want = {f"ZAKI_STATE={state}".encode(), f"ZAKI_PART={name}".encode()}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            env = set((entry / "environ").read_bytes().split(b"\0"))
            argv0 = (entry / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
        except OSError:
            continue
        if want <= env and Path(argv0).name == program:
            found.append(int(entry.name))
    return found
