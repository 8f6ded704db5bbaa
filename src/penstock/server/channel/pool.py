"""The workers of one pool that are connected to this process, and what they are told of it.

One task for each pool follows its changes, one its work; neither asks the database of its own
accord. A missed wake-up is made good by the workers' heartbeats and polls.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from penstock.base.clock import Clock
from penstock.schemas.channel import CloseReason
from penstock.schemas.errors import Refusal
from penstock.server.bus import Bus
from penstock.server.channel.connection import Connection, State
from penstock.server.ops import worker_channel as ops
from penstock.server.ops.context import Context
from penstock.server.ops.topics import snapshot_topic, work_topic

logger = logging.getLogger("penstock.server.channel")

COALESCE_SECONDS = 0.05
FOREVER = 3_600.0
WOKEN_AT_ONCE = 16
"""Workers told of ready runs at the same time; more follow while runs are left."""
NEXT_WORKERS_SECONDS = 0.25
ANNOUNCED_AHEAD = timedelta(minutes=2)
"""A run that is due within this time is announced when it is scheduled, not only when due."""
RETRY_SECONDS = 1.0


class Reader(Protocol):
    async def read(self, op: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...


class PoolChannel:
    """The connections of one pool."""

    def __init__(
        self,
        pool_id: str,
        store: Reader,
        bus: Bus,
        clock: Clock,
        context: Context,
    ) -> None:
        self.pool_id = pool_id
        self.connections: list[Connection] = []
        self._store = store
        self._bus = bus
        self._clock = clock
        self._context = context
        self._tasks: list[asyncio.Task[None]] = []
        self._turn = 0
        self._latest: tuple[datetime, bytes] | None = None
        self._stale = False

    def start(self) -> None:
        """Begin to follow the pool."""
        self._tasks = [
            asyncio.create_task(self._keep(self._follow_changes), name="pool-changes"),
            asyncio.create_task(self._keep(self._follow_work), name="pool-work"),
        ]

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reconcile(self) -> None:
        """A heartbeat found that the pool was changed and nobody was told: tell them."""
        if not self._stale:
            self._stale = True
            self._bus.wake(snapshot_topic(self.pool_id))

    def attach(self, connection: Connection) -> None:
        """Take a connection in; what changed since its first snapshot was read is sent to it."""
        self.connections.append(connection)
        if self._latest is not None and self._latest[0] > connection.stamp:
            connection.stamp = self._latest[0]
            connection.send_snapshot("work_pool_updated", self._latest[1])
        if connection.wants_work_ready:
            self._bus.wake(work_topic(self.pool_id))

    async def _keep(self, follow: Callable[[], Awaitable[None]]) -> None:
        """Go on following, whatever happens; what was missed is looked at first."""
        while True:
            try:
                await follow()
            except Refusal as error:
                logger.warning("pool %s: %s", self.pool_id, error.detail)
            except Exception:
                # A service loop: a fault in one look must not end all later ones.
                logger.exception("following pool %s failed", self.pool_id)
            await asyncio.sleep(RETRY_SECONDS)

    # --- changes of the pool ---------------------------------------------------------------------

    async def _follow_changes(self) -> None:
        topic = snapshot_topic(self.pool_id)
        # The first look is at once: the pool may have changed before anybody followed it here.
        seen = self._bus.version(topic) - 1
        while True:
            seen_before, seen = seen, await self._bus.wait(topic, seen, FOREVER)
            if seen == seen_before:
                continue
            await asyncio.sleep(COALESCE_SECONDS)
            seen = self._bus.version(topic)
            await self._changed()

    async def _changed(self) -> None:
        reason = "heartbeat_reconciliation" if self._stale else "work_pool_updated"
        self._stale = False
        pool = await self._store.read(ops.snapshot, self._context, self.pool_id)
        if pool is None:
            for connection in list(self.connections):
                connection.close(CloseReason.AUTHORIZATION_FAILED)
            return
        document = ops.pool_document(pool)
        self._latest = (pool.updated, document)
        for connection in self.connections:
            if connection.stamp != pool.updated:
                connection.stamp = pool.updated
                connection.send_snapshot(reason, document)

    # --- work that is ready ----------------------------------------------------------------------

    async def _follow_work(self) -> None:
        topic = work_topic(self.pool_id)
        seen, timeout, untold = self._bus.version(topic) - 1, FOREVER, 0
        announced: datetime | None = None
        while True:
            version = await self._bus.wait(topic, seen, timeout)
            if version != seen or not untold:
                untold = len(self.connections)
            seen, timeout = version, FOREVER
            work = await self._store.read(ops.pool_work, self.pool_id)
            now, due = self._clock.now(), work.next_due
            soon = due is not None and due - now <= ANNOUNCED_AHEAD
            if work.ready or (soon and due != announced):
                announced = due
                untold -= self._tell(work, min(untold, WOKEN_AT_ONCE))
                if work.ready and untold > 0:
                    timeout = NEXT_WORKERS_SECONDS
            else:
                untold = 0
            if due is not None:
                timeout = min(timeout, max(0.001, (due - now).total_seconds()))

    def _tell(self, work: ops.PoolWork, most: int) -> int:
        """Tell the next workers in turn, if it concerns them; how many had their turn."""
        count = len(self.connections)
        most = min(most, count)
        for place in range(self._turn, self._turn + most):
            connection = self.connections[place % count]
            if connection.wants_work_ready and connection.state is State.READY:
                self._tell_one(connection, work)
        self._turn += most
        return most

    def _tell_one(self, connection: Connection, work: ops.PoolWork) -> None:
        served = connection.queue_ids
        ready = {id: count for id, count in work.ready.items() if served is None or id in served}
        if work.ready and not ready:
            return
        due, offset = work.next_due, connection.offset()
        payload = {
            "work_queue_ids": list(ready),
            "ready": sum(ready.values()),
            "next_due": None if due is None else due + offset,
        }
        connection.send("penstock.work_ready.v1", payload)
