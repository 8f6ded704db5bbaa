"""What the worker channel does to the database: one transaction to set a channel up, one a beat."""

import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

from msgspec import Struct

from penstock.base import json
from penstock.schemas.channel import EXTENSIONS, WorkerHello
from penstock.schemas.errors import Forbidden, ObjectConflict, ObjectMissing
from penstock.schemas.work import WorkerHeartbeat, WorkPool, WorkPoolCreate, WorkPoolUpdate
from penstock.server.ops import work_pools, workers
from penstock.server.ops.context import Context
from penstock.server.ops.work_records import pool_view
from penstock.server.store.transaction import Row, Tx


class ChannelSetup(Struct, frozen=True, kw_only=True):
    """What a worker is told, and the queues it serves: all of the pool's when it named none."""

    pool: WorkPool
    queues: list[tuple[str, str]]
    """Ids and names."""


class PoolWork(Struct, frozen=True, kw_only=True):
    """The runs of a pool that could start now, by queue, and when the next one is due."""

    ready: dict[str, int]
    next_due: datetime | None


logger = logging.getLogger("penstock.server.channel")

LARGE_BYTES = 1_000_000
COUNTED = 64
"""Runs of one queue that are counted; more make no difference."""


def open_channel(
    tx: Tx,
    context: Context,
    work_pool_name: str,
    hello: WorkerHello,
    cleanup_kinds: Collection[str] = (),
) -> ChannelSetup:
    """Set up a worker's channel: the pool, its queues, the first sign of life, the first snapshot.

    Makes the pool when there is none and the worker asks for that, and fills its template when it
    is empty and the worker brings one. Refuses an unknown or reserved pool, an unknown queue and
    a template that cannot be used; a refusal leaves nothing behind.
    """
    row = tx.one("work_pool.lock", name=work_pool_name)
    if row is None:
        row = _made(tx, context, work_pool_name, hello)
    elif hello.default_base_job_template and not json.decode(row["base_job_template"]):
        body = WorkPoolUpdate(base_job_template=hello.default_base_job_template)
        work_pools.update_work_pool(tx, context, work_pool_name, body=body)
    queues = tx.all("work_queue.of_pool", work_pool_id=row["id"])
    interval = hello.heartbeat_interval_seconds
    beat(tx, context, work_pool_name, hello.worker_name, interval, cleanup_kinds)
    return ChannelSetup(
        pool=work_pools.read_work_pool(tx, context, work_pool_name),
        queues=_served(work_pool_name, queues, hello.work_queue_names),
    )


def beat(
    tx: Tx,
    context: Context,
    work_pool_name: str,
    worker_name: str,
    interval: int,
    cleanup_kinds: Collection[str] = (),
) -> tuple[str, datetime]:
    """Note that a worker is alive; the pool's id, and when the pool was last changed."""
    body = WorkerHeartbeat(name=worker_name, heartbeat_interval_seconds=interval)
    workers.note_heartbeat(tx, context, work_pool_name, body, cleanup_kinds)
    row = tx.one("work_pool.stamp", name=work_pool_name)
    assert row is not None, "the heartbeat would have refused a pool that is not there"
    return row["id"], row["updated"]


def cleaning_workers(tx: Tx, work_pool_id: str) -> list[str]:
    """Names of the workers of the pool that take teardowns, wherever they are connected."""
    rows = tx.all("worker.cleaning", work_pool_id=work_pool_id, now=tx.now)
    return [row["name"] for row in rows]


def snapshot(tx: Tx, context: Context, work_pool_id: str) -> WorkPool | None:
    """The pool as it is now, None when it was deleted."""
    row = tx.one("work_pool.get", id=work_pool_id)
    return None if row is None else pool_view(context, row)


def pool_work(tx: Tx, work_pool_id: str) -> PoolWork:
    """What workers of the pool could start now and next. One statement."""
    rows = tx.all("work_pool.work", work_pool_id=work_pool_id, now=tx.now, counted=COUNTED)
    dues = [row["next_due"] for row in rows if row["next_due"] is not None]
    return PoolWork(
        ready={row["id"]: row["ready"] for row in rows if row["ready"]},
        next_due=min(dues, default=None),
    )


def _made(tx: Tx, context: Context, work_pool_name: str, hello: WorkerHello) -> Row:
    """A new pool, or the one that another worker made at this moment."""
    if not hello.create_pool_if_not_found:
        raise work_pools.pool_missing(work_pool_name)
    if any(sign in work_pool_name for sign in "/%&><"):
        raise Forbidden(
            f"{work_pool_name!r} cannot be the name of a work pool; leave out / % & > <"
        )
    body = WorkPoolCreate(
        name=work_pool_name,
        type=hello.worker_type,
        base_job_template=hello.default_base_job_template,
    )
    # A conflict: another worker's transaction inserted the pool first and has committed by now.
    with suppress(ObjectConflict):
        work_pools.create_work_pool(tx, context, body=body)
    row = tx.one("work_pool.lock", name=work_pool_name)
    if row is None:
        raise work_pools.pool_missing(work_pool_name)
    return row


def _served(work_pool_name: str, queues: list[Row], names: list[str]) -> list[tuple[str, str]]:
    known = {queue["name"]: (queue["id"], queue["name"]) for queue in queues}
    if not names:
        return list(known.values())
    missing = [name for name in names if name not in known]
    if missing:
        raise ObjectMissing(
            f"work pool {work_pool_name!r} has no queue {missing[0]!r}; list its queues, or make it"
        )
    return [known[name] for name in dict.fromkeys(names)]


def pool_document(pool: WorkPool) -> bytes:
    """The pool as workers get it, with what they learn of this server."""
    whole = json.decode(json.encode(pool))
    document = json.encode({**whole, "penstock": {"capabilities": list(EXTENSIONS)}})
    if len(document) > LARGE_BYTES:
        logger.warning(
            "work pool %r is %d bytes as JSON and workers take frames of up to 1 MiB; make its "
            "base job template smaller",
            pool.name,
            len(document),
        )
    return document
