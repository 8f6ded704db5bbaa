"""What workers say about messages they hold, carried out and answered."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from penstock.base.clock import Clock
from penstock.schemas.channel import AckFrame, OperationFrame, RenewFrame
from penstock.schemas.cleanup import CleanupOperation, CleanupPlacement, CleanupStatus
from penstock.schemas.errors import Refusal
from penstock.server.channel.connection import Connection, InFlight
from penstock.server.channel.pool import Reader
from penstock.server.ops import worker_channel as ops
from penstock.server.queue import CleanupQueue, OperationResult

logger = logging.getLogger("penstock.server.channel")

OPERATION_SECONDS = 10.0


class Operations:
    """Acknowledgements, renewals and releases of the connections of one process.

    Authority is the token and the scope the pool of the connection; what a worker says of itself
    changes neither.
    """

    def __init__(
        self,
        queue: CleanupQueue,
        store: Reader,
        connections: Callable[[str], list[Connection]],
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._store = store
        self._connections = connections
        self._clock = clock

    async def carry_out(self, connection: Connection, frame: OperationFrame) -> bool:
        """Do it and queue the answer; whether the worker has more room now."""
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(OPERATION_SECONDS):
                result = await self._result(connection, frame)
        except (Refusal, TimeoutError) as error:
            logger.warning("an operation of %r failed: %s", connection.worker_name, error)
            result = OperationResult(
                operation=_operation(frame),
                message_id=str(frame.payload.message_id),
                status=CleanupStatus.ERROR,
                reason="cleanup_queue_operation_failed",
            )
        self._answer(connection, frame, result)
        return self._settle(connection, frame, result, began)

    async def _result(self, connection: Connection, frame: OperationFrame) -> OperationResult:
        pool_id, token = connection.pool_id, frame.payload.reservation_token
        message_id = str(frame.payload.message_id)
        if isinstance(frame, AckFrame):
            others = await self._others(connection, message_id)
            return await self._queue.ack(pool_id, message_id, token, others=others)
        if isinstance(frame, RenewFrame):
            return await self._queue.renew(pool_id, message_id, token)
        return await self._queue.release(pool_id, message_id, token, frame.payload.reason)

    async def _others(self, connection: Connection, message_id: str) -> set[str]:
        """Other workers of the pool that take cleanups, where the message asks for a sweep."""
        held = connection.in_flight.get(message_id)
        if held is not None and held.token and held.placement != CleanupPlacement.PREFER:
            return set()
        here = {one.worker_name for one in self._connections(connection.pool_id) if one.limit}
        elsewhere = await self._store.read(ops.cleaning_workers, connection.pool_id)
        return (here | set(elsewhere)) - {connection.worker_name}

    def _answer(
        self, connection: Connection, frame: OperationFrame, result: OperationResult
    ) -> None:
        offset = connection.offset()
        payload = {
            "request_frame_id": frame.id,
            "message_id": frame.payload.message_id,
            "operation": result.operation,
            "status": result.status,
            "lease_expires_at": None,
            "reason": result.reason,
            "detail": result.detail,
        }
        if result.lease_seconds is not None:
            lease = timedelta(seconds=result.lease_seconds)
            payload["lease_expires_at"] = self._clock.now() + lease + offset
        connection.send("cleanup.operation_result.v1", payload, offset)

    def _settle(
        self, connection: Connection, frame: OperationFrame, result: OperationResult, began: float
    ) -> bool:
        message_id = str(frame.payload.message_id)
        token = frame.payload.reservation_token
        held = connection.in_flight.get(message_id)
        if result.lease_seconds is not None:
            placement = held.placement if held is not None else CleanupPlacement.PREFER
            until = began + result.lease_seconds
            connection.in_flight[message_id] = InFlight(token, until, placement)
            return False
        if held is None or not result.frees or held.token not in ("", token):
            return False
        del connection.in_flight[message_id]
        return True


def _operation(frame: OperationFrame) -> CleanupOperation:
    if isinstance(frame, AckFrame):
        return CleanupOperation.ACK
    return CleanupOperation.RENEW if isinstance(frame, RenewFrame) else CleanupOperation.RELEASE
