"""A run's row, as the statements `transition.*_run` read it, as values of the domain."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct

from penstock.base import json
from penstock.base.ids import uuid_of
from penstock.schemas.flow_runs import CreatedBy, FlowRunPolicy
from penstock.schemas.states import State, StateDetails, StateType
from penstock.schemas.task_runs import TaskRunPolicy
from penstock.server.domain.limits import usage_at
from penstock.server.domain.orchestration.facts import (
    Deployment,
    Limit,
    OnFull,
    Parent,
    Run,
    RunKind,
)
from penstock.server.domain.state_events import Subject
from penstock.server.store.columns import instant
from penstock.server.store.transaction import Row

_POLICIES = {RunKind.FLOW_RUN: FlowRunPolicy, RunKind.TASK_RUN: TaskRunPolicy}


def current_state(row: Row) -> State | None:
    """The state the run is in; its data stays JSON."""
    if row["state_id"] is None:
        return None
    return state_of(
        {
            "id": row["state_id"],
            "type": row["state_type"],
            "name": row["state_name"],
            "timestamp": row["state_timestamp"],
            "message": row["state_message"],
            "state_details": row["state_state_details"],
            "data": row["state_data"],
        },
        "",
    )


def state_of(row: Row, prefix: str) -> State:
    """The state in the columns that start with `prefix`."""
    details: Raw | None = row[f"{prefix}state_details"]
    return State(
        id=uuid_of(row[f"{prefix}id"]),
        type=StateType(row[f"{prefix}type"]),
        name=row[f"{prefix}name"],
        timestamp=row[f"{prefix}timestamp"],
        message=row[f"{prefix}message"],
        data=row[f"{prefix}data"],
        state_details=json.decode(details, StateDetails) if details else StateDetails(),
    )


def run_of(kind: RunKind, row: Row) -> Run:
    """What the rules know about the run itself."""
    fields: dict[str, Any] = {
        "run_count": row["run_count"],
        "start_time": row["start_time"],
        "end_time": row["end_time"],
        "expected_start_time": row["expected_start_time"],
        "next_scheduled_start_time": row["next_scheduled_start_time"],
        "total_run_time": row["total_run_time"],
    }
    if kind is RunKind.FLOW_RUN:
        fields["deployment_id"] = _uuid(row["deployment_id"])
        fields["parent_task_run_id"] = _uuid(row["parent_task_run_id"])
        fields["infrastructure_pid"] = row["infrastructure_pid"]
    else:
        fields["flow_run_id"] = _uuid(row["flow_run_id"])
        fields["flow_run_run_count"] = row["flow_run_run_count"]
    policy = json.decode(row["empirical_policy"], _POLICIES[kind])
    return Run(kind=kind, id=uuid_of(row["id"]), policy=policy, **fields)


_NOT_YET: Row = dict.fromkeys(
    (
        *("infrastructure_pid", "start_time", "end_time", "expected_start_time"),
        *("next_scheduled_start_time", "state_id", "state_type", "state_name", "state_timestamp"),
        *("limit_id", "answered_id"),
    )
) | {"version": 0, "run_count": 0, "total_run_time": 0.0}


def new_flow_run(
    values: Row, flow: Row, deployment: Row | None, queue: Row | None, parent: Row | None
) -> Row:
    """The row that `transition.flow_run` would read of a run about to be inserted from `values`.

    `deployment` is a row with `id`, `name` and `tags`, `queue` one with `work_queue_id`,
    `work_queue_name` and the columns of its pool, `parent` one of the task run that a subflow run
    stands for. No limit: a forced change takes no slot.
    """
    return {
        **_NOT_YET,
        **values,
        "flow_name": flow["name"],
        "flow_tags": flow["tags"],
        "found_deployment_id": deployment["id"] if deployment else None,
        "deployment_name": deployment["name"] if deployment else None,
        "deployment_tags": deployment["tags"] if deployment else None,
        "queue_id": queue["work_queue_id"] if queue else None,
        "queue_name": queue["queue_name"] if queue else None,
        "pool_id": queue["work_pool_id"] if queue else None,
        "pool_name": queue["work_pool_name"] if queue else None,
        "pool_type": queue["work_pool_type"] if queue else None,
        "parent_name": parent["name"] if parent else None,
        "parent_tags": parent["tags"] if parent else None,
    }


def parent_of(row: Row) -> Parent | None:
    """The flow run of a task run."""
    if row["parent_id"] is None:
        return None
    kind = row["parent_state_type"]
    details = StateDetails()
    if kind == StateType.PAUSED and row["parent_state_details"]:
        details = json.decode(row["parent_state_details"], StateDetails)
    return Parent(
        state_type=StateType(kind) if kind else None,
        run_count=row["parent_run_count"],
        pause_timeout=details.pause_timeout,
        pause_reschedule=details.pause_reschedule,
    )


class _Options(Struct, frozen=True, kw_only=True):
    """What a deployment says about its concurrency limit."""

    collision_strategy: OnFull = OnFull.ENQUEUE
    grace_period_seconds: float | None = None


class _Usage(Struct, frozen=True, kw_only=True):
    """A limit and its slots; `decayed` is in microseconds."""

    id: UUID
    name: str
    slot_limit: int
    active_slots: int
    decayed: int
    slot_decay_per_second: float
    held: bool


def deployment_of(row: Row, now: datetime, lease_seconds: float) -> Deployment | None:
    """The deployment of a flow run, with its limit as it stands at `now`.

    A lease lasts `lease_seconds` where the deployment does not say how long.
    """
    id = _uuid(row["deployment_id"])
    if id is None:
        return None
    if row["found_deployment_id"] is None:
        return Deployment(id=id, found=False)
    if row["limit_id"] is None:
        return Deployment(id=id)
    given = row["concurrency_options"]
    options = json.decode(given, _Options) if given is not None else _Options()
    decay, decayed = row["slot_decay_per_second"], row["decayed"]
    limit = Limit(
        id=uuid_of(row["limit_id"]),
        name=row["limit_name"],
        limit=row["slot_limit"],
        active=usage_at(now, row["active_slots"], decay, decayed).slots,
    )
    return Deployment(
        id=id,
        limit=limit,
        on_full=options.collision_strategy,
        grace_seconds=options.grace_period_seconds or lease_seconds,
    )


def tag_limits_of(row: Row, now: datetime) -> tuple[Limit, ...]:
    """The limits on the tags of a task run, always in the same order."""
    if row["tag_limits"] is None:
        return ()
    return tuple(
        Limit(
            id=one.id,
            name=one.name,
            limit=one.slot_limit,
            active=usage_at(
                now, one.active_slots, one.slot_decay_per_second, instant(one.decayed)
            ).slots,
            held=one.held,
        )
        for one in sorted(json.decode(row["tag_limits"], list[_Usage]), key=lambda one: one.id)
    )


def subject_of(row: Row, run_count: int) -> Subject:
    """What the event of a flow run's state change says about the run."""
    tags: set[str] = set()
    for column in ("tags", "flow_tags", "deployment_tags", "parent_tags"):
        held = row[column]
        if held is not None and bytes(held) != b"[]":
            tags.update(json.decode(held, list[str]))
    created_by = row["created_by"]
    return Subject(
        id=row["id"],
        name=row["name"],
        run_count=run_count,
        flow_id=row["flow_id"],
        flow_name=row["flow_name"],
        deployment_id=row["deployment_id"],
        deployment_name=row["deployment_name"],
        queue_id=row["queue_id"],
        queue_name=row["queue_name"],
        pool_id=row["pool_id"],
        pool_name=row["pool_name"],
        pool_type=row["pool_type"],
        parent_id=row["parent_task_run_id"] if row["parent_name"] is not None else None,
        parent_name=row["parent_name"],
        tags=frozenset(tags),
        created_by=json.decode(created_by, CreatedBy) if created_by is not None else None,
    )


def _uuid(value: str | None) -> UUID | None:
    return uuid_of(value) if value is not None else None
