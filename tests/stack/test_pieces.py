"""The parts of the stack that need no server."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from stack.paths import PROJECT as ROOT
from stack import PARTS, Stack, StackError
from stack import image
from stack.daemons import logged_ready
from stack.debian import parse_sources
from stack.engine_api import Engine, split_tag
from stack.engine import EngineChoice
from stack.paths import Paths, reachable_by_all, write_private
from stack.ports import Ports
from stack.postgres import split_url
from stack.process import Runner
from stack.secrets import Secrets
from stack.settings import DAEMONS, NAMES, SECRET, Settings
from stack.users import me


# ---- settings

def test_every_setting_is_in_env_example_and_nothing_else() -> None:
    text = (ROOT / "deploy" / "env.example").read_text()
    assert set(re.findall(r"^#([A-Z0-9_]+)=", text, re.M)) == set(NAMES)


def test_a_secret_may_come_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    assert Settings({"JWT_SECRET_FILE": str(tmp_path / "key")}).get("JWT_SECRET") == "from the file"
    with pytest.raises(StackError, match="both set"):
        Settings({"JWT_SECRET": "a", "JWT_SECRET_FILE": "b"})
    with pytest.raises(StackError, match="BUS_KEY_FILE"):
        Settings({"BUS_KEY_FILE": "/no/such/file"})


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "80 80", "1e3"])
def test_a_port_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(StackError, match="PORT is"):
        Settings({"PORT": text}).ports()


def test_settings_are_kept_for_later_commands(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    Settings({"PORT": "3100", "ZAKI_FAULT": "x", "HOME": "/root"}).save(file, {"parts": ["nats"]})
    kept = Settings.load(file)
    assert kept
    settings, extra = kept
    assert settings.values == {"PORT": "3100"} and settings.passed == {"ZAKI_FAULT": "x"}
    assert extra == {"parts": ["nats"]} and file.stat().st_mode & 0o077 == 0


def test_the_environment_counts_only_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@elsewhere/real")
    assert not Stack(tmp_path).is_external("postgres")
    assert Stack(tmp_path, inherit_env=True).is_external("postgres")


def test_a_secret_reaches_only_the_daemons_that_need_it() -> None:
    users = {name: {d for d, names in DAEMONS.items() if name in names} for name in SECRET}
    assert users["JWT_SECRET"] == {"gateway", "auth"}
    assert users["ENCRYPTION_KEY"] == {"instance-manager", "storage-backup"}
    assert users["IDENTITY_KEY"] == users["SMTP_URL"] == {"auth"}
    assert users["DATABASE_URL"] == {"auth", "instance-manager", "storage-backup"}


# ---- ports

def test_a_busy_default_port_is_replaced_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.ports.is_free", lambda port, host="": port not in (3000, 3001))
    monkeypatch.setattr("stack.ports.holder", lambda port: "node (pid 7)")
    ports = Ports(tmp_path / "ports.json", {})
    assert ports.claim("PORT") == (3002, "port 3000 is busy (node (pid 7)), so 3002")
    # WS_PORT's own default is busy as well, and 3002 is promised already.
    assert ports.claim("WS_PORT")[0] == 3003
    assert Ports(tmp_path / "ports.json", {}).get("PORT") == 3002


def test_a_damaged_ports_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    assert Ports(tmp_path / "ports.json", {}).get("PORT") == 3000


# ---- files

def test_a_private_file_is_private_and_whole(tmp_path: Path) -> None:
    write_private(tmp_path / "a", "one")
    write_private(tmp_path / "a", "two", 0o400)
    assert (tmp_path / "a").read_text() == "two" and (tmp_path / "a").stat().st_mode & 0o777 == 0o400
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    (tmp_path / "secrets").mkdir()
    first = Secrets(paths).get("jwt")
    assert len(first) == 64 and Secrets(paths).get("jwt") == first and Secrets(paths).get("bus") != first


def test_what_is_handed_over_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    secrets = Secrets(Paths(tmp_path))
    secrets.hand_over("auth", me(), {"JWT_SECRET": "a", "BUS_KEY": "b"})
    env = secrets.hand_over("auth", me(), {"JWT_SECRET": "c"})
    assert list(env) == ["JWT_SECRET_FILE"] and Path(env["JWT_SECRET_FILE"]).read_text() == "c\n"
    assert [p.name for p in (tmp_path / "secrets" / "auth").iterdir()] == ["JWT_SECRET"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as somebody else")
def test_a_folder_that_servers_cannot_enter_gets_a_link_instead(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    assert not reachable_by_all(private)
    paths = Paths(private / "state")
    paths.make()
    try:
        assert (private / "state").is_symlink() and paths.relocated and reachable_by_all(paths.state)
        again = Paths(private / "state")
        again.make()
        assert again.state == paths.state
    finally:
        paths.remove()
    assert not os.path.lexists(private / "state") and not paths.state.exists()


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "redis.json").write_text("{")
    assert Runner(Paths(tmp_path)).alive("redis") is None


# ---- daemons

@pytest.mark.parametrize("log, ready", [
    ('{"level":"info","message":"ready","service":"auth"}\n', True),
    ('{"message":"not ready"}\n', False),
    ('{"message":"ready"', False),
    ('"ready"\n', False),
    ('noise\n{"message": "ready"}\nmore', True),
    ("", False),
])
def test_readiness_is_one_line_of_the_log(log: str, ready: bool) -> None:
    assert logged_ready(log) is ready


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no such part: mysql"):
        Stack(tmp_path, parts=("nats", "mysql"))
    assert "gateway" in PARTS


def test_a_missing_program_says_what_to_do(state: Path) -> None:
    stack = Stack(state, bin_dir=state, random_ports=True, parts=("gateway",))
    with pytest.raises(StackError, match="gateway is not built") as e:
        stack.up()
    assert "make" in e.value.text()


# ---- engine and image

def test_an_image_name_is_cut_at_its_tag() -> None:
    assert split_tag("zaki/openclaw:1.2") == ("zaki/openclaw", "1.2")
    assert split_tag("host:5000/a/b") == ("host:5000/a/b", "latest")
    assert split_tag("host:5000/a/b:3") == ("host:5000/a/b", "3")


def test_an_engine_that_is_away_is_named_with_what_to_do(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/none.sock"
    assert not Engine(host).alive()
    with pytest.raises(StackError, match="none.sock does not answer") as e:
        EngineChoice(Paths(tmp_path), host).find()
    assert "DOCKER_HOST" in e.value.text()


def test_no_engine_and_not_root_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.engine.MACHINE_SOCKET", tmp_path / "none.sock")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(StackError, match="only root can start one"):
        EngineChoice(Paths(tmp_path), "").find()


def test_no_engine_and_root_starts_one_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.engine.MACHINE_SOCKET", tmp_path / "none.sock")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/sbin/dockerd")
    monkeypatch.setattr("stack.engine.EngineChoice.__init__", lambda self, paths, host: self.__dict__.update(
        paths=paths, named=host, socket=Path("/tmp/z/docker.sock")))
    assert EngineChoice(Paths(tmp_path), "").find() == ("unix:///tmp/z/docker.sock", True)


def test_no_engine_installed_asks_for_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.engine.MACHINE_SOCKET", tmp_path / "none.sock")
    monkeypatch.setattr("stack.packages.SCRIPT", "/bin/false")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(StackError, match="install engine"):
        EngineChoice(Paths(tmp_path), "").find()


def test_the_mirror_is_the_one_that_apt_uses() -> None:
    listing = """\
http://mirror.test/debian/ bookworm main Debian
http://mirror.test/debian/ bookworm main Debian
http://mirror.test/debian/ bookworm contrib Debian
http://mirror.test/debian/ bookworm-updates main Debian
http://mirror.test/security/ bookworm-security main Debian
https://other.test/ bookworm main Somebody
cdrom:/disk bookworm main Debian
http://mirror.test/debian/ trixie main Debian
"""
    assert parse_sources(listing, "bookworm") == [
        ("http://mirror.test/debian/", "bookworm"), ("http://mirror.test/debian/", "bookworm-updates"),
        ("http://mirror.test/security/", "bookworm-security")]


def test_no_registry_or_mirror_is_named_in_the_project() -> None:
    for path in (ROOT / "deploy").rglob("*"):
        if path.is_file() and path.suffix not in (".pyc",):
            text = path.read_text()
            assert not re.search(r"registry\.npmjs|deb\.debian\.org|ghcr\.io|docker\.io/|\"resolved\"", text), path


def test_the_pinned_version_is_in_the_lock_file_too() -> None:
    lock = (image.RECIPE / "package-lock.json").read_text()
    assert f'"openclaw": "{image.version()}"' in lock
    assert image.default_name().endswith(f":{image.version()}")


def test_a_changed_recipe_is_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.recipe_hash()
    for name in image.RECIPE_FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((image.RECIPE / name).read_bytes())
    monkeypatch.setattr(image, "RECIPE", tmp_path)
    assert image.recipe_hash() == before
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert image.recipe_hash() != before


def test_a_database_address_becomes_libpqs_environment() -> None:
    assert split_url("postgresql://a%40b:p%2Fw@db:5433/zaki?sslmode=require") == {
        "PGHOST": "db", "PGPORT": "5433", "PGUSER": "a@b", "PGPASSWORD": "p/w", "PGDATABASE": "zaki",
        "PGSSLMODE": "require"}
    with pytest.raises(StackError, match="DATABASE_URL"):
        split_url("mysql://x")


# ---- install

def test_install_is_a_valid_shell_script_and_knows_its_groups() -> None:
    script = ROOT / "deploy" / "local" / "install"
    subprocess.run(["sh", "-n", str(script)], check=True)
    done = subprocess.run([str(script), "games"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "no group 'games'" in done.stderr
