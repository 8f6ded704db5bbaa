"""SIGTERM inside a run, and what it was sent for."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from penstock.schemas.errors import TerminationSignal

_inside = 0
_before: Any = None
_caught = False
_intent: str | None = None


def set_intent(intent: str | None) -> None:
    """Say why this process is about to get SIGTERM: "cancel", or None for no stated reason."""
    global _intent
    _intent = intent


def intent() -> str | None:
    """Why SIGTERM was sent, as far as the sender said.

    A sender in another process says it before the signal, as a line on the descriptor named in
    `PENSTOCK__CONTROL_FD`.
    """
    global _intent
    if _intent is None and (said := _said()):
        _intent = said
    return _intent


def _said() -> str | None:
    descriptor = os.environ.get("PENSTOCK__CONTROL_FD", "")
    if not descriptor.isdigit():
        return None
    try:
        return os.read(int(descriptor), 64).partition(b"\n")[0].decode("ascii", "replace") or None
    except OSError:
        return None  # Nothing was said (it does not block), or nobody is there to say anything.


def caught() -> bool:
    """Whether SIGTERM came during the runs that are going on."""
    return _caught


@contextmanager
def termination_raised() -> Iterator[None]:
    """Let SIGTERM raise `TerminationSignal` in the body.

    Only on the main thread, where signals arrive; several runs there share one handler, whatever
    the order in which they end. After the last, the handler that was there before is put back
    and, when SIGTERM came and no intent was stated, gets the signal.
    """
    global _inside, _before, _caught
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if _inside == 0:
        _caught = False
        _before = signal.signal(signal.SIGTERM, _raise)
    _inside += 1
    try:
        yield
    finally:
        _inside -= 1
        if _inside == 0:
            before = _before if _before is not None else signal.SIG_DFL
            signal.signal(signal.SIGTERM, before)
            if _caught and intent() is None:
                os.kill(os.getpid(), signal.SIGTERM)


def _raise(number: int, frame: FrameType | None) -> None:
    global _caught
    _caught = True
    raise TerminationSignal(signal=number)
