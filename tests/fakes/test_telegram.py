"""The fake Bot API keeps Telegram's promises and answers its controls clearly."""

from __future__ import annotations

import http.client
import socket
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from conftest import PATIENCE_S, Fake

TOKEN = "123456:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi"
OTHER = "654321:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi"


def add_bot(fake: Fake, token: str = TOKEN) -> dict[str, Any]:
    bot: dict[str, Any] = fake.post("/_control/bots", {"token": token, "username": "lab_bot",
                                                       "name": "Lab Bot"})
    return bot


def write(fake: Fake, text: str = "hello", sender: int = 42, **more: Any) -> dict[str, Any]:
    injected: dict[str, Any] = fake.post(
        "/_control/bots/123456/messages",
        {"from": {"id": sender, "first_name": "Olga"}, "text": text, **more})
    return injected


def bot_call(fake: Fake, method: str, token: str = TOKEN, **params: Any) -> tuple[int, Any]:
    return fake.request("POST", f"/bot{token}/{method}", params)


def result(fake: Fake, method: str, **params: Any) -> Any:
    status, answer = bot_call(fake, method, **params)
    assert status == 200 and answer["ok"] is True, answer
    return answer["result"]


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {PATIENCE_S} s"
        time.sleep(0.01)


def connect(fake: Fake) -> socket.socket:
    where = urllib.parse.urlsplit(fake.url)
    return socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=PATIENCE_S)


def polling(fake: Fake) -> bool:
    return bool(fake.get("/_control/bots/123456")["polling"])


def test_tokens_are_unknown_until_registered(telegram: Fake) -> None:
    unauthorized = {"ok": False, "error_code": 401, "description": "Unauthorized"}
    assert bot_call(telegram, "getMe") == (401, unauthorized)
    add_bot(telegram)
    me = result(telegram, "getMe")
    assert (me["id"], me["is_bot"], me["username"]) == (123456, True, "lab_bot")
    # The same bot with another secret is as unknown as a bot that is not there.
    assert bot_call(telegram, "getMe", TOKEN[:-1] + "x") == (401, unauthorized)
    telegram.request("DELETE", "/_control/bots/123456")
    assert bot_call(telegram, "getMe") == (401, unauthorized)


@pytest.mark.parametrize("token", ["12:short", "nonsense", "abc:" + "x" * 35, "1:" + "é" * 35])
def test_malformed_tokens_are_not_found(shared_telegram: Fake, token: str) -> None:
    path = "/bot" + urllib.parse.quote(token) + "/getMe"
    assert shared_telegram.request("GET", path) == (
        404, {"ok": False, "error_code": 404, "description": "Not Found"})


def test_unknown_methods_are_not_found_and_names_ignore_case(telegram: Fake) -> None:
    add_bot(telegram)
    assert bot_call(telegram, "flyAway")[0] == 404
    assert bot_call(telegram, "GETME")[0] == 200


def test_parameters_come_as_query_form_json_and_multipart(telegram: Fake) -> None:
    add_bot(telegram)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    multipart = (b'--b\r\nContent-Disposition: form-data; name="chat_id"\r\n\r\n42\r\n'
                 b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nfour\r\n--b--\r\n')
    cases: tuple[tuple[str, str, Any, dict[str, str]], ...] = (
            ("GET", "?chat_id=42&text=one", None, {}),
            ("POST", "", b"chat_id=42&text=two", form),
            ("POST", "", {"chat_id": "42", "text": "three"}, {}),
            ("POST", "", multipart, {"Content-Type": "multipart/form-data; boundary=b"}))
    for method, query, body, headers in cases:
        status, answer = telegram.request(method, f"/bot{TOKEN}/sendMessage{query}", body, headers)
        assert status == 200, answer
    sent = telegram.get("/_control/bots/123456/sent")["sent"]
    assert [(s["chat_id"], s["text"]) for s in sent] == [
        (42, "one"), (42, "two"), (42, "three"), (42, "four")]


def test_a_long_poll_gets_a_message_at_once_and_until_confirmed(telegram: Fake) -> None:
    add_bot(telegram)
    with ThreadPoolExecutor() as pool:
        poll = pool.submit(result, telegram, "getUpdates", timeout=60)
        wait_for(lambda: polling(telegram))
        injected = write(telegram, "/start now")
        updates = poll.result(30)  # of itself it ends after 60
    assert [u["update_id"] for u in updates] == [injected["update_id"]]
    message = updates[0]["message"]
    assert message["from"]["id"] == message["chat"]["id"] == 42
    assert message["entities"] == [{"type": "bot_command", "offset": 0, "length": 6}]
    # Not confirmed: comes again. Confirmed: gone.
    assert result(telegram, "getUpdates") == updates
    assert result(telegram, "getUpdates", offset=injected["update_id"] + 1) == []
    assert result(telegram, "getUpdates", offset=0) == []


def test_limit_and_negative_offsets_count_updates(telegram: Fake) -> None:
    add_bot(telegram)
    ids = [write(telegram, f"m{i}")["update_id"] for i in range(5)]
    assert [u["update_id"] for u in result(telegram, "getUpdates", limit=2)] == ids[:2]
    assert [u["update_id"] for u in result(telegram, "getUpdates", offset=-2)] == ids[3:]
    assert [u["update_id"] for u in result(telegram, "getUpdates", offset=ids[4])] == ids[4:]


def test_an_empty_poll_ends_when_its_time_is_up(telegram: Fake) -> None:
    add_bot(telegram)
    started = time.monotonic()
    assert result(telegram, "getUpdates", timeout=1) == []
    assert time.monotonic() - started > 0.9


def test_a_second_poll_ends_the_first_with_409(telegram: Fake) -> None:
    add_bot(telegram)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(bot_call, telegram, "getUpdates", timeout=20)
        wait_for(lambda: polling(telegram))
        second = pool.submit(bot_call, telegram, "getUpdates", timeout=20)
        assert first.result(PATIENCE_S) == (409, {
            "ok": False, "error_code": 409,
            "description": "Conflict: terminated by other getUpdates request; make sure that only "
                           "one bot instance is running"})
        write(telegram)
        assert second.result(PATIENCE_S)[0] == 200
    assert telegram.get("/_control/bots/123456/calls")["conflicts"] == 1


def test_a_poller_that_has_gone_is_no_conflict(telegram: Fake) -> None:
    add_bot(telegram)
    with connect(telegram) as dead:
        dead.sendall(f"GET /bot{TOKEN}/getUpdates?timeout=20 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for(lambda: polling(telegram))
    wait_for(lambda: not polling(telegram))
    write(telegram)
    assert len(result(telegram, "getUpdates")) == 1
    assert telegram.get("/_control/bots/123456")["conflicts"] == 0


def test_a_webhook_and_polling_exclude_each_other(telegram: Fake) -> None:
    add_bot(telegram)
    assert bot_call(telegram, "setWebhook", url="http://x/")[0] == 400
    assert result(telegram, "setWebhook", url="https://example.org/hook") is True
    assert result(telegram, "getWebhookInfo")["url"] == "https://example.org/hook"
    assert bot_call(telegram, "getUpdates")[0] == 409
    write(telegram)
    assert result(telegram, "deleteWebhook", drop_pending_updates=True) is True
    assert result(telegram, "getUpdates") == []


def test_updates_and_ids_survive_kill_and_restart(tmp_path: Path) -> None:
    arguments = ("telegram.py", "--state", str(tmp_path / "state"))
    fake = Fake(*arguments, log=tmp_path / "log")
    add_bot(fake)
    first, second = write(fake, "one")["update_id"], write(fake, "two")["update_id"]
    assert len(result(fake, "getUpdates", offset=second)) == 1
    message_id = result(fake, "sendMessage", chat_id=42, text="x")["message_id"]
    fake.kill()

    fake = Fake(*arguments, log=tmp_path / "log")
    updates = result(fake, "getUpdates")
    assert [(u["update_id"], u["message"]["text"]) for u in updates] == [(second, "two")]
    third = write(fake, "three")["update_id"]
    assert first < second < third
    assert result(fake, "sendMessage", chat_id=42, text="y")["message_id"] > message_id
    fake.post("/_control/reset")
    assert fake.get("/_control/bots")["bots"] == []
    fake.kill()

    # A bot that is registered again does not start over either, or its client would ignore it.
    fake = Fake(*arguments, log=tmp_path / "log")
    assert bot_call(fake, "getMe")[0] == 401
    add_bot(fake)
    assert result(fake, "getUpdates") == []
    assert write(fake, "four")["update_id"] > third
    assert fake.stop() == 0
    assert all(p.stat().st_mode & 0o077 == 0 for p in (tmp_path / "state").iterdir())


def test_messages_are_edited_deleted_and_reacted_to(telegram: Fake) -> None:
    add_bot(telegram)
    message = result(telegram, "sendMessage", chat_id=42, text="a <b>b</b> &amp;",
                     parse_mode="HTML")
    assert message["text"] == "a b &"
    where = {"chat_id": 42, "message_id": message["message_id"]}
    assert bot_call(telegram, "editMessageText", **where, text="a b &")[0] == 400
    assert result(telegram, "editMessageText", **where, text="new")["text"] == "new"
    assert result(telegram, "setMessageReaction", **where,
                  reaction=[{"type": "emoji", "emoji": "👍"}]) is True
    assert result(telegram, "deleteMessage", **where) is True
    assert bot_call(telegram, "deleteMessage", **where)[0] == 400
    sent = telegram.get("/_control/bots/123456/sent")["sent"]
    assert [s["method"] for s in sent] == ["sendMessage", "editMessageText", "setMessageReaction",
                                           "deleteMessage"]


def test_files_go_out_and_can_be_fetched(telegram: Fake) -> None:
    add_bot(telegram)
    body = (b'--b\r\nContent-Disposition: form-data; name="chat_id"\r\n\r\n42\r\n'
            b'--b\r\nContent-Disposition: form-data; name="document"; filename="n.txt"\r\n'
            b'Content-Type: text/plain\r\n\r\nbytes\x00here\r\n--b--\r\n')
    status, answer = telegram.request("POST", f"/bot{TOKEN}/sendDocument", body,
                                      {"Content-Type": "multipart/form-data; boundary=b"})
    assert status == 200 and answer["result"]["document"]["file_name"] == "n.txt"
    path = result(telegram, "getFile", file_id=answer["result"]["document"]["file_id"])["file_path"]
    assert telegram.raw("GET", f"/file/bot{TOKEN}/{path}")[2] == b"bytes\x00here"
    assert bot_call(telegram, "getFile", file_id="nope")[0] == 400
    assert bot_call(telegram, "sendPhoto", chat_id=42)[0] == 400


def test_the_rest_of_the_bot_api_answers(telegram: Fake) -> None:
    add_bot(telegram)
    commands = [{"command": "help", "description": "Help"}]
    assert result(telegram, "setMyCommands", commands=commands) is True
    assert result(telegram, "getMyCommands") == commands
    assert result(telegram, "getMyCommands", scope={"type": "all_group_chats"}) == []
    assert result(telegram, "deleteMyCommands") is True
    assert result(telegram, "getMyCommands") == []
    assert bot_call(telegram, "setMyCommands", commands=[{"command": "No Good"}])[0] == 400
    assert result(telegram, "sendChatAction", chat_id=42, action="typing") is True
    assert result(telegram, "getChat", chat_id=42)["type"] == "private"
    assert result(telegram, "getChatMember", chat_id=42, user_id=7)["status"] == "member"
    assert result(telegram, "answerCallbackQuery", callback_query_id="1") is True
    calls = telegram.get("/_control/bots/123456/calls?log=1")
    assert calls["calls"]["getMyCommands"] == 3 and calls["log"][0]["method"] == "setMyCommands"


@pytest.mark.parametrize("params, text", [
    ({"text": "x"}, "chat_id is empty"), ({"chat_id": "@name", "text": "x"}, "chat not found"),
    ({"chat_id": 42, "text": "  "}, "message text is empty"),
    ({"chat_id": 42, "text": "x" * 4097}, "message is too long"),
    ({"chat_id": True, "text": "x"}, "chat not found"), ({"chat_id": 42}, "message text is empty")],
    ids=["no chat", "a name", "empty", "too long", "no id", "no text"])
def test_bad_messages_are_refused_in_telegrams_words(shared_telegram: Fake, params: dict[str, Any],
                                                     text: str) -> None:
    add_bot(shared_telegram)
    status, answer = bot_call(shared_telegram, "sendMessage", **params)
    assert (status, answer["ok"]) == (400, False) and text in answer["description"]


def test_sent_waits_for_the_next_one(telegram: Fake) -> None:
    add_bot(telegram)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(telegram.get, "/_control/bots/123456/sent?since=0&wait=10")
        time.sleep(0.1)
        assert not waiting.done()
        result(telegram, "sendMessage", chat_id=42, text="there")
        answer = waiting.result(PATIENCE_S)
    assert [(s["seq"], s["text"]) for s in answer["sent"]] == [(1, "there")]
    assert telegram.get("/_control/bots/123456/sent?since=1&wait=0.1") == {"sent": [], "next": 1}


def test_other_kinds_of_updates_and_allowed_updates(telegram: Fake) -> None:
    add_bot(telegram)
    query = {"id": "9", "from": {"id": 42}, "data": "yes"}
    telegram.post("/_control/bots/123456/updates", {"callback_query": query})
    assert result(telegram, "getUpdates")[0]["callback_query"] == query
    result(telegram, "getUpdates", offset=-1, allowed_updates=["message"])
    telegram.post("/_control/bots/123456/updates", {"callback_query": query})
    write(telegram, "seen")
    kinds = [sorted(u) for u in result(telegram, "getUpdates")]
    assert kinds == [["callback_query", "update_id"], ["message", "update_id"]]


def test_faults_come_as_ordered(telegram: Fake) -> None:
    add_bot(telegram)
    add_bot(telegram, OTHER)
    telegram.post("/_control/faults", {"bot": 123456, "method": "getMe", "status": 429,
                                       "retry_after": 7, "times": 2})
    assert bot_call(telegram, "getMe", OTHER)[0] == 200
    for _ in range(2):
        status, headers, _ = telegram.raw("GET", f"/bot{TOKEN}/getMe")
        assert (status, headers["Retry-After"]) == (429, "7")
    assert bot_call(telegram, "getMe")[0] == 200
    telegram.post("/_control/faults", {"token": TOKEN, "method": "sendMessage", "status": 403})
    assert "blocked" in bot_call(telegram, "sendMessage", chat_id=1, text="x")[1]["description"]
    telegram.post("/_control/faults", {"drop": True})
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        bot_call(telegram, "getMe")
    telegram.post("/_control/faults", {"delay_ms": 300, "times": None})
    started = time.monotonic()
    assert bot_call(telegram, "getMe")[0] == 200 and time.monotonic() - started >= 0.3
    shown = telegram.get("/_control/faults")["faults"]
    assert len(shown) == 1
    assert telegram.request("DELETE", "/_control/faults") == (200, {"ok": True, "cleared": 1})


@pytest.mark.parametrize("path, body, text", [
    ("/_control/bots", {"token": "x"}, "token"), ("/_control/bots", [], "object"),
    ("/_control/bots", {"token": TOKEN, "name": ""}, "name"),
    ("/_control/bots/123456/messages", {"text": "x"}, "from"),
    ("/_control/bots/123456/messages", {"from": {"id": "42"}, "text": "x"}, "from"),
    ("/_control/bots/123456/messages", {"from": {"id": 42}}, "text"),
    ("/_control/bots/123456/messages", {"from": {"id": 42}, "text": "x", "chat_id": "y"},
     "chat_id"),
    ("/_control/bots/123456/updates", {"a": {}, "b": {}}, "kind"),
    ("/_control/faults", {"status": 500, "tmies": 3}, "tmies"),
    ("/_control/faults", {"method": "getMe"}, "needs"),
    ("/_control/faults", {"status": 5000}, "status")])
def test_bad_controls_name_what_is_wrong(shared_telegram: Fake, path: str, body: Any,
                                         text: str) -> None:
    add_bot(shared_telegram)
    status, answer = shared_telegram.request("POST", path, body)
    assert status == 400 and text in answer["error"]


def test_what_is_not_there_and_not_allowed(telegram: Fake) -> None:
    assert telegram.request("GET", "/_control/bots/99")[0] == 404
    assert telegram.request("GET", "/nope")[0] == 404
    assert telegram.request("GET", "/_control/reset")[0] == 405
    assert telegram.get("/healthz")["ok"] is True
    assert telegram.request("POST", "/_control/reset") == (200, {"ok": True})


@pytest.mark.parametrize("data", [
    b"\x00\xff\xfe\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET  / HTTP/1.1\r\nno colon\r\n\r\n",
    b"POST /_control/reset HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /_control/reset HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n",
    b"POST /_control/bots HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100000],
    ids=["binary", "version", "header", "negative length", "huge length", "bad chunk",
         "long header", "too deep"])
def test_bad_input_is_answered_and_serving_goes_on(shared_telegram: Fake, data: bytes) -> None:
    with connect(shared_telegram) as raw:
        raw.sendall(data)
        assert raw.recv(100).startswith(b"HTTP/1.1 4")
    assert shared_telegram.get("/healthz")["ok"] is True


def test_a_chunked_body_and_several_requests_on_one_connection(telegram: Fake) -> None:
    add_bot(telegram)
    where = urllib.parse.urlsplit(telegram.url)
    connection = http.client.HTTPConnection(where.netloc, timeout=PATIENCE_S)
    for _ in range(3):
        pieces = iter([b'{"chat_id":42,', b'"text":"x"}'])
        connection.request("POST", f"/bot{TOKEN}/sendMessage", pieces,
                           {"Content-Type": "application/json"}, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read()
    connection.close()


def test_many_pollers_at_once(telegram: Fake) -> None:
    tokens = [f"{1000 + i}:" + "x" * 35 for i in range(100)]
    for token in tokens:
        add_bot(telegram, token)
    with ThreadPoolExecutor(100) as pool:
        polls = [pool.submit(bot_call, telegram, "getUpdates", token, timeout=15)
                 for token in tokens]
        wait_for(lambda: all(b["polling"] for b in telegram.get("/_control/bots")["bots"]))
        for i in range(100):
            telegram.post(f"/_control/bots/{1000 + i}/messages",
                          {"from": {"id": i + 1}, "text": f"t{i}"})
        answers = [poll.result(PATIENCE_S) for poll in polls]
    assert [a[1]["result"][0]["message"]["text"] for a in answers] == [f"t{i}" for i in range(100)]


def test_tokens_are_never_logged(telegram: Fake) -> None:
    add_bot(telegram)
    write(telegram)
    for path in (f"/bot{TOKEN}/getMe", f"/bot{TOKEN}", f"/file/bot{TOKEN}/x",
                 f"/bot{TOKEN}x/getMe"):
        telegram.raw("GET", path)
    telegram.post("/_control/faults", {"token": TOKEN, "status": 500})
    text = telegram.log_path.read_text()
    assert TOKEN.split(":")[1] not in text and "/bot123456:***/getMe" in text
    assert {line["service"] for line in telegram.log()} == {"fake-telegram"}
    assert TOKEN.split(":")[1] not in str(telegram.get("/_control/faults"))


def test_two_hosts_one_port(tmp_path: Path) -> None:
    fake = Fake("telegram.py", "--host", "127.0.0.1", "--host", "127.0.0.2", log=tmp_path / "log")
    ports = {urllib.parse.urlsplit(url).port for url in fake.urls}
    assert len(fake.urls) == 2 and len(ports) == 1
    for fake.url in fake.urls:
        assert fake.get("/healthz")["ok"] is True
    assert fake.stop() == 0


def test_threads_get_each_message_once_in_order(telegram: Fake) -> None:
    """The way a client uses it: poll, confirm by the next offset, while people write."""
    add_bot(telegram)
    seen: list[str] = []

    def client() -> None:
        offset = 0
        while len(seen) < 50:
            for update in result(telegram, "getUpdates", offset=offset, timeout=5):
                offset = update["update_id"] + 1
                seen.append(update["message"]["text"])

    thread = threading.Thread(target=client)
    thread.start()
    for i in range(50):
        write(telegram, f"m{i}")
    thread.join(10)
    assert seen == [f"m{i}" for i in range(50)]
