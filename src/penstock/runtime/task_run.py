"""The current task run. Attributes are worked out when they are read; see `FIELDS`."""

from typing import TYPE_CHECKING, Any

from penstock.runtime.fields import current, field, type_cast
from penstock.settings import get_current_settings

if TYPE_CHECKING:
    id: str | None
    tags: list[str]
    name: str | None
    parameters: dict[str, Any]
    run_count: int
    task_name: str | None
    api_url: str | None
    ui_url: str | None

__all__ = [
    "api_url",
    "id",
    "name",
    "parameters",
    "run_count",
    "tags",
    "task_name",
    "type_cast",
    "ui_url",
]


def __getattr__(name: str) -> Any:
    return field("task_run", name, FIELDS)


def __dir__() -> list[str]:
    return sorted(__all__)


def get_id() -> str | None:
    run = _task_run()
    return None if run is None else str(run.id)


def get_tags() -> list[str]:
    run = _task_run()
    return [] if run is None else list(run.tags)


def get_run_count() -> int:
    run = _task_run()
    return 0 if run is None else run.run_count


def get_name() -> str | None:
    return getattr(_task_run(), "name", None)


def get_task_name() -> str | None:
    run = current()
    return getattr(run.task, "name", None) if run is not None else None


def get_parameters() -> dict[str, Any]:
    """The arguments of the task, as it got them."""
    run = current()
    return run.parameters if run is not None and run.task_run is not None else {}


def get_task_run_api_url() -> str | None:
    """Where the run is in the API; None without a configured API."""
    url, run_id = get_current_settings().api.url, get_id()
    return f"{str(url).rstrip('/')}/task_runs/{run_id}" if url and run_id else None


def get_task_run_ui_url() -> str | None:
    """Where the run is in the user interface; None without one."""
    url, run_id = get_current_settings().ui_url, get_id()
    return f"{str(url).rstrip('/')}/runs/task-run/{run_id}" if url and run_id else None


def _task_run() -> Any:
    run = current()
    return None if run is None else run.task_run


FIELDS = {
    "id": get_id,
    "tags": get_tags,
    "name": get_name,
    "parameters": get_parameters,
    "run_count": get_run_count,
    "task_name": get_task_name,
    "api_url": get_task_run_api_url,
    "ui_url": get_task_run_ui_url,
}
