"""How every socket of the API is opened: address, headers, TLS, greeting."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from penstock.base import json
from penstock.client.exchange import SocketRefused
from penstock.client.target import Target

OPEN_SECONDS = 10.0


def socket_url(url: str, path: str) -> str:
    """The socket address of `path` on the API at `url`, without credentials."""
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((scheme, host, parts.path.rstrip("/") + path, "", ""))


def open_connection(
    target: Target, url: str, protocols: Sequence[str], **options: Any
) -> ClientConnection:
    """A connection that the caller closes. Raises what `websockets` and the network raise."""
    connection = connect(
        url,
        subprotocols=[Subprotocol(name) for name in protocols],
        **connection_options(target),
        **options,
    )
    # Entered by hand, because it outlives this call; newer releases warn about any other use.
    return connection.__enter__()


def connection_options(target: Target) -> dict[str, Any]:
    """Headers, limits and TLS of a connection, for `websockets` clients of either kind."""
    headers = dict(target.headers())
    agent = headers.pop("User-Agent")
    options: dict[str, Any] = {
        "additional_headers": list(headers.items()),
        "user_agent_header": agent,
        "open_timeout": OPEN_SECONDS,
        "close_timeout": 1.0,
        "compression": None,
        "max_size": None,
    }
    if target.url and target.url.startswith("https:"):
        import ssl

        context = ssl.create_default_context(cafile=target.ca_file)
        if not target.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        options["ssl"] = context
    return options


def greeting(target: Target) -> bytes:
    """The first frame of every socket."""
    return json.encode({"type": "auth", "token": target.token})


def check_greeted(frame: str | bytes) -> None:
    """Raises `SocketRefused` unless `frame` is the server's welcome."""
    try:
        welcome = json.decode(frame)
    except msgspec.DecodeError:
        welcome = None
    if not isinstance(welcome, dict) or welcome.get("type") != "auth_success":
        raise SocketRefused(f"it answered the handshake with {str(frame)[:100]!r}")
