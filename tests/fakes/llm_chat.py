"""What a chat completion asks for and what is answered, as plain functions."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fakehttp import HttpError

CHUNK_CHARS = 24
MESSAGES_MAX = 10_000
# OpenClaw (seen with 2026.9.6) puts around a person's words: the time in front, fenced JSON about
# the talk under a line that ends in a mark of its own, and a line about the runtime behind. After
# them comes one more user message that holds nothing but its internal context.
INTERNAL = re.compile(r"<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>.*?"
                      r"<<<END_OPENCLAW_INTERNAL_CONTEXT>>>", re.DOTALL)
TIME = re.compile(r"\A\[[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d [^\]\n]*\]\s*")
CONTEXT = re.compile(r"^[^\n]*⟦openclaw:ctx⟧\n```.*?\n```\s*", re.DOTALL | re.MULTILINE)
RUNTIME = re.compile(r"\n\nRuntime: agent=[^\n]*\Z")


@dataclass
class Reply:
    """A scripted answer: where `match` is part of the person's text, `reply` is said."""

    match: str
    reply: str
    chunk_delay_ms: int
    times: int | None


def content_text(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(p["text"] for p in content
                         if isinstance(p, dict) and isinstance(p.get("text"), str))
    return ""


def cleaned(text: str) -> str:
    """A user message without what OpenClaw wraps around a person's words."""
    text = TIME.sub("", INTERNAL.sub("", text).strip())
    return RUNTIME.sub("", CONTEXT.sub("", text).rstrip()).strip()


def person_text(messages: list[Any]) -> str:
    """What the person said last: the last user message that has words of a person in it."""
    users = [content_text(m.get("content")) for m in messages
             if isinstance(m, dict) and m.get("role") == "user"]
    for text in reversed(users):
        words = cleaned(text)
        if words:
            return words
    return ""


def checked(body: dict[str, Any]) -> tuple[str, list[Any]]:
    """Model and messages of a request, or 400 as OpenAI answers it."""
    model = body.get("model")
    messages = body.get("messages")
    if not isinstance(model, str) or not model:
        raise HttpError(400, "you must provide a model parameter")
    if not isinstance(messages, list) or not 0 < len(messages) <= MESSAGES_MAX:
        raise HttpError(400, "Missing required parameter: 'messages'.")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise HttpError(400, f"Invalid value for 'messages[{index}]': expected an object with "
                                 "a role.")
    return model, messages


def usage_of(messages: list[Any], reply: str) -> dict[str, Any]:
    """Plausible figures that are the same for the same input: four characters a token."""
    prompt = sum(len(content_text(m.get("content"))) // 4 + 4 for m in messages)
    completion = max(1, len(reply) // 4)
    return {"prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0}}


def completion(model: str, reply: str, usage: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-" + uuid.uuid4().hex, "object": "chat.completion",
            "created": int(time.time()), "model": model,
            "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                         "message": {"role": "assistant", "content": reply, "refusal": None}}],
            "usage": usage}


def chunks(model: str, reply: str, usage: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The events of a stream; the figures come in one of their own, with no choices."""
    head = {"id": "chatcmpl-" + uuid.uuid4().hex, "object": "chat.completion.chunk",
            "created": int(time.time()), "model": model}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        more = {"usage": None} if usage is not None else {}
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}

    yield chunk({"role": "assistant", "content": ""})
    for start in range(0, len(reply), CHUNK_CHARS):
        yield chunk({"content": reply[start:start + CHUNK_CHARS]})
    yield chunk({}, "stop")
    if usage is not None:
        yield {**head, "choices": [], "usage": usage}
