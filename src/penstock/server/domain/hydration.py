"""Values that are written as templates in a request: `{"__prefect_kind": ..., ...}`.

A mapping with that member stands for the value it describes: kind `json` for the document in
`value`, kind `none` (or null) for `value` itself. Every other mapping and list is walked.
"""

from typing import Any

import msgspec

KIND = "__prefect_kind"


class HydrationError(ValueError):
    """A template that does not describe a value; the message names where and why."""


def hydrate(value: Any, path: str = "$") -> Any:
    """`value` with every template in it replaced. Raises `HydrationError`."""
    if isinstance(value, list):
        return [hydrate(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if KIND not in value:
        return {key: hydrate(item, f"{path}.{key}") for key, item in value.items()}
    kind = value[KIND]
    if kind is None or kind == "none":
        return hydrate(value.get("value"), path)
    if kind == "json":
        return _json(value.get("value"), path)
    raise HydrationError(f"{path}: values of kind {kind!r} cannot be given here; send the value")


def _json(text: Any, path: str) -> Any:
    if not isinstance(text, str):
        raise HydrationError(f"{path}: a value of kind 'json' needs its document as text")
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise HydrationError(f"{path}: {error}; send a valid JSON document") from None
