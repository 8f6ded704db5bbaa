"""Coroutine tasks in worker threads: one event loop per thread, used again for the next task."""

import asyncio
import threading
import weakref
from collections.abc import Generator
from contextvars import copy_context
from typing import Any

from penstock.engine.drivers import aio
from penstock.engine.drivers.services import Services
from penstock.engine.effects import Effect

_local = threading.local()


class _Loop:
    """The loop of one thread; closed when the thread ends and its locals are dropped."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        weakref.finalize(self, self.runner.close)


def run_on_thread_loop(core: Generator[Effect, Any, Any], services: Services) -> Any:
    """Drive `core` on the loop of this thread and return its answer."""
    loop = getattr(_local, "loop", None)
    if loop is None:
        loop = _local.loop = _Loop()
    return loop.runner.run(aio.run(core, services), context=copy_context())
