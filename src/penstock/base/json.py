"""JSON in and out, one encoder for the whole project.

Instants are written in UTC with a `Z`; UUIDs in canonical lower case. Decoding is by type where
a type is known, so that a wrong document is refused with the path of the wrong member.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import Raw

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """`value` as JSON. Raises `TypeError` for what JSON cannot say."""
    return _encoder.encode(value)


def text(value: Any) -> str:
    """`value` as JSON text."""
    return _encoder.encode(value).decode()


def decode(data: bytes | str | Raw, type: type[T] | Any = Any, *, strict: bool = True) -> Any:
    """The value that the JSON `data` holds, checked against `type`.

    Raises `msgspec.ValidationError` when it does not fit, `msgspec.DecodeError` when it is not
    JSON. With `strict=False`, text that spells a number or boolean is accepted as one.
    """
    return msgspec.json.decode(data, type=type, strict=strict)
