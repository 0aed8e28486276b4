"""The assistant's image: found, pulled, or built from Debian and npm.

Order: an image that the engine has already → the registry image that the settings name → a build
from deploy/openclaw. A build carries a label with the hash of what it was made from, so a change
there builds anew; an image without that label is somebody's own and is taken as it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from . import debian, packages
from .engine_api import Engine, EngineError, chunks_of, split_tag
from .errors import StackError
from .say import Say

RECIPE = Path(__file__).resolve().parents[2] / "openclaw"
RECIPE_FILES = ("Dockerfile", "base-packages", "package.json", "package-lock.json",
                "node/package.json", "node/package-lock.json")
HASH_LABEL = "zaki.image.hash"
BASE = "zaki/base"


def version() -> str:
    """The pinned OpenClaw: package.json is the one place that names it."""
    return str(json.loads((RECIPE / "package.json").read_text())["dependencies"]["openclaw"])


def default_name() -> str:
    """The image's name where the settings give none."""
    return f"zaki/openclaw:{version()}"


def recipe_hash(names: tuple[str, ...] = RECIPE_FILES) -> str:
    """Changes when anything that the image is made from changes."""
    h = hashlib.sha256()
    for name in names:
        data = (RECIPE / name).read_bytes()
        h.update(f"{name} {len(data)}\n".encode() + data)
    return h.hexdigest()[:24]


def ensure(engine: Engine, name: str, pull_from: str, cache: Path, say: Say) -> str:
    """Makes sure that the engine has the image; returns how it came: found, pulled or built."""
    built_here = split_tag(name)[0] == split_tag(default_name())[0]
    if _usable(engine, name, built_here):
        return "found"
    with _one_at_a_time():
        if _usable(engine, name, built_here):  # another stack has just made it
            return "found"
        if pull_from or not built_here:
            source = pull_from or name
            try:
                with say.step(f"pulling {source}"):
                    _pull(engine, source, name)
                check(engine, name, say)
                return "pulled"
            except EngineError as e:
                if not built_here:
                    raise StackError(f"the image {name} can't be pulled: {e}",
                                     "name another in OPENCLAW_IMAGE, or unset it: then it is built here") from e
                say.line(f"    {source} can't be pulled ({e}); it is built here instead")
        build(engine, name, cache, say)
        return "built"


def _usable(engine: Engine, name: str, built_here: bool) -> bool:
    image = engine.image(name)
    if image is None:
        return False
    label = (image["Config"].get("Labels") or {}).get(HASH_LABEL)
    return not (built_here and label) or label == recipe_hash()


def _pull(engine: Engine, source: str, name: str) -> None:
    engine.pull(source)
    if source != name:
        repo, tag = split_tag(name)
        engine.json("POST", f"/images/{source}/tag", {"repo": repo, "tag": tag})


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """One build a machine: two stacks that start together must not both do it."""
    path = Path(tempfile.gettempdir()) / f"zaki-image-{os.getuid()}.lock"
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def build(engine: Engine, name: str, cache: Path, say: Say) -> None:
    """Debian base, npm packages, Dockerfile, check. About two minutes and 2 GiB of disk."""
    start = time.monotonic()
    say.line(f"    building {name}: a few minutes, once")
    packages.install("image")
    cache.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="openclaw-", dir=cache))
    staging = f"{split_tag(name)[0]}:building-{os.getpid()}"
    try:
        base = _base(engine, work, say)
        _npm(work, say)
        with say.step("image"):
            _docker_build(engine, base, staging, work)
        # Checked under a name of its own: a build that fails its check never becomes the image.
        check(engine, staging, say)
        repo, tag = split_tag(name)
        engine.json("POST", f"/images/{staging}/tag", {"repo": repo, "tag": tag})
    finally:
        if engine.image(staging):
            engine.json("DELETE", f"/images/{staging}", {"noprune": 1}, timeout=60)
        shutil.rmtree(work, ignore_errors=True)
    say.line(f"    {name} is ready: {time.monotonic() - start:.0f} s")


def _base(engine: Engine, work: Path, say: Say) -> str:
    """The minimal Debian, imported once for each list of packages."""
    codename = debian.codename()
    name = f"{BASE}:{codename}-{recipe_hash(('base-packages',))[:12]}"
    if engine.image(name):
        return name
    root = work / "root"
    with say.step(f"Debian {codename} base by debootstrap"):
        debian.bootstrap(root, codename, _base_packages(), work / "debootstrap.log")
    with say.step("importing the base"):
        repo, tag = split_tag(name)
        with debian.packed(root) as pipe:
            answer = engine.call("POST", "/images/create", {"fromSrc": "-", "repo": repo, "tag": tag},
                                 stream=chunks_of(pipe), timeout=900)
            for _ in engine.progress(answer):
                pass
    debian.remove(root)
    return name


def _base_packages() -> list[str]:
    lines = (RECIPE / "base-packages").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _npm(work: Path, say: Say) -> None:
    """What the lock files name: Node first, then OpenClaw under that Node.

    npm leaves out native packages that don't fit the Node it runs on, and this machine's may be
    older. Nobody's install scripts are run here, on the machine itself.
    """
    npm = shutil.which("npm") or "npm"
    context = work / "context"
    with say.step("npm packages"):
        _npm_ci(npm, RECIPE / "node", work / "node", dict(os.environ))
        found = list((work / "node").glob("node_modules/node-linux-*/bin/node"))
        if not found:
            raise StackError(f"npm brought no Node for this machine ({platform.machine()}): there is none, or the "
                             "registry can't be reached", "npm ping says which")
        (context / "node" / "bin").mkdir(parents=True)
        node = shutil.move(found[0], context / "node" / "bin" / "node")
        path = f"{Path(node).parent}:{os.environ.get('PATH', '')}"
        _npm_ci(npm, RECIPE, context, os.environ | {"PATH": path})
    for name in ("package.json", "package-lock.json"):
        (context / name).unlink()


def _npm_ci(npm: str, recipe: Path, target: Path, env: dict[str, str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(recipe / name, target / name)
    argv = [npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(argv, cwd=target, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        tail = done.stdout.decode(errors="replace")[-1500:]
        raise StackError(f"npm could not install the assistant's packages:\n{tail}")


def _docker_build(engine: Engine, base: str, name: str, work: Path) -> None:
    context = work / "context"
    shutil.copy(RECIPE / "Dockerfile", context / "Dockerfile")
    labels = {HASH_LABEL: recipe_hash(), "zaki.openclaw": version()}
    query = {"t": name, "rm": 1, "forcerm": 1, "buildargs": json.dumps({"BASE": base}),
             "labels": json.dumps(labels)}
    with debian.packed(context) as pipe:
        answer = engine.call("POST", "/build", query, stream=chunks_of(pipe), timeout=1800)
        for _ in engine.progress(answer):
            pass


def check(engine: Engine, name: str, say: Say) -> None:
    """Asks the image itself: which version it is, and whether it takes the config we write."""
    want = version()
    with say.step("checking the image"):
        status, out = engine.run(_check_spec(name, ["openclaw", "--version"]))
        if status != 0 or want not in out:
            raise StackError(f"{name} should hold OpenClaw {want}; `openclaw --version` said: {out.strip()[:300]}")
        config = (RECIPE / "check-config.json").read_text()
        script = 'printf %s "$0" > .openclaw/openclaw.json && exec openclaw config validate'
        status, out = engine.run(_check_spec(name, ["sh", "-c", script, config]))
        if status != 0:
            raise StackError(f"OpenClaw refuses deploy/openclaw/check-config.json:\n{out.strip()[-1500:]}")


def _check_spec(name: str, cmd: list[str]) -> dict[str, object]:
    return {"Image": name, "Cmd": cmd, "Labels": {"zaki.check": "1"},
            "HostConfig": {"NetworkMode": "none", "CapDrop": ["ALL"], "Memory": 2 << 30,
                           "SecurityOpt": ["no-new-privileges"], "Init": True}}
