"""Stand-ins for the outside parties: a Telegram Bot API and an LLM, beside a running stack."""

from __future__ import annotations

from pathlib import Path

from .errors import StackError
from .paths import PROJECT, Paths
from .process import Record, Runner, Spec
from .secrets import Secrets
from .users import me

NAMES = ("fake-telegram", "fake-llm")
SCRIPTS = {"fake-telegram": "telegram.py", "fake-llm": "llm.py"}
PORTS = {"fake-telegram": "TELEGRAM_FAKE_PORT", "fake-llm": "LLM_FAKE_PORT"}
FOLDER = PROJECT / "tests" / "fakes"


def spec(name: str, paths: Paths, runner: Runner, host: str, port: int) -> Spec:
    """On the address that the assistants' network has on this machine: the containers and the
    machine itself both reach it there."""
    script = FOLDER / SCRIPTS[name]
    if not script.exists():
        raise StackError(f"{script} is missing")
    state = paths.state / name
    state.mkdir(mode=0o700, exist_ok=True)
    argv = ["/usr/bin/python3", str(script), "--host", host, "--port", str(port), "--state", str(state)]

    def ready(record: Record) -> bool:
        return any(line.split(" ")[0] == "ready" for line in runner.log_since(record).splitlines())

    return Spec(name=name, argv=argv, user=me(), env={"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
                ready=ready, address=f"http://{host}:{port}", stop_timeout=5, cwd=Path("/"))


def settings(telegram: str, llm: str, secrets: Secrets) -> dict[str, str]:
    """What instance-manager is told while the fakes stand in."""
    return {
        "TELEGRAM_API_URL": telegram,
        "OPENCLAW_TELEGRAM_API_URL": telegram,
        "DEFAULT_PROVIDER_BASE_URL": f"{llm}/v1",
        "DEFAULT_MODEL": "fake/echo",
        "PROVIDER_ALLOW_PRIVATE": "1",
        "DEFAULT_PROVIDER_API_KEY": secrets.get("fake_provider_key"),
    }
