#!/usr/bin/env python3
"""Writes what the suite is made of, with versions: a software bill of materials (CycloneDX 1.5, JSON).

    sbom.py BIN_DIR                 (in the project's root; standard library and dpkg)

Debian: the packages whose libraries the programs in BIN_DIR load, all of them, also those that others
bring along, and the servers that deploy/local/install names. npm: each package of each lock file.
"""
from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import uuid
from typing import Any, Iterator
from urllib.parse import quote

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOCKS = ("frontends/realtime/package-lock.json", "deploy/openclaw/package-lock.json")


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def libraries(bin_dir: pathlib.Path) -> set[str]:
    """Every shared library that a program of bin_dir loads, by its real path."""
    programs = [str(p) for p in sorted(bin_dir.iterdir()) if p.is_file()]
    found = re.findall(r"=> (/\S+)", output("ldd", *programs))
    return {str(pathlib.Path(path).resolve()) for path in found}


def owners(paths: set[str]) -> set[str]:
    """The packages that these files came with. Debian 12 may know one below /lib, where /lib is /usr/lib."""
    both = sorted(paths | {p.removeprefix("/usr") for p in paths if p.startswith("/usr/lib/")})
    done = subprocess.run(["dpkg", "-S", *both], capture_output=True, text=True, check=False)
    return {name.strip() for line in done.stdout.splitlines() for name in line.split(": ")[0].split(",")}


def servers() -> list[str]:
    """Those of the group `run` that are installed here."""
    row = re.search(r'^run="([^"]+)"', (ROOT / "deploy/local/install").read_text(), re.M)
    assert row, "deploy/local/install has no group run"
    return row[1].split()


def debian(packages: list[str]) -> Iterator[dict[str, Any]]:
    form = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\n"
    done = subprocess.run(["dpkg-query", "-W", "-f", form, *packages], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        status, name, version, arch, source = line.split("\t")
        if status == "installed":
            yield {"type": "library", "name": name, "version": version,
                   "purl": f"pkg:deb/debian/{name}@{quote(version, safe='')}?arch={arch}&distro=debian-12",
                   "properties": [{"name": "debian:source", "value": source}]}


def npm(lock: pathlib.Path) -> Iterator[dict[str, Any]]:
    for path, package in json.loads(lock.read_text())["packages"].items():
        name = path.rpartition("node_modules/")[2]
        if not name or package.get("link"):
            continue
        component = {"type": "library", "name": name, "version": package["version"],
                     "purl": f"pkg:npm/{quote(name, safe='/')}@{quote(package['version'], safe='')}",
                     "scope": "excluded" if package.get("dev") else "required",
                     "properties": [{"name": "npm:lock", "value": str(lock.relative_to(ROOT))}]}
        if isinstance(package.get("license"), str):
            component["licenses"] = [{"license": {"name": package["license"]}}]
        yield component


def bill(bin_dir: pathlib.Path) -> dict[str, Any]:
    found = [*debian(sorted(owners(libraries(bin_dir)) | set(servers())))]
    for lock in LOCKS:
        found += npm(ROOT / lock)
    components = {c["purl"]: {"bom-ref": c["purl"], **c} for c in found}
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": f"urn:uuid:{uuid.uuid4()}", "version": 1,
            "metadata": {"component": {"type": "application", "name": "zaki-platform", "bom-ref": "zaki-platform"}},
            "components": [components[purl] for purl in sorted(components)]}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(json.dumps(bill(pathlib.Path(sys.argv[1])), indent=1))
