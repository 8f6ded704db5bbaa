"""Cutting secrets out of what is echoed back or logged."""

import re
from typing import Any

from penstock.server.domain.redaction import HIDDEN, without_credentials

MASK = HIDDEN
_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|api[_-]?key|auth(orization|[_-]string)?$|credential"
    r"|private[_-]?key|connection[_-]?(string|url)|cookie",
    re.IGNORECASE,
)
MAXIMUM_DEPTH = 20
MAXIMUM_ITEMS = 100
MAXIMUM_TEXT = 2_000


def is_secret_name(name: str) -> bool:
    """Whether a member of this name holds what must not be shown."""
    return _SECRET_KEY.search(name) is not None


def echo(value: Any, depth: int = 0) -> Any:
    """A copy of a JSON value that is safe and small enough to send back in an error.

    Members with a secret's name are masked, credentials in URLs are cut, long texts, long lists
    and deep parts are shortened.
    """
    if depth >= MAXIMUM_DEPTH:
        return "..."
    if isinstance(value, dict):
        return {
            key: MASK
            if isinstance(key, str) and is_secret_name(key) and item is not None
            else echo(item, depth + 1)
            for key, item in list(value.items())[:MAXIMUM_ITEMS]
        }
    if isinstance(value, list):
        return [echo(item, depth + 1) for item in value[:MAXIMUM_ITEMS]]
    if isinstance(value, str):
        shown = value if len(value) <= MAXIMUM_TEXT else value[:MAXIMUM_TEXT] + "..."
        return without_credentials(shown)
    return value


def masked(document: Any) -> Any:
    """A copy of a settings document in which every secret member reads as the mask."""
    if isinstance(document, dict):
        return {
            key: MASK
            if is_secret_name(key) and item is not None and not isinstance(item, (dict, bool))
            else masked(item)
            for key, item in document.items()
        }
    if isinstance(document, list):
        return [masked(item) for item in document]
    if isinstance(document, str):
        return without_credentials(document)
    return document
