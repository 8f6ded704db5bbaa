"""What else an event concerns: the run in which it was emitted."""

from collections.abc import Collection, Iterable
from typing import Any

from penstock.base.run_context import RunContext, current_run
from penstock.events.schemas.events import RelatedResource
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE

_KINDS = ("flow-run", "task-run", "flow", "deployment", "work-queue", "work-pool")


def object_as_related_resource(kind: str, role: str, object: Any) -> RelatedResource:
    """An object with an `id`, and perhaps a `name`, as a related resource."""
    return _related(kind, role, object.id, getattr(object, "name", None))


def tags_as_related_resources(tags: Iterable[str]) -> list[RelatedResource]:
    return [
        RelatedResource({RESOURCE_ID: f"prefect.tag.{tag}", RESOURCE_ROLE: "tag"})
        for tag in sorted(set(tags))
    ]


def related_resources_of(
    run: RunContext | None, exclude: Collection[str] = ()
) -> list[RelatedResource]:
    """The resources around `run`, in the order of the contract: flow run, task run, flow,
    deployment, work queue, work pool, tags. Those whose id is in `exclude` are left out.

    Needs no request: what the run context does not know is not named.
    """
    if run is None:
        return []
    found = [
        _related(kind, kind, identifier, name)
        for kind in _KINDS
        for identifier, name in (_known(run, kind),)
        if identifier is not None
    ]
    found.extend(tags_as_related_resources(_tags(run)))
    return [resource for resource in found if resource.id not in exclude]


async def related_resources_from_run_context(
    client: Any = None, exclude: Collection[str] | None = None
) -> list[RelatedResource]:
    """The resources around the calling code's run. `client` is accepted and not needed."""
    return related_resources_of(current_run.get(), exclude or ())


def _related(kind: str, role: str, identifier: Any, name: str | None) -> RelatedResource:
    labels = {RESOURCE_ID: f"prefect.{kind}.{identifier}", RESOURCE_ROLE: role}
    if name:
        labels[RESOURCE_NAME] = name
    return RelatedResource(labels)


def _known(run: RunContext, kind: str) -> tuple[Any, str | None]:
    flow_run, task_run = run.flow_run, run.task_run
    if kind == "flow-run":
        return getattr(flow_run, "id", None), getattr(flow_run, "name", None)
    if kind == "task-run":
        return getattr(task_run, "id", None), getattr(task_run, "name", None)
    if kind == "flow":
        return getattr(flow_run, "flow_id", None), getattr(run.flow, "name", None)
    field = kind.replace("-", "_")
    return getattr(flow_run, f"{field}_id", None), getattr(flow_run, f"{field}_name", None)


def _tags(run: RunContext) -> set[str]:
    tags: set[str] = set()
    for one in (run.flow_run, run.task_run):
        tags.update(getattr(one, "tags", None) or ())
    return tags
