"""The daemons as processes: how they start, what they say of themselves, how they end. (The stack's own
commands are tested in tests/stack.)"""

from __future__ import annotations

import os
import subprocess
import threading
import time

import pytest

from zaki.api import Answer, expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import BIN, DAEMONS, Suite
from zaki.telegram import Bot

TRIES = 3  # of what a machine that stands still for longer than a request may take spoils


def run(name: str, *args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / name), *args], env={"PATH": "/usr/bin:/bin", **(env or {})}, timeout=60,
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", DAEMONS)
def test_help_names_every_setting(suite: Suite, name: str) -> None:
    from stack.settings import DAEMONS as GIVEN
    done = run(name, "--help")
    assert done.returncode == 0
    for setting in GIVEN[name]:
        assert setting in done.stdout, setting


@pytest.mark.parametrize("name", DAEMONS)
def test_nothing_set(name: str) -> None:
    """One line that names the variable, and a status that is not 0."""
    import json
    for args in ((), ("--check-config",)):
        done = run(name, *args)
        assert done.returncode != 0
        lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
        assert len(lines) == 1 and "NATS_URL" in lines[0], done.stderr
        json.loads(lines[0])


GOOD = {
    "NATS_URL": "nats://gateway:x@127.0.0.1:1", "BUS_KEY": "k" * 40, "REDIS_URL": "redis://127.0.0.1:1",
    "EVENTS_NATS_URL": "nats://realtime-fanout-events:x@127.0.0.1:1",
    "JWT_SECRET": "j" * 40, "PUBLIC_URL": "http://localhost:8080", "ENCRYPTION_KEY": "e" * 40,
    "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/zaki", "DATA_DIR": "/tmp", "OPENCLAW_IMAGE": "zaki/x:1",
    "DEFAULT_MODEL": "fake/echo", "DEFAULT_PROVIDER_BASE_URL": "http://127.0.0.1:1/v1", "DEFAULT_PROVIDER_API_KEY": "x",
    "STORAGE_URL": "file:///tmp", "MAIL_DIR": "/tmp", "IDENTITY_KEY": "i" * 40,
}


@pytest.mark.parametrize("name, setting, value", [
    ("gateway", "JWT_SECRET", "short"), ("gateway", "BUS_KEY", "short"), ("gateway", "PORT", "0x"),
    ("gateway", "PORT", "70000"), ("gateway", "RATE_API_PER_MIN", "-1"), ("gateway", "TRUSTED_PROXIES", "not-an-address"),
    ("gateway", "LOG_LEVEL", "loud"), ("gateway", "HTTP_THREADS", "many"), ("gateway", "CORS_ORIGINS", "nonsense"),
    ("auth", "TLS_CA_FILE", "/nonexistent/ca.pem"), ("gateway", "TLS_CA_FILE", "/etc/hostname"),
    ("auth", "JWT_SECRET", ""), ("auth", "HASH_WORKERS", "-3"), ("auth", "DATABASE_URL", ""),
    ("auth", "IDENTITY_KEY", "short"), ("auth", "IDENTITY_KEY_PREVIOUS", "short"), ("auth", "SMTP_TLS", "maybe"),
    ("auth", "SMTP_URL", "ftp://localhost/"), ("auth", "MAIL_FROM", "nobody"), ("auth", "PUBLIC_URL", "localhost"),
    ("instance-manager", "ENCRYPTION_KEY", "short"), ("instance-manager", "INSTANCE_REACH", "moon"),
    ("instance-manager", "INSTANCES_FREE", "x"), ("instance-manager", "DOCKER_HOST", "nonsense"),
    ("storage-backup", "ENCRYPTION_KEY", "short"), ("storage-backup", "DATA_DIR", "relative"),
    ("storage-backup", "BACKUPS_AT_ONCE", "0"), ("storage-backup", "BACKUP_INCREMENTAL_HOURS", "25"),
    ("realtime-fanout", "REDIS_URL", ""), ("realtime-fanout", "EVENTS_NATS_URL", ""),
    ("realtime-fanout", "BUS_WORKERS", "0"),
])
def test_a_bad_setting_is_named(name: str, setting: str, value: str) -> None:
    assert run(name, "--check-config", env=GOOD).returncode == 0, run(name, "--check-config", env=GOOD).stderr
    done = run(name, "--check-config", env={**GOOD, setting: value})
    assert done.returncode != 0
    assert setting in done.stderr, done.stderr
    assert not value or len(value) < 6 or "KEY" not in setting or value not in done.stderr


def test_a_secret_twice_is_refused(tmp_path: os.PathLike[str]) -> None:
    file = os.path.join(tmp_path, "key")
    with open(file, "w", encoding="ascii") as out:
        out.write("k" * 40 + "\n")
    good = {k: v for k, v in GOOD.items() if k != "BUS_KEY"}
    assert run("gateway", "--check-config", env={**good, "BUS_KEY_FILE": file}).returncode == 0
    assert run("gateway", "--check-config", env={**GOOD, "BUS_KEY_FILE": file}).returncode != 0
    assert run("gateway", "--check-config", env={**good, "BUS_KEY_FILE": file + "x"}).returncode != 0


def answers_while_it_ends(suite: Suite, person: Person, name: str, instance: str) -> list[Answer | None]:
    """What is answered to those who ask on and on while a daemon is told to end; None: nothing was."""
    answers: list[Answer | None] = []
    end = threading.Event()

    def work(path: str) -> None:
        while not end.is_set():
            try:
                answers.append(person.api.get(path))
            except OSError:
                answers.append(None)  # the gateway's port is closed

    threads = [threading.Thread(target=work, args=(path,))
               for path in ("/users/me", "/instances", f"/instances/{instance}")]
    for t in threads:
        t.start()
    with suite.socket(person.access_token) as ws:
        ws.subscribe(f"instance.{instance}")
        while len(answers) < 30:
            time.sleep(0.01)
        how, status = suite.stop(name)
    end.set()
    for t in threads:
        t.join()
    assert (how, status) == ("stopped", 0), suite.log(name)[-2000:]
    return answers


@pytest.mark.disturbs
@pytest.mark.core
@pytest.mark.parametrize("name", DAEMONS)
def test_sigterm_ends_with_0_and_answers_what_is_under_way(suite: Suite, ada: Person, bot: Bot, name: str) -> None:
    """Under load: nobody gets anything but a good answer or a clear 503, and the exit status is 0."""
    instance = ada.running(bot)["id"]
    for _ in range(TRIES):
        suite.stack.restart_part(name)  # a child of this process, so that its status is known
        ada.wait(instance, "running")
        answers = answers_while_it_ends(suite, ada, name, instance)
        suite.stack.start_part(name)
        wait_until(lambda: ada.api.get("/instances").status == 200)
        expect(ada.api.get("/users/me"), 200)
        late = [answer for answer in answers if answer and answer.status == 504]
        if not late:
            break
    assert not late, [str(answer) for answer in late]
    for answer in answers:
        assert answer.status in (200, 503) if answer else name == "gateway", str(answer)


def test_two_of_each(suite: Suite, ada: Person, bot: Bot) -> None:
    """Any number may run: with a second of each, work goes on and nothing happens twice."""
    for kind in ("realtime-fanout", "auth", "instance-manager", "storage-backup"):
        suite.start_extra(kind, f"{kind}-2", {})
    try:
        instance = ada.running(bot, owner_telegram_id=7)["id"]
        with suite.socket(ada.access_token) as ws:
            ws.subscribe(f"instance.{instance}")
            ada.act(instance, "stop", "stopped")
            ada.act(instance, "start", "running")
            ws.expect("instance.status", 20, lambda f: f["data"]["status"] == "running")
            positions = [f["position"] for f in ws.seen if f["event"] == "instance.status"]
            assert len(positions) == len(set(positions))
        assert len(suite.containers(instance)) == 1
        bot.wait_polled()
        assert bot.says(bot.hears(7, "once"), text="once")
        assert bot.shown()["conflicts"] == 0
        for _ in range(20):
            expect(ada.api.get("/users/me"), 200)
    finally:
        for name in list(suite.extra):
            assert suite.end_extra(name) == "stopped"
