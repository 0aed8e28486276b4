"""A client that does not give up: what a person (or their browser) does while parts come and go."""

from __future__ import annotations

import http.client
import threading
import time
from typing import Any, Callable, Mapping

from stack.errors import StackError

from .api import Answer, Api
from .suite import Suite


class Stubborn:
    """Repeats a request until it is answered for good. 503 and 504 mean "again"; any other 5xx is a
    failure, since nothing may be answered INTERNAL_ERROR only because a part is away."""

    def __init__(self, api: Api, seconds: float = 60.0) -> None:
        self.api = api
        self.seconds = seconds
        self.seen: list[tuple[str, int, str]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None,
             good: tuple[int, ...] = (200, 201, 202)) -> Answer:
        deadline = time.monotonic() + self.seconds
        while True:
            answer = self._once(method, path, body, headers)
            if answer:
                self.seen.append((answer.request, answer.status, answer.code if answer.status >= 400 else ""))
                if answer.status in good:
                    return answer
                again = answer.status in (503, 504) or (answer.status == 409 and answer.headers.get("Retry-After"))
                assert again, str(answer)
            assert time.monotonic() < deadline, f"{method} {path}: no good answer; seen {self.seen[-10:]}"
            self.meanwhile()
            time.sleep(0.05)

    def _once(self, method: str, path: str, body: Any, headers: Mapping[str, str] | None) -> Answer | None:
        try:
            return self.api.call(method, path, body, headers=headers)
        except (OSError, http.client.HTTPException):
            return None

    def until(self, path: str, true: Callable[[Answer], Any], what: str, good: tuple[int, ...] = (200, 404)) -> Answer:
        deadline = time.monotonic() + self.seconds
        while True:
            answer = self.call("GET", path, good=good)
            if true(answer):
                return answer
            assert time.monotonic() < deadline, f"{what}: {answer}"
            time.sleep(0.03)


class Reviver:
    """Starts a daemon again as soon as it is gone, without the supervisor's growing pauses."""

    def __init__(self, suite: Suite, *names: str, while_dead: Callable[[], None] = lambda: None,
                 env: Mapping[str, str] | None = None) -> None:
        self.suite = suite
        self.env = env  # what it is started with again
        self.names = names
        self.while_dead = while_dead
        self.starts = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._end.wait(0.02):
            for name in self.names:
                if self.suite.stack.pid(name) is None:
                    try:
                        self.while_dead()
                        self.suite.stack.start_part(name, self.env)
                        self.starts += 1
                    except StackError:
                        pass  # it needs what is away; again

    def __enter__(self) -> "Reviver":
        self._thread.start()
        return self

    def __exit__(self, *rest: object) -> None:
        self._end.set()
        self._thread.join(60)
