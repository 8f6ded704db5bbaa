"""One open WebSocket to the API, greeted, for threads: over the network or inside the process."""

import asyncio
import queue
from collections.abc import Sequence
from typing import Any, Protocol

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from penstock.client.embedded import HOST, EmbeddedServer, EmbeddedTransport
from penstock.client.endpoint import endpoint
from penstock.client.exchange import SocketRefused
from penstock.client.handshake import (
    OPEN_SECONDS,
    check_greeted,
    greeting,
    open_connection,
    socket_url,
)
from penstock.client.target import Target

NORMAL = 1000
GOING_AWAY = 1001
POLICY_VIOLATION = 1008


class SocketClosed(Exception):
    """The socket is closed. `clean` when the other side ended it on purpose."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason

    @property
    def clean(self) -> bool:
        return self.code == NORMAL


class Duplex(Protocol):
    """Text frames both ways. `receive` raises `TimeoutError` or `SocketClosed`."""

    def send(self, frame: bytes) -> None: ...

    def receive(self, timeout: float | None = None) -> str | bytes: ...

    def close(self) -> None: ...


def open_duplex(target: Target, path: str, *, protocols: Sequence[str] = ("prefect",)) -> Duplex:
    """A greeted socket on `path`. Raises `SocketRefused`, `SocketClosed` or `OSError`."""
    transport = endpoint(target).transport
    if isinstance(transport, EmbeddedTransport):
        duplex: Duplex = EmbeddedSocket(transport.server, path, protocols)
    else:
        duplex = NetworkSocket(target, target.url or getattr(transport, "url", ""), path, protocols)
    try:
        duplex.send(greeting(target))
        check_greeted(duplex.receive(OPEN_SECONDS))
    except SocketClosed as error:
        duplex.close()
        if error.code == POLICY_VIOLATION:
            raise SocketRefused(error.reason) from error
        raise
    except BaseException:
        duplex.close()
        raise
    return duplex


class NetworkSocket:
    """A WebSocket over the network."""

    def __init__(self, target: Target, url: str, path: str, protocols: Sequence[str]) -> None:
        try:
            self._connection = open_connection(target, socket_url(url, path), protocols)
        except InvalidStatus as error:
            status = error.response.status_code
            if 400 <= status < 500 and status not in (408, 429):
                raise SocketRefused(f"HTTP status {status}") from error
            raise OSError(f"{target.name} answered {status}") from error
        except WebSocketException as error:
            raise SocketRefused(str(error)) from error

    def send(self, frame: bytes) -> None:
        try:
            self._connection.send(frame, text=True)
        except ConnectionClosed as error:
            raise _closed(error) from error

    def receive(self, timeout: float | None = None) -> str | bytes:
        try:
            return self._connection.recv(timeout)
        except ConnectionClosed as error:
            raise _closed(error) from error

    def close(self) -> None:
        self._connection.close()


def _closed(error: ConnectionClosed) -> SocketClosed:
    if error.rcvd is None:
        return SocketClosed(1006, "without a close frame")
    return SocketClosed(error.rcvd.code, error.rcvd.reason)


class EmbeddedSocket:
    """A WebSocket to the application in this process, without a network."""

    def __init__(self, server: EmbeddedServer, path: str, protocols: Sequence[str]) -> None:
        self._server = server
        self._arrived: queue.SimpleQueue[str | bytes | SocketClosed] = queue.SimpleQueue()
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": server.base_path + path,
            "raw_path": (server.base_path + path).encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", HOST)],
            "client": ("127.0.0.1", 0),
            "server": (HOST.decode(), 80),
            "subprotocols": list(protocols),
            "state": {},
        }
        self._task: asyncio.Task[None] | None = None
        self._tell({"type": "websocket.connect"})
        server.loop.call_soon_threadsafe(self._start)

    def send(self, frame: bytes) -> None:
        self._tell({"type": "websocket.receive", "text": frame.decode()})

    def receive(self, timeout: float | None = None) -> str | bytes:
        try:
            item = self._arrived.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError("no frame came in time") from None
        if isinstance(item, SocketClosed):
            self._arrived.put(item)
            raise item
        return item

    def close(self) -> None:
        """The application hears a disconnect; whoever waits in `receive` hears the end."""
        self._arrived.put(SocketClosed(NORMAL, ""))
        if not self._server.loop.is_closed():
            self._tell({"type": "websocket.disconnect", "code": NORMAL})

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            self._server.loop.call_soon_threadsafe(self._outgoing.put_nowait, message)
        except RuntimeError:
            raise SocketClosed(GOING_AWAY, "the server in this process has stopped") from None

    def _start(self) -> None:
        self._task = self._server.loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._server.app(self._scope, self._outgoing.get, self._heard)
        finally:
            self._arrived.put(SocketClosed(GOING_AWAY, "the application ended the socket"))

    async def _heard(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            text = message.get("text")
            self._arrived.put(text if text is not None else message["bytes"])
        elif message["type"] == "websocket.close":
            code = message.get("code", NORMAL)
            self._arrived.put(SocketClosed(code, message.get("reason") or ""))
