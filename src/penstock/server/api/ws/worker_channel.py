"""`/work_pools/{name}/workers/connect`: the channel of one worker in one pool.

The order is: authentication, hello, ready, then frames both ways. How it ends is one of the close
reasons of `schemas.channel`; a worker takes some of them as final, so conditions that can heal
never close with one of those.
"""

import asyncio
import logging
from typing import NoReturn

import msgspec

from penstock.base import json
from penstock.base.clock import Clock
from penstock.base.ids import uuid7
from penstock.schemas.channel import (
    CLEANUP,
    CLOSE_CODES,
    EXTENSIONS,
    KINDS,
    MAXIMUM_FRAME,
    REQUIRED_CAPABILITIES,
    VERSION,
    WORK_READY,
    AuthRequest,
    CloseReason,
    HeartbeatFrame,
    HelloFrame,
    OperationFrame,
    RenewFrame,
    WorkerBeat,
    WorkerFrame,
    WorkerHello,
)
from penstock.schemas.errors import (
    Forbidden,
    ObjectMissing,
    Refusal,
    RequestInvalid,
    ServiceUnavailable,
)
from penstock.server.api.edge import Edge
from penstock.server.api.ws.protocol import EXTENSION, PingGate
from penstock.server.api.ws.socket import PEER_PROTOCOL, Gone, Socket, admit
from penstock.server.channel.connection import Connection, Line
from penstock.server.channel.pool import PoolChannel
from penstock.server.ops import worker_channel as ops

logger = logging.getLogger("penstock.server.api.worker_channel")

STEP_SECONDS = 10.0
"""How long a worker may take for its first and for its second frame."""
OPERATIONS_PER_SECOND = 50
"""Renewals, and operations on what the worker does not hold, before its channel is closed."""

_decode_auth = msgspec.json.Decoder(AuthRequest).decode
_decode_frame = msgspec.json.Decoder(WorkerFrame, strict=False).decode


async def worker_channel(socket: Socket, edge: Edge, work_pool_name: str) -> None:
    """Serve one connection until either side closes it."""
    if not edge.channels.open:
        await socket.refuse(503)
        return
    await admit(socket, edge)
    if PEER_PROTOCOL not in (socket.scope.get("subprotocols") or []):
        await socket.refuse()
        return
    await socket.accept(PEER_PROTOCOL)
    await _authenticate(socket, edge)
    await _Channel(socket, edge, work_pool_name).run()


async def _authenticate(socket: Socket, edge: Edge) -> None:
    try:
        async with asyncio.timeout(STEP_SECONDS):
            frame = await socket.receive()
        request = _decode_auth(frame)
    except (TimeoutError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        await _close(socket, CloseReason.AUTHENTICATION_FAILED)
    try:
        caller = await edge.access.identify_token(request.token)
    except ServiceUnavailable:
        await _close(socket, CloseReason.TRANSIENT_SERVER_ERROR)
    if caller is None or not caller.may(socket.needed):
        await edge.refusals.note(
            socket.context(edge), "credentials" if caller is None else "forbidden"
        )
        failed = CloseReason.AUTHENTICATION_FAILED
        await _close(socket, failed if caller is None else CloseReason.AUTHORIZATION_FAILED)
    socket.caller = caller
    await socket.send(b'{"type":"auth_success"}')


async def _close(socket: Socket, reason: CloseReason) -> NoReturn:
    await socket.close(CLOSE_CODES[reason], reason.value)
    raise Gone


class _Line(Line):
    """The socket as connections use it."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        extensions = socket.scope.get("extensions") or {}
        self._gate: PingGate | None = extensions.get(EXTENSION)

    async def send(self, frame: bytes) -> None:
        try:
            await self._socket.send(frame)
        except Gone as error:
            raise ConnectionError("the worker is gone") from error

    async def close(self, code: int, reason: str) -> None:
        try:
            await self._socket.close(code, reason)
        except Gone as error:
            raise ConnectionError("the worker is gone") from error

    def heard(self) -> float | None:
        return None if self._gate is None else self._gate.heard

    def ping(self) -> None:
        if self._gate is not None:
            self._gate.probe()

    def abort(self) -> None:
        if self._gate is not None:
            self._gate.abort()


class _Channel:
    """One worker from its hello on."""

    def __init__(self, socket: Socket, edge: Edge, work_pool_name: str) -> None:
        self._socket = socket
        self._edge = edge
        self._pool_name = work_pool_name
        self._context = socket.context(edge)
        self._second = 0
        self._operations = 0

    async def run(self) -> None:
        """Set the channel up and serve it until one side ends it."""
        try:
            async with asyncio.timeout(STEP_SECONDS):
                frame = await self._frame()
        except TimeoutError:
            await self._close(CloseReason.PROTOCOL_ERROR)
        if not isinstance(frame, HelloFrame):
            await self._close(CloseReason.PROTOCOL_ERROR)
        hello = frame.payload
        if problem := problem_of_hello(hello):
            logger.warning("worker %r: %s", hello.worker_name, problem)
            await self._close(CloseReason.PROTOCOL_ERROR)
        if VERSION not in hello.supported_channel_versions:
            await self._close(CloseReason.UNSUPPORTED_VERSION)
        cleanup = requested_cleanup(hello, self._edge.channels.maximum_cleanups)
        setup = await self._setup(hello, cleanup[0])
        connection = await self._connection(hello, setup, *cleanup)
        connection.offset.note(frame.sent_at, self._edge.clock.now())
        await self._socket.send(_ready(hello, setup, connection, self._edge.clock))
        pool = self._edge.channels.attach(connection)
        try:
            while True:
                await self._take(connection, pool, await self._frame())
        finally:
            await asyncio.shield(self._edge.channels.detach(connection, clean=self._socket.clean))

    async def _setup(self, hello: WorkerHello, kinds: frozenset[str]) -> ops.ChannelSetup:
        try:
            return await self._edge.store.write(
                ops.open_channel, self._context, self._pool_name, hello, kinds
            )
        except (ObjectMissing, Forbidden) as error:
            reason, detail = CloseReason.AUTHORIZATION_FAILED, error.detail
        except RequestInvalid as error:
            reason, detail = CloseReason.PROTOCOL_ERROR, error.detail
        except Refusal as error:
            reason, detail = CloseReason.TRANSIENT_SERVER_ERROR, error.detail
        logger.warning("worker %r was refused: %s", hello.worker_name, detail)
        return await self._close(reason)

    async def _connection(
        self, hello: WorkerHello, setup: ops.ChannelSetup, kinds: frozenset[str], limit: int
    ) -> Connection:
        connection = Connection(
            _Line(self._socket),
            self._edge.clock,
            pool_id=str(setup.pool.id),
            consumer_id=hello.consumer_id,
            worker_name=hello.worker_name,
            worker_type=hello.worker_type,
            queue_ids=frozenset(id for id, _ in setup.queues) if hello.work_queue_names else None,
            kinds=kinds,
            limit=limit,
            host_id=_host_id(hello),
            wants_work_ready=WORK_READY in hello.requested_capabilities,
            stamp=setup.pool.updated,
        )
        if limit:
            try:
                await self._edge.channels.seed(connection)
            except Refusal as error:
                logger.warning("worker %r gets no cleanups: %s", hello.worker_name, error.detail)
                await self._close(CloseReason.TRANSIENT_SERVER_ERROR)
        return connection

    async def _frame(self) -> WorkerFrame:
        """The next frame; closes the channel for one that no worker of this protocol sends."""
        text = await self._socket.receive()
        if isinstance(text, str) and len(text) <= MAXIMUM_FRAME:
            try:
                return _decode_frame(text)
            except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
                logger.warning("malformed frame on the channel of %r: %s", self._pool_name, error)
        return await self._close(CloseReason.PROTOCOL_ERROR)

    async def _take(self, connection: Connection, pool: PoolChannel, frame: WorkerFrame) -> None:
        connection.offset.note(frame.sent_at, self._edge.clock.now())
        if isinstance(frame, HeartbeatFrame):
            await self._beat(connection, pool, frame.payload)
        elif isinstance(frame, HelloFrame):
            await self._close(CloseReason.PROTOCOL_ERROR)
        elif self._too_fast(connection, frame):
            await self._close(CloseReason.TRANSIENT_SERVER_ERROR)
        else:
            await self._edge.channels.operate(connection, frame)

    async def _beat(self, connection: Connection, pool: PoolChannel, beat: WorkerBeat) -> None:
        known = (connection.consumer_id, connection.worker_name)
        if (beat.consumer_id, beat.worker_name) != known:
            await self._close(CloseReason.PROTOCOL_ERROR)
        try:
            pool_id, stamp = await self._edge.store.write(
                ops.beat,
                self._context,
                self._pool_name,
                beat.worker_name,
                beat.heartbeat_interval_seconds,
                connection.kinds,
            )
        except ObjectMissing:
            await self._close(CloseReason.AUTHORIZATION_FAILED)
        except Refusal as error:
            logger.warning("the heartbeat of %r is lost: %s", beat.worker_name, error.detail)
            await self._close(CloseReason.HEARTBEAT_PERSISTENCE_FAILED)
        if pool_id != connection.pool_id:
            # The pool was deleted and another one has its name now.
            await self._close(CloseReason.AUTHORIZATION_FAILED)
        if stamp != connection.stamp:
            pool.reconcile()

    def _too_fast(self, connection: Connection, frame: OperationFrame) -> bool:
        """Whether the worker says more than it can have reason to.

        The ends of messages that it holds do not count: there are no more than were sent to it.
        """
        held = str(frame.payload.message_id) in connection.in_flight
        if held and not isinstance(frame, RenewFrame):
            return False
        second = int(self._edge.clock.monotonic())
        if second != self._second:
            self._second, self._operations = second, 0
        self._operations += 1
        return self._operations > OPERATIONS_PER_SECOND

    async def _close(self, reason: CloseReason) -> NoReturn:
        await _close(self._socket, reason)


def problem_of_hello(hello: WorkerHello) -> str | None:
    """What breaks the protocol in a hello whose form is right."""
    requested = set(hello.requested_capabilities)
    missing = [name for name in REQUIRED_CAPABILITIES if name not in requested]
    if missing:
        return f"it does not request {missing[0]}"
    if CLEANUP not in requested and (hello.handled_cleanup_kinds or hello.max_cleanup_concurrency):
        return f"it handles cleanups without requesting {CLEANUP}"
    return None


def requested_cleanup(hello: WorkerHello, most: int) -> tuple[frozenset[str], int]:
    """Kinds of cleanup the worker can be given, and how many at once; none of them together.

    Kinds that this server does not know are left out.
    """
    kinds = frozenset(KINDS).intersection(hello.handled_cleanup_kinds)
    wanted = hello.max_cleanup_concurrency
    limit = min(1 if wanted is None else wanted, most)
    if CLEANUP not in hello.requested_capabilities or not kinds or not limit:
        return frozenset(), 0
    return kinds, limit


def _host_id(hello: WorkerHello) -> str | None:
    """The host a Penstock worker says it runs on."""
    told = (hello.worker_metadata or {}).get("penstock")
    host = told.get("host_id") if isinstance(told, dict) else None
    return host if isinstance(host, str) else None


def _ready(
    hello: WorkerHello, setup: ops.ChannelSetup, connection: Connection, clock: Clock
) -> bytes:
    known = {*REQUIRED_CAPABILITIES, *EXTENSIONS} | ({CLEANUP} if connection.limit else set())
    requested = list(dict.fromkeys(hello.requested_capabilities))
    return json.encode(
        {
            "type": "worker.ready.v1",
            "id": uuid7(),
            "sent_at": clock.now(),
            "payload": {
                "consumer_id": hello.consumer_id,
                "worker_id": None,
                "selected_channel_version": VERSION,
                "effective_heartbeat_interval_seconds": hello.heartbeat_interval_seconds,
                "accepted_capabilities": [name for name in requested if name in known],
                "rejected_capabilities": [name for name in requested if name not in known],
                "effective_max_cleanup_concurrency": connection.limit,
                "resolved_work_queues": [{"id": id, "name": name} for id, name in setup.queues],
                "initial_snapshot": {
                    "snapshot_sequence": connection.sequence,
                    "reason": "initial",
                    "work_pool": msgspec.Raw(ops.pool_document(setup.pool)),
                },
            },
        }
    )
