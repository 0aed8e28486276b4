"""The bill of materials names what the programs are linked with and what the lock files hold."""
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILT = (ROOT / "build" / variant / "bin" for variant in ("release", "asan"))
BIN = pathlib.Path(os.environ.get("ZAKI_BIN") or next(b for b in BUILT if b.is_dir())).resolve()


def bill():
    done = subprocess.run([sys.executable, ROOT / "tools/sbom.py", BIN], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_it_names_every_library_and_every_locked_package():
    made = bill()
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.5")
    purls = [c["purl"] for c in made["components"]]
    assert len(purls) == len(set(purls)) and all(c["name"] and c["version"] for c in made["components"])

    libraries = re.search(r"^LDLIBS\s*:=(.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    packages = " ".join(c["name"] for c in made["components"] if c["purl"].startswith("pkg:deb/"))
    # Debian's name of a library's package is the library's, but for these.
    other = {"m": "libc6", "pthread": "libc6", "crypto": "libssl", "curl": "libcurl", "oath": "liboath", "nats": "libnats"}
    for flag in libraries:
        name = flag.removeprefix("-l")
        assert other.get(name, f"lib{name}") in packages, f"{flag} is in no package of the bill"

    for lock in ("frontends/realtime/package-lock.json", "deploy/openclaw/package-lock.json"):
        for path, package in json.loads((ROOT / lock).read_text())["packages"].items():
            name = path.rpartition("node_modules/")[2]
            if name and not package.get("link"):
                assert any(c["name"] == name and c["version"] == package["version"] for c in made["components"]), (lock, name)
