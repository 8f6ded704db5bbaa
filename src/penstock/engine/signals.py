"""SIGTERM inside a run, and what it was sent for."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from penstock.schemas.errors import TerminationSignal

_depth = 0
_intent: str | None = None


def set_intent(intent: str | None) -> None:
    """Say why this process is about to get SIGTERM: "cancel", or None for no stated reason."""
    global _intent
    _intent = intent


def intent() -> str | None:
    """Why SIGTERM was sent, as far as the sender said."""
    return _intent


@contextmanager
def termination_raised() -> Iterator[None]:
    """Let SIGTERM raise `TerminationSignal` in the body.

    Only on the main thread, where signals arrive, and only for the outermost run. Afterwards the
    handler that was there is put back and, when no intent was stated, gets the signal.
    """
    global _depth
    if threading.current_thread() is not threading.main_thread() or _depth:
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        raise TerminationSignal(signal=number)

    before = signal.signal(signal.SIGTERM, handle)
    _depth += 1
    caught = False
    try:
        yield
    except TerminationSignal:
        caught = True
        raise
    finally:
        _depth -= 1
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
        if caught and _intent is None:
            os.kill(os.getpid(), signal.SIGTERM)
