#!/usr/bin/python3
"""A fake Telegram Bot API for tests: real enough for grammY, steered through /_control/.

    telegram.py --host 127.0.0.1 --port 0 [--state DIR]     prints "ready http://127.0.0.1:PORT"

Under /bot<token>/<method> it is the Bot API; tokens are unknown until a test registers them.
README.md beside this file lists the control endpoints.
"""

from __future__ import annotations

import re
import sys
import time
import urllib.parse
from collections.abc import Callable
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any

from fakehttp import (HttpError, HttpServer, Request, Response, Routes, arguments, json_response,
                      parse_json, run, wait_any)
from faults import Faults, suffer
from telegram_api import Params, call
from telegram_bot import CONFLICT_POLL, TOKEN_FORM, ApiError, Bot, Bots

BODY_MAX = 20 * 1024 * 1024  # bytes; Telegram takes files up to 50 MB, tests need less
FIELDS_MAX = 200
WAIT_MAX_S = 120
DESCRIPTIONS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden: bot was blocked by the "
                "user", 404: "Not Found", 409: CONFLICT_POLL, 500: "Internal Server Error",
                502: "Bad Gateway", 504: "Gateway Timeout"}


def mask(path: str) -> str:
    """A path as it may be logged: a token opens the bot to whoever reads it."""
    return re.sub(r"/bot([0-9]{1,20}):?[^/]*", r"/bot\1:***", path)


def read_params(request: Request) -> Params:
    """Query and body together; a body may be JSON, a form or multipart."""
    params: Params = dict(request.query)
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not request.body:
        return params
    if kind == "multipart/form-data":
        params.update(_multipart(request))
    elif kind == "application/x-www-form-urlencoded":
        try:
            params.update(urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True,
                                                 max_num_fields=FIELDS_MAX))
        except (ValueError, UnicodeError):
            raise ApiError(400, "Bad Request: can't parse the form") from None
    else:
        value = _json(request.body)
        if not isinstance(value, dict):
            raise ApiError(400, "Bad Request: object expected")
        params.update(value)
    return params


def _json(body: bytes) -> Any:
    try:
        return parse_json(body)
    except HttpError:
        raise ApiError(400, "Bad Request: can't parse JSON object") from None


def _multipart(request: Request) -> Params:
    """Fields as text, files as (name, content)."""
    head = b"Content-Type: " + request.headers["content-type"].encode("latin-1") + b"\r\n\r\n"
    params: Params = {}
    parsed = BytesParser(policy=HTTP).parsebytes(head + request.body)
    if not isinstance(parsed, EmailMessage) or not parsed.is_multipart():
        raise ApiError(400, "Bad Request: can't parse multipart body")
    for part in list(parsed.iter_parts())[:FIELDS_MAX]:
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            continue
        filename = part.get_filename()
        params[name] = (filename, content) if filename else content.decode("utf-8", "replace")
    return params


class Telegram:
    """The fake: Bot API on one side, the tests' controls on the other."""

    def __init__(self, state: Path | None) -> None:
        self.bots = Bots(state)
        self.faults = Faults()
        self.control = Routes()
        rows: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "/healthz", self.healthz),
            ("GET", "/_control/healthz", self.healthz),
            ("GET", "/_control/bots", self.list_bots),
            ("POST", "/_control/bots", self.add_bot),
            ("GET", "/_control/bots/([0-9]{1,20})", self.get_bot),
            ("DELETE", "/_control/bots/([0-9]{1,20})", self.delete_bot),
            ("POST", "/_control/bots/([0-9]{1,20})/messages", self.add_message),
            ("POST", "/_control/bots/([0-9]{1,20})/updates", self.add_update),
            ("GET", "/_control/bots/([0-9]{1,20})/sent", self.sent),
            ("GET", "/_control/bots/([0-9]{1,20})/calls", self.calls),
            ("GET", "/_control/faults", self.list_faults),
            ("POST", "/_control/faults", self.add_fault),
            ("DELETE", "/_control/faults", self.clear_faults),
            ("POST", "/_control/reset", self.reset),
        ]
        for method, pattern, handler in rows:
            self.control.add(method, pattern, handler)

    async def handle(self, request: Request) -> Response:
        # Telegram's own tokens hold a colon, which some clients send as %3A: both come here.
        match = re.fullmatch(r"/(file/)?bot([^/]*)/(.*)", request.path)
        if not match:
            return await self.control.call(request)
        try:
            if match[1]:
                return self._download(match[2], match[3])
            result = await self._bot_api(request, match[2], match[3])
            return json_response({"ok": True, "result": result})
        except ApiError as e:
            request.log["error"] = e.description
            return api_error(e)

    async def _bot_api(self, request: Request, token: str, method: str) -> Any:
        if not TOKEN_FORM.fullmatch(token):
            raise ApiError(404, "Not Found")
        if request.method not in ("GET", "POST"):
            raise ApiError(405, "Method Not Allowed")
        bot = self.bots.find(token)
        fault = self.faults.take({token, token.split(":")[0]}, method)
        status = None
        try:
            await suffer(fault)
            if fault and fault.status is not None:
                text = DESCRIPTIONS.get(fault.status, "Error")
                if fault.status == 429:
                    text = f"Too Many Requests: retry after {fault.retry_after}"
                raise ApiError(fault.status, fault.description or text, fault.retry_after)
            if bot is None:
                raise ApiError(401, "Unauthorized")
            params = read_params(request)
            bot.calls[method] += 1
            result = await call(bot, method, params, request)
            status = 200
            return result
        except ApiError as e:
            status = e.code
            raise
        finally:
            if bot:
                self._note(bot, method, request, status)

    @staticmethod
    def _note(bot: Bot, method: str, request: Request, status: int | None) -> None:
        """For tests that ask what exactly a client sent; bodies are kept short."""
        bot.call_log.append({"time": round(time.time(), 3), "method": method, "status": status,
                             "http": request.method, "query": request.query,
                             "type": request.headers.get("content-type", ""),
                             "body": request.body[:2000].decode("utf-8", "replace")})

    def _download(self, token: str, path: str) -> Response:
        bot = self.bots.find(token)
        if bot is None:
            raise ApiError(401 if TOKEN_FORM.fullmatch(token) else 404,
                           "Unauthorized" if TOKEN_FORM.fullmatch(token) else "Not Found")
        for file_id, (name, content) in bot.files.items():
            if path == f"files/{file_id}/{name}":
                return Response(200, content, "application/octet-stream")
        raise ApiError(404, "Not Found")

    # Control endpoints.

    def healthz(self, _request: Request) -> Response:
        return json_response({"ok": True, "service": "fake-telegram", "bots": len(self.bots.by_id)})

    def _bot(self, bot_id: str) -> Bot:
        bot = self.bots.by_id.get(int(bot_id))
        if bot is None:
            raise HttpError(404, f"no bot {bot_id}")
        return bot

    def list_bots(self, _request: Request) -> Response:
        return json_response({"bots": [bot.shown() for bot in self.bots.by_id.values()]})

    def get_bot(self, _request: Request, bot_id: str) -> Response:
        return json_response(self._bot(bot_id).shown())

    def add_bot(self, request: Request) -> Response:
        body = request.json_object()
        token = body.get("token")
        if not isinstance(token, str) or not TOKEN_FORM.fullmatch(token):
            raise HttpError(400, "token: must look like 123456:ABC-…, 30 or more after the colon")
        bot_id = token.split(":")[0]
        username = body.get("username", f"bot{bot_id}_bot")
        name = body.get("name", f"Bot {bot_id}")
        for key, value in (("username", username), ("name", name)):
            if not isinstance(value, str) or not 0 < len(value) <= 64:
                raise HttpError(400, f"{key}: must be a text of 1 to 64 characters")
        return json_response(self.bots.register(token, username, name).shown(), 201)

    def delete_bot(self, _request: Request, bot_id: str) -> Response:
        self.bots.delete(self._bot(bot_id))
        return json_response({"ok": True})

    def add_message(self, request: Request, bot_id: str) -> Response:
        """A person writes to the bot."""
        bot = self._bot(bot_id)
        body = request.json_object()
        sender = body.get("from")
        text = body.get("text")
        if not isinstance(sender, dict) or not _is_id(sender.get("id")):
            raise HttpError(400, "from: must be an object with a numeric id")
        if not isinstance(text, str) or not 0 < len(text) <= 4096:
            raise HttpError(400, "text: must be a text of 1 to 4096 characters")
        chat_id = body.get("chat_id", sender["id"])
        if not _is_id(chat_id):
            raise HttpError(400, "chat_id: must be a number")
        person = {"id": sender["id"], "is_bot": False, "language_code": "en",
                  "first_name": str(sender.get("first_name") or f"Person {sender['id']}"),
                  **({"username": str(sender["username"])} if sender.get("username") else {})}
        message = {"message_id": bot.new_message_id(), "from": person,
                   "chat": _chat(chat_id, person), "date": int(time.time()), "text": text}
        command = re.match(r"/[A-Za-z0-9_]+(@\w+)?", text)
        if command:
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": command.end()}]
        return self._injected(bot, "message", message)

    def add_update(self, request: Request, bot_id: str) -> Response:
        """Any other update, as {"callback_query": {…}} or the like."""
        body = request.json_object()
        if len(body) != 1 or not isinstance(next(iter(body.values())), dict):
            raise HttpError(400, 'the body must be {"<kind of update>": {…}}')
        kind, content = next(iter(body.items()))
        return self._injected(self._bot(bot_id), kind, content)

    @staticmethod
    def _injected(bot: Bot, kind: str, content: dict[str, Any]) -> Response:
        try:
            update_id = bot.inject(kind, content)
        except ApiError as e:
            raise HttpError(e.code, e.description) from None
        return json_response({"update_id": update_id, "message_id": content.get("message_id"),
                              "sent_seq": bot.sent_seq}, 201)

    async def sent(self, request: Request, bot_id: str) -> Response:
        bot = self._bot(bot_id)
        since = request.query_number("since", 0, 0, 2**53)
        deadline = time.monotonic() + request.query_number("wait", 0, 0, WAIT_MAX_S)
        while bot.sent_seq <= since and not request.gone.is_set():
            left = deadline - time.monotonic()
            if left <= 0 or bot.id not in self.bots.by_id:
                break
            await wait_any(left, bot.sent_more, request.gone)
        return json_response({"sent": [s for s in bot.sent if s["seq"] > since],
                              "next": bot.sent_seq})

    def calls(self, request: Request, bot_id: str) -> Response:
        bot = self._bot(bot_id)
        answer: dict[str, Any] = {"calls": dict(bot.calls), "conflicts": bot.conflicts}
        if request.query.get("log"):
            answer["log"] = list(bot.call_log)
        return json_response(answer)

    def list_faults(self, _request: Request) -> Response:
        return json_response({"faults": self.faults.shown()})

    def add_fault(self, request: Request) -> Response:
        fault = self.faults.add(request.json_object())
        if fault.status == 429 and fault.retry_after is None:
            fault.retry_after = 1
        return json_response({"ok": True, "fault": fault.shown()}, 201)

    def clear_faults(self, _request: Request) -> Response:
        return json_response({"ok": True, "cleared": self.faults.clear()})

    def reset(self, _request: Request) -> Response:
        for bot in list(self.bots.by_id.values()):
            self.bots.delete(bot)
        self.faults.clear()
        return json_response({"ok": True})


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < abs(value) < 2**53


def _chat(chat_id: int, person: dict[str, Any]) -> dict[str, Any]:
    if chat_id < 0:
        return {"id": chat_id, "type": "supergroup", "title": f"Group {-chat_id}"}
    names = {k: person[k] for k in ("first_name", "username") if k in person}
    return {"id": chat_id, "type": "private", **names}


def api_error(e: ApiError) -> Response:
    body: dict[str, Any] = {"ok": False, "error_code": e.code, "description": e.description}
    headers = {}
    if e.retry_after is not None:
        body["parameters"] = {"retry_after": e.retry_after}
        headers["Retry-After"] = str(e.retry_after)
    return json_response(body, e.code, headers)


def main() -> int:
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    fake = Telegram(Path(options.state) if options.state else None)
    server = HttpServer("fake-telegram", fake.handle, BODY_MAX, mask)
    server.error_body = lambda status, text: {"ok": False, "error_code": status,
                                              "description": text, "error": text}
    return run(server, options)


if __name__ == "__main__":
    sys.exit(main())
