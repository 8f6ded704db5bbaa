"""The worker's side of the worker channel: connect, stay connected, tell the worker what comes.

While the channel is healthy the heartbeats go over it; at all other times by `rest_heartbeat`.
Runs are always fetched by requests; the channel says when it is worth asking.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NoReturn, Protocol
from urllib.parse import quote
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.client.endpoint import endpoint
from penstock.client.handshake import connection_options, greeting, socket_url
from penstock.client.target import Target
from penstock.schemas.channel import (
    CLEANUP,
    EXTENSIONS,
    REQUIRED_CAPABILITIES,
    TERMINAL_CODES,
    VERSION,
    CleanupMessageFrame,
    OperationResultFrame,
    ReadyFrame,
    ServerFrame,
    SnapshotFrame,
    WorkerReady,
    WorkReady,
    WorkReadyFrame,
    channel_path,
)
from penstock.workers.identity import host_id

logger = logging.getLogger("penstock.workers.channel")

SETUP_SECONDS = 10.0
LONGEST_DELAY = 30.0
PROBE_SECONDS = 300.0
"""How often, more or less, a channel that was refused for good is tried again."""
KEEPALIVE_SECONDS = 20.0
LARGEST = 16 * 1_048_576

_decode = msgspec.json.Decoder(ServerFrame, strict=False).decode


class ChannelState(StrEnum):
    """Where a channel is; heartbeats go by requests in all states but `healthy`."""

    CONNECTING = "connecting"
    HEALTHY = "healthy"
    FALLBACK_RETRYING = "fallback_retrying"
    DISABLED = "disabled"


class WorkerDescription(Struct, frozen=True, kw_only=True):
    """What a worker says of itself."""

    name: str
    type: str
    heartbeat_seconds: int = 30
    work_queue_names: tuple[str, ...] = ()
    create_pool_if_not_found: bool = False
    base_job_template: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}


class Cleanups(Protocol):
    """Who carries out teardowns; `penstock.workers.cleanup.CleanupExecutor` is one."""

    kinds: tuple[str, ...]
    limit: int

    def take(self, frame: CleanupMessageFrame) -> None: ...

    def resolve(self, frame: OperationResultFrame) -> None: ...

    def connected(
        self, send: Callable[[str, Any, UUID], Awaitable[None]], *, accepted: bool
    ) -> None: ...

    def disconnected(self) -> None: ...

    async def stop(self, grace: float = ...) -> None: ...


class Refused(Exception):
    """The server does not want this worker on a channel, now or in a second."""


class Ended(ConnectionError):
    """The channel is closed and may be opened again."""


def _ignore(_: Any) -> None:
    return None


class WorkerChannel:
    """One worker's channel to one pool. `start` and `stop` may be repeated.

    The callbacks are called on the event loop and must return at once: `on_snapshot` with the
    pool as JSON object, first after each connection; `on_work_ready` when runs can be fetched or
    will be due; `on_state` with the new state.
    """

    def __init__(
        self,
        target: Target,
        work_pool_name: str,
        worker: WorkerDescription,
        *,
        rest_heartbeat: Callable[[], Awaitable[Any]],
        on_snapshot: Callable[[dict[str, Any]], None] = _ignore,
        on_work_ready: Callable[[WorkReady], None] = _ignore,
        on_state: Callable[[ChannelState], None] = _ignore,
        cleanups: Cleanups | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._pool_name = work_pool_name
        self._worker = worker
        self._rest_heartbeat = rest_heartbeat
        self._on_snapshot = on_snapshot
        self._on_work_ready = on_work_ready
        self._on_state = on_state
        self._cleanups = cleanups
        self._chance = chance
        self._connection: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._settled = asyncio.Event()
        self._sequence = 0
        self._greeted = False
        self._lost = asyncio.Event()
        self.consumer_id = uuid4()
        self.state = ChannelState.CONNECTING
        self.ready: WorkerReady | None = None
        """What the server said when the channel was last set up."""

    @property
    def healthy(self) -> bool:
        return self.state is ChannelState.HEALTHY

    async def start(self) -> None:
        """Begin to connect and to send heartbeats. Returns at once."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._run(), name="worker-channel"),
                asyncio.create_task(self._heartbeats(), name="worker-heartbeats"),
            ]

    async def settled(self, timeout: float) -> ChannelState:
        """The state once the first attempt to connect has ended, or `timeout` seconds passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._settled.wait()
        return self.state

    async def stop(self, grace: float = 30.0) -> None:
        """Finish teardowns within `grace` seconds, hand back the rest, close the channel."""
        if self._cleanups is not None and self._tasks:
            await self._cleanups.stop(grace)
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- staying connected -----------------------------------------------------------------------

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                await self._connected()
            except Refused as error:
                if self.state is not ChannelState.DISABLED:
                    logger.warning(
                        "no worker channel to pool %r (%s); heartbeats go by requests, and the "
                        "channel is tried again every few minutes",
                        self._pool_name,
                        error,
                    )
                self._become(ChannelState.DISABLED)
                delay = PROBE_SECONDS * (0.5 + self._chance())
            except (Ended, OSError, TimeoutError) as error:
                attempt = 1 if self.healthy else attempt + 1
                level = logging.INFO if attempt == 1 else logging.DEBUG
                logger.log(level, "worker channel to pool %r: %s", self._pool_name, error)
                if self.state is not ChannelState.DISABLED:
                    self._become(ChannelState.FALLBACK_RETRYING)
                delay = reconnect_delay(attempt) * self._chance()
            self._settled.set()
            await asyncio.sleep(delay)

    async def _connected(self) -> NoReturn:
        """One connection from its opening to its end. Raises `Refused` or what can be retried."""
        url = self._url()
        try:
            async with asyncio.timeout(SETUP_SECONDS):
                connection = await connect(url, **self._options())
        except InvalidStatus as error:
            status = error.response.status_code
            if 400 <= status < 500 and status not in (408, 425, 429):
                raise Refused(f"HTTP status {status}") from error
            raise Ended(f"HTTP status {status}") from error
        except InvalidHandshake as error:
            raise Refused(str(error)) from error
        async with connection:
            try:
                async with asyncio.timeout(SETUP_SECONDS):
                    ready = await self._set_up(connection)
                self._begin(connection, ready)
                while True:
                    self._take(await connection.recv())
            except ConnectionClosed as error:
                raise _end_of(error) from error
            finally:
                self._connection = None
                if self._cleanups is not None:
                    self._cleanups.disconnected()

    async def _set_up(self, connection: ClientConnection) -> WorkerReady:
        await connection.send(greeting(self._target), text=True)
        welcome = _object(await connection.recv())
        if welcome.get("type") != "auth_success":
            raise Refused("the server did not welcome the worker")
        await self._send_over(connection, "worker.hello.v1", self._hello(), uuid7())
        frame = _decoded(await connection.recv())
        if not isinstance(frame, ReadyFrame):
            raise Refused("the server did not answer the hello")
        ready = frame.payload
        if ready.consumer_id != self.consumer_id or ready.selected_channel_version != VERSION:
            raise Refused("the server answered somebody else's hello")
        return ready

    def _begin(self, connection: ClientConnection, ready: WorkerReady) -> None:
        self._connection = connection
        self.ready = ready
        self._greeted = True
        self._sequence = ready.initial_snapshot.snapshot_sequence
        self._become(ChannelState.HEALTHY)
        self._settled.set()
        self._on_snapshot(ready.initial_snapshot.work_pool)
        if self._cleanups is not None:
            self._cleanups.connected(self._send, accepted=CLEANUP in ready.accepted_capabilities)

    def _take(self, text: str | bytes) -> None:
        frame = _decoded(text)
        if isinstance(frame, SnapshotFrame):
            if frame.payload.snapshot_sequence > self._sequence:
                self._sequence = frame.payload.snapshot_sequence
                self._on_snapshot(frame.payload.work_pool)
        elif isinstance(frame, WorkReadyFrame):
            self._on_work_ready(frame.payload)
        elif isinstance(frame, CleanupMessageFrame) and self._cleanups is not None:
            self._cleanups.take(frame)
        elif isinstance(frame, OperationResultFrame) and self._cleanups is not None:
            self._cleanups.resolve(frame)

    def _become(self, state: ChannelState) -> None:
        if state is self.state:
            return
        if self.healthy:
            self._lost.set()
        self.state = state
        self._on_state(state)

    # --- heartbeats ------------------------------------------------------------------------------

    async def _heartbeats(self) -> None:
        """One in each interval; at once when the channel is lost."""
        interval = self._worker.heartbeat_seconds
        await self.settled(SETUP_SECONDS)
        while True:
            self._lost.clear()
            if not self.healthy:
                await self._beat_by_request()
            elif self._greeted:
                self._greeted = False  # the hello was a heartbeat
            else:
                await self._beat_by_frame()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._lost.wait()

    async def _beat_by_frame(self) -> None:
        with contextlib.suppress(Ended):
            await self._send(
                "worker.heartbeat.v1",
                {
                    "consumer_id": self.consumer_id,
                    "worker_name": self._worker.name,
                    "heartbeat_interval_seconds": self._worker.heartbeat_seconds,
                },
                uuid7(),
            )

    async def _beat_by_request(self) -> None:
        try:
            await self._rest_heartbeat()
        except Exception as error:
            # A worker loop is a supervision point: the next heartbeat may well succeed.
            logger.warning("the heartbeat of worker %r failed: %s", self._worker.name, error)

    # --- frames ----------------------------------------------------------------------------------

    async def _send(self, type: str, payload: Any, id: UUID) -> None:
        """Send one frame. Raises `Ended` when the channel is not connected."""
        connection = self._connection
        if connection is None:
            raise Ended("the channel is not connected")
        await self._send_over(connection, type, payload, id)

    async def _send_over(
        self, connection: ClientConnection, type: str, payload: Any, id: UUID
    ) -> None:
        frame = {"type": type, "id": id, "sent_at": datetime.now(UTC), "payload": payload}
        try:
            await connection.send(json.encode(frame), text=True)
        except ConnectionClosed as error:
            raise _end_of(error) from error

    def _hello(self) -> dict[str, Any]:
        worker, cleanups = self._worker, self._cleanups
        cleaning = cleanups is not None and bool(cleanups.kinds) and cleanups.limit > 0
        requested = [*REQUIRED_CAPABILITIES, *((CLEANUP,) if cleaning else ()), *EXTENSIONS]
        return {
            "consumer_id": self.consumer_id,
            "worker_name": worker.name,
            "worker_type": worker.type,
            "heartbeat_interval_seconds": worker.heartbeat_seconds,
            "supported_channel_versions": [VERSION],
            "requested_capabilities": requested,
            "work_queue_names": list(worker.work_queue_names),
            "handled_cleanup_kinds": list(cleanups.kinds) if cleanups and cleaning else [],
            "max_cleanup_concurrency": cleanups.limit if cleanups and cleaning else 0,
            "create_pool_if_not_found": worker.create_pool_if_not_found,
            "default_base_job_template": worker.base_job_template,
            "worker_metadata": {**worker.metadata, "penstock": {"host_id": host_id()}},
        }

    def _url(self) -> str:
        base = self._target.url or getattr(endpoint(self._target).transport, "url", None)
        if not base:
            raise Refused("the server is inside this process and has no socket")
        return socket_url(base, channel_path(quote(self._pool_name, safe="")))

    def _options(self) -> dict[str, Any]:
        return {
            **connection_options(self._target),
            "subprotocols": [Subprotocol("prefect")],
            "max_size": LARGEST,
            "ping_interval": KEEPALIVE_SECONDS,
            "ping_timeout": KEEPALIVE_SECONDS,
        }


def reconnect_delay(attempt: int) -> float:
    """The longest pause, in seconds, before this attempt to connect again."""
    return min(LONGEST_DELAY, 2.0 ** (attempt - 1))


def _end_of(error: ConnectionClosed) -> Exception:
    """What a closed connection means for the next one."""
    closed = error.rcvd
    if closed is None:
        return Ended("the connection was lost")
    text = f"closed with {closed.code} {closed.reason}".rstrip()
    return Refused(text) if closed.code in TERMINAL_CODES else Ended(text)


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.decode(text)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _decoded(text: str | bytes) -> ServerFrame | None:
    """A frame of the server; None for one that this worker does not understand."""
    try:
        return _decode(text)
    except msgspec.DecodeError as error:
        logger.debug("a frame was not understood: %s", error)
        return None
