"""Interrupting code of the user that runs too long.

On the main thread the interval timer of the process interrupts even a blocking system call. In
other threads an exception is injected, which takes effect at the next bytecode: a blocking call
there is finished first.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

from penstock.base.lazy import LazyModule
from penstock.engine.effects import RunTimeoutError
from penstock.engine.timer import TIMER

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = LazyModule("ctypes")  # needed only for a timeout off the main thread


def message(seconds: float) -> str:
    """What a run that timed out says."""
    return f"The run took longer than its timeout of {seconds:g} seconds"


def can_interrupt_blocking_calls() -> bool:
    """Whether a timeout in this thread interrupts a blocking system call."""
    return threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `RunTimeoutError` inside the body when it takes longer than `seconds`."""
    if can_interrupt_blocking_calls():
        with _by_alarm(seconds):
            yield
    else:
        with _by_injection(seconds):
            yield


@contextmanager
def _by_alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise RunTimeoutError(message(seconds))

    before = signal.signal(signal.SIGALRM, ring)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    started = monotonic()
    if outer and outer < seconds:
        # An enclosing run times out sooner: its own handler rings, at its own time.
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, outer)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:
            left = outer - (monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.000_001))


@contextmanager
def _by_injection(seconds: float) -> Iterator[None]:
    thread = threading.get_ident()
    lock = threading.Lock()
    over = rung = False

    def ring() -> None:
        nonlocal rung
        with lock:
            if not over:
                rung = True
                inject(thread, _Injected)

    alarm = TIMER.after(seconds, ring)
    try:
        try:
            yield
        finally:
            with lock:
                over = True
            TIMER.cancel(alarm)
        if rung:
            # Injected, and not delivered before the body ended: it comes at the next bytecodes.
            for _ in range(1000):
                pass
    except _Injected:
        raise RunTimeoutError(message(seconds)) from None


class _Injected(BaseException):
    """Not an `Exception`, so that code of the user does not mistake it for its own."""


def inject(thread: int, kind: type[BaseException]) -> None:
    """Raise `kind` in another thread, at its next bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))
