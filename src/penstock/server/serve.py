"""Running a server in this process: sockets, signals, the file that says where it is.

`server.json` in the home directory tells local clients that a server owns the database there, so
that they talk to it instead of opening the file beside it.
"""

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from penstock.schemas.errors import ConfigurationError
from penstock.server.api.ws.protocol import GatedProtocol
from penstock.server.app import App, create_app
from penstock.server.config import ServerConfig
from penstock.server.security.origin import is_loopback

SERVER_FILE = "server.json"
GRACE_SECONDS = 10
LOCAL_NAMES = ("localhost", "localhost.localdomain")


class _Server(uvicorn.Server):
    """uvicorn's server that says when it listens."""

    def __init__(self, config: uvicorn.Config, app: App, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in good order on SIGINT and SIGTERM; unlike uvicorn's, not again by the signal."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        originals = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, original in originals.items():
                signal.signal(number, original)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # While workers are told to go, those that come get 503 and not a refused connection.
        await self._app.drain()
        await super().shutdown(sockets)


def check_exposure(config: ServerConfig, host: str, *, insecure: bool) -> ServerConfig:
    """The configuration to serve with on `host`.

    Raises `ConfigurationError` for an address other machines can reach when no credentials are
    configured, unless that was asked for. A local server without credentials answers to local
    names only, so that no page can reach it through a name of its own.
    """
    if config.auth_string is not None or insecure:
        return config
    if not is_loopback(host):
        raise ConfigurationError(
            f"the address {host} can be reached from other machines and no credentials are "
            "configured; set PENSTOCK_SERVER_API_AUTH_STRING, bind 127.0.0.1, or pass --insecure"
        )
    if config.allowed_hosts:
        return config
    return msgspec.structs.replace(config, allowed_hosts=LOCAL_NAMES)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `ConfigurationError` when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another port or end "
            "the program that has it"
        ) from error
    listener.set_inheritable(True)
    return listener


@contextlib.contextmanager
def announced(config: ServerConfig, url: str) -> Iterator[None]:
    """Keep `server.json` in the home directory while the server runs."""
    if config.home is None:
        yield
        return
    path = config.home / SERVER_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "pid": os.getpid(),
        "url": url,
        "database_url": _without_password(config.database_url),
        "started": datetime.now(UTC).isoformat(),
    }
    _write_private(path, json.dumps(content))
    try:
        yield
    finally:
        _remove_own(path)


def _write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _remove_own(path: Path) -> None:
    """Remove the file unless another server has written its own meanwhile."""
    try:
        if json.loads(path.read_text()).get("pid") == os.getpid():
            path.unlink()
    except (OSError, ValueError):
        return


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    scheme, _, credentials = head.partition("://")
    return f"{scheme}://{credentials.partition(':')[0]}@{tail}"


def serve(
    config: ServerConfig,
    host: str = "127.0.0.1",
    port: int = 4200,
    *,
    insecure: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish requests, tell sockets, and return.

    `ready` is called with the API URL once requests are answered. Port 0 takes a free one.
    """
    config = check_exposure(config, host, insecure=insecure)
    listener = listen(host, port)
    bound = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{bound}{config.base_path}"
    app = create_app(config)
    server = _Server(_uvicorn_config(app, config), app, (lambda: ready(url)) if ready else _nothing)
    with announced(config, url):
        try:
            server.run(sockets=[listener])
        finally:
            listener.close()
    if app.start_error is not None:
        raise app.start_error


def _nothing() -> None:
    return None


def _uvicorn_config(app: App, config: ServerConfig) -> uvicorn.Config:
    options: dict[str, Any] = {
        "loop": "uvloop" if _has("uvloop") else "asyncio",
        "http": "httptools" if _has("httptools") else "h11",
        "ws": GatedProtocol,
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "log_level": config.log_level.lower(),
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": config.keepalive_timeout,
        "timeout_graceful_shutdown": GRACE_SECONDS,
        "ws_ping_interval": config.websocket_ping_interval,
        "ws_ping_timeout": config.websocket_ping_timeout,
        "ws_max_size": config.maximum_body_bytes,
        "ws_per_message_deflate": False,
    }
    return uvicorn.Config(app, **options)


def _has(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True
