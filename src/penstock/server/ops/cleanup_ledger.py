"""The ledger of owed teardowns: what is decided in the database whatever carries the queue.

A change made here asks to be carried into a working set elsewhere (`synced` is False), and wins
over what that set decided at the same moment.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from penstock.schemas.cleanup import (
    CleanupFilter,
    CleanupMessage,
    CleanupMessageDetail,
    CleanupMessages,
    CleanupPage,
    CleanupPlacement,
    CleanupSort,
)
from penstock.schemas.errors import ObjectConflict, RequestInvalid
from penstock.server.domain import cleanup
from penstock.server.domain.cleanup import Change, Message
from penstock.server.domain.cleanup_owed import host_of
from penstock.server.domain.cleanup_retries import POOL_DELETED, CleanupPolicy
from penstock.server.ops import changes
from penstock.server.ops.cleanup_rows import (
    EVENT,
    STATES,
    apply,
    delivery_view,
    insert,
    locked,
    message_of,
    message_view,
    moment,
    payload_of,
    related_of,
    resource_of,
    tell,
    wake,
)
from penstock.server.ops.context import Context, service
from penstock.server.ops.page_tokens import open_token, sign
from penstock.server.store.columns import microseconds
from penstock.server.store.selection import count_cleanup, select_cleanup
from penstock.server.store.transaction import Row, Tx

MAXIMUM_BYTES = 65_536
"""Of a message's target and data together."""
_SERVICE = Context(actor=service("cleanup"))
_NEVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


# --- producing -----------------------------------------------------------------------------------


def enqueue(tx: Tx, context: Context | None, message: Message) -> Message:
    """Add a message to the transaction that makes it owed, or find the one of its key (T1, T1').

    Its pool is woken after the commit, unless the message was finished before. Raises
    `ObjectConflict` when the id belongs to another key or pool.
    """
    _refuse_oversized(message)
    if insert(tx, message, synced=False):
        made = Change(before=message, after=message, event="enqueued")
        if context is None or context.actor.type == "service":
            tell(tx, made)
        else:
            audited(tx, context, made, created=True)
        wake(tx, message.work_pool_id)
        return message
    row = tx.one(
        "cleanup.by_key",
        work_pool_id=message.work_pool_id,
        idempotency_key=message.idempotency_key,
    )
    if row is None or row["id"] != message.id:
        raise ObjectConflict(
            f"cleanup message {message.id} exists for another work pool or key than"
            f" {message.idempotency_key!r}; give this one an id of its own"
        )
    found = message_of(row)
    if found.state is cleanup.READY:
        wake(tx, found.work_pool_id)
    return found


def enqueue_view(tx: Tx, message: Message) -> CleanupMessage:
    """As `enqueue`, in a transaction of its own and by the queue's clock."""
    now = moment(tx)
    if message.available_at > now:
        message = replace(message, available_at=now)
    return message_view(enqueue(tx, None, message))


def _refuse_oversized(message: Message) -> None:
    from_target = len(repr(message.target)) + len(repr(message.data))
    if from_target > MAXIMUM_BYTES:
        raise RequestInvalid(
            f"target and data of cleanup message {message.id} have more than {MAXIMUM_BYTES}"
            " bytes; send a reference instead of the document"
        )


def bury_pool(tx: Tx, work_pool_id: str) -> int:
    """Declare everything unfinished of a deleted pool dead, so that it can be found and moved."""
    count = 0
    for row in tx.all("cleanup.unfinished_of_pool", work_pool_id=work_pool_id):
        message = locked(tx, row["id"])
        change = message and cleanup.bury(message, moment(tx), POOL_DELETED)
        if change:
            apply(tx, change, synced=False)
            count += 1
    return count


# --- inspection ----------------------------------------------------------------------------------


def find(tx: Tx, id: str) -> CleanupMessageDetail | None:
    """A message with its deliveries."""
    row = tx.one("cleanup.get", id=id)
    return None if row is None else detail_of(tx, row)


def detail_of(tx: Tx, row: Row) -> CleanupMessageDetail:
    return CleanupMessageDetail(
        message=message_view(message_of(row)),
        history=[
            delivery_view(found) for found in tx.all("cleanup_delivery.of", message_id=row["id"])
        ],
    )


class _Place(Struct, frozen=True):
    """Where a page ended; the sort that it belongs to."""

    at: int
    id: str
    sort: CleanupSort


def page(tx: Tx, body: CleanupPage) -> CleanupMessages:
    """A page of messages by creation. A cursor goes on with the same filter and sort."""
    after = None
    if body.cursor is not None:
        place = open_token(tx, body.cursor, _Place)
        if place.sort is not body.sort:
            raise RequestInvalid("the cursor belongs to another sort; start again without it")
        after = (place.at, place.id)
    if not body.limit:
        return CleanupMessages(results=[])
    sql, params = select_cleanup(
        body.cleanup_messages,
        sort=body.sort,
        limit=body.limit + 1,
        after=after,
        dialect=tx.dialect,
    )
    rows = tx.fetch(sql, params)
    shown = rows[: body.limit]
    following = None
    if len(rows) > body.limit:
        last = shown[-1]
        place = _Place(microseconds(last["created_at"]), last["id"], body.sort)
        following = sign(tx, place)
    return CleanupMessages(results=[message_view(message_of(row)) for row in shown], next=following)


def count_by(tx: Tx, filter: CleanupFilter | None, group: str) -> dict[str, int]:
    """How many messages there are, by `state` or by `reason`."""
    sql, params = count_cleanup(filter, by_reason=group == "reason", dialect=tx.dialect)
    rows = tx.fetch(sql, params)
    if group == "reason":
        return {row["grouped"] or "": row["number"] for row in rows}
    return {STATES[row["grouped"]].value: row["number"] for row in rows}


class PoolCounts(Struct, frozen=True, kw_only=True):
    """What a pool's messages are at."""

    counts: dict[str, int]
    oldest_ready_seconds: float | None = None
    overdue: int = 0


def stats(tx: Tx) -> dict[str, PoolCounts]:
    """The counts of every pool that has messages."""
    now = moment(tx)
    found: dict[str, PoolCounts] = {}
    for row in tx.all("cleanup.stats", now=now):
        pool = row["work_pool_id"]
        sofar = found.get(pool) or PoolCounts(counts={})
        state = STATES[row["state"]]
        changed = replace(sofar, counts={**sofar.counts, state.value: row["count"]})
        if state is cleanup.READY:
            waiting = (now - row["oldest_available_at"]).total_seconds()
            changed = replace(changed, oldest_ready_seconds=max(waiting, 0.0))
        if state is cleanup.LEASED:
            changed = replace(changed, overdue=int(row["overdue"]))
        found[pool] = changed
    return found


def dead_by_kind(tx: Tx) -> list[Row]:
    """How many dead letters there are of each kind and reason."""
    return tx.all("cleanup.dead_by_kind")


# --- the dead-letter desk ------------------------------------------------------------------------


def cancel(
    tx: Tx, context: Context | None, id: str, *, force: bool = False
) -> CleanupMessage | None:
    """T7 and T7a, audited; None when the message is not in a state that allows it."""
    message = locked(tx, id)
    change = message and cleanup.cancel(message, moment(tx), force=force)
    if not change:
        return None
    apply(tx, change, synced=False, silent=True)
    audited(tx, context or _SERVICE, change)
    return message_view(change.after)


def requeue(
    tx: Tx,
    context: Context | None,
    id: str,
    *,
    infrastructure_pid: str | None = None,
    placement: CleanupPlacement | None = None,
    work_pool_id: str | None = None,
) -> CleanupMessage | None:
    """T8, audited; None when the message is neither dead nor cancelled."""
    message = locked(tx, id)
    change = message and cleanup.requeue(
        message, moment(tx), placement=placement, work_pool_id=work_pool_id
    )
    if not change:
        return None
    if infrastructure_pid is not None:
        after = change.after
        target = {**after.target, "infrastructure_pid": infrastructure_pid}
        host = host_of(infrastructure_pid) if after.host_id is not None else None
        change = replace(change, after=replace(after, target=target, host_id=host))
    apply(tx, change, synced=False, silent=True)
    audited(tx, context or _SERVICE, change)
    return message_view(change.after)


def selected(tx: Tx, filter: CleanupFilter, limit: int, states: frozenset[Any]) -> list[str]:
    """Ids of the messages that a filter selects and whose state allows the change, oldest first."""
    wanted = states if filter.state is None else states & frozenset(filter.state)
    narrowed = replace(filter, state=sorted(wanted))
    sql, params = select_cleanup(
        narrowed, sort=CleanupSort.CREATED_ASC, limit=limit, after=None, dialect=tx.dialect
    )
    return [row["id"] for row in tx.fetch(sql, params)]


REQUEUEABLE = frozenset({cleanup.DEAD, cleanup.CANCELLED})


def requeue_selected(
    tx: Tx, context: Context | None, filter: CleanupFilter, limit: int
) -> list[str]:
    """T8 for everything that a filter selects, at most `limit`."""
    return [
        id
        for id in selected(tx, filter, limit, REQUEUEABLE)
        if requeue(tx, context, id) is not None
    ]


def audited(tx: Tx, context: Context, change: Change, *, created: bool = False) -> None:
    """The event and the audit row of what somebody asked for."""
    changes.record(
        tx,
        context,
        changes.Change(
            kind="cleanup-message",
            action=change.event,
            event=EVENT + change.event,
            id=change.after.id,
            name=change.after.kind,
            before=None if created else snapshot(change.before),
            after=snapshot(change.after),
            labels={
                name: value
                for name, value in resource_of(change.after).items()
                if name.startswith("penstock.")
            },
            related=related_of(change.after),
            payload=payload_of(change.after),
        ),
    )


def snapshot(message: Message) -> Mapping[str, Any]:
    shown = to_builtins(message_view(message))
    return {name: value for name, value in shown.items() if name != "updated_at"}


# --- the reconciler ------------------------------------------------------------------------------


class Work(Struct, frozen=True, kw_only=True):
    """What the reconciler will find to do."""

    overdue: bool
    aged: bool
    purgeable: bool
    unsynced: bool
    leased: bool
    unfinished: bool


def work(tx: Tx, shift: timedelta, policy: CleanupPolicy) -> Work:
    """One statement, so that a server with nothing to do costs nothing."""
    now = moment(tx) + shift
    row = tx.one(
        "cleanup.work",
        now=now,
        alert=now - timedelta(seconds=_first_alarm(policy)),
        completed_before=before(now, policy.completed_retention_seconds),
        dead_before=before(now, policy.dead_retention_seconds),
    )
    assert row is not None, "a row of conditions always comes"
    return Work(
        overdue=bool(row["overdue"]),
        aged=bool(row["aged"]),
        purgeable=bool(row["completed"] or row["buried"]),
        unsynced=bool(row["unsynced"]),
        leased=bool(row["leased"]),
        unfinished=bool(row["leased"] or row["ready"]),
    )


def _first_alarm(policy: CleanupPolicy) -> float:
    return min(policy.unroutable_alert_seconds, policy.max_age_seconds)


def before(now: datetime, retention: float | None) -> datetime:
    """Up to when something must have ended to be over its retention; never without one."""
    return _NEVER if retention is None else now - timedelta(seconds=retention)


def age(tx: Tx, shift: timedelta, policy: CleanupPolicy, limit: int) -> int:
    """Bury what waited too long and raise the alarm about what nobody takes."""
    now = moment(tx) + shift
    rows = tx.all(
        "cleanup.aged",
        before=now - timedelta(seconds=_first_alarm(policy)),
        dead=now - timedelta(seconds=policy.max_age_seconds),
        after_at=_NEVER,
        after_id="",
        limit=limit,
    )
    count = 0
    for row in rows:
        message = locked(tx, row["id"])
        change = message and cleanup.age(message, now, policy)
        if change:
            apply(tx, change, synced=False)
            count += 1
    return count


def purge(tx: Tx, policy: CleanupPolicy, limit: int, shift: timedelta = timedelta()) -> int:
    """Delete finished messages that are over their retention (T9), at most `limit` of each kind."""
    now = moment(tx) + shift
    count = 0
    if policy.completed_retention_seconds is not None:
        completed = before(now, policy.completed_retention_seconds)
        count += tx.run("cleanup.purge_completed", before=completed, limit=limit)
    if policy.dead_retention_seconds is not None:
        dead = before(now, policy.dead_retention_seconds)
        count += tx.run("cleanup.purge_dead", before=dead, limit=limit)
    return count
