"""All worker channels of one server process."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from penstock.base.clock import Clock
from penstock.schemas.channel import (
    AckFrame,
    CloseReason,
    OperationFrame,
    OperationResult,
    ReleaseFrame,
    RenewFrame,
)
from penstock.schemas.cleanup import CleanupOperation, CleanupStatus
from penstock.schemas.errors import Refusal
from penstock.server.bus import Bus
from penstock.server.channel.connection import Connection, InFlight
from penstock.server.channel.dispatcher import Dispatcher
from penstock.server.channel.operations import Operations
from penstock.server.channel.pool import PoolChannel, Reader
from penstock.server.ops.context import Context, service
from penstock.server.queue import CleanupQueue

logger = logging.getLogger("penstock.server.channel")

DRAIN_SECONDS = 5.0
RETURN_SECONDS = 5.0
"""How long a worker that left in good order may take to come back to what it holds."""


class Channels:
    """Who is connected, by pool. `start`, `drain` and `stop` may be repeated.

    Without a queue workers are connected and get no cleanups.
    """

    def __init__(
        self,
        store: Reader,
        bus: Bus,
        clock: Clock,
        queue: CleanupQueue | None = None,
    ) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._queue = queue
        self._context = Context(actor=service("worker-channel"))
        self._pools: dict[str, PoolChannel] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self.dispatcher: Dispatcher | None = None
        self._operations: Operations | None = None
        if queue is not None:
            self.dispatcher = Dispatcher(queue, self.connections, self._pools.keys, clock)
            self._operations = Operations(queue, store, self.connections, clock)
        self.open = False
        """Whether workers may connect; while starting and stopping they are told to come back."""

    @property
    def maximum_cleanups(self) -> int:
        """How many teardowns one worker may be given at once."""
        return 0 if self._queue is None else self._queue.policy.max_concurrency_per_worker

    @property
    def count(self) -> int:
        """How many workers are connected."""
        return sum(len(pool.connections) for pool in self._pools.values())

    def connections(self, pool_id: str) -> list[Connection]:
        pool = self._pools.get(pool_id)
        return [] if pool is None else pool.connections

    async def start(self) -> None:
        if self.dispatcher is not None:
            await self.dispatcher.start()
        self.open = True

    async def drain(self) -> None:
        """Take nobody in any more, send what is queued, and send everybody elsewhere."""
        self.open = False
        if self.dispatcher is not None:
            await self.dispatcher.stop()
        connections = [one for pool in self._pools.values() for one in pool.connections]
        for connection in connections:
            connection.close(CloseReason.TRANSIENT_SERVER_ERROR)
        if connections:
            flushed = [asyncio.create_task(one.flushed()) for one in connections]
            _, late = await asyncio.wait(flushed, timeout=DRAIN_SECONDS)
            for one in late:
                one.cancel()

    async def stop(self) -> None:
        await self.drain()
        errands = list(self._errands)
        for errand in errands:
            errand.cancel()
        await asyncio.gather(*errands, return_exceptions=True)
        pools = list(self._pools.values())
        self._pools.clear()
        for pool in pools:
            await pool.stop()

    # --- coming and going ------------------------------------------------------------------------

    async def seed(self, connection: Connection) -> None:
        """Count what the worker still holds from an earlier connection, here or elsewhere."""
        if self._queue is None:
            return
        consumer_id = str(connection.consumer_id)
        leases = await self._queue.leases_of(consumer_id)
        now, lease = self._clock.monotonic(), self._queue.policy.lease_seconds
        connection.in_flight |= {
            one.message_id: InFlight("", now + lease)
            for one in leases
            if one.work_pool_id == connection.pool_id
        }
        if connection.in_flight:
            await self._queue.mark_holder(consumer_id, lost=False)

    def attach(self, connection: Connection) -> PoolChannel:
        """Take in a worker that was told that all is ready.

        Of two connections of one consumer the newer stays.
        """
        pool = self._pools.get(connection.pool_id)
        if pool is None:
            pool = self._pools[connection.pool_id] = PoolChannel(
                connection.pool_id, self._store, self._bus, self._clock, self._context
            )
            pool.start()
        for other in pool.connections:
            if other.consumer_id == connection.consumer_id:
                connection.in_flight |= other.in_flight
                other.close(CloseReason.TRANSIENT_SERVER_ERROR)
        connection.on_unsent = self._unsent
        pool.attach(connection)
        if self.dispatcher is not None and connection.limit:
            self.dispatcher.wake(connection.pool_id)
        return pool

    async def detach(self, connection: Connection, *, clean: bool) -> None:
        """Forget a worker whose socket is closed; `clean` when the worker did it in good order.

        What it holds stays with it: it may finish, and say so over another connection. Only a
        worker that left in good order and does not come back gives it up at once.
        """
        connection.ended()
        pool = self._pools.get(connection.pool_id)
        if pool is None or connection not in pool.connections:
            return
        pool.connections.remove(connection)
        if self.dispatcher is not None:
            self.dispatcher.forget(connection)
            if connection.in_flight and not self._is_back(connection):
                self._run(self._left(connection, clean=clean))
            self.dispatcher.look(connection.pool_id)
        if not pool.connections:
            del self._pools[connection.pool_id]
            await pool.stop()

    def _is_back(self, connection: Connection) -> bool:
        return any(
            one.consumer_id == connection.consumer_id
            for one in self.connections(connection.pool_id)
        )

    async def _left(self, connection: Connection, *, clean: bool) -> None:
        queue, consumer_id = self._queue, str(connection.consumer_id)
        assert queue is not None
        await queue.mark_holder(consumer_id, lost=True)
        if not clean:
            return
        await asyncio.sleep(RETURN_SECONDS)
        if self._is_back(connection):
            return
        held = {one.message_id for one in await queue.leases_of(consumer_id) if one.lost}
        for message_id, reservation in connection.in_flight.items():
            if message_id in held and reservation.token:
                await queue.release(
                    connection.pool_id, message_id, reservation.token, "connection_closed"
                )

    def _unsent(self, connection: Connection, message_ids: list[str]) -> None:
        tokens = {
            id: held.token for id in message_ids if (held := connection.in_flight.pop(id, None))
        }
        if self._queue is not None and tokens:
            self._run(self._return(connection.pool_id, tokens))

    async def _return(self, pool_id: str, tokens: dict[str, str]) -> None:
        assert self._queue is not None
        for message_id, token in tokens.items():
            await self._queue.release(pool_id, message_id, token, "delivery_failed")

    def _run(self, errand: Coroutine[Any, Any, None]) -> None:
        """Carry out what nobody waits for; a lease that cannot be given back ends by itself."""

        async def guarded() -> None:
            with contextlib.suppress(Refusal):
                await errand

        task = asyncio.create_task(guarded(), name="worker-channel-errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    # --- what workers say about messages ---------------------------------------------------------

    async def operate(self, connection: Connection, frame: OperationFrame) -> None:
        """Carry out what a worker says about a message, and answer it."""
        if self._operations is None or not connection.limit:
            connection.send("cleanup.operation_result.v1", unauthorized(frame))
            return
        freed = await self._operations.carry_out(connection, frame)
        if freed and self.dispatcher is not None:
            self.dispatcher.look(connection.pool_id)


def unauthorized(frame: OperationFrame) -> OperationResult:
    """The answer to an operation on a channel that takes no cleanups."""
    return OperationResult(
        request_frame_id=frame.id,
        message_id=frame.payload.message_id,
        operation=OPERATIONS[type(frame)],
        status=CleanupStatus.UNAUTHORIZED,
        reason="cleanup_delivery_not_accepted",
    )


OPERATIONS: dict[type, CleanupOperation] = {
    AckFrame: CleanupOperation.ACK,
    RenewFrame: CleanupOperation.RENEW,
    ReleaseFrame: CleanupOperation.RELEASE,
}
