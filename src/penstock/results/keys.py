"""Under which key a result is kept."""

from typing import TYPE_CHECKING
from uuid import uuid4

from penstock.base.lazy import LazyModule

if TYPE_CHECKING:
    from typing import Any

    from penstock import runtime
else:
    runtime = LazyModule("penstock.runtime")  # read only when a storage key is a template


def DEFAULT_STORAGE_KEY_FN() -> str:
    """A key that nobody has used."""
    return uuid4().hex


def format_storage_key(template: str, parameters: "dict[str, Any] | None" = None) -> str:
    """A storage key from a template over `parameters` and the modules of `penstock.runtime`."""
    if "{" not in template:
        return template
    if parameters is None:
        parameters = runtime.task_run.parameters
    return template.format(
        flow_run=runtime.flow_run,
        task_run=runtime.task_run,
        deployment=runtime.deployment,
        parameters=parameters,
    )
