"""Who a part runs as.

As root: each server as the user that its Debian package made, each daemon as a system user of its
own, so that one can't read another's secrets. Not as root: all as the person who started the stack.
"""

from __future__ import annotations

import os
import pwd
import resource
import subprocess
import time
from dataclasses import dataclass, replace

from .errors import StackError

# These two have more than a user of their own: they give folders to uid 1000, and read, write and
# remove what belongs to it. The engine's socket takes no more than that. storage-backup keeps uid 0:
# SQLite gives the files that it makes beside a database to the database's owner only as root.
DATA_CAPS = ("chown", "dac_override", "dac_read_search", "fowner")


@dataclass(frozen=True)
class User:
    """A user, and the capabilities that are left to it (None: no limit beyond the kernel's)."""

    name: str
    uid: int
    gid: int
    caps: tuple[str, ...] = ()


def me() -> User:
    """The person who started the stack."""
    return User("", os.geteuid(), os.getegid())


def server_user(name: str) -> User:
    """The user of a Debian package; as root it has to exist, since these servers must not be root."""
    if os.geteuid() != 0:
        return me()
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return _system_user(f"zaki-{name}")
    return User(name, entry.pw_uid, entry.pw_gid)


def daemon_user(name: str) -> User:
    """A daemon's own system user, made at the first start as root."""
    if os.geteuid() != 0:
        return me()
    if name == "storage-backup":
        return User("root", 0, 0, DATA_CAPS)
    user = _system_user(f"zaki-{name}")
    return replace(user, caps=DATA_CAPS) if name == "instance-manager" else user


def _system_user(name: str) -> User:
    """Finds or makes it. useradd gives up where another stack's holds its lock: then again."""
    said = ""
    for _ in range(50):
        try:
            entry = pwd.getpwnam(name)
            return User(name, entry.pw_uid, entry.pw_gid)
        except KeyError:
            argv = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent",
                    "--shell", "/usr/sbin/nologin", "--user-group", name]
            said = subprocess.run(argv, capture_output=True, text=True, check=False).stderr
            time.sleep(0.1)
    raise StackError(f"the system user {name} can't be made: {said.strip()}")


def wrap(argv: list[str], user: User, bind_low: bool = False) -> list[str]:
    """argv with what it must not have taken away: privileges, core dumps. Each step execs the next,
    so the process keeps the pid that was recorded."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = hard if 0 < hard < 65536 else 65536
    front = ["prlimit", "--core=0:0", f"--nofile={soft}:{soft}", "--", "setpriv", "--no-new-privs"]
    if os.geteuid() == 0:
        caps = [*user.caps, *(["net_bind_service"] if bind_low and user.uid != 0 else [])]
        # uid 0 has what its bounding set leaves; others keep nothing over an exec by themselves.
        inherit = ",".join(["-all", *(f"+{c}" for c in caps if user.uid != 0)])
        front += ["--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups",
                  "--bounding-set", ",".join(["-all", *(f"+{c}" for c in caps)]),
                  "--inh-caps", inherit, "--ambient-caps", inherit]
    return [*front, "--", *argv]
