"""Wrong requests, made from the schemas: for every field of a message, every way to get it wrong."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any, Iterator

from .tables import Route, schema

# A value for each field that some request has. A field that is missing here fails the tests, so that a
# new one gets its value.
SAMPLES: dict[str, Any] = {
    "password": "a good long one", "name": "Name", "bot_token": "123456789:" + "A" * 35, "model": "fake/echo",
    "owner_telegram_id": 4242, "owner_link": True, "input_price_micros": 1_000_000, "output_price_micros": 2_000_000,
    "refresh_token": "r" * 43, "memory_mib": 2048, "limit": 10, "cursor": "c",
    "access": "pairing", "sessions": "shared", "allowed_users": ["7"], "persona": "coach",
    "path": "notes/a.md", "content": "text", "encoding": "utf-8", "if_match": "*", "if_none_match": "*",
    "token": "q" * 43, "new_password": "a better long one", "code": "123456",
    "api_key": "sk-test-0123456789", "base_url": "http://127.0.0.1:9/v1",
    "scope": "read", "expires_at": "2099-01-01T00:00:00.000Z",
    "session_key": "agent:main:main", "title": "Holiday plans", "message": "Good morning", "run_id": "r1", "owner": True,
    "monthly_micros": 5_000_000, "deliver": True, "enabled": True, "kind": "every", "every_ms": 3_600_000,
    "at": "2099-01-01T00:00:00.000Z", "expr": "0 9 * * *", "time_zone": "UTC",
    "under": "workspace", "to_instance": "00000000-0000-4000-8000-000000000000",
}
WRONG_FORMAT = {
    "uuid": ["x" * 36, "00000000-0000-4000-8000-00000000000G"],
    "email": ["nobody", "@example.org", "a@", "a@b", "a b@example.org", "a@exa mple.org", "a@@example.org",
              "a@example..org", ".a@example.org"],
    "line": ["line\nbreak", "tab\there", "\x7f", " in front", "behind "],
    "token": ["two words", "tab\there", "ümlaut-" + "u" * 40, "line\nbreak" + "x" * 30],
    "url": ["example.org", "ftp://example.org", "http://", "http://user:pw@example.org", "http://a b/"],
    "timestamp": ["yesterday", "2026-02-30T00:00:00Z"],
}


def sample(name: str, prop: dict[str, Any]) -> Any:
    """A value that is right."""
    if "$ref" in prop:
        return valid(prop["$ref"].removesuffix(".json"))
    if name == "email":
        return f"eve-{secrets.token_hex(8)}@example.org"
    return SAMPLES[name]


def valid(message: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """A body with every field, all right."""
    return {k: sample(k, v) for k, v in schema(message)["properties"].items() if k not in without}


def path_of(path: str, instance: str) -> str:
    """A path of the table with this id wherever one belongs, and something right for its other parameters."""
    return re.sub(r"\{(\w+)\*?\}", lambda m: instance if m[1].endswith("_id") else str(SAMPLES[m[1]]), path)


def body_of(route: Route) -> dict[str, Any]:
    return {name: sample(name, prop) for name, prop in route.fields().items()}


def wrong_types(prop: dict[str, Any]) -> list[Any]:
    if "$ref" in prop:
        return ["text", 7, True, [], None]
    kind = prop.get("type")
    nullable = isinstance(kind, list)
    kind = kind[0] if isinstance(kind, list) else kind
    wrong: dict[str, list[Any]] = {
        "string": [7, 1.5, True, [], {}, ["text"]],
        "integer": ["7", 1.5, True, [], {}],
        "boolean": ["true", 1, [], {}],
        "array": ["text", 7, {}],
    }
    return wrong.get(str(kind), []) + ([] if nullable else [None])


def of_length(prop: dict[str, Any], count: int) -> str:
    """A text of so many characters, in a form that is right but for the length."""
    fill = {"email": "a@" + "b" * 60 + ".", "url": "http://h/"}.get(prop.get("format", ""), "")
    return (fill + "x" * count)[:count]


def wrong_values(prop: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """(kind, value) for each value of the right type that is refused."""
    if "maxLength" in prop:
        yield "too long", of_length(prop, prop["maxLength"] + 1)
        if prop["maxLength"] < 20_000:
            yield "much too long", of_length(prop, 20_000)
    if prop.get("minLength", 0) > 0:
        yield "empty", ""
        yield "too short", of_length(prop, prop["minLength"] - 1)
    if "minimum" in prop:
        yield "too small", prop["minimum"] - 1
        yield "far too small", -(2**53)
    if "maximum" in prop:
        yield "too large", prop["maximum"] + 2
        yield "far too large", 10**300
    if "enum" in prop:
        yield "not in the list", "no such word"
    for text in WRONG_FORMAT.get(prop.get("format", ""), []):
        yield "wrong form", text


def wrong_fields(fields: dict[str, dict[str, Any]], under: str = "") -> Iterator[tuple[str, str, Any]]:
    """(kind, dotted name, value), also of objects within."""
    for name, prop in fields.items():
        for value in wrong_types(prop):
            yield "wrong type", under + name, value
        for kind, value in wrong_values(prop):
            yield kind, under + name, value
        if "$ref" in prop:
            inner = schema(prop["$ref"].removesuffix(".json"))
            for kind, deep, value in wrong_fields(inner["properties"], f"{under}{name}."):
                yield kind, deep, value
            yield "unknown field", f"{under}{name}.no_such_field", 1


def with_value(body: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    """A copy of the body where this one field is another."""
    head, _, rest = dotted.partition(".")
    changed = dict(body)
    changed[head] = with_value(body[head], rest, value) if rest else value
    return changed


def twice(body: dict[str, Any], name: str, value: Any) -> bytes:
    """The body with one key twice: Python's own JSON would not write that."""
    text = json.dumps({k: v for k, v in body.items() if k != name})[:-1]
    pair = f"{json.dumps(name)}: {json.dumps(value)}"
    return f"{text}{', ' if len(body) > 1 else ''}{pair}, {pair}}}".encode()


def text_fields(fields: dict[str, dict[str, Any]]) -> list[str]:
    return [n for n, p in fields.items() if p.get("type") in ("string", ["string", "null"])]


# What is no JSON, or not the JSON that was asked for.
MALFORMED = {
    "nothing": b"", "spaces": b"   ", "cut off": b"{", "cut in a string": b'{"name": "a', "no value": b'{"name":}',
    "single quotes": b"{'name': 'a'}", "bare word": b"name", "cut word": b"nul", "comma at the end": b'{"name": "a",}',
    "leading zero": b'{"limit": 01}', "plus sign": b'{"limit": +1}', "NaN": b'{"limit": NaN}',
    "infinite": b'{"limit": 1e999}', "comment": b'{} // x', "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"name": "a"}'.encode("utf-16"), "raw NUL": b'{"name": "a\x00b"}', "NUL at the end": b'{"name": "a"}\x00',
    "raw control character": b'{"name": "a\x01b"}', "bad escape": b'{"name": "\\q"}', "bad \\u": b'{"name": "\\u00g0"}',
    "lone surrogate": b'{"name": "\\ud800"}', "a form": b"name=a&limit=1", "key without quotes": b'{name: "a"}',
    "closed twice": b'{"name": "a"}}', "brackets crossed": b'{"name": [}]',
    "trailing bytes": b'{"name": "a"} x', "two objects": b"{}{}", "two lines": b'{}\n{}',
    "a list": b"[]", "a list of objects": b"[{}]", "a text": b'"x"', "a number": b"7", "null": b"null", "true": b"true",
    "too deep": b'{"name": ' + b"[" * 40 + b"]" * 40 + b"}", "very deep": b"[" * 30_000,
    "invalid UTF-8": b'{"name": "a\xff"}', "overlong UTF-8": b'{"name": "\xc0\xaf"}',
    "UTF-8 of a surrogate": b'{"name": "\xed\xa0\x80"}', "UTF-8 past the end": b'{"name": "\xf5\x80\x80\x80"}',
}
