"""The HTTP transport: a pool of kept-alive connections to one API.

urllib3 makes the connections (TLS, proxies, socket options); the bytes on them are written and
read by `wire`, which costs a fifth of a general client per request.
"""

import select
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from msgspec import Struct
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import create_urllib3_context, make_headers, parse_url

from penstock.client.exchange import Request, Response, TransportFailure
from penstock.client.wire import ProtocolFailure, header_block, read_response, request_bytes

CONNECTIONS = 16
KEPT_ALIVE = 8
KEEP_ALIVE_SECONDS = 25.0
CONNECT_ATTEMPTS = 3
REDIRECTS = 5
_REDIRECTING = frozenset({301, 302, 303, 307, 308})


class Tls(Struct, frozen=True):
    verify: bool = True
    ca_file: str | None = None


class _Pooled:
    """One open connection and when it was last used."""

    __slots__ = ("connection", "socket", "used")

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection
        assert connection.sock is not None
        self.socket: socket.socket = connection.sock
        self.used = time.monotonic()

    def fresh(self) -> bool:
        """Whether it can carry another request: not too old, not closed by the other side."""
        if time.monotonic() - self.used > KEEP_ALIVE_SECONDS:
            return False
        # An idle connection that is readable has been closed, or says what nobody asked for.
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)


class HttpTransport:
    """Sends requests to one API base URL. Safe for threads; at most 16 connections at a time.

    Redirects within the same scheme are followed (five at most); credentials go along only to
    the same host and port. Raises `TransportFailure` when there is no response.
    """

    def __init__(
        self,
        url: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        timeout: float = 60.0,
        tls: Tls = Tls(),  # noqa: B008 - an immutable value
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an API URL; write it like http://127.0.0.1:4200/api")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._tls = tls
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._base = parts.path.rstrip("/")
        self._context: ssl.SSLContext | None = None
        self._proxy = _proxy_of(parts.scheme, self._host, self._port)
        self._origin = ""
        host = parts.netloc.rpartition("@")[2]
        fixed = [("Host", host), ("Accept", "application/json"), ("Accept-Encoding", "gzip")]
        if parts.username:
            userinfo = f"{parts.username}:{parts.password or ''}".encode()
            fixed.append(("Authorization", "Basic " + b64encode(userinfo).decode()))
        fixed.extend(headers)
        if self._proxy is not None and self._scheme == "http":
            self._origin = f"http://{host}"
            fixed.extend(_proxy_headers(self._proxy).items())
        self._fixed = header_block(fixed)
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self._idle: list[_Pooled] = []
        self._lock = threading.Lock()

    def send(self, request: Request, headers: tuple[tuple[str, str], ...] = ()) -> Response:
        added = header_block(headers) if headers else b""
        path = self._base + request.path
        method, body = request.method, request.body
        for _ in range(REDIRECTS + 1):
            response = self._exchange(method, path, added, body)
            location = response.headers.get("location")
            if response.status not in _REDIRECTING or not location:
                return response
            path = self._redirected(path, location)
            if response.status == 303:
                method, body = "GET", None
        raise TransportFailure(f"more than {REDIRECTS} redirects", connected=True)

    def close(self) -> None:
        """Close the idle connections; the transport can still be used."""
        with self._lock:
            idle, self._idle = self._idle, []
        for pooled in idle:
            pooled.connection.close()

    def _redirected(self, path: str, location: str) -> str:
        here = f"{self._scheme}://{self._host}:{self._port}"
        there = urlsplit(urljoin(here + path, location))
        port = there.port or (443 if there.scheme == "https" else 80)
        if (there.scheme, there.hostname, port) != (self._scheme, self._host, self._port):
            raise TransportFailure(
                f"the server sends requests on to {there.scheme}://{there.netloc}; "
                "set PENSTOCK_API_URL to that address",
                connected=True,
            )
        return there.path + (f"?{there.query}" if there.query else "")

    def _exchange(self, method: str, path: str, added: bytes, body: bytes | None) -> Response:
        data = request_bytes(method, self._origin + path, self._fixed, added, body)
        if not self._slots.acquire(timeout=self.timeout):
            raise TransportFailure("all connections stayed in use", connected=True)
        try:
            return self._round_trip(data)
        finally:
            self._slots.release()

    def _round_trip(self, data: bytes) -> Response:
        pooled = self._take()
        reused = pooled is not None
        if pooled is None:
            pooled = self._connect()
        try:
            pooled.socket.sendall(data)
            response, reusable = read_response(pooled.socket.recv)
        except (OSError, ProtocolFailure) as error:
            pooled.connection.close()
            started = error.started if isinstance(error, ProtocolFailure) else False
            if reused and not started and not isinstance(error, TimeoutError):
                # The server closed a kept-alive connection as we wrote: the usual case of a
                # restart, and it has not answered; a new connection decides.
                self.close()
                return self._round_trip(data)
            raise TransportFailure(str(error) or type(error).__name__, connected=True) from error
        except BaseException:
            pooled.connection.close()
            raise
        self._give_back(pooled, reusable)
        return response

    def _take(self) -> _Pooled | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                pooled = self._idle.pop()
            if pooled.fresh():
                return pooled
            pooled.connection.close()

    def _give_back(self, pooled: _Pooled, reusable: bool) -> None:
        pooled.used = time.monotonic()
        with self._lock:
            if reusable and len(self._idle) < KEPT_ALIVE:
                self._idle.append(pooled)
                return
        pooled.connection.close()

    def _connect(self) -> _Pooled:
        failure: Exception | None = None
        for _ in range(CONNECT_ATTEMPTS):
            connection = self._new_connection()
            try:
                connection.connect()
            except (OSError, HTTPError) as error:
                connection.close()
                failure = error
                continue
            except BaseException:
                connection.close()
                raise
            assert connection.sock is not None
            connection.sock.settimeout(self.timeout)
            return _Pooled(connection)
        reason = getattr(failure, "_message", None) or failure
        raise TransportFailure(f"cannot connect ({reason})", connected=False) from failure

    def _new_connection(self) -> HTTPConnection:
        proxy = self._proxy
        if self._scheme == "http":
            host, port = _authority(proxy) if proxy else (self._host, self._port)
            return HTTPConnection(host, port, timeout=self.timeout)
        if self._context is None:
            self._context = _tls_context(self._tls)
        host, port = _authority(proxy) if proxy else (self._host, self._port)
        connection = HTTPSConnection(
            host,
            port,
            timeout=self.timeout,
            ssl_context=self._context,
            cert_reqs="CERT_REQUIRED" if self._tls.verify else "CERT_NONE",
            assert_hostname=None if self._tls.verify else False,
            proxy=parse_url(proxy) if proxy else None,
        )
        if proxy:
            connection.set_tunnel(self._host, self._port, headers=_proxy_headers(proxy))
        return connection


def _tls_context(tls: Tls) -> ssl.SSLContext:
    """Trusts the system's authorities, or those of `ca_file` alone; or anybody, without
    verification."""
    context = create_urllib3_context()
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca_file:
        context.load_verify_locations(tls.ca_file)
    else:
        context.load_default_certs()
    return context


def _proxy_of(scheme: str, host: str, port: int) -> str | None:
    if proxy_bypass(f"{host}:{port}") or proxy_bypass(host):
        return None
    return getproxies().get(scheme)


def _proxy_headers(proxy: str) -> dict[str, str]:
    auth = parse_url(proxy).auth
    return dict(make_headers(proxy_basic_auth=auth)) if auth else {}


def _authority(proxy: str) -> tuple[str, int]:
    url = parse_url(proxy)
    if not url.host:
        raise ValueError(f"the proxy {proxy!r} has no host; write it like http://proxy:3128")
    return url.host, url.port or (443 if url.scheme == "https" else 80)
