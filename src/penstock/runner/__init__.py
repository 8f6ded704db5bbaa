"""Runs of flows in processes of their own: starting, watching and stopping them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.runner.runner import Runner

__all__ = ["Runner"]


def __getattr__(name: str) -> Any:
    if name == "Runner":
        return import_module("penstock.runner.runner").Runner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
