"""The suite's own daemons: program, user, settings."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from .errors import StackError
from .paths import Paths, reachable_by_all
from .process import Record, Runner, Spec
from .secrets import Secrets
from .settings import DAEMONS, SECRET, Settings
from .users import daemon_user

# realtime-fanout first: it makes the stream that the others' events go into.
ORDER = tuple(DAEMONS)
assert ORDER[0] == "realtime-fanout"


def program(bin_dir: Path, paths: Paths, name: str) -> Path:
    """Where the daemon's program lies; copied into the state folder where its user could not reach
    the project."""
    source = bin_dir / name
    if not source.is_file():
        raise StackError(f"{source} is not built", "run make")
    if os.geteuid() != 0 or reachable_by_all(source.parent):
        return source
    folder = paths.state / "bin"
    folder.mkdir(mode=0o755, exist_ok=True)
    copy = folder / name
    temporary = folder / f".{name}.{os.getpid()}"
    shutil.copyfile(source, temporary)
    temporary.chmod(0o755)
    temporary.replace(copy)
    return copy


def spec(name: str, *, bin_dir: Path, paths: Paths, secrets: Secrets, runner: Runner, settings: Settings,
         computed: dict[str, str], prefix: list[str], extra_env: dict[str, str]) -> Spec:
    """`computed` is what the stack itself knows (addresses, generated secrets); what a person set
    wins over it; what neither gives is the daemon's own default."""
    user = daemon_user(name)
    env: dict[str, str] = dict(settings.passed)
    sealed: dict[str, str] = {}
    for key in DAEMONS[name]:
        value = settings.get(key) or computed.get(key, "")
        if key in ("NATS_URL", "DATABASE_URL"):  # a user or role of its own, so the part's value
            value = computed[key]
        if value:
            (sealed if key in SECRET else env)[key] = value
    env |= secrets.hand_over(name, user, sealed)
    env |= extra_env

    def ready(record: Record) -> bool:
        return logged_ready(runner.log_since(record))

    argv = [*prefix, str(program(bin_dir, paths, name))]
    return Spec(name=name, argv=argv, user=user, env=env, ready=ready, ready_timeout=60,
                address=f"127.0.0.1:{computed['PORT']} and {computed['WS_PORT']}" if name == "gateway" else "",
                stop_timeout=15)


def logged_ready(log: str) -> bool:
    """Whether the log has the line that a daemon writes once it serves."""
    for line in log.splitlines():
        if '"ready"' not in line:
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("message") == "ready":
            return True
    return False
