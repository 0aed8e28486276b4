"""JSON Web Tokens written by hand, so that a test can get each part of one wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, unverified."""
    head, claims, _ = token.split(".")
    return json.loads(unb64(head)), json.loads(unb64(claims))


def sign(head: dict[str, Any], claims: dict[str, Any], secret: str, alg: str = "") -> str:
    """Signed as the header says, or by `alg` where the header lies."""
    text = b64(json.dumps(head).encode()) + "." + b64(json.dumps(claims).encode())
    hash_of = HASHES.get(alg or head.get("alg", ""))
    signature = hmac.digest(secret.encode(), text.encode(), hash_of) if hash_of else b""
    return f"{text}.{b64(signature)}"
