"""What the current flow run, task run and deployment are, as attributes of modules.

    from penstock.runtime import flow_run
    flow_run.name

An attribute is None (or empty) where there is no such run. The flow run of a process that was
started for one is read from the API before the flow begins.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.runtime import deployment, flow_run, task_run

__all__ = ["deployment", "flow_run", "task_run"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"penstock.runtime.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
