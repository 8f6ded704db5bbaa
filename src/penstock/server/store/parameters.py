"""Python values as statement parameters.

Text never holds NUL in the database: PostgreSQL refuses it, so it becomes U+FFFD for both.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct, to_builtins

from penstock.base.json import text as json_text
from penstock.server.store.columns import microseconds

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# An escaped NUL in JSON text: the backslash before `u0000` must itself not be escaped.
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

_PLAIN = frozenset({type(None), bool, int, float, bytes})


def _text(value: str) -> str:
    return value.replace("\0", _REPLACEMENT) if "\0" in value else value


def _document(value: str) -> str:
    if "\\u0000" in value:
        return _ESCAPED_NUL.sub(lambda found: found[1] + _REPLACEMENT, value)
    return value


_ADAPTERS: dict[type, Callable[[Any], Any]] = {
    datetime: microseconds,
    timedelta: timedelta.total_seconds,
    UUID: to_builtins,  # the text, in a fraction of the time of `str`
    Raw: lambda value: _document(bytes(value).decode()),
}


def _adapter(kind: type) -> Callable[[Any], Any]:
    """The adapter for a type met for the first time; remembered for the next time."""
    found: Callable[[Any], Any] | None = None
    if issubclass(kind, Enum):
        found = _member
    elif issubclass(kind, (Struct, dict, list, tuple)):
        found = _encoded
    else:
        for base, adapter in _ADAPTERS.items():
            if issubclass(kind, base):
                found = adapter
                break
    if found is None and issubclass(kind, str):
        found = _plain_text
    if found is None:
        raise TypeError(f"a {kind.__name__} cannot be a statement parameter; pass text or JSON")
    _ADAPTERS[kind] = found
    return found


def _member(value: Enum) -> Any:
    return adapt(value._value_)  # `value` runs Python code, this does not


def _encoded(value: Any) -> str:
    return _document(json_text(value))


def _plain_text(value: str) -> str:
    return _text(str(value))


def adapt(value: Any) -> Any:
    """`value` as a driver takes it. Raises `TypeError` for a type that no column can hold."""
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind in _PLAIN:
        return value
    return (_ADAPTERS.get(kind) or _adapter(kind))(value)


def values(names: Sequence[str], params: Mapping[str, Any]) -> list[Any]:
    """The parameters of a statement in its order. Raises `KeyError` for a missing one."""
    result = []
    for name in names:
        value = params[name]
        kind = type(value)
        if kind is str:
            if "\0" in value:
                value = _text(value)
        elif kind not in _PLAIN:
            value = (_ADAPTERS.get(kind) or _adapter(kind))(value)
        result.append(value)
    return result
