"""All worker channels of one server process."""

import asyncio

from penstock.base.clock import Clock
from penstock.schemas.channel import (
    AckFrame,
    CloseReason,
    Operation,
    OperationFrame,
    OperationResult,
    OperationStatus,
    ReleaseFrame,
    RenewFrame,
)
from penstock.server.bus import Bus
from penstock.server.channel.connection import Connection
from penstock.server.channel.pool import PoolChannel, Reader
from penstock.server.ops.context import Context, service

DRAIN_SECONDS = 5.0
_OPERATIONS = {
    AckFrame: Operation.ACK,
    RenewFrame: Operation.RENEW,
    ReleaseFrame: Operation.RELEASE,
}


class Channels:
    """Who is connected, by pool. `start`, `drain` and `stop` may be repeated."""

    def __init__(self, store: Reader, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._context = Context(actor=service("worker-channel"))
        self._pools: dict[str, PoolChannel] = {}
        self.maximum_cleanups = 0
        self.open = False
        """Whether workers may connect; while starting and stopping they are told to come back."""

    @property
    def count(self) -> int:
        return sum(len(pool.connections) for pool in self._pools.values())

    async def start(self) -> None:
        self.open = True

    async def drain(self) -> None:
        """Take nobody in any more, send what is queued, and send everybody elsewhere."""
        self.open = False
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
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.stop()

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
        pool.attach(connection)
        return pool

    async def seed(self, connection: Connection) -> None:
        """Count the reservations that the worker still holds from an earlier connection."""

    async def operate(self, connection: Connection, frame: OperationFrame) -> None:
        """Carry out what a worker says about a message, and answer it."""
        connection.send(
            "cleanup.operation_result.v1",
            OperationResult(
                request_frame_id=frame.id,
                message_id=frame.payload.message_id,
                operation=_OPERATIONS[type(frame)],
                status=OperationStatus.UNAUTHORIZED,
                reason="cleanup_delivery_not_accepted",
            ),
        )

    async def detach(self, connection: Connection, *, clean: bool) -> None:
        """Forget a worker whose socket is closed; `clean` when the worker did it in good order."""
        connection.ended()
        pool = self._pools.get(connection.pool_id)
        if pool is None or connection not in pool.connections:
            return
        pool.connections.remove(connection)
        if not pool.connections:
            del self._pools[connection.pool_id]
            await pool.stop()
