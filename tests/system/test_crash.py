"""kill -9 at every fault point of the sources: after the restart each assistant reaches its wanted
state, and no container, folder, port or bot claim is left over or doubled."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import uuid
from pathlib import Path
from typing import Any, Iterator

import pytest

from stack.errors import StackError
from zaki.api import expect
from zaki.patience import PATIENCE_S, wait_until
from zaki.people import Person, idempotency
from zaki.stubborn import Reviver, Stubborn
from zaki.suite import BUILD, PROJECT, Suite
from zaki.tables import fault_points
from zaki.telegram import Telegram
from zaki.upgrades import Events, image_of, next_image, zakictl, zakictl_begin

pytestmark = [pytest.mark.disturbs,
              pytest.mark.skipif(BUILD == "release", reason="a release build has no fault points")]

# A deletion passes these; the others have tests of their own (test_mail.py, and below).
AUTH_POINTS = [p for p in fault_points("auth") if p.startswith("delete_user.")]
AUTH_OTHERS = {"register.created", "api_key.created", "mail.leased", "mail.linked", "mail.sent"}
# instance-manager names most of its points "<operation>.<step>" as it goes; which of them a journey
# passes. test_every_point_is_here holds this against the sources.
STEPS = {
    "create": "claimed config dirs container port started ready",
    "update": "wanted config resized",
    "stop": "wanted stopped recorded",
    "start": "wanted config dirs started ready",
    "restart": "wanted stopped config dirs started ready recorded",
    "delete": "wanted stopped container data row",
    "mend": "config dirs container resized stopped recorded started ready",
    "stray": "removed",
    "outbox": "published",
}
# Tested beside what they belong to: test_memory.
ELSEWHERE = {"memory.written", "memory.placed", "provider.wanted", "settings.wanted"}
# test_backups_crash
TRIAL_POINTS = {p for p in fault_points("instance-manager") if p.startswith("trial.")}
SETTINGS_POINTS = {"settings.taken"}
# Passed by journeys of their own, below: what goes over the link, and whose an assistant is.
LINK_POINTS = {"chat.sent", "job.added", "pairing.bound", "pairing.approved"}
OWNER_POINTS = {"owner.seen", "owner.bound", "owner.ended"}
IM_POINTS = [f"{operation}.{step}" for operation, steps in STEPS.items() for step in steps.split()]
# One upgrade that succeeds and one that is put back die at each of these, one after the other.
UPGRADES = {
    "ok": "wanted stopped kept removed dirs config container started ready cleared",
    # "removed" goes by twice: the old container on the way there, the new one on the way back.
    "exit": "removed removed aside back container started ready cleared",
}
UPGRADE_POINTS = {f"upgrade.{step}" for steps in UPGRADES.values() for step in steps.split()}


def test_every_point_is_here() -> None:
    """A point that is new in the sources is missing above."""
    literal, steps = set(fault_points("instance-manager")), set()
    for file in (PROJECT / "services" / "instance-manager").rglob("*.c"):
        text = file.read_text()
        literal |= set(re.findall(r'on_wish\([^"]*"([a-z.]+)"', text))
        for call in re.findall(r"act_fault\(([^;]*)\);", text):
            steps |= set(re.findall(r'"([a-z]+)"', call))
    literal -= ELSEWHERE | LINK_POINTS | OWNER_POINTS | SETTINGS_POINTS | TRIAL_POINTS
    points = {*IM_POINTS, *UPGRADE_POINTS}
    assert literal <= points, literal - points
    covered = {p.split(".")[1] for p in points}
    assert steps <= covered, steps - covered
    assert set(fault_points("auth")) == set(AUTH_POINTS) | AUTH_OTHERS != AUTH_OTHERS


def test_a_journey_passes_these_points_and_no_others(suite: Suite, telegram: Telegram) -> None:
    """The table again, held against what is really passed."""
    trace = suite.folder / "passed"
    trace.touch()
    trace.chmod(0o666)
    suite.stack.restart_part("instance-manager", {"ZAKI_FAULT_TRACE": str(trace)})
    journey = Journey(suite, telegram)
    journey.create()
    journey.change()
    journey.stop_start_restart()
    for point in ("stray.removed", "mend.resized", "mend.stopped", "mend.ready"):
        journey.drift(point)
    journey.delete()
    journey.events_are_told()
    assert set(trace.read_text().split()) | {"create.port"} == set(IM_POINTS)  # that one needs a busy port


def age_what_it_held(suite: Suite) -> None:
    """While no instance-manager lives: its leases and claims run out now and not in a while, so that
    many points can be tested. test_killed_again_and_again waits for them as they are."""
    suite.sql("UPDATE instances SET lease_until = now() - interval '1 s' WHERE lease_until > now()")
    suite.sql("UPDATE idempotency_instance SET claimed_at = claimed_at - interval '1 hour' WHERE status IS NULL")


def arm(suite: Suite, daemon: str, point: str) -> Path:
    """Restarts the daemon so that it kills itself at this point, once. The file says that it did."""
    folder = suite.folder / "faults"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o1777)
    once = folder / f"{point}-{uuid.uuid4().hex[:6]}"
    try:
        suite.stack.restart_part(daemon, {"ZAKI_FAULT": point, "ZAKI_FAULT_ONCE": str(once)})
    except StackError:
        assert once.exists(), f"{daemon} did not start and did not reach {point}"
    return once


def age_its_links_too(suite: Suite) -> None:
    age_what_it_held(suite)
    suite.sql("UPDATE link_holders SET lease_until = now() - interval '1 s'")


class Journey:
    """A person's whole way with an assistant, while instance-manager dies somewhere on it."""

    def __init__(self, suite: Suite, telegram: Telegram) -> None:
        self.suite = suite
        self.person = Person.new(suite.api)
        self.bot, self.spare = telegram.bot(), telegram.bot()
        self.in_use = self.bot
        # Nobody waits for the whole time-out of a call whose service has died; they ask again.
        self.person.api.timeout = 2.5
        self.client = Stubborn(self.person.api, 90)
        self.id = ""

    def boxes(self) -> list[dict[str, Any]]:
        found = self.suite.containers(self.id)
        assert len(found) <= 1, f"the container is doubled: {[c['Names'] for c in found]}"
        return found

    def reach(self, status: str) -> dict[str, Any]:
        def there(answer: Any) -> bool:
            self.boxes()
            assert answer.status == 200, str(answer)
            assert answer.data["status"] != "error", str(answer)
            return bool(answer.data["status"] == status)

        return dict(self.client.until(f"/instances/{self.id}", there, f"{status} is reached").data)

    def act(self, verb: str) -> None:
        expect(self.client.call("POST", f"/instances/{self.id}/{verb}", headers=idempotency()), 202)

    def create(self) -> None:
        body = {"bot_token": self.bot.token, "owner_telegram_id": 7}
        self.id = self.client.call("POST", "/instances", body, headers=idempotency(), good=(202,)).data["id"]
        self.reach("running")
        listed = self.client.call("GET", "/instances").data["items"]
        assert [i["id"] for i in listed] == [self.id], "one row, not two"
        folders = [p.name for p in self.suite.data(self.person.id).iterdir()]
        assert folders == [self.id], "one folder, not two"

    def change(self) -> None:
        self.client.call("PATCH", f"/instances/{self.id}", {"memory_mib": 1024, "bot_token": self.spare.token})
        wait_until(lambda: self.limit() == 1 << 30, 60, "the container has its new memory")
        self.reach("running")
        self.in_use = self.spare
        self.spare.wait_polled()

    def limit(self) -> int:
        found = self.boxes()
        return int(self.inspect(found[0]["Id"])["HostConfig"]["Memory"]) if found else 0

    def inspect(self, cid: str) -> Any:
        try:
            return self.suite.engine.json("GET", f"/containers/{cid}/json")
        except StackError:
            return {"HostConfig": {"Memory": 0}, "State": {"StartedAt": ""}}

    def started(self) -> str:
        found = self.boxes()
        return str(self.inspect(found[0]["Id"])["State"]["StartedAt"]) if found else ""

    def stop_start_restart(self) -> None:
        self.act("stop")
        self.reach("stopped")
        assert all(c["State"] != "running" for c in self.boxes())
        self.act("start")
        self.reach("running")
        before = self.started()
        self.act("restart")
        wait_until(lambda: self.started() not in ("", before), 60, "it was started anew")
        self.reach("running")
        self.in_use.wait_polled()

    def drift(self, point: str) -> None:
        """What people do by hand, of the kind that is mended by way of this point."""
        if point == "stray.removed":
            self.stray_beside()
        elif point == "mend.resized":
            self.engine("update", {"Memory": 2 << 30, "MemorySwap": 2 << 30})
            wait_until(lambda: self.limit() == 1 << 30, 60, "its memory is as it should be")
        elif point in ("mend.stopped", "mend.recorded"):
            self.act("stop")
            self.reach("stopped")
            self.engine("start")
            wait_until(lambda: all(c["State"] != "running" for c in self.boxes()), 60, "it is stopped again")
            self.reach("stopped")
            self.act("start")
        elif point.startswith("mend."):
            self.suite.engine.remove(self.boxes()[0]["Id"])
            wait_until(lambda: [c["State"] for c in self.boxes()] == ["running"], 60, "it comes back")
        self.reach("running")

    def engine(self, verb: str, body: Any = None) -> None:
        self.suite.engine.call("POST", f"/containers/{self.boxes()[0]['Id']}/{verb}", body=body).read()

    def stray_beside(self) -> None:
        stray = str(uuid.uuid4())
        labels = {"zaki.platform": self.suite.platform(), "zaki.instance": stray, "zaki.user": self.person.id}
        self.suite.engine.json("POST", "/containers/create", {"name": f"zaki-user-{stray}"},
                               {"Image": self.suite.stack.image_name(), "Labels": labels})
        wait_until(lambda: not self.suite.containers(stray), 60, "the stray one goes")

    def delete(self) -> None:
        self.client.call("DELETE", f"/instances/{self.id}", good=(202, 404))
        self.client.until(f"/instances/{self.id}", lambda a: a.status == 404, "it is gone")
        assert not self.boxes()
        assert not self.suite.data(self.person.id, self.id).exists()
        for table, column in (("instances", "id"), ("operations", "instance_id"), ("provider_keys", "instance_id"),
                              ("idempotency_instance", "about")):
            assert not self.suite.sql(f"SELECT 1 FROM {table} WHERE {column} = %s", self.id), table

    def claims_are_free(self) -> None:
        """Both bots and the quota can be had again."""
        for bot in (self.bot, self.spare):
            made = self.client.call("POST", "/instances", {"bot_token": bot.token}, headers=idempotency(), good=(202,))
            self.person.remove(made.data["id"])

    def events_are_told(self) -> None:
        """Nothing waits in the outbox: what was written reached the stream."""
        wait_until(lambda: not self.suite.sql("SELECT 1 FROM event_outbox"), 30, "the outbox is empty")


@pytest.mark.parametrize("point", IM_POINTS)
def test_instance_manager_dies(suite: Suite, telegram: Telegram, point: str) -> None:
    """Of the journey: what leads to the point, and the end."""
    journey, operation = Journey(suite, telegram), point.split(".")[0]
    once = arm(suite, "instance-manager", point)
    with Reviver(suite, "instance-manager", while_dead=lambda: age_what_it_held(suite)):
        if point == "create.port":
            with ports_held(suite, once):
                journey.create()
        else:
            journey.create()
        if operation in ("update", "mend"):
            journey.change()
        if operation in ("stop", "start", "restart"):
            journey.stop_start_restart()
        if operation in ("mend", "stray"):
            journey.drift(point)
        journey.delete()
    assert once.exists(), f"nothing on the way reached {point}"
    journey.claims_are_free()
    journey.events_are_told()


def test_a_chat_is_sent_once(suite: Suite, telegram: Telegram) -> None:
    """It runs, and the same request again finds it and starts nothing."""
    person = Person.new(suite.api)
    instance = person.running(telegram.bot(), owner_telegram_id=7)["id"]
    path, key = f"/instances/{instance}/chat", idempotency()
    once = arm(suite, "instance-manager", "chat.sent")
    person.api.timeout = 4
    with Reviver(suite, "instance-manager", while_dead=lambda: age_its_links_too(suite)):
        # Who links again has to be linked first.
        run = Stubborn(person.api, 90).call("POST", path, {"message": "only once"}, headers=key, good=(202,)).data
        assert once.exists()
    person.api.timeout = PATIENCE_S
    again = expect(person.api.post(path, {"message": "only once"}, headers=key), 202)
    assert again == run
    said = Stubborn(person.api).until(f"/instances/{instance}/sessions/{run['session_key']}",
                                      lambda a: a.status == 200 and len(a.data["items"]) >= 2, "it is said").data["items"]
    assert {m["text"] for m in said} == {"only once", "echo: only once"}


def test_a_job_is_added_once(suite: Suite, telegram: Telegram) -> None:
    """It is there, and the same request again finds it and adds none."""
    person = Person.new(suite.api)
    instance = person.running(telegram.bot(), owner_telegram_id=7)["id"]
    path, key = f"/instances/{instance}/calendar", idempotency()
    body = {"name": "check", "message": "ping", "schedule": {"kind": "every", "every_ms": 3600000}}
    once = arm(suite, "instance-manager", "job.added")
    person.api.timeout = 4
    client = Stubborn(person.api, 90)
    with Reviver(suite, "instance-manager", while_dead=lambda: age_its_links_too(suite)):
        job = client.call("POST", path, body, headers=key, good=(201,)).data
        assert once.exists()
        assert expect(person.api.post(path, body, headers=key), 201) == job
        listed = client.call("GET", path).data["items"]
        assert [(j["id"], j["name"], j["builtin"]) for j in listed] == [(job["id"], "check", False)]
        assert client.call("POST", path, body, headers=idempotency(), good=(201,)).data["id"] != job["id"]


@pytest.mark.parametrize("point", ["pairing.bound", "pairing.approved"])
def test_an_approval_is_not_lost(suite: Suite, telegram: Telegram, point: str) -> None:
    """Whoever was to become the owner is it, and may write; asked again it is so."""
    person, bot = Person.new(suite.api), telegram.bot()
    instance = person.running(bot)["id"]
    client = Stubborn(person.api, 90)
    bot.hears(7, "may I?")
    asked = client.until(f"/instances/{instance}/pairing", lambda a: a.status == 200 and a.data["items"],
                         "somebody asks").data["items"][0]
    once = arm(suite, "instance-manager", point)
    person.api.timeout = 4
    with Reviver(suite, "instance-manager", while_dead=lambda: age_its_links_too(suite)):
        answer = client.call("POST", f"/instances/{instance}/pairing/{asked['code']}/approve", {"owner": True},
                             headers=idempotency(), good=(200, 404))
        assert once.exists()
    # Once approved nobody asks any more; an approval that was cut short before it is made up for.
    assert answer.status == (200 if point == "pairing.bound" else 404), answer
    settings = client.call("GET", f"/instances/{instance}/settings").data
    assert settings["owner_telegram_id"] == 7 and settings["access"] == "allowlist"
    wait_until(lambda: bot.says(bot.hears(7, "so?"), timeout=3, text="echo: so?"), 30)
    assert not bot.says(bot.hears(8, "and me?"), timeout=1)


def test_a_setting_that_openclaw_took_and_nobody_wrote_down(suite: Suite, telegram: Telegram) -> None:
    """It is set back, until the person asks again."""
    person = Person.new(suite.api)
    instance = person.running(telegram.bot(), owner_telegram_id=7)["id"]
    file = suite.data(person.id, instance, ".openclaw", "openclaw.json")
    wait_until(lambda: expect(person.api.get(f"/instances/{instance}/sessions"), 200)["live"], 30)
    once = arm(suite, "instance-manager", "settings.taken")
    wait_until(lambda: expect(person.api.get(f"/instances/{instance}/sessions"), 200)["live"], 30)
    person.api.timeout = 4
    with Reviver(suite, "instance-manager", while_dead=lambda: age_its_links_too(suite)):
        with contextlib.suppress(OSError):
            person.api.patch(f"/instances/{instance}/settings", {"access": "open"})
        wait_until(once.exists, 30)
        wait_until(lambda: '"allowlist"' in file.read_text(), 30, "it is as it was")
        assert Stubborn(person.api).call("GET", f"/instances/{instance}/settings").data["access"] == "allowlist"
        Stubborn(person.api).call("PATCH", f"/instances/{instance}/settings", {"access": "open"})
    wait_until(lambda: '"open"' in file.read_text(), 30)


@pytest.mark.parametrize("point", sorted(OWNER_POINTS))
def test_an_awaited_owner_is_not_lost(suite: Suite, telegram: Telegram, point: str) -> None:
    person, bot = Person.new(suite.api), telegram.bot()
    made = expect(person.api.post("/onboarding/provision", {"bot_token": bot.token}), 202)
    person.wait(made["id"], "running")
    once = arm(suite, "instance-manager", point)
    with Reviver(suite, "instance-manager", while_dead=lambda: suite.sql("UPDATE owner_links SET next_at = now()")):
        text = "hello" if point == "owner.ended" else "/start " + made["owner_link"].split("=")[1]
        after = bot.hears(7, text)
        wait_until(once.exists, 30, f"{point} is reached")
        says = "Pairing code" if point == "owner.ended" else f"echo: {text}"
        assert bot.says(after, 40, text=says), "their message is not lost"
    owner = Stubborn(person.api).call("GET", f"/instances/{made['id']}/settings").data["owner_telegram_id"]
    assert owner == (None if point == "owner.ended" else 7)


@pytest.mark.parametrize("how", UPGRADES)
def test_an_upgrade_dies_at_every_point(suite: Suite, telegram: Telegram, how: str) -> None:
    """Each restart goes on until the next point; at the end there is the new image or, with the files
    from before, the old one, and never were there two."""
    person, bot = Person.new(suite.api), telegram.bot()
    instance, image = person.running(bot)["id"], next_image(how)
    old, state = image_of(suite, instance), suite.data(person.id, instance, ".openclaw", "state.json")
    state.write_text('{"version": 1}')
    os.chown(state, 1000, 1000)
    suite.stack.stop_part("supervisor")  # it would start it without its next point
    suite.stack.stop_part("instance-manager")
    with Events(suite, instance) as events:
        asked = None
        for n, step in enumerate(UPGRADES[how].split()):
            once = suite.folder / f"upgrade-{how}-{n}-{step}"
            age_what_it_held(suite)
            with contextlib.suppress(StackError):  # it died before it was ready
                suite.stack.start_part("instance-manager", {"OPENCLAW_IMAGE": image, "ZAKI_FAULT": f"upgrade.{step}",
                                                            "ZAKI_FAULT_ONCE": str(once)})
            asked = asked or zakictl_begin(suite, "upgrade", instance)
            wait_until(lambda: once.exists() and not suite.stack.pid("instance-manager"), 60,  # pylint: disable=cell-var-from-loop
                       f"upgrade.{step} is reached")
            assert len(suite.containers(instance)) <= 1
        age_what_it_held(suite)
        suite.stack.start_part("instance-manager", {"OPENCLAW_IMAGE": image})
        done = zakictl(suite, "upgrade", instance) if how == "ok" else None
        wait_until(lambda: not suite.sql("SELECT 1 FROM operations WHERE instance_id = %s AND finished_at IS NULL",
                                         instance), 60, "the upgrade has ended")
        assert asked
        asked.communicate(timeout=60)
    suite.stack.restart_part("instance-manager")
    assert events.most == 1, events.seen
    assert person.instance(instance)["status"] == "running"
    assert [p.name for p in suite.data(person.id).iterdir()] == [instance]
    bot.wait_polled()
    if done:
        assert done.returncode == 0 and image_of(suite, instance) == image
        assert state.read_text() == '{"version": 2}\n'
    else:
        assert asked.returncode == 1 and image_of(suite, instance) == old
        assert state.read_text() == '{"version": 1}'


@contextlib.contextmanager
def ports_held(suite: Suite, until: Path) -> Iterator[None]:
    """Somebody else has every port of the range, until instance-manager has died over it."""
    computed = suite.stack.computed("instance-manager")
    held = []
    for port in range(int(computed["INSTANCE_PORT_MIN"]), int(computed["INSTANCE_PORT_MAX"]) + 1):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # another assistant has it
            s.bind(("127.0.0.1", port))
            s.listen()
        held.append(s)

    def release() -> None:
        with contextlib.suppress(TimeoutError):
            wait_until(until.exists, 60)
        for s in held:
            s.close()

    thread = threading.Thread(target=release)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("point", AUTH_POINTS)
def test_auth_dies(suite: Suite, telegram: Telegram, point: str) -> None:
    """The deletion of an account is resumed where it was."""
    person, bot = Person.new(suite.api), telegram.bot()
    instance = person.running(bot)["id"]
    once = arm(suite, "auth", point)
    with Reviver(suite, "auth"):
        Stubborn(person.api).call("DELETE", "/users/me", good=(202, 401))
        # Whoever held the lease is dead; it runs out by itself, later than a test wants to wait.
        wait_until(once.exists, 60, f"{point} is reached")
        wait_until(lambda: gone(suite, person), 60, "the account is gone")
    assert not suite.containers(instance) and not suite.data(person.id).exists()
    for table in ("sessions", "refresh_tokens", "account_deletions", "instances", "provider_keys"):
        column = "user_id" if table != "refresh_tokens" else "session_id"
        assert not suite.sql(f"SELECT 1 FROM {table} WHERE {column} = %s", person.id), table
    again = expect(suite.api.post("/auth/register", {"email": person.email, "password": "a new beginning"}), 201)
    suite.api.as_user(again["access_token"]).delete("/users/me")
    Person.new(suite.api).provision(bot)


def test_auth_dies_between_an_account_and_its_answer(suite: Suite) -> None:
    """The same request under the same key gets its account, and nobody else does."""
    once, key = arm(suite, "auth", "register.created"), idempotency()
    body = {"email": f"eve-{uuid.uuid4().hex}@example.org", "password": "a good long one"}
    with Reviver(suite, "auth"):
        first = suite.api.post("/auth/register", body, headers=key)
        assert first.status in (503, 504) and once.exists(), first
        wait_until(lambda: suite.api.get("/health").status == 200, 30)
        # The claim of the dead is anyone's after a while; until then it is under way.
        suite.sql("UPDATE idempotency_auth SET claimed_at = claimed_at - interval '1 hour' WHERE key = %s",
                  key["Idempotency-Key"])
        expect(suite.api.post("/auth/register", {**body, "password": "of somebody else"}, headers=key), 409, "CONFLICT")
        expect(suite.api.post("/auth/register", body, headers=idempotency()), 409, "EMAIL_TAKEN")
        again = Stubborn(suite.api).call("POST", "/auth/register", body, headers=key, good=(201,)).data
        assert again["user"]["email"] == body["email"]
        expect(suite.api.as_user(again["access_token"]).get("/users/me"), 200)
        same = expect(suite.api.post("/auth/register", body, headers=key), 201)
    assert same == again
    assert len(suite.sql("SELECT 1 FROM users WHERE email = %s", body["email"])) == 1


def test_auth_dies_between_an_api_key_and_its_answer(suite: Suite) -> None:
    """Nobody was shown that key: the same request under the same key gets another in its place."""
    person = Person.new(suite.api)
    once, key, body = arm(suite, "auth", "api_key.created"), idempotency(), {"name": "from afar", "scope": "read"}
    with Reviver(suite, "auth"):
        first = person.api.post("/users/me/api-keys", body, headers=key)
        assert first.status in (503, 504) and once.exists(), first
        wait_until(lambda: suite.api.get("/health").status == 200, 30)
        lost = [k["id"] for k in Stubborn(person.api).call("GET", "/users/me/api-keys").data["items"]]
        suite.sql("UPDATE idempotency_auth SET claimed_at = claimed_at - interval '1 hour' WHERE key = %s",
                  key["Idempotency-Key"])
        made = Stubborn(person.api).call("POST", "/users/me/api-keys", body, headers=key, good=(201,)).data
        expect(suite.api.as_user(made["key"]).get("/users/me"), 200)
        same = expect(person.api.post("/users/me/api-keys", body, headers=key), 201)
    assert same == made
    kept = [k["id"] for k in expect(person.api.get("/users/me/api-keys"), 200)["items"]]
    assert len(lost) == 1 and kept == [made["api_key"]["id"]] != lost
    told = [a["action"] for a in expect(person.api.get("/users/me/audit"), 200)["items"]]
    assert told.count("api_key_created") == 2 and told.count("api_key_revoked") == 1, told


def gone(suite: Suite, person: Person) -> bool:
    suite.sql("UPDATE account_deletions SET lease_until = now() WHERE lease_until > now() + interval '2 s' "
              "AND requested_at < now() - interval '3 s' AND user_id = %s", person.id)
    return not suite.sql("SELECT 1 FROM users WHERE id = %s", person.id)


def test_killed_again_and_again(suite: Suite, telegram: Telegram) -> None:
    """No chosen point: killed whenever, while the journey goes on; ever more rarely within each part
    of it, since on a busy machine a life of 0.7 s ends before anything was done."""
    journey, end, pause_s = Journey(suite, telegram), threading.Event(), [0.7]
    journey.client.meanwhile = lambda: suite.sql(
        "UPDATE idempotency_instance SET claimed_at = claimed_at - interval '1 hour' "
        "WHERE status IS NULL AND claimed_at < now() - interval '5 s'")

    def killer() -> None:
        while not end.wait(pause_s[0]):
            pause_s[0] *= 1.2
            try:
                suite.stack.kill_part("instance-manager", hold=False)
            except StackError:
                pass  # it is down just now

    thread = threading.Thread(target=killer)
    with Reviver(suite, "instance-manager") as reviver:
        thread.start()
        try:
            for part in (journey.create, journey.stop_start_restart, journey.delete):
                pause_s[0] = 0.7
                part()
        finally:
            end.set()
            thread.join()
    assert reviver.starts >= 2
    journey.claims_are_free()


@pytest.mark.parametrize("daemon", ["gateway", "auth", "realtime-fanout", "instance-manager", "storage-backup"])
def test_the_supervisor_brings_each_daemon_back(suite: Suite, daemon: str, telegram: Telegram) -> None:
    person = Person.new(suite.api)
    instance = person.running(telegram.bot())["id"]
    pid = suite.stack.kill_part(daemon, hold=False)
    wait_until(lambda: suite.stack.pid(daemon) not in (None, pid), 30, f"{daemon} is back")
    client = Stubborn(person.api)
    client.call("POST", f"/instances/{instance}/stop")
    client.until(f"/instances/{instance}", lambda a: a.data["status"] == "stopped", "it is stopped")
    client.call("PATCH", "/users/me", {"name": "after"})


def test_the_whole_stack_killed(suite: Suite, telegram: Telegram) -> None:
    """As when the machine's power fails: all at once; `up` brings back everything."""
    person, bot = Person.new(suite.api), telegram.bot()
    instance = person.running(bot, owner_telegram_id=7)["id"]
    other = person.running(telegram.bot())["id"]
    person.act(other, "stop", "stopped")
    for part in ("supervisor", "gateway", "auth", "instance-manager", "realtime-fanout", "storage-backup", "nats", "redis",
                 "postgres"):
        suite.stack.kill_part(part)
    for container in suite.containers():
        if container["State"] == "running":
            suite.engine.call("POST", f"/containers/{container['Id']}/kill").read()
    suite.stack.up()
    client = Stubborn(person.api)
    client.until(f"/instances/{instance}", lambda a: a.data["status"] == "running", "it runs again")
    assert client.call("GET", f"/instances/{other}").data["status"] == "stopped"
    bot.wait_polled()
    assert bot.says(bot.hears(7, "back?"), text="back?")
