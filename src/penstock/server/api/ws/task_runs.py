"""`/task_runs/subscriptions/scheduled`: background task runs for a task worker, one at a time.

The next run is sent when the worker has acknowledged the one before. What it got and has not
taken on goes back into the queue when the connection ends; see `ops.task_workers`.
"""

import asyncio
import logging
from typing import Any, NoReturn

from penstock.base.ids import uuid7
from penstock.schemas.errors import ServiceUnavailable
from penstock.server.api.edge import Edge
from penstock.server.api.ws.socket import PEER_PROTOCOL, Gone, Socket, handshake, read_object
from penstock.server.ops import task_workers as ops

logger = logging.getLogger("penstock.server.api.task_runs")

VIOLATION = 4001
NORMAL = 1000
POLL_SECONDS = 1.0
"""How soon a run is seen whose time has come, or that another server's worker lost."""
HEARTBEAT_SECONDS = 10.0


async def scheduled_task_runs(socket: Socket, edge: Edge) -> None:
    """Serve one connection until either side closes it."""
    await handshake(socket, edge, PEER_PROTOCOL)
    keys, client_id = await _subscription(socket)
    worker = _Connection(socket, edge, keys, client_id)
    await worker.run()


async def _subscription(socket: Socket) -> tuple[list[str], str]:
    message = read_object(await socket.receive())
    if message.get("type") != "subscribe":
        await _violation(socket, "expected 'subscribe' message")
    keys, client_id = message.get("keys"), message.get("client_id")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        await _violation(socket, "expected 'keys' in subscribe message")
    if not isinstance(client_id, str) or not client_id:
        await _violation(socket, "expected 'client_id' in subscribe message")
    return list(dict.fromkeys(keys)), client_id


async def _violation(socket: Socket, reason: str) -> NoReturn:
    await socket.close(VIOLATION, f"Protocol violation: {reason}")
    raise Gone


class _Connection:
    def __init__(self, socket: Socket, edge: Edge, keys: list[str], client_id: str) -> None:
        self._socket = socket
        self._edge = edge
        self._keys = keys
        self._client_id = client_id
        self._id = str(uuid7())
        self._acks: asyncio.Queue[None] = asyncio.Queue()

    async def run(self) -> None:
        parts = [
            asyncio.create_task(part(), name=f"task-runs-{part.__name__}")
            for part in (self._heartbeats, self._receive, self._send)
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await self._leave()
        for part in done:
            part.result()

    async def _receive(self) -> None:
        """Count acknowledgements until the worker quits or leaves."""
        while True:
            message = read_object(await self._socket.receive())
            kind = message.get("type")
            if kind == "quit":
                await self._socket.close(NORMAL, "")
                return
            if kind != "ack":
                await _violation(self._socket, "expected 'ack' message")
            self._acks.put_nowait(None)

    async def _heartbeats(self) -> None:
        while True:
            await self._tried(ops.put_worker, self._id, self._client_id, self._keys)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _send(self) -> None:
        bus, store = self._edge.bus, self._edge.store
        while True:
            seen = bus.version(ops.TOPIC)
            run = None
            if await store.read(ops.is_waiting, self._keys):
                run = await self._tried(ops.take, self._id, self._keys)
            if run is None:
                await bus.wait(ops.TOPIC, seen, POLL_SECONDS)
                continue
            await self._socket.send(run)
            await self._acks.get()

    async def _tried(self, op: Any, *arguments: Any) -> Any:
        """What a write gives, None when the database cannot be reached now: it is asked again."""
        try:
            return await self._edge.store.write(op, *arguments)
        except ServiceUnavailable as error:
            logger.warning("task worker %s: %s", self._client_id, error.detail)
            return None

    async def _leave(self) -> None:
        """Where this fails the loans end by themselves."""
        await asyncio.shield(self._tried(ops.remove_worker, self._id))
