#!/usr/bin/python3
"""Writes frontends/realtime/src/events.ts: what the WebSocket sends, as types. Standard library only.

From the tables that the daemons are built from: proto/subjects.def has the events and their messages,
proto/topics.def which kinds of them sockets see under which topic, proto/schema what is in them. The
client's build runs it.
"""
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
OUT = ROOT / "frontends" / "realtime" / "src" / "events.ts"
STATE = "instance_state"  # what `subscribed` brings


def table():
    return (ROOT / "proto/topics.def").read_text()


def events():
    """[(event's name, topic, message)] of those that sockets see."""
    topics = dict(re.findall(r"^TOPIC_EVENTS\((\w+),\s*(\w+)\)", table(), re.M))
    subjects = (ROOT / "proto/subjects.def").read_text()
    found = re.findall(r'^SUBJECT\(\w+,\s*"zaki\.evt\.(\w+)\.\*\.(\w+)",\s*EVENT,\s*(\w+),', subjects, re.M)
    return [(f"{kind}.{what}", topics[kind], message) for kind, what, message in found if kind in topics]


def schema(name):
    return json.loads((ROOT / "proto" / "schema" / f"{name}.json").read_text())


def type_name(message):
    return "".join(word.capitalize() for word in message.split("_"))


def type_of(prop, seen):
    """The TypeScript type of a property; messages that it refers to are added to seen."""
    if "$ref" in prop:
        message = prop["$ref"].removesuffix(".json")
        add(message, seen)
        return type_name(message)
    kind = prop.get("type")
    if isinstance(kind, list):
        return type_of({**prop, "type": kind[0]}, seen) + " | null"
    if "enum" in prop:
        return " | ".join(json.dumps(v) for v in prop["enum"])
    if kind == "array":
        item = type_of(prop["items"], seen)
        return f"({item})[]" if " " in item else f"{item}[]"
    return {"string": "string", "integer": "number", "boolean": "boolean"}.get(kind, "unknown")


def add(message, seen):
    """The message's interface, behind those that it needs."""
    if message in seen:
        return
    seen[message] = ""
    doc = schema(message)
    lines = [f"/** {doc['description']} */"] if doc.get("description") else []
    lines.append(f"export interface {type_name(message)} {{")
    for name, prop in doc["properties"].items():
        if prop.get("writeOnly") or prop.get("x-secret"):
            continue
        if prop.get("description"):
            lines.append(f"  /** {prop['description']} */")
        mark = "" if name in doc.get("required", []) else "?"
        lines.append(f"  {name}{mark}: {type_of(prop, seen)};")
    del seen[message]  # so that it stands behind what it refers to
    seen[message] = "\n".join(lines + ["}"])


def text():
    seen, found = {}, events()
    add(STATE, seen)
    for _, _, message in found:
        add(message, seen)
    topics = sorted(re.findall(r"^TOPIC\((\w+)\)", table(), re.M))
    lines = ["// Written by tools/tsgen.py from proto/; do not edit.", ""]
    for interface in seen.values():
        lines += [interface, ""]
    lines += ["/** Each event's data. */", "export interface EventData {"]
    lines += [f"  {json.dumps(name)}: {type_name(message)};" for name, _, message in found]
    lines += ["}", "", "/** What one can listen to. */",
              "export type Topic = " + " | ".join(f"`{topic}.${{string}}`" for topic in topics) + ";", "",
              "/** The state that a subscription begins with. */", f"export type State = {type_name(STATE)};", ""]
    return "\n".join(lines)


def main():
    want = text()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    if not OUT.exists() or OUT.read_text() != want:
        OUT.write_text(want)


if __name__ == "__main__":
    main()
