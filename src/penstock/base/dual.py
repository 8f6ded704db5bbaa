"""One body, two colours: functions that exist both as a plain call and as a coroutine.

The body is a generator that yields steps; a step knows how it is done by a blocking caller and
how by an asynchronous one. `run_sync` and `run_aio` carry the steps out and throw a step's
exception back into the body, so that both colours behave the same by construction.
"""

import functools
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from penstock.base.lazy import LazyModule
from penstock.base.run_context import current_run

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = LazyModule("asyncio")  # a quarter of the whole import budget

P = ParamSpec("P")
R = TypeVar("R")


class Step(Protocol):
    """Something a dual body waits for."""

    def sync(self) -> Any: ...

    def aio(self) -> Awaitable[Any]: ...


Steps = Generator[Step, Any, R]


class Call:
    """A function that comes in two colours: `plain` is called, `coroutine` is awaited."""

    __slots__ = ("args", "coroutine", "kwargs", "plain")

    def __init__(
        self,
        plain: Callable[..., Any],
        coroutine: Callable[..., Awaitable[Any]],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self.plain = plain
        self.coroutine = coroutine
        self.args = args
        self.kwargs = kwargs

    def sync(self) -> Any:
        return self.plain(*self.args, **self.kwargs)

    def aio(self) -> Awaitable[Any]:
        return self.coroutine(*self.args, **self.kwargs)


class Blocking:
    """A function that only blocks; an asynchronous caller waits for it on a thread."""

    __slots__ = ("args", "function", "kwargs")

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs

    def sync(self) -> Any:
        return self.function(*self.args, **self.kwargs)

    def aio(self) -> Awaitable[Any]:
        return asyncio.to_thread(self.function, *self.args, **self.kwargs)


class Invoke:
    """A function of unknown colour, such as a user's hook: called, and awaited if it asks to be.

    A blocking caller runs the coroutine to its end (`run_coroutine`).
    """

    __slots__ = ("args", "function", "kwargs")

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs

    def sync(self) -> Any:
        value = self.function(*self.args, **self.kwargs)
        return run_coroutine(value) if hasattr(value, "__await__") else value

    async def aio(self) -> Any:
        value = self.function(*self.args, **self.kwargs)
        return await value if hasattr(value, "__await__") else value


def run_sync(steps: Generator[Step, Any, R]) -> R:
    """The result of a dual body, by blocking."""
    try:
        step = next(steps)
        while True:
            try:
                value = step.sync()
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(value)
    except StopIteration as stop:
        return stop.value


async def run_aio(steps: Generator[Step, Any, R]) -> R:
    """The result of a dual body, by awaiting."""
    try:
        step = next(steps)
        while True:
            try:
                value = await step.aio()
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(value)
    except StopIteration as stop:
        return stop.value


def run_coroutine(awaitable: Awaitable[R]) -> R:
    """The result of `awaitable` for a caller that cannot await.

    Runs it in a loop of its own: on this thread, or on a helper thread (with this context) when
    this thread already runs a loop, which is blocked meanwhile.
    """

    async def wait() -> R:
        return await awaitable

    if not loop_is_running():
        return asyncio.run(wait())
    # Only a blocking call made inside a running loop comes here, so the import is rarely paid.
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, asyncio.run, wait()).result()


def loop_is_running() -> bool:
    """Whether an event loop runs on this thread. Does not import asyncio to find out."""
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


def in_async_context() -> bool:
    """Whether a dual function called here gives a coroutine.

    True when a loop runs on this thread, unless the current run is that of a plain function
    (a sync flow called on a loop's thread is still sync code).
    """
    if not loop_is_running():
        return False
    run = current_run.get()
    if run is None:
        return True
    runs = run.task if run.task is not None else run.flow
    return bool(getattr(runs, "isasync", True))


def plain(body: Callable[P, Generator[Step, Any, R]]) -> Callable[P, R]:
    """The blocking function of a dual body."""

    @functools.wraps(body)
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        return run_sync(body(*args, **kwargs))

    return _renamed(function, body.__name__.lstrip("_"))


def coroutine(
    body: Callable[P, Generator[Step, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    """The coroutine function of a dual body."""

    @functools.wraps(body)
    async def function(*args: P.args, **kwargs: P.kwargs) -> R:
        return await run_aio(body(*args, **kwargs))

    return _renamed(function, "a" + body.__name__.lstrip("_"))


def dual(
    body: Callable[P, Generator[Step, Any, R]],
) -> tuple[Callable[P, R], Callable[P, Coroutine[Any, Any, R]]]:
    """The two public functions of a dual body named `_name`: `name` and `aname`.

    `name` blocks and returns the value; called in an async context it returns the coroutine of
    `aname` instead, unless it is given `_sync=True`. `name.aio` is `aname`.
    """
    awaited = coroutine(body)

    @functools.wraps(body)
    def function(*args: Any, **kwargs: Any) -> Any:
        sync = kwargs.pop("_sync", None)
        if sync is None:
            sync = not in_async_context()
        if sync:
            return run_sync(body(*args, **kwargs))
        return awaited(*args, **kwargs)

    function.aio = awaited  # type: ignore[attr-defined]
    return _renamed(function, body.__name__.lstrip("_")), awaited


def _renamed(function: Any, name: str) -> Any:
    function.__qualname__ = function.__qualname__[: -len(function.__name__)] + name
    function.__name__ = name
    return function
