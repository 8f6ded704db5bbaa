"""Version 1 of concurrency limits: limits on task tags, which are the limits `tag:<tag>`.

Its slots are held by task runs, each under a lease of a hundred years, so a task run holds at
most one slot of a limit and is given back by name.
"""

from collections.abc import Iterable, Mapping, Sequence

from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.limits import (
    ConcurrencyLeaseHolder,
    ConcurrencyLimit,
    ConcurrencyLimitCreate,
    ConcurrencyLimitsPage,
    MinimalConcurrencyLimitResponse,
    TaggedSlotsDecrement,
    TaggedSlotsIncrement,
    TaggedSlotsReset,
)
from penstock.server.domain.limits import TAG
from penstock.server.ops import limits
from penstock.server.ops.context import Context, Made
from penstock.server.ops.deployment_limits import delete_shared_limit
from penstock.server.ops.limits import Denied
from penstock.server.ops.paging import page_limit
from penstock.server.store.transaction import Row, Tx

LEASE_SECONDS = 100 * 365 * 86_400.0
_TASK_RUN = "task_run"


def create_concurrency_limit(
    tx: Tx, context: Context, *, body: ConcurrencyLimitCreate
) -> Made[ConcurrencyLimit]:
    """The limit of that tag with that many slots, made or changed."""
    if body.concurrency_limit < 0:
        raise RequestInvalid(
            f"the concurrency limit of tag {body.tag!r} is {body.concurrency_limit}; "
            "send zero or more"
        )
    name = TAG + body.tag
    found = tx.one("concurrency.get_by_name", name=name)
    row = tx.one("concurrency.lock", id=found["id"]) if found is not None else None
    if row is None:
        row = limits.insert_limit(tx, context, name, body.concurrency_limit)
        return Made(_views(tx, [row])[0], True)
    row = limits.change_limit(tx, context, row, {"slot_limit": body.concurrency_limit})
    return Made(_views(tx, [row])[0], False)


def read_concurrency_limit(tx: Tx, context: Context, id: str) -> ConcurrencyLimit:
    return _views(tx, [_by_id(tx, id)])[0]


def read_concurrency_limit_by_tag(tx: Tx, context: Context, tag: str) -> ConcurrencyLimit:
    return _views(tx, [_by_tag(tx, tag)])[0]


def read_concurrency_limits(
    tx: Tx, context: Context, *, body: ConcurrencyLimitsPage | None = None
) -> list[ConcurrencyLimit]:
    """A page of the limits by tag."""
    body = body or ConcurrencyLimitsPage()
    rows = tx.all(
        "concurrency.page_of_tags", limit=page_limit(context, body.limit), offset=body.offset
    )
    return _views(tx, rows)


def delete_concurrency_limit(tx: Tx, context: Context, id: str) -> None:
    delete_shared_limit(tx, context, _by_id(tx, id))


def delete_concurrency_limit_by_tag(tx: Tx, context: Context, tag: str) -> None:
    delete_shared_limit(tx, context, _by_tag(tx, tag))


def reset_concurrency_limit_by_tag(
    tx: Tx, context: Context, tag: str, *, body: TaggedSlotsReset | None = None
) -> None:
    """Give all slots back, however they are held; then only the task runs of `slot_override`
    hold one."""
    row = _by_tag(tx, tag)
    tx.one("concurrency.lock", id=row["id"])
    tx.run("concurrency.detach_all", limit_id=row["id"])
    tx.run("concurrency.set_slots", id=row["id"], active_slots=0, decayed=tx.now)
    holders = (body.slot_override if body is not None else None) or ()
    for id in dict.fromkeys(holders):
        holder = ConcurrencyLeaseHolder(id=id, type=_TASK_RUN)
        limits.insert_lease(tx, [row], 1, LEASE_SECONDS, holder)


def increment_concurrency_limits_v1(
    tx: Tx, context: Context, *, body: TaggedSlotsIncrement
) -> list[MinimalConcurrencyLimitResponse] | Denied:
    """One slot of each tag's limit for the task run; one that it holds already is not taken twice.

    A limit of 0 denies everybody.
    """
    rows = tx.all("concurrency.lock_named", names=_names(body.names))
    held = {lease["limit_id"] for lease in _held(tx, rows, str(body.task_run_id))}
    wanted = [row for row in rows if row["id"] not in held]
    denied = limits.denial(tx, context, wanted, 1)
    if denied is not None:
        return denied
    if wanted:
        holder = ConcurrencyLeaseHolder(id=body.task_run_id, type=_TASK_RUN)
        limits.insert_lease(tx, wanted, 1, LEASE_SECONDS, holder)
    return limits.minimal(rows)


def decrement_concurrency_limits_v1(
    tx: Tx, context: Context, *, body: TaggedSlotsDecrement
) -> list[MinimalConcurrencyLimitResponse]:
    """Give back what the task run holds of these tags' limits."""
    rows = tx.all("concurrency.lock_named", names=_names(body.names))
    for lease in _held(tx, rows, str(body.task_run_id)):
        seconds = body.occupancy_seconds
        if seconds is None:
            seconds = (tx.now - lease["created"]).total_seconds()
        limits.count_occupancy(tx, [lease["limit_id"]], seconds)
        tx.run("concurrency.detach_lease", id=lease["id"], limit_id=lease["limit_id"])
    return limits.minimal(rows)


def _held(tx: Tx, rows: Sequence[Row], task_run_id: str) -> list[Row]:
    if not rows:
        return []
    return tx.all(
        "concurrency.held_by",
        holder_type=_TASK_RUN,
        holder_id=task_run_id,
        ids=[row["id"] for row in rows],
    )


def _names(tags: Iterable[str]) -> list[str]:
    return sorted({TAG + tag.removeprefix(TAG) for tag in tags})


def _by_id(tx: Tx, id: str) -> Row:
    row = tx.one("concurrency.get", id=id)
    if row is None or not row["name"].startswith(TAG):
        raise ObjectMissing(f"no tag has a concurrency limit with the id {id}; list limits")
    return row


def _by_tag(tx: Tx, tag: str) -> Row:
    row = tx.one("concurrency.get_by_name", name=TAG + tag)
    if row is None:
        raise ObjectMissing(f"the tag {tag!r} has no concurrency limit; list limits")
    return row


def _views(tx: Tx, rows: Sequence[Row]) -> list[ConcurrencyLimit]:
    holders = _holders(tx, rows)
    return [
        ConcurrencyLimit(
            id=row["id"],
            created=row["created"],
            updated=row["updated"],
            tag=row["name"].removeprefix(TAG),
            concurrency_limit=row["slot_limit"],
            active_slots=holders.get(row["id"], []),
        )
        for row in rows
    ]


def _holders(tx: Tx, rows: Sequence[Row]) -> Mapping[str, list]:
    """The task runs that hold slots of each limit, by the limit's id."""
    found: dict[str, list] = {}
    if rows:
        for lease in tx.all("concurrency.holders", ids=[row["id"] for row in rows]):
            if lease["holder_type"] == _TASK_RUN:
                found.setdefault(lease["limit_id"], []).append(lease["holder_id"])
    return found
