"""The stack itself: which parts there are, in which order, and what each is told.

Usable as a library:

    stack = Stack("/tmp/zaki-test-1", random_ports=True, parts=("nats", "postgres", "redis"))
    stack.up(); stack.env()["NATS_URL"]; stack.kill_part("redis"); stack.start_part("redis")
    stack.destroy()
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterable, Iterator, Mapping

from . import daemons, engine as engines, fakes, image
from .engine_api import Engine
from .errors import StackError
from .paths import Paths, write_private
from .ports import Ports
from .process import Record, Runner, Spec
from .say import Say
from .secrets import Secrets
from .settings import DATABASE_URLS, Settings
from .users import me
from .wiring import DEFAULT_BIN, PARTS, PORT_OF, PROGRAMS, SERVERS, Wiring

# How long an orderly end may take before SIGKILL; the rest get 10 s.
STOP_SECONDS = {"engine": 40.0, "postgres": 20.0, "gateway": 15.0, "auth": 15.0,
                "instance-manager": 15.0, "realtime-fanout": 15.0, "storage-backup": 15.0}


class Stack(Wiring):
    """One stack in one state folder. Several may run on one machine, each in its own."""

    def __init__(self, state_dir: str | os.PathLike[str], env_overrides: Mapping[str, str] | None = None, *,
                 random_ports: bool = False, bin_dir: str | os.PathLike[str] = DEFAULT_BIN,
                 parts: Iterable[str] = PARTS, supervise: bool = False, inherit_env: bool = False,
                 daemon_prefix: Iterable[str] = (), say: Say | None = None) -> None:
        """`env_overrides` are settings as in the environment. The environment itself counts only with
        `inherit_env`: a test must not come upon somebody's real DATABASE_URL."""
        parts = tuple(parts)
        unknown = set(parts) - set(PARTS)
        if unknown:
            raise StackError(f"no such part: {', '.join(sorted(unknown))}")
        self.paths = Paths(state_dir)
        self.settings = Settings({**(dict(os.environ) if inherit_env else {}), **(env_overrides or {})})
        self.random_ports = random_ports
        self.bin_dir = Path(bin_dir).absolute()
        self.parts = tuple(p for p in PARTS if p in set(parts))
        self.supervise = supervise
        self.prefix = list(daemon_prefix)
        self.say = say or Say(quiet=True)
        self.runner = Runner(self.paths)
        self.secrets = Secrets(self.paths)
        self.fakes_on = self.settings.flag("FAKES")
        self.docker_host = ""
        self.ports = self._read_ports()

    # ---- what was started ----------------------------------------------------------------------

    @classmethod
    def attach(cls, state_dir: str | os.PathLike[str], say: Say | None = None) -> "Stack | None":
        """The stack as it was started in this folder, or None where none was."""
        paths = Paths(state_dir)
        kept = Settings.load(paths.state / "settings.json")
        if kept is None:
            return None
        settings, extra = kept
        stack = cls(state_dir, parts=extra["parts"], bin_dir=extra["bin_dir"],  # type: ignore[arg-type]
                    random_ports=bool(extra["random_ports"]), supervise=bool(extra["supervise"]),
                    daemon_prefix=extra["prefix"], say=say)  # type: ignore[arg-type]
        stack.settings = settings
        stack.fakes_on = bool(extra["fakes"])
        stack.docker_host = str(extra["docker_host"])
        stack._open()
        return stack

    def _open(self) -> None:
        """Folders, and everything that depends on where they are."""
        self.paths.make()
        self.secrets = Secrets(self.paths)
        self.ports = self._read_ports()

    def _read_ports(self) -> Ports:
        return Ports(self.paths.state / "ports.json", self.settings.ports(), self.random_ports)

    def _save(self) -> None:
        self.settings.save(self.paths.state / "settings.json", {
            "parts": list(self.parts), "bin_dir": str(self.bin_dir), "random_ports": self.random_ports,
            "supervise": self.supervise, "prefix": self.prefix, "fakes": self.fakes_on,
            "docker_host": self.docker_host})

    @contextmanager
    def _locked(self, wait: bool = True) -> Iterator[bool]:
        """One command at a time; a killed one's lock goes with its process. Says whether it is ours."""
        fd = os.open(self.paths.run("lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    yield False
                    return
                self.say.line("another command is at work on this stack; waiting for it")
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield True
        finally:
            os.close(fd)

    # ---- up and down ---------------------------------------------------------------------------

    def up(self) -> dict[str, str]:
        """Starts what is not running; repeatable, after anything. Returns env()."""
        self._open()
        with self._locked():
            running = [p for p in (*PARTS, *fakes.NAMES) if self.runner.alive(p)]
            had_fakes = self._keep_settings_of_the_running() if running else True
            for held in self.paths.state.glob("run/*.held"):
                held.unlink()
            self._save()
            may_move = not running
            self._start_all([p for p in SERVERS if p in self.parts and not self.is_external(p)], may_move)
            if "postgres" in self.parts and not self.is_external("postgres"):
                self.postgres().make_roles()
            self._prepare_engine()
            self._save()
            if any(p in self.parts for p in DATABASE_URLS):
                self.migrate()
            if self.fakes_on:
                self._start_all(list(fakes.NAMES), may_move or not had_fakes)
                if not had_fakes:
                    self._stop("instance-manager")  # it is told of them when it starts
            for together in (daemons.ORDER[:1], daemons.ORDER[1:]):
                self._start_all([p for p in together if p in self.parts], may_move)
            self._start_all(["edge"] if "edge" in self.parts else [], may_move)
            self._note_platform()
            self._write_env()
            if self.supervise:
                self._start_all(["supervisor"], may_move)
        return self.env()

    def _keep_settings_of_the_running(self) -> bool:
        """A running part keeps what it was started with, so the others must get the same. Returns
        whether the fakes were on."""
        kept = Settings.load(self.paths.state / "settings.json")
        if kept is None:
            return True
        old, extra = kept
        changed = sorted(n for n in {*old.values, *self.settings.values}
                         if n != "FAKES" and old.values.get(n) != self.settings.values.get(n))
        if changed:
            self.say.line(f"  the stack runs with other values of {', '.join(changed)}; "
                          "they count after the next `down`")
        old.passed = self.settings.passed
        self.settings = old
        self.docker_host = str(extra["docker_host"])
        had_fakes = bool(extra["fakes"])
        self.fakes_on = self.fakes_on or had_fakes
        self.ports = self._read_ports()
        return had_fakes

    def _start_all(self, names: list[str], may_move: bool) -> None:
        """Starts them together, then waits for each."""
        started: list[tuple[Spec, Record, float]] = []
        for name in names:
            record = self.runner.alive(name)
            if record:
                old = "(an older build; `down` and `up` take the new one)" if self.runner.is_outdated(record) else ""
                self.say.part(name, f"runs already  {record.address}  {old}".rstrip())
                continue
            begin = time.monotonic()
            spec = self._prepare(name, may_move)
            started.append((spec, self.runner.start(spec), begin))
        for spec, record, begin in started:
            spec = self._wait(spec, record, may_move)
            self.say.part(spec.name, spec.address or "ready", begin)

    def _wait(self, spec: Spec, record: Record, may_move: bool) -> Spec:
        """A random port may be lost to another stack between choosing and listening: then another."""
        for attempt in range(3):
            try:
                self.runner.wait_ready(spec, record)
                return spec
            except StackError:
                lost = "in use" in self.runner.log_since(record)
                self.runner.stop(spec.name)
                if not (lost and self.random_ports and attempt < 2):
                    raise
            spec = self._prepare(spec.name, may_move)
            record = self.runner.start(spec)
        return spec

    def _prepare(self, name: str, may_move: bool) -> Spec:
        """Ports, files and command line of a part that is about to start. may_move: no other part that
        runs has been told of its port, so it may get another one where that is busy."""
        if name == "postgres":
            ended = self.postgres().clear_stale()
        else:
            ended = self.runner.end_orphans(name, PROGRAMS.get(name, name))
        if ended:
            self.say.part(name, f"ended {ended} left over from a start that was cut short")
        self._claim(name, may_move)
        return self.spec(name, {})

    def _claim(self, name: str, may_move: bool) -> None:
        if name == "edge" and self.settings.get("PUBLIC_URL").startswith("https://"):
            return  # the name's own port, which nobody else's may stand in for
        host = self.network_gateway() if name in fakes.NAMES else "127.0.0.1"
        for port in PORT_OF.get(name, ()):
            _, note = self.ports.claim(port, host, may_move)
            if note:
                self.say.part(name, note)

    def down(self) -> None:
        """Ends everything in reverse order; the data stays."""
        self._open()
        with self._locked():
            begin = time.monotonic()
            self._stop("supervisor")
            for name in ("edge", *reversed(daemons.ORDER), *fakes.NAMES):
                self._stop(name)
            self._stop_containers()
            for name in ("engine", *reversed(SERVERS)):
                self._stop(name)
            if (self.paths.state / "docker").exists():
                engines.EngineChoice(self.paths, "").unmount()
            self.fakes_on = False
            for gone in ("settings.json", "run.env"):
                (self.paths.state / gone).unlink(missing_ok=True)
            self.say.part("all", "stopped; the data stays", begin)

    def destroy(self) -> None:
        """down(), and nothing is left: for stacks of tests."""
        engine, platform = self.engine(), self._platform()
        self._open()
        with self._locked():
            for keeper in ("supervisor", "instance-manager"):  # they would bring back what is removed
                self._stop(keeper)
        if engine and platform and engine.alive():
            engines.remove_containers(engine, platform)
        self.down()
        self.paths.remove()

    def _stop(self, name: str) -> str:
        begin = time.monotonic()
        # SIGINT is PostgreSQL's fast and clean shutdown; SIGTERM waits for every client to leave.
        sig = signal.SIGINT if name == "postgres" else signal.SIGTERM
        how = self.runner.stop(name, sig, STOP_SECONDS.get(name, 10.0))
        if how:
            self.say.part(name, how if how == "stopped" else "did not end in time and was killed", begin)
        return how

    # ---- single parts --------------------------------------------------------------------------

    def start_part(self, name: str, extra_env: Mapping[str, str] | None = None) -> Record:
        """Starts one part and waits until it serves; one that runs already is left alone."""
        with self._locked():
            # Under the lock, so that no supervisor starts it first, who waits for nothing.
            self.paths.run(f"{name}.held").unlink(missing_ok=True)
            record = self.runner.alive(name)
            if record:
                return record
            spec = self._prepare(name, may_move=False)
            spec.env.update(extra_env or {})
            record = self.runner.start(spec)
            self._wait(spec, record, may_move=False)
            self._write_env()
            return self.runner.record(name) or record

    def stop_part(self, name: str) -> str:
        """Ends one part in order; a supervisor leaves it alone until start_part()."""
        self.paths.run(f"{name}.held").touch()
        with self._locked():
            return self._stop(name)

    def kill_part(self, name: str, hold: bool = True) -> int:
        """kill -9. With hold=False a supervisor, where there is one, starts it again."""
        if hold:
            self.paths.run(f"{name}.held").touch()
        return self.runner.kill(name)

    def restart_part(self, name: str, extra_env: Mapping[str, str] | None = None) -> Record:
        """stop_part() and start_part()."""
        self.stop_part(name)
        return self.start_part(name, extra_env)

    def revive(self, name: str) -> bool:
        """For the supervisor: starts a part that has ended, unless a command is at work just now."""
        with self._locked(wait=False) as free:
            if not free or self.runner.alive(name) or self.paths.run(f"{name}.held").exists():
                return False
            self.runner.start(self._prepare(name, may_move=False))
            return True

    def pid(self, name: str) -> int | None:
        """A running part's pid."""
        record = self.runner.alive(name)
        return record.pid if record else None

    def log(self, name: str) -> str:
        """Everything that a part has logged."""
        path = self.paths.log(name)
        return path.read_text(errors="replace") if path.exists() else ""

    def migrate(self) -> str:
        """Brings the schema up to date through zakictl."""
        begin = time.monotonic()
        program = daemons.program(self.bin_dir, self.paths, "zakictl")
        env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TLS_CA_FILE": self.settings.get("TLS_CA_FILE"), **self.settings.passed}
        values = {"DATABASE_URL": self.database_url()}
        env |= self.secrets.hand_over("zakictl", me(), values)
        done = subprocess.run([*self.prefix, str(program), "migrate"], env=env, cwd="/", check=False,
                              capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise StackError(f"migrate failed:\n{(done.stderr or done.stdout).strip()[-1500:]}")
        self.say.part("migrations", "schema is up to date", begin)
        return done.stdout + done.stderr

    # ---- engine --------------------------------------------------------------------------------

    def _prepare_engine(self) -> None:
        """Engine, network and image, where a part needs them."""
        if not {"engine", "instance-manager"} & set(self.parts) and not self.fakes_on:
            return
        begin = time.monotonic()
        choice = engines.EngineChoice(self.paths, self.settings.get("DOCKER_HOST"))
        self.docker_host, own = choice.find()
        if own:
            self._start_engine(choice)
        else:
            self.say.part("engine", self.docker_host, begin)
        self.network_gateway()
        if "instance-manager" in self.parts:
            begin = time.monotonic()
            name = self.image_name()
            how = image.ensure(Engine(self.docker_host), name, self.settings.get("OPENCLAW_PULL_FROM"),
                               self.paths.state / "cache", self.say)
            self.say.part("image", f"{name} {how}", begin)

    def _start_engine(self, choice: engines.EngineChoice) -> None:
        try:
            self._start_all(["engine"], may_move=False)
        except StackError as e:
            if "driver not supported" not in str(e) and "overlay" not in str(e):
                raise
            self.say.part("engine", "overlay2 is refused here, so vfs")
            choice.driver(refused=True)
            self._start_all(["engine"], may_move=False)

    def _note_platform(self) -> None:
        """Keeps the platform's id, so that `down` finds its containers with the database away."""
        if "instance-manager" in self.parts:
            found = self.psql("SELECT id FROM platform LIMIT 1;")
            if found:
                self.paths.run("platform").write_text(found)

    def _platform(self) -> str:
        try:
            return self.paths.run("platform").read_text().strip()
        except OSError:
            return ""

    def _stop_containers(self) -> None:
        """They are part of this stack, also on an engine that is not. Next time they start again."""
        engine, platform = self.engine(), self._platform()
        if not engine or not platform:
            return
        begin = time.monotonic()
        try:
            if "engine" in self.wanted():  # ours: where it was killed, its containers may run on
                self._start_all(["engine"], may_move=False)
            count = engines.stop_containers(engine, platform)
        except StackError as e:
            self.say.part("assistants", f"could not be stopped: {e}")
            return
        if count:
            self.say.part("assistants", f"{count} stopped", begin)

    # ---- fakes ---------------------------------------------------------------------------------

    def fakes(self, on: bool = True) -> dict[str, str]:
        """Puts the fakes in place of Telegram and the LLM beside the running stack, or back."""
        with self._locked():
            if on and not self.docker_host:
                self.docker_host, _ = engines.EngineChoice(self.paths, self.settings.get("DOCKER_HOST")).find()
            was, self.fakes_on = self.fakes_on, on
            self._save()
            if on:
                self._start_all(list(fakes.NAMES), may_move=True)
            if "instance-manager" in self.parts and was != on:
                self._stop("instance-manager")
                self._start_all(["instance-manager"], may_move=False)
            if not on:
                for name in fakes.NAMES:
                    self._stop(name)
            self._write_env()
        return self.env()

    def _write_env(self) -> None:
        text = "".join(f"{k}={v}\n" for k, v in self.env().items())
        write_private(self.paths.state / "run.env", text)
