"""The server inside this process: requests reach the ASGI application without a socket.

One daemon thread with an event loop per process and database. The server is named by an entry
point string and loaded when it is first needed, because the client lies below the server.
"""

import asyncio
import importlib
import json as stdlib_json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from penstock.client.closing import Stage, after_fork, at_exit
from penstock.client.exchange import Request, Response, TransportFailure, build, operation
from penstock.client.target import Target
from penstock.schemas.errors import ConfigurationError
from penstock.settings import get_current_settings

APPLICATION = "penstock.server.app:create_app"
CONFIGURATION = "penstock.server.config:ServerConfig"
HOST = b"penstock.embedded"
STOP_SECONDS = 5.0
HEALTH_SECONDS = 1.0


class EmbeddedServer:
    """An application and the loop it lives on."""

    def __init__(self, app: Any, base_path: str, *, startup_seconds: float = 20.0) -> None:
        self.app = app
        self.base_path = base_path
        self.loop = asyncio.new_event_loop()
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._live, name="penstock-embedded", daemon=True)
        self._startup_seconds = startup_seconds

    @property
    def running(self) -> bool:
        return self._thread.is_alive() and not self.loop.is_closed()

    def start(self) -> None:
        """Returns when the application answers; raises what its start raised."""
        self._thread.start()
        if not self._ready.wait(self._startup_seconds):
            raise ConfigurationError(
                f"the server in this process did not start within {self._startup_seconds} seconds; "
                "raise PENSTOCK_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS or check the database"
            )
        if self._failure is not None:
            raise self._failure

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Stop the application and its loop; gives up after `timeout` seconds."""
        if self.running:
            self.loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(timeout)

    def _live(self) -> None:
        asyncio.set_event_loop(self.loop)
        self._stopping = asyncio.Event()
        try:
            self.loop.run_until_complete(self._serve())
        except Exception as error:  # Supervision: the starter raises it.
            self._failure = error
        finally:
            self._ready.set()
            self.loop.close()

    async def _serve(self) -> None:
        await self.app.start()
        self._ready.set()
        await self._stopping.wait()
        await self.app.stop()


class EmbeddedTransport:
    """Calls the application directly. From a thread one request costs one hop to the loop."""

    def __init__(
        self, server: EmbeddedServer, fixed: tuple[tuple[str, str], ...], *, timeout: float = 60.0
    ) -> None:
        self.server = server
        self.timeout = timeout
        self._headers = [(b"host", HOST), *_encoded(fixed)]

    def send(self, request: Request, headers: tuple[tuple[str, str], ...] = ()) -> Response:
        if threading.current_thread() is self.server._thread:
            raise RuntimeError(
                f"{request} was sent from the embedded server's own event loop; use the async "
                "client there"
            )
        exchange = _Exchange(self.server, self._scope(request, headers), request.body or b"")
        self._submit(exchange)
        if not exchange.done.acquire(timeout=self.timeout):
            exchange.cancel()
            raise TransportFailure(f"no answer within {self.timeout} seconds", connected=True)
        return exchange.result()

    async def asend(self, request: Request, headers: tuple[tuple[str, str], ...] = ()) -> Response:
        """As `send`, from any event loop, without blocking it."""
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()

        def wake() -> None:
            if not arrived.done():
                arrived.set_result(None)

        def tell() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(wake)

        exchange = _Exchange(self.server, self._scope(request, headers), request.body or b"", tell)
        self._submit(exchange)
        try:
            await asyncio.wait_for(arrived, self.timeout)
        except TimeoutError:
            exchange.cancel()
            raise TransportFailure(
                f"no answer within {self.timeout} seconds", connected=True
            ) from None
        except asyncio.CancelledError:
            exchange.cancel()
            raise
        return exchange.result()

    def close(self) -> None:
        """Stop the server; a new transport starts another."""
        _discard(self.server)

    def _submit(self, exchange: "_Exchange") -> None:
        try:
            self.server.loop.call_soon_threadsafe(exchange.start)
        except RuntimeError:
            raise TransportFailure(
                "the server in this process has stopped", connected=False
            ) from None

    def _scope(self, request: Request, headers: tuple[tuple[str, str], ...]) -> dict[str, Any]:
        path, _, query = request.path.partition("?")
        sent = self._headers
        if headers:
            sent = sent + _encoded(headers)
        if request.body is not None:
            length = b"%d" % len(request.body)
            sent = [*sent, (b"content-type", b"application/json"), (b"content-length", length)]
        raw = (self.server.base_path + path).encode("ascii")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": _unquoted(raw),
            "raw_path": raw,
            "query_string": query.encode("ascii"),
            "root_path": "",
            "headers": sent,
            "client": ("127.0.0.1", 0),
            "server": (HOST.decode(), 80),
            "state": {},
        }


class _Exchange:
    """One request inside the application, from any thread."""

    def __init__(
        self,
        server: EmbeddedServer,
        scope: dict[str, Any],
        body: bytes,
        tell: Callable[[], None] | None = None,
    ) -> None:
        self.done = threading.Lock()
        self.done.acquire()
        self._server = server
        self._scope = scope
        self._body: bytes | None = body
        self._tell = tell or self.done.release
        self._status = 0
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = self._server.loop.create_task(self._run())

    def cancel(self) -> None:
        if not self._server.loop.is_closed():
            self._server.loop.call_soon_threadsafe(
                lambda: self._task.cancel() if self._task is not None else None
            )

    def result(self) -> Response:
        if self._failure is not None or not self._status:
            raise TransportFailure(
                f"the server in this process failed: {self._failure!r}", connected=True
            ) from self._failure
        return Response(self._status, self._headers, b"".join(self._parts))

    async def _run(self) -> None:
        try:
            await self._server.app(self._scope, self._receive, self._send)
        except BaseException as error:
            self._failure = error
            if not isinstance(error, Exception) and not isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._tell()

    async def _receive(self) -> dict[str, Any]:
        body, self._body = self._body, None
        if body is None:
            # The caller never goes away before the answer; what waits for that waits for ever.
            await asyncio.Event().wait()
        return {"type": "http.request", "body": body, "more_body": False}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in message.get("headers", ())
            }
        elif message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))


def _encoded(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in headers
    ]


def _unquoted(raw: bytes) -> str:
    if b"%" not in raw:
        return raw.decode("ascii")
    from urllib.parse import unquote

    return unquote(raw.decode("ascii"))


# --- one server per process and database ---------------------------------------------------------

_servers: dict[str, EmbeddedServer] = {}
_lock = threading.Lock()
_abandoned: list[EmbeddedServer] = []


def transport(target: Target) -> EmbeddedTransport:
    """A transport to the server over the target's database, started when there is none yet.

    Takes some hundred milliseconds the first time: the server is imported and the database
    migrated. Raises what the start raised, for instance for a database it cannot open.
    """
    with _lock:
        server = _servers.get(target.database_url)
        if server is None or not server.running:
            server = _start(target)
            _servers[target.database_url] = server
    return EmbeddedTransport(server, target.headers(), timeout=target.timeout)


def application(target: Target) -> Any:
    """The running application over the target's database, None when it is not running here."""
    server = _servers.get(target.database_url)
    return server.app if server is not None and server.running else None


def _start(target: Target) -> EmbeddedServer:
    settings = get_current_settings()
    config = _load(CONFIGURATION).from_settings(settings)
    # Whoever can call into this process needs no credentials.
    config = replace(config, auth_string=None, csrf_enabled=False)
    if target.database_url:
        config = replace(config, database_url=target.database_url)
    server = EmbeddedServer(
        _load(APPLICATION)(config),
        config.base_path,
        startup_seconds=float(settings.server.ephemeral.startup_timeout_seconds),
    )
    server.start()
    return server


def _load(entry_point: str) -> Any:
    module, _, name = entry_point.partition(":")
    return getattr(importlib.import_module(module), name)


def _discard(server: EmbeddedServer) -> None:
    with _lock:
        for url, one in list(_servers.items()):
            if one is server:
                del _servers[url]
    server.stop()


def _stop_all() -> None:
    for server in list(_servers.values()):
        _discard(server)


def _forget() -> None:
    """A forked child has no loop thread; it must not touch the parent's connections either, so
    the old servers are kept from being collected."""
    global _lock
    _lock = threading.Lock()
    _abandoned.extend(_servers.values())
    _servers.clear()


at_exit(Stage.STOP, _stop_all)
after_fork(_forget)


# --- a local server that owns the same database -------------------------------------------------


def local_server(target: Target) -> str | None:
    """API URL of the server process that owns the target's database, None when there is none.

    It is named in `$PENSTOCK_HOME/server.json` and must be alive and answer `/health`.
    """
    try:
        found = stdlib_json.loads(Path(target.home, "server.json").read_bytes())
        pid, url, database = int(found["pid"]), str(found["url"]), str(found["database_url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if same_database(database) != same_database(target.database_url) or pid == os.getpid():
        return None
    if not _alive(pid) or not _healthy(url):
        return None
    return url


def same_database(url: str) -> str:
    """A database URL without driver and password: two that mean the same database are equal."""
    scheme, _, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    return f"{scheme.partition('+')[0]}://{credentials.partition(':')[0]}{at}{place}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _healthy(url: str) -> bool:
    if urlsplit(url).scheme not in ("http", "https"):
        return False
    # urllib3 costs 30 ms of import; only needed when there is a server to ask.
    from penstock.client.http import HttpTransport

    probe = HttpTransport(url, timeout=HEALTH_SECONDS)
    try:
        return probe.send(build(operation("health_check"), (), None, {})).ok
    except TransportFailure:
        return False
    finally:
        probe.close()


__all__ = ["EmbeddedServer", "EmbeddedTransport", "application", "local_server", "transport"]
