"""Concurrency limits: their definition, and taking and giving back their slots.

Slots are taken of all named limits or of none. Names without a limit, or with an inactive one,
limit nothing and are passed over. A lease is rows, one for each of its limits; the database
counts their slots (see the migration), so that no path can lose or double one.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct

from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectGone, ObjectMissing, RequestInvalid
from penstock.schemas.limits import (
    ConcurrencyLeaseHolder,
    ConcurrencyLimitsPage,
    ConcurrencyLimitV2,
    ConcurrencyLimitV2Create,
    ConcurrencyLimitV2Update,
    ConcurrencyLimitWithLeaseResponse,
    GlobalConcurrencyLimitResponse,
    LeaseRelease,
    LeaseRenewal,
    MinimalConcurrencyLimitResponse,
    Mode,
    SlotsDecrement,
    SlotsIncrement,
    SlotsIncrementWithLease,
)
from penstock.server.domain.limits import (
    SHORTEST_OCCUPANCY,
    TAG,
    Usage,
    expected_wait,
    usage_at,
)
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context
from penstock.server.ops.paging import page_limit
from penstock.server.store.transaction import Row, Tx

_DEFINITION = ("name", "slot_limit", "active", "slot_decay_per_second")


class Denied(Struct, frozen=True):
    """Slots that were not free. The denial is counted, so it is a result and no error.

    `wait_seconds` is the longest time worth waiting before asking again.
    """

    detail: str
    wait_seconds: float


# --- definition ----------------------------------------------------------------------------------


def create_concurrency_limit_v2(
    tx: Tx, context: Context, *, body: ConcurrencyLimitV2Create
) -> ConcurrencyLimitV2:
    """A new limit. A taken name is an `ObjectConflict`."""
    return v2(
        insert_limit(
            tx,
            context,
            body.name,
            body.limit,
            active=body.active,
            active_slots=body.active_slots,
            denied_slots=body.denied_slots,
            slot_decay_per_second=body.slot_decay_per_second,
        ),
        tx,
    )


def insert_limit(
    tx: Tx, context: Context, name: str, limit: int, *, caused_by: UUID | None = None, **fields: Any
) -> Row:
    """Insert a limit and return its row; unnamed fields have the values of an unused limit."""
    row = {
        "id": str(uuid7()),
        "name": name,
        "slot_limit": limit,
        "active": True,
        "active_slots": 0,
        "denied_slots": 0,
        "slot_decay_per_second": 0.0,
        **fields,
    }
    tx.run("concurrency.insert", now=tx.now, **row)
    row = {
        **row,
        "avg_slot_occupancy_seconds": 2.0,
        "decayed": tx.now,
        "created": tx.now,
        "updated": tx.now,
    }
    _record(tx, context, "created", after=row, caused_by=caused_by)
    return row


def read_concurrency_limit_v2(
    tx: Tx, context: Context, id_or_name: str
) -> GlobalConcurrencyLimitResponse:
    return global_limit(found_limit(tx, id_or_name), tx)


def read_all_concurrency_limits_v2(
    tx: Tx, context: Context, *, body: ConcurrencyLimitsPage | None = None
) -> list[GlobalConcurrencyLimitResponse]:
    """A page of the limits by name."""
    body = body or ConcurrencyLimitsPage()
    rows = tx.all("concurrency.page", limit=page_limit(context, body.limit), offset=body.offset)
    return [global_limit(row, tx) for row in rows]


def update_concurrency_limit_v2(
    tx: Tx, context: Context, id_or_name: str, *, body: ConcurrencyLimitV2Update
) -> None:
    """Change what is given. Equal values change nothing and emit nothing.

    Taken slots set by hand below what leases hold take the oldest leases off the limit.
    """
    found = found_limit(tx, id_or_name)
    row = tx.one("concurrency.lock", id=found["id"])
    if row is None:
        raise _missing(id_or_name)
    given = {
        column: value
        for column, value in (
            ("name", body.name),
            ("slot_limit", body.limit),
            ("active", body.active),
            ("active_slots", body.active_slots),
            ("denied_slots", body.denied_slots),
            ("slot_decay_per_second", body.slot_decay_per_second),
        )
        if value is not UNSET and value is not None
    }
    change_limit(tx, context, row, given)


def change_limit(tx: Tx, context: Context, row: Row, given: dict[str, Any]) -> Row:
    """Set columns of the locked limit `row`; returns the new row."""
    usage = _usage(row, tx)
    current = {**row, "active_slots": usage.slots, "decayed": usage.decayed}
    changed = {**current, **given}
    if all(current[column] == value for column, value in given.items()):
        return row
    if "active_slots" in given:
        changed["decayed"] = tx.now
        _detach(tx, row["id"], given["active_slots"])
    tx.run(
        "concurrency.update",
        id=row["id"],
        now=tx.now,
        **{
            column: changed[column]
            for column in (*_DEFINITION, "active_slots", "denied_slots", "decayed")
        },
    )
    _record(tx, context, "updated", before=current, after=changed)
    return {**changed, "updated": tx.now}


def _detach(tx: Tx, id: str, slots: int) -> None:
    """Take leases off a limit, the oldest first, until the rest hold no more than `slots`."""
    leases = tx.all("concurrency.leases_of", limit_id=id)
    held = sum(lease["slots"] for lease in leases)
    for lease in leases:
        if held <= slots:
            return
        tx.run("concurrency.detach_lease", id=lease["id"], limit_id=id)
        held -= lease["slots"]


def delete_limit(
    tx: Tx,
    context: Context,
    row: Row,
    *,
    event_id: UUID | None = None,
    caused_by: UUID | None = None,
) -> None:
    """Delete the limit in `row`, which no deployment has any more; leases stay renewable."""
    tx.run("concurrency.delete", id=row["id"])
    _record(tx, context, "deleted", before=row, event_id=event_id, caused_by=caused_by)


def found_limit(tx: Tx, id_or_name: str) -> Row:
    """The limit of that id, or else of that name."""
    id = _canonical(id_or_name)
    row = tx.one("concurrency.get", id=id) if id is not None else None
    row = row or tx.one("concurrency.get_by_name", name=id_or_name)
    if row is None:
        raise _missing(id_or_name)
    return row


def _canonical(text: str) -> str | None:
    """`text` as an id is stored, None when it is none."""
    try:
        return str(UUID(text))
    except ValueError:
        return None


def _missing(id_or_name: str) -> ObjectMissing:
    return ObjectMissing(
        f"no concurrency limit has the id or name {id_or_name!r}; list limits to find it"
    )


def _record(
    tx: Tx,
    context: Context,
    action: str,
    *,
    before: Row | None = None,
    after: Row | None = None,
    event_id: UUID | None = None,
    caused_by: UUID | None = None,
) -> None:
    row = after or before
    assert row is not None, "a change has a limit before or after it"
    record(
        tx,
        context,
        Change(
            kind="concurrency-limit",
            action=action,
            id=row["id"],
            name=row["name"],
            before=before and _snapshot(before),
            after=after and _snapshot(after),
            payload={
                "name": row["name"],
                "limit": row["slot_limit"],
                "active": row["active"],
                "slot_decay_per_second": row["slot_decay_per_second"],
            },
            event_id=event_id,
            caused_by=str(caused_by) if caused_by else None,
        ),
    )


def _snapshot(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "limit": row["slot_limit"],
        "active": row["active"],
        "slot_decay_per_second": row["slot_decay_per_second"],
        "active_slots": row["active_slots"],
        "denied_slots": row["denied_slots"],
    }


# --- slots ---------------------------------------------------------------------------------------


def bulk_increment_active_slots(
    tx: Tx, context: Context, *, body: SlotsIncrement
) -> list[MinimalConcurrencyLimitResponse] | Denied:
    """Take slots without a lease; who took them must give them back."""
    rows = _asked(tx, body.names, body.slots, body.mode)
    denied = denial(tx, context, rows, body.slots)
    if denied is not None:
        return denied
    _set_slots(tx, rows, (_usage(row, tx).slots + body.slots for row in rows))
    return minimal(rows)


def bulk_increment_active_slots_with_lease(
    tx: Tx, context: Context, *, body: SlotsIncrementWithLease
) -> ConcurrencyLimitWithLeaseResponse | Denied:
    """Take slots until the lease is released or ends. There is a lease even without a limit."""
    rows = _asked(tx, body.names, body.slots, body.mode)
    denied = denial(tx, context, rows, body.slots)
    if denied is not None:
        return denied
    id = insert_lease(tx, rows, body.slots, body.lease_duration, body.holder)
    return ConcurrencyLimitWithLeaseResponse(lease_id=id, limits=minimal(rows))


def insert_lease(
    tx: Tx,
    rows: Sequence[Row],
    slots: int,
    seconds: float,
    holder: ConcurrencyLeaseHolder | None,
) -> UUID:
    """Take `slots` of each of the locked limits in `rows`, which have them free; the lease's id."""
    id = uuid7()
    expires = tx.now + timedelta(seconds=seconds)
    parts: list[str | None] = [row["id"] for row in rows] or [None]
    tx.many(
        "concurrency.insert_lease",
        [
            {
                "id": id,
                "part": part,
                "limit_id": limit_id,
                "slots": slots,
                "holder_type": holder.type if holder else None,
                "holder_id": holder.id if holder else None,
                "expires": expires,
                "now": tx.now,
            }
            for part, limit_id in enumerate(parts)
        ],
    )
    return id


def bulk_decrement_active_slots(
    tx: Tx, context: Context, *, body: SlotsDecrement
) -> list[MinimalConcurrencyLimitResponse]:
    """Give back slots that were taken without a lease; what leases hold stays taken."""
    rows = tx.all("concurrency.lock_named", names=sorted(set(body.names)))
    if not rows:
        return []
    leased = {
        row["limit_id"]: row["slots"]
        for row in tx.all("concurrency.leased_slots", ids=[row["id"] for row in rows])
    }
    _set_slots(tx, rows, (_less(_usage(row, tx).slots, body.slots, leased, row) for row in rows))
    if body.occupancy_seconds is not None:
        count_occupancy(tx, [row["id"] for row in rows], body.occupancy_seconds)
    return minimal(rows)


def _less(taken: int, slots: int, leased: dict[str, int], row: Row) -> int:
    return max(taken - slots, min(taken, leased.get(row["id"], 0)))


def bulk_decrement_active_slots_with_lease(tx: Tx, context: Context, *, body: LeaseRelease) -> None:
    """End a lease and give its slots back; an ended or unknown lease is none of a problem."""
    release_lease(tx, str(body.lease_id))


def release_lease(tx: Tx, id: str) -> bool:
    """End a lease; whether there was one. The limits learn how long their slots were held.

    Touches the lease before its limits, as the end of a lease whose time is over does.
    """
    parts = tx.all("concurrency.lease_parts", id=id)
    if not parts or not tx.run("concurrency.delete_lease", id=id):
        return False
    ids = [part["limit_id"] for part in parts if part["limit_id"] is not None]
    if ids:
        count_occupancy(tx, ids, (tx.now - parts[0]["created"]).total_seconds())
    return True


def renew_concurrency_lease(
    tx: Tx, context: Context, id: str, *, body: LeaseRenewal | None = None
) -> None:
    """Let the lease end `lease_duration` seconds from now. `ObjectGone` when it has ended."""
    body = body or LeaseRenewal()
    if not renew_lease(tx, id, body.lease_duration):
        raise ObjectGone(
            f"the lease {id} has ended or was released, and its slots are given back; "
            "acquire slots again"
        )


def renew_lease(tx: Tx, id: str, seconds: float) -> bool:
    """Whether the lease was still held; then it ends `seconds` from now."""
    end = tx.now + timedelta(seconds=seconds)
    return tx.run("concurrency.renew", id=id, expires=end, now=tx.now) > 0


def expire_leases(tx: Tx, limit: int) -> int:
    """End up to `limit` leases whose time is over; how many rows they had.

    A lease that is renewed at the same time either ends or is renewed, never both.
    """
    return tx.run("concurrency.expire", now=tx.now, limit=limit)


# --- parts ---------------------------------------------------------------------------------------


def _asked(tx: Tx, names: Iterable[str], slots: int, mode: Mode) -> list[Row]:
    """The active limits of these names, locked. Refuses what could never be granted."""
    rows = tx.all("concurrency.lock_named", names=sorted(set(names)))
    for row in rows:
        if slots > row["slot_limit"]:
            raise RequestInvalid(
                f"{slots} slots were asked of the concurrency limit {row['name']!r}, which has "
                f"{row['slot_limit']}; ask for fewer or raise the limit"
            )
        if mode == "rate_limit" and row["slot_decay_per_second"] <= 0:
            raise RequestInvalid(
                f"the concurrency limit {row['name']!r} has no slot decay, so it limits no rate; "
                "set slot_decay_per_second on it"
            )
    return rows


def denial(tx: Tx, context: Context, rows: list[Row], slots: int) -> Denied | None:
    """The denial, counted on each limit that has too few free slots; None when none has."""
    full = [
        (row, missing)
        for row in rows
        if (missing := _usage(row, tx).slots + slots - row["slot_limit"]) > 0
    ]
    return _deny(tx, context, full, slots) if full else None


def _deny(tx: Tx, context: Context, full: list[tuple[Row, int]], slots: int) -> Denied:
    """Count a denial of `slots` on full limits, each given with how many slots it lacks."""
    tx.many("concurrency.count_denied", [{"id": row["id"], "slots": slots} for row, _ in full])
    names = ", ".join(repr(row["name"]) for row, _ in full)
    return Denied(
        f"no free slots of the concurrency limit {names}; ask again later",
        max(_wait(context, row, missing) for row, missing in full),
    )


def _wait(context: Context, row: Row, missing: int) -> float:
    limits = context.limits
    longest = limits.tag_slot_wait if row["name"].startswith(TAG) else limits.slot_wait
    decay, occupancy = row["slot_decay_per_second"], row["avg_slot_occupancy_seconds"]
    return min(expected_wait(missing, decay, occupancy), longest)


def _usage(row: Row, tx: Tx) -> Usage:
    return usage_at(tx.now, row["active_slots"], row["slot_decay_per_second"], row["decayed"])


def _set_slots(tx: Tx, rows: list[Row], slots: Iterable[int]) -> None:
    if rows:
        tx.many(
            "concurrency.set_slots",
            [
                {"id": row["id"], "active_slots": count, "decayed": _usage(row, tx).decayed}
                for row, count in zip(rows, slots, strict=True)
            ],
        )


def count_occupancy(tx: Tx, ids: list[str], seconds: float) -> None:
    """Let the limits of these ids know that a slot was held for `seconds`."""
    seconds = max(seconds, SHORTEST_OCCUPANCY)
    tx.run("concurrency.count_occupancy", ids=ids, seconds=seconds)


# --- views ---------------------------------------------------------------------------------------


def v2(row: Row, tx: Tx) -> ConcurrencyLimitV2:
    return ConcurrencyLimitV2(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        limit=row["slot_limit"],
        active=row["active"],
        active_slots=_usage(row, tx).slots,
        denied_slots=row["denied_slots"],
        slot_decay_per_second=row["slot_decay_per_second"],
        avg_slot_occupancy_seconds=row["avg_slot_occupancy_seconds"],
    )


def global_limit(row: Row, tx: Tx) -> GlobalConcurrencyLimitResponse:
    return GlobalConcurrencyLimitResponse(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        limit=row["slot_limit"],
        active=row["active"],
        active_slots=_usage(row, tx).slots,
        slot_decay_per_second=row["slot_decay_per_second"],
    )


def minimal(rows: Iterable[Row]) -> list[MinimalConcurrencyLimitResponse]:
    """The limits as acquisitions answer them, by name."""
    return [
        MinimalConcurrencyLimitResponse(id=row["id"], name=row["name"], limit=row["slot_limit"])
        for row in sorted(rows, key=lambda row: row["name"])
    ]
