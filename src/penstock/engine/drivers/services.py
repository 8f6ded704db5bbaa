"""What a driver carries effects out with."""

from collections.abc import Callable
from datetime import datetime
from types import FrameType
from typing import Any

from penstock.base.clock import utc_now


class Services:
    """The outside of one run: the client of the API, the way out for events, the clock."""

    __slots__ = ("_client", "_make_client", "emit", "now")

    def __init__(
        self,
        *,
        client: Any = None,
        make_client: Callable[[], Any] | None = None,
        emit: Callable[[bytes], None],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client = client
        self._make_client = make_client
        self.emit = emit
        self.now = now

    @property
    def client(self) -> Any:
        """The client, made when it is first needed: a task alone never needs one."""
        if self._client is None and self._make_client is not None:
            self._client = self._make_client()
        return self._client


def trimmed(error: BaseException) -> BaseException:
    """`error` without the drivers' own frames above the user's, so that a traceback is readable."""
    trace = error.__traceback__
    while trace is not None and _is_ours(trace.tb_frame):
        trace = trace.tb_next
    if trace is not None:
        error.__traceback__ = trace
    return error


def _is_ours(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").startswith("penstock.engine.drivers")
