"""The S3 store against s3rver, every signature checked by botocore; then with faults at each step."""

from __future__ import annotations

import http.client
import os
import shutil
import uuid
from pathlib import Path
from typing import Callable, Iterator

import pytest

from conftest import ROOT, USER, Place
from s3 import Fault, Gate, Server, install

UNHURT = {"RETRIES": "-1"}
NAMES = ("names/with space and \"quotes\" 'too'", "names/100% + more?#[x]<y>;=@,~!$*().txt", "names/日本語 & mehr/🐈.png",
         "names/%41%2F+", "names/ around ", "names/back\\slash", "names/...")
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def package() -> Path:
    return install(ROOT / "build" / "s3rver")


@pytest.fixture
def gate(place: Place, package: Path) -> Iterator[Gate]:
    server = Server(place.folder / "s3", package)
    yield server.gate
    server.end()
    assert server.gate.bad_signatures == []


def small(place: Place) -> None:
    (place.instance / "workspace" / "note.md").write_text("likes tea")
    (place.instance / "workspace" / "photo").write_bytes(os.urandom(100_000))


def test_objects_come_back_as_they_went(place: Place, gate: Gate) -> None:
    for size in (1, 1000, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, 20_000_000):
        file = place.folder / "object"
        file.write_bytes(os.urandom(size))
        assert place.run("put", gate.url, f"a/{size}", str(file)).code == ""
        assert place.run("head", gate.url, f"a/{size}", "-").figures["bytes"] == size
        assert place.run("get", gate.url, f"a/{size}", str(place.folder / "back")).code == ""
        assert (place.folder / "back").read_bytes() == file.read_bytes()
        multipart = any("uploadId=" in path and f"/{size}?" in path for _, path in gate.seen)
        assert multipart == (size > 8 << 20)
    assert gate.sse > 0
    assert place.run("delete", gate.url, "a/1", "-").code == ""
    assert place.run("delete", gate.url, "a/1", "-").code == ""
    assert place.run("head", gate.url, "a/1", "-").code == "NOT_FOUND"
    assert place.run("get", gate.url, "a/1", str(place.folder / "back")).code == "NOT_FOUND"


def test_listings_go_past_a_thousand(place: Place, gate: Gate) -> None:
    conn = http.client.HTTPConnection("127.0.0.1", gate.upstream)
    for i in range(1050):
        conn.request("PUT", f"/zaki/some/where/many/{i:05d}", b"x")
        assert conn.getresponse().read() == b""
    conn.close()
    out = place.folder / "list"
    said = place.run("list", gate.url, "many/", str(out))
    assert said.code == "", said.text
    assert out.read_text().splitlines() == [f"1 many/{i:05d}" for i in range(1050)]
    assert sum("list-type=2" in path for _, path in gate.seen) == 2
    assert place.run("dirs", gate.url, "", str(out)).code == ""
    assert out.read_text() == "dir many/\n"


@pytest.mark.parametrize("encodes", (False, True), ids=("names as they are", "names percent-encoded"))
def test_names_as_people_give_them(place: Place, gate: Gate, encodes: bool) -> None:
    """Signed, stored, listed and deleted; s3rver keeps each under its very name."""
    gate.encodes = encodes
    file = place.folder / "object"
    file.write_bytes(b"text")
    for key in NAMES:
        said = place.run("put", gate.url, key, str(file))
        assert said.code == "", (key, said)
        assert place.run("head", gate.url, key, "-").figures["bytes"] == 4, key
        assert (gate.folder / "zaki" / "some" / "where" / f"{key}._S3rver_object").read_bytes() == b"text", key
    out = place.folder / "list"
    said = place.run("list", gate.url, "names/", str(out))
    assert said.code == "", said.text
    assert sorted(out.read_text().splitlines()) == sorted(f"4 {key}" for key in NAMES)
    assert place.run("dirs", gate.url, "names/", str(out)).code == ""
    assert {line for line in out.read_text().splitlines() if line.startswith("dir ")} == {"dir names/日本語 & mehr/"}
    long = "/".join(("x" * 100,) * 10)
    assert place.run("put", gate.url, long, str(file)).code == ""  # with its prefix 1,020 bytes
    assert place.run("put", gate.url, long + "x" * 5, str(file)).code == "INTERNAL_ERROR"
    for key in (*NAMES, long):
        assert place.run("delete", gate.url, key, "-").code == ""
        assert place.run("head", gate.url, key, "-").code == "NOT_FOUND"
    assert place.run("list", gate.url, "", str(out)).code == "" and out.read_text() == ""
    assert gate.without_sse == []


def test_a_backup_goes_and_comes(place: Place, gate: Gate) -> None:
    small(place)
    (place.instance / "workspace" / "big").write_bytes(os.urandom(20_000_000))
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    assert place.engine("snapshot", gate.url, first).code == ""
    (place.instance / "workspace" / "note.md").write_text("likes coffee")
    said = place.engine("snapshot", gate.url, second, first)
    assert said.figures["chunks_new"] <= 2
    assert place.engine("verify", gate.url, second).code == ""
    assert place.engine("verify", gate.url, first).code == ""
    # One that comes damaged is asked for again, and is no damaged object; nor is one of which the store says nonsense.
    gate.faults = [Fault("damaged-answer", STEPS["read a pack"], 1)]
    assert place.engine("verify", gate.url, first).code == "" and gate.faults[0].hits == 1
    gate.faults = [Fault("damaged-answer", STEPS["read a pack"], 99)]
    assert place.engine("verify", gate.url, first).code == "UPSTREAM_ERROR"
    gate.faults = [Fault("nonsense", STEPS["read a pack"], 99)]
    assert place.engine("verify", gate.url, first).code == "INTERNAL_ERROR" and gate.faults[0].hits <= 3  # and not tried again
    gate.faults = []
    place.restored_equals(gate.url, second)


def test_a_refusal_is_named(place: Place, gate: Gate) -> None:
    gate.faults = [Fault("skew", lambda *_: True, 99)]
    said = place.run("list", gate.url, "", "/dev/null")
    assert said.code == "FORBIDDEN" and "clock" in said.text and "ahead" in said.text
    gate.faults = [Fault("403", lambda *_: True, 99)]
    said = place.run("list", gate.url, "", "/dev/null")
    assert said.code == "FORBIDDEN" and "AccessDenied" in said.text
    gate.faults = []
    said = place.run("list", gate.url, "", "/dev/null", R2_SECRET_ACCESS_KEY="wrong")
    assert said.code == "FORBIDDEN" and "SignatureDoesNotMatch" in said.text
    assert len(gate.bad_signatures) == 1  # and not tried again
    gate.bad_signatures.clear()


Matches = Callable[[str, str], bool]
STEPS: dict[str, Matches] = {
    "look for it": lambda m, p: m == "GET" and ".manifest" in p,
    "list packs": lambda m, p: m == "GET" and "list-type" in p,
    "store a pack": lambda m, p: m == "PUT" and "/chunks/" in p,
    "store the manifest": lambda m, p: m == "PUT" and ".manifest" in p,
    "read a pack": lambda m, p: m == "GET" and "/chunks/" in p,
}
CLEARING: dict[str, Matches] = {
    "delete the manifest": lambda m, p: m == "DELETE" and ".manifest" in p,
    "list manifests": lambda m, p: m == "GET" and "list-type" in p and "backups" in p,
    "read a manifest": lambda m, p: m == "GET" and p.endswith(".manifest"),
    "condemn a pack": lambda m, p: m == "PUT" and "condemned" in p,
    "delete a pack": lambda m, p: m == "DELETE" and "/chunks/" in p,
}
KINDS = ("500", "503", "403", "full", "cut", "half", "bad-digest", "damaged-answer")
AT_THE_STORE = ("store.", "snapshot.pack", "snapshot.commit", "delete", "prune")
PASSING = ("500", "503", "cut", "half")  # got over by asking again


def whole(place: Place, gate: Gate, backup: str, **env: str) -> str:
    """A backup and a restore; the first code that is an error."""
    for verb, more in (("snapshot", ()), ("restore", (str(uuid.uuid4()),))):
        said = place.engine(verb, gate.url, backup, *more, **env)
        if said.code:
            return f"{verb}: {said.code}"
    return "done"


def objects(place: Place, gate: Gate) -> list[str]:
    out = place.folder / "list"
    assert place.run("list", gate.url, "users/", str(out)).code == ""
    return out.read_text().splitlines()


def listed(place: Place, gate: Gate) -> list[str]:
    return [line.split("/")[-1].removesuffix(".manifest") for line in objects(place, gate) if "/backups/" in line]


def packs(place: Place, gate: Gate) -> list[str]:
    return [line for line in objects(place, gate) if "/chunks/" in line]


def test_faults_at_each_step(place: Place, gate: Gate, record_testsuite_property: Record) -> None:
    """One fault is got over by a retry, where a retry can help; one that stays is an error with a name.
    After either: whatever is listed verifies, and the same again without the fault succeeds."""
    rows = []
    for step, matches in STEPS.items():
        for kind in KINDS:
            once, stays = str(uuid.uuid4()), str(uuid.uuid4())
            small(place)
            gate.faults = [Fault(kind, matches, 1)]
            first = whole(place, gate, once)
            hits = gate.faults[0].hits
            small(place)
            assert hits == 1, (step, kind)
            gate.faults = [Fault(kind, matches, 999)]
            second = whole(place, gate, stays, **UNHURT)
            gate.faults = []
            for backup in listed(place, gate):
                assert place.engine("verify", gate.url, backup).code == "", (step, kind)
            again = whole(place, gate, stays)
            assert again == "done", (step, kind, again)
            rows.append(f"S3: {step:20} {kind:15} once: {first:28} stays: {second:28} nothing lost")
            if kind in PASSING or (kind == "bad-digest" and step.startswith("store")):
                assert first == "done", rows[-1]
            if kind == "full":
                assert second.endswith("QUOTA_EXCEEDED"), rows[-1]
            shutil.rmtree(gate.folder / "zaki" / "some")  # what earlier rows left would serve the next
    record_testsuite_property("table", "\n".join(rows))


def test_faults_while_old_ones_are_cleared(place: Place, gate: Gate, record_testsuite_property: Record) -> None:
    """What is kept stays whole whichever request fails; the same again without the fault ends the clearing."""
    rows = []
    small(place)
    kept = str(uuid.uuid4())
    assert place.engine("snapshot", gate.url, kept).code == ""
    theirs = packs(place, gate)
    for step, matches in CLEARING.items():
        for kind in KINDS:
            old = str(uuid.uuid4())
            (place.instance / "workspace" / "photo").write_bytes(os.urandom(50_000))
            assert place.engine("snapshot", gate.url, old).code == ""
            gate.faults = [Fault(kind, matches, 999)]
            said = place.engine("clear", gate.url, old, **UNHURT).code or "done"
            assert gate.faults[0].hits, (step, kind)
            gate.faults = []
            assert place.engine("verify", gate.url, kept).code == "", (step, kind)
            assert place.engine("clear", gate.url, old).code == "", (step, kind)
            assert packs(place, gate) == theirs, (step, kind)
            rows.append(f"S3: {step:20} {kind:15} clearing: {said:24} nothing lost, then cleared")
    record_testsuite_property("table", "\n".join(rows))


def test_kills_over_s3(place: Place, gate: Gate, record_testsuite_property: Record) -> None:
    """kill -9 at each fault point that has to do with the store, with an S3 behind it."""
    rows = []
    trace = place.folder / "trace"
    kept = str(uuid.uuid4())
    small(place)
    assert place.engine("snapshot", gate.url, kept).code == ""
    for verb in ("snapshot", "restore", "clear"):
        points = [""]  # the first round finds out which there are
        for point in points:
            backup, more = str(uuid.uuid4()), [str(uuid.uuid4())] if verb == "restore" else []
            (place.instance / "workspace" / "photo").write_bytes(os.urandom(50_000))
            if verb != "snapshot":
                assert place.engine("snapshot", gate.url, backup).code == ""
            fault = {"ZAKI_FAULT": point} if point else {"ZAKI_FAULT_TRACE": str(trace)}
            said = place.engine(verb, gate.url, backup, *more, **fault)
            if not point:
                assert said.code == "", said.text
                points += [p for p in dict.fromkeys(trace.read_text().split()) if p.startswith(AT_THE_STORE)]
                trace.unlink()
                if verb != "clear":
                    assert place.engine("clear", gate.url, backup).code == ""
                continue
            assert said.code == "killed", (verb, point, said)
            for one in listed(place, gate):
                assert place.engine("verify", gate.url, one).code == "", (verb, point)
            assert place.engine(verb, gate.url, backup, *more).code == "", (verb, point)
            if verb == "snapshot":
                assert place.engine("verify", gate.url, backup).code == "", point
            if verb != "clear":
                assert place.engine("clear", gate.url, backup).code == ""
            rows.append(f"S3: {verb:10} killed at {point:20} nothing lost, repeated well")
        assert "store.s3.call" in points
    assert listed(place, gate) == [kept]
    record_testsuite_property("table", "\n".join(rows))


# ---- the mirror --------------------------------------------------------------------------------------


def natural(place: Place) -> None:
    small(place)
    for name in NAMES:
        (place.instance / "workspace" / name).parent.mkdir(parents=True, exist_ok=True)
        (place.instance / "workspace" / name).write_bytes(os.urandom(500))
    (place.instance / "workspace" / "large").write_bytes(os.urandom(9_000_000))
    (place.instance / ".openclaw" / "openclaw.json").write_text("the-bot-token")


def mirrored(gate: Gate) -> dict[str, bytes]:
    """What lies plain under the person's own paths, as s3rver keeps it."""
    top = gate.folder / "zaki" / "some" / "where" / "users" / USER
    found = [p for root in ("workspace", ".openclaw") for p in (top / root).rglob("*._S3rver_object")]
    return {str(p.relative_to(top)).removesuffix("._S3rver_object"): p.read_bytes() for p in found}


def workspace(place: Place) -> dict[str, bytes]:
    return {str(p.relative_to(place.instance)): p.read_bytes() for p in (place.instance / "workspace").rglob("*") if p.is_file()}


def changed(place: Place) -> None:
    folder = place.instance / "workspace"
    (folder / "note.md").write_text("likes coffee")
    (folder / NAMES[0]).unlink()
    (folder / "日本語 & mehr").mkdir()
    (folder / "日本語 & mehr" / "neu.md").write_text("neu")


def test_a_mirror_is_the_tree(place: Place, gate: Gate) -> None:
    natural(place)
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    assert place.engine("snapshot", gate.url, first).code == ""
    gate.seen.clear()
    said = place.engine("mirror", gate.url, first)
    assert said.code == "", said.text
    assert mirrored(gate) == workspace(place)  # and no openclaw.json
    assert any("uploads=" in path and "/large?" in path for _, path in gate.seen)
    assert gate.without_sse == []

    changed(place)
    assert place.engine("snapshot", gate.url, second, first).code == ""
    gate.seen.clear()
    assert place.engine("mirror", gate.url, second, first).figures["files"] == 3
    assert sorted(m for m, p in gate.seen if m in ("PUT", "DELETE")) == ["DELETE", "PUT", "PUT"]
    assert mirrored(gate) == workspace(place)
    assert place.engine("unmirror", gate.url, second).code == ""
    assert mirrored(gate) == {}
    assert place.engine("verify", gate.url, second).code == ""


PASS: dict[str, Matches] = {
    "read a manifest": lambda m, p: m == "GET" and ".manifest" in p,
    "list what lies there": lambda m, p: m == "GET" and "list-type" in p and "workspace" in p,
    "delete a file": lambda m, p: m == "DELETE" and "/workspace/" in p,
    "put a file": lambda m, p: m == "PUT" and "/workspace/" in p,
    "read a pack": lambda m, p: m == "GET" and "/chunks/" in p,
}
# How a pass knows what to do, and where in it a request fails, or the process ends.
BY_DIFF = ("read a manifest", "delete a file", "put a file", "read a pack", "mirror.planned", "mirror.delete", "mirror.put")
ANEW = ("list what lies there", "put a file", "mirror.delete")


def test_a_mirror_that_fails_or_is_killed_is_mended(place: Place, gate: Gate, record_testsuite_property: Record) -> None:
    """Each request of a pass in turn fails for good, or the process ends at it; the same again makes it good."""
    rows = []
    small(place)
    (place.instance / "workspace" / "names").mkdir()
    (place.instance / "workspace" / NAMES[0]).write_text("goes")
    states = [str(uuid.uuid4()), str(uuid.uuid4())]
    assert place.engine("snapshot", gate.url, states[0]).code == ""
    changed(place)
    assert place.engine("snapshot", gate.url, states[1], states[0]).code == ""
    assert place.engine("mirror", gate.url, states[1]).code == ""
    for how, where in [("by what differs", w) for w in BY_DIFF] + [("anew", w) for w in ANEW]:
        held = [states[0]] if how != "anew" else []
        assert place.engine("mirror", gate.url, *states).code == ""  # back to the first
        if where in PASS:
            gate.faults = [Fault("500", PASS[where], 999)]
            said = place.engine("mirror", gate.url, states[1], *held, **UNHURT)
            assert said.code == "SERVICE_UNAVAILABLE" and gate.faults[0].hits, where
            assert "/workspace/" not in said.text and "note.md" not in said.text, said.text
            gate.faults = []
        else:
            assert place.engine("mirror", gate.url, states[1], *held, ZAKI_FAULT=where).code == "killed", where
        assert place.engine("mirror", gate.url, states[1], *held).code == "", where
        assert mirrored(gate) == workspace(place), (how, where)
        rows.append(f"S3: mirror {how:16} {'fails' if where in PASS else 'killed'} at {where:22} mended")
    record_testsuite_property("table", "\n".join(rows))
