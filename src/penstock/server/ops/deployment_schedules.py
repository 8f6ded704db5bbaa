"""Schedules of deployments: their routes, and how a request's schedules meet the stored ones.

A schedule that stays the same keeps its id and its planned runs. One that changes keeps its id;
its planned runs are made anew. Runs are planned from the change on.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.deployments import (
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
)
from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.schedules import AnySchedule, IntervalSchedule, stored_schedule
from penstock.server.domain.schedules.dates import check
from penstock.server.domain.schedules.planning import NEVER
from penstock.server.ops.context import Context
from penstock.server.ops.deployment_rows import (
    equal_values,
    existing_deployment,
    locked_deployment,
    record_schedule,
    schedule_view,
    stored_catch_up,
)
from penstock.server.ops.planning import TOPIC, key_prefix
from penstock.server.store.transaction import Row, Tx

_BEGINNING = NEVER.replace(year=1970)
_PLANNED_BY = frozenset({"schedule", "active", "parameters"})
"""Columns that planned runs depend on."""


def read_deployment_schedules(tx: Tx, context: Context, id: str) -> list[DeploymentSchedule]:
    """The schedules of a deployment, the one changed last first."""
    existing_deployment(tx, id)
    return [schedule_view(row) for row in tx.all("deployment_schedule.of", deployment_id=id)]


def create_deployment_schedules(
    tx: Tx, context: Context, id: str, *, body: list[DeploymentScheduleCreate]
) -> list[DeploymentSchedule]:
    """Add schedules to a deployment. A slug that is taken is an `ObjectConflict`."""
    deployment = locked_deployment(tx, id)
    existing = tx.all("deployment_schedule.of", deployment_id=id)
    _refuse_twice([row["slug"] for row in existing] + [one.slug for one in body], ObjectConflict)
    rows = [_insert(tx, context, deployment, one) for one in body]
    return [schedule_view(row) for row in rows]


def update_deployment_schedule(
    tx: Tx, context: Context, id: str, schedule_id: str, *, body: DeploymentScheduleUpdate
) -> None:
    deployment = locked_deployment(tx, id)
    row = _existing(tx, id, schedule_id)
    if isinstance(body.slug, str) and body.slug != row["slug"]:
        others = tx.all("deployment_schedule.of", deployment_id=id)
        _refuse_twice([one["slug"] for one in others] + [body.slug], ObjectConflict)
    _update(tx, context, deployment, row, body)


def delete_deployment_schedule(tx: Tx, context: Context, id: str, schedule_id: str) -> None:
    """Delete a schedule and the runs it made that were not started."""
    deployment = locked_deployment(tx, id)
    _remove(tx, context, deployment, _existing(tx, id, schedule_id), None)


def check_schedules(schedules: Sequence[Any]) -> None:
    """Refuse (422) schedules that cannot be evaluated.

    May take seconds for a rule that never happens; what was checked once costs nothing again.
    """
    for one in schedules:
        schedule = getattr(one, "schedule", one)
        if schedule is not None and schedule is not UNSET:
            _check(json.encode(schedule))


@lru_cache(maxsize=2048)
def _check(document: bytes) -> None:
    check(stored_schedule(Raw(document)))


# --- a deployment's schedules as a whole ---------------------------------------------------------


def put_schedules(
    tx: Tx,
    context: Context,
    deployment: Row,
    wanted: Sequence[DeploymentScheduleCreate],
    *,
    stale: bool,
    new: bool = False,
) -> list[Row]:
    """Give the deployment exactly the `wanted` schedules, and return them.

    A stored one is the same as a wanted one by its slug, or else by all that it says. With
    `stale` even the runs of schedules that stay the same are made anew.
    """
    _refuse_twice([one.slug for one in wanted], ObjectConflict)
    left = [] if new else tx.all("deployment_schedule.of", deployment_id=deployment["id"])
    matched: list[tuple[DeploymentScheduleCreate, Row | None]] = []
    for one in sorted(wanted, key=lambda one: one.slug is None and one.replaces is None):
        row = _same(one, left)
        if row is not None:
            left.remove(row)
        matched.append((one, row))
    for row in left:
        _remove(tx, context, deployment, row, None)
    if stale:
        _make_anew(tx, deployment)
    return [
        _insert(tx, context, deployment, one)
        if row is None
        else _update(tx, context, deployment, row, _as_update(one))
        for one, row in matched
    ]


def merge_schedules(
    tx: Tx,
    context: Context,
    deployment: Row,
    wanted: Sequence[DeploymentScheduleUpdate],
    *,
    stale: bool,
) -> None:
    """Change the schedules by slug when all have one, else put the wanted in their place.

    Refuses (422) to guess: schedules without a slug where the stored ones have slugs, a slug
    given twice, a new schedule that does not say when it runs.
    """
    existing = tx.all("deployment_schedule.of", deployment_id=deployment["id"])
    by_slug = bool(existing) and all(row["slug"] is not None for row in existing)
    if not (wanted and by_slug):
        creates = [_as_create(one) for one in wanted]
        _refuse_twice([one.slug for one in creates], RequestInvalid)
        put_schedules(tx, context, deployment, creates, stale=stale)
        return
    if any(not isinstance(one.slug, str) for one in wanted):
        raise RequestInvalid(
            f"the schedules of deployment {deployment['name']!r} have slugs, so each schedule "
            "in the request needs one; give the slug of the schedule it is, or a new one"
        )
    if stale:
        _make_anew(tx, deployment)
    _merge_by_slug(tx, context, deployment, {row["slug"]: row for row in existing}, wanted)


def _merge_by_slug(
    tx: Tx,
    context: Context,
    deployment: Row,
    existing: dict[str, Row],
    wanted: Sequence[DeploymentScheduleUpdate],
) -> None:
    targets = [_target(existing, one) for one in wanted]
    ids = [row["id"] for row in targets if row is not None]
    untouched = [slug for slug, row in existing.items() if row["id"] not in ids]
    _refuse_twice(untouched + [one.slug for one in wanted], RequestInvalid)
    if len(set(ids)) < len(ids):
        raise RequestInvalid("two schedules of the request mean the same stored one; drop one")
    for one, row in zip(wanted, targets, strict=True):
        if row is None:
            _insert(tx, context, deployment, _as_create(one))
        else:
            _update(tx, context, deployment, row, one)


def _target(existing: dict[str, Row], one: DeploymentScheduleUpdate) -> Row | None:
    """The stored schedule that is to change: the one it replaces, or the one of its slug."""
    if isinstance(one.replaces, str) and one.replaces in existing:
        return existing[one.replaces]
    return existing.get(str(one.slug))


def remove_schedules(tx: Tx, context: Context, deployment: Row, *, caused_by: UUID) -> None:
    """Delete all schedules of a deployment that is about to go."""
    for row in tx.all("deployment_schedule.of", deployment_id=deployment["id"]):
        _remove(tx, context, deployment, row, caused_by)


# --- single rows ---------------------------------------------------------------------------------


def _insert(tx: Tx, context: Context, deployment: Row, one: DeploymentScheduleCreate) -> Row:
    schedule = _anchored(tx, one.schedule, None)
    check_schedules([schedule])
    row: Row = {
        "id": str(uuid7()),
        "deployment_id": deployment["id"],
        "schedule": Raw(json.encode(schedule)),
        "active": one.active,
        "slug": one.slug,
        "parameters": Raw(json.encode(one.parameters)),
        "max_scheduled_runs": one.max_scheduled_runs,
        "catch_up": stored_catch_up(one.catch_up),
        "cursor_time": tx.now,
        "due": _due(tx, deployment, one.active),
    }
    tx.run("deployment_schedule.insert", now=tx.now, **row)
    row |= {"created": tx.now, "updated": tx.now, "problem": None}
    record_schedule(tx, context, "created", deployment, after=row)
    tx.wake(TOPIC)
    return row


def _update(
    tx: Tx, context: Context, deployment: Row, row: Row, one: DeploymentScheduleUpdate
) -> Row:
    """Write what `one` changes of a schedule; returns it as it is then."""
    changed = {
        name: value
        for name, value in _given(tx, row, one).items()
        if not equal_values(row[name], value)
    }
    if not changed:
        return row
    after = {**row, **changed, "updated": tx.now, "problem": None}
    if changed.keys() & _PLANNED_BY:
        if "schedule" in changed:
            check_schedules([stored_schedule(after["schedule"])])
        after["cursor_time"] = tx.now
        after["due"] = _due(tx, deployment, after["active"])
        _take_back(tx, row, tx.now if after["active"] else _BEGINNING)
        tx.wake(TOPIC)
    tx.run(
        "deployment_schedule.update",
        id=row["id"],
        now=tx.now,
        **{
            name: after[name]
            for name in (
                "schedule",
                "active",
                "slug",
                "parameters",
                "max_scheduled_runs",
                "catch_up",
                "cursor_time",
                "due",
            )
        },
    )
    record_schedule(tx, context, "updated", deployment, before=row, after=after)
    return after


def _remove(tx: Tx, context: Context, deployment: Row, row: Row, caused_by: UUID | None) -> None:
    tx.run("deployment_schedule.delete", id=row["id"])
    _take_back(tx, row, _BEGINNING)
    record_schedule(tx, context, "deleted", deployment, before=row, caused_by=caused_by)


def _take_back(tx: Tx, row: Row, after: Any) -> None:
    """Delete the runs that a schedule planned for later than `after` and nothing has touched."""
    tx.run(
        "deployment.delete_future_runs_of_schedule",
        id=row["deployment_id"],
        after=after,
        keys=key_prefix(row["deployment_id"], row["id"]) + "%",
    )


def _make_anew(tx: Tx, deployment: Row) -> None:
    tx.run(
        "deployment_schedule.restart",
        deployment_id=deployment["id"],
        planned=not deployment["paused"],
        never=NEVER,
        now=tx.now,
    )
    tx.run("deployment.delete_future_runs", id=deployment["id"], after=tx.now)
    tx.wake(TOPIC)


def _due(tx: Tx, deployment: Row, active: bool) -> Any:
    return tx.now if active and not deployment["paused"] else NEVER


def _existing(tx: Tx, id: str, schedule_id: str) -> Row:
    row = tx.one("deployment_schedule.get", id=schedule_id, deployment_id=id)
    if row is None:
        raise ObjectMissing(
            f"deployment {id} has no schedule {schedule_id}; list its schedules to find it"
        )
    return row


def _given(tx: Tx, row: Row, one: DeploymentScheduleUpdate) -> dict[str, Any]:
    """The columns that a change names. What is never null stays as it is for null."""
    values: dict[str, Any] = {}
    if one.schedule is not UNSET and one.schedule is not None:
        schedule = _anchored(tx, one.schedule, row)
        values["schedule"] = Raw(json.encode(schedule))
    if isinstance(one.active, bool):
        values["active"] = one.active
    if one.parameters is not UNSET:
        values["parameters"] = Raw(json.encode(one.parameters))
    for name in ("slug", "max_scheduled_runs"):
        if getattr(one, name) is not UNSET:
            values[name] = getattr(one, name)
    if one.catch_up is not UNSET:
        values["catch_up"] = stored_catch_up(one.catch_up)
    return values


def _anchored(tx: Tx, schedule: AnySchedule, row: Row | None) -> AnySchedule:
    """An interval's anchor, where none was given, is the stored one or now."""
    if not isinstance(schedule, IntervalSchedule) or schedule.anchor_date is not UNSET:
        return schedule
    stored = stored_schedule(row["schedule"]) if row is not None else None
    anchor = stored.anchor_date if isinstance(stored, IntervalSchedule) else tx.now
    return IntervalSchedule(
        interval=schedule.interval, anchor_date=anchor, timezone=schedule.timezone
    )


def _same(one: DeploymentScheduleCreate, rows: Sequence[Row]) -> Row | None:
    for slug in (one.slug, one.replaces):
        found = next((row for row in rows if slug is not None and row["slug"] == slug), None)
        if found is not None:
            return found
    if one.slug is not None:
        return None
    alike = [row for row in rows if row["slug"] is None and _says(one, row)]
    return alike[0] if alike else None


def _says(one: DeploymentScheduleCreate, row: Row) -> bool:
    """Whether a stored schedule runs at the same times with the same parameters."""
    stored = stored_schedule(row["schedule"])
    wanted = one.schedule
    if isinstance(wanted, IntervalSchedule) and wanted.anchor_date is UNSET:
        if not isinstance(stored, IntervalSchedule):
            return False
        return (stored.interval, stored.timezone) == (wanted.interval, wanted.timezone)
    return stored == wanted and equal_values(row["parameters"], one.parameters)


def _as_update(one: DeploymentScheduleCreate) -> DeploymentScheduleUpdate:
    return DeploymentScheduleUpdate(
        schedule=one.schedule,
        active=one.active,
        slug=one.slug,
        parameters=one.parameters,
        max_scheduled_runs=one.max_scheduled_runs,
        catch_up=one.catch_up,
    )


def _as_create(one: DeploymentScheduleUpdate) -> DeploymentScheduleCreate:
    if one.schedule is UNSET or one.schedule is None:
        named = f" {one.slug!r}" if isinstance(one.slug, str) else ""
        raise RequestInvalid(f"the new schedule{named} does not say when it runs; give `schedule`")
    return DeploymentScheduleCreate(
        schedule=one.schedule,
        active=one.active if isinstance(one.active, bool) else True,
        slug=one.slug if isinstance(one.slug, str) else None,
        replaces=one.replaces if isinstance(one.replaces, str) else None,
        parameters={} if one.parameters is UNSET else one.parameters,
        max_scheduled_runs=(
            one.max_scheduled_runs if isinstance(one.max_scheduled_runs, int) else None
        ),
        catch_up=one.catch_up,
    )


def _refuse_twice(slugs: Sequence[Any], kind: type[ObjectConflict] | type[RequestInvalid]) -> None:
    given = [slug for slug in slugs if isinstance(slug, str)]
    twice = sorted({slug for slug in given if given.count(slug) > 1})
    if twice:
        raise kind(f"the schedule slug {twice[0]!r} is used twice in the deployment; rename one")
