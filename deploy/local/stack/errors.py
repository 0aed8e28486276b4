"""The one exception that people see: what is wrong and what to do about it."""

from __future__ import annotations


class StackError(Exception):
    """A failure with a sentence for people; `hint` says what they can do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def text(self) -> str:
        """Message and hint as they are printed."""
        return f"{self}\n  {self.hint}" if self.hint else str(self)
