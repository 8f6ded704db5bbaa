"""What happens at the end of the process and after a fork, in one order for the whole SDK.

At exit the steps run by stage: first what still holds data is flushed, then servers are stopped.
After a fork the child forgets threads, sockets and queues of its parent.
"""

import atexit
import os
import sys
from collections.abc import Callable
from enum import IntEnum

Step = Callable[[], None]


class Stage(IntEnum):
    FLUSH = 1
    STOP = 2


_steps: list[tuple[Stage, Step]] = []
_forgetting: list[Step] = []
_registered: list[object] = []


def at_exit(stage: Stage, step: Step) -> None:
    """Run `step` at exit, after all steps of earlier stages. `step` must bound its own time."""
    _steps.append((stage, step))
    _close_in_workers()


def _close_in_workers() -> None:
    """Children of `multiprocessing` leave without `atexit`; they have a list of their own."""
    if "multiprocessing.process" not in sys.modules:
        return
    from multiprocessing import process, util

    if process.parent_process() is not None and not _registered:
        _registered.append(util.Finalize(None, close_all, exitpriority=0))


def after_fork(step: Step) -> None:
    """Run `step` in every forked child before it goes on."""
    _forgetting.append(step)


def close_all() -> None:
    """Run the steps now. A step that fails says so on stderr and does not stop the others."""
    for stage, step in sorted(_steps, key=lambda item: item[0]):
        try:
            step()
        except Exception as error:  # The last supervision point: nobody is left to tell.
            print(f"penstock: closing ({stage.name.lower()}) failed: {error!r}", file=sys.stderr)  # noqa: T201


def _forget_all() -> None:
    for step in _forgetting:
        step()


atexit.register(close_all)
os.register_at_fork(after_in_child=_forget_all)
