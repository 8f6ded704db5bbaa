"""Calling an ASGI application in process: one request, or one WebSocket."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self
from urllib.parse import unquote

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class Reply:
    """Status, headers and body of one answer."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        start = messages[0]
        self.status: int = start["status"]
        self.header_list: list[tuple[bytes, bytes]] = list(start["headers"])
        self.headers = {name.decode(): value.decode() for name, value in self.header_list}
        self.raw = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def body(self) -> bytes:
        if self.headers.get("content-encoding") == "gzip":
            return gzip.decompress(self.raw)
        return self.raw

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def request(
    app: Application,
    method: str,
    target: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    pieces: list[bytes] | None = None,
) -> Reply:
    """One request; `body` is encoded as JSON unless it is bytes, `pieces` are sent one by one."""
    path, _, query = target.partition("?")
    content = (
        body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    )
    parts = pieces if pieces is not None else [content]
    given = {"host": "testserver", **(headers or {})}
    if pieces is None:
        given.setdefault("content-length", str(len(content)))
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
    }
    sent: list[dict[str, Any]] = []
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        if not waiting:
            return {"type": "http.disconnect"}
        piece = waiting.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return Reply(sent)


class Closed(Exception):
    """The application closed the socket."""

    def __init__(self, code: int, reason: str, *, accepted: bool) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason
        self.accepted = accepted


class WebSocket:
    """The client side of one WebSocket of an application in this process."""

    def __init__(
        self,
        app: Application,
        path: str,
        *,
        subprotocols: list[str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        given = {"host": "testserver", **(headers or {})}
        self._scope: dict[str, Any] = {
            "type": "websocket",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
            "subprotocols": subprotocols or [],
            "extensions": {},
        }
        self._app = app
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.subprotocol: str | None = None
        self.accepted = False

    async def __aenter__(self) -> Self:
        self._to_app.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(
            self._app(self._scope, self._to_app.get, self._hear)  # type: ignore[arg-type]
        )
        try:
            message = await self._next()
        except Closed:
            await asyncio.wait_for(self._task, 10)
            raise
        assert message["type"] == "websocket.accept"
        self.accepted = True
        self.subprotocol = message.get("subprotocol")
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        assert self._task is not None
        await asyncio.wait_for(self._task, 10)

    def extend(self, name: str, value: Any) -> None:
        """Offer the application an ASGI extension; before the socket is entered."""
        self._scope["extensions"][name] = value

    async def login(self, token: str | None = None) -> None:
        self.send({"type": "auth", "token": token})
        assert await self.receive() == {"type": "auth_success"}

    def send(self, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    def send_bytes(self, data: bytes) -> None:
        self._to_app.put_nowait({"type": "websocket.receive", "bytes": data})

    async def receive(self) -> Any:
        """The next JSON frame. Raises `Closed`."""
        message = await self._next()
        return json.loads(message["text"])

    def nothing_received(self) -> bool:
        return self._from_app.empty()

    def close_code(self) -> int | None:
        """The code with which the application has closed, among what was not received yet."""
        while not self._from_app.empty():
            message = self._from_app.get_nowait()
            if message["type"] == "websocket.close":
                return message["code"]
        return None

    async def _hear(self, message: dict[str, Any]) -> None:
        await self._from_app.put(message)

    async def _next(self) -> dict[str, Any]:
        message = await asyncio.wait_for(self._from_app.get(), 10)
        if message["type"] == "websocket.close":
            raise Closed(message["code"], message.get("reason", ""), accepted=self.accepted)
        return message
