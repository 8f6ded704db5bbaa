"""Encryption of what the database must not show in the clear.

AES-256-GCM. A sealed text is `1.<key id>.<nonce and ciphertext>`; it opens only with its key and
only for the object it was sealed for, so that it cannot be moved from one row to another.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from penstock.schemas.errors import ObjectConflict, SettingsError

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = "1"


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


def as_text(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


def keys_of(text: str) -> tuple[bytes, ...]:
    """The keys of a setting: base64 of 32 bytes each, separated by commas.

    The first one seals, all of them open. Raises `SettingsError`, which does not show the text.
    """
    return tuple(_key(part.strip()) for part in text.split(",") if part.strip())


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError(
            "PENSTOCK_API_ENCRYPTION_KEY holds no key: write base64 of 32 random bytes, several "
            "of them separated by commas, for instance from `openssl rand -base64 32`"
        )
    return key


@lru_cache(maxsize=64)
def key_id(key: bytes) -> str:
    """Eight hexadecimal digits that tell keys apart and nothing about them."""
    return hashlib.sha256(b"penstock key id" + key).hexdigest()[:8]


@lru_cache(maxsize=64)
def _cipher(key: bytes) -> Any:
    # Loads a native library of several megabytes; servers without blocks do without it.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


class Keyring:
    """Keys that open, the first of which seals."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._keys = {key_id(key): key for key in keys}

    def seal(self, data: bytes, owner: str) -> str:
        """`data` for the object with the id `owner`. Costs microseconds."""
        name, key = next(iter(self._keys.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + _cipher(key).encrypt(nonce, data, owner.encode())
        return f"{_VERSION}.{name}.{base64.b64encode(sealed).decode()}"

    def open(self, text: str, owner: str) -> bytes:
        """What was sealed for `owner`. Raises `ObjectConflict` for another key or another text."""
        from cryptography.exceptions import InvalidTag

        _, name, body = text.split(".")
        key = self._keys.get(name)
        if key is None:
            raise ObjectConflict(
                f"block document {owner} is encrypted with the key {name}, which this server "
                "does not have; add that key to PENSTOCK_API_ENCRYPTION_KEY"
            )
        sealed = base64.b64decode(body)
        try:
            return _cipher(key).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode()
            )
        except InvalidTag:
            raise ObjectConflict(
                f"the data of block document {owner} was changed outside of the server and "
                "cannot be read; restore it from a backup or save it again"
            ) from None
