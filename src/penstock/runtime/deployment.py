"""The deployment of the current flow run. Attributes are worked out when they are read."""

from typing import TYPE_CHECKING, Any

from penstock.runtime import flow_run
from penstock.runtime.fields import current, field, read, type_cast

if TYPE_CHECKING:
    id: str | None
    name: str | None
    parameters: dict[str, Any]
    version: str | None
    flow_run_id: str | None

__all__ = ["flow_run_id", "id", "name", "parameters", "type_cast", "version"]


def __getattr__(name: str) -> Any:
    return field("deployment", name, FIELDS)


def __dir__() -> list[str]:
    return sorted(__all__)


def get_id() -> str | None:
    run = current()
    if run is not None and run.flow_run is not None:
        found = run.flow_run.deployment_id
    else:
        run_id = get_flow_run_id()
        found = None if run_id is None else read("read_flow_run", run_id).deployment_id
    return None if found is None else str(found)


def get_flow_run_id() -> str | None:
    return flow_run.get_id()


def get_name() -> str | None:
    return getattr(_deployment(), "name", None)


def get_parameters() -> dict[str, Any]:
    """The deployment's own parameters, before those of the run."""
    return getattr(_deployment(), "parameters", None) or {}


def get_version() -> str | None:
    return getattr(_deployment(), "version", None)


def _deployment() -> Any:
    deployment_id = get_id()
    return None if deployment_id is None else read("read_deployment", deployment_id)


FIELDS = {
    "id": get_id,
    "flow_run_id": get_flow_run_id,
    "name": get_name,
    "parameters": get_parameters,
    "version": get_version,
}
