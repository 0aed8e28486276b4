"""Which settings there are, who is given which, and where their values come from.

Every setting in the environment wins, also as NAME_FILE. What a daemon is not told stays at the
default of the daemon's own table, so no default is repeated here. What a stack was started with is
kept, so that later commands and the supervisor start parts the same way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Mapping

from .errors import StackError
from .paths import write_private
from .ports import DEFAULTS as PORT_DEFAULTS

COMMON = ("NATS_URL", "TLS_CA_FILE", "BUS_KEY", "LOG_LEVEL", "BUS_WORKERS", "BUS_QUEUE_MAX")

# What each daemon is given, and nothing else: a secret it has no use for it never sees.
DAEMONS: dict[str, tuple[str, ...]] = {
    "realtime-fanout": COMMON + ("REDIS_URL", "EVENTS_NATS_URL"),
    "auth": COMMON + ("DATABASE_URL", "REDIS_URL", "JWT_SECRET", "JWT_SECRET_PREVIOUS",
                      "HASH_WORKERS", "HASH_QUEUE_MAX", "PUBLIC_URL", "SMTP_URL", "SMTP_TLS", "MAIL_FROM",
                      "MAIL_DIR", "MAIL_RETRY_S", "REAUTH_S", "ACCOUNT_DELETION_GRACE_S", "IDENTITY_KEY", "IDENTITY_KEY_PREVIOUS"),
    "instance-manager": COMMON + (
        "DATABASE_URL", "DOCKER_HOST", "DATA_DIR", "OPENCLAW_IMAGE", "ENCRYPTION_KEY",
        "TELEGRAM_API_URL", "OPENCLAW_TELEGRAM_API_URL", "DEFAULT_MODEL", "DEFAULT_PROVIDER_BASE_URL",
        "DEFAULT_PROVIDER_API_KEY", "DEFAULT_INPUT_PRICE_MICROS", "DEFAULT_OUTPUT_PRICE_MICROS",
        "PROVIDER_ALLOW_PRIVATE", "INSTANCES_FREE", "INSTANCES_PRO", "INSTANCE_PORT_MIN",
        "INSTANCE_PORT_MAX", "INSTANCE_STOP_GRACE_S", "INSTANCE_READY_TIMEOUT_S", "PROVISION_MAX",
        "INSTANCE_NETWORK", "INSTANCE_REACH", "LINK_WORKERS", "OWNER_LINK_S"),
    "storage-backup": COMMON + (
        "DATABASE_URL", "DATA_DIR", "ENCRYPTION_KEY", "STORAGE_URL", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY",
        "BACKUPS_AT_ONCE", "BACKUP_READERS", "BACKUP_FULL_HOURS", "BACKUP_INCREMENTAL_HOURS", "BACKUP_DRILL_HOURS",
        "BACKUP_DRILL_START", "STORAGE_MIRROR",
        "BACKUP_RETENTION_DAYS", "PLATFORM_DUMP_HOURS", "PLATFORM_DUMP_RETENTION_DAYS"),
    "gateway": COMMON + (
        "BIND_ADDRESS", "PORT", "WS_PORT", "METRICS_PORT", "METRICS_BIND", "REDIS_URL", "JWT_SECRET", "JWT_SECRET_PREVIOUS",
        "CORS_ORIGINS", "PUBLIC_URL", "TRUSTED_PROXIES", "RATE_API_PER_MIN", "RATE_AUTH_PER_MIN",
        "WS_PER_USER", "WS_PING_S", "HTTP_THREADS"),
}

SECRET = {"NATS_URL", "EVENTS_NATS_URL", "BUS_KEY", "DATABASE_URL", "REDIS_URL", "JWT_SECRET", "JWT_SECRET_PREVIOUS",
          "ENCRYPTION_KEY", "DEFAULT_PROVIDER_API_KEY", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY",
          "SMTP_URL", "IDENTITY_KEY", "IDENTITY_KEY_PREVIOUS"}

# A server of one's own instead of one that the stack starts; each role or bus user may have its own.
DATABASE_URLS = {"auth": "AUTH_DATABASE_URL", "instance-manager": "INSTANCE_MANAGER_DATABASE_URL",
                 "storage-backup": "STORAGE_BACKUP_DATABASE_URL"}
NATS_URLS = {name: f"{name.upper().replace('-', '_')}_NATS_URL" for name in DAEMONS}
SECRET |= set(DATABASE_URLS.values()) | set(NATS_URLS.values())

STACK = ("PUBLIC_BIND", "OPENCLAW_PULL_FROM", "FAKES")

NAMES: frozenset[str] = frozenset(
    {name for names in DAEMONS.values() for name in names} | set(DATABASE_URLS.values()) |
    set(NATS_URLS.values()) | set(STACK) | set(PORT_DEFAULTS))

# Goes to every daemon as it is: sanitizers, and the fault points of the tests.
PASSED_THROUGH = ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "TZ")


def is_passed_through(name: str) -> bool:
    """Variables that are no settings of the suite but meant for its processes."""
    return name in PASSED_THROUGH or name.startswith("ZAKI_")


class Settings:
    """The values that were given; computed ones are the business of the part they belong to."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.values: dict[str, str] = {}
        for name in NAMES:
            value = given.get(name, "")
            file = given.get(f"{name}_FILE", "")
            if value and file:
                raise StackError(f"{name} and {name}_FILE are both set", "unset one of them")
            if file:
                try:
                    value = Path(file).read_text().rstrip("\r\n")
                except OSError as e:
                    raise StackError(f"{name}_FILE: {e}") from e
            if value:
                self.values[name] = value
        self.passed = {k: v for k, v in given.items() if is_passed_through(k)}

    def get(self, name: str, default: str = "") -> str:
        """A setting's value, or the default; a name outside the table is a mistake in the code."""
        if name not in NAMES:
            raise KeyError(name)
        return self.values.get(name, default)

    def flag(self, name: str) -> bool:
        """1, yes, true, on."""
        return self.get(name).lower() in ("1", "yes", "true", "on")

    def ports(self) -> dict[str, int]:
        """Ports that a person named."""
        found = {}
        for name in PORT_DEFAULTS:
            text = self.get(name)
            if not text:
                continue
            if not text.isdigit() or not 0 < int(text) < 65536:
                raise StackError(f"{name} is '{text}', but a port is a number from 1 to 65535")
            found[name] = int(text)
        return found

    def save(self, path: Path, extra: dict[str, object]) -> None:
        """Keeps them for later commands. The file holds secrets, so nobody else may read it."""
        kept: dict[str, object] = {"values": self.values, "passed": self.passed, **extra}
        write_private(path, json.dumps(kept, indent=1, sort_keys=True))

    @classmethod
    def load(cls, path: Path) -> tuple["Settings", dict[str, object]] | None:
        """What save() kept: (settings, extra), or None where no stack was started."""
        try:
            kept = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        settings = cls({})
        settings.values = kept.pop("values")
        settings.passed = kept.pop("passed")
        return settings, kept
