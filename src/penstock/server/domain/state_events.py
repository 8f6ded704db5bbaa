"""The event of a flow run's state change: its name, labels, related resources and payload."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from msgspec import Struct

from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, Resource
from penstock.schemas.flow_runs import CreatedBy
from penstock.schemas.states import State, StateType
from penstock.server.domain.redaction import without_credentials

MESSAGE_LENGTH = 100_000
"""Characters of a state's message that an event carries."""
AUDITED_LENGTH = 1_000
"""Characters of a state's message that an audit row keeps; the state itself has all of them."""
FOLLOWS_WITHIN = timedelta(minutes=5)
"""How near two state changes must be for the second event to name the first."""


class Subject(Struct, frozen=True, kw_only=True):
    """What the event says about the run besides its state."""

    id: str
    name: str
    run_count: int
    flow_id: str
    flow_name: str
    deployment_id: str | None = None
    deployment_name: str | None = None
    queue_id: str | None = None
    queue_name: str | None = None
    pool_id: str | None = None
    pool_name: str | None = None
    pool_type: str | None = None
    parent_id: str | None = None
    parent_name: str | None = None
    tags: frozenset[str] = frozenset()
    """Of the run, its flow, its deployment and its parent task run."""
    created_by: CreatedBy | None = None


def event_name(state: State) -> str:
    """Named after the state's name, not its type."""
    return f"prefect.flow-run.{state.name}"


def resource(subject: Subject, state: State) -> Resource:
    return {
        RESOURCE_ID: f"prefect.flow-run.{subject.id}",
        RESOURCE_NAME: subject.name,
        "prefect.run-count": str(subject.run_count),
        "prefect.state-message": shortened(without_credentials(state.message or "")),
        "prefect.state-name": state.name or "",
        "prefect.state-timestamp": state.timestamp.isoformat(),
        "prefect.state-type": state.type,
    }


def related(subject: Subject) -> list[Resource]:
    """Flow, deployment, queue, pool, parent task run, tags in order, creator; if there."""
    entries = [_entry("flow", f"prefect.flow.{subject.flow_id}", subject.flow_name)]
    if subject.deployment_id is not None:
        entries.append(
            _entry(
                "deployment",
                f"prefect.deployment.{subject.deployment_id}",
                subject.deployment_name,
            )
        )
    if subject.queue_id is not None and subject.pool_id is not None:
        entries.append(
            _entry("work-queue", f"prefect.work-queue.{subject.queue_id}", subject.queue_name)
        )
        pool = _entry("work-pool", f"prefect.work-pool.{subject.pool_id}", subject.pool_name)
        entries.append({**pool, "prefect.work-pool.type": subject.pool_type or ""})
    if subject.parent_id is not None:
        entries.append(
            _entry("task-run", f"prefect.task-run.{subject.parent_id}", subject.parent_name)
        )
    entries += [_entry("tag", f"prefect.tag.{tag}") for tag in sorted(subject.tags)]
    return entries + list(_creator(subject.created_by))


def payload(before: State | None, after: State) -> dict[str, Any]:
    return {
        "intended": {"from": before.type if before else None, "to": after.type},
        "initial_state": _told(before) if before else None,
        "validated_state": _told(after),
    }


def snapshot(state: State) -> dict[str, Any]:
    """What an audit row keeps of a state: as the columns of the run are called."""
    return {
        "state_type": state.type,
        "state_name": state.name,
        "state_message": None
        if state.message is None
        else without_credentials(state.message)[:AUDITED_LENGTH],
    }


def changes(before: dict[str, Any] | None, after: dict[str, Any]) -> list[dict[str, Any]]:
    """How one snapshot became the other, as `differences` tells it."""
    if before is None:
        return []
    return [
        {"path": f"/{name}", "from": before[name], "to": after[name]}
        for name in ("state_message", "state_name", "state_type")
        if before[name] != after[name]
    ]


def is_followed(before: State, after: State) -> bool:
    """Whether the change is close enough to the one before to be told as its consequence."""
    return abs(after.timestamp - before.timestamp) < FOLLOWS_WITHIN


def shortened(message: str) -> str:
    """A message of at most `MESSAGE_LENGTH` characters; a long one loses its middle."""
    if len(message) <= MESSAGE_LENGTH:
        return message
    # The room the marker takes is that of the largest number it can name.
    room = len(_marker(len(message)))
    tail = (MESSAGE_LENGTH - room) // 2
    head = MESSAGE_LENGTH - room - tail
    return message[:head] + _marker(len(message) - head - tail) + message[-tail:]


def _marker(removed: int) -> str:
    return f"...[{removed} characters removed]..."


def _entry(role: str, id: str, name: str | None = None) -> Resource:
    entry = {RESOURCE_ID: id, RESOURCE_ROLE: role}
    if name is not None:
        entry[RESOURCE_NAME] = name
    return entry


def _creator(created_by: CreatedBy | None) -> Iterable[Resource]:
    if created_by is None or created_by.id is None:
        return
    kind = {"AUTOMATION": "automation", "DEPLOYMENT": "deployment"}.get(created_by.type or "")
    if kind is not None:
        yield _entry("creator", f"prefect.{kind}.{created_by.id}", created_by.display_value)


def _told(state: State) -> dict[str, Any]:
    told: dict[str, Any] = {"type": state.type, "name": state.name}
    if state.message is not None:
        told["message"] = shortened(without_credentials(state.message))
    if state.type is StateType.PAUSED:
        told["pause_reschedule"] = "true" if state.state_details.pause_reschedule else "false"
    return told
