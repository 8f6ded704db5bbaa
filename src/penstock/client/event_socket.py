"""Batches of events over the socket `/events/in`."""

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    WebSocketException,
)
from websockets.sync.client import ClientConnection

from penstock.base import json
from penstock.client.exchange import SocketRefused
from penstock.client.handshake import (
    OPEN_SECONDS,
    check_greeted,
    greeting,
    open_connection,
    socket_url,
)
from penstock.client.outbox import NotNow
from penstock.client.target import Target

ACKNOWLEDGED = "penstock.events.v1"
PLAIN = "prefect"
ACKNOWLEDGE_SECONDS = 30.0
POLICY_VIOLATION = 1008

logger = logging.getLogger("penstock.client.events")


class SocketDelivery:
    """Delivers batches over one socket, opened when needed and again after it broke.

    With the subprotocol `penstock.events.v1` a batch is one frame and is delivered when the
    server says that it is committed. With `prefect` each event is a frame and the answer to a
    ping is the best confirmation there is.
    """

    def __init__(self, target: Target, url: str) -> None:
        self._target = target
        self._url = socket_url(url, "/events/in")
        self._socket: ClientConnection | None = None
        self._sent = 0
        self._told: set[str] = set()

    def __call__(self, batch: Sequence[bytes]) -> None:
        try:
            socket = self._opened()
            if socket.subprotocol == ACKNOWLEDGED:
                self._send_acknowledged(socket, batch)
            else:
                self._send_plain(socket, batch)
        except ConnectionClosed as error:
            self.close()
            if error.rcvd is not None and error.rcvd.code == POLICY_VIOLATION:
                raise SocketRefused(error.rcvd.reason or "policy violation") from error
            raise NotNow(f"the socket to {self._target.name} was closed") from error
        except InvalidStatus as error:
            status = error.response.status_code
            if 400 <= status < 500 and status not in (408, 429):
                raise SocketRefused(f"HTTP status {status}") from error
            raise NotNow(f"{self._target.name} answered {status}") from error
        except InvalidHandshake as error:
            raise SocketRefused(str(error)) from error
        except (OSError, WebSocketException, RuntimeError) as error:
            self.close()
            raise NotNow(f"{self._target.name}: {error or type(error).__name__}") from error

    def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            with contextlib.suppress(OSError, WebSocketException):
                socket.close()

    def abandon(self) -> None:
        """Forget the socket without a word: it is the parent's of a fork."""
        self._socket = None

    def _opened(self) -> ClientConnection:
        if self._socket is not None:
            return self._socket
        socket = open_connection(self._target, self._url, [ACKNOWLEDGED, PLAIN], ping_interval=None)
        try:
            if socket.subprotocol is not None:
                socket.send(greeting(self._target), text=True)
                check_greeted(socket.recv(timeout=OPEN_SECONDS))
        except BaseException:
            socket.close()
            raise
        self._socket, self._sent = socket, 0
        return socket

    def _send_acknowledged(self, socket: ClientConnection, batch: Sequence[bytes]) -> None:
        socket.send(b"[" + b",".join(batch) + b"]", text=True)
        self._sent += len(batch)
        while True:
            frame = json.decode(socket.recv(timeout=ACKNOWLEDGE_SECONDS))
            if frame.get("type") == "ack" and frame["through"] >= self._sent:
                return
            if frame.get("type") == "reject":
                self._tell_rejected(frame)

    def _send_plain(self, socket: ClientConnection, batch: Sequence[bytes]) -> None:
        for event in batch:
            socket.send(event, text=True)
        if not socket.ping().wait(ACKNOWLEDGE_SECONDS):
            raise TimeoutError("no answer to a ping")

    def _tell_rejected(self, frame: dict[str, Any]) -> None:
        reason = str(frame.get("reason"))
        if reason not in self._told:
            self._told.add(reason)
            logger.warning("the server refused the event %s: %s", frame.get("id"), reason)
