"""Actions of firings: taken under a lease, carried out, and their outcome written once.

An action that only changes the server's own objects is carried out in the transaction that
writes its outcome. What goes out to others is tried at least once, under a lease, and its outcome
counts only while the lease holds.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from msgspec import Struct

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.automations import Action, DoNothing
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, Event, Resource
from penstock.server.domain.action_retries import next_try
from penstock.server.ops.context import Actor, Context, RequestInfo
from penstock.server.ops.firings import TOPIC, actor_resource, event_row
from penstock.server.store.transaction import Row, Tx

LEASE = timedelta(seconds=90)
"""Longer than one try may take; after it somebody else tries."""


class ActionFailed(Exception):
    """An action that cannot be carried out, and will not be tried again; the text says why."""

    def __init__(self, reason: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.details = dict(details or {})


class Outcome(Struct, frozen=True, kw_only=True):
    """How an action ended."""

    status: str = "executed"
    reason: str | None = None
    details: dict[str, Any] = {}
    touched: Sequence[Resource] = ()
    flow_run_id: str | None = None


class Task(Struct, frozen=True, kw_only=True):
    """One action to be carried out now, with what it may need to know."""

    firing_id: str
    position: int
    phase: str
    place: int
    command: Action
    attempts: int
    begun: datetime
    automation_id: str
    automation_name: str
    trigger_id: str
    trigger_type: str
    posture: str | None
    fired: datetime
    labels: dict[str, str]
    event_ids: tuple[str, ...]
    triggered_event_id: str
    triggering_event: Event | None
    """The event that completed the trigger."""
    event: Event | None
    """The event the action is about: for `actions_on_trigger` the one of the firing."""

    @property
    def invocation(self) -> UUID:
        """The same for every try."""
        return uuid5(UUID(self.firing_id), str(self.position))

    @property
    def kind(self) -> str:
        return str(type(self.command).__struct_config__.tag)

    @property
    def key(self) -> dict[str, Any]:
        return {
            "firing_id": self.firing_id,
            "position": self.position,
            "attempts": self.attempts,
        }


class Taken(Struct, frozen=True):
    """Actions to be carried out, and how many were taken with those that are done already."""

    tasks: list[Task]
    count: int


def take(tx: Tx, context: Context, limit: int) -> Taken:
    """The actions whose turn it is, leased. Those that do nothing are done with it.

    Costs four statements, and four more when some do nothing.
    """
    rows = tx.all("action.ready", now=tx.now, limit=limit)
    if not rows:
        return Taken([], 0)
    until = tx.now + LEASE
    tx.many("action.lease", [{**_key(row), "due": until, "now": tx.now} for row in rows])
    ids = {row[name] for row in rows for name in ("event_id", "triggered_event_id")} - {None}
    events = {
        row["id"]: json.decode(json.encode(_document(row)), Event)
        for row in tx.all("trigger.events", ids=sorted(ids))
    }
    tasks = [_task(tx, row, events) for row in rows]
    idle = [task for task in tasks if isinstance(task.command, DoNothing)]
    if idle:
        settle(tx, [(task, Outcome()) for task in idle])
    left = [task for task in tasks if not isinstance(task.command, DoNothing)]
    return Taken(left, len(tasks))


def holds(tx: Tx, task: Task) -> bool:
    """Whether the action is still to be done and nobody else took it since."""
    row = tx.one("action.lock", firing_id=task.firing_id, position=task.position)
    return row is not None and row["status"] == "waiting" and row["attempts"] == task.attempts


def conclude(tx: Tx, context: Context, task: Task, outcome: Outcome) -> bool:
    """Write the outcome of an action, unless it has one or belongs to somebody else by now."""
    if not holds(tx, task):
        return False
    settle(tx, [(task, outcome)])
    return True


def put_off(
    tx: Tx, context: Context, task: Task, outcome: Outcome, retry_after: float | None = None
) -> bool:
    """Try again later; after the last try the action is dead, with `outcome`."""
    if not holds(tx, task):
        return False
    due = next_try(task.attempts, task.begun, tx.now, retry_after)
    if due is None:
        settle(tx, [(task, outcome)])
    else:
        tx.run("action.again", **task.key, due=due, reason=outcome.reason)
        tx.wake(TOPIC)
    return True


def give_back(tx: Tx, task: Task) -> None:
    """Somebody else, or a later round, may try."""
    tx.run("action.release", **task.key, now=tx.now)
    tx.wake(TOPIC)


def settle(tx: Tx, outcomes: Sequence[tuple[Task, Outcome]]) -> None:
    """Write outcomes with their events; the next action of each firing may begin."""
    tx.many(
        "action.settle",
        [
            {
                **task.key,
                "status": outcome.status,
                "reason": outcome.reason,
                "details": outcome.details or None,
                "flow_run_id": outcome.flow_run_id,
                "now": tx.now,
            }
            for task, outcome in outcomes
        ],
    )
    tx.many("action.next", [{"firing_id": task.firing_id, "now": tx.now} for task, _ in outcomes])
    tx.many("emit.insert", [row for task, outcome in outcomes for row in _told(tx, task, outcome)])
    tx.wake("events")
    tx.wake(TOPIC)


def context_of(context: Context, task: Task) -> Context:
    """The automation as who asks for changes, and the firing as the request."""
    return Context(
        limits=context.limits,
        actor=Actor(
            type="automation", id=task.automation_id, name=task.automation_name, auth="internal"
        ),
        request=RequestInfo(id=task.firing_id, route=f"automation action {task.kind}"),
        redact_keys=context.redact_keys,
        fingerprint_key=context.fingerprint_key,
        encryption_keys=context.encryption_keys,
    )


# --- rows ----------------------------------------------------------------------------------------


def _key(row: Row) -> dict[str, Any]:
    return {"firing_id": row["firing_id"], "position": row["position"]}


def _document(row: Row) -> dict[str, Any]:
    names = ("id", "occurred", "event", "resource", "related", "payload", "follows")
    return {name: row[name] for name in names}


def _task(tx: Tx, row: Row, events: Mapping[str, Event]) -> Task:
    triggering = events.get(row["event_id"])
    on_trigger = row["phase"] == "actions_on_trigger"
    return Task(
        firing_id=row["firing_id"],
        position=row["position"],
        phase=row["phase"],
        place=row["place"],
        command=json.decode(row["command"], Action),
        attempts=row["attempts"] + 1,
        begun=row["begun"] or tx.now,
        automation_id=row["automation_id"],
        automation_name=row["automation_name"],
        trigger_id=row["trigger_id"],
        trigger_type=row["trigger_type"],
        posture=row["posture"],
        fired=row["fired"],
        labels=json.decode(row["labels"], dict[str, str]),
        event_ids=json.decode(row["event_ids"], tuple[str, ...]),
        triggered_event_id=row["triggered_event_id"],
        triggering_event=triggering,
        event=events.get(row["triggered_event_id"]) if on_trigger else triggering,
    )


def _told(tx: Tx, task: Task, outcome: Outcome) -> list[dict[str, Any]]:
    """The two events of an outcome, and one more for an action that is dead."""
    resource = {
        RESOURCE_ID: f"prefect.automation.{task.automation_id}",
        RESOURCE_NAME: task.automation_name,
        "prefect.trigger-type": task.trigger_type,
        **({"prefect.posture": task.posture} if task.posture else {}),
    }
    related: list[Resource] = [
        *outcome.touched,
        _event_resource(task.triggered_event_id, "automation-triggered-event"),
    ]
    if task.triggering_event is not None:
        related.append(_event_resource(str(task.triggering_event.id), "triggering-event"))
    related.append(actor_resource(task.automation_id, task.automation_name, task.firing_id))
    payload = {
        "action_index": task.place,
        "action_type": task.kind,
        "invocation": str(task.invocation),
    }
    first, ended = uuid7(), "executed" if outcome.status == "executed" else "failed"
    details = {**outcome.details, "attempts": task.attempts}
    told = {**payload, **details, **({"reason": outcome.reason} if outcome.reason else {})}
    common: dict[str, Any] = {"resource": resource, "related": related}
    follows = task.event.id if task.event is not None else None
    rows = [
        event_row(
            tx,
            id=first,
            event="prefect.automation.action.triggered",
            payload=payload,
            follows=follows,
            **common,
        ),
        event_row(
            tx,
            id=uuid7(),
            event=f"prefect.automation.action.{ended}",
            payload=told,
            follows=first,
            **common,
        ),
    ]
    if outcome.status == "dead":
        rows.append(event_row(tx, id=uuid7(), event="penstock.action.dead", payload=told, **common))
    return rows


def _event_resource(id: str, role: str) -> Resource:
    return {RESOURCE_ID: f"prefect.event.{id}", RESOURCE_ROLE: role}
