#!/usr/bin/python3
"""The main job, as a person would do it, against the running stack: `make demo`.

    demo.py                    against the stack of `make run` or `make up` (.zaki/run.env)
    demo.py --private          against a stack of its own, which is gone afterwards
    demo.py --private --image stub   the same with the small image that stands in for OpenClaw

Telegram and the LLM are stand-ins (tests/fakes); where the stack runs without them they are put
beside it for the while. Prints each step with its time; the exit status is 1 where one fails.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

sys.dont_write_bytecode = True
PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "tests" / "system"), str(PROJECT / "deploy" / "local")]

# pylint: disable=wrong-import-position
import psycopg2  # noqa: E402
from stack.engine_api import Engine  # noqa: E402
from stack.errors import StackError  # noqa: E402
from zaki.api import Answer, Api, expect, patiently  # noqa: E402
from zaki.telegram import Telegram  # noqa: E402
from zaki.ws import Socket  # noqa: E402

OWNER, STRANGER = 4242, 6666
# OpenClaw's own times, with room for a busy machine: first start 21 s, later 15 s, first reply 7 s.
READY_S, REPLY_S = 240.0, 120.0


class Failed(Exception):
    """A step did not go as promised."""


class Steps:
    """Prints each step with its time."""

    def __init__(self) -> None:
        self.count = 0
        self.begin = time.monotonic()

    @contextmanager
    def step(self, what: str) -> Iterator[list[str]]:
        """`with steps.step("register") as say: … say.append("detail")`"""
        self.count += 1
        say: list[str] = []
        start = time.monotonic()
        print(f"{self.count:3}  {what:<44} ", end="", flush=True)
        try:
            yield say
        except BaseException:
            print(f"FAILED after {time.monotonic() - start:.2f} s", flush=True)
            raise
        print(f"{time.monotonic() - start:7.2f} s  {' '.join(say)}".rstrip(), flush=True)


def check(true: Any, what: str) -> None:
    if not true:
        raise Failed(what)


class Demo:
    """One person, one assistant, from the first request to the last trace."""

    def __init__(self, env: dict[str, str], steps: Steps) -> None:
        self.env = env
        self.steps = steps
        base = env.get("PUBLIC_URL") or env["GATEWAY_URL"]
        self.api = Api(base)
        self.ws_url = base.replace("http", "ws", 1) + "/ws" if "PUBLIC_URL" in env else env["WS_URL"] + "/ws"
        self.telegram = Telegram(env["TELEGRAM_FAKE_URL"])
        self.bot = self.telegram.bot()
        self.email = f"demo-{secrets.token_hex(6)}@example.org"
        self.password = secrets.token_urlsafe(16)
        self.me = self.api
        self.user = ""
        self.instance: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, path: str, status: int, body: Any = None, api: Api | None = None,
            code: str = "") -> Any:
        """One request; a limit is waited for as the answer says."""
        answer: Answer = patiently(lambda: (api or self.me).call(method, path, body), status, seconds=90)
        if code:
            check(answer.status == status and answer.code == code, f"expected {status} {code}: {answer}")
            return answer.error
        return expect(answer, status)

    def run(self) -> None:
        """All of it, in order."""
        self.sign_up()
        self.check_tokens()
        with self.provisioned() as ws:
            self.talk("a Telegram message in, a reply out")
            self.act(ws, "restart", "running")
            self.talk("it answers after that, too")
            self.second_user()
            self.backup_and_restore(ws)
            self.events_in_order()
            self.delete(ws)
        self.nothing_left()
        self.leave()

    def sign_up(self) -> None:
        with self.steps.step("the platform is well") as say:
            health = expect(self.api.get("=/health"), 200)
            say.append(str(health.get("status", "")))
        with self.steps.step("register") as say:
            body = {"email": self.email, "password": self.password, "name": "Demo"}
            self.user = self.ask("POST", "/auth/register", 201, body)["user"]["id"]
            say.append(self.email)
        with self.steps.step("login"):
            tokens = self.ask("POST", "/auth/login", 200, {"email": self.email, "password": self.password})
            self.me = self.api.as_user(tokens["access_token"])
            check(self.ask("GET", "/users/me", 200)["id"] == self.user, "it is the same user")

    def check_tokens(self) -> None:
        path = "/onboarding/validate-bot-token"
        with self.steps.step("a bot token that Telegram does not know") as say:
            unknown = {"bot_token": self.telegram.unknown_token()}
            answer = patiently(lambda: self.me.post(path, unknown))
            check(answer.code == "BOT_TOKEN_INVALID", str(answer))
            say.append(answer.code)
        with self.steps.step("a good bot token") as say:
            found = self.ask("POST", path, 200, {"bot_token": self.bot.token})["bot"]
            check(found["id"] == self.bot.id, f"the bot is {self.bot.id}: {found}")
            say.append("@" + found["username"])

    @contextmanager
    def provisioned(self) -> Iterator[Socket]:
        with self.steps.step("provision") as say:
            body = {"bot_token": self.bot.token, "name": "Demo", "owner_telegram_id": OWNER}
            self.instance = self.ask("POST", "/onboarding/provision", 202, body)
            check(self.instance["status"] == "provisioning", str(self.instance))
            say.append(self.instance["id"])
        with Socket.with_token(self.ws_url, self.me.token) as ws:
            with self.steps.step("WebSocket, subscribed") as say:
                frame = ws.subscribe(self.topic)
                say.append(f"status {frame['data']['instance']['status']}, position {frame['position']}")
            with self.steps.step("running"):
                if frame["data"]["instance"]["status"] != "running":
                    self.until(ws, "running")
            yield ws

    @property
    def topic(self) -> str:
        return f"instance.{self.instance['id']}"

    @property
    def path(self) -> str:
        return f"/instances/{self.instance['id']}"

    def until(self, ws: Socket, status: str) -> None:
        """By the events alone, as a dashboard does it."""
        deadline = time.monotonic() + READY_S
        while True:
            frame = ws.recv(max(0.01, deadline - time.monotonic()))
            self.events.append(frame)
            if frame["event"] == "instance.status":
                check(frame["data"]["status"] != "error", f"error: {frame['data']['status_reason']}")
                if frame["data"]["status"] == status:
                    return

    def talk(self, what: str) -> None:
        with self.steps.step(what) as say:
            self.bot.wait_polled(READY_S)
            self.bot.hears(STRANGER, "a stranger wants to talk")
            after = self.bot.hears(OWNER, f"hello, it is {self.steps.count}")
            reply = self.bot.says(after, REPLY_S, f"hello, it is {self.steps.count}")
            check(reply and reply["chat_id"] == OWNER, f"the reply to its owner: {reply}")
            assert reply
            say.append(f"“{reply['text'][:60]}”")
        with self.steps.step("a stranger who wrote before got nothing"):
            # Updates are taken in order: the stranger's was there before the one that was answered.
            sent = self.telegram.get(f"/_control/bots/{self.bot.id}/sent?since=0")["sent"]
            to_strangers = [s for s in sent if s["chat_id"] == STRANGER and s["method"] == "sendMessage"]
            check(not to_strangers, f"the stranger got {to_strangers}")

    def act(self, ws: Socket, verb: str, status: str) -> None:
        with self.steps.step(verb):
            before = self.started()
            self.ask("POST", f"{self.path}/{verb}", 202)
            self.until(ws, status)
            check(self.ask("GET", self.path, 200)["status"] == status, f"the instance is {status}")
            box = self.box()
            check(bool(box and box["State"]["Running"]) == (status == "running"), "the engine says the same")
            check(verb == "stop" or self.started() != before, "the container was started anew")

    def box(self) -> dict[str, Any] | None:
        engine = Engine(self.env["DOCKER_HOST"])
        found = engine.containers([f"zaki.instance={self.instance['id']}"])
        check(len(found) <= 1, f"one container and no more: {[c['Names'] for c in found]}")
        return dict(engine.json("GET", f"/containers/{found[0]['Id']}/json")) if found else None

    def started(self) -> str:
        box = self.box()
        return str(box["State"]["StartedAt"]) if box else ""

    def events_in_order(self) -> None:
        with self.steps.step("every event came, in order") as say:
            numbers = [int(f["position"].split(":")[1]) for f in self.events]
            check(numbers == sorted(set(numbers)), f"positions grow: {numbers}")
            states = [f["data"]["status"] for f in self.events if f["event"] == "instance.status"]
            told = [s for i, s in enumerate(states) if s != (states[i - 1] if i else "")]
            check(told[-6:] == ["restarting", "running", "stopping", "stopped", "starting", "running"],
                  f"states in order: {told}")
            say.append(" → ".join(told))

    @contextmanager
    def chatter(self, say: list[str]) -> Iterator[None]:
        """One message after the other, so that it writes all the time; each is answered."""
        enough = threading.Event()
        answered: list[bool] = []

        def talk() -> None:
            while not enough.is_set() or not answered:
                text = f"by the way {secrets.token_hex(4)}"
                answered.append(bool(self.bot.says(self.bot.hears(OWNER, text), REPLY_S, text)))

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join(2 * REPLY_S)
        check(answered and all(answered), f"each message is answered: {answered}")
        say.append(f"{len(answered)} messages meanwhile")

    def backup_and_restore(self, ws: Socket) -> None:
        """A backup of the running assistant, something lost, and all of it back: also what was said."""
        word, note = f"remember {secrets.token_hex(8)}", f"# Notes\n{secrets.token_hex(16)}\n"
        with self.steps.step("something to remember, and a note"):
            self.bot.wait_polled(READY_S)
            check(self.bot.says(self.bot.hears(OWNER, word), REPLY_S, word), "it answers")
            self.ask("PUT", f"{self.path}/memory/demo-notes.md", 200, {"content": note})
        with self.steps.step("backup, while it runs and is talked to") as say:
            with self.chatter(say):
                backup = self.ask("POST", f"{self.path}/backups", 202, {})["id"]
                done = ws.expect("backup.status", READY_S, lambda f: f["data"]["backup_id"] == backup and
                                 f["data"]["status"] in ("done", "failed"))["data"]
                check(done["status"] == "done", f"the backup: {done}")
            made = self.ask("GET", f"/backups/{backup}", 200)
            check(made["verified_at"], "it was read back")
            say.append(f"{made['files']} files, {made['bytes']} bytes, {made['bytes_stored']} stored")
        with self.steps.step("the note is lost"):
            self.ask("DELETE", f"{self.path}/memory/demo-notes.md", 200)
        self.act(ws, "stop", "stopped")
        with self.steps.step("restore") as say:
            restore = self.ask("POST", f"/backups/{backup}/restore", 202, {})["id"]
            deadline = time.monotonic() + READY_S
            while (now := self.ask("GET", f"/restores/{restore}", 200))["status"] != "done":
                check(now["status"] != "failed" and time.monotonic() < deadline, f"the restore: {now}")
                time.sleep(0.2)
            check(now["checkpoint_id"], "what was there before is a backup as well")
            check(self.ask("GET", f"{self.path}/memory/demo-notes.md", 200)["content"] == note, "the note is back")
            say.append(f"checkpoint {now['checkpoint_id']}")
        self.sql("UPDATE backup_targets SET next_drill_at = now() WHERE instance_id = %s", self.instance["id"])
        self.act(ws, "start", "running")
        self.still_knows(word)
        with self.steps.step("a drill, meanwhile: it starts from its backup") as say:
            def is_drilled(frame: dict[str, Any]) -> bool:
                data = frame["data"]
                return bool(frame["event"] == "backup.status" and data["work"] == "drill" and
                            data["status"] in ("done", "failed"))
            seen = [f for f in self.events if is_drilled(f)]
            done = (seen[0] if seen else ws.expect("backup.status", READY_S, is_drilled))["data"]
            check(done["status"] == "done" and done["trial_ms"], f"the drill: {done}")
            check(self.ask("GET", f"/backups/{done['backup_id']}", 200)["proven_at"], "the backup is proven")
            left = Engine(self.env["DOCKER_HOST"]).containers([f"zaki.trial.of={self.instance['id']}"])
            check(not left, f"its container is gone: {left}")
            say.append(f"ready after {done['trial_ms'] / 1000:.1f} s, without a network")

    def still_knows(self, word: str) -> None:
        with self.steps.step("it still knows what was said") as say:
            llm = Api(self.env["LLM_FAKE_URL"], prefix="")
            since = llm.get("/_control/requests").json["next"]
            self.bot.wait_polled(READY_S)
            again = f"and now? {self.steps.count}"
            check(self.bot.says(self.bot.hears(OWNER, again), REPLY_S, again), "it answers")
            asked = llm.get(f"/_control/requests?since={since}&full=1").json["requests"]
            if "stub" not in self.env["OPENCLAW_IMAGE"]:  # the stand-in asks no LLM and has no memory
                check(asked and word in str(asked), "the LLM was told of what was said before the backup")
                say.append(f"“{word}”")

    def second_user(self) -> None:
        with self.steps.step("a second user sees none of it"):
            body = {"email": f"demo-{secrets.token_hex(6)}@example.org", "password": secrets.token_urlsafe(16)}
            tokens = self.ask("POST", "/auth/register", 201, body, self.api)
            other = self.api.as_user(tokens["access_token"])
            check(self.ask("GET", "/instances", 200, api=other)["items"] == [], "its list is empty")
            for method, path, sent in (("GET", "", None), ("PATCH", "", {"name": "mine"}), ("DELETE", "", None),
                                       ("POST", "/stop", None), ("POST", "/restart", None)):
                self.ask(method, self.path + path, 404, sent, other, "NOT_FOUND")
            self.ask("POST", "/instances", 409, {"bot_token": self.bot.token}, other, "BOT_TOKEN_IN_USE")
            with Socket.with_token(self.ws_url, other.token) as ws:
                ws.send(f"subscribe:{self.topic}")
                check(ws.expect("error")["data"]["code"] == "NOT_FOUND", "nor does its socket")
            self.ask("DELETE", "/users/me", 202, api=other)

    def delete(self, ws: Socket) -> None:
        with self.steps.step("delete"):
            check(self.ask("DELETE", self.path, 202)["status"] == "deleting", "it says so")
            ws.expect("instance.deleted", READY_S)
            self.ask("GET", self.path, 404, code="NOT_FOUND")

    def nothing_left(self) -> None:
        instance = self.instance["id"]
        with self.steps.step("nothing is left: container, folder, rows"):
            everything = Engine(self.env["DOCKER_HOST"]).json("GET", "/containers/json", {"all": 1})
            left = [c["Names"] for c in everything if instance in str(c)]
            check(not left, f"containers: {left}")
            folders = [str(p) for p in Path(self.env["DATA_DIR"]).glob(f"*/{instance}*")]
            check(not folders, f"folders: {folders}")
            # Its backups stay until their time, or the account ends.
            rows = [r for r in self.rows_with(instance) if not r.startswith(("backup", "restores", "idempotency_backup"))]
            check(not rows, f"rows: {rows}")

    def rows_with(self, word: str) -> list[str]:
        """Every row of every table that has this in it; what was done stays on record in the audit,
        and that an account was erased, so that no older copy brings it back."""
        found = []
        with psycopg2.connect(self.env["DATABASE_URL"]) as db, db.cursor() as cursor:
            cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
                           "AND table_name NOT LIKE 'audit%' AND table_name <> 'erased_users'")
            for (table,) in cursor.fetchall():
                cursor.execute(f"SELECT t::text FROM {table} t WHERE t::text LIKE %s", (f"%{word}%",))
                found += [f"{table}: {row[0][:120]}" for row in cursor.fetchall()]
        return found

    def leave(self) -> None:
        with self.steps.step("delete the account"):
            if self.ask("DELETE", "/users/me", 202)["status"] == "leaving":
                self.end_grace()
            deadline = time.monotonic() + 60
            while rows := self.rows_with(self.user):
                check(time.monotonic() < deadline, f"rows: {rows}")
                time.sleep(0.1)
            answer = patiently(lambda: self.api.post("/auth/login", {"email": self.email, "password": self.password}))
            check(answer.code == "INVALID_CREDENTIALS", str(answer))

    def sql(self, query: str, *args: str) -> None:
        with psycopg2.connect(self.env["DATABASE_URL"]) as db, db.cursor() as cursor:
            cursor.execute(query, args)

    def end_grace(self) -> None:
        """Days in which the account could be had back: over, for this one."""
        self.sql("UPDATE users SET deletes_at = now() WHERE id = %s", self.user)
        self.sql("UPDATE account_deletions SET next_try_at = now() WHERE user_id = %s", self.user)

    def tidy(self) -> None:
        """After a failure: what can be taken away is."""
        try:
            self.me.delete("/users/me")
        except OSError:
            pass


def read_env(file: Path) -> dict[str, str]:
    if not file.exists():
        raise Failed(f"no stack is running: {file} is not there. Start it with `make run` or `make up`.")
    lines = file.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def stand_ins(state: Path, *off: str) -> bool:
    """Puts the fakes beside the running stack, or back with "--off"; whether that went well."""
    stack = [sys.executable, str(PROJECT / "deploy" / "local" / "stack.py"), "--state", str(state), "fakes", *off]
    return subprocess.run(stack, check=False, stdout=subprocess.DEVNULL).returncode == 0


@contextmanager
def running_stack(state: Path) -> Iterator[dict[str, str]]:
    """Its addresses. Where it has no fakes they are there for the while: whoever types a real bot token
    afterwards means the real Telegram. Killed in between, they stay; `stack.py fakes --off` ends them."""
    env = read_env(state / "run.env")
    if "TELEGRAM_FAKE_URL" in env:
        yield env
        return
    print("Putting stand-ins for Telegram and the LLM beside the running stack", flush=True)
    try:
        if not stand_ins(state):
            raise Failed("the stand-ins could not be started")
        yield read_env(state / "run.env")
    finally:
        gone = stand_ins(state, "--off")
        print("The stand-ins are away again" if gone else "The stand-ins are still there: stack.py fakes --off", flush=True)


@contextmanager
def private_stack(image: str) -> Iterator[dict[str, str]]:
    """A stack with this image and the settings that people have, gone afterwards."""
    from zaki.suite import DAEMONS, SERVERS, Suite, stub_image
    from stack.image import default_name

    name = stub_image() if image == "stub" else default_name()
    settings = {k: "" for k in ("RATE_API_PER_MIN", "RATE_AUTH_PER_MIN", "INSTANCES_FREE", "INSTANCE_STOP_GRACE_S",
                                "LOG_LEVEL")}
    settings["INSTANCE_READY_TIMEOUT_S"] = str(int(READY_S))  # a slow machine is no trouble of the assistant's
    suite = Suite(settings, image=name, parts=(*SERVERS, "engine", *DAEMONS, "edge"))
    print(f"Starting a stack of its own with {name}", flush=True)
    try:
        start = time.monotonic()
        yield suite.up().env
    finally:
        wrong = suite.destroy()
        print(f"The stack is gone again after {time.monotonic() - start:.1f} s" + "".join(f"\n  {w}" for w in wrong))
    check(not wrong, "the stack left something behind")


def main() -> int:
    """0, or 1 where a step fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=PROJECT / ".zaki", help="the running stack's folder")
    parser.add_argument("--private", action="store_true", help="start a stack of its own")
    parser.add_argument("--image", choices=["openclaw", "stub"], default="openclaw", help="with --private")
    args = parser.parse_args()
    if args.image == "stub" and not args.private:
        parser.error("the running stack has its image already (OPENCLAW_IMAGE); use --private")
    try:
        if args.private:
            with private_stack(args.image) as env:
                return demo(env)
        with running_stack(args.state) as env:
            return demo(env)
    except (Failed, StackError) as e:
        print(f"\n{e}", file=sys.stderr)
        return 1


def demo(env: dict[str, str]) -> int:
    """The steps, and what went wrong."""
    steps = Steps()
    job = Demo(env, steps)
    try:
        job.run()
    except (Failed, AssertionError, OSError, StackError) as e:
        print(f"\nThe demo failed: {type(e).__name__}: {e}", file=sys.stderr)
        job.tidy()
        return 1
    print(f"\nAll {steps.count} steps went well, in {time.monotonic() - steps.begin:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
