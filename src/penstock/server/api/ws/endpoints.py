"""Which socket serves which path, and the one place where a broken endpoint is caught."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.operations.sockets import socket_scope
from penstock.server.api.answers import Receive, Send
from penstock.server.api.edge import Edge
from penstock.server.api.ws.events_in import events_in
from penstock.server.api.ws.events_out import events_out
from penstock.server.api.ws.logs_out import logs_out
from penstock.server.api.ws.socket import BROKEN, POLICY, RESTART, Gone, Socket
from penstock.server.api.ws.task_runs import scheduled_task_runs
from penstock.server.api.ws.worker_channel import worker_channel

logger = logging.getLogger("penstock.server.api")

Endpoint = Callable[[Socket, Edge], Awaitable[None]]

ENDPOINTS: dict[str, Endpoint] = {
    "/events/in": events_in,
    "/events/out": events_out,
    "/logs/out": logs_out,
    "/task_runs/subscriptions/scheduled": scheduled_task_runs,
}


WATCH_SECONDS = 1.0
CHANNEL = re.compile("/work_pools/(?P<work_pool_name>.+)/workers/connect", re.DOTALL)


def endpoint_of(path: str) -> Endpoint | None:
    """What serves a path below the API."""
    if (channel := CHANNEL.fullmatch(path)) is not None:
        return partial(worker_channel, **channel.groupdict())
    return ENDPOINTS.get(path)


class Sockets:
    """All WebSocket endpoints of one server."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._open: dict[asyncio.Task[None], Socket] = {}
        self._watching: asyncio.Task[None] | None = None

    async def __call__(
        self, scope: Mapping[str, Any], path: str | None, receive: Receive, send: Send
    ) -> None:
        """Serve one connection; an unknown path is refused with HTTP 403."""
        socket = Socket(scope, receive, send)
        endpoint = endpoint_of(path or "")
        if endpoint is None:
            await socket.refuse()
            return
        socket.needed = socket_scope(path or "")
        serving = asyncio.create_task(self._serve(endpoint, socket, path), name=f"socket-{path}")
        self._open[serving] = socket
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="socket-credentials")
        try:
            await asyncio.wait((serving,))
        finally:
            serving.cancel()
            self._open.pop(serving, None)
            if not self._open:
                await self._stop_watching()

    async def close(self) -> None:
        """Close every open socket with 1012, so that clients connect again elsewhere or later.

        What a client has no answer for yet, it sends again.
        """
        await self._stop_watching()
        serving = list(self._open)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _stop_watching(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait((watching,))

    async def _watch(self) -> None:
        """Close the sockets of callers whose credentials came to an end, within seconds."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for serving, socket in list(self._open.items()):
                caller = socket.caller
                if caller is None or socket.expelled:
                    continue
                try:
                    socket.expelled = not await self._edge.access.holds(caller)
                except ServiceUnavailable:
                    break  # nothing is known now; asked again in a moment
                if socket.expelled:
                    serving.cancel()

    async def _serve(self, endpoint: Endpoint, socket: Socket, path: str | None) -> None:
        try:
            await endpoint(socket, self._edge)
        except Gone:
            return
        except asyncio.CancelledError:
            if socket.expelled:
                await _close(socket, POLICY, "The credentials are not valid any more")
            else:
                await _close(socket, RESTART, "The server stops")
            raise
        except Exception:
            # The socket edge is a supervision point: one broken socket must not end the server.
            logger.exception("the socket %s failed", path)
            await _close(socket, BROKEN, "Internal Server Error")


async def _close(socket: Socket, code: int, reason: str) -> None:
    try:
        await socket.close(code, reason)
    except Gone:
        return
