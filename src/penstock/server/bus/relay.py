"""What goes over the wire between the buses of several processes."""

import base64
import binascii
import secrets
from collections.abc import Iterator

from penstock.server.bus.interface import LocalBus

PIECE = 5_000
"""Bytes of a copy in one message: with the base64 form, below PostgreSQL's 8,000 byte limit."""
MAXIMUM_COPY = 1_000_000
"""Larger copies are not carried between processes."""


class RelayBus(LocalBus):
    """A bus whose wake-ups and copies are also carried to other processes, as text messages.

    A message is `w|sender|topic` or `c|sender|topic|number|rest|base64`, where `rest` counts the
    pieces that follow. A process ignores what it sent itself: it was told directly.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sender = secrets.token_hex(8)
        self._number = 0
        self._pieces: dict[tuple[str, str, str], list[bytes]] = {}

    def wake_message(self, topic: str) -> str:
        return f"w|{self.sender}|{topic}"

    def copy_messages(self, topic: str, copy: bytes) -> Iterator[str]:
        """The messages that carry a copy; none when it is too large."""
        if len(copy) > MAXIMUM_COPY:
            return
        with self._lock:
            self._number += 1
            number = self._number
        pieces = [copy[at : at + PIECE] for at in range(0, len(copy), PIECE)] or [b""]
        for index, piece in enumerate(pieces):
            rest = len(pieces) - index - 1
            text = base64.b64encode(piece).decode()
            yield f"c|{self.sender}|{topic}|{number}|{rest}|{text}"

    def receive(self, message: str) -> None:
        """Act on a message of another process; what cannot be read is ignored."""
        kind, _, tail = message.partition("|")
        sender, _, tail = tail.partition("|")
        if sender == self.sender:
            return
        if kind == "w":
            self.wake_here(tail)
        elif kind == "c":
            self._receive_piece(sender, tail)

    def _receive_piece(self, sender: str, tail: str) -> None:
        try:
            topic, number, rest, text = tail.split("|")
            piece = base64.b64decode(text, validate=True)
            last = int(rest) == 0
        except (ValueError, binascii.Error):
            return
        key = (sender, topic, number)
        pieces = self._pieces.setdefault(key, [])
        pieces.append(piece)
        if last:
            del self._pieces[key]
            self.offer_here(topic, b"".join(pieces))
        elif len(self._pieces) > 1_000:
            # Beginnings whose ends were lost with a connection.
            self._pieces.pop(next(iter(self._pieces)))
