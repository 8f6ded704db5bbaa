"""The operations of the queue in the database: one transaction each, decided in the domain."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from penstock.base import json
from penstock.schemas.cleanup import CleanupPlacement
from penstock.server.domain import cleanup
from penstock.server.domain.cleanup import Answer, Change, Holder, Message
from penstock.server.domain.cleanup_owed import host_of
from penstock.server.domain.cleanup_retries import CleanupPolicy
from penstock.server.ops.cleanup_rows import (
    apply,
    binding_of,
    locked,
    message_of,
    moment,
)
from penstock.server.store.transaction import Row, Tx

_EARLIEST = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
SERVER = "cleanup-server:"
_chance = SystemRandom().random
SERVER_SECONDS = 30.0
"""How long a server process that holds reservations counts as alive after it was heard of."""


class Candidate(Struct, frozen=True, kw_only=True):
    """What routing needs to know of a ready message."""

    id: str
    work_pool_id: str
    fence: int
    kind: str
    work_queue_id: str | None
    available_at: datetime
    queued_at: datetime
    affinity_worker_name: str | None
    host_id: str | None
    placement: CleanupPlacement
    tried_workers: tuple[str, ...] = ()


class Claimed(Struct, frozen=True, kw_only=True):
    """A claim that succeeded: the leased message and its time."""

    message: Message
    now: datetime


class Claim(Struct, frozen=True, kw_only=True):
    """One message for one holder; it fails when the message is not as it was seen."""

    message_id: str
    fence: int
    work_pool_id: str
    holder: Holder
    token_hash: str = ""


def peek(
    tx: Tx,
    shift: timedelta,
    policy: CleanupPolicy,
    work_pool_id: str,
    kinds: Collection[str],
    workers: Collection[str],
    hosts: Collection[str],
    limit: int,
    after: tuple[datetime, str] | None,
) -> list[Candidate]:
    """Ready messages that are due and that one of the workers may take, oldest first."""
    now = moment(tx) + shift
    after_at, after_id = after or (_EARLIEST, "")
    rows = tx.all(
        "cleanup.peek",
        work_pool_id=work_pool_id,
        now=now,
        after_at=after_at,
        after_id=after_id,
        kinds=list(kinds),
        workers=list(workers),
        hosts=list(hosts),
        widened=now - timedelta(seconds=policy.placement_wait_seconds),
        limit=limit,
    )
    return [_candidate(row, work_pool_id) for row in rows]


def _candidate(row: Row, work_pool_id: str) -> Candidate:
    tried = row["tried_workers"]
    return Candidate(
        id=row["id"],
        work_pool_id=work_pool_id,
        fence=row["fence"],
        kind=row["kind"],
        work_queue_id=row["work_queue_id"],
        available_at=row["available_at"],
        queued_at=row["queued_at"],
        affinity_worker_name=row["affinity_worker_name"],
        host_id=row["host_id"],
        placement=CleanupPlacement(row["placement"]),
        tried_workers=tuple(json.decode(tried)),
    )


def claim(
    tx: Tx, shift: timedelta, policy: CleanupPolicy, claims: Sequence[Claim], *, beat: bool
) -> list[Claimed]:
    """Lease each message that is still as it was seen (T2); the others are absent.

    A message whose run lives on with the same infrastructure is cancelled instead (T10), and one
    without a handle gets the one its run has by now. `beat` says that the server process lives.
    """
    now = moment(tx) + shift
    wanted = {claim.message_id: claim for claim in claims}
    rows = tx.all("cleanup.lock_ready", ids=sorted(wanted), now=now)
    won: list[Claimed] = []
    for row in rows:
        claim = wanted[row["id"]]
        message = message_of(row)
        if message.fence != claim.fence or message.work_pool_id != claim.work_pool_id:
            continue
        change = bound(message, row, now)
        if change is not None:
            apply(tx, change)
            continue
        fresh = with_handle(message, row)
        made = cleanup.claim(fresh, now, claim.holder, claim.token_hash, policy)
        if made is None:
            continue
        apply(tx, made)
        won.append(Claimed(message=made.after, now=now))
    if won and beat:
        server_id = won[0].message.lease_server_id
        tx.run("cleanup_server.beat", name=f"{SERVER}{server_id}", expires=_alive_until(tx))
    return won


def beat(tx: Tx, server_id: str) -> None:
    """Note that a server process which may hold reservations is alive."""
    tx.run("cleanup_server.beat", name=f"{SERVER}{server_id}", expires=_alive_until(tx))


def _alive_until(tx: Tx) -> datetime:
    return moment(tx) + timedelta(seconds=SERVER_SECONDS)


def bound(message: Message, row: Row, now: datetime) -> Change | None:
    """The cancellation of a message that a new attempt of its run made pointless."""
    pid = message.target.get("infrastructure_pid")
    if cleanup.is_superseded(pid, binding_of(row)):
        return cleanup.supersede(message, now)
    return None


def with_handle(message: Message, row: Row) -> Message:
    """The message with the handle its run has by now, where it had none."""
    if message.target.get("infrastructure_pid") is not None or row["run_pid"] is None:
        return message
    pid = row["run_pid"]
    target = {**message.target, "infrastructure_pid": pid}
    host = host_of(pid) if message.placement is CleanupPlacement.REQUIRE else message.host_id
    return replace(message, target=target, host_id=host)


def ack(
    tx: Tx,
    shift: timedelta,
    work_pool_id: str,
    id: str,
    token_hash: str,
    others: frozenset[str],
) -> tuple[Answer, Message | None]:
    """T3 and T3a."""
    message = locked(tx, id)
    if message is None or message.work_pool_id != work_pool_id:
        return cleanup.NOT_FOUND, None
    answer, change = cleanup.ack(message, moment(tx) + shift, token_hash, others)
    return _carried_out(tx, message, answer, change)


def renew(
    tx: Tx,
    shift: timedelta,
    policy: CleanupPolicy,
    work_pool_id: str,
    id: str,
    token_hash: str,
) -> tuple[Answer, Message | None]:
    """T4."""
    message = locked(tx, id)
    if message is None or message.work_pool_id != work_pool_id:
        return cleanup.NOT_FOUND, None
    answer, change = cleanup.renew(message, moment(tx) + shift, token_hash, policy)
    return _carried_out(tx, message, answer, change)


def release(
    tx: Tx,
    shift: timedelta,
    policy: CleanupPolicy,
    work_pool_id: str,
    id: str,
    token_hash: str,
    reason: str,
) -> tuple[Answer, Message | None]:
    """T5, by what the run says now where the worker found no handle."""
    row = tx.one("cleanup.lock_bound", id=id)
    if row is None or row["work_pool_id"] != work_pool_id:
        return cleanup.NOT_FOUND, None
    message = message_of(row)
    now = moment(tx) + shift
    answer, change = cleanup.release(
        message, now, token_hash, reason, policy, _chance(), binding_of(row)
    )
    return _carried_out(tx, message, answer, change)


def _carried_out(
    tx: Tx, message: Message, answer: Answer, change: Change | None
) -> tuple[Answer, Message | None]:
    if change is None:
        return answer, message
    apply(tx, change)
    return answer, change.after


class Expired(Struct, frozen=True, kw_only=True):
    """Messages whose lease was ended: deliverable again, and dead."""

    ready: list[Message]
    dead: list[Message]

    def __len__(self) -> int:
        return len(self.ready) + len(self.dead)


def expire(
    tx: Tx, shift: timedelta, policy: CleanupPolicy, limit: int, work_pool_id: str | None
) -> Expired:
    """End overdue leases (T6), the oldest first, at most `limit`."""
    now = moment(tx) + shift
    ids = [
        row["id"]
        for row in tx.all("cleanup.overdue", now=now, work_pool_id=work_pool_id, limit=limit)
    ]
    messages = [message for id in ids if (message := locked(tx, id)) is not None]
    servers = {message.lease_server_id for message in messages if message.lease_server_id}
    lost = lost_servers(tx, servers)
    ready: list[Message] = []
    dead: list[Message] = []
    for message in messages:
        gone = message.lease_server_id in lost
        change = cleanup.expire(message, now, policy, _chance(), lost=gone)
        if change is None:
            continue
        apply(tx, change)
        (ready if change.wakes else dead).append(change.after)
    return Expired(ready=ready, dead=dead)


def lost_servers(tx: Tx, servers: Collection[str]) -> set[str]:
    """Those of the server processes that have not been heard of for long."""
    if not servers:
        return set()
    rows = tx.all("cleanup_server.lost", ids=sorted(servers), now=moment(tx))
    return {row["id"] for row in rows}


def mark_holder(tx: Tx, consumer_id: str, *, lost: bool) -> int:
    """Note on all leases of a consumer that its connection is gone, or is back."""
    count = 0
    for row in tx.all("cleanup.leases_of", consumer_id=consumer_id):
        message = locked(tx, row["id"])
        noted = cleanup.lose(message, consumer_id, lost=lost) if message is not None else None
        if message is not None and noted is not None:
            apply(tx, Change(before=message, after=noted, event=""))
            count += 1
    return count


class Lease(Struct, frozen=True, kw_only=True):
    """A live reservation as its holder's connection needs to know it."""

    message_id: str
    work_pool_id: str
    token_hash: str
    lease_expires_at: datetime
    renewals: int
    server_id: str | None
    lost: bool = False
    """Whether the connection of its holder is known to be gone."""


def leases_of(tx: Tx, consumer_id: str) -> list[Lease]:
    return [
        Lease(
            message_id=row["id"],
            work_pool_id=row["work_pool_id"],
            token_hash=row["token_hash"],
            lease_expires_at=row["lease_expires_at"],
            renewals=row["lease_renewals"],
            server_id=row["lease_server_id"],
            lost=row["lease_lost"],
        )
        for row in tx.all("cleanup.leases_of", consumer_id=consumer_id)
    ]


def next_due(tx: Tx, shift: timedelta, pools: Collection[str]) -> dict[str, float]:
    """Seconds until something is to be done, for each of the pools that has anything unfinished."""
    now = moment(tx) + shift
    rows = tx.all("cleanup.next_due", pools=sorted(pools))
    return {row["work_pool_id"]: max((row["due"] - now).total_seconds(), 0.0) for row in rows}


def shift_times(tx: Tx, by: timedelta) -> int:
    """Move what is counted from the host's clock along with it."""
    return tx.run("cleanup.shift", by=int(by.total_seconds() * 1_000_000))


def as_text(id: UUID | str) -> str:
    """An id as rows hold it."""
    return id if isinstance(id, str) else str(id)


def bindings(tx: Tx, ids: Collection[str]) -> dict[str, Any]:
    """What the ledger and the flow runs of messages say now, by message."""
    return {row["id"]: row for row in tx.all("cleanup.bindings", ids=sorted(ids))}
