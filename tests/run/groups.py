"""The groups of tests: which programs, with which build, against which servers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

from counts import Counts, from_junit, from_tap, tail

PROJECT = Path(__file__).resolve().parents[2]
TESTS = PROJECT / "tests"
sys.path.insert(0, str(PROJECT / "deploy" / "local"))

# pylint: disable=wrong-import-position
from stack import SERVERS, Stack, temp_state_dir  # noqa: E402

PROGRAM_S = 900  # one C program: those that wait in vain do so for a minute each
PYTEST_S = 2400  # one run of pytest
CHECK_S = 1800  # one static check of all sources
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": f"second_deadlock_stack=1:suppressions={TESTS / 'run' / 'tsan.supp'}",
}


@dataclass
class Context:
    """Where things are; one for the whole run."""

    build: Path
    logs: Path
    stop: threading.Event
    extra: tuple[str, ...] = ()

    def bin(self, variant: str) -> Path:
        return self.build / variant / "bin"


@dataclass
class Group:
    """One line of the report."""

    name: str
    run: Callable[[Context, str], Counts]
    needs_engine: bool = True


def execute(ctx: Context, argv: list[str], env: dict[str, str], seconds: float, log: Path,
            behind: bool = False) -> tuple[int, str]:
    """(exit status, output); in a session of its own, so that nothing of it outlives the time-out.
    behind: what else runs comes first."""
    with open(log, "ab+") as out:
        start = out.seek(0, os.SEEK_END)
        child = subprocess.Popen(argv, cwd=PROJECT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **SANITIZERS, **env},
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        if behind:
            step_behind(child.pid)
        deadline = time.monotonic() + seconds
        status: int | None = None
        while status is None:
            try:
                status = child.wait(0.5)
            except subprocess.TimeoutExpired:
                if ctx.stop.is_set() or time.monotonic() > deadline:
                    status = end(child)
        out.seek(start)
        text = out.read().decode(errors="replace")
    if time.monotonic() > deadline:
        text += f"\nended after {seconds:.0f} s without a result"
    return status, text


def step_behind(pid: int) -> None:
    """Linux shares out the processors by session first (sched(7), autogroup); within one `nice` counts."""
    with contextlib.suppress(OSError):  # no autogroups, or the process has ended
        os.setpriority(os.PRIO_PROCESS, pid, 15)
        Path(f"/proc/{pid}/autogroup").write_text("15")


def end(child: subprocess.Popen[bytes]) -> int:
    """Asks first: pytest then takes down what it has started."""
    for sig, seconds in ((signal.SIGINT, 60), (signal.SIGKILL, 10)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
            break
    return -1


# ---- C programs ----------------------------------------------------------------------------------

def programs(ctx: Context, variant: str, kind: str) -> list[Path]:
    """The built tests, and no others: a binary whose source is gone is old."""
    folder = ctx.build / variant / "tests"
    sources = sorted(TESTS.glob(f"{kind}/**/test_*.c"))
    return [folder / source.relative_to(TESTS).with_suffix("") for source in sources]


def c_tests(variant: str, kind: str, at_once: int = 2) -> Callable[[Context, str], Counts]:
    """Programs that need no server."""
    def run(ctx: Context, name: str) -> Counts:
        return run_programs(ctx, name, programs(ctx, variant, kind), {}, at_once)
    return run


def run_programs(ctx: Context, name: str, found: list[Path], env: dict[str, str], at_once: int) -> Counts:
    def one(program: Path) -> Counts:
        if not program.exists():
            return Counts().fail(f"{program} is not built")
        log = ctx.logs / f"{name}-{program.parent.name}-{program.name}.log".replace(" ", "-")
        log.unlink(missing_ok=True)
        status, out = execute(ctx, [str(program)], {"CMOCKA_MESSAGE_OUTPUT": "TAP", **env}, PROGRAM_S, log)
        return from_tap(f"{program.parent.name}/{program.name}", status, out)

    total = Counts()
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        for counts in pool.map(one, found):
            total.add(counts)
    return total if found else total.fail(f"{name}: there are no such tests")


def integration(variant: str) -> Callable[[Context, str], Counts]:
    """Programs that are given real servers of their own, fresh for the group."""
    def run(ctx: Context, name: str) -> Counts:
        with servers(ctx) as env:
            return run_programs(ctx, name, programs(ctx, variant, "integration"), env, 1)
    return run


@contextlib.contextmanager
def servers(ctx: Context) -> Iterator[dict[str, str]]:
    """PostgreSQL with the schema, Redis, and a bus where the test may do everything (who may what is
    tested by the system tests against the suite's own)."""
    stack = Stack(temp_state_dir(), random_ports=True, parts=SERVERS, bin_dir=ctx.bin("release"))
    try:
        env = stack.up()
        stack.migrate()
        with open_bus(stack.paths.state / "open-bus") as url:
            yield {"NATS_URL": url, "DATABASE_URL": env["DATABASE_URL"], "REDIS_URL": env["REDIS_URL"],
                   "DOCKER_HOST": os.environ["DOCKER_HOST"], "STUB_IMAGE": stub_image()}
    finally:
        stack.destroy()


@contextlib.contextmanager
def open_bus(folder: Path) -> Iterator[str]:
    """A nats-server without users, with JetStream."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    program = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin") or "nats-server"
    child = subprocess.Popen([program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(6000):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.01)
        yield f"nats://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(10)


_stub_lock = threading.Lock()


def stub_image() -> str:
    """The stand-in for OpenClaw, built where the engine lacks it; one at a time."""
    with _stub_lock:
        done = subprocess.run([str(TESTS / "fakes" / "stub" / "build.sh")], check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout.split()[-1]


# ---- pytest --------------------------------------------------------------------------------------

def pytest(folder: str, variant: str = "release", *more: str, files: str = "") -> Callable[[Context, str], Counts]:
    """A folder of Python tests, or those of its files that a pattern names; ZAKI_BIN says which daemons they start."""
    def run(ctx: Context, name: str) -> Counts:
        report = ctx.logs / f"{name}.xml".replace(" ", "-")
        log = report.with_suffix(".log")
        for old in (report, log):
            old.unlink(missing_ok=True)
        if variant != "release" or folder in ("system", "e2e"):
            stub_image()
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", f"--junitxml={report}",
                *more, *ctx.extra, *(map(str, sorted((TESTS / folder).glob(files))) if files else [str(TESTS / folder)])]
        env = {"ZAKI_BIN": str(ctx.bin(variant)), "ZAKI_KEEP_LOGS": str(report.with_suffix("")) + "-daemons"}
        status, out = execute(ctx, argv, env, PYTEST_S, log)
        return from_junit(name, status, report, out)
    return run


# ---- static analysis and fuzzing: what the processors do while the other lanes wait ---------------

def static_checks(ctx: Context, name: str) -> Counts:
    """`make check`, a test each of its parts."""
    total = Counts()
    for part in ("lint", "format", "tidy", "cppcheck"):
        log = ctx.logs / f"check-{part}.log"
        log.unlink(missing_ok=True)
        argv = ["make", "--no-print-directory", f"-j{os.cpu_count()}", f"B={ctx.build}", part]
        status, out = execute(ctx, argv, {"MAKEFLAGS": ""}, CHECK_S, log, behind=True)
        if status == 0:
            total.passed += 1
        elif not ctx.stop.is_set():
            total.fail(f"{name}: make {part}: status {status}\n{tail(out)}")
    return total


def fuzz(ctx: Context, name: str) -> Counts:
    """Every target for FUZZ_S seconds, three at once and behind the other lanes; a target that finds
    something leaves it in the corpus folder, from where it is tried first the next time."""
    targets = sorted(TESTS.glob("fuzz/fuzz_*.c"))
    total = Counts()
    with ThreadPoolExecutor(max_workers=3) as pool:
        for counts in pool.map(lambda source: fuzz_one(ctx, source.stem), targets):
            total.add(counts)
    return total if targets else total.fail(f"{name}: there are no targets")


def fuzz_one(ctx: Context, target: str) -> Counts:
    if ctx.stop.is_set():
        return Counts()
    seconds = int(os.environ.get("FUZZ_S") or 60)
    corpus = ctx.build / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = sorted((PROJECT / "proto" / "examples").iterdir()) if target == "fuzz_message" else []
    log = ctx.logs / f"{target}.log"
    log.unlink(missing_ok=True)
    argv = [str(ctx.build / "fuzz" / "tests" / "fuzz" / target), f"-max_total_time={seconds}", "-timeout=25",
            "-rss_limit_mb=2048", "-max_len=70000", "-print_final_stats=1", f"-artifact_prefix={corpus}/", str(corpus),
            *map(str, seeds)]
    status, out = execute(ctx, argv, {}, seconds + 240, log, behind=True)
    counts = Counts()
    if status == 0 and "stat::number_of_executed_units" in out:
        counts.passed = 1
    elif not ctx.stop.is_set():
        counts.fail(f"{target}: status {status}\n{tail(out)}")
    return counts


def npm_tests(folder: str) -> Callable[[Context, str], Counts]:
    """A package's own tests, by node's test runner."""
    def run(ctx: Context, name: str) -> Counts:
        log = ctx.logs / f"{name}.log".replace(" ", "-")
        log.unlink(missing_ok=True)
        npm = shutil.which("npm") or "npm"
        status, out = execute(ctx, [npm, "--prefix", str(PROJECT / folder), "test", "--silent"], {}, PROGRAM_S, log)
        return from_tap(folder, status, out)
    return run


# Side by side: what runs in the first four lanes waits for servers and containers a lot; the last works behind
# them.
LANES: list[list[Group]] = [
    [
        Group("unit (asan)", c_tests("asan", "unit"), needs_engine=False),
        Group("contract (asan)", c_tests("asan", "contract"), needs_engine=False),
        Group("contract (python)", pytest("contract"), needs_engine=False),
        Group("integration (asan)", integration("asan")),
        Group("system a-b (asan)", pytest("system", "asan", files="test_[ab]*.py")),
        Group("system d-h (asan)", pytest("system", "asan", files="test_[d-h]*.py")),
    ],
    [
        Group("realtime client", npm_tests("frontends/realtime"), needs_engine=False),
        Group("fakes and stub", pytest("fakes")),
        Group("local stack", pytest("stack")),
        Group("demo, real OpenClaw", pytest("e2e")),
    ],
    [
        Group("integration (tsan)", integration("tsan")),
        Group("system, core (tsan)", pytest("system", "tsan", "-m", "core")),
        Group("system m-z (asan)", pytest("system", "asan", files="test_[m-z]*.py")),
    ],
    [
        Group("system c (asan)", pytest("system", "asan", files="test_c*.py")),
        Group("system i-l (asan)", pytest("system", "asan", files="test_[i-l]*.py")),
        Group("backup store and format", pytest("vault", "asan"), needs_engine=False),
    ],
    [
        Group("static checks", static_checks, needs_engine=False),
        Group("fuzz", fuzz, needs_engine=False),
    ],
]
