"""Zaki's local stack: the servers and daemons that `make up` starts, usable as a library by tests."""

from .core import Stack
from .errors import StackError
from .paths import write_private
from .say import Say
from .scratch import temp_state_dir
from .wiring import PARTS, SERVERS

__all__ = ["PARTS", "SERVERS", "Say", "Stack", "StackError", "temp_state_dir", "write_private"]
