"""One WebSocket as the endpoints see it, and the handshake they share."""

import asyncio
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from penstock.base import json
from penstock.schemas.tokens import Scope
from penstock.server.api.access import Caller
from penstock.server.api.answers import Receive, Send
from penstock.server.api.edge import Edge
from penstock.server.api.provenance import claims, request_id, request_info
from penstock.server.ops.context import ANONYMOUS, Context

PEER_PROTOCOL = "prefect"
EVENTS_PROTOCOL = "penstock.events.v1"
HANDSHAKE_SECONDS = 30.0

NORMAL = 1000
GOING_AWAY = 1001
POLICY = 1008
PROTOCOL = 1002
TRY_LATER = 1013
BROKEN = 1011
RESTART = 1012
MAXIMUM_REASON = 123
"""Bytes of a close reason that fit into a close frame."""


class Gone(Exception):
    """The socket is closed, by either side; nothing more can be received or sent."""


class Socket:
    """Text frames in and out. Not for concurrent readers."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive
        self._send = send
        self.needed = Scope.ADMIN
        """What the caller must be allowed; an endpoint that nobody rated needs the most."""
        self.caller: Caller | None = None
        self.expelled = False
        """Whether the caller's credentials came to an end meanwhile."""
        self.clean = False
        """Whether the peer closed the socket in good order."""

    def context(self, edge: Edge) -> Context:
        """What operations called for this socket know about its caller."""
        route = f"WS {self.scope['path']}"
        return Context(
            limits=edge.config.limits,
            actor=self.caller.actor if self.caller is not None else ANONYMOUS,
            request=request_info(
                self.scope, self.headers, id=request_id(self.headers), route=route
            ),
            claims=claims(self.headers),
            redact_keys=edge.config.redact_keys,
            fingerprint_key=edge.fingerprint_key,
        )

    async def accept(self, subprotocol: str | None) -> None:
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})

    async def receive(self) -> str | bytes:
        """The next frame. Raises `Gone` when the peer closed."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self.clean = message.get("code") in (NORMAL, GOING_AWAY)
                raise Gone
            if message["type"] == "websocket.receive":
                text = message.get("text")
                return text if text is not None else message.get("bytes") or b""

    async def send(self, value: Any) -> None:
        """Send a value as JSON, or bytes that are JSON already. Raises `Gone`."""
        text = value if isinstance(value, bytes) else json.encode(value)
        try:
            await self._send({"type": "websocket.send", "text": text.decode()})
        except (OSError, RuntimeError) as error:
            # ASGI servers report a peer that went away as one of these two.
            raise Gone from error

    async def close(self, code: int, reason: str) -> None:
        """Close with a reason cut to what a close frame can carry."""
        cut = reason.encode()[:MAXIMUM_REASON].decode(errors="ignore")
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": cut})
        except (OSError, RuntimeError) as error:
            raise Gone from error

    async def refuse(self, status: int = 403) -> None:
        """End a connection that was not accepted; the client sees this HTTP status.

        A status other than 403 needs an ASGI server that can send one.
        """
        answers = "websocket.http.response" in (self.scope.get("extensions") or {})
        if status == 403 or not answers:
            await self._send({"type": "websocket.close", "code": 1000})
            return
        await self._send({"type": "websocket.http.response.start", "status": status, "headers": []})
        await self._send({"type": "websocket.http.response.body", "body": b""})


async def handshake(socket: Socket, edge: Edge, *protocols: str) -> str | None:
    """Accept and authenticate a socket; the chosen subprotocol, None for a legacy client.

    Raises `Gone` after closing a socket that may not stay: HTTP 403 before acceptance for a
    foreign origin, or without a subprotocol where credentials are needed; 1008 afterwards.
    """
    await admit(socket, edge)
    offered = socket.scope.get("subprotocols") or []
    chosen = next((one for one in protocols if one in offered), None)
    if chosen is None:
        socket.caller = await edge.access.identify_token(None)
        if socket.caller is None:
            await edge.refusals.note(socket.context(edge), "credentials")
            await socket.refuse()
            raise Gone
        await socket.accept(None)
        return None
    await socket.accept(chosen)
    await _authenticate(socket, edge)
    return chosen


async def admit(socket: Socket, edge: Edge) -> None:
    """Begin a connection; one from a foreign origin is refused with HTTP 403 and `Gone`."""
    message = await socket._receive()
    if message["type"] != "websocket.connect":
        raise Gone
    host = socket.headers.get(b"host")
    foreign = not edge.origins.trusts(socket.headers.get(b"origin"), host)
    if foreign or not edge.origins.serves_host(host):
        await socket.refuse()
        raise Gone


async def _authenticate(socket: Socket, edge: Edge) -> None:
    try:
        frame = await asyncio.wait_for(socket.receive(), HANDSHAKE_SECONDS)
    except TimeoutError:
        await _leave(socket, POLICY, "Expected 'auth' message")
    message = read_object(frame)
    if message.get("type") != "auth":
        await _leave(socket, POLICY, "Expected 'auth' message")
    token = message.get("token")
    caller = await edge.access.identify_token(token)
    if caller is None:
        await edge.refusals.note(socket.context(edge), "credentials")
        missing = not token
        reason = "Auth required but no token provided" if missing else "Invalid token"
        await _leave(socket, POLICY, reason)
    if not caller.may(socket.needed):
        await edge.refusals.note(socket.context(edge), "forbidden")
        await _leave(socket, POLICY, caller.refusal(socket.needed))
    socket.caller = caller
    await socket.send(b'{"type":"auth_success"}')


async def _leave(socket: Socket, code: int, reason: str) -> NoReturn:
    await socket.close(code, reason)
    raise Gone


def read_object(frame: str | bytes) -> dict[str, Any]:
    """The JSON object of a frame; empty for anything else."""
    try:
        value = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
