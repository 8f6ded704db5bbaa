"""Writing down that automations fired: the firing, its event, and what is to be done."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.automations import EventTrigger
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, Resource
from penstock.server.domain.triggers.chains import (
    MAXIMUM_REPEATS,
    Chain,
    cause_of,
    extended,
    goes_in_circles,
)
from penstock.server.domain.triggers.model import Firing
from penstock.server.ops.context import Context
from penstock.server.ops.emit import payload_text
from penstock.server.ops.event_stream import streamed
from penstock.server.ops.trigger_registry import Watched
from penstock.server.store.transaction import Row, Tx

TOPIC = "automation-actions"
"""Woken when a firing has something to do."""


class Fired(Struct, frozen=True):
    """One firing of one automation."""

    automation: Watched
    firing: Firing


class Cause(NamedTuple):
    """The first firing of a chain, and the chain."""

    root: str
    chain: Chain
    suppressed: bool = False


def write_firings(
    tx: Tx, context: Context, fired: Sequence[Fired], known: Mapping[str, Row]
) -> None:
    """The rows and events of firings; `known` are events that were read already. Five statements
    for any number."""
    if not fired:
        return
    events = _events(tx, fired, known)
    caused = _causes(tx, fired, events)
    branches = _branches(tx, caused.values())
    firings, actions, emitted = [], [], []
    for one in fired:
        id, event_id, automation = str(uuid7()), uuid7(), one.automation
        cause = caused.get(_cause(one, events) or "", Cause(id, ()))
        if cause.suppressed:
            # Telling of a stopped circle must not keep it going.
            continue
        chain = extended(cause.chain, automation.id, tx.now)
        branches[cause.root, automation.id] += 1
        suppressed = goes_in_circles(chain, branches[cause.root, automation.id])
        trigger = automation.definition.trigger
        event = events.get(one.firing.event or "")
        if suppressed:
            emitted.append(_suppressed(tx, one, id, event_id))
        else:
            emitted.append(_triggered(tx, one, id, event_id, event))
            actions += _actions(tx, one, id)
        firings.append(
            {
                "id": id,
                "automation_id": automation.id,
                "automation_name": automation.name,
                "trigger_id": one.firing.trigger,
                "trigger_type": type(trigger).__struct_config__.tag,
                "posture": trigger.posture if isinstance(trigger, EventTrigger) else None,
                "now": tx.now,
                "event_id": one.firing.event,
                "event_ids": one.firing.events,
                "triggered_event_id": event_id,
                "labels": one.firing.labels,
                "root": cause.root,
                "chain": chain,
                "suppressed": suppressed,
            }
        )
    if not firings:
        return
    tx.many("trigger.fire", firings)
    tx.many("emit.insert", emitted)
    tx.wake("events")
    if actions:
        tx.many("action.add", actions)
        tx.wake(TOPIC)


def actor_resource(automation_id: str, name: str, firing_id: str) -> Resource:
    """The automation as the actor of what a firing did."""
    return {
        RESOURCE_ID: f"penstock.actor.automation.{automation_id}",
        RESOURCE_ROLE: "actor",
        RESOURCE_NAME: name,
        "penstock.request.id": firing_id,
    }


def event_row(
    tx: Tx,
    *,
    id: Any,
    event: str,
    resource: Resource,
    related: Sequence[Resource],
    payload: Mapping[str, Any],
    follows: Any = None,
    members: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The row of an event that the server makes, to be inserted with others."""
    return {
        "id": id,
        "occurred": tx.now,
        "received": tx.now,
        "event": event,
        "resource_id": resource[RESOURCE_ID],
        "resource": resource,
        "related": list(related),
        "payload": payload_text(payload),
        "follows": follows,
        "members": members,
    }


def _events(tx: Tx, fired: Sequence[Fired], known: Mapping[str, Row]) -> dict[str, Row]:
    ids = {one.firing.event for one in fired if one.firing.event is not None}
    missing = sorted(ids - set(known))
    rows = tx.all("trigger.events", ids=missing) if missing else []
    return {**known, **{row["id"]: row for row in rows}}


def _cause(one: Fired, events: Mapping[str, Row]) -> str | None:
    row = events.get(one.firing.event or "")
    if row is None or (
        b'"actor"' not in bytes(row["related"]) and b'"creator"' not in bytes(row["related"])
    ):
        return None
    return cause_of(
        json.decode(row["resource"], Resource), json.decode(row["related"], list[Resource])
    )


def _causes(tx: Tx, fired: Sequence[Fired], events: Mapping[str, Row]) -> dict[str, Cause]:
    """What led here, by what the events name as their cause."""
    causes = sorted({cause for one in fired if (cause := _cause(one, events)) is not None})
    if not causes:
        return {}
    rows = tx.all("trigger.causes", causes=causes)
    return {
        row["cause"]: Cause(row["root"], json.decode(row["chain"], Chain), row["suppressed"])
        for row in rows
    }


def _branches(tx: Tx, causes: Iterable[Cause]) -> Counter[tuple[str, str]]:
    """How often each automation fired because of the same first firings."""
    roots = sorted({cause.root for cause in causes})
    rows = tx.all("trigger.branches", roots=roots) if roots else []
    return Counter({(row["root"], row["automation_id"]): row["count"] for row in rows})


def _actions(tx: Tx, one: Fired, firing_id: str) -> list[dict[str, Any]]:
    """The first action may begin at once, each other one when the one before it has ended."""
    definition = one.automation.definition
    listed = [
        (phase, place, action)
        for phase in ("actions", "actions_on_trigger")
        for place, action in enumerate(getattr(definition, phase))
    ]
    return [
        {
            "firing_id": firing_id,
            "position": position,
            "phase": phase,
            "place": place,
            "command": action,
            "due": tx.now if position == 0 else None,
        }
        for position, (phase, place, action) in enumerate(listed)
    ]


def _triggered(
    tx: Tx, one: Fired, firing_id: str, event_id: Any, event: Row | None
) -> dict[str, Any]:
    automation = one.automation
    resource = {
        RESOURCE_ID: f"prefect.automation.{automation.id}",
        RESOURCE_NAME: automation.name,
    }
    if isinstance(automation.definition.trigger, EventTrigger):
        resource["prefect.posture"] = automation.definition.trigger.posture
    related: list[Resource] = []
    if one.firing.event is not None:
        related.append(
            {
                RESOURCE_ID: f"prefect.event.{one.firing.event}",
                RESOURCE_ROLE: "triggering-event",
            }
        )
    related.append(actor_resource(automation.id, automation.name, firing_id))
    return event_row(
        tx,
        id=event_id,
        event="prefect.automation.triggered",
        resource=resource,
        related=related,
        payload={
            "triggering_labels": one.firing.labels,
            "triggering_event": None if event is None else streamed(event),
        },
    )


def _suppressed(tx: Tx, one: Fired, firing_id: str, event_id: Any) -> dict[str, Any]:
    automation = one.automation
    return event_row(
        tx,
        id=event_id,
        event="penstock.automation.suppressed",
        resource={
            RESOURCE_ID: f"prefect.automation.{automation.id}",
            RESOURCE_NAME: automation.name,
        },
        related=[actor_resource(automation.id, automation.name, firing_id)],
        payload={
            "reason": f"the automation fired more than {MAXIMUM_REPEATS} times because of itself; "
            "its actions are not carried out",
        },
    )
