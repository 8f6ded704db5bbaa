"""From an HTTP request to an operation and back, driven by the operation table.

One request costs: one walk of the route tree, one decode, one call of the store, one encode. The
order of the checks is credentials, origin, CSRF, route, API version, body; so nothing is learned
about paths without credentials.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from penstock.base import json
from penstock.schemas.errors import BodyTooLarge, Refusal, ServiceUnavailable
from penstock.schemas.operations import Operation
from penstock.schemas.tokens import Scope
from penstock.server.api.access import Caller
from penstock.server.api.answers import (
    BROKEN,
    NOT_FOUND,
    UNAUTHORIZED,
    UNAVAILABLE,
    Answer,
    Headers,
    Message,
    Receive,
    Send,
    detail,
    refused,
    send_answer,
)
from penstock.server.api.decoding import (
    BodyDecoder,
    Problem,
    QueryDecoder,
    Unprocessable,
    path_value,
    refusal,
)
from penstock.server.api.edge import Edge
from penstock.server.api.provenance import claims, request_id, request_info, run_claim
from penstock.server.api.router import Router
from penstock.server.config import ServerConfig
from penstock.server.ops.context import ANONYMOUS, Actor, Context, Made
from penstock.server.store.transaction import Tx

logger = logging.getLogger("penstock.server.api")

DRAINED_PIECES = 4_000
"""Pieces (of up to 64 KiB) of a refused body that are read before the connection is closed."""
SECRETS = "include_secrets"
"""The parameter of operations that answer with the secrets of blocks."""
NOBODY = Caller(ANONYMOUS, Scope.READ)
OLDEST_API_VERSION = (0, 8, 0)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_CLIENT = re.compile(r"(?:prefect|penstock)/(\d+(?:\.\d+)*)")


class Call:
    """One request of one operation, decoded."""

    __slots__ = ("body", "context", "edge", "headers", "operation", "params", "query", "raw_body")

    def __init__(
        self,
        operation: Operation,
        params: list[Any],
        query: dict[str, Any],
        body: Any,
        context: Context,
        headers: Mapping[bytes, bytes],
        raw_body: bytes,
        edge: Edge,
    ) -> None:
        self.operation = operation
        self.params = params
        self.query = query
        self.body = body
        self.context = context
        self.headers = headers
        self.raw_body = raw_body
        self.edge = edge


Handler = Callable[[Call], Awaitable[Any]]


def mechanical(operation: Operation, op: Callable[..., Any]) -> Handler:
    """A handler that runs `op` in one transaction of the store and returns what it returns.

    A list is encoded where it was read, so that long ones do not keep the other callers waiting.
    """
    with_body = operation.body is not None
    if operation.reads:

        async def read(call: Call) -> Any:
            if with_body:
                return await call.edge.store.read(
                    _encoded, op, call.context, *call.params, body=call.body, **call.query
                )
            return await call.edge.store.read(
                _encoded, op, call.context, *call.params, **call.query
            )

        return read

    async def write(call: Call) -> Any:
        store = call.edge.store
        if with_body:
            return await store.write(op, call.context, *call.params, body=call.body, **call.query)
        return await store.write(op, call.context, *call.params, **call.query)

    return write


def _encoded(tx: Tx, op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    found = op(tx, *args, **kwargs)
    return json.encode(found) if isinstance(found, list) else found


class Route:
    """An operation with everything about it worked out beforehand."""

    __slots__ = (
        "decode_body",
        "decode_query",
        "handler",
        "may_ask_secrets",
        "operation",
        "scope",
        "title",
        "typed_params",
    )

    def __init__(self, operation: Operation, handler: Handler) -> None:
        self.operation = operation
        self.handler = handler
        self.scope = operation.needed_scope
        self.title = f"{operation.method} {operation.path}"
        self.may_ask_secrets = SECRETS in (query.name for query in operation.query) or (
            SECRETS in getattr(operation.body, "__struct_fields__", ())
        )
        self.decode_body = (
            BodyDecoder(operation.body, required=operation.body_required)
            if operation.body is not None
            else None
        )
        self.decode_query = QueryDecoder(operation) if operation.query else None
        self.typed_params = [
            (index, name, type)
            for index, (name, type) in enumerate(
                zip(operation.param_names, operation.params, strict=True)
            )
            if type is not UUID and type is not str
        ]

    def params(self, found: list[str]) -> list[Any]:
        """Path parameters in their types; ids stay canonical text."""
        if not self.typed_params:
            return found
        values: list[Any] = list(found)
        for index, name, type in self.typed_params:
            values[index] = path_value(name, values[index], type)
        return values


class _Disconnected(Exception):
    """The caller went away before its request was complete; nobody is left to answer."""


class Adapter:
    """The ASGI application of the API, below its base path."""

    def __init__(self, routes: Router[Route], edge: Edge) -> None:
        self._routes = routes
        self._edge = edge
        config = edge.config
        self._maximum = config.maximum_body_bytes
        self._limits = config.limits
        self._clients: dict[bytes, tuple[int, ...] | None] = {}
        self._origins = frozenset(config.cors_allowed_origins)

    async def __call__(
        self, scope: Mapping[str, Any], path: str, receive: Receive, send: Send
    ) -> None:
        """Answer one request for `path`, which begins after the base path."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        origin = headers.get(b"origin")
        id = request_id(headers)
        extra: Headers = [(b"x-request-id", id.encode())]
        if origin is not None:
            extra += await self._cors(origin, headers.get(b"host"))
        compress = b"gzip" in headers.get(b"accept-encoding", b"")
        try:
            answer = await self._answer(scope, path, headers, origin, receive, id)
        except _Disconnected:
            return
        except ServiceUnavailable:
            answer = UNAVAILABLE
        except Exception:
            # The request edge is a supervision point; here the check of the caller has failed.
            logger.exception("%s %s failed (request %s)", scope["method"], path, id)
            answer = BROKEN
        await send_answer(send, answer, compress=compress, extra=extra)

    async def _cors(self, origin: bytes, host: bytes | None) -> Headers:
        """What lets a page of `origin` read the answer: never a wildcard, never credentials that
        a browser adds by itself."""
        if await self._readable_from(origin, host):
            return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        return []

    async def _readable_from(self, origin: bytes, host: bytes | None) -> bool:
        """Every page may where the setting says so and callers must present credentials."""
        if origin.decode("latin-1") in self._origins or self._edge.origins.trusts(origin, host):
            return True
        try:
            return "*" in self._origins and await self._edge.access.required()
        except ServiceUnavailable:
            return False

    async def _answer(
        self,
        scope: Mapping[str, Any],
        path: str,
        headers: dict[bytes, bytes],
        origin: bytes | None,
        receive: Receive,
        id: str,
    ) -> Answer:
        method: str = scope["method"]
        if method == "OPTIONS" and origin is not None:
            allowed = await self._readable_from(origin, headers.get(b"host"))
            return _preflight(self._edge.config, headers, allowed=allowed)
        match = self._routes.find(method, path)
        target = match.target if match is not None else None
        caller = NOBODY
        if not (target is not None and target.operation.open):
            gated = await self._gate(method, headers, origin, target)
            if isinstance(gated, Answer):
                await self._note_refusal(gated, scope, headers, id, target)
                return gated
            caller = gated
        if target is None:
            if match is not None:
                allow = ", ".join(sorted(match.allowed)).encode()
                return detail(405, "Method Not Allowed", [(b"allow", allow)])
            return self._redirect(scope, path)
        assert match is not None
        return await self._serve(target, match.params, scope, headers, receive, caller, id)

    async def _gate(
        self,
        method: str,
        headers: dict[bytes, bytes],
        origin: bytes | None,
        target: Route | None,
    ) -> Caller | Answer:
        """The caller, or the refusal of one that may not ask this."""
        edge = self._edge
        host = headers.get(b"host")
        if not edge.origins.serves_host(host):
            return detail(403, "This server does not answer to that host name.")
        caller = await edge.access.identify(headers.get(b"authorization"))
        if caller is None:
            return UNAUTHORIZED
        if target is not None and not caller.may(target.scope):
            return detail(403, caller.refusal(target.scope))
        if method == "GET":
            return caller
        if origin is not None and not edge.origins.trusts(origin, host):
            return detail(403, "Requests from pages of this origin are not accepted.")
        if edge.csrf is not None:
            reason = await edge.csrf.refusal(headers)
            if reason is not None:
                return detail(403, reason)
        return caller

    async def _note_refusal(
        self,
        answer: Answer,
        scope: Mapping[str, Any],
        headers: dict[bytes, bytes],
        id: str,
        target: Route | None,
    ) -> None:
        reason = "credentials" if answer.status == 401 else "forbidden"
        route = target.title if target is not None else ""
        request = request_info(scope, headers, id=id, route=route)
        await self._edge.refusals.note(Context(request=request), reason)

    def _redirect(self, scope: Mapping[str, Any], path: str) -> Answer:
        """307 to the registered form of a path that differs in its last slash, else 404."""
        twin = self._routes.slash_twin(path)
        if twin is None:
            return NOT_FOUND
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        raw = raw.partition(b"?")[0]
        location = raw[:-1] if raw.endswith(b"/") else raw + b"/"
        if location.startswith(b"//") or raw.endswith(b"/") != path.endswith("/"):
            return NOT_FOUND
        if query := scope.get("query_string"):
            location += b"?" + query
        return Answer(b"", 307, headers=[(b"location", location)])

    async def _serve(
        self,
        route: Route,
        found: list[str],
        scope: Mapping[str, Any],
        headers: dict[bytes, bytes],
        receive: Receive,
        caller: Caller,
        id: str,
    ) -> Answer:
        operation = route.operation
        body = b""
        try:
            api_version = None
            given = headers.get(b"x-prefect-api-version")
            if given is not None and operation.versioned:
                api_version = _api_version(given.decode("latin-1"))
            if route.decode_body is not None:
                body = await self._body(headers, receive)
            query = scope["query_string"]
            call = Call(
                operation,
                route.params(found),
                route.decode_query(_query(query)) if route.decode_query is not None else {},
                route.decode_body(body) if route.decode_body is not None else None,
                self._context(route, scope, headers, api_version, caller.actor, id),
                headers,
                body,
                self._edge,
            )
            if route.may_ask_secrets and _asks_secrets(call) and not caller.may(Scope.WRITE):
                # Whoever may use a block's secrets can do more than read.
                answer = detail(403, f"{caller.refusal(Scope.WRITE)} Ask without {SECRETS}.")
                await self._note_refusal(answer, scope, headers, id, route)
                return answer
            value = await route.handler(call)
            return _answer(operation, value)
        except Refusal as error:
            answer = refused(error, operation.name)
            if isinstance(error, BodyTooLarge):
                # The rest of the body is not read, so the connection cannot be used again.
                answer.headers.append((b"connection", b"close"))
            return answer
        except Unprocessable as error:
            return Answer(refusal(error.problem, body, operation.secret_members), 422)
        except OverflowError as error:
            # Dates and intervals that Python cannot calculate with come from the request.
            logger.warning("%s %s: out of range: %s", operation.method, operation.path, error)
            problem = Problem(["body"], "A number or date is out of range", "value_error")
            return Answer(refusal(problem, body, operation.secret_members), 422)
        except _Disconnected:
            raise
        except Exception:
            # The request edge is a supervision point: one broken request must not end the server.
            logger.exception("%s failed (request %s)", route.title, id)
            return BROKEN

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The whole body. Raises `BodyTooLarge` as soon as it is known to exceed the limit."""
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._maximum:
            await self._drain(receive)
            raise self._too_large()
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(body) > self._maximum:
                raise self._too_large()
            return body
        pieces = [body]
        size = len(body)
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Disconnected
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._maximum:
                await self._drain(receive)
                raise self._too_large()
            pieces.append(piece)
        return b"".join(pieces)

    async def _drain(self, receive: Receive) -> None:
        """Read on without keeping anything, within bounds.

        A caller that is still sending when the connection closes loses the answer.
        """
        for _ in range(DRAINED_PIECES):
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"the request body exceeds {self._maximum} bytes; send it in smaller parts, or raise "
            "PENSTOCK_SERVER_API_MAX_REQUEST_SIZE on the server"
        )

    def _context(
        self,
        route: Route,
        scope: Mapping[str, Any],
        headers: dict[bytes, bytes],
        api_version: tuple[int, int, int] | None,
        actor: Actor,
        id: str,
    ) -> Context:
        agent = headers.get(b"user-agent", b"")
        return Context(
            limits=self._limits,
            client_version=self._client_version(agent),
            api_version=api_version,
            actor=actor,
            request=request_info(scope, headers, id=id, route=route.title),
            claims=claims(headers),
            run_claim=run_claim(headers),
            redact_keys=self._edge.config.redact_keys,
            fingerprint_key=self._edge.fingerprint_key,
            encryption_keys=self._edge.config.encryption_keys,
            base_url=self._base_url(scope, headers),
        )

    def _client_version(self, agent: bytes) -> tuple[int, ...] | None:
        try:
            return self._clients[agent]
        except KeyError:
            match = _CLIENT.match(agent.decode("latin-1"))
            version = tuple(int(part) for part in match[1].split(".")[:4]) if match else None
            if len(self._clients) < 1_000:
                self._clients[agent] = version
            return version

    def _base_url(self, scope: Mapping[str, Any], headers: dict[bytes, bytes]) -> str:
        host = headers.get(b"x-forwarded-host") or headers.get(b"host") or b"localhost"
        scheme = headers.get(b"x-forwarded-proto", b"").decode("latin-1") or scope["scheme"]
        root = scope.get("root_path", "")
        return f"{scheme}://{host.decode('latin-1')}{root}{self._edge.config.base_path}"


def _asks_secrets(call: Call) -> bool:
    return bool(call.query.get(SECRETS) or getattr(call.body, SECRETS, False))


def _answer(operation: Operation, value: Any) -> Answer:
    if isinstance(value, Answer):
        return value
    status = operation.status
    if operation.created and isinstance(value, Made):
        return Answer(value.value, 201 if value.created else 200)
    return Answer(value, status)


def _query(raw: bytes) -> dict[str, str]:
    return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True)) if raw else {}


def _api_version(text: str) -> tuple[int, int, int]:
    match = _VERSION.fullmatch(text)
    if match is None or len(text) > 32:
        raise Refusal(
            f"Invalid X-PREFECT-API-VERSION header format: {text[:32]!r}; send three numbers such "
            "as 0.8.4"
        )
    version = (int(match[1]), int(match[2]), int(match[3]))
    if version < OLDEST_API_VERSION:
        oldest = ".".join(map(str, OLDEST_API_VERSION))
        raise Refusal(
            f"The client speaks API version {text} and this server needs {oldest} or newer; "
            "upgrade the client"
        )
    return version


def _preflight(config: ServerConfig, headers: dict[bytes, bytes], *, allowed: bool) -> Answer:
    if not allowed:
        return detail(400, "Disallowed CORS origin")
    requested = headers.get(b"access-control-request-headers", b"")
    methods = config.cors_allowed_methods
    names = config.cors_allowed_headers
    return Answer(
        b"OK",
        200,
        media_type=b"text/plain",
        headers=[
            (
                b"access-control-allow-methods",
                b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
                if methods == "*"
                else methods.encode(),
            ),
            (b"access-control-allow-headers", requested if names == "*" else names.encode()),
            (b"access-control-max-age", b"600"),
        ],
    )
