"""Operations of clients that know queues and no pools: their queues are in one implicit pool."""

from penstock.schemas.errors import ObjectMissing
from penstock.schemas.work import WorkPoolCreate, WorkQueue, WorkQueueCreate
from penstock.server.ops import work_pools, work_queues
from penstock.server.ops.context import Context
from penstock.server.ops.work_pools import AGENT, AGENT_POOL
from penstock.server.store.transaction import Row, Tx


def create_work_queue(tx: Tx, context: Context, *, body: WorkQueueCreate) -> WorkQueue:
    """A new queue of the implicit pool, which is made when it is not there."""
    pool = _pool(tx, context)
    return work_queues.queue_view(work_queues.insert_queue(tx, context, pool, body))


def read_work_queue_by_name(tx: Tx, context: Context, name: str) -> WorkQueue:
    row = tx.one("work_queue.get_by_name", work_pool_name=AGENT_POOL, name=name)
    if row is None or row["id"] is None:
        raise ObjectMissing(
            f"work pool {AGENT_POOL!r} has no queue {name!r}; name the pool of the queue, or "
            "create it"
        )
    return work_queues.queue_view(row)


def _pool(tx: Tx, context: Context) -> Row:
    pool = tx.one("work_pool.lock", name=AGENT_POOL)
    if pool is not None:
        return pool
    return work_pools.insert_pool(tx, context, WorkPoolCreate(name=AGENT_POOL, type=AGENT))
