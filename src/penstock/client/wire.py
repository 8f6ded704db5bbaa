"""HTTP/1.1 as bytes: writing a request head, reading a response. No sockets.

Only what an API client needs, because a general client costs several times the request itself:
no trailers, no upgrade, no cookies.
"""

import zlib
from collections.abc import Callable, Iterable

from penstock.client.exchange import Response

MAXIMUM_HEAD = 65_536
Receive = Callable[[int], bytes]


class ProtocolFailure(Exception):
    """The other side closed early or does not speak HTTP/1.1. `started`: some bytes had come."""

    def __init__(self, reason: str, *, started: bool) -> None:
        super().__init__(reason)
        self.started = started


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Header lines. Raises `ValueError` for a name or value that would break the line."""
    lines: list[str] = []
    for name, value in headers:
        if "\n" in value or "\r" in value or "\n" in name or "\r" in name or ":" in name:
            raise ValueError(f"the header {name!r} holds a line break or colon; remove it")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1", "replace")


def request_bytes(
    method: str, target: str, fixed: bytes, added: bytes, body: bytes | None
) -> bytes:
    """A whole request; `fixed` holds the headers of every request, `Host` among them."""
    line = f"{method} {target} HTTP/1.1\r\n".encode("ascii")
    if body is None:
        framing = b"content-length: 0\r\n\r\n" if method != "GET" else b"\r\n"
        return b"".join((line, fixed, added, framing))
    framing = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    return b"".join((line, fixed, added, framing, body))


def read_response(receive: Receive) -> tuple[Response, bool]:
    """The next response, and whether the connection can be used again.

    `receive(n)` returns at most n bytes, none at the end of the stream. Interim (1xx) responses
    are skipped, gzip is undone. Raises `ProtocolFailure`.
    """
    data = bytearray()
    while True:
        status, headers, reusable = _head(receive, data)
        if status >= 200:
            break
    try:
        body, framed = _payload(receive, data, status, headers)
    except (ProtocolFailure, ValueError) as error:
        raise ProtocolFailure(str(error), started=True) from error
    if headers.get("content-encoding") == "gzip":
        body = zlib.decompress(body, wbits=31)
    reusable = reusable and framed and not data
    return Response(status, headers, body), reusable


def _head(receive: Receive, data: bytearray) -> tuple[int, dict[str, str], bool]:
    while (end := data.find(b"\r\n\r\n")) < 0:
        if len(data) > MAXIMUM_HEAD:
            raise ProtocolFailure("the response head is too long", started=True)
        _more(receive, data)
    lines = data[:end].decode("latin-1").split("\r\n")
    del data[: end + 4]
    version, _, rest = lines[0].partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise ProtocolFailure(f"{lines[0][:40]!r} is not an HTTP/1.1 response", started=True)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    connection = headers.get("connection", "").lower()
    reusable = connection != "close" and (version != "HTTP/1.0" or connection == "keep-alive")
    return int(rest[:3]), headers, reusable


def _payload(
    receive: Receive, data: bytearray, status: int, headers: dict[str, str]
) -> tuple[bytes, bool]:
    if status in (204, 304):
        return b"", True
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunks(receive, data), True
    length = headers.get("content-length")
    if length is not None:
        if not length.isdigit():
            raise ProtocolFailure(f"content-length {length!r} is not a number", started=True)
        return _take(receive, data, int(length)), True
    while chunk := receive(65_536):
        data += chunk
    return _take(receive, data, len(data)), False


def _chunks(receive: Receive, data: bytearray) -> bytes:
    parts: list[bytes] = []
    while True:
        while (end := data.find(b"\r\n")) < 0:
            _more(receive, data)
        size = int(bytes(data[:end]).split(b";")[0], 16)
        del data[: end + 2]
        if size == 0:
            _skip_trailers(receive, data)
            return b"".join(parts)
        parts.append(_take(receive, data, size))
        _take(receive, data, 2)


def _skip_trailers(receive: Receive, data: bytearray) -> None:
    while True:
        while (end := data.find(b"\r\n")) < 0:
            _more(receive, data)
        del data[: end + 2]
        if end == 0:
            return


def _take(receive: Receive, data: bytearray, count: int) -> bytes:
    while len(data) < count:
        _more(receive, data)
    result = bytes(data[:count])
    del data[:count]
    return result


def _more(receive: Receive, data: bytearray) -> None:
    chunk = receive(65_536)
    if not chunk:
        raise ProtocolFailure("the connection was closed by the server", started=bool(data))
    data += chunk
