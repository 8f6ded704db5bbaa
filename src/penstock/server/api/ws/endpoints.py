"""Which socket serves which path, and the one place where a broken endpoint is caught."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from penstock.schemas.operations.sockets import socket_scope
from penstock.server.api.answers import Receive, Send
from penstock.server.api.edge import Edge
from penstock.server.api.ws.events_in import events_in
from penstock.server.api.ws.events_out import events_out
from penstock.server.api.ws.logs_out import logs_out
from penstock.server.api.ws.socket import BROKEN, RESTART, Gone, Socket
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
        self._open: set[asyncio.Task[None]] = set()

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
        self._open.add(serving)
        try:
            await asyncio.wait((serving,))
        finally:
            serving.cancel()
            self._open.discard(serving)

    async def close(self) -> None:
        """Close every open socket with 1012, so that clients connect again elsewhere or later.

        What a client has no answer for yet, it sends again.
        """
        serving = list(self._open)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, endpoint: Endpoint, socket: Socket, path: str | None) -> None:
        try:
            await endpoint(socket, self._edge)
        except Gone:
            return
        except asyncio.CancelledError:
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
