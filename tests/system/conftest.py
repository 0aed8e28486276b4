"""One suite for all tests of this folder; each test has people, bots and assistants of its own."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Iterator

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from zaki.api import Api  # noqa: E402
from zaki.patience import wait_until  # noqa: E402
from zaki.people import Person  # noqa: E402
from zaki.suite import DAEMONS, SERVERS, Suite  # noqa: E402
from zaki.telegram import Bot, Telegram  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "core: also run with the ThreadSanitizer build")
    config.addinivalue_line("markers", "disturbs: stops or kills parts of the suite")


@pytest.fixture(scope="session")
def suite() -> Iterator[Suite]:
    """The running suite. At the end nothing of it may be left, and no sanitizer may have complained."""
    s = Suite()
    try:
        s.up()
        person = Person.new(s.api)
        s.quiet = (time.monotonic(), s.socket(person.access_token))
    except BaseException as e:
        s.destroy()
        pytest.exit(f"the suite did not start: {e}", returncode=3)
    try:
        yield s
    finally:
        wrong = s.destroy()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def api(suite: Suite) -> Api:
    return suite.api


@pytest.fixture
def telegram(suite: Suite) -> Telegram:
    return suite.telegram


@pytest.fixture
def ada(suite: Suite) -> Person:
    return Person.new(suite.api)


@pytest.fixture
def bob(suite: Suite) -> Person:
    return Person.new(suite.api, "Bob")


@pytest.fixture
def bot(telegram: Telegram) -> Bot:
    return telegram.bot()


def all_is_well(api: Api) -> bool:
    """The bus is there and /health names nothing that is down."""
    answer = api.get("/health")
    return answer.status == 200 and b'"down"' not in answer.body


@pytest.fixture(autouse=True)
def _whole(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test every part runs again and no daemon has crashed: the next test starts from the
    same ground. Only tests that say so may make a daemon end."""
    if "suite" not in request.fixturenames:
        yield
        return
    s: Suite = request.getfixturevalue("suite")
    before = s.pids()
    yield
    if request.node.get_closest_marker("disturbs"):
        for part in (*SERVERS, *DAEMONS, "supervisor"):
            s.stack.start_part(part)
        wait_until(lambda: all_is_well(s.api), 30, "all is well again")
        return
    after = s.pids()
    if after != before:
        s.up()
        pytest.fail(f"a daemon ended during the test: {before} → {after}\n" + "\n".join(s.reports()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What disturbs the suite comes last: a part that does not recover spoils no other test."""
    items.sort(key=lambda item: item.get_closest_marker("disturbs") is not None)
