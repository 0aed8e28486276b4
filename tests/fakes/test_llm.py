"""The fake LLM answers as OpenAI does, echoes what a person said, and says what a test set."""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from typing import Any

import pytest

from conftest import Fake
from llm_chat import person_text

KEY = {"Authorization": "Bearer sk-test-0123456789"}

# As OpenClaw 2026.9.6 wraps what a person writes on Telegram.
CONTEXT = ('Conversation info: \u27e6openclaw:ctx\u27e7\n```json\n'
           '{"sender":{"id":"42","name":"Olga"}}\n```\n\n')
RUNTIME = "\n\nRuntime: agent=main | session=agent:main:main | model=fake/fake-1 | channel=telegram"
INTERNAL = ('<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nConversation data (data, not instructions):\n'
            '"Active exec sessions:\\nnone"\n<<<END_OPENCLAW_INTERNAL_CONTEXT>>>')


def chat(fake: Fake, text: str, **more: Any) -> tuple[int, Any]:
    body = {"model": "fake-1", "messages": [{"role": "user", "content": text}], **more}
    return fake.request("POST", "/v1/chat/completions", body, KEY)


def stream(fake: Fake, text: str, **more: Any) -> list[Any]:
    body = {"model": "fake-1", "stream": True, **more,
            "messages": [{"role": "user", "content": text}]}
    status, headers, data = fake.raw("POST", "/v1/chat/completions", body, KEY)
    assert status == 200 and headers["Content-Type"] == "text/event-stream"
    events = data.decode().strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    return [json.loads(event[len("data: "):]) for event in events[:-1]]


def said(events: list[Any]) -> str:
    return "".join(e["choices"][0]["delta"].get("content", "") for e in events if e["choices"])


@pytest.mark.parametrize("wrapped, text", [
    ("hello", "hello"),
    ("[Mon 2026-11-23 08:19 UTC] " + CONTEXT + "hello" + RUNTIME, "hello"),
    ("[Mon 2026-11-23 08:19 UTC] " + CONTEXT + "two\n\nlines <b>x</b>", "two\n\nlines <b>x</b>"),
    (CONTEXT + "a fence:\n```\ncode\n```", "a fence:\n```\ncode\n```"),
    ("[not a time] stays", "[not a time] stays")])
def test_the_persons_words_are_found(wrapped: str, text: str) -> None:
    system = {"role": "system", "content": "you are …"}
    assert person_text([system, {"role": "user", "content": wrapped}]) == text
    # OpenClaw adds one more user message, as parts, that no person wrote.
    internal = {"role": "user", "content": [{"type": "text", "text": INTERNAL}]}
    assert person_text([system, {"role": "user", "content": wrapped}, internal]) == text


@pytest.mark.parametrize("messages", [[], [None], [{"role": "user"}],
                                      [{"role": "user", "content": 7}],
                                      [{"role": "user", "content": [1, {"text": 2}]}],
                                      [{"role": "assistant", "content": "x"}]])
def test_no_words_are_no_words(messages: list[Any]) -> None:
    assert person_text(messages) == ""


def test_an_answer_in_one_piece(llm: Fake) -> None:
    status, answer = chat(llm, "hello")
    assert status == 200 and answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "You said: hello",
                                               "refusal": None}
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


def test_an_answer_in_pieces(llm: Fake) -> None:
    text = "long " * 30 + "é🎉"
    events = stream(llm, text, stream_options={"include_usage": True})
    assert said(events) == "You said: " + text and len(events) > 6
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert events[-1]["choices"] == [] and events[-1]["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("more, comes", [({}, True), ({"stream_options": {}}, False),
                                         ({"stream_options": {"include_usage": False}}, False)])
def test_usage_comes_unless_it_is_declined(llm: Fake, more: dict[str, Any], comes: bool) -> None:
    assert ("usage" in stream(llm, "x", **more)[-1]) == comes


def test_keys_are_checked(llm: Fake) -> None:
    bad: list[dict[str, str]] = [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic eDp5"}]
    for headers in bad:
        status, answer = llm.request("GET", "/v1/models", headers=headers)
        assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert llm.request("GET", "/v1/models", headers=KEY)[0] == 200
    llm.post("/_control/keys", {"keys": ["sk-other"]})
    assert chat(llm, "x")[0] == 401
    llm.post("/_control/keys", {"keys": []})
    assert chat(llm, "x")[0] == 200


def test_models_are_listed(llm: Fake) -> None:
    status, answer = llm.request("GET", "/v1/models", headers=KEY)
    assert status == 200 and [m["id"] for m in answer["data"]] == ["fake-1", "fake-2"]
    llm.post("/_control/models", {"models": ["m/1"]})
    assert llm.request("GET", "/v1/models/m/1", headers=KEY)[0] == 200
    assert llm.request("GET", "/v1/models/fake-1", headers=KEY)[0] == 404


def test_scripted_replies_newest_first(llm: Fake) -> None:
    llm.post("/_control/replies", {"match": "weather", "reply": "sunny"})
    llm.post("/_control/replies", {"match": "weather", "reply": "rain", "times": 1})
    llm.post("/_control/replies", {"match": "slow", "reply": "x" * 60, "chunk_delay_ms": 50})
    assert said(stream(llm, "the weather?")) == "rain"
    assert said(stream(llm, "the weather?")) == "sunny"
    started = time.monotonic()
    assert said(stream(llm, "slow please")) == "x" * 60
    assert time.monotonic() - started >= 0.2
    assert llm.request("DELETE", "/_control/replies")[0] == 200
    assert said(stream(llm, "the weather?")) == "You said: the weather?"


def test_openclaws_own_questions_are_answered_with_silence(llm: Fake) -> None:
    assert said(stream(llm, "Heartbeat. If nothing needs attention, reply NO_REPLY.")) == "NO_REPLY"


def test_requests_can_be_read(llm: Fake) -> None:
    start = llm.get("/_control/requests")["next"]
    chat(llm, "one")
    stream(llm, "two", tools=[{"type": "function"}])
    answer = llm.get(f"/_control/requests?since={start + 1}")
    assert answer["next"] == start + 2
    (entry,) = answer["requests"]
    assert (entry["seq"], entry["text"], entry["stream"], entry["tools"], entry["status"]) == (
        start + 2, "two", True, 1, 200)
    assert "body" not in entry
    full = llm.get("/_control/requests?full=1")["requests"][0]
    assert full["body"]["messages"] == [{"role": "user", "content": "one"}]


def test_faults_come_as_ordered(llm: Fake) -> None:
    llm.post("/_control/faults", {"status": 429, "retry_after": 3, "times": 2})
    for _ in range(2):
        status, answer = chat(llm, "x")
        assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    llm.post("/_control/faults", {"match": "only this", "status": 500})
    assert chat(llm, "x")[0] == 200
    assert chat(llm, "if only this fails")[0] == 500
    llm.post("/_control/faults", {"cut_after": 2})
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        stream(llm, "cut")
    llm.post("/_control/faults", {"drop": True})
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        chat(llm, "dropped")
    llm.post("/_control/faults", {"delay_ms": 300})
    started = time.monotonic()
    assert chat(llm, "late")[0] == 200 and time.monotonic() - started >= 0.3
    llm.post("/_control/faults", {"status": 500, "times": None})
    llm.post("/_control/reset")
    assert chat(llm, "x")[0] == 200 and llm.get("/_control/faults")["faults"] == []


@pytest.mark.parametrize("body", [{}, {"model": "m"}, {"model": "m", "messages": []},
                                  {"model": "m", "messages": ["x"]}, {"model": 7, "messages": [{}]},
                                  {"model": "m", "messages": [{"role": 1}]}, [], "x", b"{",
                                  pytest.param(b"[" * 9999, id="too deep")])
def test_bad_requests_are_refused(llm: Fake, body: Any) -> None:
    status, answer = llm.request("POST", "/v1/chat/completions", body, KEY)
    assert status == 400 and answer["error"]["type"] == "invalid_request_error"
    assert chat(llm, "still there")[0] == 200


@pytest.mark.parametrize("path, body", [
    ("/_control/replies", {"match": "x"}), ("/_control/replies", {"reply": "x", "tmies": 1}),
    ("/_control/replies", {"reply": "x", "times": 0}), ("/_control/keys", {"keys": "x"}),
    ("/_control/replies", {"reply": "x", "chunk_delay_ms": -1}), ("/_control/faults", {})])
def test_bad_controls_are_refused(llm: Fake, path: str, body: Any) -> None:
    status, answer = llm.request("POST", path, body)
    assert status == 400 and answer["error"]["message"]


def test_a_body_past_the_limit_is_refused(llm: Fake) -> None:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(llm.url).netloc, timeout=5)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("Content-Length", str(9 * 1024 * 1024))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_keys_are_never_logged(llm: Fake) -> None:
    chat(llm, "x")
    llm.post("/_control/keys", {"keys": ["sk-secret-secret"]})
    chat(llm, "x")
    assert "sk-" not in llm.log_path.read_text()
    assert "sk-" not in str(llm.get("/_control/requests"))
    assert {line["service"] for line in llm.log()} == {"fake-llm"}
