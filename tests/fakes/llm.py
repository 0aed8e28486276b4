#!/usr/bin/python3
"""A fake OpenAI-compatible LLM for tests: echoes what the person said, or says what a test set.

    llm.py --host 127.0.0.1 --port 0 [--state DIR]          prints "ready http://127.0.0.1:PORT"

README.md beside this file lists the control endpoints. Nothing is kept over a restart; --state is
taken so that all fakes start alike.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from fakehttp import (DropConnection, HttpError, HttpServer, Request, Response, Routes, arguments,
                      json_response, run)
from faults import Fault, Faults, number, suffer
from llm_chat import Reply, checked, chunks, completion, person_text, usage_of

BODY_MAX = 8 * 1024 * 1024  # bytes; OpenClaw sends 50-60 KB and more as a talk grows
REQUESTS_MAX = 200
REPLIES_MAX = 1000
MODELS_DEFAULT = ["fake-1", "fake-2"]


def openai_error(status: int, text: str) -> dict[str, Any]:
    kind = {401: "invalid_request_error", 429: "rate_limit_error"}.get(
        status, "server_error" if status >= 500 else "invalid_request_error")
    code = {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(status)
    return {"error": {"message": text, "type": kind, "param": None, "code": code}}


def key_id(key: str) -> str:
    """Names a key in logs and records without telling it."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


class Llm:
    """The fake: OpenAI's endpoints on one side, the tests' controls on the other."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.replies: list[Reply] = []
        self.keys: set[str] = set()  # empty: any key will do
        self.models = list(MODELS_DEFAULT)
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_MAX)
        self.seq = 0
        self.routes = Routes()
        rows: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "/healthz", self.healthz),
            ("GET", "/_control/healthz", self.healthz),
            ("GET", "/v1/models", self.list_models),
            ("GET", "/v1/models/(.+)", self.get_model),
            ("POST", "/v1/chat/completions", self.chat),
            ("GET", "/_control/requests", self.shown),
            ("POST", "/_control/replies", self.add_reply),
            ("DELETE", "/_control/replies", self.clear_replies),
            ("POST", "/_control/keys", self.set_keys),
            ("POST", "/_control/models", self.set_models),
            ("GET", "/_control/faults", self.list_faults),
            ("POST", "/_control/faults", self.add_fault),
            ("DELETE", "/_control/faults", self.clear_faults),
            ("POST", "/_control/reset", self.reset),
        ]
        for method, pattern, handler in rows:
            self.routes.add(method, pattern, handler)

    async def handle(self, request: Request) -> Response:
        return await self.routes.call(request)

    def _authorize(self, request: Request) -> str:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise HttpError(401, "You didn't provide an API key.")
        request.log["key"] = key_id(key)
        if self.keys and key not in self.keys:
            raise HttpError(401, "Incorrect API key provided.")
        return key

    # OpenAI's endpoints.

    def list_models(self, request: Request) -> Response:
        self._authorize(request)
        return json_response({"object": "list", "data": [self._model(m) for m in self.models]})

    def get_model(self, request: Request, name: str) -> Response:
        self._authorize(request)
        if name not in self.models:
            raise HttpError(404, f"The model '{name}' does not exist")
        return json_response(self._model(name))

    @staticmethod
    def _model(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": 1700000000, "owned_by": "fake"}

    async def chat(self, request: Request) -> Response:
        key = self._authorize(request)
        body = request.json_object()
        model, messages = checked(body)
        text = person_text(messages)
        entry = self._note(request, body, text, key)
        fault = self.faults.take_containing(text, "chat")
        await suffer(fault)
        if fault and fault.status is not None:
            entry["status"] = fault.status
            return self._failure(fault)
        reply, delay_ms = self._reply(text)
        entry.update(status=200, reply=reply)
        usage = usage_of(messages, reply)
        if body.get("stream") is not True:
            await asyncio.sleep(delay_ms / 1000)
            return json_response(completion(model, reply, usage))
        # OpenClaw does not ask for the figures and still counts on them, as other servers than
        # OpenAI's send them anyway. So they come unless they are declined.
        options = body.get("stream_options")
        wanted = not isinstance(options, dict) or options.get("include_usage") is True
        events = chunks(model, reply, usage if wanted else None)
        return Response(200, content_type="text/event-stream",
                        headers={"Cache-Control": "no-cache"},
                        stream=self._stream(events, delay_ms, fault))

    @staticmethod
    def _failure(fault: Fault) -> Response:
        status = fault.status or 500
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        return json_response(openai_error(status, fault.description or "fault set by a test"),
                             status, headers)

    @staticmethod
    async def _stream(events: Any, delay_ms: int, fault: Fault | None) -> AsyncIterator[bytes]:
        for index, event in enumerate(events):
            if fault and fault.cut_after is not None and index >= fault.cut_after:
                raise DropConnection
            if index and delay_ms:
                await asyncio.sleep(delay_ms / 1000)
            yield b"data: " + json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n\n"
        yield b"data: [DONE]\n\n"

    def _reply(self, text: str) -> tuple[str, int]:
        for reply in self.replies:
            if reply.match in text:
                if reply.times is not None:
                    reply.times -= 1
                    if reply.times == 0:
                        self.replies.remove(reply)
                return reply.reply, reply.chunk_delay_ms
        # OpenClaw's own background questions: silence, or people would get messages out of nowhere.
        return ("NO_REPLY" if "reply NO_REPLY" in text else f"You said: {text}"), 0

    def _note(self, request: Request, body: dict[str, Any], text: str, key: str) -> dict[str, Any]:
        self.seq += 1
        request.log["seq"] = self.seq
        entry = {"seq": self.seq, "time": round(time.time(), 3), "model": body.get("model"),
                 "stream": body.get("stream") is True, "text": text, "key": key_id(key),
                 "bytes": len(request.body), "messages": len(body["messages"]),
                 "tools": len(body["tools"]) if isinstance(body.get("tools"), list) else 0,
                 "status": None, "reply": None, "body": body}
        self.requests.append(entry)
        return entry

    # Control endpoints.

    def healthz(self, _request: Request) -> Response:
        return json_response({"ok": True, "service": "fake-llm", "requests": self.seq})

    def shown(self, request: Request) -> Response:
        since = request.query_number("since", 0, 0, 2**53)
        full = bool(request.query.get("full"))
        entries = [e if full else {k: v for k, v in e.items() if k != "body"}
                   for e in self.requests if e["seq"] > since]
        return json_response({"requests": entries, "next": self.seq})

    def add_reply(self, request: Request) -> Response:
        body = request.json_object()
        unknown = set(body) - {"match", "reply", "chunk_delay_ms", "times"}
        if unknown:
            raise HttpError(400, f"unknown field: {sorted(unknown)[0]}")
        match, reply = body.get("match", ""), body.get("reply")
        if not isinstance(match, str):
            raise HttpError(400, "match: must be a text")
        if not isinstance(reply, str) or len(reply) > 1_000_000:
            raise HttpError(400, "reply: must be a text of at most 1000000 characters")
        delay = number(body, "chunk_delay_ms", 0, 60_000) or 0
        times = number(body, "times", 1, 1_000_000)
        if len(self.replies) >= REPLIES_MAX:
            raise HttpError(400, "too many replies")
        # The newest comes first, so that a test can override an earlier one.
        self.replies.insert(0, Reply(match, reply, delay, times))
        return json_response({"ok": True, "replies": len(self.replies)}, 201)

    def clear_replies(self, _request: Request) -> Response:
        self.replies.clear()
        return json_response({"ok": True})

    def set_keys(self, request: Request) -> Response:
        self.keys = set(self._texts(request, "keys"))
        return json_response({"ok": True, "keys": len(self.keys)})

    def set_models(self, request: Request) -> Response:
        self.models = self._texts(request, "models")
        return json_response({"ok": True, "models": self.models})

    @staticmethod
    def _texts(request: Request, name: str) -> list[str]:
        values = request.json_object().get(name)
        if not isinstance(values, list) or len(values) > 1000 \
                or not all(isinstance(v, str) and v for v in values):
            raise HttpError(400, f"{name}: must be a list of texts")
        return values

    def list_faults(self, _request: Request) -> Response:
        return json_response({"faults": self.faults.shown()})

    def add_fault(self, request: Request) -> Response:
        fault = self.faults.add(request.json_object())
        return json_response({"ok": True, "fault": fault.shown()}, 201)

    def clear_faults(self, _request: Request) -> Response:
        return json_response({"ok": True, "cleared": self.faults.clear()})

    def reset(self, _request: Request) -> Response:
        """Everything as at the start but the counter, so that `since` of a test stays good."""
        self.faults.clear()
        self.replies.clear()
        self.keys.clear()
        self.models = list(MODELS_DEFAULT)
        self.requests.clear()
        return json_response({"ok": True})


def main() -> int:
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    server = HttpServer("fake-llm", Llm().handle, BODY_MAX)
    server.error_body = openai_error
    return run(server, options)


if __name__ == "__main__":
    sys.exit(main())
