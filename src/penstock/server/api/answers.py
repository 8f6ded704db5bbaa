"""Answers: encoding, headers, compression."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from penstock.base import json
from penstock.schemas.errors import ObjectMissing, Refusal, ServiceUnavailable

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

EXTENSIONS = (
    "begin",
    "state-id",
    "run-id",
    "events-ack",
    "tokens",
    "audit",
    "claims",
    "cleanup",
    "firings",
)
"""What this server understands beyond the contract; clients read it from a response header."""

COMPRESS_FROM = 500
OFF_LOOP_FROM = 262_144
"""Bodies from this size on are compressed in a thread, so that the others do not wait."""

_EXTENSIONS_HEADER = (b"penstock-extensions", ", ".join(EXTENSIONS).encode())
_JSON_HEADER = (b"content-type", b"application/json")


class Answer:
    """One response. `content` is encoded as JSON unless it is bytes or a stream of bytes."""

    __slots__ = ("content", "headers", "media_type", "status")

    def __init__(
        self,
        content: Any = None,
        status: int = 200,
        *,
        media_type: bytes = b"application/json",
        headers: Headers | None = None,
    ) -> None:
        self.content = content
        self.status = status
        self.media_type = media_type
        self.headers = headers or []


class Stream:
    """A body that is sent piece by piece."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self.pieces = pieces


async def send_answer(send: Send, answer: Answer, *, compress: bool, extra: Headers) -> None:
    """Encode and send one answer."""
    content = answer.content
    headers: Headers = [_EXTENSIONS_HEADER, *extra, *answer.headers]
    if answer.status == 204:
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    headers.append(
        _JSON_HEADER
        if answer.media_type == b"application/json"
        else (b"content-type", answer.media_type)
    )
    if isinstance(content, Stream):
        await _send_stream(send, answer.status, headers, content)
        return
    body = content if isinstance(content, bytes) else json.encode(content)
    if len(body) >= COMPRESS_FROM:
        headers.append((b"vary", b"Accept-Encoding"))
        if compress:
            headers.append((b"content-encoding", b"gzip"))
            if len(body) < OFF_LOOP_FROM:
                body = gzip.compress(body, 1, mtime=0)
            else:
                body = await asyncio.to_thread(gzip.compress, body, 1, mtime=0)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_stream(send: Send, status: int, headers: Headers, stream: Stream) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    async for piece in stream.pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def detail(status: int, text: str, headers: Headers | None = None) -> Answer:
    """An error answer of the shape `{"detail": text}`."""
    return Answer({"detail": text}, status, headers=headers)


UNAUTHORIZED = Answer({"exception_message": "Unauthorized"}, 401)
NOT_FOUND = detail(404, "Not Found")
UNAVAILABLE = Answer({"exception_message": "Service Unavailable"}, 503)
BROKEN = Answer({"exception_message": "Internal Server Error"}, 500)

_OTHER_SHAPE = frozenset(
    {
        "set_flow_run_state",
        "set_task_run_state",
        "read_automation",
        "update_automation",
        "patch_automation",
        "delete_automation",
    }
)
"""Operations whose 404 has its text under another name in the contract."""


def refused(error: Refusal, operation_name: str) -> Answer:
    """The answer of a refusal raised by an operation."""
    if isinstance(error, ServiceUnavailable):
        return UNAVAILABLE
    if isinstance(error, ObjectMissing) and operation_name in _OTHER_SHAPE:
        return Answer({"exception_message": error.detail}, 404)
    return detail(error.status, error.detail)
