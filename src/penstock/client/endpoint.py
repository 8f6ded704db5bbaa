"""One API as this process sees it: transport, session, version check. Shared by all clients."""

import asyncio
import contextvars
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol
from uuid import uuid4

from penstock.base.version import PEER_VERSION, VERSION
from penstock.client import embedded
from penstock.client.attribution import Attribution
from penstock.client.closing import after_fork
from penstock.client.exchange import (
    Conversation,
    Request,
    Response,
    Send,
    Session,
    Sleep,
    TransportFailure,
    build,
    converse,
    operation,
    read,
)
from penstock.client.target import Target
from penstock.schemas.errors import APIUnreachable, PenstockHTTPStatusError

logger = logging.getLogger("penstock.client")
ASYNC_THREADS = 8


class Transport(Protocol):
    def send(self, request: Request, headers: tuple[tuple[str, str], ...] = ()) -> Response: ...

    def close(self) -> None: ...


class Endpoint:
    """Performs requests against one API. Safe for threads and for any event loop."""

    def __init__(
        self,
        target: Target,
        transport: Transport,
        *,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.target = target
        self.transport = transport
        self.session = Session(
            target.name,
            target.rule,
            client_id=str(uuid4()),
            csrf=target.csrf,
            draw=draw,
            context=Attribution(),
        )
        self._sleep = sleep
        self._checked = not target.version_check or target.url is None
        if known := _told_by_parent(target):
            self.session.extensions = known
            self._checked = True
        self._checking = threading.Lock()

    @property
    def extensions(self) -> frozenset[str]:
        """What the server announces; asks it when nothing was heard from it yet."""
        if self.session.extensions is None:
            if self._checked:
                self._ask_version()
            else:
                self._check_version()
        return self.session.extensions or frozenset()

    def perform(self, request: Request) -> Response:
        """The final answer to `request`. Raises `APIUnreachable`; checks the server's version
        first, once per process and API."""
        if not self._checked:
            self._check_version()
        try:
            return self._drive(converse(self.session, request))
        except APIUnreachable:
            if self.target.url is None:
                # The local server this was found at is gone; the next call looks again.
                _endpoints.pop(self.target, None)
            raise

    async def aperform(self, request: Request) -> Response:
        """As `perform`, without blocking the event loop."""
        if isinstance(self.transport, embedded.EmbeddedTransport):
            return await _adrive(converse(self.session, request), self.transport)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            request_threads(), lambda: context.run(self.perform, request)
        )

    async def aextensions(self) -> frozenset[str]:
        if self.session.extensions is not None:
            return self.session.extensions
        return await asyncio.get_running_loop().run_in_executor(
            request_threads(), lambda: self.extensions
        )

    def _drive(self, conversation: Conversation) -> Response:
        try:
            step = next(conversation)
            while True:
                if isinstance(step, Sleep):
                    self._sleep(step.seconds)
                    step = conversation.send(None)
                    continue
                try:
                    response = self.transport.send(step.request, step.headers)
                except TransportFailure as failure:
                    step = conversation.throw(failure)
                else:
                    step = conversation.send(response)
        except StopIteration as end:
            return end.value

    def _ask_version(self) -> str | None:
        request = build(operation("read_version"), (), None, {})
        response = self._drive(converse(self.session, request))
        if response.status in (401, 403):
            read(request, response)
        try:
            return read(request, response)
        except PenstockHTTPStatusError:
            return None

    def _check_version(self) -> None:
        with self._checking:
            if self._checked:
                return
            version = self._ask_version()
            if version is not None:
                check_version(version, self.session.extensions, self.target.name)
            self._checked = True


async def _adrive(conversation: Conversation, transport: "embedded.EmbeddedTransport") -> Response:
    try:
        step: Send | Sleep = next(conversation)
        while True:
            if isinstance(step, Sleep):
                await asyncio.sleep(step.seconds)
                step = conversation.send(None)
                continue
            try:
                response = await transport.asend(step.request, step.headers)
            except TransportFailure as failure:
                step = conversation.throw(failure)
            else:
                step = conversation.send(response)
    except StopIteration as end:
        return end.value


def told_to_children(target: Target, extensions: frozenset[str]) -> dict[str, str]:
    """Variables that tell a child process what this one knows of the server, so that it need not
    ask before it begins."""
    if target.url is None or not extensions:
        return {}
    return {_PARENT_KNOWS: f"{target.url} {','.join(sorted(extensions))}"}


_PARENT_KNOWS = "PENSTOCK__SERVER_EXTENSIONS"


def _told_by_parent(target: Target) -> frozenset[str]:
    url, _, names = os.environ.get(_PARENT_KNOWS, "").partition(" ")
    return frozenset(names.split(",")) if names and url == target.url else frozenset()


def check_version(version: str, extensions: frozenset[str] | None, name: str) -> None:
    """Raises `RuntimeError` for a server this client cannot work with, warns of an old one."""
    warning = version_warning(version, penstock=bool(extensions), name=name)
    if warning:
        logger.warning("%s", warning)


def version_warning(version: str, *, penstock: bool, name: str) -> str | None:
    """What to tell the user about the server's version; raises `RuntimeError` when this client
    cannot work with it. A Penstock server is compared with this package, any other with the
    contract's version."""
    found = _numbers(version)
    if not found:
        return None
    # A Penstock server answers the contract's version to clients it takes for the contract's.
    contract = _numbers(PEER_VERSION)
    ours = _numbers(VERSION) if penstock and found[0] != contract[0] else contract
    if found[0] != ours[0]:
        raise RuntimeError(
            f"the server at {name} is version {version} and this client needs version "
            f"{ours[0]}.x; install the client and the server of the same major version"
        )
    if found < ours:
        needed = ".".join(map(str, ours))
        return f"the server at {name} is version {version}, older than {needed}; upgrade the server"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version.strip('"'))
    return tuple(map(int, found[0].split("."))) if found else ()


# --- one endpoint per target and process ----------------------------------------------------------

_endpoints: dict[Target, Endpoint] = {}
_lock = threading.Lock()
_executor: ThreadPoolExecutor | None = None


def endpoint(target: Target) -> Endpoint:
    """The endpoint of `target`, made on first use. Without a URL it starts the server inside the
    process, or finds the local one that owns the same database."""
    known = _endpoints.get(target)
    if known is not None:
        return known
    with _lock:
        known = _endpoints.get(target)
        if known is None:
            known = _endpoints[target] = Endpoint(target, _transport(target))
        return known


def known_endpoint(target: Target) -> Endpoint | None:
    """The endpoint of `target` if it is made already."""
    return _endpoints.get(target)


def _transport(target: Target) -> Transport:
    url = target.url or embedded.local_server(target)
    if url is None:
        return embedded.transport(target)
    # urllib3 costs 30 ms of import that an embedded run does not need.
    from penstock.client.http import HttpTransport, Tls

    return HttpTransport(
        url,
        target.headers(),
        timeout=target.timeout,
        tls=Tls(verify=target.verify, ca_file=target.ca_file),
    )


def request_threads() -> ThreadPoolExecutor:
    """The threads that coroutines send their requests from."""
    global _executor
    if _executor is None:
        with _lock:
            if _executor is None:
                _executor = ThreadPoolExecutor(ASYNC_THREADS, "penstock-client")
    return _executor


def _forget() -> None:
    global _executor, _lock
    _executor, _lock = None, threading.Lock()
    _endpoints.clear()


after_fork(_forget)


def discard_endpoint(target: Target) -> None:
    """Close the transport of `target`, which stops a server inside the process, and forget every
    endpoint to the same API."""
    with _lock:
        found = [
            one
            for one in _endpoints
            if (one.url, one.database_url) == (target.url, target.database_url)
        ]
        closing = [_endpoints.pop(one) for one in found]
    for one in closing:
        one.transport.close()


def reset() -> None:
    """Close and forget every endpoint: for tests and the harness."""
    with _lock:
        known = list(_endpoints.values())
        _endpoints.clear()
    for one in known:
        one.transport.close()
