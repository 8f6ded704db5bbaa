"""The current flow run. Attributes are worked out when they are read; see `FIELDS`."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from penstock.base.clock import utc_now
from penstock.runtime.fields import current, environment_flow_run_id, field, read, type_cast
from penstock.settings import get_current_settings

if TYPE_CHECKING:
    id: str | None
    tags: list[str]
    scheduled_start_time: datetime
    name: str | None
    flow_name: str | None
    flow_version: str | None
    parameters: dict[str, Any]
    parent_flow_run_id: str | None
    parent_deployment_id: str | None
    root_flow_run_id: str | None
    run_count: int
    api_url: str | None
    ui_url: str | None
    job_variables: dict[str, Any] | None

__all__ = [
    "api_url",
    "flow_name",
    "flow_version",
    "id",
    "job_variables",
    "name",
    "parameters",
    "parent_deployment_id",
    "parent_flow_run_id",
    "root_flow_run_id",
    "run_count",
    "scheduled_start_time",
    "tags",
    "type_cast",
    "ui_url",
]


def __getattr__(name: str) -> Any:
    return field("flow_run", name, FIELDS)


def __dir__() -> list[str]:
    return sorted(__all__)


def get_id() -> str | None:
    """The id of the current flow run, or of the one this process was started for."""
    run = current()
    if run is not None and run.flow_run is not None:
        return str(run.flow_run.id)
    if run is not None and getattr(run.task_run, "flow_run_id", None) is not None:
        return str(run.task_run.flow_run_id)
    return environment_flow_run_id()


def get_tags() -> list[str]:
    run = _flow_run()
    return [] if run is None else list(run.tags)


def get_run_count() -> int:
    run = _flow_run()
    return 0 if run is None else run.run_count


def get_name() -> str | None:
    return getattr(_flow_run(), "name", None)


def get_flow_name() -> str | None:
    run = current()
    if run is not None and run.flow is not None:
        return run.flow.name
    flow_run = _flow_run()
    return None if flow_run is None else read("read_flow", str(flow_run.flow_id)).name


def get_flow_version() -> str | None:
    run = current()
    if run is not None and run.flow is not None:
        return run.flow.version
    return getattr(_flow_run(), "flow_version", None)


def get_scheduled_start_time() -> datetime:
    """When the run was to start; now, where there is no run."""
    return getattr(_flow_run(), "expected_start_time", None) or utc_now()


def get_parameters() -> dict[str, Any]:
    """The parameters of the flow: the live values in its process, else as they were stored."""
    run = current()
    context = run.flow_context if run is not None else None
    if context is not None:
        return context.parameters
    if run is not None and run.flow_run is not None and run.task_run is None:
        return run.parameters
    flow_run = _flow_run()
    return {} if flow_run is None else flow_run.parameters


def get_parent_flow_run_id() -> str | None:
    """The flow run that called this one as a subflow."""
    return _parent_of(_flow_run())


def get_parent_deployment_id() -> str | None:
    """The deployment of the flow run that called this one."""
    parent = get_parent_flow_run_id()
    if parent is None:
        return None
    deployment_id = read("read_flow_run", parent).deployment_id
    return None if deployment_id is None else str(deployment_id)


def get_root_flow_run_id() -> str | None:
    """The flow run at the top of the subflow calls; this one when nothing called it."""
    root = get_id()
    parent = get_parent_flow_run_id()
    while parent is not None:
        root = parent
        parent = _parent_of(read("read_flow_run", parent))
    return root


def get_flow_run_api_url() -> str | None:
    """Where the run is in the API; None without a configured API."""
    url, run_id = get_current_settings().api.url, get_id()
    return f"{str(url).rstrip('/')}/flow_runs/{run_id}" if url and run_id else None


def get_flow_run_ui_url() -> str | None:
    """Where the run is in the user interface; None without one."""
    url, run_id = get_current_settings().ui_url, get_id()
    return f"{str(url).rstrip('/')}/runs/flow-run/{run_id}" if url and run_id else None


def get_job_variables() -> dict[str, Any] | None:
    return getattr(_flow_run(), "job_variables", None)


def _flow_run() -> Any:
    run = current()
    if run is not None and run.flow_run is not None:
        return run.flow_run
    run_id = get_id()
    return None if run_id is None else read("read_flow_run", run_id)


def _parent_of(flow_run: Any) -> str | None:
    stub = getattr(flow_run, "parent_task_run_id", None)
    if stub is None:
        return None
    parent = read("read_task_run", str(stub)).flow_run_id
    return None if parent is None else str(parent)


FIELDS = {
    "id": get_id,
    "tags": get_tags,
    "scheduled_start_time": get_scheduled_start_time,
    "name": get_name,
    "flow_name": get_flow_name,
    "flow_version": get_flow_version,
    "parameters": get_parameters,
    "parent_flow_run_id": get_parent_flow_run_id,
    "parent_deployment_id": get_parent_deployment_id,
    "root_flow_run_id": get_root_flow_run_id,
    "run_count": get_run_count,
    "api_url": get_flow_run_api_url,
    "ui_url": get_flow_run_ui_url,
    "job_variables": get_job_variables,
}
