"""Counting work instead of timing it: a count is the same on every machine, busy or not."""

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def python_calls(call: Callable[[], object]) -> int:
    """How many Python functions run during one `call`, itself included.

    The first call, which fills caches, is not counted.
    """
    call()
    count = 0

    def note(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    collecting = gc.isenabled()
    # Finalizers of older garbage are not this call's work.
    gc.disable()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        if collecting:
            gc.enable()
    return count
