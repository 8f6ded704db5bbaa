"""Where submitted tasks of a flow run: threads of this process, or other processes."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from penstock.base.lazy import LazyModule
from penstock.base.run_context import current_run
from penstock.engine.runners.thread import ThreadPool

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

    from penstock import futures, settings, states
    from penstock.engine import deferral, inputs, mapping, run, telemetry
    from penstock.engine import task as core
    from penstock.engine.runners import loop
    from penstock.engine.runners import process as processes
    from penstock.engine.runners.process import Processor
    from penstock.engine.task_execution import TaskExecution
    from penstock.futures import (
        PenstockConcurrentFuture,
        PenstockDistributedFuture,
        PenstockFuture,
        PenstockFutureList,
    )
else:
    # A flow has a task runner from its declaration on; all this is needed when it runs, and an
    # event loop, multiprocessing and cloudpickle only by some.
    core = LazyModule("penstock.engine.task")
    deferral = LazyModule("penstock.engine.deferral")
    futures = LazyModule("penstock.futures")
    inputs = LazyModule("penstock.engine.inputs")
    loop = LazyModule("penstock.engine.runners.loop")
    mapping = LazyModule("penstock.engine.mapping")
    processes = LazyModule("penstock.engine.runners.process")
    run = LazyModule("penstock.engine.run")
    settings = LazyModule("penstock.settings")
    states = LazyModule("penstock.states")
    telemetry = LazyModule("penstock.engine.telemetry")

F = TypeVar("F", bound="PenstockFuture[Any]")
R = TypeVar("R")


class TaskRunner(ABC, Generic[F]):
    """Starts tasks that a flow submits. Entered when the flow's function is called."""

    def __init__(self) -> None:
        self._started = False

    @property
    def name(self) -> str:
        """The class name in lower case, without "taskrunner"."""
        return type(self).__name__.lower().replace("taskrunner", "")

    @abstractmethod
    def duplicate(self) -> Self:
        """A runner that is configured the same and not started."""

    @abstractmethod
    def submit(
        self,
        task: Any,
        parameters: dict[str, Any],
        wait_for: Iterable[PenstockFuture[Any]] | None = None,
        dependencies: dict[str, Any] | None = None,
    ) -> F:
        """Start a run of `task` and return its future at once."""

    def map(
        self,
        task: Any,
        parameters: dict[str, Any],
        wait_for: Iterable[PenstockFuture[Any]] | None = None,
    ) -> PenstockFutureList[F]:
        """Start one run per element of the iterables in `parameters`, taken side by side.

        Raises `MappingMissingIterable` when nothing can be iterated and `MappingLengthMismatch`
        when the iterables differ in length.
        """
        self._check_started()
        return futures.PenstockFutureList(
            self.submit(task, element, wait_for=wait_for)
            for element in mapping.elements(task.signature, parameters)
        )

    def _check_started(self) -> None:
        if not self._started:
            raise RuntimeError(
                f"the {type(self).__name__} is not started; submit tasks inside the flow it "
                "belongs to, or inside `with` on the runner"
            )

    def __enter__(self) -> Self:
        if self._started:
            raise RuntimeError(
                f"the {type(self).__name__} is started already; use `duplicate()` for another flow"
            )
        self._started = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._started = False

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    __hash__ = object.__hash__


class ThreadPoolTaskRunner(TaskRunner["PenstockConcurrentFuture[Any]"]):
    """Runs tasks in threads: at most `max_workers`, by default one for every task that is ready.

    A run that depends on unfinished futures takes no thread before they are done.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        if max_workers is None:
            max_workers = settings.get_current_settings().tasks.runner.thread_pool_max_workers
        self.max_workers = max_workers
        self._pool: ThreadPool | None = None
        self._waiting: dict[int, _Job] = {}
        self._lock = threading.Lock()

    def duplicate(self) -> Self:
        return type(self)(max_workers=self.max_workers)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.max_workers,)

    def __enter__(self) -> Self:
        super().__enter__()
        self._pool = ThreadPool(self.max_workers)
        return self

    def submit(
        self,
        task: Any,
        parameters: dict[str, Any],
        wait_for: Iterable[PenstockFuture[Any]] | None = None,
        dependencies: dict[str, Any] | None = None,
    ) -> PenstockConcurrentFuture[Any]:
        pool = self._pool
        if pool is None:
            self._check_started()
            raise RuntimeError("the task runner has stopped and takes no more tasks")
        x = run.begin_task(task, parameters, wait_for=wait_for, dependencies=dependencies)
        future: PenstockConcurrentFuture[Any] = futures.PenstockConcurrentFuture(x.record.id)
        job = _Job(x, future)
        unfinished = [upstream for upstream in x.inputs.futures if not upstream.is_done]
        if unfinished:
            self._park(job, unfinished)
        else:
            self._warn_of_deadlock()
            pool.submit(job)
        return future

    def _park(self, job: _Job, upstreams: list[PenstockFuture[Any]]) -> None:
        """Start `job` when all of `upstreams` are done; it needs no thread until then."""
        with self._lock:
            self._waiting[id(job)] = job
        left = len(upstreams)

        def arrive(_: Any) -> None:
            nonlocal left
            with self._lock:
                left -= 1
                if left or self._waiting.pop(id(job), None) is None:
                    return
            pool = self._pool
            if pool is not None:
                pool.submit(job)

        for upstream in upstreams:
            upstream.add_done_callback(arrive)

    def _warn_of_deadlock(self) -> None:
        pool, outer = self._pool, current_run.get()
        if (
            pool is not None
            and pool.max_workers is not None
            and pool.size >= pool.max_workers
            and outer is not None
            and outer.task is not None
            and threading.current_thread().name.startswith("penstock-task")
        ):
            outer.logger.warning(
                "The task runner has %s threads, all taken, and task %r submits another task; "
                "waiting for it here may never end. Raise `max_workers`.",
                pool.max_workers,
                outer.task.name,
            )

    def cancel_all(self) -> None:
        """Cancel every task that has not started; running ones go on."""
        pool = self._pool
        if pool is None:
            return
        with self._lock:
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for job in [*pool.drop_queued(), *waiting]:
            job.cancel()

    def __exit__(self, *exc_info: object) -> None:
        pool = self._pool
        if pool is not None:
            self.cancel_all()
            pool.stop()
            self._pool = None
        super().__exit__(*exc_info)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ThreadPoolTaskRunner) and other.max_workers == self.max_workers

    __hash__ = object.__hash__


class _Job:
    """One submitted run: called in a worker thread, or cancelled before."""

    __slots__ = ("_context", "_future", "_x")

    def __init__(self, x: TaskExecution, future: PenstockConcurrentFuture[Any]) -> None:
        self._x = x
        self._future = future
        self._context = copy_context()

    def __call__(self) -> None:
        try:
            self._context.run(self._run)
        except BaseException as error:  # worker loop: the thread goes on with the next run
            self._x.logger.debug("%s ended its thread's work with %r", self._x.label, error)
        finally:
            self._future.complete(self._x.state)

    def _run(self) -> None:
        x = self._x
        if x.task.isasync:
            loop.run_on_thread_loop(core.task_run(x), run.task_services(x))
        else:
            run.run_task(x)

    def cancel(self) -> None:
        """The run never starts."""
        x = self._x
        state = states.Cancelled(message="The flow ended before the task started")
        x.emit(x.enter(state, state.timestamp))
        self._future.complete(x.state)


ConcurrentTaskRunner = ThreadPoolTaskRunner


class ProcessPoolTaskRunner(TaskRunner["PenstockConcurrentFuture[Any]"]):
    """Runs tasks in at most `max_workers` processes, by default one per CPU.

    `subprocess_message_processor_factories` make functions `(type, payload) -> (type, payload)`
    that every message of a child passes, in order, before it leaves this process; None drops it.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        subprocess_message_processor_factories: Iterable[Callable[[], Processor]] | None = None,
    ) -> None:
        super().__init__()
        if max_workers is None:
            max_workers = settings.get_current_settings().tasks.runner.process_pool_max_workers
        self.max_workers = max_workers or os.cpu_count() or 1
        self.set_subprocess_message_processor_factories(subprocess_message_processor_factories)
        self._pool: ProcessPoolExecutor | None = None
        self._messages: Any = None
        self._forwarder: threading.Thread | None = None
        self._open: dict[PenstockConcurrentFuture[Any], TaskExecution] = {}
        self._lock = threading.Lock()

    def set_subprocess_message_processor_factories(
        self,
        subprocess_message_processor_factories: Iterable[Callable[[], Processor]] | None = None,
    ) -> None:
        """Replace the factories; takes effect when the runner is started."""
        self._factories = tuple(subprocess_message_processor_factories or ())

    def duplicate(self) -> Self:
        return type(self)(self.max_workers, self._factories)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.max_workers, self._factories)

    def __enter__(self) -> Self:
        super().__enter__()
        self._pool, self._messages = processes.open_pool(self.max_workers)
        processors = [factory() for factory in self._factories]
        # In this context, so that messages leave for the API that is current here.
        self._forwarder = threading.Thread(
            target=copy_context().run,
            args=(processes.forward, self._messages, processors, telemetry.sender()),
            name="penstock-forwarder",
        )
        self._forwarder.start()
        return self

    def submit(
        self,
        task: Any,
        parameters: dict[str, Any],
        wait_for: Iterable[PenstockFuture[Any]] | None = None,
        dependencies: dict[str, Any] | None = None,
    ) -> PenstockConcurrentFuture[Any]:
        self._check_started()
        x = run.begin_task(task, parameters, wait_for=wait_for, dependencies=dependencies)
        future: PenstockConcurrentFuture[Any] = futures.PenstockConcurrentFuture(x.record.id)
        with self._lock:
            self._open[future] = x
        context = copy_context()
        if x.inputs.futures:
            # Waiting takes a thread, as what is waited for may be of any kind.
            name = f"penstock-resolver-{x.record.name}"
            arguments = (x, future, context)
            threading.Thread(target=self._resolve, args=arguments, name=name, daemon=True).start()
        else:
            self._resolve(x, future, context)
        return future

    def _resolve(
        self, x: TaskExecution, future: PenstockConcurrentFuture[Any], context: Context
    ) -> None:
        for upstream in x.inputs.futures:
            upstream.wait()
        if future.is_done:
            return
        try:
            if x.wait_for is not None:
                inputs.check_upstream(x.wait_for)
            if x.inputs.nested:
                x.resolve_parameters()
        except inputs.Blocked:
            # The core finds the same and leaves the run as not ready.
            context.run(run.run_task, x)
            self._finish(future, x.state)
            return
        pool = self._pool
        try:
            assert pool is not None
            call = context.run(processes.pack, x)
            running = pool.submit(processes.run_in_child, call)
        except Exception as error:  # the function or its arguments cannot travel, or no pool
            self._crash(x, future, error)
            return
        running.add_done_callback(partial(self._arrived, x, future))

    def _arrived(
        self, x: TaskExecution, future: PenstockConcurrentFuture[Any], running: Future[bytes]
    ) -> None:
        try:
            self._finish(future, processes.unpack(running.result()))
        except processes.CancelledError:
            return
        except BaseException as error:  # the child died, or its answer cannot be read
            self._crash(x, future, error)

    def _crash(
        self, x: TaskExecution, future: PenstockConcurrentFuture[Any], error: BaseException
    ) -> None:
        state = states.crashed_state(error)
        x.emit(x.enter(state, state.timestamp))
        self._finish(future, x.state)

    def _finish(self, future: PenstockConcurrentFuture[Any], state: states.State) -> None:
        with self._lock:
            self._open.pop(future, None)
        future.complete(state)

    def cancel_all(self) -> None:
        """Cancel every task that has not started; running ones go on."""
        pool = self._pool
        if pool is None:
            return
        pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            left = list(self._open.items())
            self._open.clear()
        for future, x in left:
            if future.is_done:
                continue
            state = states.Cancelled(message="The flow ended before the task started")
            x.emit(x.enter(state, state.timestamp))
            future.complete(x.state)

    def __exit__(self, *exc_info: object) -> None:
        self.cancel_all()
        self._pool = None
        if self._forwarder is not None:
            self._messages.put(None)
            self._forwarder.join()
            self._forwarder = None
            self._messages.close()
        super().__exit__(*exc_info)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcessPoolTaskRunner) and other.max_workers == self.max_workers

    __hash__ = object.__hash__


class PenstockTaskRunner(TaskRunner["PenstockDistributedFuture[Any]"]):
    """Leaves every run to task workers (see `penstock.task_worker`)."""

    def duplicate(self) -> PenstockTaskRunner:
        return type(self)()

    def submit(
        self,
        task: Any,
        parameters: dict[str, Any],
        wait_for: Iterable[PenstockFuture[Any]] | None = None,
        dependencies: dict[str, Any] | None = None,
    ) -> PenstockDistributedFuture[Any]:
        self._check_started()
        return deferral.defer(task, parameters, wait_for, dependencies)


# The name the contract gives to this class.
PrefectTaskRunner = PenstockTaskRunner
