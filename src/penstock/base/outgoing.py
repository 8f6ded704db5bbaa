"""One guarded way to call an HTTP address that somebody configured.

The name is resolved once and every address it has is checked; the connection goes to the address
that was checked, so that a name cannot change its mind in between. Private addresses are refused
unless they are allowed. Redirects are followed within the same origin only. Everything has to be
done by a deadline, and only so much of an answer is read.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from msgspec import Struct

MAXIMUM_ANSWER = 1_000_000
MAXIMUM_BODY = 4_000_000
MAXIMUM_REDIRECTS = 3
_PIECE = 65_536


class AddressRefused(ValueError):
    """The address may not be called; the text says why and how to allow it."""


class CallFailed(OSError):
    """No answer came: the connection failed, broke, or took too long. Trying again may help."""


class Answer(Struct, frozen=True):
    """What came back. `body` is cut at the size limit."""

    status: int
    headers: dict[str, str]
    body: bytes


class Call(Struct, frozen=True, kw_only=True):
    """One HTTP request."""

    url: str
    method: str = "POST"
    headers: dict[str, str] = {}
    body: bytes = b""
    verify: bool = True
    """Whether the certificate of the other side is checked."""


Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises `CallFailed`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise CallFailed(f"the name {host!r} cannot be resolved: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_private(address: str) -> bool:
    """Whether an address is not one of the public internet."""
    ip: Any = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    if mapped is not None:
        ip = mapped
    return not ip.is_global or ip.is_multicast


def send(
    call: Call,
    *,
    allow_private: bool = False,
    seconds: float = 30.0,
    resolve: Resolve = resolve,
) -> Answer:
    """Make the call and return its answer, whatever the status.

    Raises `AddressRefused` for an address that may not be called, `CallFailed` without an answer.
    """
    until = time.monotonic() + seconds
    if len(call.body) > MAXIMUM_BODY:
        raise AddressRefused(f"the body has {len(call.body)} bytes; {MAXIMUM_BODY} are allowed")
    url, method, body = call.url, call.method, call.body
    for _ in range(MAXIMUM_REDIRECTS + 1):
        answer = _once(call, url, method, body, allow_private, until, resolve)
        following = _redirected(url, answer)
        if following is None:
            return answer
        url = following
        if answer.status == 303:
            method, body = "GET", b""
    raise CallFailed(f"more than {MAXIMUM_REDIRECTS} redirects")


def checked(url: str, *, allow_private: bool, resolve: Resolve = resolve) -> tuple[Any, list[str]]:
    """The parts of a URL and the addresses it may be reached at. Raises `AddressRefused`."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise AddressRefused(f"the address cannot be read: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise AddressRefused("only http and https addresses with a host name can be called")
    addresses = resolve(parts.hostname, port)
    if not allow_private and (refused := [one for one in addresses if is_private(one)]):
        raise AddressRefused(
            f"{parts.hostname} has the private address {refused[0]}, which is not called; if it "
            "is meant, allow it with PENSTOCK_SERVER_OUTBOUND_ALLOW_PRIVATE_ADDRESSES=true"
        )
    return parts, addresses


def _redirected(url: str, answer: Answer) -> str | None:
    """Where to go on: another place of the same origin; None when this is the answer."""
    if answer.status not in (303, 307, 308) or "location" not in answer.headers:
        return None
    target = urljoin(url, answer.headers["location"])
    return target if _origin(urlsplit(target)) == _origin(urlsplit(url)) else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port


def _once(
    call: Call,
    url: str,
    method: str,
    body: bytes,
    allow_private: bool,
    until: float,
    resolve: Resolve,
) -> Answer:
    parts, addresses = checked(url, allow_private=allow_private, resolve=resolve)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    connection = _Connection(parts.hostname, addresses, port, _left(until))
    if secure:
        connection.context = ssl.create_default_context()
        if not call.verify:
            connection.context.check_hostname = False
            connection.context.verify_mode = ssl.CERT_NONE
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    default = 443 if secure else 80
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    headers = {
        **call.headers,
        "Host": host if port == default else f"{host}:{port}",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    try:
        connection.request(method, target, body, headers)
        return _read(connection, connection.getresponse(), until)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, CallFailed):
            raise
        raise CallFailed(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    finally:
        connection.close()


def _read(connection: "_Connection", response: HTTPResponse, until: float) -> Answer:
    read, size = [], 0
    while size < MAXIMUM_ANSWER:
        if connection.sock is not None:
            connection.sock.settimeout(_left(until))
        piece = response.read1(min(_PIECE, MAXIMUM_ANSWER - size))
        if not piece:
            break
        size += len(piece)
        read.append(piece)
        _left(until)
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, b"".join(read))


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise CallFailed("no answer in time")
    return left


class _Connection(HTTPConnection):
    """A connection to one of the addresses that were checked."""

    context: ssl.SSLContext | None = None

    def __init__(self, host: str, addresses: list[str], port: int, seconds: float) -> None:
        super().__init__(host, port, timeout=seconds)
        self._addresses = addresses
        self._until = time.monotonic() + seconds

    def connect(self) -> None:
        failure: OSError | None = None
        for address in self._addresses:
            try:
                plain = socket.create_connection((address, self.port), _left(self._until))
                break
            except OSError as error:
                failure = error
        else:
            raise failure or CallFailed(f"the name {self.host!r} has no address")
        self.sock = plain
        if self.context is not None:
            plain.settimeout(_left(self._until))
            self.sock = self.context.wrap_socket(plain, server_hostname=self.host)


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of an answer that may be shown in events."""
    shown = ("content-type", "content-length", "date", "server", "x-request-id")
    return {name: headers[name] for name in shown if name in headers}
