"""PostgreSQL: a cluster of the stack's own, and one role for each service."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import signal
import string
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from .errors import StackError
from .paths import PROJECT, Paths, write_private
from .process import Record, Spec
from .secrets import Secrets
from .users import User, server_user

TEMPLATES = PROJECT / "deploy" / "postgres"
DATABASE = "zaki"
# Role → who uses it. zaki_owner runs the migrations and owns the tables; the services get what each
# migration grants them.
ROLES = {"zaki_owner": "owner", "zaki_auth": "auth", "zaki_instance_manager": "instance-manager",
         "zaki_storage_backup": "storage-backup"}


def binaries(data: Path) -> Path:
    """The server's folder: of the cluster's own version where there is a cluster, else the newest."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    if not found:
        raise StackError("PostgreSQL is not installed", "run deploy/local/install run")
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except OSError:
        return found[-1].parent
    for path in found:
        if path.parts[-3] == version:
            return path.parent
    raise StackError(f"the database in {data} is of PostgreSQL {version}, which is not installed",
                     f"apt-get install postgresql-{version}")


def url(role: str, password: str, port: int) -> str:
    """A role's DATABASE_URL."""
    return f"postgresql://{role}:{quote(password, safe='')}@127.0.0.1:{port}/{DATABASE}"


def scram(password: str) -> str:
    """The verifier that PostgreSQL stores: so no password travels in a statement or lands in a log."""
    salt, rounds = os.urandom(16), 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()
    salt64, stored64, server64 = (base64.b64encode(x).decode() for x in (salt, stored, server))
    return f"SCRAM-SHA-256${rounds}:{salt64}${stored64}:{server64}"


class Postgres:
    """The cluster in STATE/postgres."""

    def __init__(self, paths: Paths, secrets: Secrets, port: int) -> None:
        self.paths = paths
        self.secrets = secrets
        self.port = port
        self.data = paths.state / "postgres" / "data"

    def spec(self) -> Spec:
        """Makes the cluster where there is none, writes its config, clears what a crash left."""
        user = server_user("postgres")
        self.paths.own("postgres", user.uid, user.gid)
        bins = binaries(self.data)
        if not (self.data / "PG_VERSION").exists():
            self._initdb(bins, user)
        for name in ("postgresql.conf", "pg_hba.conf"):
            text = string.Template((TEMPLATES / name).read_text()).substitute(PORT=self.port)
            write_private(self.data / name, text, 0o600, user.uid, user.gid)
        return Spec(name="postgres", argv=[str(bins / "postgres"), "-D", str(self.data)], user=user,
                    ready=self._ready, env={"LC_ALL": "C.UTF-8"}, address=f"127.0.0.1:{self.port}",
                    ready_timeout=60, stop_signal=signal.SIGINT, stop_timeout=20)

    def _initdb(self, bins: Path, user: User) -> None:
        """In a folder beside, swapped in by rename: an initdb that was killed leaves nothing that
        looks like a cluster."""
        fresh = self.data.with_name("data.new")
        subprocess.run(["rm", "-rf", str(fresh)], check=True)
        password = self.data.with_name("password")
        write_private(password, self.secrets.get("postgres_superuser"), 0o400, user.uid, user.gid)
        argv = [str(bins / "initdb"), "-D", str(fresh), "-U", "postgres", f"--pwfile={password}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
        who = {"user": user.uid, "group": user.gid, "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(argv, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, **who)  # type: ignore[call-overload]
        password.unlink(missing_ok=True)
        if done.returncode:
            raise StackError(f"initdb failed: {done.stderr.strip()[-800:]}")
        fresh.rename(self.data)

    def _ready(self, record: Record) -> bool:
        """The server writes its state into postmaster.pid, line 8."""
        lines = self._pid_file()
        return len(lines) > 7 and lines[0].strip() == str(record.pid) and lines[7].strip() == "ready"

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def clear_stale(self) -> int:
        """After kill -9 the server's children live on for a moment and hold its memory; after a
        machine restart postmaster.pid may name a stranger's process. Processes that work in our data
        folder are ended, the file is then nobody's. Returns how many were ended."""
        ended: set[int] = set()
        deadline = time.monotonic() + 10
        while pids := self._processes():
            ended.update(pids)
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGQUIT)
                except ProcessLookupError:
                    pass
            if time.monotonic() > deadline:
                raise StackError(f"processes {pids} still use {self.data}")
            time.sleep(0.1)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        return len(ended)

    def _processes(self) -> list[int]:
        """Servers stand in their data folder, and nobody else does."""
        found = []
        for proc in Path("/proc").iterdir():
            try:
                if proc.name.isdigit() and (proc / "cwd").readlink() == self.data and \
                        (proc / "exe").readlink().name == "postgres":
                    found.append(int(proc.name))
            except OSError:
                continue
        return found

    def superuser_url(self) -> str:
        """For making roles, and for nothing else."""
        return url("postgres", self.secrets.get("postgres_superuser"), self.port).replace(
            f"/{DATABASE}", "/postgres")

    def role_url(self, role: str) -> str:
        """A service role's address."""
        return url(role, self.secrets.get(role), self.port)

    def make_roles(self) -> None:
        """Database, roles and rights; repeatable."""
        lines = [f"\\set {role}_verifier '{scram(self.secrets.get(role))}'" for role in ROLES]
        psql(self.superuser_url(), "\n".join([*lines, f"\\i {TEMPLATES / 'roles.sql'}", ""]))


def psql(database_url: str, script: str, extra: tuple[str, ...] = ()) -> str:
    """Runs a script through psql. The address has a password, so it goes by the environment of this
    one child and not by its arguments."""
    parts = split_url(database_url)
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **parts}
    argv = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", *extra]
    try:
        done = subprocess.run(argv, input=script, env=env, cwd="/", capture_output=True, text=True,
                              check=False, timeout=60)
    except FileNotFoundError as e:
        raise StackError("psql is not installed", "run deploy/local/install run") from e
    if done.returncode:
        raise StackError(f"PostgreSQL: {done.stderr.strip()[-600:]}")
    return done.stdout.strip()


def split_url(database_url: str) -> dict[str, str]:
    """postgresql://user:password@host:port/db → libpq's environment."""
    from urllib.parse import parse_qs, unquote, urlsplit
    u = urlsplit(database_url)
    if u.scheme not in ("postgresql", "postgres"):
        raise StackError("DATABASE_URL should read postgresql://user:password@host:port/database")
    env = {"PGHOST": u.hostname or "", "PGPORT": str(u.port or 5432), "PGUSER": unquote(u.username or ""),
           "PGPASSWORD": unquote(u.password or ""), "PGDATABASE": u.path.lstrip("/")}
    for key, values in parse_qs(u.query).items():
        env[f"PG{key.upper()}"] = values[-1]
    return {k: v for k, v in env.items() if v}
