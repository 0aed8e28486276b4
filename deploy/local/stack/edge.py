"""Caddy: the one address that people and frontends use."""

from __future__ import annotations

import shutil
import socket
from urllib.parse import urlsplit

from .errors import StackError
from .paths import PROJECT, Paths
from .process import Record, Spec
from .users import server_user

CADDYFILE = PROJECT / "deploy" / "edge" / "Caddyfile"


def site(public_url: str, port: int) -> tuple[str, str, int]:
    """(Caddy's site address, address to bind, port to wait for).

    Without a domain: plain HTTP on this machine alone. A PUBLIC_URL of https: that name, on all
    addresses, with a certificate that Caddy gets and renews.
    """
    url = urlsplit(public_url)
    if url.scheme == "https" and url.hostname:
        tls_port = url.port or 443
        return f"https://{url.hostname}:{tls_port}", "0.0.0.0", tls_port
    return f"http://:{port}", "127.0.0.1", port


def _addresses(bind: str) -> str:
    """`localhost` is ::1 first for most programs: listened to as well, where there is IPv6."""
    if bind != "127.0.0.1":
        return bind
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
            s.bind(("::1", 0))
    except OSError:
        return bind
    return f"{bind} ::1"


class Edge:
    """Caddy with its certificates in STATE/edge."""

    def __init__(self, paths: Paths, public_url: str, port: int, gateway: int, ws: int, bind: str) -> None:
        self.paths = paths
        self.gateway = gateway
        self.ws = ws
        self.site, self.bind, self.port = site(public_url, port)
        self.bind = bind or self.bind

    def spec(self) -> Spec:
        """Runs the Caddyfile as it is; what it leaves open comes by the environment."""
        program = shutil.which("caddy", path="/usr/bin:/usr/local/bin")
        if not program:
            raise StackError("caddy is not installed", "run deploy/local/install run")
        user = server_user("caddy")
        folder = self.paths.own("edge", user.uid, user.gid)
        # Copied, so that its user can read it wherever the project lies.
        config = folder / "Caddyfile"
        config.write_text(CADDYFILE.read_text())
        config.chmod(0o644)
        env = {"EDGE_SITE": self.site, "EDGE_BIND": _addresses(self.bind), "EDGE_STORAGE": str(folder / "storage"),
               "EDGE_GATEWAY": f"127.0.0.1:{self.gateway}", "EDGE_WS": f"127.0.0.1:{self.ws}",
               "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        return Spec(name="edge", argv=[program, "run", "--config", str(config), "--adapter", "caddyfile"],
                    user=user, env=env, cwd=folder, ready=self._ready, address=f"{self.bind}:{self.port}",
                    bind_low=self.port < 1024)

    def _ready(self, record: Record) -> bool:
        host = "127.0.0.1" if self.bind in ("0.0.0.0", "") else self.bind
        try:
            socket.create_connection((host, self.port), timeout=1).close()
            return True
        except OSError:
            return False
