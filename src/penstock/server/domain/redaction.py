"""What must not be seen in events and audit rows, and how it is hidden.

A value under a key that names a secret is replaced, at any depth, by asterisks and a fingerprint:
the first eight hex digits of a keyed hash. Two equal secrets have equal fingerprints, so "changed
or not" stays visible; without the key the value cannot be guessed at. Credentials in URLs go
too, wherever a URL stands.
"""

import hashlib
import hmac
import re
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
_FORM = frozenset({"value", "fingerprint"})
# Greedy, because a password may hold another `@`.
_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://)[^\s/?#'\"<>]*@", re.IGNORECASE)
_JSON_MEMBER = re.compile(r'("([^"\\]{1,100})"\s{0,10}:\s{0,10})"((?:[^"\\]|\\.)*)"')


KEYS_REMEMBERED = 4_096


@lru_cache(maxsize=KEYS_REMEMBERED)
def names_secret(key: str, patterns: tuple[str, ...] = REDACT_KEYS) -> bool:
    """Whether a key of that name holds a secret; case and `-` against `_` do not matter."""
    plain = key.lower().replace("-", "_")
    return any(fnmatchcase(plain, pattern) for pattern in patterns)


def without_credentials(text: str) -> str:
    """`text` without the user information of the URLs in it."""
    return _USER_INFO.sub(rf"\1{HIDDEN}@", text) if "://" in text and "@" in text else text


def hidden(value: Any, key: bytes) -> Any:
    """What stands in place of a secret value; what stands there already stays."""
    if isinstance(value, dict) and value.get("value") == HIDDEN and value.keys() == _FORM:
        return value
    return {"value": HIDDEN, "fingerprint": _fingerprint(value, key)}


def _fingerprint(value: Any, key: bytes) -> str:
    return hmac.digest(key, json.encode(value), hashlib.sha256).hex()[:8]


class _Names(dict[str, bool]):
    """Which keys name secrets, remembered: most keys come again and again."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        super().__init__()
        self._patterns = patterns

    def __missing__(self, key: str) -> bool:
        if len(self) >= KEYS_REMEMBERED:
            self.clear()
        found = self[key] = names_secret(key, self._patterns)
        return found


_names_of = lru_cache(maxsize=16)(_Names)


def redacted(
    value: Any, key: bytes, patterns: tuple[str, ...] = REDACT_KEYS, secret: Iterable[str] = ()
) -> Any:
    """`value`, plain JSON, without the secrets in it.

    `secret` names further keys of the outermost object that hold secrets. Null stays null: that
    there is no secret is not one.
    """
    names = _names_of(patterns)
    further = frozenset(secret)
    if further and type(value) is dict:
        value = {
            name: hidden(item, key) if item is not None and name in further else item
            for name, item in value.items()
        }
    return _redacted(value, key, names)


def _redacted(value: Any, key: bytes, names: _Names) -> Any:
    # Every change passes here with all of its object, so nothing is called without need.
    kind = type(value)
    if kind is str:
        return _text(value, key, names) if ":" in value else value
    if kind is list:
        return [_redacted(item, key, names) for item in value]
    if kind is not dict:
        return value
    result: dict[str, Any] = {}
    for name, item in value.items():
        if item is None:
            result[name] = None
        elif names[name]:
            result[name] = hidden(item, key)
        else:
            kind = type(item)
            if (kind is str and ":" in item) or kind is dict or kind is list:
                item = _redacted(item, key, names)
            result[name] = item
    return result


def _text(text: str, key: bytes, names: _Names) -> str:
    """A text without the secrets that its own form gives away: in URLs and in JSON.

    JSON in a text may be a template, so it is not read as a whole.
    """
    if "://" in text and "@" in text:
        text = _USER_INFO.sub(
            lambda found: f"{found[1]}{HIDDEN}:{_fingerprint(found[0], key)}@", text
        )
    if '"' in text and ":" in text:
        text = _JSON_MEMBER.sub(
            lambda found: (
                f'{found[1]}"{HIDDEN} {_fingerprint(found[3], key)}"'
                if names[found[2]]
                else found[0]
            ),
            text,
        )
    return text


def shown(value: Any, patterns: tuple[str, ...] = REDACT_KEYS) -> Any:
    """`value`, plain JSON of a client, without the secrets in it; itself when there are none.

    Texts and all that is below a secret's name become asterisks. Numbers and flags stay: more of
    them count tokens than are secrets. Every event that comes in passes here, so it only looks.
    """
    return _shown(value, _names_of(patterns))


def _shown(value: Any, names: _Names) -> Any:
    kind = type(value)
    if kind is str:
        return without_credentials(value)
    if kind is list:
        told = [_shown(item, names) for item in value]
        same = all(one is other for one, other in zip(told, value, strict=True))
        return value if same else told
    if kind is not dict:
        return value
    changed: dict[str, Any] = {}
    for name, item in value.items():
        kind = type(item)
        if kind is str:
            if names[name]:
                changed[name] = HIDDEN
            elif "://" in item and "@" in item and (told := without_credentials(item)) != item:
                changed[name] = told
        elif (kind is dict or kind is list) and item:
            told = HIDDEN if names[name] else _shown(item, names)
            if told is not item:
                changed[name] = told
    return {**value, **changed} if changed else value
