"""The project's own tables, read as text: routes, subjects, schemas, fault points.

Tests that go over "every endpoint" take the list from here, so a new row is tested without a new test.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .suite import PROJECT


@dataclass(frozen=True)
class Route:
    """One row of services/gateway/routes.def."""

    method: str
    path: str
    subject: str
    input: str
    needs: str
    success: int
    body_max: int = 64 * 1024

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\*?\}", self.path)

    @property
    def has_body(self) -> bool:
        return self.input == "BODY"

    def schema(self) -> dict[str, Any]:
        """The request's schema."""
        return schema(subjects()[self.subject].request)

    def fields(self) -> dict[str, dict[str, Any]]:
        """What its body may hold: the message's fields but the path's."""
        return {k: v for k, v in self.schema()["properties"].items() if k not in self.parameters}

    def required(self) -> list[str]:
        return [f for f in self.schema().get("required", []) if f not in self.parameters]


@dataclass(frozen=True)
class Subject:
    """One row of proto/subjects.def."""

    id: str
    name: str
    kind: str
    request: str
    reply: str


def rows(path: str, macro: str) -> list[list[str]]:
    """The arguments of each MACRO(…) line of a .def file."""
    text = (PROJECT / path).read_text()
    found = re.findall(rf"^\s*{macro}\((.*)\)\s*(?:/\*.*)?$", text, re.M)
    return [[cell.strip().strip('"') for cell in row.split(",")] for row in found]


@lru_cache(None)
def routes() -> tuple[Route, ...]:
    found = []
    for row in rows("services/gateway/routes.def", "(?:ROUTE|STORED|STREAMED)"):
        method, path, subject, given, needs, success = row[:6]
        body_kib = int(row[8]) if len(row) > 8 else 64
        found.append(Route(method, path, subject, given, needs, int(success), body_kib * 1024))
    assert found, "routes.def has no rows that can be read"
    return tuple(found)


@lru_cache(None)
def local_paths() -> dict[str, set[str]]:
    """Paths that the gateway answers itself, with their methods."""
    found: dict[str, set[str]] = {}
    for method, path, *_ in rows("services/gateway/routes.def", "LOCAL"):
        found.setdefault(path, set()).add(method)
    return found


@lru_cache(None)
def subjects() -> dict[str, Subject]:
    found = {row[0]: Subject(*row[:5]) for row in rows("proto/subjects.def", "SUBJECT")}
    assert found, "subjects.def has no rows that can be read"
    return found


@lru_cache(None)
def schema(name: str) -> dict[str, Any]:
    return dict(json.loads((PROJECT / "proto" / "schema" / f"{name}.json").read_text()))


def fault_points(service: str) -> list[str]:
    """Every fault_point("…") in a service's sources."""
    found: set[str] = set()
    for file in sorted((PROJECT / "services" / service).rglob("*.c")):
        for args in re.findall(r'fault_point\(([^;]+)\);', file.read_text()):
            found |= set(re.findall(r'"([^"]+)"', args))
    return sorted(found)
