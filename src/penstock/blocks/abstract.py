"""What blocks of a kind have in common."""

import logging
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import PrivateAttr

from penstock.blocks.core import Block


class NotificationError(Exception):
    """A message could not be sent; `log` says why."""

    def __init__(self, log: str) -> None:
        super().__init__(log)
        self.log = log


class NotificationBlock(Block):
    """A block that sends messages."""

    _block_schema_capabilities = ["notify"]

    _raises: bool = PrivateAttr(False)

    @property
    def logger(self) -> logging.Logger:
        return logging.getLogger(f"penstock.{type(self).__name__}")

    @abstractmethod
    def notify(self, body: str, subject: str | None = None) -> Any:
        """Send a message."""

    @contextmanager
    def raise_on_failure(self) -> Iterator[None]:
        """Within this, a message that could not be sent raises `NotificationError`; elsewhere it
        is logged."""
        before, self._raises = self._raises, True
        try:
            yield
        finally:
            self._raises = before
