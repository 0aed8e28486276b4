"""The stub in real containers, against the fake Bot API: it behaves as the real one does."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import HERE, PATIENCE_S, Fake

TOKEN = "777001:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi"
SECRET = "gateway-token-0123456789"
OWNER = 4242
REMOVALS: list[subprocess.Popen[bytes]] = []  # of containers, beside the tests that follow


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def has_engine() -> bool:
    return shutil.which("docker") is not None and subprocess.run(
        ["docker", "version"], capture_output=True, timeout=20).returncode == 0


pytestmark = pytest.mark.skipif(not has_engine(), reason="no Docker engine")


@pytest.fixture(scope="session")
def image() -> str:
    done = subprocess.run([str(HERE / "stub" / "build.sh")], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def network() -> Iterator[tuple[str, str]]:
    """A network of these tests' own, and the address under which its containers see the host."""
    name = f"zaki-test-stub-{uuid.uuid4().hex[:8]}"
    docker("network", "create", name)
    config = json.loads(docker("network", "inspect", name))[0]["IPAM"]["Config"][0]
    gateway = config.get("Gateway") or str(ipaddress.ip_network(config["Subnet"])[1])
    yield name, gateway
    for removal in REMOVALS:
        removal.wait(timeout=120)
    docker("network", "rm", name)


@pytest.fixture
def bot_api(network: tuple[str, str], tmp_path: Path) -> Iterator[Fake]:
    fake = Fake("telegram.py", "--host", network[1], log=tmp_path / "telegram.log")
    fake.post("/_control/bots", {"token": TOKEN, "username": "stub_bot", "name": "Stub"})
    yield fake
    assert fake.stop() == 0


class Stub:
    """One instance: its state directory and its container."""

    def __init__(self, image: str, network: str, api: str, base: Path) -> None:
        self.image, self.network = image, network
        self.state = base / ".openclaw"
        self.state.mkdir()
        os.chown(self.state, 1000, 1000)
        self.name = f"zaki-test-stub-{uuid.uuid4().hex[:12]}"
        self.conf: dict[str, Any] = {
            "gateway": {"mode": "local", "port": 18789, "bind": "lan",
                        "auth": {"mode": "token", "token": SECRET}},
            "plugins": {"entries": {"admin-http-rpc": {"enabled": True}}},
            "channels": {"telegram": {"enabled": True, "botToken": TOKEN, "apiRoot": api,
                                      "dmPolicy": "allowlist", "allowFrom": [str(OWNER)]}}}

    def write(self, name: str, value: Any) -> None:
        """Replaces a file at once, as instance-manager does."""
        part = self.state / (name + ".part")
        part.write_text(value if isinstance(value, str) else json.dumps(value))
        part.chmod(0o600)
        os.chown(part, 1000, 1000)
        part.rename(self.state / name)

    def start(self, *options: str, steer: Any = None) -> None:
        self.write("openclaw.json", self.conf)
        if steer is not None:
            self.write("stub.json", steer)
        docker("run", "-d", "--name", self.name, "--network", self.network, "--init",
               "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "1000:1000",
               "-v", f"{self.state}:/home/node/.openclaw", *options, self.image)

    @property
    def url(self) -> str:
        networks = self.inspect()["NetworkSettings"]["Networks"]
        return f"http://{networks[self.network]['IPAddress']}:18789"

    def inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker("inspect", self.name))[0]
        return found

    def ask(self, path: str, body: Any = None, token: str | None = None,
            timeout: float = 5) -> tuple[int, Any]:
        request = urllib.request.Request(self.url + path,
                                         None if body is None else json.dumps(body).encode())
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, decoded(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, decoded(e.read())
        except (urllib.error.URLError, OSError):
            return 0, None

    def rpc(self, method: str, **params: Any) -> Any:
        status, answer = self.ask("/api/v1/admin/rpc", {"method": method, "params": params}, SECRET)
        assert status == 200 and answer["ok"] is True, answer
        return answer["payload"]

    def account(self) -> dict[str, Any]:
        found: dict[str, Any] = self.rpc("channels.status")["channelAccounts"]["telegram"][0]
        return found

    def ready(self) -> bool:
        return self.ask("/readyz") == (200, {"ready": True})

    def exited(self) -> bool:
        return bool(self.inspect()["State"]["Status"] == "exited")


def decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.02)
    return value


@pytest.fixture
def stub(image: str, network: tuple[str, str], bot_api: Fake, tmp_path: Path) -> Iterator[Stub]:
    one = Stub(image, network[0], bot_api.url, tmp_path)
    yield one
    REMOVALS.append(subprocess.Popen(["docker", "rm", "-f", one.name], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL))


def said(fake: Fake, text: str, sender: int = OWNER) -> list[Any]:
    """A person writes; what the bot sends next, or nothing where nothing comes soon."""
    wait = 2 if sender == OWNER else 0.3
    before = fake.post("/_control/bots/777001/messages",
                       {"from": {"id": sender}, "text": text})["sent_seq"]
    sent: list[Any] = fake.get(f"/_control/bots/777001/sent?since={before}&wait={wait}")["sent"]
    return [(s["chat_id"], s["text"]) for s in sent]


def test_the_owner_is_answered_and_strangers_are_not(stub: Stub, bot_api: Fake) -> None:
    stub.start()
    wait_for(stub.ready)
    assert stub.ask("/healthz") == stub.ask("/health") == (200, {"ok": True, "status": "live"})
    assert stub.ask("/readyz", token=SECRET)[1]["failing"] == []
    status, page = stub.ask("/no/such/page")
    assert status == 200 and page.startswith("<!doctype html>")
    assert said(bot_api, "hé \"q\"\n🎉") == [(OWNER, "echo: hé \"q\"\n🎉")]
    assert said(bot_api, "let me in", sender=666) == []
    # Stops when told to, cleanly, and after the next start repeats nothing and has lost nothing.
    docker("stop", "-t", "60", stub.name)
    assert stub.inspect()["State"]["ExitCode"] == 0
    bot_api.post("/_control/bots/777001/messages", {"from": {"id": OWNER}, "text": "while away"})
    docker("start", stub.name)
    answer = bot_api.get("/_control/bots/777001/sent?since=1&wait=60")["sent"]
    assert [s["text"] for s in answer] == ["echo: while away"]


def test_the_admin_calls_have_the_real_shapes(stub: Stub) -> None:
    stub.start()
    wait_for(stub.ready)
    call = "/api/v1/admin/rpc"
    unauthorized = (401, {"error": {"message": "Unauthorized", "type": "unauthorized"}})
    assert stub.ask(call, {"method": "health"}) == unauthorized
    assert stub.ask(call, {"method": "health"}, SECRET + "x") == unauthorized
    assert stub.ask(call, "no object", SECRET)[0] == 400
    status, answer = stub.ask(call, {"method": "nope"}, SECRET)
    assert (status, answer["error"]["code"]) == (400, "INVALID_REQUEST")
    status, answer = stub.ask(call, {"method": "device.pair.approve", "params": {"requestId": "x"}},
                              SECRET)
    assert (status, answer["error"]["message"]) == (400, "unknown requestId")
    assert stub.rpc("health")["ok"] is True and stub.rpc("status")["runtimeVersion"] == "2026.9.6"
    status_of = stub.rpc("channels.status", probe=True)
    account = status_of["channelAccounts"]["telegram"][0]
    assert (account["lifecycle"], account["running"], account["connected"]) == ("ready", True, True)
    assert account["probe"]["bot"]["username"] == "stub_bot" and status_of["statusIssues"] == []
    samples = HERE / "samples"
    for name, mine in (("channels-status-good-probe.json", status_of),
                       ("health.json", stub.rpc("health"))):
        real = json.loads((samples / name).read_text())["payload"]
        assert set(mine) <= set(real), name
        assert set(mine["channels"]["telegram"]) <= set(real["channels"]["telegram"]), name


def test_a_bad_token_blocks_until_a_new_one_comes(stub: Stub, bot_api: Fake) -> None:
    good = stub.conf["channels"]["telegram"]["botToken"]
    stub.conf["channels"]["telegram"]["botToken"] = "777002:" + "x" * 35
    stub.start()
    wait_for(lambda: stub.ask("/healthz")[0] == 200)
    account = wait_for(lambda: (a := stub.account())["lifecycle"] == "blocked" and a)
    assert account["terminalDisconnect"] is True and account["running"] is False
    assert "401" in account["lastError"]
    assert stub.ask("/readyz") == (503, {"ready": False})
    assert stub.ask("/readyz", token=SECRET)[1]["failing"] == ["telegram"]
    # The same token is looked at again when asked to; a new one is taken by itself.
    bot_api.post("/_control/bots", {"token": "777002:" + "x" * 35})
    assert stub.rpc("channels.start", channel="telegram")["started"] is True
    wait_for(stub.ready)
    stub.conf["channels"]["telegram"]["botToken"] = good
    stub.write("openclaw.json", stub.conf)
    wait_for(lambda: bot_api.get("/_control/bots/777001")["polling"])
    assert said(bot_api, "hi") == [(OWNER, "echo: hi")]
    # A bad edit is skipped; a new gateway token works at once.
    stub.write("openclaw.json", "{ nope")
    time.sleep(0.6)
    assert stub.ready()
    stub.conf["gateway"]["auth"]["token"] = "another"
    stub.write("openclaw.json", stub.conf)
    wait_for(lambda: stub.ask("/api/v1/admin/rpc", {"method": "health"}, "another")[0] == 200)


def test_a_second_poller_is_named(stub: Stub, bot_api: Fake) -> None:
    stub.start()
    wait_for(stub.ready)
    bot_api.raw("GET", f"/bot{TOKEN}/getUpdates?timeout=0")
    account = stub.account()
    assert account["lifecycle"] in ("recovering", "ready")
    wait_for(lambda: bot_api.get("/_control/bots/777001")["conflicts"] >= 1)
    stub.write("stub.json", {"telegram": "conflict"})
    account = wait_for(lambda: (a := stub.account())["lifecycle"] == "recovering" and a)
    assert account["lastError"].startswith("Telegram getUpdates conflict: Conflict: terminated by")
    assert stub.ask("/readyz")[0] == 503
    (stub.state / "stub.json").unlink()
    wait_for(stub.ready)


@pytest.mark.parametrize("change, why", [
    (lambda c: c["gateway"].pop("mode"), "gateway.mode"),
    (lambda c: c.update(agent={}), "agent"),
    (lambda c: c["channels"]["telegram"].update(dmPolicy="friends"), "dmPolicy"),
    (lambda c: c["gateway"].update(bind="0.0.0.0"), "gateway.bind")],
    ids=["no mode", "unknown key", "bad policy", "bad bind"])
def test_a_refused_config_exits_with_78(stub: Stub, change: Callable[[Any], Any], why: str) -> None:
    change(stub.conf)
    stub.start()
    wait_for(stub.exited)
    assert stub.inspect()["State"]["ExitCode"] == 78
    done = subprocess.run(["docker", "logs", stub.name], capture_output=True, text=True, timeout=20)
    assert why in done.stderr


def test_pairing_offers_a_code_once_and_open_answers_all(stub: Stub, bot_api: Fake) -> None:
    telegram = stub.conf["channels"]["telegram"]
    telegram["dmPolicy"] = "pairing"
    del telegram["allowFrom"]
    stub.start()
    wait_for(stub.ready)
    ((chat, text),) = said(bot_api, "hi", sender=7)
    assert chat == 7 and "Pairing code:" in text and "Your Telegram user id: 7" in text
    assert said(bot_api, "hi again", sender=7) == []
    telegram.update(dmPolicy="open", allowFrom=["*"])
    stub.write("openclaw.json", stub.conf)
    wait_for(lambda: said(bot_api, "now?", sender=8) == [(8, "echo: now?")])


def test_it_fails_as_steered(stub: Stub) -> None:
    stub.start("--memory", "32m", "--memory-swap", "32m", "--restart", "unless-stopped",
               steer={"live_ms": 200, "ready_ms": 500})
    wait_for(lambda: stub.ask("/healthz")[0] == 200)
    assert stub.ask("/readyz")[0] == 503
    wait_for(stub.ready)
    stub.write("stub.json", {"healthz": "500"})
    wait_for(lambda: stub.ask("/healthz")[0] == 500)
    stub.write("stub.json", {"healthz": "hang"})
    wait_for(lambda: stub.ask("/healthz", timeout=0.3)[0] == 0)
    assert stub.ready()
    # Once: it exits, the engine restarts it, and it is well again.
    stub.write("stub.json", {"exit_after_ms": 0, "exit_code": 3, "once": True})
    wait_for(lambda: stub.inspect()["RestartCount"] == 1)
    wait_for(stub.ready)
    assert not (stub.state / "stub.json").exists()
    stub.write("stub.json", {"oom": True, "once": True})
    wait_for(lambda: stub.inspect()["RestartCount"] == 2)
    assert stub.inspect()["State"]["OOMKilled"] is True
    wait_for(stub.ready)


def test_it_can_refuse_to_stop(stub: Stub) -> None:
    stub.start(steer={"stop_ms": -1})
    wait_for(stub.ready)
    docker("stop", "-t", "1", stub.name)
    assert stub.inspect()["State"]["ExitCode"] == 137
