"""One server of OpenStack Swift, as Debian has it: swift_part.py FOLDER account|container|object|proxy. Its clock is
ahead by SKEW_S seconds."""

from __future__ import annotations

import os
import sys
import time

FOLDER, PART = sys.argv[1:]
SKEW_S = int(os.environ.get("SKEW_S") or 0)
if SKEW_S:
    real = time.time
    time.time = lambda: real() + SKEW_S  # type: ignore[assignment]  # before anything of Swift keeps the old one

from swift.common import storage_policy, utils  # pylint: disable=wrong-import-position,import-error  # noqa: E402
from swift.common.wsgi import run_wsgi  # pylint: disable=wrong-import-position,import-error  # noqa: E402

utils.SWIFT_CONF_FILE = f"{FOLDER}/swift.conf"
utils.validate_configuration()
storage_policy.reload_storage_policies()
sys.exit(run_wsgi(f"{FOLDER}/{PART}.conf", f"{PART}-server"))
