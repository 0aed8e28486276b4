"""The generator refuses a schema that says more than the C code checks."""
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = {"type": "string", "maxLength": 8}


def run(tmp_path, schemas):
    src, dst = tmp_path / "schema", tmp_path / "gen"
    src.mkdir()
    for name, schema in schemas.items():
        (src / f"{name}.json").write_text(json.dumps(schema))
    done = subprocess.run([sys.executable, ROOT / "tools/protogen.py", src, dst], capture_output=True, text=True)
    return done, dst


def message(properties, name="thing", **more):
    return {"title": name, "type": "object", "additionalProperties": False, "properties": properties, **more}


GOOD = {
    "least": message({}),
    "every kind": message({
        "a": TEXT, "b": {"type": ["string", "null"], "enum": ["x"]}, "c": {"type": "integer", "minimum": 0, "maximum": 1},
        "d": {"type": "boolean"}, "e": {"type": "array", "maxItems": 2, "items": TEXT}, "f": {"x-json": True, "maxLength": 9},
        "g": {"type": "string", "format": "uuid", "maxLength": 36, "writeOnly": True}}, required=["a", "d"]),
}
BAD = {
    "unbounded text": message({"a": {"type": "string"}}),
    "unbounded number": message({"a": {"type": "integer", "minimum": 0}}),
    "number past 2^53": message({"a": {"type": "integer", "minimum": 0, "maximum": 2**53 + 1}}),
    "unbounded array": message({"a": {"type": "array", "items": TEXT}}),
    "unbounded free value": message({"a": {"x-json": True}}),
    "fractions": message({"a": {"type": "number", "minimum": 0, "maximum": 1}}),
    "pattern": message({"a": dict(TEXT, pattern="x")}),
    "unknown format": message({"a": dict(TEXT, format="hostname")}),
    "enum with format": message({"a": {"type": "string", "enum": ["x"], "format": "uuid"}}),
    "empty enum": message({"a": {"type": "string", "enum": []}}),
    "enum of numbers": message({"a": {"type": "string", "enum": [1]}}),
    "bounds the wrong way round": message({"a": {"type": "string", "minLength": 9, "maxLength": 8}}),
    "number bounds the wrong way round": message({"a": {"type": "integer", "minimum": 2, "maximum": 1}}),
    "three types": message({"a": {"type": ["string", "integer", "null"], "maxLength": 8}}),
    "array that may be null": message({"a": {"type": ["array", "null"], "maxItems": 1, "items": TEXT}}),
    "array of numbers": message({"a": {"type": "array", "maxItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": 1}}}),
    "secret array": message({"a": {"type": "array", "maxItems": 1, "items": TEXT, "writeOnly": True}}),
    "unknown fields allowed": dict(message({"a": TEXT}), additionalProperties=True),
    "oneOf": dict(message({"a": TEXT}), oneOf=[]),
    "requires what it lacks": message({"a": TEXT}, required=["b"]),
    "another title": message({"a": TEXT}, name="other"),
    "name that is no C name": message({"a-b": TEXT}),
    "name with a capital": message({"fooBar": TEXT}),
    "name that is too long": message({"a" * 25: TEXT}),
    "part without a schema": message({"a": {"$ref": "nothing.json"}}),
    "part from elsewhere": message({"a": {"$ref": "../thing.json"}}),
    "part of itself": message({"a": {"$ref": "thing.json"}}),
    "not an object": {"title": "thing", "type": "string", "additionalProperties": False, "properties": {}},
}


@pytest.mark.parametrize("what", GOOD)
def test_what_can_be_checked_is_taken(tmp_path, what):
    done, dst = run(tmp_path, {"thing": GOOD[what]})
    assert done.returncode == 0, done.stderr
    assert "struct thing {" in (dst / "messages.h").read_text()


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_checked_is_refused(tmp_path, what):
    done, dst = run(tmp_path, {"thing": BAD[what]})
    assert done.returncode != 0
    assert done.stderr.startswith("protogen: "), done.stderr
    assert not (dst / "messages.h").exists()


def test_two_that_hold_each_other_are_refused(tmp_path):
    done, _ = run(tmp_path, {"a": message({"b": {"$ref": "b.json"}}, name="a"),
                             "b": message({"a": {"$ref": "a.json"}}, name="b")})
    assert done.returncode != 0


def test_a_secret_in_a_part_makes_the_whole_secret(tmp_path):
    done, dst = run(tmp_path, {"inner": message({"key": dict(TEXT, writeOnly=True)}, name="inner"),
                               "outer": message({"part": {"$ref": "inner.json"}}, name="outer"),
                               "plain": message({"key": TEXT}, name="plain")})
    assert done.returncode == 0, done.stderr
    code = (dst / "messages.c").read_text()
    for name, secret in (("inner", "true"), ("outer", "true"), ("plain", "false")):
        assert f'"{name}", sizeof(struct {name}), {name}_fields, 1, {secret} }}' in code
