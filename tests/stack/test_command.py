"""`stack.py` as `make` calls it, with stand-ins for the daemons: up, status, run, down."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest

from stack.paths import PROJECT as ROOT
from stack import Stack, temp_state_dir
from stack.engine import MACHINE_SOCKET
from stack.engine_api import Engine
from stack.settings import DAEMONS

DATA_CAPS = 0b1111  # chown, dac_override, dac_read_search, fowner
ENGINE = os.environ.get("DOCKER_HOST") or f"unix://{MACHINE_SOCKET}"
pytestmark = pytest.mark.skipif(not Engine(ENGINE).alive(), reason="needs a Docker engine")

DAEMON = """#!/bin/sh
echo '{"level":"info","service":"'"${0##*/}"'","message":"ready"}' >&2
trap 'echo "{\\"message\\":\\"stopping\\"}" >&2; exit 0' TERM
while :; do sleep 0.1; done
"""
# What the real one does as far as the stack looks: the schema is there afterwards.
ZAKICTL = """#!/bin/sh
psql -q "$(cat "$DATABASE_URL_FILE")" -c 'CREATE TABLE IF NOT EXISTS platform (id uuid DEFAULT gen_random_uuid())'
"""


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    folder = temp_state_dir("zaki-bin-")
    for name in DAEMONS:
        (folder / name).write_text(DAEMON)
    (folder / "zakictl").write_text(ZAKICTL)
    for file in folder.iterdir():
        file.chmod(0o755)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


class Command:
    """stack.py with a state folder and settings."""

    def __init__(self, state: Path, programs: Path, image: str) -> None:
        self.state = state
        self.argv = ["/usr/bin/python3", str(ROOT / "deploy" / "local" / "stack.py"), "--state", str(state),
                     "--bin", str(programs)]
        self.env = {"PATH": os.environ["PATH"], "OPENCLAW_IMAGE": image, "PYTHONDONTWRITEBYTECODE": "1",
                    "DOCKER_HOST": ENGINE}

    def __call__(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.argv, *words], env={**self.env, **settings}, capture_output=True, text=True,
                              check=False, timeout=120)

    def env_file(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (self.state / "run.env").read_text().splitlines())


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image of one empty layer: `up` only wants to know that it is there."""
    import io
    import tarfile
    data = io.BytesIO()
    tarfile.open(fileobj=data, mode="w").close()
    engine, name = Engine(ENGINE), f"zaki-stack-test:{os.getpid()}"
    repo, tag = name.split(":")
    list(engine.progress(engine.call("POST", "/images/create", {"fromSrc": "-", "repo": repo, "tag": tag},
                                     stream=iter([data.getvalue()]))))
    yield name
    engine.json("DELETE", f"/images/{name}")


@pytest.fixture
def stack(state: Path, programs: Path, image: str) -> Command:
    return Command(state, programs, image)


def test_up_status_down_and_each_of_them_twice(stack: Command) -> None:
    up = stack("up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "make down" in up.stdout
    env = stack.env_file()
    assert {"PUBLIC_URL", "GATEWAY_URL", "WS_URL", "METRICS_URL", "NATS_URL", "DATABASE_URL", "REDIS_URL", "DOCKER_HOST"} <= set(env)
    assert (stack.state / "run.env").stat().st_mode & 0o077 == 0

    again = stack("up")
    assert again.returncode == 0 and again.stdout.count("runs already") == 10, again.stdout
    assert stack.env_file() == env
    status = stack("status")
    assert status.returncode == 0 and "instance-manager" in status.stdout

    down = stack("down")
    assert down.returncode == 0 and "the data stays" in down.stdout
    assert stack("down").returncode == 0
    assert stack("status").returncode == 1


def test_a_stack_of_which_everything_was_killed_comes_up_again(stack: Command) -> None:
    assert stack("up").returncode == 0
    attached = Stack.attach(stack.state)
    assert attached
    env = stack.env_file()
    for part in ("supervisor", *attached.wanted()):
        attached.kill_part(part)
    assert stack("status").returncode == 1
    up = stack("up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert stack.env_file() == env and stack("status").returncode == 0


def test_a_daemon_that_ends_is_started_again(stack: Command) -> None:
    assert stack("up").returncode == 0
    attached = Stack.attach(stack.state)
    assert attached
    killed = attached.kill_part("gateway", hold=False)
    deadline = time.monotonic() + 60
    while attached.pid("gateway") in (None, killed):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_run_shows_the_logs_and_ends_everything_at_ctrl_c(stack: Command, sig: int) -> None:
    with subprocess.Popen([*stack.argv, "run"], env=stack.env, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        watch = threading.Timer(120, run.kill)  # what is never said is not waited for
        watch.start()
        assert any("Ctrl-C" in line for line in run.stdout)
        attached = Stack.attach(stack.state)
        assert attached
        killed = attached.kill_part("gateway", hold=False)
        assert any(line.startswith("gateway ") and '"ready"' in line for line in run.stdout), killed
        run.send_signal(sig)
        rest = run.stdout.read()
        assert run.wait(60) == 0, rest
        watch.cancel()
    assert "the data stays" in rest
    assert stack("status").returncode == 1


def test_a_reader_who_has_enough_is_no_error(stack: Command) -> None:
    """`make up | head -1`: the start goes on; `make run | head`: it ends, and everything with it."""
    def read_one(word: str) -> tuple[int, str]:
        with subprocess.Popen([*stack.argv, word], env=stack.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stdout and child.stderr and child.stdout.readline()
            child.stdout.close()
            said = child.stderr.read()
            return child.wait(60), said

    assert read_one("up") == (0, "")
    assert stack("status").returncode == 0
    assert read_one("status") == (0, "")
    assert read_one("run") == (0, "")
    assert stack("status").returncode == 1


def test_a_busy_port_is_said_with_its_number(stack: Command) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        up = stack("up", PORT=port)
    assert up.returncode == 1
    assert f"PORT={port} is busy" in up.stderr and Path(sys.executable).name[:6] in up.stderr


def test_a_daemon_that_does_not_start_is_shown_with_its_last_words(stack: Command, programs: Path) -> None:
    broken = temp_state_dir("zaki-bin-")
    try:
        for file in programs.iterdir():
            (broken / file.name).write_text(file.read_text())
            (broken / file.name).chmod(0o755)
        (broken / "auth").write_text("#!/bin/sh\necho '{\"message\":\"JWT_SECRET is too short\"}' >&2\nexit 78\n")
        stack.argv[stack.argv.index("--bin") + 1] = str(broken)
        up = stack("up")
        assert up.returncode == 1
        assert "auth ended while it started" in up.stderr and "JWT_SECRET is too short" in up.stderr
    finally:
        subprocess.run(["rm", "-rf", str(broken)], check=True)


def test_other_settings_for_a_running_stack_are_not_half_applied(stack: Command) -> None:
    assert stack("up", LOG_LEVEL="info").returncode == 0
    up = stack("up", LOG_LEVEL="debug")
    assert up.returncode == 0 and "LOG_LEVEL" in up.stdout and "after the next `down`" in up.stdout
    kept = json.loads((stack.state / "settings.json").read_text())
    assert kept["values"]["LOG_LEVEL"] == "info"


def test_fakes_come_and_go_beside_a_running_stack(stack: Command) -> None:
    assert stack("up").returncode == 0
    attached = Stack.attach(stack.state)
    assert attached
    before = attached.pid("instance-manager")

    on = stack("fakes")
    assert on.returncode == 0, on.stdout + on.stderr
    env = stack.env_file()
    pid = attached.pid("instance-manager")
    assert pid not in (None, before)
    told = Path(f"/proc/{pid}/environ").read_bytes().decode()
    assert f"TELEGRAM_API_URL={env['TELEGRAM_FAKE_URL']}\0" in told
    assert f"DEFAULT_PROVIDER_BASE_URL={env['LLM_FAKE_URL']}/v1\0" in told
    assert stack("fakes").returncode == 0 and attached.pid("instance-manager") == pid, "nothing to do the second time"

    assert stack("fakes", "--off").returncode == 0
    assert "TELEGRAM_FAKE_URL" not in stack.env_file()
    pid = attached.pid("instance-manager")
    assert "TELEGRAM_API_URL" not in Path(f"/proc/{pid}/environ").read_bytes().decode()
    assert stack("status").returncode == 0


def test_each_daemon_has_its_own_secrets_and_no_others(stack: Command) -> None:
    assert stack("up").returncode == 0
    attached = Stack.attach(stack.state)
    assert attached
    keys = {p.read_text().strip() for p in (stack.state / "secrets").glob("*.key")}
    owners: dict[str, int] = {}
    for name in DAEMONS:
        proc = Path(f"/proc/{attached.pid(name)}")
        seen = (proc / "environ").read_bytes() + (proc / "cmdline").read_bytes()
        assert not any(k.encode() in seen for k in keys)
        folder = stack.state / "secrets" / name
        assert folder.stat().st_mode & 0o077 == 0
        assert folder.stat().st_uid == proc.stat().st_uid
        owners[name] = proc.stat().st_uid
        assert {p.name for p in folder.iterdir()} <= set(DAEMONS[name])
    if os.geteuid() == 0:
        # SQLite needs uid 0 to give files to a database's owner.
        assert {name for name, uid in owners.items() if uid == 0} == {"storage-backup"}
        assert len(set(owners.values())) == len(DAEMONS), "a user each"
        for name in DAEMONS:
            status = Path(f"/proc/{attached.pid(name)}/status").read_text()
            bounds = int(status.split("CapBnd:")[1].split()[0], 16)
            assert bounds == (DATA_CAPS if name in ("instance-manager", "storage-backup") else 0), name
            assert "NoNewPrivs:\t1" in status


def test_run_ends_when_the_stack_is_stopped_from_another_shell(stack: Command) -> None:
    with subprocess.Popen([*stack.argv, "run"], env=stack.env, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert any("Ctrl-C" in line for line in run.stdout)
        assert stack("down").returncode == 0
        assert run.wait(30) == 0
        assert "stopped from elsewhere" in run.stdout.read()


def test_run_that_cannot_start_leaves_nothing_running(stack: Command, programs: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = stack("run", PORT=str(other.getsockname()[1]))
    assert done.returncode == 1 and "is busy" in done.stderr
    assert not list((stack.state / "run").glob("*.json"))
