"""What must not be seen in events and audit rows, and how it is hidden.

A value under a key that names a secret is replaced, at any depth, by asterisks and a fingerprint:
the first eight hex digits of a keyed hash. Two equal secrets have equal fingerprints, so "changed
or not" stays visible; without the key the value cannot be guessed at.
"""

import hashlib
import hmac
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from penstock.base import json

REDACT_KEYS = (
    "*password*",
    "*secret*",
    "*token*",
    "*api_key*",
    "*apikey*",
    "*credential*",
    "*private_key*",
    "*authorization*",
)
HIDDEN = "********"


@lru_cache(maxsize=4096)
def names_secret(key: str, patterns: tuple[str, ...] = REDACT_KEYS) -> bool:
    """Whether a key of that name holds a secret; case and `-` against `_` do not matter."""
    plain = key.lower().replace("-", "_")
    return any(fnmatchcase(plain, pattern) for pattern in patterns)


def hidden(value: Any, key: bytes) -> dict[str, str]:
    """What stands in place of a secret value."""
    digest = hmac.new(key, json.encode(value), hashlib.sha256).hexdigest()
    return {"value": HIDDEN, "fingerprint": digest[:8]}


def redacted(
    value: Any, key: bytes, patterns: tuple[str, ...] = REDACT_KEYS, secret: Iterable[str] = ()
) -> Any:
    """`value`, plain JSON, without the secrets in it.

    `secret` names further keys of the outermost object that hold secrets. Null stays null: that
    there is no secret is not one.
    """
    if isinstance(value, dict):
        further = frozenset(secret)
        return {
            name: hidden(item, key)
            if item is not None and (name in further or names_secret(name, patterns))
            else redacted(item, key, patterns)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [redacted(item, key, patterns) for item in value]
    return value
