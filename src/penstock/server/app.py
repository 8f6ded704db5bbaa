"""The composition root: configuration in, ASGI application out.

Start: store, bus, services. Stop: sockets, services, bus, store, so that nothing uses a part
that is already gone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec.structs import replace

from penstock.base.clock import SYSTEM_CLOCK, Clock
from penstock.schemas.admin import ServiceState
from penstock.server.api.adapter import Adapter
from penstock.server.api.answers import Receive, Send, send_answer
from penstock.server.api.documents import Documents
from penstock.server.api.edge import Edge, edge_of
from penstock.server.api.routes import build_routes
from penstock.server.api.ws.endpoints import Sockets
from penstock.server.bus import open_bus
from penstock.server.config import ServerConfig
from penstock.server.ops import bundled_blocks
from penstock.server.queue import open_queue
from penstock.server.services.catalogue import services_of
from penstock.server.services.shares import Shares, seen_from_all
from penstock.server.services.supervisor import Supervisor
from penstock.server.store import open_store
from penstock.server.store.dsn import conninfo
from penstock.server.store.transaction import Tx
from penstock.server.ui import UserInterface

logger = logging.getLogger("penstock.server")


class App:
    """One server: an ASGI callable with `start` and `stop`, which may be repeated and raced."""

    def __init__(self, config: ServerConfig, clock: Clock = SYSTEM_CLOCK) -> None:
        self.config = config
        self.store = open_store(config.database_url, clock=clock)
        self.bus = open_bus(config.bus, _connection(config))
        self.store.on_wake = self._wake
        self.queue = open_queue(
            config.cleanup,
            self.store,
            self.bus,
            ephemeral=config.database_url == "sqlite:///:memory:",
        )
        self.edge: Edge = edge_of(config, self.store, self.bus, clock, self.queue)
        services = services_of(self.store, self.bus, config, clock, self.queue)
        # With a bus of its own process only, a server is the only one: it shares nothing.
        alone = config.bus == "memory"
        shares = None if alone else Shares(self.store, self.queue.server_id, clock)
        self.supervisor = Supervisor(services, self.bus, clock, shares)
        self.edge.services = self._services
        self.edge.stalled = self.supervisor.stalled
        self._adapter = Adapter(build_routes(), self.edge)
        self._documents = Documents(config)
        self._sockets = Sockets(self.edge)
        self._ui = UserInterface(config)
        self._lock = asyncio.Lock()
        self._started = False
        self.start_error: BaseException | None = None
        """Why the last start failed, for whoever runs the ASGI server."""

    async def start(self) -> None:
        """Open the store (and bring its schema up to date), the bus, and start the services."""
        async with self._lock:
            if self._started:
                return
            self.start_error = None
            try:
                await asyncio.to_thread(self.store.start)
                self.edge.fingerprint_key = await self.store.read(_fingerprint_key)
                if not await self.store.read(bundled_blocks.is_installed):
                    await self.store.write(bundled_blocks.install)
                await self.bus.start()
                await self.queue.start()
                await self.edge.access.required()
                await self.supervisor.start()
                await self.edge.channels.start()
            except BaseException as error:
                self.start_error = error
                await self._stop()
                raise
            self._started = True

    async def stop(self) -> None:
        """Stop everything that `start` started."""
        async with self._lock:
            if self._started:
                self._started = False
                await self._stop()

    async def drain(self) -> None:
        """Send connected workers elsewhere, before their sockets are closed."""
        await self.edge.channels.drain()

    async def _stop(self) -> None:
        await self.edge.channels.stop()
        await self._sockets.close()
        await self.supervisor.stop()
        await self.queue.stop()
        await self.bus.stop()
        await asyncio.to_thread(self.store.stop)

    async def _services(self) -> list[ServiceState]:
        """The background loops of this process, with who runs them."""
        states, shares = self.supervisor.state(), self.supervisor.shares
        if shares is None:
            return [replace(state, holder=self.queue.server_id) for state in states]
        rows = {row["name"]: row for row in await shares.rows()}
        return [seen_from_all(state, rows.get(state.name)) for state in states]

    def _wake(self, topics: frozenset[str]) -> None:
        for topic in topics:
            self.bus.wake(topic)
        self.queue.committed(topics)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "websocket":
            await self._sockets(scope, self._api_path(scope["path"]), receive, send)
        elif kind == "lifespan":
            await _lifespan(self.start, self.stop, receive, send)

    def _api_path(self, path: str) -> str | None:
        """The part of a path below the API base, or None for a path outside of it."""
        base = self.config.base_path
        if path.startswith(base) and (len(path) == len(base) or path[len(base)] == "/"):
            return path[len(base) :]
        return None

    async def _http(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        path = self._api_path(scope["path"])
        if path is not None:
            if scope["method"] == "GET":
                document = await self._documents.answer(path, scope, self.edge)
                if document is not None:
                    await send_answer(send, document, compress=False, extra=[])
                    return
            await self._adapter(scope, path, receive, send)
            return
        host = dict(scope["headers"]).get(b"host", b"localhost").decode("latin-1")
        answer = self._ui.answer(scope["method"], scope["path"], f"{scope['scheme']}://{host}")
        await send_answer(send, answer, compress=False, extra=[])


def _connection(config: ServerConfig) -> str:
    """How the bus connects to the database, where the database carries the wake-ups."""
    return conninfo(config.database_url) if config.bus == "postgresql" else config.database_url


def _fingerprint_key(tx: Tx) -> bytes:
    row = tx.one("configuration.get", key="fingerprint_key")
    return row["value"].encode() if row is not None else b""


async def _lifespan(
    start: Callable[[], Awaitable[None]],
    stop: Callable[[], Awaitable[None]],
    receive: Receive,
    send: Send,
) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await start()
            except Exception as error:
                # The ASGI server ends the process with this message; nothing runs yet.
                logger.exception("the server could not start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


def create_app(config: ServerConfig | None = None) -> App:
    """The application of one server; without a configuration, one in memory."""
    return App(config or ServerConfig())
