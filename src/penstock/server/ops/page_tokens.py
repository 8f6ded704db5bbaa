"""Tokens that continue a list: opaque, signed, and bound to the place where the page ended.

A token is the base64 form of a signature followed by JSON. The key is made with the database
and kept in it, so that every server of one database takes the tokens of the others.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Any, TypeVar

import msgspec

from penstock.base import json
from penstock.schemas.errors import Forbidden, ServiceUnavailable
from penstock.server.store.transaction import Tx

T = TypeVar("T")

KEY = "page_token_key"
_SIGNATURE_BYTES = 32


def sign(tx: Tx, content: Any) -> str:
    """`content` (anything JSON can say) as a token."""
    document = json.encode(content)
    return base64.urlsafe_b64encode(_signature(tx, document) + document).decode().rstrip("=")


def open_token(tx: Tx, token: str, type: type[T]) -> T:
    """The content of a token this server's database signed. Refuses every other text (403)."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        signature, document = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if hmac.compare_digest(signature, _signature(tx, document)):
            return json.decode(document, type)
    except (binascii.Error, UnicodeEncodeError, ValueError, msgspec.MsgspecError):
        pass
    raise Forbidden("the page token is not one this server made; start again with the first page")


def _signature(tx: Tx, document: bytes) -> bytes:
    row = tx.one("configuration.get", key=KEY)
    if row is None:
        raise ServiceUnavailable(
            "the database lacks its key for page tokens; start the server once to migrate it"
        )
    return hmac.digest(row["value"].encode(), document, hashlib.sha256)
