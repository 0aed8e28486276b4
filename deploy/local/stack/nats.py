"""nats-server, with the permissions of deploy/nats/nats.conf."""

from __future__ import annotations

import shutil
import socket

from .errors import StackError
from .paths import PROJECT, Paths, write_private
from .process import Record, Spec
from .secrets import Secrets
from .users import server_user

TEMPLATE = PROJECT / "deploy" / "nats" / "nats.conf"
USERS = ("gateway", "auth", "instance-manager", "realtime-fanout", "realtime-fanout-events", "storage-backup",
         "zakictl", "operator")


class Nats:
    """The server in STATE/nats."""

    def __init__(self, paths: Paths, secrets: Secrets, port: int) -> None:
        self.paths = paths
        self.secrets = secrets
        self.port = port

    def variables(self, store: str) -> str:
        """vars.conf: what nats.conf leaves open."""
        lines = [f'VAR_NAME: "zaki-{self.port}"', f'VAR_LISTEN: "127.0.0.1:{self.port}"', f'VAR_STORE: "{store}"']
        for user in USERS:
            lines.append(f'VAR_{user.upper().replace("-", "_")}_PASSWORD: "{self.secrets.get(f"nats_{user}")}"')
        return "\n".join([*lines, ""])

    def spec(self) -> Spec:
        """Writes both config files. nats.conf is copied: a change of it counts from the next start."""
        program = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if not program:
            raise StackError("nats-server is not installed", "run deploy/local/install run")
        user = server_user("nats")
        folder = self.paths.own("nats", user.uid, user.gid)
        write_private(folder / "nats.conf", TEMPLATE.read_text(), 0o600, user.uid, user.gid)
        write_private(folder / "vars.conf", self.variables(str(folder / "store")), 0o600, user.uid, user.gid)
        return Spec(name="nats", argv=[program, "-c", str(folder / "nats.conf")], user=user,
                    ready=self._ready, cwd=folder, address=f"127.0.0.1:{self.port}", ready_timeout=60)

    def url(self, user: str) -> str:
        """A bus user's NATS_URL."""
        return f"nats://{user}:{self.secrets.get(f'nats_{user}')}@127.0.0.1:{self.port}"

    def _ready(self, record: Record) -> bool:
        """It listens once JetStream has recovered, and speaks first."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                s.settimeout(1)
                return s.recv(5) == b"INFO "
        except OSError:
            return False
