"""Penstock: flows and tasks in Python, scheduled, retried, observed and cleaned up after.

The public names are loaded when they are first used, so that importing the package costs next to
nothing and `from penstock import flow` only what declaring a flow needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.base.version import VERSION as __version__

if TYPE_CHECKING:
    from penstock.annotations import allow_failure, unmapped
    from penstock.client import get_client
    from penstock.context import tags
    from penstock.deployments.runner import adeploy, deploy
    from penstock.flow_runs import (
        apause_flow_run,
        aresume_flow_run,
        asuspend_flow_run,
        pause_flow_run,
        resume_flow_run,
        suspend_flow_run,
    )
    from penstock.flows import Flow, aserve, flow, serve
    from penstock.logging import get_run_logger
    from penstock.states import State
    from penstock.tasks import Task, task
    from penstock.transactions import Transaction

_HOMES = {
    "Flow": "flows",
    "State": "states",
    "Task": "tasks",
    "Transaction": "transactions",
    "allow_failure": "annotations",
    "adeploy": "deployments.runner",
    "apause_flow_run": "flow_runs",
    "aresume_flow_run": "flow_runs",
    "aserve": "flows",
    "asuspend_flow_run": "flow_runs",
    "deploy": "deployments.runner",
    "flow": "flows",
    "get_client": "client",
    "get_run_logger": "logging",
    "pause_flow_run": "flow_runs",
    "resume_flow_run": "flow_runs",
    "serve": "flows",
    "suspend_flow_run": "flow_runs",
    "tags": "context",
    "task": "tasks",
    "unmapped": "annotations",
}

__all__ = [
    "Flow",
    "State",
    "Task",
    "Transaction",
    "__version__",
    "adeploy",
    "allow_failure",
    "apause_flow_run",
    "aresume_flow_run",
    "aserve",
    "asuspend_flow_run",
    "deploy",
    "flow",
    "get_client",
    "get_run_logger",
    "pause_flow_run",
    "resume_flow_run",
    "serve",
    "suspend_flow_run",
    "tags",
    "task",
    "unmapped",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
