"""Ports: the ones people know where they are free, others where not, the same again next time."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

from .errors import StackError

# name → where it is looked for first. PUBLIC_PORT, PORT, WS_PORT and METRICS_PORT are the documented ones; the
# servers' lie off the usual numbers, where a machine's own PostgreSQL or Redis may already be.
DEFAULTS = {
    "PUBLIC_PORT": 8080, "PORT": 3000, "WS_PORT": 3001, "METRICS_PORT": 9100,
    "NATS_PORT": 14222, "POSTGRES_PORT": 15432, "REDIS_PORT": 16379,
    "TELEGRAM_FAKE_PORT": 18081, "LLM_FAKE_PORT": 18082,
}
# Below the kernel's range for outgoing connections, which would take them at any moment.
RANDOM_RANGE = range(10000, 20000)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now. `localhost` is ::1 as well: nobody else's there."""
    if host == "127.0.0.1" and _can_bind(socket.AF_INET6, "::1", 0) and not _can_bind(socket.AF_INET6, "::1", port):
        return False
    return _can_bind(socket.AF_INET, host, port)


def _can_bind(family: int, host: str, port: int) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens on a port: `nginx (pid 12)`, or '' where it can't be known."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            f = line.split()
            if f[3] == "0A" and int(f[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{f[9]}]")
    for proc in Path("/proc").iterdir():
        if not proc.name.isdigit():
            continue
        try:
            if any(str(fd.readlink()) in inodes for fd in (proc / "fd").iterdir()):
                return f"{(proc / 'comm').read_text().strip()} (pid {proc.name})"
        except OSError:
            continue
    return ""


class Ports:
    """The ports of one stack, remembered in ports.json."""

    def __init__(self, file: Path, explicit: dict[str, int], use_random: bool = False) -> None:
        self.file = file
        self.explicit = explicit
        self.use_random = use_random
        self.chosen: dict[str, int] = {}
        try:
            self.chosen = {k: int(v) for k, v in json.loads(file.read_text()).items()}
        except (OSError, ValueError):
            pass

    def get(self, name: str) -> int:
        """The port as chosen before, or as it would be."""
        return self.explicit.get(name) or self.chosen.get(name) or DEFAULTS[name]

    def claim(self, name: str, host: str = "127.0.0.1", may_move: bool = True) -> tuple[int, str]:
        """(port, note) for a part that is about to start; the note says why it is another one.
        A port that a person named is taken as it is or refused, never replaced. may_move=False: nor is
        one that was chosen, since other parts run and know it."""
        fixed = self.explicit.get(name) or (0 if may_move else self.chosen.get(name))
        if fixed:
            if not is_free(fixed, host):
                who = holder(fixed)
                raise StackError(f"{name}={fixed} is busy" + (f": {who} listens there" if who else ""),
                                 "end that, or set another port" if name in self.explicit else
                                 "end that, or let the stack choose another port by `down` and `up`")
            return self._keep(name, fixed), ""
        first = self.chosen.get(name) or (0 if self.use_random else DEFAULTS[name])
        if first and is_free(first, host):
            return self._keep(name, first), ""
        taken = set(self.chosen.values()) - {first}
        if self.use_random:
            candidates = random.sample(RANDOM_RANGE, 500)
        else:
            candidates = list(range(DEFAULTS[name], DEFAULTS[name] + 200))
        for port in candidates:
            if port not in taken and is_free(port, host):
                who = holder(first) if first else ""
                note = f"port {first} is busy{f' ({who})' if who else ''}, so {port}" if first else ""
                return self._keep(name, port), note
        raise StackError(f"no free port for {name} near {first}")

    def _keep(self, name: str, port: int) -> int:
        self.chosen[name] = port
        self.file.write_text(json.dumps(self.chosen, indent=1, sort_keys=True))
        return port
