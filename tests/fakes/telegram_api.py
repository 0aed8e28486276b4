"""The methods of the Bot API that the fake answers, one function each, found through a table.

Descriptions of errors are Telegram's own words, since clients decide by them.
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fakehttp import Request
from telegram_bot import CONFLICT_SET_WEBHOOK, ApiError, Bot

TEXT_MAX = 4096  # characters, Telegram's limit
CAPTION_MAX = 1024
POLL_MAX_S = 60

Params = dict[str, Any]
Method = Callable[[Bot, Params, Request], Any]


def number(params: Params, name: str, default: int | None = None) -> int:
    """An integer, which forms carry as text."""
    value = params.get(name, default)
    try:
        if isinstance(value, bool) or isinstance(value, float) and value != int(value):
            raise ValueError
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ApiError(400, f"Bad Request: can't parse {name}") from None


def structure(params: Params, name: str, default: Any) -> Any:
    """A list or an object, which forms and queries carry as JSON text."""
    value = params.get(name, default)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ApiError(400, f"Bad Request: can't parse {name} JSON object") from None
    if not isinstance(value, type(default)):
        raise ApiError(400, f"Bad Request: can't parse {name}: unexpected type")
    return value


def chat_of(params: Params) -> int:
    value = params.get("chat_id")
    if value is None or value == "":
        raise ApiError(400, "Bad Request: chat_id is empty")
    if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,20}", str(value)):
        raise ApiError(400, "Bad Request: chat not found")
    return int(value)


def chat(chat_id: int) -> dict[str, Any]:
    return {"id": chat_id, "type": "private" if chat_id > 0 else "supergroup"}


def plain(text: str, params: Params) -> str:
    """The text as a person reads it."""
    if str(params.get("parse_mode", "")).lower() == "html":
        return html.unescape(re.sub(r"</?[a-zA-Z][^>]*>", "", text))
    return text


def text_of(params: Params, name: str, limit: int) -> str:
    text = params.get(name)
    if not isinstance(text, str) or not text.strip():
        raise ApiError(400, f"Bad Request: {'message ' if name == 'text' else ''}{name} is empty")
    if len(plain(text, params)) > limit:
        raise ApiError(400, "Bad Request: message is too long")
    return text


def new_message(bot: Bot, chat_id: int, **content: Any) -> dict[str, Any]:
    message = {"message_id": bot.new_message_id(), "from": bot.user(), "chat": chat(chat_id),
               "date": int(time.time()), **content}
    bot.keep_message(message)
    return message


def get_me(bot: Bot, _params: Params, _request: Request) -> Any:
    return {**bot.user(), "can_join_groups": True, "can_read_all_group_messages": False,
            "supports_inline_queries": False, "can_connect_to_business": False,
            "has_main_web_app": False, "has_topics_enabled": False,
            "allows_users_to_create_topics": False}


async def get_updates(bot: Bot, params: Params, request: Request) -> Any:
    limit = number(params, "limit", 100)
    timeout = number(params, "timeout", 0)
    kinds = structure(params, "allowed_updates", bot.allowed_updates)
    bot.allowed_updates = [str(kind) for kind in kinds]
    return await bot.get_updates(number(params, "offset", 0), min(max(limit, 1), 100),
                                 min(max(timeout, 0), POLL_MAX_S), request.gone)


def set_webhook(bot: Bot, params: Params, _request: Request) -> Any:
    url = str(params.get("url", ""))
    if not url:
        return delete_webhook(bot, params, _request)
    if not url.startswith("https://"):
        raise ApiError(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
    bot.webhook = {"url": url, "max_connections": number(params, "max_connections", 40)}
    if bot.poll:
        bot.poll.abort(409, CONFLICT_SET_WEBHOOK)
    bot.save()
    return True


def delete_webhook(bot: Bot, params: Params, _request: Request) -> Any:
    bot.webhook = {}
    if str(params.get("drop_pending_updates", "")).lower() in ("true", "1"):
        bot.drop_pending()
    bot.save()
    return True


def get_webhook_info(bot: Bot, _params: Params, _request: Request) -> Any:
    return {"url": bot.webhook.get("url", ""), "has_custom_certificate": False,
            "pending_update_count": len(bot.pending), **bot.webhook}


def _command_scope(params: Params) -> str:
    return json.dumps(structure(params, "scope", {"type": "default"}), sort_keys=True) \
        + str(params.get("language_code", ""))


def set_my_commands(bot: Bot, params: Params, _request: Request) -> Any:
    commands = structure(params, "commands", [])
    if len(commands) > 100:
        raise ApiError(400, "Bad Request: BOT_COMMANDS_TOO_MUCH")
    for command in commands:
        name = command.get("command") if isinstance(command, dict) else None
        if not isinstance(name, str) or not re.fullmatch(r"/?[a-z0-9_]{1,32}", name):
            raise ApiError(400, "Bad Request: BOT_COMMAND_INVALID")
    bot.commands[_command_scope(params)] = commands
    return True


def delete_my_commands(bot: Bot, params: Params, _request: Request) -> Any:
    bot.commands.pop(_command_scope(params), None)
    return True


def get_my_commands(bot: Bot, params: Params, _request: Request) -> Any:
    return bot.commands.get(_command_scope(params), [])


def send_message(bot: Bot, params: Params, _request: Request) -> Any:
    chat_id = chat_of(params)
    text = text_of(params, "text", TEXT_MAX)
    message = new_message(bot, chat_id, text=plain(text, params))
    bot.record("sendMessage", chat_id, plain(text, params),
               {"raw": text, "parse_mode": params.get("parse_mode"),
                "message_id": message["message_id"]})
    return message


def _existing(bot: Bot, params: Params, what: str) -> dict[str, Any]:
    message = bot.messages.get((chat_of(params), number(params, "message_id", 0)))
    if message is None:
        raise ApiError(400, f"Bad Request: message to {what} not found")
    return message


def edit_message_text(bot: Bot, params: Params, _request: Request) -> Any:
    message = _existing(bot, params, "edit")
    text = text_of(params, "text", TEXT_MAX)
    if plain(text, params) == message.get("text"):
        raise ApiError(400, "Bad Request: message is not modified: specified new message content "
                            "and reply markup are exactly the same as a current content and reply "
                            "markup of the message")
    message.update(text=plain(text, params), edit_date=int(time.time()))
    bot.record("editMessageText", message["chat"]["id"], message["text"],
               {"raw": text, "parse_mode": params.get("parse_mode"),
                "message_id": message["message_id"]})
    return message


def delete_message(bot: Bot, params: Params, _request: Request) -> Any:
    message = _existing(bot, params, "delete")
    key = (message["chat"]["id"], message["message_id"])
    del bot.messages[key]
    bot.record("deleteMessage", key[0], None, {"message_id": key[1]})
    return True


def set_message_reaction(bot: Bot, params: Params, _request: Request) -> Any:
    reaction = structure(params, "reaction", [])
    bot.record("setMessageReaction", chat_of(params), None,
               {"message_id": number(params, "message_id", 0), "reaction": reaction})
    return True


def send_chat_action(_bot: Bot, params: Params, _request: Request) -> Any:
    chat_of(params)
    if not params.get("action"):
        raise ApiError(400, "Bad Request: wrong parameter action in request")
    return True


def send_message_draft(bot: Bot, params: Params, _request: Request) -> Any:
    bot.record("sendMessageDraft", chat_of(params), str(params.get("text", "")),
               {"draft_id": params.get("draft_id")})
    return True


def answer_callback_query(bot: Bot, params: Params, _request: Request) -> Any:
    if not params.get("callback_query_id"):
        raise ApiError(400, "Bad Request: query is too old and response timeout expired or query "
                            "ID is invalid")
    bot.record("answerCallbackQuery", None, str(params.get("text", "")) or None,
               {"callback_query_id": str(params["callback_query_id"])})
    return True


def get_chat(bot: Bot, params: Params, _request: Request) -> Any:
    chat_id = chat_of(params)
    return {**chat(chat_id), "first_name": f"Person {chat_id}", "accent_color_id": 0,
            "max_reaction_count": 11}


def get_chat_member(bot: Bot, params: Params, _request: Request) -> Any:
    chat_of(params)
    user_id = number(params, "user_id")
    user = bot.user() if user_id == bot.id else {"id": user_id, "is_bot": False,
                                                 "first_name": f"Person {user_id}"}
    return {"user": user, "status": "member"}


def get_file(bot: Bot, params: Params, _request: Request) -> Any:
    file_id = str(params.get("file_id", ""))
    if file_id not in bot.files:
        raise ApiError(400, "Bad Request: invalid file_id")
    name, content = bot.files[file_id]
    return {"file_id": file_id, "file_unique_id": "u" + file_id, "file_size": len(content),
            "file_path": f"files/{file_id}/{name}"}


def send_file(kind: str) -> Method:
    """sendPhoto, sendDocument and their like differ in one word only."""
    def send(bot: Bot, params: Params, _request: Request) -> Any:
        chat_id = chat_of(params)
        given = params.get(kind)
        caption = str(params.get("caption", ""))
        if len(plain(caption, params)) > CAPTION_MAX:
            raise ApiError(400, "Bad Request: message caption is too long")
        if isinstance(given, str) and given.startswith("attach://"):
            given = params.get(given[len("attach://"):])
        if not given:
            raise ApiError(400, f"Bad Request: there is no {kind} in the request")
        name, content = given if isinstance(given, tuple) else (str(given)[-64:], b"")
        file_id = f"{kind}{bot.id}x{bot.next_message_id}"
        bot.keep_file(file_id, re.sub(r"[^A-Za-z0-9._-]", "_", name) or "file", content)
        entry: Any = {"file_id": file_id, "file_unique_id": "u" + file_id,
                      "file_size": len(content)}
        if kind == "photo":
            entry = [{**entry, "width": 1, "height": 1}]
        elif kind != "sticker":
            entry["file_name"] = name
        message = new_message(bot, chat_id, **{kind: entry}, caption=plain(caption, params))
        method = "send" + kind[0].upper() + kind[1:]
        bot.record(method, chat_id, plain(caption, params) or None,
                   {"message_id": message["message_id"], "file_id": file_id, "file_name": name,
                    "file_size": len(content)})
        return message
    return send


def answer_true(_bot: Bot, _params: Params, _request: Request) -> Any:
    return True


METHODS: dict[str, Method] = {
    "getMe": get_me, "getUpdates": get_updates, "setWebhook": set_webhook,
    "deleteWebhook": delete_webhook, "getWebhookInfo": get_webhook_info,
    "setMyCommands": set_my_commands, "deleteMyCommands": delete_my_commands,
    "getMyCommands": get_my_commands, "sendMessage": send_message,
    "editMessageText": edit_message_text, "deleteMessage": delete_message,
    "setMessageReaction": set_message_reaction, "sendChatAction": send_chat_action,
    "sendMessageDraft": send_message_draft, "answerCallbackQuery": answer_callback_query,
    "getChat": get_chat, "getChatMember": get_chat_member, "getFile": get_file,
    "setMyDescription": answer_true, "setMyShortDescription": answer_true,
    "setMyName": answer_true, "setChatMenuButton": answer_true,
    **{"send" + kind[0].upper() + kind[1:]: send_file(kind)
       for kind in ("photo", "document", "audio", "video", "voice", "animation", "sticker")},
}
BY_LOWER_NAME = {name.lower(): name for name in METHODS}  # Telegram ignores case


async def call(bot: Bot, name: str, params: Params, request: Request) -> Any:
    """The result of a method, or ApiError."""
    known = BY_LOWER_NAME.get(name.lower())
    if known is None:
        raise ApiError(404, "Not Found: method not found")
    result = METHODS[known](bot, params, request)
    return await result if isinstance(result, Awaitable) else result
