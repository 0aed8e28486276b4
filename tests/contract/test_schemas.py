"""Every example through a full JSON Schema validator: a second witness beside our own decoder.

The formats are checked by code that shares nothing with libs/wire/format.c.
"""
import datetime
import ipaddress
import json
import pathlib
import re
import unicodedata
import urllib.parse
import uuid

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = {p.stem: json.loads(p.read_text()) for p in (ROOT / "proto/schema").glob("*.json")}
EXAMPLES = sorted((ROOT / "proto/examples").glob("*/*.json"))
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("uuid", raises=ValueError)
def is_uuid(text):
    return not isinstance(text, str) or str(uuid.UUID(text)) == text


@FORMATS.checks("email")
def is_email(text):
    if not isinstance(text, str):
        return True
    local, _, domain = text.rpartition("@")
    atom = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
    labels = domain.split(".")
    label = re.compile(r"[^\x00-/:-@\[-`{-\x7f]([^\x00-,./:-@\[-`{-\x7f]{0,61}[^\x00-/:-@\[-`{-\x7f])?")
    return (len(local) <= 64 and re.fullmatch(rf"{atom}(\.{atom})*", local) is not None
            and len(labels) > 1 and all(label.fullmatch(x) for x in labels)
            and re.search("[^0-9-]", labels[-1]) is not None)


@FORMATS.checks("timestamp", raises=ValueError)
def is_timestamp(text):
    if not isinstance(text, str):
        return True
    when = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z" == text


@FORMATS.checks("line")
def is_line(text):
    return not isinstance(text, str) or (
        not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text) and text == text.strip(" "))


@FORMATS.checks("token")
def is_token(text):
    return not isinstance(text, str) or all("!" <= c <= "~" for c in text)


@FORMATS.checks("url", raises=ValueError)
def is_url(text):
    if not isinstance(text, str):
        return True
    parts = urllib.parse.urlsplit(text)
    host = parts.hostname or ""
    if ":" in host:
        ipaddress.IPv6Address(host)
    return (is_token(text) and parts.scheme in ("http", "https") and host != "" and "@" not in parts.netloc
            and parts.port != 0 and re.fullmatch(r"[a-z0-9._:-]+", host) is not None)


def validator(name):
    store = {f"{other}.json": schema for other, schema in SCHEMAS.items()}
    resolver = jsonschema.RefResolver("", SCHEMAS[name], store=store)
    return jsonschema.Draft202012Validator(SCHEMAS[name], resolver=resolver, format_checker=FORMATS)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_schema_is_one(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_each_example_is_judged_as_its_name_says(path):
    errors = list(validator(path.parent.name).iter_errors(json.loads(path.read_text())))
    if path.name.startswith("ok-"):
        assert not errors
        return
    field = path.stem.split("-", 2)[1]
    # A missing and an unknown field are found at the object that they belong to.
    found = {".".join(map(str, e.absolute_path)) for e in errors}
    assert field in found or field.rpartition(".")[0] in found, found


def test_every_message_has_examples():
    assert {p.parent.name for p in EXAMPLES} == set(SCHEMAS)
