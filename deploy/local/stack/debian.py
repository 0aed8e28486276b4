"""The assistant's base system, from the mirror that this machine's apt uses.

No mirror is named in the project: apt knows which one this machine can reach.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Iterator

from .errors import StackError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def codename() -> str:
    """This machine's Debian: the base is of the same, so one mirror serves both."""
    for line in Path("/etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    raise StackError("this is no Debian: /etc/os-release has no VERSION_CODENAME",
                     "name a ready image in OPENCLAW_IMAGE")


def sources(suite: str) -> list[tuple[str, str]]:
    """(uri, suite) of each main archive of this Debian in apt's sources; the release itself first."""
    form = "$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)"
    out = subprocess.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
                         capture_output=True, text=True, check=True).stdout
    return parse_sources(out, suite)


def parse_sources(listing: str, suite: str) -> list[tuple[str, str]]:
    """From `apt-get indextargets` lines to archives that debootstrap can read."""
    found: list[tuple[str, str]] = []
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        uri, name, component, origin = fields[:4]
        wanted = name in (suite, f"{suite}-updates", f"{suite}-security")
        if wanted and component == "main" and origin.startswith("Debian") and (uri, name) not in found \
                and uri.startswith(("http://", "https://", "file:/")):
            found.append((uri, name))
    return sorted(found, key=lambda pair: pair[1] != suite)


def as_root(argv: list[str]) -> list[str]:
    """debootstrap, and reading what it made, need root."""
    if os.geteuid() == 0:
        return argv
    if shutil.which("sudo"):
        return ["sudo", *argv]
    raise StackError("building the assistant's image needs root", "run it as root, or install sudo")


def bootstrap(root: Path, suite: str, packages: list[str], log: Path) -> None:
    """A minimal Debian with today's security updates in `root`."""
    archives = sources(suite)
    if not archives or archives[0][1] != suite:
        raise StackError(f"apt has no main archive of Debian {suite} in its sources")
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}"]
    if Path(KEYRING).exists():
        argv.append(f"--keyring={KEYRING}")
    _run(as_root([*_proxy(), *argv, suite, str(root), archives[0][0]]), log)
    lines = "".join(f"deb {uri} {name} main\n" for uri, name in archives)
    script = ('printf %s "$1" > "$0/etc/apt/sources.list" && chroot "$0" apt-get -q update && '
              'DEBIAN_FRONTEND=noninteractive chroot "$0" apt-get -qy --no-install-recommends dist-upgrade && '
              'chroot "$0" apt-get clean && rm -rf "$0"/var/lib/apt/lists/* "$0"/var/log/* "$0"/var/cache/apt/*')
    _run(as_root([*_proxy(), "sh", "-c", script, str(root), lines]), log)


def _proxy() -> list[str]:
    """apt's own proxy setting, for the tools that read the environment instead."""
    out = subprocess.run(["apt-config", "shell", "P", "Acquire::http::Proxy/f"],
                         capture_output=True, text=True, check=False).stdout
    value = out.partition("=")[2].strip().strip("'")
    return ["env", f"http_proxy={value}"] if value and value != "DIRECT" else ["env"]


def _run(argv: list[str], log: Path) -> None:
    with open(log, "ab") as out:
        done = subprocess.run(argv, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise StackError(f"the Debian base could not be made:\n{log.read_text(errors='replace')[-1500:]}")


@contextmanager
def packed(folder: Path) -> Iterator[IO[bytes]]:
    """The folder as a tar stream, owners as they are in numbers, all files owned by root below npm's."""
    argv = ["tar", "-C", str(folder), "--numeric-owner", "--sort=name", "-cf", "-", "."]
    if os.stat(folder).st_uid != 0:
        argv[3:3] = ["--owner=0", "--group=0"]
    elif os.geteuid() != 0:
        argv = as_root(argv)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as tar:
        assert tar.stdout
        yield tar.stdout
        tar.stdout.close()
        if tar.wait() != 0:
            raise StackError(f"tar could not read {folder}")


def remove(folder: Path) -> None:
    """Removes what root made."""
    subprocess.run(as_root(["rm", "-rf", "--one-file-system", str(folder)]), check=False)
