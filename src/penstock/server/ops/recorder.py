"""Task runs as their engines report them: rows built from `prefect.task-run.*` events.

Engines decide the states of ordinary task runs themselves and report each as an event. Events of
one run may arrive in any order, twice, or on several connections; the rows they leave are the
same. Every state is stored once, by the event's id; the run's columns are those of the newest
state. What cannot be recorded is left out and logged, and hurts nothing else: a malformed event,
and an event of a flow run that is not there (it was deleted, and its task runs with it).

A batch costs four statements, whatever its size.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, ValidationError, convert, field
from msgspec.structs import replace

from penstock.base import json
from penstock.schemas.events import RESOURCE_ID, RESOURCE_ROLE, Event
from penstock.schemas.shapes import Entity, Labels
from penstock.schemas.states import State, StateDetails, StateType, default_name
from penstock.schemas.task_runs import TaskInput, TaskRunPolicy
from penstock.server.domain.orchestration.facts import (
    Facts,
    Proposal,
    Run,
    RunKind,
    aware,
    aware_details,
    is_persisted,
)
from penstock.server.domain.orchestration.states import TERMINAL
from penstock.server.domain.orchestration.transforms import advanced
from penstock.server.store.transaction import Row, Tx

_logger = logging.getLogger(__name__)

_EVENTS = "prefect.task-run."
_ORCHESTRATION = "prefect.orchestration"
_FLOW_RUN = "prefect.flow-run."

_Count = Annotated[int, Meta(ge=0, le=2**31)]


class _ReportedState(Entity, frozen=True):
    type: StateType
    name: str | None = None
    message: str | None = None
    state_details: StateDetails = field(default_factory=StateDetails)
    data: Any = None


class _ReportedRun(Entity, frozen=True):
    """The run as its engine sees it just after the transition."""

    task_key: str
    dynamic_key: str
    name: str = ""
    cache_key: str | None = None
    cache_expiration: datetime | None = None
    task_version: str | None = None
    task_inputs: dict[str, list[TaskInput]] = field(default_factory=dict)
    empirical_policy: TaskRunPolicy = field(default_factory=TaskRunPolicy)
    tags: list[str] = field(default_factory=list)
    labels: Labels | None = None
    flow_run_run_count: _Count = 0
    run_count: _Count | UnsetType = UNSET
    start_time: datetime | UnsetType | None = UNSET
    end_time: datetime | UnsetType | None = UNSET
    expected_start_time: datetime | UnsetType | None = UNSET
    next_scheduled_start_time: datetime | UnsetType | None = UNSET
    total_run_time: float | UnsetType = UNSET

    @property
    def is_complete(self) -> bool:
        """Whether the engine keeps the run's times and counters itself."""
        return UNSET not in (
            self.run_count,
            self.start_time,
            self.end_time,
            self.expected_start_time,
            self.total_run_time,
        )


class _Report(Struct):
    """One event of one task run."""

    id: UUID
    timestamp: datetime
    run_id: str
    flow_run_id: str | None
    state: _ReportedState
    run: _ReportedRun


class _Group(Struct):
    """All reports of one task run in a batch, oldest first, and the row they go to."""

    run_id: str
    reports: list[_Report]
    stored: datetime | None = None

    @property
    def newest(self) -> _Report:
        return self.reports[-1]


def record(tx: Tx, events: Sequence[Event]) -> None:
    """Store the task runs and states that `events` report; other events are passed over.

    A run is found by its id, else by its flow run, task key and dynamic key; otherwise it is
    made. Only a newer state than the stored one changes the run. Engines give the states of a
    run different times; of two at one instant only one is kept.
    """
    reports = _present(tx, _reports(events))
    if not reports:
        return
    groups = _grouped(reports)
    groups = _located(tx, groups)
    moving = [group for group in groups if _moves(group)]
    tx.many("recorder.save_run", [_run_row(tx, group) for group in moving])
    tx.many(
        "recorder.insert_state",
        # Newest first: of two states at one instant the one that the run shows is kept.
        [_state_row(group.run_id, report) for group in groups for report in group.reports[::-1]],
    )
    incomplete = [group.run_id for group in groups if not group.newest.run.is_complete]
    if incomplete:
        _recount(tx, incomplete)


def _reports(events: Iterable[Event]) -> list[_Report]:
    reports: dict[UUID, _Report] = {}
    for event in events:
        if not event.event.startswith(_EVENTS) or event.resource.get(_ORCHESTRATION) != "client":
            continue
        try:
            reports[event.id] = _report(event)
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            _logger.warning(
                "event %s (%s) does not describe a task run and was not recorded: %s",
                event.id,
                event.event,
                error,
            )
    return list(reports.values())


def _report(event: Event) -> _Report:
    payload: Any = event.payload
    if isinstance(payload, Raw):
        payload = json.decode(payload)
    state = convert(payload["validated_state"], _ReportedState, strict=False)
    run = convert(payload["task_run"], _ReportedRun, strict=False)
    prefix, _, id = event.resource[RESOURCE_ID].rpartition(".")
    if f"{prefix}." != _EVENTS:
        raise ValueError(f"its resource {event.resource[RESOURCE_ID]!r} is no task run")
    state = replace(state, state_details=aware_details(state.state_details))
    flow_run_id = _flow_run_id(event, state)
    run_id = str(_uuid(id))
    return _Report(event.id, aware(event.occurred), run_id, flow_run_id, state, run)


def _flow_run_id(event: Event, state: _ReportedState) -> str | None:
    for resource in event.related:
        if resource.get(RESOURCE_ROLE) == "flow-run":
            return str(_uuid(resource[RESOURCE_ID].removeprefix(_FLOW_RUN)))
    named = state.state_details.flow_run_id
    return str(named) if named is not None else None


@lru_cache(maxsize=4_096)
def _uuid(text: str) -> UUID:
    """Remembered, because the events of a batch name few runs many times."""
    return UUID(text)


def _present(tx: Tx, reports: list[_Report]) -> list[_Report]:
    """The reports whose flow run is there; it stays there to the end of the transaction."""
    wanted = {report.flow_run_id for report in reports if report.flow_run_id is not None}
    if not wanted:
        return reports
    found = {row["id"] for row in tx.all("recorder.flow_runs", ids=sorted(wanted))}
    if found == wanted:
        return reports
    kept = [report for report in reports if report.flow_run_id in found or not report.flow_run_id]
    _logger.warning(
        "%d events of task runs were not recorded because their flow runs are not there: %s",
        len(reports) - len(kept),
        ", ".join(sorted(wanted - found)),
    )
    return kept


def _grouped(reports: list[_Report]) -> list[_Group]:
    """By task run, in the order of ids, so that two batches lock rows in the same order."""
    groups: dict[str, _Group] = {}
    for report in reports:
        groups.setdefault(report.run_id, _Group(report.run_id, [])).reports.append(report)
    return [_ordered(groups[id]) for id in sorted(groups)]


def _ordered(group: _Group) -> _Group:
    group.reports.sort(key=lambda report: (report.timestamp, report.id))
    return group


def _located(tx: Tx, groups: list[_Group]) -> list[_Group]:
    """The groups with the rows they go to; two ids of the same flow run, task and key are one."""
    keys = [_key(group) for group in groups]
    known: dict[str, Row] = {}
    for row in tx.all("recorder.known", runs=keys):
        if row["wanted_id"] not in known or row["id"] == row["wanted_id"]:
            known[row["wanted_id"]] = row
    targets: dict[str, _Group] = {}
    by_key: dict[tuple[str, str, str], str] = {}
    for group, key in zip(groups, keys, strict=True):
        row = known.get(group.run_id)
        if row is not None:
            group.run_id, group.stored = row["id"], row["state_timestamp"]
        elif key["flow_run_id"] is not None:
            natural = (key["flow_run_id"], key["task_key"], key["dynamic_key"])
            group.run_id = by_key.setdefault(natural, group.run_id)
        same = targets.setdefault(group.run_id, group)
        if same is not group:
            same.reports += group.reports
            _ordered(same)
    return list(targets.values())


def _key(group: _Group) -> dict[str, Any]:
    newest = group.newest
    return {
        "id": group.run_id,
        "flow_run_id": newest.flow_run_id,
        "task_key": newest.run.task_key,
        "dynamic_key": newest.run.dynamic_key,
    }


def _moves(group: _Group) -> bool:
    return group.stored is None or group.newest.timestamp > group.stored


def _run_row(tx: Tx, group: _Group) -> dict[str, Any]:
    report = group.newest
    run, state = report.run, report.state
    return {
        "id": group.run_id,
        "flow_run_id": report.flow_run_id,
        "task_key": run.task_key,
        "dynamic_key": run.dynamic_key,
        "name": run.name,
        "cache_key": run.cache_key,
        "cache_expiration": aware(run.cache_expiration) if run.cache_expiration else None,
        "task_version": run.task_version,
        "task_inputs": run.task_inputs,
        "empirical_policy": run.empirical_policy,
        "tags": run.tags,
        "labels": run.labels or {},
        "flow_run_run_count": run.flow_run_run_count,
        "state_id": report.id,
        "state_type": state.type.value,
        "state_name": state.name or default_name(state.type),
        "state_timestamp": report.timestamp,
        "now": tx.now,
        **_times(report),
    }


def _times(report: _Report) -> dict[str, Any]:
    """Times and counters as the engine keeps them; what its last state implies is filled in."""
    run, state = report.run, report.state
    ends = state.type in TERMINAL
    begun = report.timestamp if ends or state.type is StateType.RUNNING else None
    scheduled = state.state_details.scheduled_time if state.type is StateType.SCHEDULED else None
    return {
        "run_count": run.run_count or 0,
        "start_time": aware(run.start_time) if run.start_time else begun,
        "end_time": aware(run.end_time or report.timestamp) if ends else None,
        "expected_start_time": aware(run.expected_start_time or scheduled or report.timestamp),
        "next_scheduled_start_time": scheduled,
        "total_run_time": run.total_run_time or 0.0,
    }


def _state_row(run_id: str, report: _Report) -> dict[str, Any]:
    state = report.state
    flow_run_id = _uuid(report.flow_run_id) if report.flow_run_id is not None else None
    return {
        "id": report.id,
        "task_run_id": run_id,
        "type": state.type.value,
        "name": state.name or default_name(state.type),
        "timestamp": report.timestamp,
        "message": state.message,
        "state_details": replace(
            state.state_details, task_run_id=_uuid(run_id), flow_run_id=flow_run_id
        ),
        "data": Raw(json.encode(state.data)) if is_persisted(state.data) else None,
    }


def _recount(tx: Tx, run_ids: list[str]) -> None:
    """Work out times and counters from all stored states, for engines that do not report them."""
    states: dict[str, list[Row]] = {id: [] for id in run_ids}
    for row in tx.all("recorder.states", ids=run_ids):
        states[row["task_run_id"]].append(row)
    tx.many("recorder.set_times", [_counted(id, rows) for id, rows in states.items()])


def _counted(run_id: str, rows: list[Row]) -> dict[str, Any]:
    run = Run(kind=RunKind.TASK_RUN, id=_uuid(run_id), policy=TaskRunPolicy())
    before: State | None = None
    for row in rows:
        details = json.decode(row["state_details"], StateDetails)
        placed = Proposal(
            type=StateType(row["type"]),
            name=row["name"],
            timestamp=row["timestamp"],
            details=details,
        )
        run = advanced(Facts(run=run, state=before, now=placed.timestamp, fresh_id=run.id), placed)
        before = State(type=placed.type, id=run.id, timestamp=placed.timestamp)
    return {
        "id": run_id,
        "run_count": run.run_count,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "expected_start_time": run.expected_start_time,
        "next_scheduled_start_time": run.next_scheduled_start_time,
        "total_run_time": run.total_run_time,
    }
