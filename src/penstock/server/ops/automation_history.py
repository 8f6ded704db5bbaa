"""Looking at what automations did, trying what they would have done, and the dead actions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from penstock.base import json
from penstock.schemas.errors import ObjectMissing
from penstock.schemas.firings import (
    ActionRun,
    AutomationFiring,
    AutomationTestBody,
    AutomationTestResult,
    DeadActionsBody,
    FiringEvent,
    FiringsBody,
    TestedFiring,
)
from penstock.server.domain.triggers.evaluation import State, applied, on_event, on_start, on_time
from penstock.server.domain.triggers.index import Index
from penstock.server.domain.triggers.model import Firing, Watch
from penstock.server.ops.automations import read_automation, stored_definition
from penstock.server.ops.context import Context
from penstock.server.ops.firings import TOPIC
from penstock.server.ops.triggers import NEVER_EVALUATED, seen_event
from penstock.server.store.transaction import Row, Tx

PAGE = 500
MOST_EVENTS = 100_000
"""Stored events that one test looks at."""


def read_automation_firings(
    tx: Tx, context: Context, id: str, *, body: FiringsBody | None = None
) -> list[AutomationFiring]:
    """Firings of an automation, the newest first, also of one that is deleted."""
    body = body or FiringsBody()
    rows = tx.all("firing.of_automation", automation_id=id, limit=body.limit, offset=body.offset)
    if not rows:
        if not body.offset:
            read_automation(tx, context, id)
        return []
    ids = {row["id"]: json.decode(row["event_ids"], list[str]) for row in rows}
    events = _events(tx, {one for listed in ids.values() for one in listed})
    actions: dict[str, list[ActionRun]] = {row["id"]: [] for row in rows}
    for row in tx.all("action.of_firings", ids=list(ids)):
        actions[row["firing_id"]].append(_action(row))
    return [
        AutomationFiring(
            id=row["id"],
            automation_id=row["automation_id"],
            automation_name=row["automation_name"],
            trigger_id=row["trigger_id"],
            fired=row["fired"],
            labels=json.decode(row["labels"]),
            suppressed=row["suppressed"],
            events=[events[one] for one in ids[row["id"]] if one in events],
            actions=actions[row["id"]],
        )
        for row in rows
    ]


def read_dead_actions(
    tx: Tx, context: Context, *, body: DeadActionsBody | None = None
) -> list[ActionRun]:
    """Actions that were given up after their last try, the newest first."""
    body = body or DeadActionsBody()
    rows = tx.all("action.list", status="dead", limit=body.limit, offset=body.offset)
    return [_action(row) for row in rows]


def requeue_action(tx: Tx, context: Context, firing_id: str, position: int) -> None:
    """Try a dead action again, from the first try on."""
    if not tx.run("action.requeue", firing_id=firing_id, position=position, now=tx.now):
        raise _not_dead(firing_id, position)
    tx.wake(TOPIC)


def discard_action(tx: Tx, context: Context, firing_id: str, position: int) -> None:
    """Take a dead action off the list without trying it again."""
    if not tx.run("action.discard", firing_id=firing_id, position=position, now=tx.now):
        raise _not_dead(firing_id, position)


def test_automation(
    tx: Tx, context: Context, id: str, *, body: AutomationTestBody
) -> AutomationTestResult:
    """Play stored events through an automation, as if it had been there; nothing is done.

    It looks at events in order of the log, and windows end as time passes between them.
    """
    row = tx.one("automation.get", id=id)
    if row is None:
        raise ObjectMissing(f"automation {id} does not exist; list automations to find its id")
    definition = stored_definition(row)
    watch = Watch(id, definition.trigger)
    play = _Play(watch, body.since)
    looked, truncated = play.events(tx, body), False
    play.wait(body.until or tx.now)
    firings = play.firings
    truncated = looked >= MOST_EVENTS or len(firings) > body.limit
    kinds = [*definition.actions, *definition.actions_on_trigger]
    events = _events(tx, {id for one in firings[: body.limit] for id in one.events})
    return AutomationTestResult(
        events=looked,
        firings=[
            TestedFiring(
                at=one.at,
                labels=one.labels,
                events=[events[id] for id in one.events if id in events],
            )
            for one in firings[: body.limit]
        ],
        actions=[str(type(action).__struct_config__.tag) for action in kinds],
        truncated=truncated,
    )


class _Play:
    """Stored events and the time between them, played through one automation."""

    def __init__(self, watch: Watch, since: datetime) -> None:
        self._watch = watch
        self._index = Index([watch])
        self._leaves = {leaf.key: leaf for leaf in watch.leaves}
        self._state = State({}, {})
        self._timed = any(not leaf.reactive for leaf in watch.leaves)
        self.firings: list[Firing] = []
        self._take(on_start(watch, self._state, since))

    def events(self, tx: Tx, body: AutomationTestBody) -> int:
        """Play the events of the time asked for; how many there were."""
        first = tx.one("event_stream.since", since=body.since)
        if first is None or first["seq"] is None:
            return 0
        seq, looked = first["seq"], 0
        while looked < MOST_EVENTS and len(self.firings) <= body.limit:
            rows = tx.all("event.after", seq=seq, limit=PAGE)
            for row in rows:
                if body.until is not None and row["received"] > body.until:
                    return looked
                looked += 1
                self._play(row)
            if len(rows) < PAGE:
                break
            seq = rows[-1]["seq"]
        return looked

    def _play(self, row: Row) -> None:
        if self._timed:
            self.wait(row["received"])
        if self._index.of(row["event"]) and row["event"] not in NEVER_EVALUATED:
            self._take(on_event(self._watch, self._state, seen_event(row)))

    def wait(self, until: datetime) -> None:
        """End the windows whose time is over."""
        while self._timed:
            due = [
                (bucket.closes, slot)
                for slot, bucket in self._state.buckets.items()
                if bucket.closes <= until and not self._leaves[slot[0]].reactive
            ]
            if not due or len(self.firings) > PAGE:
                return
            at, slot = min(due)
            leaf = self._leaves[slot[0]]
            self._take(on_time(self._watch, self._state, leaf, slot, at, 0))

    def _take(self, step: Any) -> None:
        self._state = applied(self._state, step)
        self.firings += step.firings


def _events(tx: Tx, ids: set[str]) -> dict[str, FiringEvent]:
    rows = tx.all("trigger.events", ids=sorted(ids)) if ids else []
    return {
        row["id"]: FiringEvent(
            id=row["id"],
            event=row["event"],
            occurred=row["occurred"],
            resource_id=row["resource_id"],
        )
        for row in rows
    }


def _action(row: Mapping[str, Any]) -> ActionRun:
    details = row["details"]
    return ActionRun(
        firing_id=row["firing_id"],
        position=row["position"],
        type=json.decode(row["command"])["type"],
        status=row["status"],
        attempts=row["attempts"],
        reason=row["reason"],
        details=None if details is None else json.decode(details),
        flow_run_id=row["flow_run_id"],
        due=row["due"],
        finished=row["finished"],
        automation_id=row.get("automation_id"),
        automation_name=row.get("automation_name"),
    )


def _not_dead(firing_id: str, position: int) -> ObjectMissing:
    return ObjectMissing(
        f"action {position} of firing {firing_id} is not dead; "
        "`penstock automation actions ls` lists those that are"
    )


__all__: Sequence[str] = [
    "discard_action",
    "read_automation_firings",
    "read_dead_actions",
    "requeue_action",
    "test_automation",
]
