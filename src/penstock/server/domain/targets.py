"""Which object an action is about: the one it names, or the one its event names."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from penstock.schemas.events import RESOURCE_ID, Resource

KINDS = {
    "deployment_id": "deployment",
    "work_pool_id": "work-pool",
    "work_queue_id": "work-queue",
    "automation_id": "automation",
}
"""Members of actions that name an object, and the kind of it."""


def inferred(
    kind: str, resource: Resource, related: Sequence[Resource], labels: Mapping[str, str]
) -> str | None:
    """The id of the first object of a kind in an event.

    For flow runs the value of the `for_each` label for resources comes before the event.
    """
    candidates = [resource, *related]
    if kind == "flow-run" and RESOURCE_ID in labels:
        candidates.insert(0, {RESOURCE_ID: labels[RESOURCE_ID]})
    for one in candidates:
        id = object_id(kind, one)
        if id is not None:
            return id
    return None


def object_id(kind: str, resource: Mapping[str, str]) -> str | None:
    """The id in `prefect.<kind>.<id>`; None for a resource of another kind."""
    prefix = f"prefect.{kind}."
    text = resource.get(RESOURCE_ID, "")
    if not text.startswith(prefix):
        return None
    try:
        return str(UUID(text.removeprefix(prefix)))
    except ValueError:
        return None


def target_resource(kind: str, id: str, name: str | None = None) -> Resource:
    """An object as what an action touched."""
    resource = {RESOURCE_ID: f"prefect.{kind}.{id}", "prefect.resource.role": "target"}
    return resource | ({"prefect.resource.name": name} if name is not None else {})
