"""Futures: runs that were started and may not be done."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextvars import copy_context
from importlib import import_module
from time import monotonic, sleep
from typing import Any, Generic, NamedTuple, TypeVar, cast
from uuid import UUID

from penstock.schemas.errors import UpstreamTaskError
from penstock.schemas.states import State, StateType
from penstock.states import get_state_result

R = TypeVar("R")
F = TypeVar("F", bound="PenstockFuture[Any]")

PENDING = State(type=StateType.PENDING)
POLL_SECONDS = 0.5


class PenstockFuture(ABC, Generic[R]):
    """A run that was started and will have a final state."""

    @property
    @abstractmethod
    def origin(self) -> tuple[str, UUID]:
        """The kind of the run ("task_run" or "flow_run") and its id."""

    @property
    @abstractmethod
    def state(self) -> State:
        """The run's state as far as this process knows it; does not wait."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> None:
        """Return when the run is done, or silently after `timeout` seconds."""

    @abstractmethod
    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """Wait and return what the run returned.

        Raises what the run raised (or returns it when `raise_on_failure` is false),
        `TimeoutError` after `timeout` seconds, `UpstreamTaskError` for a run that was not
        started because something it depends on did not complete.
        """

    @abstractmethod
    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Call `fn(future)` when the run is done; at once when it is already."""

    @property
    def is_done(self) -> bool:
        return False


class PenstockTaskRunFuture(PenstockFuture[R]):
    """A future of a task run."""

    def __init__(self, task_run_id: UUID) -> None:
        self.task_run_id = task_run_id

    @property
    def origin(self) -> tuple[str, UUID]:
        return ("task_run", self.task_run_id)


class PenstockConcurrentFuture(PenstockTaskRunFuture[R]):
    """A task run in a thread or process of this program.

    `complete` is called once, by whatever runs the task. Cheap to make: waiting objects exist
    only while somebody waits.
    """

    def __init__(self, task_run_id: UUID) -> None:
        self.task_run_id = task_run_id
        self._final: State | None = None
        self._callbacks: list[Callable[[Any], None]] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(task_run_id={self.task_run_id}, state={self.state!r})"

    @property
    def state(self) -> State:
        return self._final if self._final is not None else PENDING

    @property
    def is_done(self) -> bool:
        return self._final is not None

    def complete(self, state: State) -> None:
        """Set the last state of the run and tell everybody who waits. Later calls do nothing."""
        with self._lock:
            if self._final is not None:
                return
            self._final = state
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback(self)

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        with self._lock:
            if self._final is None:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(fn)
                return
        fn(self)

    def wait(self, timeout: float | None = None) -> None:
        if self._final is not None:
            return
        done = threading.Event()
        self.add_done_callback(lambda _: done.set())
        done.wait(timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        self.wait(timeout)
        state = self._final
        if state is None:
            raise TimeoutError(f"task run {self.task_run_id} was not done after {timeout} seconds")
        return cast(R, result_of(state, raise_on_failure))


def result_of(state: State, raise_on_failure: bool = True) -> Any:
    """The result that `state` carries; a run stopped by its upstream gives `UpstreamTaskError`."""
    if state.name == "NotReady" and not state.is_final():
        error = UpstreamTaskError(state.message or "an upstream run did not complete")
        if raise_on_failure:
            raise error
        return error
    # Blocks in coroutines too: a future has no other way to give its result.
    return cast(Any, get_state_result)(state, raise_on_failure, _sync=True)


class _RemoteFuture(PenstockFuture[R]):
    """A run somewhere else, followed by asking the API.

    It is asked every half second while somebody waits. Its result can be had when it was
    persisted to a storage that this process reaches.
    """

    _final: State | None = None

    def __repr__(self) -> str:
        kind, id = self.origin
        return f"{type(self).__name__}({kind}_id={id})"

    @abstractmethod
    def _read(self, client: Any) -> Any:
        """The run as the API knows it."""

    @property
    def state(self) -> State:
        return self._final if self._final is not None else self._ask()

    @property
    def is_done(self) -> bool:
        return self._final is not None

    def _ask(self) -> State:
        client = import_module("penstock.client").get_client(sync_client=True)
        return self._take(self._read(client))

    def _take(self, run: Any) -> State:
        state: State = run.state if run.state is not None else PENDING
        if state.is_final():
            self._final = state
        return state

    def wait(self, timeout: float | None = None) -> None:
        if self._final is not None:
            return
        deadline = None if timeout is None else monotonic() + timeout
        while not self._ask().is_final():
            left = _left(deadline)
            if left is not None and left <= 0:
                return
            sleep(POLL_SECONDS if left is None else min(POLL_SECONDS, left))

    async def wait_async(self, timeout: float | None = None) -> None:
        """`wait` for coroutines: the loop goes on meanwhile."""
        asyncio = import_module("asyncio")
        await asyncio.to_thread(self.wait, timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        self.wait(timeout)
        if self._final is None:
            kind, id = self.origin
            name = kind.replace("_", " ")
            raise TimeoutError(f"{name} {id} was not done after {timeout} seconds")
        return cast(R, result_of(self._final, raise_on_failure))

    async def aresult(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """`result` for coroutines."""
        asyncio = import_module("asyncio")
        return await asyncio.to_thread(self.result, timeout, raise_on_failure)

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        if self._final is not None:
            fn(self)
            return

        def watch() -> None:
            self.wait()
            fn(self)

        context = copy_context()
        threading.Thread(target=context.run, args=(watch,), daemon=True).start()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _RemoteFuture) and other.origin == self.origin

    def __hash__(self) -> int:
        return hash(self.origin)


class PenstockFlowRunFuture(_RemoteFuture[R]):
    """A flow run somewhere else."""

    def __init__(self, flow_run_id: UUID) -> None:
        self.flow_run_id = flow_run_id

    @property
    def origin(self) -> tuple[str, UUID]:
        return ("flow_run", self.flow_run_id)

    def _read(self, client: Any) -> Any:
        return client.read_flow_run(self.flow_run_id)


class PenstockDistributedFuture(_RemoteFuture[R], PenstockTaskRunFuture[R]):
    """A task run in another process, for example of a task worker; it can be pickled."""

    def __init__(self, task_run_id: UUID) -> None:
        self.task_run_id = task_run_id

    def _read(self, client: Any) -> Any:
        return client.read_task_run(self.task_run_id)

    async def result_async(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """`result` for coroutines, under the contract's name."""
        return await self.aresult(timeout, raise_on_failure)


class PenstockFutureList(list[F], Generic[F]):
    """Futures of one `map`, in the order of its elements."""

    def wait(self, timeout: float | None = None) -> None:
        """Wait for all; returns silently after `timeout` seconds in total."""
        wait(self, timeout=timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[Any]:
        """The results of all, in order. Raises `TimeoutError` after `timeout` seconds in total."""
        deadline = None if timeout is None else monotonic() + timeout
        return [
            future.result(timeout=_left(deadline), raise_on_failure=raise_on_failure)
            for future in self
        ]


class DoneAndNotDoneFutures(NamedTuple):
    """What `wait` answers: which futures are done and which are not."""

    done: set[Any]
    not_done: set[Any]


def wait(futures: Iterable[F], timeout: float | None = None) -> DoneAndNotDoneFutures:
    """Wait until all `futures` are done or `timeout` seconds have passed."""
    pending = list(futures)
    deadline = None if timeout is None else monotonic() + timeout
    for future in pending:
        left = _left(deadline)
        if left is not None and left <= 0:
            break
        future.wait(left)
    done = {future for future in pending if is_done(future)}
    return DoneAndNotDoneFutures(done, set(pending) - done)


def as_completed(futures: Iterable[F], timeout: float | None = None) -> Generator[F, None, None]:
    """The futures, each as soon as it is done.

    Raises `TimeoutError` when some are not done `timeout` seconds after the first request.
    """
    pending = set(futures)
    total = len(pending)
    deadline = None if timeout is None else monotonic() + timeout
    arrived = threading.Condition()
    done: list[F] = []

    def arrive(future: F) -> None:
        with arrived:
            done.append(future)
            arrived.notify()

    for future in pending:
        future.add_done_callback(arrive)
    for yielded in range(total):
        with arrived:
            while not done:
                if not arrived.wait(_left(deadline)) and not done:
                    raise TimeoutError(
                        f"{total - yielded} of {total} futures not done after {timeout} seconds"
                    )
            future = done.pop(0)
        yield future


def is_done(future: PenstockFuture[Any]) -> bool:
    """Whether the run of `future` will not change any more, as far as is known here."""
    state = future.state
    return future.is_done or state.is_final() or state.name == "NotReady"


def resolve_futures_to_results(expr: Any) -> Any:
    """`expr` with each future in it waited for and replaced by its result."""
    return _replace(expr, lambda future: future.result(raise_on_failure=True))


def resolve_futures_to_states(expr: Any) -> Any:
    """`expr` with each future in it waited for and replaced by its state."""

    def state(future: PenstockFuture[Any]) -> State:
        future.wait()
        return future.state

    return _replace(expr, state)


def futures_in(value: Any) -> Iterator[PenstockFuture[Any]]:
    """Every future in `value`, looked for in containers, not in quoted ones."""
    if isinstance(value, PenstockFuture):
        yield value
    elif type(value).__name__ == "quote":
        return
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from futures_in(key)
            yield from futures_in(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from futures_in(item)


def _replace(value: Any, with_: Callable[[PenstockFuture[Any]], Any]) -> Any:
    kind = type(value)
    if isinstance(value, PenstockFuture):
        return with_(value)
    if kind.__name__ == "quote":
        return value
    if isinstance(value, dict):
        items = {_replace(k, with_): _replace(v, with_) for k, v in value.items()}
        return items if kind is dict else kind(items)
    if isinstance(value, list | tuple | set | frozenset):
        replaced = [_replace(item, with_) for item in value]
        if all(a is b for a, b in zip(replaced, value, strict=True)):
            return value
        return kind(*replaced) if hasattr(kind, "_fields") else kind(replaced)
    return value


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic())


# The names the contract gives to these classes.
PrefectFuture = PenstockFuture
PrefectTaskRunFuture = PenstockTaskRunFuture
PrefectConcurrentFuture = PenstockConcurrentFuture
PrefectFutureList = PenstockFutureList
PrefectFlowRunFuture = PenstockFlowRunFuture
PrefectDistributedFuture = PenstockDistributedFuture
