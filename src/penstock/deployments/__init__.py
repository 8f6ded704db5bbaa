"""Deployments: a flow with where its code is, where it runs and when."""

from importlib import import_module
from typing import Any

# Loaded on first use: a worker that runs steps needs nothing of the rest.
_HOMES: dict[str, str] = {}

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
