"""The health page of a worker or runner: `GET /health`, 200 or 503."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from penstock.base import json

HEAD_BYTES = 8_192
READ_SECONDS = 5.0


class HealthPage:
    """Answers while the block it guards runs. Without a port it does nothing.

    `pages` are further pages: method and path, and what gives the JSON answer.
    """

    def __init__(
        self,
        is_healthy: Callable[[], bool],
        *,
        host: str,
        port: int | None,
        pages: Mapping[tuple[str, str], Callable[[], Any]] | None = None,
    ) -> None:
        self._is_healthy = is_healthy
        self._host = host
        self._port = port
        self._pages = dict(pages or {})
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        if self._port is not None:
            self._server = await asyncio.start_server(self._answer, self._host, self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError
        ):
            async with asyncio.timeout(READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            status, document = self._document(head)
            body = json.encode(document)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        writer.close()

    def _document(self, head: bytes) -> tuple[str, Any]:
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split()
        method, path = (words[0], words[1].partition("?")[0]) if len(words) > 1 else ("", "")
        if (method, path) == ("GET", "/health"):
            if self._is_healthy():
                return "200 OK", {"message": "OK"}
            return "503 Service Unavailable", {"message": "No look for work for too long"}
        page = self._pages.get((method, path))
        if page is None:
            return "404 Not Found", {"message": "There is no such page"}
        return "200 OK", page()
