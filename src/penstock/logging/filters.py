"""Secrets do not leave through a log."""

import logging
from typing import Any

from penstock.settings import Settings, get_current_settings, reveal

MASK = "********"
SHORTEST = 4
"""A shorter secret is not masked: it would tear ordinary words apart."""

_last: tuple[Settings, tuple[str, ...]] | None = None


def _secrets() -> tuple[str, ...]:
    global _last
    settings = get_current_settings()
    known = _last
    if known is not None and known[0] is settings:
        return known[1]
    found: set[str] = set()
    for secret in (settings.api.key, settings.api.auth_string, settings.server.api.auth_string):
        text = reveal(secret)
        if text and len(text) >= SHORTEST:
            found.add(text)
            _, _, password = text.partition(":")
            if len(password) >= SHORTEST:
                found.add(password)
    # The longest first, so that a secret inside another does not leave the rest of it readable.
    secrets = tuple(sorted(found, key=len, reverse=True))
    _last = (settings, secrets)
    return secrets


def masked(text: str) -> str:
    """`text` without the credentials that the settings hold. Costs nothing when there are none."""
    for secret in _secrets():
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def redact_substr(obj: Any, substr: str) -> Any:
    """`obj` with every occurrence of `substr` in its texts masked, through lists and mappings."""
    if isinstance(obj, str):
        return obj.replace(substr, MASK)
    if isinstance(obj, dict):
        return {key: redact_substr(value, substr) for key, value in obj.items()}
    if isinstance(obj, (list, tuple, set)):
        return type(obj)(redact_substr(value, substr) for value in obj)
    return obj


class ObfuscateApiKeyFilter(logging.Filter):
    """Masks credentials in the message of every record that passes; lets every record pass.

    For handlers of your own; those of this package mask what they write.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        for secret in _secrets():
            record.msg = redact_substr(record.msg, secret)
            if record.args:
                record.args = redact_substr(record.args, secret)
        return True
