"""The suite with servers of one's own by TLS, whose CA is this test's: tests/integration/bus/test_tls.c has the bus
and Redis one by one; here are PostgreSQL, and all three together."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest

from stack import Stack, temp_state_dir
from stack.postgres import psql

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

# pylint: disable=wrong-import-position
from zaki.api import Api, expect  # noqa: E402
from zaki.patience import wait_until  # noqa: E402
from zaki.people import Person  # noqa: E402
from zaki.suite import BIN  # noqa: E402

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


class Tls:
    """Three servers with one certificate, for localhost."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for ca in ("ca", "other"):
            self.openssl("-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
        self.openssl("-subj", "/CN=server", "-addext", "subjectAltName=DNS:localhost", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-addext", "basicConstraints=critical,CA:false", "-keyout", "server.key", "-out", "server.pem")
        self.children: list[subprocess.Popen[bytes]] = []
        self.nats, self.redis = free_port(), free_port()
        self.postgres = Stack(temp_state_dir(), random_ports=True, parts=("postgres",))
        self.postgres.up()

    def openssl(self, *args: str) -> None:
        subprocess.run(["openssl", "req", "-x509", *KEY, *args], cwd=self.folder, check=True, capture_output=True)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def start(self) -> None:
        cert, key = self.path("server.pem"), self.path("server.key")
        self.run("nats-server", "-a", "127.0.0.1", "-p", str(self.nats), "-js", "-sd", self.path("js"),
                 "--tls", "--tlscert", cert, "--tlskey", key)
        self.run("redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", str(self.redis), "--tls-auth-clients", "no",
                 "--save", "", "--dir", str(self.folder), "--tls-cert-file", cert, "--tls-key-file", key, "--requirepass", "hush")
        for port in (self.nats, self.redis):
            wait_until(lambda port=port: answers(port), 20, f"port {port}")  # type: ignore[misc]

    def run(self, name: str, *args: str) -> None:
        program = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin") or name
        self.children.append(subprocess.Popen([program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                              stderr=subprocess.DEVNULL))

    def let_postgres_encrypt(self) -> None:
        """Its key has to be its user's own."""
        uid = os.stat(f"/proc/{self.postgres.pid('postgres')}").st_uid
        for name in ("server.pem", "server.key"):
            copy = self.postgres.paths.state / "postgres-tls" / name
            copy.parent.mkdir(exist_ok=True, mode=0o755)
            shutil.copyfile(self.folder / name, copy)
            copy.chmod(0o600)
            os.chown(copy, uid, -1)
        self.sql(f"ALTER SYSTEM SET ssl_cert_file = '{copy.parent}/server.pem'; ALTER SYSTEM SET ssl_key_file = "
                 f"'{copy.parent}/server.key'; ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf();")

    def sql(self, script: str) -> str:
        return psql(self.postgres.postgres().superuser_url(), script)

    def database(self, role: str, host: str = "localhost") -> str:
        url = self.postgres.database_url(role)
        return url.replace("127.0.0.1", host) + "?sslmode=verify-full"

    def migrate(self, ca: str, url: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": "/usr/bin:/bin", "DATABASE_URL": url, "TLS_CA_FILE": self.path(ca)}
        return subprocess.run([str(BIN / "zakictl"), "migrate"], env=env, capture_output=True, text=True, check=False, timeout=60)

    def end(self) -> None:
        for child in self.children:
            child.kill()
            child.wait(10)
        self.postgres.destroy()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    folder = tmp_path_factory.mktemp("tls")
    for some in (folder, *list(folder.parents)[:2]):  # daemons of other users read the CA
        some.chmod(0o755)
    servers = Tls(folder)
    try:
        servers.start()
        yield servers
    finally:
        servers.end()


def test_postgres_is_spoken_to_as_its_certificate_says(tls: Tls) -> None:
    plain = tls.migrate("ca.pem", tls.database("zaki_owner"))
    assert plain.returncode == 1 and "SSL" in plain.stderr, plain
    tls.let_postgres_encrypt()
    wait_until(lambda: "SSL" not in tls.migrate("ca.pem", tls.database("zaki_owner")).stderr, 20, "PostgreSQL takes TLS")
    other = tls.migrate("other.pem", tls.database("zaki_owner"))
    assert other.returncode == 1 and "certificate verify failed" in other.stderr, other
    elsewhere = tls.migrate("ca.pem", tls.database("zaki_owner", "127.0.0.1"))
    assert elsewhere.returncode == 1 and "does not match host name" in elsewhere.stderr, elsewhere
    assert tls.migrate("ca.pem", tls.database("zaki_owner")).returncode == 0


def test_the_suite_speaks_tls_alone(tls: Tls) -> None:
    stack = Stack(temp_state_dir(), {
        "NATS_URL": f"tls://localhost:{tls.nats}", "REDIS_URL": f"rediss://:hush@localhost:{tls.redis}/0",
        "DATABASE_URL": tls.database("zaki_owner"), "AUTH_DATABASE_URL": tls.database("zaki_auth"),
        "TLS_CA_FILE": tls.path("ca.pem")}, random_ports=True, parts=("auth", "gateway"), supervise=False, bin_dir=BIN)
    try:
        env = stack.up()
        person = Person.new(Api(env["GATEWAY_URL"]))
        expect(person.api.get("/users/me"), 200)
        parts = {p["name"]: p["status"] for p in person.api.get("/health").data["parts"]}
        assert {name: parts[name] for name in ("bus", "redis", "auth", "postgres")} == {
            "bus": "up", "redis": "up", "auth": "up", "postgres": "up"}, parts
        rows = tls.sql("SELECT DISTINCT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) "
                       "WHERE a.application_name = 'zaki-auth';")
        assert rows == "t"
    finally:
        status = [stack.stop_part(name) for name in ("gateway", "auth")]
        logs = stack.log("auth") + stack.log("gateway")
        stack.destroy()
    assert status == ["stopped", "stopped"] and "hush" not in logs
