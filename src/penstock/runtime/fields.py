"""How an attribute of `penstock.runtime` gets its value: an override for tests, else the getter.

The override is the environment variable `PENSTOCK__RUNTIME__<GROUP>__<NAME>` (or with the peer's
prefix), read as the type of the real value.
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from penstock.base.dual import run_sync
from penstock.base.run_context import RunContext, current_run
from penstock.steps import Request

Getter = Callable[[], Any]


def _boolean(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "t", "yes", "on")


def _instant(text: str) -> datetime:
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


type_cast: dict[type, Callable[[str], Any]] = {
    bool: _boolean,
    int: int,
    float: float,
    str: str,
    datetime: _instant,
    list: json.loads,
    dict: json.loads,
    type(None): str,
}


def field(group: str, name: str, getters: Mapping[str, Getter]) -> Any:
    """The value of one attribute. Raises `AttributeError` for a name that is not one, and
    `ValueError` for an override that is not of the value's type."""
    getter = getters.get(name)
    if getter is None:
        raise AttributeError(f"penstock.runtime.{group} has no attribute {name!r}")
    override = _override(group, name)
    if override is None:
        return getter()
    value = getter()
    cast = type_cast.get(type(value))
    if cast is None:
        raise ValueError(
            f"penstock.runtime.{group}.{name} is a {type(value).__name__} and cannot be given by "
            "the environment; patch the attribute instead"
        )
    return cast(override)


def _override(group: str, name: str) -> str | None:
    suffix = f"__RUNTIME__{group}__{name}".upper()
    for prefix in ("PENSTOCK", "PREFECT"):
        value = os.environ.get(prefix + suffix)
        if value is not None:
            return value
    return None


def current() -> RunContext | None:
    """The current run, when there is one with a flow run or task run."""
    return current_run.get()


def environment_flow_run_id() -> str | None:
    """The flow run that this process was started for."""
    return os.environ.get("PENSTOCK__FLOW_RUN_ID") or os.environ.get("PREFECT__FLOW_RUN_ID")


@lru_cache(maxsize=64)
def read(operation: str, id: str) -> Any:
    """An object from the API; read once per process."""
    return run_sync(_read(operation, id))


def _read(operation: str, id: str) -> Any:
    return (yield Request(operation, id))
