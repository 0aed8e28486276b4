"""Redis: limits and revoked sessions, kept by its append-only file."""

from __future__ import annotations

import shutil
import socket

from .errors import StackError
from .paths import Paths, write_private
from .process import Record, Spec
from .secrets import Secrets
from .users import server_user

# Nothing is kept on disk: all that lies in Redis can be made again, and what came back from a file a second
# old (a ready marker without the last revocations) would be worse than nothing.
CONFIG = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir {folder}
appendonly no
save ""
maxmemory-policy noeviction
set-proc-title no
enable-debug-command no
enable-module-command no
"""


class Redis:
    """The server in STATE/redis."""

    def __init__(self, paths: Paths, secrets: Secrets, port: int) -> None:
        self.paths = paths
        self.secrets = secrets
        self.port = port

    def spec(self) -> Spec:
        """Writes its config; the password is in that file alone, not among its arguments."""
        program = shutil.which("redis-server", path="/usr/bin:/usr/local/bin")
        if not program:
            raise StackError("redis-server is not installed", "run deploy/local/install run")
        user = server_user("redis")
        folder = self.paths.own("redis", user.uid, user.gid)
        config = folder / "redis.conf"
        text = CONFIG.format(port=self.port, password=self.secrets.get("redis"), folder=folder)
        write_private(config, text, 0o600, user.uid, user.gid)
        return Spec(name="redis", argv=[program, str(config)], user=user, ready=self._ready,
                    address=f"127.0.0.1:{self.port}", cwd=folder, ready_timeout=60)

    def url(self) -> str:
        """REDIS_URL."""
        return f"redis://:{self.secrets.get('redis')}@127.0.0.1:{self.port}/0"

    def _ready(self, record: Record) -> bool:
        """PONG; while it reads its file it answers -LOADING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                s.sendall(f"AUTH {self.secrets.get('redis')}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    data = s.recv(256)
                    if not data:
                        return False
                    answer += data
                return answer == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False
