"""The command line: `stack.py up|down|run|status|fakes|migrate|image|env|psql`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import engine as engines, fakes, image, supervisor
from .core import Stack
from .engine_api import Engine
from .errors import StackError
from .follow import ends, follow
from .paths import PROJECT
from .say import Say, flush
from .wiring import DEFAULT_BIN

ABOUT = """\
up       start what is not running, in the background; again after anything
down     stop everything, the assistants' containers too; the data stays
run      up, then the logs; Ctrl-C is down
status   which parts run, where
fakes    put stand-ins for Telegram and the LLM beside the running stack (--off: back)
migrate  bring the database's schema up to date
image    make sure of the assistant's image (--check: ask the image anew)
env      what run.env holds
psql     a psql session as the owner of the tables
"""


def parser() -> argparse.ArgumentParser:
    """The arguments; settings come from the environment (deploy/env.example)."""
    p = argparse.ArgumentParser(prog="stack.py", description="Zaki's local stack.", epilog=ABOUT,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--state", default=str(PROJECT / ".zaki"), help="the state folder (default: .zaki)")
    p.add_argument("--bin", default=str(DEFAULT_BIN), help="where the daemons' programs are")
    p.add_argument("--no-supervisor", action="store_true", help="let a part that ends stay ended")
    p.add_argument("command", choices=["up", "down", "run", "status", "fakes", "migrate", "image", "env",
                                       "psql", "supervise"])
    p.add_argument("--off", action="store_true", help="fakes: take them away again")
    p.add_argument("--check", action="store_true", help="image: check it again")
    return p


def main(argv: list[str]) -> int:
    """Exit status 0, or 1 with a sentence that says what to do."""
    args = parser().parse_args(argv)
    try:
        status = COMMANDS[args.command](args)
    except StackError as e:
        print(f"\n{e.text()}", file=sys.stderr)
        status = 1
    except BrokenPipeError:
        status = 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        status = 130
    flush()
    return status


def _fresh(args: argparse.Namespace) -> Stack:
    return Stack(args.state, inherit_env=True, bin_dir=args.bin, supervise=not args.no_supervisor, say=Say())


def _running(args: argparse.Namespace) -> Stack:
    stack = Stack.attach(args.state, Say())
    if stack is None:
        raise StackError("no stack is running here", "start it with: make up")
    return stack


def cmd_up(args: argparse.Namespace) -> int:
    """Starts everything and returns."""
    begin = time.monotonic()
    stack = _fresh(args)
    stack.say.line(f"Zaki's local stack in {_short(stack.paths.asked)}")
    env = stack.up()
    if stack.paths.relocated:
        stack.say.line("  (the servers' users can't enter the project's folder: "
                       f"the state lies in {stack.paths.state})")
    stack.say.line(f"\nReady in {time.monotonic() - begin:.1f} s:  {env.get('PUBLIC_URL', '')}\n"
                   f"  addresses: {_short(stack.paths.asked / 'run.env')}   logs: {_short(stack.paths.asked / 'log')}\n"
                   "  stop it with: make down")
    return 0


def cmd_down(args: argparse.Namespace) -> int:
    """Stops everything; nothing to stop is fine."""
    stack = Stack.attach(args.state, Say())
    if stack is None:
        stack = Stack(args.state, say=Say())
        if not stack.paths.asked.exists():
            stack.say.line("no stack is running here")
            return 0
    stack.down()
    return 0


def cmd_run(args: argparse.Namespace) -> int:
    """In the foreground: logs until Ctrl-C, then down."""
    signal.signal(signal.SIGTERM, _interrupt)
    failure = None
    try:
        cmd_up(args)
        stack = _running(args)
        settings, logs = stack.paths.state / "settings.json", stack.paths.state / "log"
        shown = ends(logs, [*stack.parts, *fakes.NAMES, "supervisor"])
        stack.say.line("  Ctrl-C stops it\n")  # whatever happens from here on is shown
        follow(logs, shown, settings.exists)
        print("stopped from elsewhere", flush=True)
        return 0
    except KeyboardInterrupt:
        print("\nstopping …", flush=True)
    except BrokenPipeError:  # whoever read the logs has gone, as at Ctrl-C
        pass
    except StackError as e:
        failure = e
        print(f"\n{e.text()}\nstopping what was started …", file=sys.stderr, flush=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave half a stack
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    status = cmd_down(args)
    return 1 if failure else status


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def cmd_status(args: argparse.Namespace) -> int:
    """One line a part; exit status 1 where one that should run does not."""
    stack = _running(args)
    lost = 0
    for name in (*stack.wanted(), *(["supervisor"] if stack.supervise else [])):
        record = stack.runner.alive(name)
        stack.say.part(name, f"pid {record.pid:<8} {record.address}".rstrip() if record else "is not running")
        lost += not record
    for name in stack.parts:
        if stack.is_external(name):
            stack.say.part(name, "somebody else's, by the settings")
    return 1 if lost else 0


def cmd_fakes(args: argparse.Namespace) -> int:
    """Telegram and LLM: the stand-ins, or the real ones again."""
    env = _running(args).fakes(not args.off)
    for name in ("TELEGRAM_FAKE_URL", "LLM_FAKE_URL"):
        if name in env:
            print(f"{name}={env[name]}")
    return 0


def cmd_migrate(args: argparse.Namespace) -> int:
    """Against the running stack, or against DATABASE_URL."""
    stack = Stack.attach(args.state, Say())
    if stack is None:
        if not os.environ.get("DATABASE_URL") and not os.environ.get("DATABASE_URL_FILE"):
            raise StackError("no stack is running here", "start it with: make up, or set DATABASE_URL")
        stack = _fresh(args)
        stack.paths.make()
    print(stack.migrate(), end="")
    return 0


def cmd_image(args: argparse.Namespace) -> int:
    """The image alone, on the engine that `up` would use."""
    stack = Stack.attach(args.state, Say()) or _fresh(args)
    stack.paths.make()
    host = stack.docker_host
    if not host:
        host, own = engines.EngineChoice(stack.paths, stack.settings.get("DOCKER_HOST")).find()
        if own and not Engine(host).alive():
            raise StackError("the stack's own Docker engine is not running", "start it with: make up")
    name = stack.image_name()
    how = image.ensure(Engine(host), name, stack.settings.get("OPENCLAW_PULL_FROM"),
                       stack.paths.state / "cache", stack.say)
    if args.check and how == "found":
        image.check(Engine(host), name, stack.say)
    print(f"{name} {how}")
    return 0


def cmd_env(args: argparse.Namespace) -> int:
    """KEY=value lines."""
    for key, value in _running(args).env().items():
        print(f"{key}={value}")
    return 0


def cmd_psql(args: argparse.Namespace) -> int:
    """Interactive, with the password in this child's environment only."""
    from .postgres import split_url
    env = os.environ | split_url(_running(args).database_url())
    return subprocess.run(["psql"], env=env, check=False).returncode


def cmd_supervise(args: argparse.Namespace) -> int:
    """What `up` leaves running."""
    return supervisor.run(args.state)


def _short(path: Path) -> str:
    """Relative to where the person stands, where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


COMMANDS = {"up": cmd_up, "down": cmd_down, "run": cmd_run, "status": cmd_status, "fakes": cmd_fakes,
            "migrate": cmd_migrate, "image": cmd_image, "env": cmd_env, "psql": cmd_psql,
            "supervise": cmd_supervise}
