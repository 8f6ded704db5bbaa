"""Deployments: a flow with where its code is, where it runs and when."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.deployments.base import initialize_project
    from penstock.deployments.flow_runs import arun_deployment, run_deployment
    from penstock.deployments.runner import deploy

# Loaded on first use: a worker that runs steps needs nothing of the rest.
_HOMES: dict[str, str] = {
    "arun_deployment": "flow_runs",
    "deploy": "runner",
    "initialize_project": "base",
    "run_deployment": "flow_runs",
}

__all__ = ["arun_deployment", "deploy", "initialize_project", "run_deployment"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
