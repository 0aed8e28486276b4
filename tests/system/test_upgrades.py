"""Another OPENCLAW_IMAGE: `zakictl instances` lists and upgrades; what does not become ready is put back
with its files as they were; never are there two containers of one assistant."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Iterator

import pytest

from zaki.api import expect
from zaki.patience import wait_until
from zaki.people import Person
from zaki.suite import Suite
from zaki.telegram import Bot, Telegram
from zaki.upgrades import Events, image_of, next_image, tree, want, zakictl

pytestmark = [pytest.mark.disturbs,
              pytest.mark.skipif(os.geteuid() != 0, reason="the assistants' files belong to another user")]

STEPS = ("backup", "stop", "keep", "try", "remove", "create", "start", "clear", "done")


@pytest.fixture(scope="module", name="suite")
def _own_suite() -> Iterator[Suite]:
    """Not the one of all tests: `--all` means everybody's assistants."""
    own = Suite()
    try:
        yield own.up()
    finally:
        wrong = own.destroy()
    assert not wrong, "\n".join(wrong)


@pytest.fixture(autouse=True)
def _as_it_was(suite: Suite, ada: Person) -> Iterator[None]:
    yield
    suite.stack.restart_part("instance-manager")
    for mine in expect(ada.api.get("/instances"), 200)["items"]:
        expect(ada.api.delete(f"/instances/{mine['id']}"), 202)


def old_state(folder: Path) -> None:
    """What a version from before left."""
    kept = {"workspace/notes/a.md": b"# a\n", ".openclaw/state.json": b'{"version": 1, "much": "more"}\n',
            ".openclaw/agents/main.sqlite": bytes(range(256)) * 512}
    for name, data in kept.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.chown(path, 1000, 1000)
        os.chown(path.parent, 1000, 1000)
    (folder / "workspace" / "link").symlink_to("notes/a.md")
    os.link(folder / "workspace/notes/a.md", folder / "workspace/notes/b.md")
    os.chmod(folder / "workspace/notes/a.md", 0o640)


def leftovers(suite: Suite, person: Person) -> list[str]:
    return [p.name for p in suite.data(person.id).iterdir() if p.name.startswith(".")]


def kinds(person: Person, instance: str) -> list[str]:
    items = expect(person.api.get(f"/instances/{instance}/activity"), 200)["items"]
    return [i["kind"] for i in items]


def test_upgraded(suite: Suite, ada: Person, bot: Bot, telegram: Telegram) -> None:
    """Nothing happens by itself; then it has the new image and its own files, and the bot answers."""
    instance, idle = ada.running(bot, owner_telegram_id=7)["id"], ada.running(telegram.bot())["id"]
    ada.act(idle, "stop", "stopped")
    old, new = image_of(suite, instance), next_image("ok")
    old_state(suite.data(ada.id, instance))
    before = tree(suite.data(ada.id, instance, "workspace"))
    want(suite, new)
    seen = ada.instance(instance)["observed_at"]
    wait_until(lambda: ada.instance(instance)["observed_at"] not in (seen, None), 30, "it is looked at")
    assert image_of(suite, instance) == old and ada.instance(instance)["status"] == "running"
    (line,) = [text for text in zakictl(suite, "list").stdout.splitlines() if text.startswith(instance)]
    assert line.split()[1:3] == ["running", "ok"] and line.split()[4:6] == [old, new], line

    with Events(suite, instance) as events:
        done = zakictl(suite, "upgrade", instance)
    assert done.returncode == 0, done
    steps = [text.strip() for text in done.stdout.splitlines()[1:]]
    assert done.stdout.startswith(f"{instance}  {old} -> {new}\n") and steps[-1] == "done", done
    # It asks again and again: a step may pass unseen, never out of its turn.
    assert len(steps) > 1 and steps == [step for step in STEPS if step in steps], done
    assert events.most == 1 and "start" in events.seen, events.seen
    assert image_of(suite, instance) == new and ada.instance(instance)["status"] == "running"
    assert tree(suite.data(ada.id, instance, "workspace")) == before and not leftovers(suite, ada)
    assert suite.data(ada.id, instance, ".openclaw", "state.json").read_bytes() == b'{"version": 2}\n'
    backups = expect(ada.api.get(f"/instances/{instance}/backups"), 200)["items"]
    assert [b["kind"] for b in backups] == ["checkpoint"] and backups[0]["status"] == "done"
    (new_one,) = suite.containers(instance)
    made = suite.engine.json("GET", f"/containers/{new_one['Id']}/json")["Created"]
    assert backups[0]["finished_at"][:23] < made[:23], "first the backup"
    assert {"upgrade", "upgraded"} <= set(kinds(ada, instance))
    bot.wait_polled()
    assert bot.says(bot.hears(7, "still there?"), text="still there?")

    again = zakictl(suite, "upgrade", instance)
    assert (again.returncode, again.stdout) == (0, f"{instance} has {new} already\n")

    # The one that is stopped is not started for it, and has the new image when it is.
    with Events(suite, idle) as events:
        assert zakictl(suite, "upgrade", "--all").returncode == 0
    assert "start" not in events.seen and ada.instance(idle)["status"] == "stopped"
    ada.act(idle, "start", "running")
    assert image_of(suite, idle) == new


def test_put_back(suite: Suite, ada: Person, bot: Bot, telegram: Telegram) -> None:
    """One that never becomes ready: the old one runs again, on the files from before, to the byte."""
    other, instance = ada.running(telegram.bot())["id"], ada.running(bot, owner_telegram_id=7)["id"]
    old, hang = image_of(suite, instance), next_image("hang")
    old_state(suite.data(ada.id, instance))
    before = tree(suite.data(ada.id, instance))
    want(suite, hang, INSTANCE_READY_TIMEOUT_S="2")
    refused: list[int] = []

    def person_asks() -> None:
        wait_until(lambda: ada.instance(instance)["status_cause"] == "upgrading", 60)
        refused.append(ada.api.post(f"/instances/{instance}/stop").status)
        refused.append(ada.api.call("PUT", f"/instances/{instance}/memory/lost.md", {"content": "x"}).status)

    asking = threading.Thread(target=person_asks)
    with Events(suite, instance) as events:
        asking.start()
        done = zakictl(suite, "upgrade", "--all")  # the newest first, and no further than the first that fails
        asking.join()
    assert done.stdout.count(" -> ") == 1
    assert done.returncode == 1 and f"not_ready: It did not get ready with {hang}" in done.stderr, done
    assert refused == [409, 409]
    assert events.most == 1, events.seen
    assert image_of(suite, instance) == old and ada.instance(instance)["status"] == "running"
    assert tree(suite.data(ada.id, instance)) == before and not leftovers(suite, ada)
    assert "upgrade_failed" in kinds(ada, instance)
    bot.wait_polled()
    assert bot.says(bot.hears(7, "still me?"), text="still me?")

    # Told to go on it does; one that is stopped has nothing to fail with.
    ada.act(other, "stop", "stopped")
    want(suite, next_image("exit"))
    every = zakictl(suite, "upgrade", "--all", "--keep-going")
    assert every.returncode == 1 and "1 upgraded, 1 failed" in every.stdout and "crashed" in every.stderr, every
    assert image_of(suite, instance) == old and ada.instance(other)["status"] == "stopped"
    state = suite.data(ada.id, instance, ".openclaw", "state.json").read_bytes()
    assert state == before[".openclaw/state.json"][3] and not leftovers(suite, ada)


def test_refused(suite: Suite, ada: Person, bot: Bot) -> None:
    """What lacks something is not begun, and says why."""
    instance = ada.running(bot)["id"]
    want(suite, "zaki/no-such-image:1")
    done = zakictl(suite, "upgrade", instance)
    assert done.returncode == 1 and "is not on this server" in done.stderr, done
    want(suite, next_image("ok"))
    with suite.without("storage-backup"):
        done = zakictl(suite, "upgrade", instance)
    assert done.returncode == 1 and "storage-backup does not answer" in done.stderr, done
    unknown = zakictl(suite, "upgrade", "00000000-0000-4000-8000-000000000000")
    assert unknown.returncode == 1 and "no assistant has the id" in unknown.stderr, unknown
    assert zakictl(suite, "upgrade", "nonsense").returncode == 2
    assert ada.instance(instance)["status"] == "running" and not leftovers(suite, ada)
