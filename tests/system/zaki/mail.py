"""Mails as a person gets them: files in the stack's mail folder, or at the fake mail server."""

from __future__ import annotations

import sys
from pathlib import Path

from .patience import PATIENCE_S, wait_until
from .suite import PROJECT, Suite

sys.path.insert(0, str(PROJECT / "tests" / "fakes"))

# pylint: disable=wrong-import-position
from smtp import Mail, Smtp  # noqa: E402

__all__ = ["Mail", "Smtp", "mail_files", "mails_to", "wait_mail"]


def mail_files(suite: Suite) -> list[Path]:
    return sorted((suite.stack.paths.state / "mail").glob("*.eml"), key=lambda p: p.stat().st_mtime_ns)


def mails_to(suite: Suite, address: str, subject: str = "") -> list[Mail]:
    """In the order in which they were written."""
    found = [Mail("", [address], p.read_bytes()) for p in mail_files(suite)]
    return [m for m in found if address in str(m.message["To"]) and subject in m.message["Subject"]]


def wait_mail(suite: Suite, address: str, subject: str, count: int = 1, timeout: float = PATIENCE_S) -> Mail:
    """The count-th mail to this address with this in its subject."""
    wait_until(lambda: len(mails_to(suite, address, subject)) >= count, timeout,
               f"{count} mails '{subject}' to {address}")
    return mails_to(suite, address, subject)[count - 1]
