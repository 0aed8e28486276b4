"""How the parts are wired: where each server is, with which password, and what each part is told."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Mapping

from . import daemons, engine as engines, fakes, image, postgres as pg, supervisor
from .edge import Edge
from .engine_api import Engine
from .errors import StackError
from .nats import Nats
from .paths import PROJECT, Paths
from .ports import Ports
from .postgres import Postgres
from .process import Runner, Spec
from .redis import Redis
from .secrets import Secrets
from .settings import DATABASE_URLS, NATS_URLS, Settings
from .users import daemon_user

SERVERS = ("nats", "postgres", "redis")
PARTS = (*SERVERS, "engine", *daemons.ORDER, "edge")
# A server that somebody else runs, named by this setting, is not started.
EXTERNAL = {"nats": "NATS_URL", "postgres": "DATABASE_URL", "redis": "REDIS_URL", "engine": "DOCKER_HOST"}
PORT_OF = {"nats": ("NATS_PORT",), "postgres": ("POSTGRES_PORT",), "redis": ("REDIS_PORT",),
           "gateway": ("PORT", "WS_PORT", "METRICS_PORT"), "edge": ("PUBLIC_PORT",),
           "fake-telegram": ("TELEGRAM_FAKE_PORT",), "fake-llm": ("LLM_FAKE_PORT",)}
# A part's program as /proc shows it, where it is not called like the part.
PROGRAMS = {"nats": "nats-server", "redis": "redis-server", "engine": "dockerd", "edge": "caddy",
            "fake-telegram": "python3", "fake-llm": "python3", "supervisor": "python3"}
DEFAULT_BIN = PROJECT / "build" / "release" / "bin"


class Wiring:
    """Addresses, passwords and command lines of one stack. Starts and stops nothing."""

    paths: Paths
    settings: Settings
    runner: Runner
    secrets: Secrets
    ports: Ports
    parts: tuple[str, ...]
    prefix: list[str]
    bin_dir: Path
    random_ports: bool
    fakes_on: bool
    docker_host: str

    def is_external(self, name: str) -> bool:
        """Whether somebody else runs this server."""
        return name in EXTERNAL and bool(self.settings.get(EXTERNAL[name]))

    def wanted(self) -> tuple[str, ...]:
        """The parts that should be running now."""
        own_engine = self.docker_host == f"unix://{self.paths.state / 'docker' / 'docker.sock'}"
        return tuple(p for p in (*self.parts, *(fakes.NAMES if self.fakes_on else ()))
                     if not self.is_external(p) and (p != "engine" or own_engine))

    # ---- servers ------------------------------------------------------------------------------

    def nats(self) -> Nats:
        """The bus."""
        return Nats(self.paths, self.secrets, self.ports.get("NATS_PORT"))

    def postgres(self) -> Postgres:
        """The database."""
        return Postgres(self.paths, self.secrets, self.ports.get("POSTGRES_PORT"))

    def redis(self) -> Redis:
        """Cache and limits."""
        return Redis(self.paths, self.secrets, self.ports.get("REDIS_PORT"))

    def nats_url(self, user: str = "operator") -> str:
        """The address with this bus user's password."""
        own = self.settings.get(NATS_URLS[user]) if user in NATS_URLS else ""
        return own or self.settings.get("NATS_URL") or self.nats().url(user)

    def database_url(self, role: str = "zaki_owner") -> str:
        """The address with this role's password."""
        given = self.settings.get("DATABASE_URL")
        if not given:
            return self.postgres().role_url(role)
        if role == "zaki_owner":
            return given
        name = DATABASE_URLS[pg.ROLES[role]]
        url = self.settings.get(name)
        if not url:
            raise StackError(f"DATABASE_URL names a server of your own, so {name} is needed too",
                             "make the roles there with deploy/postgres/roles.sql")
        return url

    def redis_url(self) -> str:
        """The address with the password."""
        return self.settings.get("REDIS_URL") or self.redis().url()

    def psql(self, script: str, role: str = "zaki_owner") -> str:
        """Runs SQL as a role: unaligned rows, no headings."""
        return pg.psql(self.database_url(role), script)

    # ---- engine and fakes ---------------------------------------------------------------------

    def engine(self) -> Engine | None:
        return Engine(self.docker_host) if self.docker_host else None

    def network_gateway(self) -> str:
        """The assistants' network's own address on this machine."""
        return Engine(self.docker_host).network(self.settings.get("INSTANCE_NETWORK", "zaki"))

    def image_name(self) -> str:
        """OPENCLAW_IMAGE, or the pinned one."""
        return self.settings.get("OPENCLAW_IMAGE") or image.default_name()

    def fake_urls(self) -> tuple[str, str]:
        """(Telegram, LLM) as the containers and this machine reach them."""
        host = self.network_gateway()
        return tuple(f"http://{host}:{self.ports.get(fakes.PORTS[n])}" for n in fakes.NAMES)  # type: ignore[return-value]

    # ---- what parts and people are told -------------------------------------------------------

    def public_url(self) -> str:
        """The address for people."""
        return (self.settings.get("PUBLIC_URL") or f"http://localhost:{self.ports.get('PUBLIC_PORT')}").rstrip("/")

    def computed(self, name: str) -> dict[str, str]:
        """What the stack knows for a daemon; settings win over it."""
        values = {
            "NATS_URL": self.nats_url(name), "BUS_KEY": self.secrets.get("bus"), "REDIS_URL": self.redis_url(),
            "JWT_SECRET": self.secrets.get("jwt"), "ENCRYPTION_KEY": self.secrets.get("encryption"),
            "IDENTITY_KEY": self.secrets.get("identity"),
            "PORT": str(self.ports.get("PORT")), "WS_PORT": str(self.ports.get("WS_PORT")),
            "METRICS_PORT": str(self.ports.get("METRICS_PORT")),
            "PUBLIC_URL": self.public_url(), "DATA_DIR": self.data_dir(), "OPENCLAW_IMAGE": self.image_name(),
            "DOCKER_HOST": self.docker_host, "INSTANCE_NETWORK": "zaki", "STORAGE_URL": self.storage_url(),
        }
        for role, user in pg.ROLES.items():
            if user == name:
                values["DATABASE_URL"] = self.database_url(role)
        if name == "realtime-fanout":
            values["EVENTS_NATS_URL"] = self.nats_url(name if self.is_external("nats") else "realtime-fanout-events")
        if name == "auth" and not self.settings.get("MAIL_DIR"):
            user = daemon_user(name)
            values["MAIL_DIR"] = str(self.paths.own("mail", user.uid, user.gid))
        if name == "instance-manager":
            if self.random_ports:  # several stacks on one engine: each its own slice
                low = 20000 + 250 * random.Random(str(self.paths.state)).randrange(50)
                values |= {"INSTANCE_PORT_MIN": str(low), "INSTANCE_PORT_MAX": str(low + 249)}
            if self.fakes_on:
                values |= fakes.settings(*self.fake_urls(), self.secrets)
        return values

    def data_dir(self) -> str:
        """Where the assistants' files lie."""
        return self.settings.get("DATA_DIR") or str(self.paths.state / "data")

    def storage_url(self) -> str:
        """Where backups lie."""
        return self.settings.get("STORAGE_URL") or f"file://{self.paths.state / 'storage'}"

    def env(self) -> dict[str, str]:
        """What run.env holds: addresses for people, tests and tools."""
        values = {}
        if "edge" in self.parts:
            values["PUBLIC_URL"] = self.public_url()
        if "gateway" in self.parts:
            values["GATEWAY_URL"] = f"http://127.0.0.1:{self.ports.get('PORT')}"
            values["WS_URL"] = f"ws://127.0.0.1:{self.ports.get('WS_PORT')}"
            values["METRICS_URL"] = f"http://127.0.0.1:{self.ports.get('METRICS_PORT')}/metrics"
        if "nats" in self.parts:
            values["NATS_URL"] = self.nats_url("operator")
        if "postgres" in self.parts:
            values["DATABASE_URL"] = self.database_url()
        if "redis" in self.parts:
            values["REDIS_URL"] = self.redis_url()
        if self.docker_host:
            values |= {"DOCKER_HOST": self.docker_host, "DATA_DIR": self.data_dir(),
                       "OPENCLAW_IMAGE": self.image_name()}
        if "storage-backup" in self.parts:
            values["STORAGE_URL"] = self.storage_url()
            values["ZAKICTL_NATS_URL"] = self.nats_url("zakictl")
        if self.fakes_on:
            values["TELEGRAM_FAKE_URL"], values["LLM_FAKE_URL"] = self.fake_urls()
        return values

    def spec(self, name: str, extra_env: Mapping[str, str]) -> Spec:
        if name == "nats":
            return self.nats().spec()
        if name == "postgres":
            return self.postgres().spec()
        if name == "redis":
            return self.redis().spec()
        if name == "engine":
            choice = engines.EngineChoice(self.paths, self.settings.get("DOCKER_HOST"))
            return choice.spec(choice.driver())
        if name == "edge":
            return Edge(self.paths, self.settings.get("PUBLIC_URL"), self.ports.get("PUBLIC_PORT"),
                        self.ports.get("PORT"), self.ports.get("WS_PORT"), self.settings.get("PUBLIC_BIND")).spec()
        if name in fakes.NAMES:
            port = self.ports.get(fakes.PORTS[name])
            return fakes.spec(name, self.paths, self.runner, self.network_gateway(), port)
        if name == "supervisor":
            return supervisor.spec(self.paths, self.runner)
        return daemons.spec(name, bin_dir=self.bin_dir, paths=self.paths, secrets=self.secrets,
                            runner=self.runner, settings=self.settings, computed=self.computed(name),
                            prefix=self.prefix, extra_env=dict(extra_env))
