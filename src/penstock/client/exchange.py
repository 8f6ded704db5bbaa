"""One HTTP exchange as values: building the request, reading the response, when to try again.

Nothing here opens a socket, sleeps or rolls dice. `converse` is a generator that yields what is
to be done next (`Send` or `Sleep`); `SyncTransport` and the async client carry it out.
"""

from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from msgspec import Struct

from penstock.base import json
from penstock.schemas.errors import (
    APIUnreachable,
    ObjectAlreadyExists,
    ObjectNotFound,
    PenstockHTTPStatusError,
)
from penstock.schemas.operations import OPERATIONS, Operation

EXTENSIONS_HEADER = "penstock-extensions"
RETRIED_STATUSES = frozenset({408, 429, 502, 503})


class Request(Struct, frozen=True):
    """What goes out, without the headers that belong to the connection."""

    method: str
    path: str
    """Relative to the API base, quoted, with the query."""
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    operation: Operation | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Response(Struct, frozen=True):
    """What came back. Header names are lower case; a repeated header is joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def status_code(self) -> int:
        return self.status

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises `msgspec.DecodeError` when it is not."""
        return json.decode(self.body)


class TransportFailure(Exception):
    """No response was got. `connected` tells whether the other side had been reached."""

    def __init__(self, reason: str, *, connected: bool) -> None:
        super().__init__(reason)
        self.connected = connected


class SocketRefused(Exception):
    """The server does not let this client open a socket; asking again does not help."""


# --- requests ------------------------------------------------------------------------------------


def operation(name: str) -> Operation:
    """The operation of that name. Raises `LookupError` when the contract has none."""
    try:
        return OPERATIONS[name]
    except KeyError:
        raise LookupError(
            f"there is no operation {name!r}; see penstock.schemas.operations"
        ) from None


def build(op: Operation, params: tuple[Any, ...], body: Any, query: Mapping[str, Any]) -> Request:
    """The request that asks for `op`.

    `body` is anything JSON can say, or bytes that are JSON already. Query values of None are left
    out. Raises `TypeError` for a wrong number of path parameters, an unknown or missing query
    parameter, a missing body, or a body JSON cannot say.
    """
    if len(params) != len(op.params):
        raise TypeError(f"{op.name} takes the path parameters {op.param_names}, got {params!r}")
    path = op.path
    for name, value in zip(op.param_names, params, strict=True):
        path = path.replace("{" + name + "}", quote(_plain(value), safe=""), 1)
    if query or op.query:
        path += _query(op, query)
    return Request(op.method, path, _body(op, body), operation=op)


def _query(op: Operation, given: Mapping[str, Any]) -> str:
    known = {one.name.replace("-", "_"): one for one in op.query}
    unknown = given.keys() - known.keys()
    if unknown:
        raise TypeError(f"{op.name} has no query parameter {min(unknown)!r}")
    pairs: list[tuple[str, str]] = []
    for key, one in known.items():
        value = given.get(key)
        if value is None:
            if one.required:
                raise TypeError(f"{op.name} needs the query parameter {key!r}")
            continue
        values = value if isinstance(value, (list, tuple)) else (value,)
        pairs.extend((one.name, _plain(item)) for item in values)
    return "?" + urlencode(pairs) if pairs else ""


def _body(op: Operation, body: Any) -> bytes | None:
    if body is None:
        if op.body is not None and op.body_required:
            raise TypeError(f"{op.name} needs a body; pass body=...")
        return None
    return body if isinstance(body, bytes) else json.encode(body)


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, (UUID, int, float)):
        return str(value)
    raise TypeError(f"{value!r} cannot be written into a URL; pass text, a number or an id")


# --- responses -----------------------------------------------------------------------------------

_decoders: dict[str, msgspec.json.Decoder[Any]] = {}


def read(request: Request, response: Response) -> Any:
    """What the operation answered, in the type the table gives.

    Raises `ObjectNotFound`, `ObjectAlreadyExists` or `PenstockHTTPStatusError` for an error
    status, and `PenstockHTTPStatusError` for an answer that is not of the operation's type.
    """
    if not response.ok:
        raise refusal(request, response)
    op = request.operation
    if op is None or op.response is None or response.status == 204 or not response.body:
        return None
    if op.media_type != "application/json":
        return response.text
    decoder = _decoders.get(op.name)
    if decoder is None:
        decoder = _decoders.setdefault(op.name, msgspec.json.Decoder(op.response))
    try:
        return decoder.decode(response.body)
    except msgspec.DecodeError as error:
        if op.response is str:  # Some servers answer a bare word where the contract says JSON text.
            return response.text
        raise PenstockHTTPStatusError(
            f"{request} answered something that is not of the contract ({error}); "
            "check that the API URL names a Penstock or Prefect server",
            status_code=response.status,
            request=str(request),
        ) from error


def refusal(request: Request, response: Response) -> PenstockHTTPStatusError:
    """The error that an error status means."""
    detail = _detail(response)
    kind = {404: ObjectNotFound, 409: ObjectAlreadyExists}.get(
        response.status, PenstockHTTPStatusError
    )
    hint = {
        401: "; set PENSTOCK_API_AUTH_STRING or PENSTOCK_API_KEY",
        403: "; the credentials do not allow it",
    }.get(response.status, "")
    return kind(
        f"{request} answered {response.status}: {detail}{hint}",
        status_code=response.status,
        detail=detail,
        request=str(request),
        retry_after=_retry_after(response),
    )


def _detail(response: Response) -> Any:
    try:
        document = json.decode(response.body)
    except msgspec.DecodeError:
        return response.text[:500]
    if not isinstance(document, dict):
        return document
    for key in ("exception_detail", "detail", "exception_message", "error"):
        if document.get(key):
            return document[key]
    return document


def extensions(response: Response) -> frozenset[str]:
    """The extensions of the contract that the server announces."""
    text = response.headers.get(EXTENSIONS_HEADER, "")
    return frozenset(name for part in text.split(",") if (name := part.strip()))


# --- trying again --------------------------------------------------------------------------------


class RetryRule(Struct, frozen=True, kw_only=True):
    """When and how long to wait before a request is sent again (seconds)."""

    limit: int = 5
    jitter: float = 0.2
    extra_statuses: frozenset[int] = frozenset()

    def delay(self, failures: int, response: Response | None, draw: float) -> float | None:
        """Seconds to wait after the `failures`-th failure, None to give up.

        `response` is None when none came. `draw` in [0, 1) chooses the jitter. The server's
        `Retry-After` is a lower bound; otherwise the wait doubles, from two seconds.
        """
        if failures > self.limit:
            return None
        if response is not None and not self.retried(response.status):
            return None
        asked = _retry_after(response) if response is not None else None
        if asked is not None:
            return asked * (1 + self.jitter * draw)
        return 2.0**failures * (1 + self.jitter * (2 * draw - 1))

    def retried(self, status: int) -> bool:
        return status in RETRIED_STATUSES or status in self.extra_statuses


def _retry_after(response: Response) -> float | None:
    text = response.headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(text)
        sent = parsedate_to_datetime(response.headers["date"])
    except (ValueError, KeyError, TypeError):
        return None
    return max(0.0, (until - sent).total_seconds())


# --- the conversation ----------------------------------------------------------------------------


class Send(Struct, frozen=True):
    """Send the request with these headers added; answer with the `Response`, or throw
    `TransportFailure`."""

    request: Request
    headers: tuple[tuple[str, str], ...]


class Sleep(Struct, frozen=True):
    seconds: float


class Session:
    """What a process remembers about one API: credentials it was given and what it learnt.

    Shared by threads; every attribute is replaced whole, so the worst of a race is one request
    more.
    """

    def __init__(
        self,
        name: str,
        rule: RetryRule,
        *,
        client_id: str,
        csrf: bool,
        draw: Callable[[], float],
        context: Callable[[], tuple[tuple[str, str], ...]] = tuple,
    ) -> None:
        self.name = name
        self.rule = rule
        self.client_id = client_id
        self.csrf = csrf
        self.draw = draw
        self.context = context
        self.token: str | None = None
        self.succeeded = False
        self.extensions: frozenset[str] | None = None

    def headers(self, request: Request) -> tuple[tuple[str, str], ...]:
        result = self.context() + request.headers
        if self.token is not None and request.method != "GET":
            result += (
                ("Prefect-Csrf-Token", self.token),
                ("Prefect-Csrf-Client", self.client_id),
            )
        return result


Conversation = Generator[Send | Sleep, Any, Response]


def converse(session: Session, request: Request) -> Conversation:
    """Send `request` until it has an answer that is final by the session's retry rule.

    A refusal for want of a CSRF token fetches one and repeats the request once; no token is asked
    for before that, so servers without that protection cost no extra request. An answer during
    announced maintenance does not count as a failure. Raises `APIUnreachable` when no answer can
    be got; a connection that never worked before is not waited for.
    """
    failures = 0
    refreshed = False
    while True:
        try:
            response: Response = yield Send(request, session.headers(request))
        except TransportFailure as error:
            failures += 1
            patient = error.connected or session.succeeded
            delay = session.rule.delay(failures, None, session.draw()) if patient else None
            if delay is None:
                raise APIUnreachable(
                    f"{request} got no answer from {session.name}: {error}; "
                    "check PENSTOCK_API_URL and that the server runs"
                ) from error
        else:
            _learn(session, response)
            if response.ok:
                return response
            if not refreshed and _wants_csrf(session, response):
                refreshed = True
                yield from _fetch_token(session)
                continue
            if response.headers.get("prefect-maintenance", "").lower() != "true":
                failures += 1
            delay = session.rule.delay(max(failures, 1), response, session.draw())
            if delay is None:
                return response
        yield Sleep(delay)


def _learn(session: Session, response: Response) -> None:
    session.succeeded = True
    if session.extensions is None:
        session.extensions = extensions(response)


def _wants_csrf(session: Session, response: Response) -> bool:
    return session.csrf and response.status == 403 and b"csrf" in response.body.lower()


def _fetch_token(session: Session) -> Generator[Send | Sleep, Any, None]:
    request = build(operation("create_csrf_token"), (), None, {"client": session.client_id})
    response = yield from converse(session, request)
    if response.ok:
        session.token = read(request, response).token
    elif response.status == 404 or b"CSRF protection is disabled." in response.body:
        session.csrf, session.token = False, None
