"""Ending the body of a `with` statement of another thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from penstock.engine.timeouts import inject


class _Interrupted(BaseException):
    """Not an `Exception`, so that the body does not mistake it for its own."""


class Interrupt:
    """Ends a body, once, with an error; does nothing when the body has ended."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._over = False

    def __call__(self, error: Exception) -> None:
        with self._lock:
            if not self._over and self.error is None:
                self.error = error
                inject(self._thread, _Interrupted)

    def end(self) -> None:
        with self._lock:
            self._over = True


@contextmanager
def interruptible(raised: Callable[[Exception], Exception]) -> Iterator[Interrupt]:
    """Run the body; what is given here, called with an error from another thread, ends it.

    Then `raised(error)` is raised in its place. A blocking system call in the body is finished
    first.
    """
    interrupt = Interrupt()
    try:
        try:
            yield interrupt
        finally:
            interrupt.end()
        if interrupt.error is not None:
            # Injected, and not delivered before the body ended: it comes at the next bytecodes.
            for _ in range(1000):
                pass
    except _Interrupted:
        assert interrupt.error is not None
        raise raised(interrupt.error) from interrupt.error
