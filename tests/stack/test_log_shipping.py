"""deploy/rsyslog: a real rsyslogd sends what the daemons log to a collector, by TLS, and to no other."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest

from stack.paths import PROJECT

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

# pylint: disable=wrong-import-position
from zaki.patience import wait_until  # noqa: E402
from zaki.suite import BIN  # noqa: E402

PACKAGES = ("rsyslog", "rsyslog-openssl", "libestr0", "libfastjson4", "liblognorm5")
QUIET_S = 4  # in which a collector that is not believed is tried again and again


@pytest.fixture(scope="module")
def root() -> Path:
    """rsyslog as Debian has it, unpacked and not installed: a test starts no system logger on anybody's machine."""
    folder = PROJECT / "build" / "rsyslog"
    if not (folder / "usr/sbin/rsyslogd").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        done = subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=folder, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stderr}\nWhere Debian's lists are missing: apt-get update"
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True, capture_output=True)
    return folder


def certificate(folder: Path, name: str, *more: str) -> None:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem", *more],
                   cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two CAs, and of the first one certificate each for two names."""
    folder = tmp_path_factory.mktemp("pki")
    for ca in ("ca", "other"):
        certificate(folder, ca)
    for name in ("localhost", "elsewhere"):
        certificate(folder, name, "-addext", f"subjectAltName=DNS:{name}", "-CA", "ca.pem", "-CAkey", "ca.key",
                    "-addext", "basicConstraints=critical,CA:false")
    return folder


class Collector:
    """Listens with a certificate, and keeps what it is sent."""

    def __init__(self, pki: Path, name: str, port: int = 0) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self.listener.getsockname()[1])
        self.came, self.asked = b"", 0
        self.connections: list[socket.socket] = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self.asked += 1
            try:
                plain.settimeout(20)
                self.connections.append(self.context.wrap_socket(plain, server_side=True))
                while data := self.connections[-1].recv(65536):
                    self.came += data
            except OSError:
                continue

    def messages(self) -> list[str]:
        """Without their lengths (RFC 6587, octet counting), which have to be right."""
        found, rest = [], self.came
        while b" " in rest:
            length, rest = rest.split(b" ", 1)
            if len(rest) < int(length):
                break
            found.append(rest[:int(length)].decode().rstrip("\n"))
            rest = rest[int(length):]
        return found

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # it has ended already
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.thread.join(20)


class Shipper:
    """rsyslogd with our file, and nothing of the machine's own."""

    def __init__(self, root: Path, folder: Path, port: int, ca: Path) -> None:
        libs = next(root.glob("usr/lib/*/rsyslog"))
        (folder / "log").mkdir()
        (folder / "work").mkdir()
        (folder / "all.conf").write_text(f'global(workDirectory="{folder}/work")\n'
                                         f'include(file="{PROJECT}/deploy/rsyslog/zaki.conf")\n')
        env = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": str(libs.parent), "ZAKI_LOG_DIR": str(folder / "log"),
               "ZAKI_LOG_HOST": "localhost", "ZAKI_LOG_PORT": str(port), "ZAKI_LOG_CA_FILE": str(ca)}
        self.said = folder / "said"
        with open(self.said, "wb") as out:
            self.child = subprocess.Popen([str(root / "usr/sbin/rsyslogd"), "-n", "-f", str(folder / "all.conf"),
                                           "-i", str(folder / "pid"), "-M", str(libs)], env=env,
                                          stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def close(self) -> None:
        self.child.terminate()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:  # in the midst of a handshake that is refused it takes its time
            self.child.kill()
            self.child.wait(20)


@pytest.fixture
def closing() -> Iterator[list[Collector | Shipper]]:
    opened: list[Collector | Shipper] = []
    yield opened
    for one in reversed(opened):
        one.close()


def daemon_logs(folder: Path) -> str:
    """A line that a real daemon writes, here of what it is not told."""
    with open(folder / "log" / "auth.log", "ab") as log:
        subprocess.run([str(BIN / "auth")], env={}, stderr=log, stdout=log, check=False, timeout=20)
    return (folder / "log" / "auth.log").read_text().splitlines()[-1]


def test_what_is_logged_reaches_the_collector(root: Path, pki: Path, tmp_path: Path,
                                              closing: list[Collector | Shipper]) -> None:
    """As it was written; also after the log was emptied, and what came while the collector was known to be away: TCP
    keeps to itself that a line was sent to nobody, until the next one."""
    collector = Collector(pki, "localhost")
    closing += [collector, Shipper(root, tmp_path, collector.port, pki / "ca.pem")]
    line = daemon_logs(tmp_path)
    assert json.loads(line)["service"] == "auth"
    wait_until(lambda: any(m.endswith(line) for m in collector.messages()), 20, "the line is there")

    os.truncate(tmp_path / "log" / "auth.log", 0)
    with open(tmp_path / "log" / "auth.log", "a", encoding="utf-8") as log:
        log.write('{"message":"after"}\n')
    wait_until(lambda: any("after" in m for m in collector.messages()), 20, "so is one of the emptied log")

    collector.close()
    closing.remove(collector)
    with open(tmp_path / "log" / "gateway.log", "a", buffering=1, encoding="utf-8") as log:
        for n in range(10):
            log.write(f'{{"message":"perhaps {n}"}}\n')
            time.sleep(0.2)
        log.write("".join(f'{{"message":"kept {n}"}}\n' for n in range(100)))
    again = Collector(pki, "localhost", collector.port)
    closing.insert(0, again)
    wait_until(lambda: {f"kept {n}" for n in range(100)} <= {m.split('"')[-2] for m in again.messages()}, 40,
               "all that waited is there")


@pytest.mark.parametrize("name, ca", [("localhost", "other"), ("elsewhere", "ca")])
def test_nobody_else_is_sent_a_line(root: Path, pki: Path, tmp_path: Path, closing: list[Collector | Shipper],
                                    name: str, ca: str) -> None:
    """Whoever has a certificate of another CA, or for another name."""
    collector = Collector(pki, name)
    shipper = Shipper(root, tmp_path, collector.port, pki / f"{ca}.pem")
    closing += [collector, shipper]
    daemon_logs(tmp_path)
    wait_until(lambda: collector.asked, 20, "it was tried")
    time.sleep(QUIET_S)
    assert collector.came == b"" and shipper.child.poll() is None, shipper.said.read_text()[-2000:]
