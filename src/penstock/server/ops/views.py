"""Database rows as the objects of the contract.

The hot path of every list: ids stay text and documents stay `Raw` JSON, so that a row is encoded
without being decoded first. The objects made here are for answering; their fields are not of the
types that their classes declare, and nothing but the encoder should look at them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from penstock.base import json
from penstock.schemas.events import ReceivedEvent
from penstock.schemas.flow_runs import FlowRun, FlowRunInput
from penstock.schemas.flows import Flow
from penstock.schemas.logs import Log
from penstock.schemas.states import TERMINAL_STATES, State
from penstock.schemas.task_runs import TaskRun, TaskRunSummary
from penstock.server.store.columns import compiled, conversions, unpacking

Row = Mapping[str, Any]

_TERMINAL = frozenset(str(state) for state in TERMINAL_STATES)


def estimated_run_time(row: Row, now: datetime) -> float:
    """Seconds this run has been running in all, including the stretch that has not ended."""
    return _run_time(row["total_run_time"], row["state_type"], row["state_timestamp"], now)


def _run_time(total: float, type: str | None, since: datetime | None, now: datetime) -> float:
    if type == "RUNNING" and since is not None:
        return total + max((now - since).total_seconds(), 0.0)
    return total


def estimated_start_time_delta(row: Row, now: datetime) -> float:
    """Seconds this run started, or is still waiting to start, after it was expected to; or zero."""
    return _lateness(row["expected_start_time"], row["start_time"], row["state_type"], now)


def _lateness(
    expected: datetime | None, started: datetime | None, type: str | None, now: datetime
) -> float:
    if expected is None:
        return 0.0
    if started is None:
        if type in _TERMINAL:
            return 0.0
        started = now
    return (started - expected).total_seconds() if started > expected else 0.0


def current_state(row: Row) -> State | None:
    """The current state in a run row that carries the state's columns, if the run has a state."""
    if row["state_id"] is None:
        return None
    return State(
        type=row["state_type"],
        id=row["state_id"],
        name=row["state_name"],
        timestamp=row["state_timestamp"],
        message=row["state_message"],
        data=row["state_data"],
        state_details=row["state_state_details"],
    )


def state(row: Row) -> State:
    """A row of `flow_run_state` or `task_run_state`."""
    return State(
        type=row["type"],
        id=row["id"],
        name=row["name"],
        timestamp=row["timestamp"],
        message=row["message"],
        data=row["data"],
        state_details=row["state_details"],
    )


def flow(row: Row) -> Flow:
    return Flow(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        tags=row["tags"],
        labels=row["labels"],
    )


def flow_run(row: Row, now: datetime) -> FlowRun:
    """A flow run; `now` is the instant the estimates are made for.

    A row without the columns of the state is answered without it.
    """
    return FlowRun(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        flow_id=row["flow_id"],
        deployment_id=row["deployment_id"],
        deployment_version=row["deployment_version"],
        flow_version=row["flow_version"],
        parameters=row["parameters"],
        context=row["context"],
        empirical_policy=row["empirical_policy"],
        tags=row["tags"],
        labels=row["labels"],
        job_variables=row["job_variables"],
        idempotency_key=row["idempotency_key"],
        auto_scheduled=row["auto_scheduled"],
        created_by=row["created_by"],
        infrastructure_pid=row["infrastructure_pid"],
        infrastructure_document_id=row["infrastructure_document_id"],
        parent_task_run_id=row["parent_task_run_id"],
        work_pool_id=row["work_pool_id"],
        work_pool_name=row["work_pool_name"],
        # A queue that is gone leaves its id behind in its runs, which may be very many.
        work_queue_id=row["work_queue_id"] if row["work_pool_id"] is not None else None,
        work_queue_name=row["work_queue_name"],
        state_id=row["state_id"],
        state_type=row["state_type"],
        state_name=row["state_name"],
        run_count=row["run_count"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        expected_start_time=row["expected_start_time"],
        next_scheduled_start_time=row["next_scheduled_start_time"],
        total_run_time=row["total_run_time"],
        estimated_run_time=estimated_run_time(row, now),
        estimated_start_time_delta=estimated_start_time_delta(row, now),
        state=current_state(row) if "state_message" in row else None,
    )


def flow_runs(
    columns: tuple[str, ...], rows: Iterable[Sequence[Any]], now: datetime
) -> list[FlowRun]:
    """Many flow runs from the values of result rows with these columns, as `flow_run` makes one.

    Takes half the time, because no `Row` is made in between.
    """
    make = _flow_run_maker(columns)
    return [make(values, now) for values in rows]


@lru_cache(maxsize=16)
def _flow_run_maker(columns: tuple[str, ...]) -> Callable[[Sequence[Any], datetime], FlowRun]:
    given = conversions(columns)
    members = {name: given[name] for name in FlowRun.__struct_fields__ if name in given}
    # Used more than once, so converted before.
    names = ("expected_start_time", "start_time", "state_timestamp")
    instants = {name: given[name] for name in names}
    members |= {name: name for name in names if name in members}
    # A queue that is gone leaves its id behind in its runs, which may be very many.
    members["work_queue_id"] = (
        f"{given['work_queue_id']} if {given['work_pool_id']} is not None else None"
    )
    kind = given["state_type"]
    members["estimated_run_time"] = (
        f"_run_time({given['total_run_time']}, {kind}, state_timestamp, now)"
    )
    members["estimated_start_time_delta"] = (
        f"_lateness(expected_start_time, start_time, {kind}, now)"
    )
    state = {name: given[f"state_{name}"] for name in State.__struct_fields__}
    state["timestamp"] = "state_timestamp"
    members["state"] = f"State({_arguments(state)}) if {given['state_id']} is not None else None"
    lines = [
        "def make(values, now):",
        unpacking(columns),
        *(f"{name} = {value}" for name, value in instants.items()),
        f"return FlowRun({_arguments(members)})",
    ]
    return compiled(
        "make",
        "\n    ".join(lines),
        FlowRun=FlowRun,
        State=State,
        _run_time=_run_time,
        _lateness=_lateness,
    )


def _arguments(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def task_run(row: Row, now: datetime) -> TaskRun:
    """A task run with its current state; `now` is the instant the estimates are made for."""
    return TaskRun(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        flow_run_id=row["flow_run_id"],
        task_key=row["task_key"],
        dynamic_key=row["dynamic_key"],
        cache_key=row["cache_key"],
        cache_expiration=row["cache_expiration"],
        task_version=row["task_version"],
        task_inputs=row["task_inputs"],
        flow_run_run_count=row["flow_run_run_count"],
        empirical_policy=row["empirical_policy"],
        tags=row["tags"],
        labels=row["labels"],
        state_id=row["state_id"],
        state_type=row["state_type"],
        state_name=row["state_name"],
        run_count=row["run_count"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        expected_start_time=row["expected_start_time"],
        next_scheduled_start_time=row["next_scheduled_start_time"],
        total_run_time=row["total_run_time"],
        estimated_run_time=estimated_run_time(row, now),
        estimated_start_time_delta=estimated_start_time_delta(row, now),
        state=current_state(row),
    )


def task_run_summary(row: Row, now: datetime) -> TaskRunSummary:
    """The shorter form of a task run that pages of task runs hold."""
    return TaskRunSummary(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        flow_run_id=row["flow_run_id"],
        task_key=row["task_key"],
        task_version=row["task_version"],
        task_inputs=row["task_inputs"],
        empirical_policy=row["empirical_policy"],
        tags=row["tags"],
        state_id=row["state_id"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        total_run_time=row["total_run_time"],
        estimated_run_time=estimated_run_time(row, now),
        estimated_start_time_delta=estimated_start_time_delta(row, now),
        state=current_state(row),
    )


def flow_run_input(row: Row) -> FlowRunInput:
    return FlowRunInput(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        flow_run_id=row["flow_run_id"],
        key=row["key"],
        value=row["value"],
        sender=row["sender"],
    )


def log(row: Row) -> Log:
    # A log record never changes, so it was updated when it was made.
    return Log(
        id=row["id"],
        created=row["created"],
        updated=row["created"],
        name=row["name"],
        level=row["level"],
        message=row["message"],
        timestamp=row["timestamp"],
        flow_run_id=row["flow_run_id"],
        task_run_id=row["task_run_id"],
    )


def event(row: Row) -> ReceivedEvent:
    """An event with its place in the log and, where the server made it, who asked for it."""
    members: dict[str, Any] = {} if row["members"] is None else json.decode(row["members"])
    return ReceivedEvent(
        seq=row["seq"],
        **members,
        id=row["id"],
        occurred=row["occurred"],
        event=row["event"],
        resource=row["resource"],
        related=row["related"],
        payload=row["payload"],
        follows=row["follows"],
        received=row["received"],
    )
