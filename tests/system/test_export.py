"""What a person takes along: one zip with all that the platform holds of them, and nothing else."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import socket
import time
import zipfile
from typing import Any, Iterator
from urllib.parse import urlsplit

import pytest

from zaki.api import Answer, expect
from zaki.mail import wait_mail
from zaki.patience import PATIENCE_S, wait_until
from zaki.people import Person
from zaki.suite import Suite
from zaki.telegram import Telegram

PROVIDER_KEY = "sk-live-export-0123456789abcdef"
BINARY = bytes(range(256)) * 64
BIG = 1024 * 1024 + 1
SIP = 65536  # bytes; all that an export holds takes 40 s then, and what is between us five


class Taken:
    """A person with something of everything, somebody else beside them, and the zip of the first."""

    def __init__(self, suite: Suite, telegram: Telegram) -> None:
        self.suite = suite
        self.ada, self.bob = Person.new(suite.api), Person.new(suite.api, "Bob")
        suite.sql("UPDATE users SET subscription_tier = 'pro' WHERE id = %s", self.ada.id)
        bots = telegram.bot(), telegram.bot()
        self.bobs = self.bob.provision(bots[1], name="Bobs helper")["id"]
        expect(self.bob.api.post("/users/me/api-keys", {"name": "bobs key", "scope": "read"}), 201)
        provider = {"name": "mine", "api_key": PROVIDER_KEY, "base_url": suite.env["LLM_FAKE_URL"] + "/v1"}
        self.instance = self.ada.running(bots[0], owner_telegram_id=7, model="mine/model-1", provider=provider)["id"]
        bots[0].wait_polled()
        self.bot_token = bots[0].token
        self.key = expect(self.ada.api.post("/users/me/api-keys", {"name": "my key", "scope": "read"}), 201)["key"]
        self.ada.api.as_user("").post("/auth/forgot-password", {"email": self.ada.email})
        self.mail = wait_mail(suite, self.ada.email, "Set a new password")
        self.workspace = suite.data(self.ada.id, self.instance, "workspace")
        for name, data in (("SOUL.md", b"Be kind.\n"), ("notes/käse: alt?.md", "söup\n".encode()),
                           ("photo.bin", BINARY), ("film.bin", b"\0" * BIG)):
            file = self.workspace / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
        self.answer = self.ada.api.get("/users/me/export")
        assert self.answer.status == 200, self.answer
        self.zip = zipfile.ZipFile(io.BytesIO(self.answer.body))
        self.files = {n: self.zip.read(n) for n in self.zip.namelist()}

    def json(self, name: str) -> Any:
        return json.loads(self.files[name])

    def of(self, name: str) -> Any:
        return self.json(f"assistants/{self.instance}/{name}")


@pytest.fixture(scope="module")
def taken(suite: Suite) -> Iterator[Taken]:
    made = Taken(suite, suite.telegram)
    yield made
    made.ada.remove(made.instance)
    made.bob.remove(made.bobs)


def test_the_zip_is_whole(taken: Taken) -> None:
    assert taken.zip.testzip() is None and len(set(taken.zip.namelist())) == len(taken.zip.namelist())
    assert taken.answer.headers["Content-Type"] == "application/zip"
    assert taken.answer.headers["Content-Disposition"] == 'attachment; filename="zaki-export.zip"'
    assert taken.answer.headers["Cache-Control"] == "no-store"
    manifest = taken.json("manifest.json")
    assert manifest["user_id"] == taken.ada.id and manifest["files"] == len(taken.files) - 1
    assert manifest["trace_id"] == taken.answer.headers["X-Request-Id"]


def test_each_file_is_what_the_api_answers(taken: Taken) -> None:
    api, one = taken.ada.api, f"/instances/{taken.instance}"
    assert taken.json("account.json") == expect(api.get("/users/me"), 200)
    assert taken.json("api_keys.json")["items"] == expect(api.get("/users/me/api-keys"), 200)["items"]
    assert taken.json("second_factor.json") == expect(api.get("/auth/second-factor"), 200)
    assert [s["id"] for s in taken.json("sign_ins.json")["items"]] == \
        [s["id"] for s in expect(api.get("/auth/sessions"), 200)["items"]]
    assert [i["id"] for i in taken.json("assistants.json")["items"]] == [taken.instance]
    assert taken.of("settings.json") == expect(api.get(one + "/settings"), 200)
    assert taken.of("providers.json")["items"] == expect(api.get(one + "/providers"), 200)["items"]
    assert {e["action"] for e in taken.json("audit.json")["items"]} >= {"registered", "api_key_created", "account_exported"}
    named = list(taken.files) + [m["file"] for m in taken.json("manifest.json")["missing"]]
    assert {f"assistants/{taken.instance}/{part}.json" for part in (
        "settings", "providers", "activity", "usage", "calendar", "pairing", "backups", "conversations", "workspace")} <= set(named)


def test_mails_are_there_without_what_was_in_them(taken: Taken) -> None:
    mails = taken.json("mails.json")["items"]
    assert {m["kind"] for m in mails} >= {"verify_email", "reset_password"}
    assert all(set(m) == {"id", "kind", "email", "state", "created_at", "ended_at"} for m in mails)
    assert all(m["email"] == taken.ada.email for m in mails)
    assert {m["id"] for m in mails} <= {m["id"] for m in expect(taken.ada.api.get("/users/me/mails"), 200)["items"]}
    first = expect(taken.ada.api.get("/users/me/mails?limit=1"), 200)
    rest = expect(taken.ada.api.get(f"/users/me/mails?limit=1&cursor={first['next_cursor']}"), 200)
    assert first["items"] and rest["items"] and first["items"] != rest["items"]
    assert not {m["id"] for m in mails} & {m["id"] for m in expect(taken.bob.api.get("/users/me/mails"), 200)["items"]}


def test_files_are_the_workspaces_own(taken: Taken) -> None:
    below = f"assistants/{taken.instance}/workspace/"
    assert taken.files[below + "SOUL.md"] == b"Be kind.\n"
    assert taken.files[below + "notes/käse%3A alt%3F.md"] == "söup\n".encode()
    assert taken.files[below + "photo.bin"] == BINARY
    assert below + "film.bin" not in taken.files
    manifest = taken.json("manifest.json")
    assert [m["code"] for m in manifest["missing"] if m["file"] == "film.bin"] == ["PAYLOAD_TOO_LARGE"]
    assert manifest["is_complete"] is False and manifest["left_out"] == len(manifest["missing"])


def test_no_secret_is_in_it(taken: Taken, suite: Suite) -> None:
    row = suite.sql("SELECT password_hash FROM users WHERE id = %s", taken.ada.id)[0]
    config = json.loads(suite.data(taken.ada.id, taken.instance, ".openclaw", "openclaw.json").read_text())
    links = suite.sql("SELECT encode(hash, 'hex') AS hash FROM email_tokens WHERE user_id = %s", taken.ada.id)
    keys = suite.sql("SELECT encode(hash, 'hex') AS hash FROM api_keys WHERE user_id = %s", taken.ada.id)
    token = str(taken.mail.message.get_body(("plain",)).get_content()).split("#")[1].split()[0]
    secrets = [taken.ada.password, row["password_hash"], taken.ada.access_token, taken.ada.refresh_token, taken.key,
               taken.bot_token, taken.bot_token.split(":")[1], PROVIDER_KEY, config["gateway"]["auth"]["token"],
               token.rpartition("=")[2], *(r["hash"] for r in links + keys)]
    everything = b"\n".join([taken.answer.body] + [n.encode() for n in taken.files] + list(taken.files.values()))
    assert len(links) > 0 and len(keys) == 1 and all(len(s) >= 8 for s in secrets)
    for secret in secrets:
        for form in (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"="), secret.encode().hex().encode()):
            assert form not in everything, secret


def test_nothing_of_others_is_in_it(taken: Taken) -> None:
    everything = b"\n".join([n.encode() for n in taken.files] + list(taken.files.values()))
    for word in (taken.bob.id, taken.bob.email, taken.bobs, "Bobs helper", "bobs key"):
        assert word.encode() not in everything, word


def test_it_asks_for_the_password_again(ada: Person, suite: Suite) -> None:
    suite.sql("UPDATE sessions SET proven_at = now() - interval '2 hours' WHERE user_id = %s", ada.id)
    expect(ada.api.get("/users/me/export"), 403, "REAUTHENTICATION_REQUIRED")
    assert "account_exported" not in {e["action"] for e in expect(ada.api.get("/users/me/audit"), 200)["items"]}
    expect(ada.api.post("/auth/reauthenticate", {"password": ada.password}), 200)
    assert ada.api.get("/users/me/export").status == 200


def test_so_many_a_day_and_each_is_audited(ada: Person, suite: Suite) -> None:
    """A HEAD is none."""
    head = ada.api.call("HEAD", "/users/me/export")
    assert (head.status, head.body, head.headers["Content-Type"]) == (200, b"", "application/zip")
    for _ in range(3):
        assert ada.api.get("/users/me/export").status == 200
    late = ada.api.get("/users/me/export")
    expect(late, 429, "RATE_LIMITED")
    assert 0 < int(late.headers["Retry-After"]) <= 86400
    done = [e["action"] for e in expect(ada.api.get("/users/me/audit"), 200)["items"]]
    assert done.count("account_exported") == 3
    suite.sql("UPDATE users SET subscription_tier = 'pro' WHERE id = %s", ada.id)
    assert ada.api.get("/users/me/export").status == 200


@pytest.mark.disturbs
def test_what_is_away_is_named_as_missing(taken: Taken, suite: Suite) -> None:
    with suite.without("storage-backup"):
        answer = taken.ada.api.get("/users/me/export")
    files = zipfile.ZipFile(io.BytesIO(answer.body))
    name = f"assistants/{taken.instance}/backups.json"
    manifest = json.loads(files.read("manifest.json"))
    assert name not in files.namelist() and f"assistants/{taken.instance}/settings.json" in files.namelist()
    assert [m["code"] for m in manifest["missing"] if m["file"] == name] == ["SERVICE_UNAVAILABLE"]


# ---- bounds --------------------------------------------------------------------------------------

@pytest.fixture
def heavy(taken: Taken) -> Iterator[Taken]:
    """More than the sockets between us hold."""
    taken.suite.sql("DELETE FROM audit_log WHERE user_id = %s AND action = 'account_exported'", taken.ada.id)
    for i in range(24):
        (taken.workspace / f"noise-{i}.bin").write_bytes(os.urandom(1024 * 1024))
    yield taken
    for i in range(24):
        (taken.workspace / f"noise-{i}.bin").unlink()


@contextlib.contextmanager
def reader(person: Person) -> Iterator[http.client.HTTPResponse]:
    """One who begins to read, and then takes their time."""
    url = urlsplit(person.api.base)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        s.settimeout(PATIENCE_S)
        s.connect((url.hostname, url.port))
        s.sendall(f"GET /api/users/me/export HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.access_token}\r\n\r\n".encode())
        answer = http.client.HTTPResponse(s)
        answer.begin()
        yield answer
        answer.close()


def test_two_at_once_and_those_who_leave_make_room(heavy: Taken) -> None:
    with reader(heavy.ada) as one, reader(heavy.ada) as two:
        assert (one.status, two.status) == (200, 200) and one.read(100) and two.read(100)
        late = heavy.ada.api.get("/users/me/export")
        expect(late, 503, "SERVICE_UNAVAILABLE")
        assert int(late.headers["Retry-After"]) > 0
        expect(heavy.ada.api.get("/users/me"), 200)
    answer: Answer = wait_until(lambda: (a := heavy.ada.api.get("/users/me/export")).status == 200 and a, 20, "there is room")
    assert zipfile.ZipFile(io.BytesIO(answer.body)).testzip() is None


def test_a_session_that_ends_gets_no_more(heavy: Taken) -> None:
    other = Person(heavy.ada.api.as_user(""), heavy.ada.email, heavy.ada.password)
    other.login()
    with reader(other) as answer:
        assert answer.read(100)
        expect(other.api.post("/auth/logout", {}), 200)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            while answer.read(SIP):
                time.sleep(0.1)
