"""Assistants through the REST API, with the stub image: the whole life, and who may do what."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from zaki.api import Answer, Api, expect
from zaki.patience import wait_until
from zaki.people import Person, idempotency
from zaki.suite import Suite
from zaki.telegram import Bot, Telegram

FIELDS = {"id", "name", "container_name", "port", "bot_username", "model", "status", "status_reason", "desired",
          "observed_at", "created_at", "updated_at"}
OWNER = 4242
STRANGER = 666


# ---- validate ------------------------------------------------------------------------------------

@pytest.mark.core
def test_a_good_bot_token(ada: Person, bot: Bot) -> None:
    data = expect(ada.api.post("/onboarding/validate-bot-token", {"bot_token": bot.token}), 200)
    assert data == {"bot": {"id": bot.id, "username": bot.username, "name": f"Zaki {bot.id}"}}


@pytest.mark.core
def test_a_bad_bot_token(ada: Person, telegram: Telegram) -> None:
    answer = ada.api.post("/onboarding/validate-bot-token", {"bot_token": telegram.unknown_token()})
    assert answer.code == "BOT_TOKEN_INVALID" and 400 <= answer.status < 500, answer


@pytest.mark.parametrize("token", ["not-a-bot-token-at-all", "123:abcdefghijklmnopqrst/../getMe", "1" * 40,
                                   ":AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "12345:AAAAAAAAAAAAAAAAAAAAAA?x=1#y"])
def test_a_token_that_cannot_be_one(ada: Person, token: str) -> None:
    answer = ada.api.post("/onboarding/validate-bot-token", {"bot_token": token})
    assert answer.status in (400, 422) and answer.code in ("BOT_TOKEN_INVALID", "VALIDATION_ERROR"), answer


@pytest.mark.parametrize("order, code", [
    ({"status": 500}, "UPSTREAM_ERROR"), ({"status": 502}, "UPSTREAM_ERROR"), ({"drop": True}, "UPSTREAM_ERROR"),
    ({"status": 429, "retry_after": 7}, "UPSTREAM_ERROR"),
])
def test_telegram_is_unwell(ada: Person, bot: Bot, telegram: Telegram, order: dict[str, Any], code: str) -> None:
    telegram.fault(bot_id=bot.id, method="getMe", times=10, **order)
    try:
        answer = ada.api.post("/onboarding/validate-bot-token", {"bot_token": bot.token})
        assert answer.status in (429, 502, 503, 504) and answer.code, answer
        assert answer.code not in ("BOT_TOKEN_INVALID", "INTERNAL_ERROR"), answer
    finally:
        telegram.no_faults()
    expect(ada.api.post("/onboarding/validate-bot-token", {"bot_token": bot.token}), 200)


# ---- the whole life ------------------------------------------------------------------------------

@pytest.mark.core
def test_the_life_of_an_assistant(ada: Person, bot: Bot, suite: Suite) -> None:
    made = ada.provision(bot, name="Zora", owner_telegram_id=OWNER)
    assert FIELDS <= set(made) and made["status"] == "provisioning" and made["desired"] == "running"
    assert (made["name"], made["bot_username"]) == ("Zora", bot.username)
    instance = made["id"]
    assert made["container_name"] == f"zaki-user-{instance}"

    seen = ada.wait(instance, "running")
    assert seen["status_reason"] is None and seen["observed_at"]
    assert expect(ada.api.get("/instances"), 200) == {"items": [seen], "next_cursor": None}

    bot.wait_polled()
    after = bot.hears(OWNER, "hello there")
    reply = bot.says(after)
    assert reply and reply["chat_id"] == OWNER and "hello there" in reply["text"]
    after = bot.hears(STRANGER, "let me in")
    assert bot.says(after, timeout=0.7) is None

    ada.act(instance, "stop", "stopped")
    assert ada.instance(instance)["desired"] == "stopped"
    assert [c["State"] for c in suite.containers(instance)] in (["exited"], [])
    ada.act(instance, "start", "running")
    bot.wait_polled()
    assert bot.says(bot.hears(OWNER, "again"), text="again")
    started = started_at(suite, instance)
    ada.act(instance, "restart")
    wait_until(lambda: started_at(suite, instance) not in (started, ""), 30, "another start")
    ada.wait(instance, "running")
    bot.wait_polled()
    assert bot.says(bot.hears(OWNER, "and again"), text="and again")

    port = ada.instance(instance)["port"]
    assert expect(ada.api.delete(f"/instances/{instance}"), 202)["status"] == "deleting"
    ada.wait_gone(instance)
    expect(ada.api.delete(f"/instances/{instance}"), 404, "NOT_FOUND")
    assert expect(ada.api.get("/instances"), 200)["items"] == []
    assert_nothing_left(suite, ada, instance)
    assert not suite.sql("SELECT 1 FROM instances WHERE port = %s", port)
    wait_until(lambda: not bot.shown()["polling"], 10, "nobody polls the bot any more")


def started_at(suite: Suite, instance: str) -> str:
    found = suite.containers(instance)
    if not found:
        return ""
    return str(suite.engine.json("GET", f"/containers/{found[0]['Id']}/json")["State"]["StartedAt"])


def assert_nothing_left(suite: Suite, person: Person, instance: str) -> None:
    assert not suite.containers(instance)
    assert not suite.data(person.id, instance).exists()
    tables = suite.sql("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
                       "AND (column_name = 'instance_id' OR (table_name = 'instances' AND column_name = 'id')) "
                       "AND table_name NOT LIKE '%%audit%%'")
    # Its last backup outlives it, so that a deletion can be regretted: what storage-backup knows stays
    # until its retention ends or the account goes.
    kept = {"backup_targets", "backups", "backup_jobs", "restores"}
    assert kept < {row["table_name"] for row in tables}
    for row in tables:
        if row["table_name"] in kept:
            continue
        left = suite.sql(f"SELECT 1 FROM {row['table_name']} WHERE {row['column_name']}::text = %s", instance)
        assert not left, f"{row['table_name']} still has it"


def test_the_container_is_as_promised(ada: Person, bot: Bot, suite: Suite) -> None:
    """SPEC 6, word for word."""
    instance = ada.running(bot)
    box = suite.engine.json("GET", f"/containers/{instance['container_name']}/json")
    host = box["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (2 << 30, 2 << 30)
    assert (host["CpuShares"], host["PidsLimit"], host["Init"]) == (1024, 512, True)
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
    assert any(o.startswith("no-new-privileges") for o in host["SecurityOpt"])
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"]["Type"] == "json-file" and {"max-size", "max-file"} <= set(host["LogConfig"]["Config"])
    assert box["Config"]["User"].split(":")[0] == "1000"
    assert host["NetworkMode"] == suite.network
    assert box["Config"]["Labels"]["zaki.instance"] == instance["id"]
    assert box["Config"]["Labels"]["zaki.user"] == ada.id and box["Config"]["Labels"]["zaki.trace"]
    ports = host["PortBindings"]["18789/tcp"]
    assert [(p["HostIp"], p["HostPort"]) for p in ports] == [("127.0.0.1", str(instance["port"]))]
    binds = {m["Destination"]: m["Source"] for m in box["Mounts"]}
    folder = suite.data(ada.id, instance["id"])
    assert binds == {"/home/node/.openclaw": str(folder / ".openclaw"), "/home/node/workspace": str(folder / "workspace")}
    for name in (".openclaw", "workspace"):
        assert ((folder / name).stat().st_uid, (folder / name).stat().st_mode & 0o077) == (1000, 0)
    config = folder / ".openclaw" / "openclaw.json"
    assert config.stat().st_mode & 0o777 == 0o600 and config.stat().st_uid == 1000
    assert bot.token in config.read_text() and bot.token not in json.dumps(box)
    network = suite.engine.json("GET", f"/networks/{suite.network}")
    assert network["Options"]["com.docker.network.bridge.enable_icc"] == "false"


# ---- changes -------------------------------------------------------------------------------------

def patched(ada: Person, instance: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = ada.api.patch(f"/instances/{instance}", body)
    assert answer.status in (200, 202), answer
    return dict(answer.data)


def config_of(suite: Suite, ada: Person, instance: str) -> Any:
    return json.loads(suite.data(ada.id, instance, ".openclaw", "openclaw.json").read_text())


def test_patch_the_name(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot, name="Before")["id"]
    started = started_at(suite, instance)
    assert patched(ada, instance, {"name": "After ✓"})["name"] == "After ✓"
    seen = ada.wait(instance, "running")
    assert seen["name"] == "After ✓" and started_at(suite, instance) == started  # a name restarts nothing


def test_patch_the_model(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot)["id"]
    patched(ada, instance, {"model": "fake/fake-2"})
    assert ada.wait(instance, "running")["model"] == "fake/fake-2"
    wait_until(lambda: "fake/fake-2" in json.dumps(config_of(suite, ada, instance)), 20, "the config has it")
    ada.wait(instance, "running")


def test_patch_the_bot_token(ada: Person, bob: Person, bot: Bot, telegram: Telegram) -> None:
    instance = ada.running(bot, owner_telegram_id=OWNER)["id"]
    other = telegram.bot()
    assert patched(ada, instance, {"bot_token": other.token})["bot_username"] == other.username
    other.wait_polled()
    ada.wait(instance, "running")
    wait_until(lambda: not bot.shown()["polling"], 15, "the old bot is left alone")
    assert other.says(other.hears(OWNER, "new name"), text="new name")
    bob.provision(bot)  # the old bot is free
    expect(bob.api.post("/instances", {"bot_token": other.token}), 409, "BOT_TOKEN_IN_USE")


def test_patch_to_a_renewed_token_of_the_same_bot(ada: Person, bot: Bot) -> None:
    instance = ada.running(bot, owner_telegram_id=OWNER)["id"]
    patched(ada, instance, {"bot_token": bot.new_token()})
    bot.wait_polled()
    ada.wait(instance, "running")
    assert bot.says(bot.hears(OWNER, "still here"), text="still here")


def test_patch_to_a_bad_token_changes_nothing(ada: Person, bob: Person, bot: Bot, telegram: Telegram) -> None:
    instance = ada.running(bot)["id"]
    bobs = telegram.bot()
    bob.provision(bobs)
    answer = ada.api.patch(f"/instances/{instance}", {"bot_token": telegram.unknown_token(), "name": "half done"})
    assert answer.code == "BOT_TOKEN_INVALID", answer
    expect(ada.api.patch(f"/instances/{instance}", {"bot_token": bobs.token, "name": "half done"}), 409, "BOT_TOKEN_IN_USE")
    seen = ada.wait(instance, "running")
    assert seen["bot_username"] == bot.username and seen["name"] != "half done"


def test_patch_the_memory(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot)["id"]
    assert patched(ada, instance, {"memory_mib": 3072})["memory_mib"] == 3072

    def limit() -> int:
        found = suite.containers(instance)
        return suite.engine.json("GET", f"/containers/{found[0]['Id']}/json")["HostConfig"]["Memory"] if found else 0

    wait_until(lambda: limit() == 3 << 30, 30, "the container has it")
    ada.wait(instance, "running")


def test_patch_of_a_stopped_one_counts_when_it_starts(ada: Person, bot: Bot, telegram: Telegram) -> None:
    instance = ada.running(bot, owner_telegram_id=OWNER)["id"]
    ada.act(instance, "stop", "stopped")
    other = telegram.bot()
    patched(ada, instance, {"bot_token": other.token, "owner_telegram_id": STRANGER})
    ada.wait(instance, "stopped")
    ada.act(instance, "start", "running")
    other.wait_polled()
    assert other.says(other.hears(STRANGER, "hi"), text="hi")


def test_an_empty_patch_changes_nothing(ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    before = ada.instance(instance)
    patched(ada, instance, {})
    after = ada.wait(instance, "running")
    assert {**after, "observed_at": "", "updated_at": ""} == {**before, "observed_at": "", "updated_at": ""}


# ---- actions again and at once -------------------------------------------------------------------

def test_actions_may_be_repeated(ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    assert ada.act(instance, "start")["status"] == "running"  # it runs already
    ada.wait(instance, "running")
    for _ in range(3):
        ada.act(instance, "stop")
    ada.wait(instance, "stopped")
    ada.act(instance, "stop")
    ada.wait(instance, "stopped")
    ada.act(instance, "restart", "running")  # of a stopped one: it runs


def test_the_last_word_counts(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot)["id"]
    for verb in ("stop", "start", "restart", "stop", "start", "stop"):
        ada.act(instance, verb)
    ada.wait(instance, "stopped")
    assert all(c["State"] != "running" for c in suite.containers(instance))
    ada.act(instance, "start", "running")


def test_delete_while_it_is_being_made(ada: Person, bot: Bot, suite: Suite, bob: Person) -> None:
    instance = ada.provision(bot)["id"]
    ada.remove(instance)
    assert_nothing_left(suite, ada, instance)
    bob.running(bot)


def test_delete_of_a_stopped_one(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot)["id"]
    ada.act(instance, "stop", "stopped")
    ada.remove(instance)
    assert_nothing_left(suite, ada, instance)


def test_nothing_acts_on_what_is_being_deleted(ada: Person, bot: Bot) -> None:
    instance = ada.running(bot)["id"]
    expect(ada.api.delete(f"/instances/{instance}"), 202)
    for verb in ("start", "restart"):
        answer = ada.api.post(f"/instances/{instance}/{verb}")
        assert answer.status in (404, 409), answer
    ada.wait_gone(instance)


# ---- quotas and bots -----------------------------------------------------------------------------

def test_the_quota(ada: Person, telegram: Telegram, suite: Suite) -> None:
    bots = [telegram.bot() for _ in range(4)]
    made = [ada.provision(b)["id"] for b in bots[:3]]  # INSTANCES_FREE of this suite
    answer = ada.api.post("/instances", {"bot_token": bots[3].token})
    expect(answer, 403, "QUOTA_EXCEEDED")
    ada.remove(made[0])
    ada.provision(bots[3])
    suite.sql("UPDATE users SET subscription_tier = 'pro' WHERE id = %s", ada.id)
    ada.provision(bots[0])


def test_the_quota_holds_when_all_come_at_once(ada: Person, telegram: Telegram) -> None:
    bots, answers = [telegram.bot() for _ in range(6)], []

    def create(bot: Bot) -> None:
        answers.append(ada.api.post("/instances", {"bot_token": bot.token}))

    threads = [threading.Thread(target=create, args=(b,)) for b in bots]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    good = [a for a in answers if a.status == 202]
    assert len(good) == 3, [str(a) for a in answers]
    assert {a.code for a in answers if a.status != 202} == {"QUOTA_EXCEEDED"}
    assert len({a.data["port"] for a in good}) == 3
    assert len(expect(ada.api.get("/instances"), 200)["items"]) == 3


def test_a_bot_has_one_owner(ada: Person, bob: Person, bot: Bot) -> None:
    instance = ada.provision(bot)["id"]
    for person in (bob, ada):
        expect(person.api.post("/instances", {"bot_token": bot.token}), 409, "BOT_TOKEN_IN_USE")
    # Another token of the same bot is the same bot.
    expect(bob.api.post("/instances", {"bot_token": bot.new_token()}), 409, "BOT_TOKEN_IN_USE")
    ada.remove(instance)
    bob.running(bot)


def test_one_bot_for_two_at_once(ada: Person, bob: Person, bot: Bot) -> None:
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda p=p: answers.append(  # type: ignore[misc]
        p.api.post("/instances", {"bot_token": bot.token}))) for p in (ada, bob)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(a.status for a in answers) == [202, 409], [str(a) for a in answers]


def test_a_bad_token_creates_nothing(ada: Person, telegram: Telegram, suite: Suite) -> None:
    answer = ada.api.post("/onboarding/provision", {"bot_token": telegram.unknown_token()})
    assert answer.code == "BOT_TOKEN_INVALID", answer
    assert expect(ada.api.get("/instances"), 200)["items"] == []
    assert not suite.data(ada.id).exists()


def test_other_peoples_assistants(ada: Person, bob: Person, bot: Bot) -> None:
    instance = ada.provision(bot)["id"]
    assert expect(bob.api.get("/instances"), 200)["items"] == []
    for method, path, body in (("GET", "", None), ("PATCH", "", {"name": "x"}), ("DELETE", "", None),
                               ("POST", "/start", None), ("POST", "/stop", None), ("POST", "/restart", None)):
        expect(bob.api.call(method, f"/instances/{instance}{path}", body), 404, "NOT_FOUND")
    ada.wait(instance, "running")


# ---- idempotency and paging ----------------------------------------------------------------------

def test_the_same_key_creates_once(ada: Person, bot: Bot, telegram: Telegram) -> None:
    key, body = idempotency(), {"bot_token": bot.token, "name": "Once"}
    first = expect(ada.api.post("/instances", body, headers=key), 202)
    again = expect(ada.api.post("/instances", body, headers=key), 202)
    assert again == first
    expect(ada.api.post("/instances", {**body, "name": "Twice"}, headers=key), 409, "CONFLICT")
    assert len(expect(ada.api.get("/instances"), 200)["items"]) == 1
    expect(ada.api.post("/instances", {"bot_token": telegram.bot().token}, headers=idempotency()), 202)


def test_the_same_key_at_once_creates_once(ada: Person, bot: Bot) -> None:
    key, answers = idempotency(), []

    def create() -> None:
        answers.append(ada.api.post("/instances", {"bot_token": bot.token}, headers=key))

    threads = [threading.Thread(target=create) for _ in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert {a.status for a in answers} <= {202, 409} and any(a.status == 202 for a in answers)
    assert len({a.data["id"] for a in answers if a.status == 202}) == 1
    assert len(expect(ada.api.get("/instances"), 200)["items"]) == 1


def test_a_key_belongs_to_its_user(ada: Person, bob: Person, telegram: Telegram) -> None:
    key = idempotency()
    one = expect(ada.api.post("/instances", {"bot_token": telegram.bot().token}, headers=key), 202)
    two = expect(bob.api.post("/instances", {"bot_token": telegram.bot().token}, headers=key), 202)
    assert one["id"] != two["id"]


def test_a_repeated_action_acts_once(ada: Person, bot: Bot, suite: Suite) -> None:
    instance = ada.running(bot)["id"]
    key = idempotency()
    expect(ada.api.post(f"/instances/{instance}/restart", headers=key), 202)
    ada.wait(instance, "running")
    started = started_at(suite, instance)
    expect(ada.api.post(f"/instances/{instance}/restart", headers=key), 202)
    ada.wait(instance, "running")
    assert started_at(suite, instance) == started


def test_a_failure_may_be_tried_again_with_the_same_key(ada: Person, bot: Bot, telegram: Telegram) -> None:
    key = idempotency()
    telegram.fault(bot_id=bot.id, method="getMe", status=502, times=20)
    try:
        assert ada.api.post("/instances", {"bot_token": bot.token}, headers=key).status >= 500
    finally:
        telegram.no_faults()
    expect(ada.api.post("/instances", {"bot_token": bot.token}, headers=key), 202)


def test_paging(ada: Person, telegram: Telegram, api: Api) -> None:
    made = [ada.provision(telegram.bot(), name=f"n{i}")["id"] for i in range(3)]
    whole = expect(ada.api.get("/instances"), 200)
    assert [i["id"] for i in whole["items"]] == made[::-1] and whole["next_cursor"] is None

    pages, cursor = [], ""
    while True:
        page = expect(ada.api.get(f"/instances?limit=1{cursor}"), 200)
        pages += [i["id"] for i in page["items"]]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
        assert len(pages) < 5
    assert pages == made[::-1]
    first = expect(ada.api.get("/instances?limit=2"), 200)
    ada.remove(made[1])  # what goes in between does not move the rest
    rest = expect(ada.api.get(f"/instances?limit=2&cursor={first['next_cursor']}"), 200)
    assert [i["id"] for i in rest["items"]] == [made[0]]


def test_a_provider_key_of_ones_own(ada: Person, bot: Bot, suite: Suite) -> None:
    llm = suite.env["LLM_FAKE_URL"]
    instance = ada.running(bot, owner_telegram_id=OWNER, model="mine/model-1",
                           provider={"name": "mine", "api_key": "sk-my-own-key-42", "base_url": f"{llm}/v1"})["id"]
    bot.wait_polled()
    assert bot.says(bot.hears(OWNER, "with my key"), text="with my key")
    config = json.dumps(config_of(suite, ada, instance))
    assert "sk-my-own-key-42" in config and f"{llm}/v1" in config
    row = suite.sql("SELECT * FROM instances WHERE id = %s", instance)[0]
    assert "sk-my-own-key-42" not in str(row) and bot.token not in str(row)


# ---- things that go wrong in the container -------------------------------------------------------

def test_a_busy_port_is_passed_over(ada: Person, bot: Bot, telegram: Telegram) -> None:
    """The next port that would be taken is held by somebody else."""
    import socket
    first = ada.running(bot)["port"]
    held = []
    for port in range(first + 1, first + 4):
        s = socket.socket()
        try:
            s.bind(("127.0.0.1", port))
            s.listen()
        except OSError:
            pass
        held.append(s)
    try:
        seen = ada.running(telegram.bot())
        assert seen["port"] not in range(first + 1, first + 4)
    finally:
        for s in held:
            s.close()
