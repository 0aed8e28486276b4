"""The WebSocket's types come from the tables that the daemons are built from."""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import tsgen  # noqa: E402  pylint: disable=wrong-import-position,import-error


def test_every_event_that_sockets_see_has_a_type():
    types = tsgen.text()
    rows = dict(re.findall(r"\nTOPIC_EVENTS\((\w+),\s*(\w+)\)", (ROOT / "proto/topics.def").read_text()))
    subjects = (ROOT / "proto/subjects.def").read_text()
    names = [f"{k}.{w}" for k, w in re.findall(r'"zaki\.evt\.(\w+)\.\*\.(\w+)"', subjects) if k in rows]
    assert names and all(f'  "{name}": ' in types for name in names), names
    line = next(line for line in types.splitlines() if line.startswith("export type Topic = "))
    assert set(re.findall(r"`(\w+)\.", line)) == set(rows.values()), line


def test_every_field_has_its_type():
    types = tsgen.text()
    for message in re.findall(r"export interface (\w+) \{", types):
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", message).lower()
        path = ROOT / f"proto/schema/{name}.json"
        if not path.exists():
            assert name == "event_data"
            continue
        body = re.search(rf"export interface {message} \{{\n(.*?)\n\}}", types, re.S)[1]
        doc = json.loads(path.read_text())
        for field, prop in doc["properties"].items():
            secret = prop.get("writeOnly") or prop.get("x-secret")
            assert bool(re.search(rf"^  {field}\??: ", body, re.M)) != bool(secret), f"{message}.{field}"


def test_nullable_optional_and_lists():
    seen = {}
    assert tsgen.type_of({"type": ["string", "null"]}, seen) == "string | null"
    assert tsgen.type_of({"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}, seen) == '("a" | "b")[]'
    assert tsgen.type_of({"x-json": True}, seen) == "unknown"
