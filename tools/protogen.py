#!/usr/bin/python3
"""Writes messages.h and messages.c from proto/schema/*.json. Standard library only.

Takes a small part of JSON Schema (draft 2020-12) and refuses the rest, so that a schema never says
more than the C code checks. Every string, number and array must have bounds.
"""
import json
import pathlib
import re
import sys

NAME = re.compile(r"[a-z][a-z0-9_]{0,23}")  # a C identifier, and short: paths of fields are 63 bytes
FORMATS = {"uuid", "email", "timestamp", "line", "token", "url"}
KEYWORDS = {
    "string": {"minLength", "maxLength", "enum", "format", "writeOnly", "x-secret"},
    "integer": {"minimum", "maximum"},
    "boolean": set(),
    "array": {"items", "maxItems"},
    "json": {"maxLength"},
}
INT_MAX = 2**53  # past it a JSON number is no longer exact (RFC 8259, section 6)


class Field:
    """One property, with all that the generator asks of it already decided."""

    def __init__(self, path, schema, name, prop):
        self.name = name
        self.where = f"{path}: {name}"
        self.required = name in schema.get("required", [])
        self.item = ref_of(prop)
        self.nullable = False
        self.prop = prop
        assert NAME.fullmatch(name), f"{self.where}: names are {NAME.pattern}"
        if self.item:
            self.kind = "object"
            self.check_keys(prop, set())
            return
        kind = prop.get("type", "json" if prop.get("x-json") else None)
        if isinstance(kind, list):
            assert len(kind) == 2 and kind[1] == "null", f"{self.where}: only [TYPE, null]"
            self.nullable, kind = True, kind[0]
        assert kind in KEYWORDS, f"{self.where}: type {kind} is not supported"
        assert not self.nullable or kind in ("string", "integer", "boolean"), f"{self.where}: nullable {kind}"
        self.kind = kind
        self.check_keys(prop, KEYWORDS[kind])
        getattr(self, "check_" + kind)(prop)

    def check_keys(self, prop, allowed):
        extra = set(prop) - allowed - {"type", "description", "$ref", "x-json"}
        assert not extra, f"{self.where}: not supported: {sorted(extra)}"

    def check_string(self, prop):
        assert "enum" in prop or "maxLength" in prop, f"{self.where}: every string has a maxLength"
        assert prop.get("format", "line") in FORMATS, f"{self.where}: unknown format"
        assert not ("enum" in prop and "format" in prop), f"{self.where}: enum or format, not both"
        assert prop.get("minLength", 0) <= prop.get("maxLength", 64), f"{self.where}: bounds"
        assert "enum" not in prop or (prop["enum"] and all(
            isinstance(v, str) for v in prop["enum"])), f"{self.where}: an enum has texts"

    def check_integer(self, prop):
        assert {"minimum", "maximum"} <= set(prop), f"{self.where}: every integer has bounds"
        assert -INT_MAX <= prop["minimum"] <= prop["maximum"] <= INT_MAX, f"{self.where}: bounds"

    def check_boolean(self, prop):
        pass

    def check_json(self, prop):
        assert "maxLength" in prop, f"{self.where}: every free value has a maxLength in bytes"

    def check_array(self, prop):
        assert "maxItems" in prop, f"{self.where}: every array has maxItems"
        self.item = ref_of(prop["items"])
        if self.item:
            self.kind = "objects"
            return
        assert prop["items"].get("type") == "string", f"{self.where}: arrays of messages or strings"
        self.kind = "strings"
        self.prop = dict(prop["items"], maxItems=prop["maxItems"])
        self.check_string(self.prop)

    @property
    def secret(self):
        return bool(self.prop.get("writeOnly") or self.prop.get("x-secret"))

    @property
    def has_flag(self):
        return self.kind in ("integer", "boolean") and (not self.required or self.nullable)

    def bounds(self):
        if self.kind == "integer":
            return self.prop["minimum"], self.prop["maximum"]
        return self.prop.get("minLength", 0), self.prop.get("maxLength", 64)

    def declaration(self):
        kinds = {
            "string": f"const char *{self.name};",
            "json": f"const char *{self.name};",
            "integer": f"long long {self.name};",
            "boolean": f"bool {self.name};",
            "object": f"struct {self.item} *{self.name};",
            "objects": f"struct {self.item} *{self.name};\n\tsize_t {self.name}_count;",
            "strings": f"const char **{self.name};\n\tsize_t {self.name}_count;",
        }
        flag = f"\n\tbool has_{self.name};" if self.has_flag else ""
        text = self.prop.get("description")
        comment = f" /* {text} */" if text and "*/" not in text else ""
        return f"\t{kinds[self.kind]}{comment}{flag}"


def ref_of(prop):
    ref = prop.get("$ref")
    if ref is None:
        return None
    assert ref.endswith(".json") and "/" not in ref, f"{ref}: refer to NAME.json beside it"
    return ref[: -len(".json")]


class Message:
    def __init__(self, path):
        schema = json.loads(path.read_text())
        self.name = schema["title"]
        assert self.name == path.stem, f"{path}: title must be the file's name"
        assert schema.get("type") == "object", f"{path}: must be an object"
        assert schema.get("additionalProperties") is False, f"{path}: must refuse unknown fields"
        extra = set(schema) - {"$schema", "title", "description", "type", "additionalProperties",
                               "required", "properties"}
        assert not extra, f"{path}: not supported: {sorted(extra)}"
        self.description = schema.get("description", "")
        self.fields = [Field(path, schema, n, p) for n, p in schema["properties"].items()]
        unknown = set(schema.get("required", [])) - {f.name for f in self.fields}
        assert not unknown, f"{path}: requires what it does not have: {sorted(unknown)}"

    def parts(self):
        return {f.item for f in self.fields if f.item}


def in_order(messages):
    """Parts before wholes, since C wants a struct known before an array of it is walked."""
    by_name = {m.name: m for m in messages}
    done, out = set(), []

    def add(name, path):
        assert name in by_name, f"{path[-1]}: refers to {name}, which has no schema"
        assert name not in path, f"{name}: refers to itself"
        if name in done:
            return
        for part in sorted(by_name[name].parts()):
            add(part, path + [name])
        done.add(name)
        out.append(by_name[name])

    for m in messages:
        add(m.name, [m.name + " "])
    return out


def has_secret(message, by_name):
    return any(f.secret for f in message.fields) or any(
        has_secret(by_name[p], by_name) for p in message.parts())


def header(messages, out):
    out("/* Generated by tools/protogen.py from proto/schema/. */\n#ifndef PROTO_MESSAGES_H\n"
        "#define PROTO_MESSAGES_H\n\n#include \"wire/wire.h\"\n")
    for m in messages:
        if m.description:
            out(f"/* {m.description} */")
        out(f"struct {m.name} {{")
        for f in m.fields:
            out(f.declaration())
        if not m.fields:
            out("\tchar unused;")
        out(f"}};\nextern const struct wire_msg wire_{m.name};\n")
    out("extern const struct wire_msg *const wire_messages[];\nextern const size_t wire_message_count;\n")
    out("#endif")


def flags(f):
    on = [n for n, is_on in (("WIRE_REQUIRED", f.required), ("WIRE_NULLABLE", f.nullable),
                             ("WIRE_SECRET", f.secret)) if is_on]
    return " | ".join(on) or "0"


def row(m, f):
    t, n = m.name, f.name
    types = {"string": "WIRE_STRING", "integer": "WIRE_INT", "boolean": "WIRE_BOOL",
             "object": "WIRE_OBJECT", "objects": "WIRE_OBJECTS", "strings": "WIRE_STRINGS",
             "json": "WIRE_JSON"}
    lo, hi = f.bounds()
    parts = [
        f'.name = "{n}"', f".type = {types[f.kind]}", f".flags = {flags(f)}",
        f".offset = offsetof(struct {t}, {n})",
        ".has_offset = " + (f"offsetof(struct {t}, has_{n})" if f.has_flag else "WIRE_ALWAYS"),
        f".min = {lo}LL", f".max = {hi}LL",
    ]
    if f.kind in ("objects", "strings"):
        parts += [f".count_offset = offsetof(struct {t}, {n}_count)",
                  f".items_max = {f.prop['maxItems']}"]
    if "format" in f.prop:
        parts.append(f".format = WIRE_FORMAT_{f.prop['format'].upper()}")
    if "enum" in f.prop:
        parts.append(f".one_of = {t}_{n}")
    if f.item:
        parts.append(f".item = &wire_{f.item}")
    return "\t{ " + ", ".join(parts) + " },"


def source(messages, out):
    by_name = {m.name: m for m in messages}
    out("/* Generated by tools/protogen.py from proto/schema/. */\n#include \"messages.h\"\n")
    for m in messages:
        for f in m.fields:
            if "enum" in f.prop:
                values = ", ".join(json.dumps(v) for v in f.prop["enum"])
                out(f"static const char *const {m.name}_{f.name}[] = {{ {values}, NULL }};")
        out(f"static const struct wire_field {m.name}_fields[] = {{")
        for f in m.fields:
            out(row(m, f))
        if not m.fields:
            out("\t{ 0 },")
        secret = "true" if has_secret(m, by_name) else "false"
        out(f"}};\nconst struct wire_msg wire_{m.name} = {{ \"{m.name}\", sizeof(struct {m.name}), "
            f"{m.name}_fields, {len(m.fields)}, {secret} }};\n")
    out("const struct wire_msg *const wire_messages[] = {")
    for m in messages:
        out(f"\t&wire_{m.name},")
    out(f"}};\nconst size_t wire_message_count = {len(messages)};")


def main():
    src, dst = map(pathlib.Path, sys.argv[1:3])
    messages = in_order([Message(p) for p in sorted(src.glob("*.json"))])
    dst.mkdir(parents=True, exist_ok=True)
    for name, write in (("messages.h", header), ("messages.c", source)):
        lines = []
        write(messages, lines.append)
        (dst / name).write_text("\n".join(lines) + "\n")


try:
    main()
except AssertionError as bad:
    sys.exit(f"protogen: {bad}")
