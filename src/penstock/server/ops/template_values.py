"""What templates of an automation can speak of, read from the database as far as they do."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from msgspec import to_builtins

from penstock.base import json
from penstock.schemas.errors import ObjectMissing
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, Event
from penstock.server.domain.log_summary import Line, summary
from penstock.server.domain.targets import object_id
from penstock.server.ops import (
    automations,
    deployments,
    flow_runs,
    flows,
    limits,
    task_runs,
    work_pools,
    work_queues,
)
from penstock.server.ops.actions import Task
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Tx

SUMMARY_RECORDS = 200
OBJECTS = (
    "flow",
    "flow_run",
    "task_run",
    "deployment",
    "work_pool",
    "work_queue",
    "concurrency_limit",
)


class EventLinks(Protocol):
    def event(self, id: Any, occurred: datetime) -> str: ...


class Labels:
    """Labels that can be walked: `labels.prefect.resource.id` is the label of that name."""

    def __init__(self, labels: Mapping[str, str], prefix: str = "") -> None:
        self._labels = labels
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        path = f"{self._prefix}{name}"
        if path in self._labels:
            return self._labels[path]
        if any(label.startswith(f"{path}.") for label in self._labels):
            return Labels(self._labels, f"{path}.")
        raise AttributeError(name)

    def __getitem__(self, name: str) -> str:
        return self._labels[f"{self._prefix}{name}"]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._labels.items())

    def get(self, name: str, default: str | None = None) -> str | None:
        return self._labels.get(f"{self._prefix}{name}", default)

    def items(self) -> Any:
        return self._labels.items()

    @property
    def document(self) -> dict[str, str]:
        return dict(self._labels)


class ResourceValue:
    """A resource of an event: its labels, and the ones with names of their own."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.document = dict(labels)
        self.id = labels.get(RESOURCE_ID, "")
        self.name = labels.get(RESOURCE_NAME)
        self.role = labels.get(RESOURCE_ROLE)

    @property
    def labels(self) -> Labels:
        return Labels(self.document)

    def __getitem__(self, label: str) -> str:
        return self.document[label]

    def get(self, label: str, default: str | None = None) -> str | None:
        return self.document.get(label, default)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.document.items())

    def __str__(self) -> str:
        return json.text(self.document)


class EventValue:
    """An event as templates see it."""

    def __init__(self, event: Event, links: EventLinks) -> None:
        self.id = event.id
        self.event = event.event
        self.occurred = event.occurred
        self.follows = event.follows
        self.payload = event.payload
        self.resource = ResourceValue(event.resource)
        self.related = [ResourceValue(one) for one in event.related]
        self.url = links.event(event.id, event.occurred)
        self.document = to_builtins(event)

    @property
    def involved_resources(self) -> list[ResourceValue]:
        return [self.resource, *self.related]

    @property
    def resource_in_role(self) -> dict[str, ResourceValue]:
        """The first related resource of each role."""
        return {one.role: one for one in reversed(self.related) if one.role}

    @property
    def resources_in_role(self) -> dict[str, list[ResourceValue]]:
        roles = dict.fromkeys(one.role for one in self.related if one.role)
        return {role: [one for one in self.related if one.role == role] for role in roles}


def template_values(
    tx: Tx, context: Context, task: Task, names: set[str], links: EventLinks
) -> dict[str, Any]:
    """The values of `names`; what is not there is left out and renders as nothing."""
    event = task.event
    values: dict[str, Any] = {"labels": Labels(task.labels)}
    if event is not None:
        values["event"] = EventValue(event, links)
    if "automation" in names:
        values["automation"] = _automation(tx, context, task)
    if names & {"firing", "firings", "events"}:
        values |= _firing(tx, task, links)
    for name in names & set(OBJECTS):
        found = _object(tx, context, name, event) if event is not None else None
        if found is not None:
            values[name] = found
    if "variables" in names:
        values["variables"] = {
            row["name"]: json.decode(row["value"]) for row in tx.all("variable.all")
        }
    if "flow_run_log_summary" in names:
        id = _id_in(event, "flow-run") if event is not None else None
        values["flow_run_log_summary"] = log_summary(tx, id) if id is not None else ""
    return values


def log_summary(tx: Tx, flow_run_id: str) -> str:
    """What the newest log records of a run say."""
    rows = tx.all("log.newest_of_flow_run", id=flow_run_id, limit=SUMMARY_RECORDS)
    counted = tx.one("log.count_of_flow_run", id=flow_run_id)
    lines = [Line(row["level"], row["message"]) for row in reversed(rows)]
    return summary(lines, earlier=(counted["count"] if counted else len(lines)) - len(lines))


def _automation(tx: Tx, context: Context, task: Task) -> dict[str, Any]:
    resource = {"_resource": f"prefect.automation.{task.automation_id}"}
    try:
        found = automations.read_automation(tx, context, task.automation_id)
    except ObjectMissing:
        return {"id": task.automation_id, "name": task.automation_name, **resource}
    return {**json.decode(json.encode(found)), **resource}


def _firing(tx: Tx, task: Task, links: EventLinks) -> dict[str, Any]:
    rows = tx.all("trigger.events", ids=sorted(task.event_ids)) if task.event_ids else []
    by_id = {row["id"]: row for row in rows}
    names = ("id", "occurred", "event", "resource", "related", "payload", "follows")
    events = [
        EventValue(
            json.decode(json.encode({name: by_id[id][name] for name in names}), Event), links
        )
        for id in task.event_ids
        if id in by_id
    ]
    firing = {
        "id": task.firing_id,
        "trigger_id": task.trigger_id,
        "triggered": task.fired,
        "labels": Labels(task.labels),
        "triggering_labels": Labels(task.labels),
        "triggering_event": (
            EventValue(task.triggering_event, links) if task.triggering_event else None
        ),
    }
    return {"firing": firing, "firings": [firing], "events": events}


# --- objects -------------------------------------------------------------------------------------


def _id_in(event: Event, kind: str) -> str | None:
    for resource in (event.resource, *event.related):
        id = object_id(kind, resource)
        if id is not None:
            return id
    return None


def _object(tx: Tx, context: Context, name: str, event: Event) -> dict[str, Any] | None:
    kind = name.replace("_", "-")
    id = _id_in(event, kind)
    if id is None:
        return None
    try:
        found = _READ[name](tx, context, id)
    except ObjectMissing:
        return None
    document = _with_times(json.decode(json.encode(found)))
    document["_resource"] = f"prefect.{kind}.{id}"
    if (
        name in ("flow_run", "task_run")
        and event.resource.get(RESOURCE_ID) == document["_resource"]
    ):
        _use_state_of(event, document)
    return document


def _use_state_of(event: Event, document: dict[str, Any]) -> None:
    """The state that the event tells of, which may not be the present one."""
    labels = event.resource
    if "prefect.state-type" not in labels:
        return
    document["state"] = {
        **(document.get("state") or {}),
        "type": labels["prefect.state-type"],
        "name": labels.get("prefect.state-name"),
        "message": labels.get("prefect.state-message"),
        "timestamp": _moment(labels.get("prefect.state-timestamp")),
    }
    document["state_type"] = labels["prefect.state-type"]
    document["state_name"] = labels.get("prefect.state-name")


_TIMES = ("created", "updated", "start_time", "end_time", "expected_start_time", "timestamp")


def _with_times(document: dict[str, Any]) -> dict[str, Any]:
    """Instants as instants and durations as durations, so that filters can say them."""
    for name in _TIMES:
        if isinstance(document.get(name), str):
            document[name] = _moment(document[name])
    for name in ("total_run_time", "estimated_run_time", "estimated_start_time_delta"):
        if isinstance(document.get(name), int | float):
            document[name] = timedelta(seconds=document[name])
    if isinstance(document.get("state"), dict):
        _with_times(document["state"])
    return document


def _moment(text: str | None) -> datetime | str | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return text


def _work_pool(tx: Tx, context: Context, id: str) -> Any:
    row = tx.one("work_pool.get", id=str(UUID(id)))
    if row is None:
        raise ObjectMissing(f"work pool {id} does not exist")
    return work_pools.read_work_pool(tx, context, row["name"])


_READ: dict[str, Callable[[Tx, Context, str], Any]] = {
    "flow": flows.read_flow,
    "flow_run": flow_runs.read_flow_run,
    "task_run": task_runs.read_task_run,
    "deployment": deployments.read_deployment,
    "work_pool": _work_pool,
    "work_queue": work_queues.read_work_queue,
    "concurrency_limit": limits.read_concurrency_limit_v2,
}
