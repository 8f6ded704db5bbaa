"""Making the runs of schedules ahead of their time.

Planning is worked out outside of any transaction and stored with its schedule's cursor, if that
is still where it was: of two that plan at once one stores, and a schedule or deployment that was
changed meanwhile is planned anew. Nobody asked for these runs, so they emit no event.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.errors import RequestInvalid
from penstock.schemas.flow_runs import FlowRunPolicy
from penstock.schemas.schedules import stored_schedule
from penstock.schemas.states import StateDetails
from penstock.server.domain.naming import name_for
from penstock.server.domain.schedules.catch_up import resumed
from penstock.server.domain.schedules.planning import NEVER, Dates, Horizon, Plan, plan
from penstock.server.ops.deployment_rows import catch_up_of
from penstock.server.ops.topics import work_topic
from penstock.server.store.columns import microseconds
from penstock.server.store.transaction import Row, Tx

TOPIC = "schedules"
"""Woken when there may be something to plan."""
AUTO_SCHEDULED = "auto-scheduled"
"""The tag of runs that the scheduler made."""
_REST = timedelta(seconds=60)
"""How long after its first runs the others of a new schedule are planned, at the latest."""
_POLICY = json.text(FlowRunPolicy())
_MESSAGE = "Planned by the deployment's schedule."
_FAILURES = (RequestInvalid, ValueError, ArithmeticError, LookupError, TypeError)


class Planned(Struct, frozen=True):
    """A plan of one schedule, and where its cursor was when it was made."""

    row: Row
    plan: Plan
    problem: str | None = None


def key_prefix(deployment_id: str, schedule_id: str) -> str:
    """What the idempotency keys of a schedule's runs begin with."""
    return f"scheduled {deployment_id} {schedule_id} "


def due_schedules(tx: Tx, now: datetime, limit: int) -> list[Row]:
    """Schedules to be planned, the longest due first."""
    return tx.all("deployment_schedule.due", now=now, limit=limit)


def planned(rows: Sequence[Row], now: datetime, horizon: Horizon) -> list[Planned]:
    """Plans of `rows`; equal schedules are worked out once.

    One that cannot be evaluated gets a plan without dates and its problem.
    """
    rows = [_resumed(row, now) for row in rows]
    start = min((_cursor(row, now) for row in rows), default=now)
    known: dict[bytes, Dates] = {}
    return [_planned(row, min(start, now), now, horizon, known) for row in rows]


def _resumed(row: Row, now: datetime) -> Row:
    """The schedule with `from_time`, behind which its planning goes on."""
    cursor = row["cursor_time"] or now
    policy = catch_up_of(row["catch_up"])
    if policy != "all" and cursor < now:
        with suppress(*_FAILURES):  # told when its dates are asked for
            cursor = resumed(stored_schedule(row["schedule"]), cursor, now, policy)
    return {**row, "from_time": cursor}


def _planned(
    row: Row, start: datetime, now: datetime, horizon: Horizon, known: dict[bytes, Dates]
) -> Planned:
    try:
        document = bytes(row["schedule"])
        dates = known.get(document)
        if dates is None:
            dates = known[document] = Dates(stored_schedule(row["schedule"]), start)
        if row["cursor_time"] != row["due"] or horizon.first_seconds is None:
            return Planned(row, plan(dates, _cursor(row, now), now, horizon, _share(row["id"])))
        first = plan(dates, _cursor(row, now), now, horizon.at_first())
        return Planned(row, Plan(first.dates, _soon(first.due, now)))
    except _FAILURES as error:
        # Whatever is wrong with it is wrong with this schedule alone, and stays until it is
        # changed.
        return Planned(row, Plan([], NEVER), f"{type(error).__name__}: {error}"[:1000])


def _soon(due: datetime, now: datetime) -> datetime:
    """When a new schedule is planned in full; never, when it has no more dates."""
    return due if due == NEVER else min(due, now + _REST)


def _share(id: str) -> float:
    """A number from 0 to 1 that is always the same for a schedule: the end of its id is random."""
    return int(id[-4:], 16) / 0xFFFF


def _cursor(row: Row, now: datetime) -> datetime:
    return row.get("from_time") or row["cursor_time"] or now


def store_plans(tx: Tx, plans: Sequence[Planned]) -> int:
    """Insert the runs of plans whose schedules are as they were; how many runs were inserted.

    Costs four statements however many runs there are.
    """
    # What runs are made of is read before the claim: whoever changes it meanwhile moves the
    # cursors in the same transaction, so that the claim fails, or waits and takes the runs back.
    sources = _sources(tx, [one for one in plans if one.plan.dates])
    claimed = {
        row["id"]
        for row in tx.all("deployment_schedule.claim", plans=[_claim(one) for one in plans])
    }
    return _insert(tx, [one for one in plans if one.row["id"] in claimed], sources)


def plan_deployment(tx: Tx, id: str, start: datetime, horizon: Horizon) -> int:
    """Make runs of a deployment's active schedules for the dates from `start` on.

    The schedules' cursors stay where they are: the keys of the runs keep each date to one run.
    """
    plans = planned(
        [
            {**row, "cursor_time": start - timedelta(microseconds=1), "catch_up": None}
            for row in tx.all("deployment_schedule.active_of", deployment_id=id)
        ],
        start,
        horizon,
    )
    return _insert(tx, plans, _sources(tx, plans))


def _sources(tx: Tx, plans: Sequence[Planned]) -> dict[str, Row]:
    """What the runs of some plans are made of, by schedule."""
    ids = [one.row["id"] for one in plans]
    rows = tx.all("deployment_schedule.sources", ids=ids) if ids else ()
    return {row["schedule_id"]: row for row in rows}


def _insert(tx: Tx, plans: Sequence[Planned], sources: dict[str, Row]) -> int:
    known = [one for one in plans if one.plan.dates and one.row["id"] in sources]
    if not known:
        return 0
    runs = [run for one in known for run in _runs(tx, sources[one.row["id"]], one.plan.dates)]
    inserted = tx.many("deployment_schedule.insert_run", runs)
    tx.many("deployment_schedule.insert_state", runs)
    pools = {sources[one.row["id"]]["work_pool_id"] for one in known} - {None}
    for work_pool_id in pools if inserted else ():
        tx.wake(work_topic(work_pool_id))
    return inserted


def _claim(one: Planned) -> dict[str, Any]:
    row = one.row
    last = one.plan.dates[-1] if one.plan.dates else row["cursor_time"]
    return {
        "id": row["id"],
        "seen_due": microseconds(row["due"]),
        "seen_cursor": _instant(row["cursor_time"]),
        "cursor_time": _instant(last),
        "due": microseconds(one.plan.due),
        "problem": one.problem,
    }


def _instant(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment)


def _runs(tx: Tx, source: Row, dates: Iterable[datetime]) -> Iterable[dict[str, Any]]:
    """The parameters of both statements for each run."""
    prefix = key_prefix(source["deployment_id"], source["schedule_id"])
    shared = {**_shared(source), "message": _MESSAGE, "now": microseconds(tx.now)}
    for date in dates:
        id = uuid7()
        yield {
            **shared,
            "id": str(id),
            "state_id": str(uuid7()),
            "name": name_for(id.int & 0xFFFF_FFFF),
            "key": prefix + date.isoformat(),
            "time": microseconds(date),
            "details": json.text(StateDetails(flow_run_id=id, scheduled_time=date)),
        }


def _shared(source: Row) -> dict[str, Any]:
    """What the runs of one schedule have in common."""
    parameters = source["parameters"]
    if bytes(source["schedule_parameters"]) != b"{}":
        overrides = json.decode(source["schedule_parameters"])
        parameters = json.encode({**json.decode(parameters), **overrides})
    tags = [AUTO_SCHEDULED, *json.decode(source["tags"])]
    labels = {
        **(json.decode(source["labels"]) or {}),
        "prefect.flow.id": source["flow_id"],
        "prefect.deployment.id": source["deployment_id"],
    }
    created_by = {
        "id": source["schedule_id"],
        "type": "SCHEDULE",
        "display_value": source["slug"] or type(stored_schedule(source["schedule"])).__name__,
    }
    copied = (
        "flow_id",
        "deployment_id",
        "version",
        "infrastructure_document_id",
        "work_queue_id",
        "work_queue_name",
    )
    return {
        **{name: source[name] for name in copied},
        "parameters": bytes(parameters).decode(),
        "policy": _POLICY,
        "tags": json.text(list(dict.fromkeys(tags))),
        "labels": json.text(labels),
        "created_by": json.text(created_by),
    }
