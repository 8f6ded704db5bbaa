"""Which socket serves which path, and the one place where a broken endpoint is caught."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from penstock.server.api.answers import Receive, Send
from penstock.server.api.edge import Edge
from penstock.server.api.ws.events_in import events_in
from penstock.server.api.ws.events_out import events_out
from penstock.server.api.ws.logs_out import logs_out
from penstock.server.api.ws.socket import BROKEN, Gone, Socket

logger = logging.getLogger("penstock.server.api")

Endpoint = Callable[[Socket, Edge], Awaitable[None]]

ENDPOINTS: dict[str, Endpoint] = {
    "/events/in": events_in,
    "/events/out": events_out,
    "/logs/out": logs_out,
}


class Sockets:
    """All WebSocket endpoints of one server."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(
        self, scope: Mapping[str, Any], path: str | None, receive: Receive, send: Send
    ) -> None:
        """Serve one connection; an unknown path is refused with HTTP 403."""
        socket = Socket(scope, receive, send)
        endpoint = ENDPOINTS.get(path or "")
        if endpoint is None:
            await socket.refuse()
            return
        try:
            await endpoint(socket, self._edge)
        except (Gone, asyncio.CancelledError):
            return
        except Exception:
            # The socket edge is a supervision point: one broken socket must not end the server.
            logger.exception("the socket %s failed", path)
            try:
                await socket.close(BROKEN, "Internal Server Error")
            except Gone:
                return
