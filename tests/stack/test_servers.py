"""PostgreSQL, Redis and nats-server as the stack runs them: what they survive, what they refuse."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from stack import SERVERS, Stack, StackError
from stack.ports import is_free
from stack.process import Record, boot_id, stat


def servers_stack(state: Path, **more: object) -> Stack:
    return Stack(state, random_ports=True, parts=SERVERS, **more)  # type: ignore[arg-type]


def pids(stack: Stack) -> dict[str, int | None]:
    return {part: stack.pid(part) for part in SERVERS}


def gone(pid: int) -> bool:
    found = stat(pid)
    return found is None or found[0] == "Z"


def test_a_second_up_finds_everything_running(state: Path) -> None:
    first = servers_stack(state)
    env = first.up()
    before = pids(first)
    second = servers_stack(state)
    assert second.up() == env
    assert pids(second) == before


def test_down_ends_everything_and_up_finds_the_data(state: Path) -> None:
    stack = servers_stack(state)
    stack.up()
    stack.psql("CREATE TABLE kept (a int); INSERT INTO kept VALUES (7);")
    before = pids(stack)
    stack.down()
    assert all(pid and gone(pid) for pid in before.values())
    assert not (state / "run.env").exists()
    again = servers_stack(state)
    again.up()
    assert again.psql("SELECT a FROM kept;") == "7"


@pytest.mark.parametrize("part", SERVERS)
def test_a_killed_server_comes_back_with_up(state: Path, part: str) -> None:
    stack = servers_stack(state)
    stack.up()
    stack.psql("CREATE TABLE kept (a int); INSERT INTO kept VALUES (1);")
    killed = stack.kill_part(part)
    assert stack.pid(part) is None
    stack.up()
    assert stack.pid(part) not in (None, killed)
    assert stack.psql("SELECT a FROM kept;") == "1"


def test_a_stack_killed_as_a_whole_comes_back(state: Path) -> None:
    stack = servers_stack(state)
    stack.up()
    stack.psql("CREATE TABLE kept (a int); INSERT INTO kept VALUES (1);")
    for part in SERVERS:
        stack.kill_part(part)
    again = servers_stack(state)
    again.up()
    assert again.psql("SELECT a FROM kept;") == "1"


def test_a_machine_restart_is_survived(state: Path) -> None:
    """After it no pid means what it meant: records and postmaster.pid may name strangers."""
    stack = servers_stack(state)
    stack.up()
    for part in SERVERS:
        stack.kill_part(part)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        for part in SERVERS:
            file = state / "run" / f"{part}.json"
            record = stack.runner.record(part)
            assert record
            text = file.read_text().replace(str(record.pid), str(stranger.pid)).replace(boot_id(), "another-boot")
            file.write_text(text)
        pid_file = state / "postgres" / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines() if pid_file.exists() else ["0"]
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        stack.up()
        assert stranger.poll() is None, "a stranger's process was ended"
        assert stack.psql("SELECT 1;") == "1"
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_whose_record_was_lost_is_ended_first(state: Path) -> None:
    """`up` killed between starting a part and writing its record leaves such."""
    stack = servers_stack(state)
    stack.up()
    lost = {part: stack.pid(part) for part in SERVERS}
    for part in SERVERS:
        (state / "run" / f"{part}.json").unlink()
    again = servers_stack(state)
    again.up()
    for part, pid in lost.items():
        assert pid and gone(pid)
    assert again.env() == stack.env(), "the ports are free again"
    assert again.psql("SELECT 1;") == "1"


def test_the_ports_stay_the_same_over_a_restart(state: Path) -> None:
    stack = servers_stack(state)
    env = stack.up()
    stack.down()
    assert servers_stack(state).up() == env


def test_a_port_that_was_taken_meanwhile_is_replaced(state: Path) -> None:
    stack = servers_stack(state)
    stack.up()
    port = stack.ports.get("REDIS_PORT")
    stack.down()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        again = servers_stack(state)
        again.up()
        assert again.ports.get("REDIS_PORT") != port


def test_a_port_that_a_person_named_is_not_replaced(state: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        stack = servers_stack(state, env_overrides={"REDIS_PORT": str(port)})
        with pytest.raises(StackError) as e:
            stack.up()
        assert f"REDIS_PORT={port} is busy" in str(e.value)
        assert f"pid {os.getpid()}" in str(e.value)


def test_two_stacks_run_beside_each_other(state: Path, servers: Stack) -> None:
    mine = servers_stack(state)
    env = mine.up()
    assert not set(env.values()) & set(servers.env().values())
    mine.kill_part("redis")
    assert servers.pid("redis")


def test_two_ups_at_once_start_one_stack(state: Path) -> None:
    stacks = [servers_stack(state), servers_stack(state)]
    threads = [threading.Thread(target=s.up) for s in stacks]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert pids(stacks[0]) == pids(stacks[1])
    assert None not in pids(stacks[0]).values()


@pytest.mark.parametrize("role", ["zaki_auth", "zaki_instance_manager"])
@pytest.mark.parametrize("sql, said", [
    ("CREATE TABLE x (a int);", "permission denied for schema public"),
    ("CREATE TEMP TABLE x (a int);", "permission denied to create temporary tables"),
    ("CREATE SCHEMA x;", "permission denied for database zaki"),
    ("SELECT * FROM owned_by_the_owner;", "permission denied for table owned_by_the_owner"),
    ("SET ROLE zaki_owner;", "permission denied to set role"),
    ("CREATE ROLE x;", "permission denied to create role"),
    ("\\connect postgres", "permission denied for database"),
])
def test_a_service_role_may_do_nothing_that_was_not_granted(servers: Stack, role: str, sql: str, said: str) -> None:
    servers.psql("CREATE TABLE IF NOT EXISTS owned_by_the_owner (a int);")
    assert servers.psql("SELECT 1;", role) == "1"
    with pytest.raises(StackError, match=said):
        servers.psql(sql, role)


def test_making_the_roles_is_repeatable(servers: Stack) -> None:
    servers.postgres().make_roles()
    servers.postgres().make_roles()
    assert servers.psql("SELECT current_user;") == "zaki_owner"


def test_nothing_secret_is_in_arguments_or_environment(servers: Stack) -> None:
    secrets = {p.read_text().strip() for p in (servers.paths.state / "secrets").glob("*.key")}
    assert secrets
    for part in SERVERS:
        proc = Path(f"/proc/{servers.pid(part)}")
        seen = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
        assert not any(s.encode() in seen for s in secrets)
        assert not any(s in servers.log(part) for s in secrets)


def test_secrets_are_readable_by_their_owner_alone(servers: Stack) -> None:
    for path in [*(servers.paths.state / "secrets").glob("*.key"), servers.paths.state / "run.env",
                 servers.paths.state / "settings.json"]:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_root_no_server_is_root_and_none_can_dump_core(servers: Stack) -> None:
    for part in SERVERS:
        status = Path(f"/proc/{servers.pid(part)}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert "0" not in fields["Uid"].split()
        assert fields["NoNewPrivs"] == "1"
        assert int(fields["CapEff"], 16) == 0 and int(fields["CapBnd"], 16) == 0
        limits = Path(f"/proc/{servers.pid(part)}/limits").read_text()
        assert next(line for line in limits.splitlines() if line.startswith("Max core")).split()[4] == "0"


def test_a_reused_pid_is_never_signalled(servers: Stack) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        found = stat(stranger.pid)
        assert found
        stale = Record("stale", stranger.pid, found[1] - 5, boot_id(), 0)
        servers.runner.signal(stale, signal.SIGKILL)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_port_that_others_know_never_moves(state: Path) -> None:
    """Daemons that run know Redis by its port: a Redis that came back on another one would be nobody's."""
    stack = servers_stack(state)
    port = int(stack.up()["REDIS_URL"].rsplit(":", 1)[1].split("/")[0])
    stack.kill_part("redis")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        for start in (lambda: stack.start_part("redis"), lambda: stack.revive("redis"), servers_stack(state).up):
            with pytest.raises(StackError, match=rf"REDIS_PORT={port} is busy: python3.*\(pid {os.getpid()}\)"):
                start()
    stack.up()
    assert f":{port}" in stack.env()["REDIS_URL"]
    assert stack.pid("redis")


# A server whose first thread has ended and whose other one has not: what a kill leaves for a moment.
HALF_GONE = """
import ctypes, platform, socket, threading, time
s = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(60,)).start()
print(s.getsockname()[1], flush=True)
ctypes.CDLL(None).syscall(60 if platform.machine() == "x86_64" else 93, 0)  # exit of this thread alone
"""


def test_a_process_has_ended_when_its_last_thread_has(servers: Stack) -> None:
    child = subprocess.Popen(["/usr/bin/python3", "-c", HALF_GONE], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout
        port = int(child.stdout.readline())
        found = stat(child.pid)
        while found and found[0] != "Z":
            found = stat(child.pid)
        assert found and not is_free(port)
        record = Record("half", child.pid, found[1], boot_id(), 0)
        assert servers.runner.is_running(record)
        servers.runner.signal(record, signal.SIGKILL)
        assert servers.runner.gone(record, 10)
        assert is_free(port)
    finally:
        child.kill()
        child.wait()
