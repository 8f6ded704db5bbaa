"""`/logs/out`: log records as they are stored, for who watches a run."""

import asyncio

import msgspec

from penstock.base import json
from penstock.schemas.logs import LogCreate, LogFilter
from penstock.server.api.decoding import problem_of
from penstock.server.api.edge import Edge
from penstock.server.api.http.logs import TOPIC
from penstock.server.api.log_matching import matches
from penstock.server.api.ws.socket import (
    PEER_PROTOCOL,
    POLICY,
    PROTOCOL,
    Gone,
    Socket,
    handshake,
    read_object,
)
from penstock.server.bus import Subscription

_decode_log = msgspec.json.Decoder(LogCreate).decode
DISABLED = "Log streaming is disabled; set server.logs.stream_out_enabled"


async def logs_out(socket: Socket, edge: Edge) -> None:
    """Serve one connection until either side closes it.

    Live only: what was stored before is read over HTTP.
    """
    await handshake(socket, edge, PEER_PROTOCOL)
    if not edge.config.logs_stream_enabled:
        await socket.close(POLICY, DISABLED)
        return
    subscription = edge.bus.subscribe(TOPIC)
    try:
        filter = await _filter(socket)
        sender = asyncio.create_task(_send(socket, subscription, filter), name="logs-out")
        try:
            while True:
                await socket.receive()
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
    finally:
        subscription.close()


async def _filter(socket: Socket) -> LogFilter:
    message = read_object(await socket.receive())
    if message.get("type") != "filter":
        await socket.close(PROTOCOL, "Expected 'filter' message")
        raise Gone
    try:
        return msgspec.convert(message.get("filter") or {}, LogFilter, strict=False)
    except msgspec.ValidationError as error:
        await socket.close(PROTOCOL, f"Invalid filter: {problem_of(error).msg}")
        raise Gone from None


async def _send(socket: Socket, subscription: Subscription, filter: LogFilter) -> None:
    async for copy in subscription:
        log = _decode_log(copy)
        if matches(filter, log):
            frame = {"type": "log", "log": msgspec.Raw(copy)}
            await socket.send(json.encode(frame))
