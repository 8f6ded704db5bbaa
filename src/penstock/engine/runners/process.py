"""Submitted tasks in other processes of this machine.

Inputs are resolved here, in threads; the call travels by cloudpickle. Events and logs of a child
come back through a queue and leave from here, so that children need no API of their own.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from multiprocessing import get_context
from typing import Any, Self

import cloudpickle

from penstock.base.run_context import current_run, current_tags
from penstock.engine import telemetry
from penstock.engine.context import TaskRunContext
from penstock.engine.inputs import Blocked, check_upstream
from penstock.engine.portable import portable, portable_state, restored
from penstock.engine.run import begin_task, run_task, task_services
from penstock.engine.runners.loop import run_on_thread_loop
from penstock.engine.task import task_run
from penstock.engine.task_execution import TaskExecution
from penstock.futures import PenstockConcurrentFuture, PenstockFuture
from penstock.logging.handlers import APILogHandler
from penstock.schemas.states import State, StateType
from penstock.settings import get_current_settings, settings_context
from penstock.states import crashed_state
from penstock.task_runners import TaskRunner

Message = tuple[str, Any]
Processor = Callable[[str, Any], Message | None]
RUN_LOGGERS = ("penstock.flow_runs", "penstock.task_runs")


class ProcessPoolTaskRunner(TaskRunner[PenstockConcurrentFuture[Any]]):
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
            max_workers = get_current_settings().tasks.runner.process_pool_max_workers
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
        spawn = get_context("spawn")
        self._messages = spawn.SimpleQueue()
        self._pool = ProcessPoolExecutor(
            self.max_workers, mp_context=spawn, initializer=_start, initargs=(self._messages,)
        )
        processors = [factory() for factory in self._factories]
        # In this context, so that messages leave for the API that is current here.
        self._forwarder = threading.Thread(
            target=copy_context().run,
            args=(_forward, self._messages, processors, telemetry.sender()),
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
        x = begin_task(task, parameters, wait_for=wait_for, dependencies=dependencies)
        future: PenstockConcurrentFuture[Any] = PenstockConcurrentFuture(x.record.id)
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
                check_upstream(x.wait_for)
            if x.inputs.nested:
                x.resolve_parameters()
        except Blocked:
            # The core finds the same and leaves the run as not ready.
            context.run(run_task, x)
            self._finish(future, x.state)
            return
        pool = self._pool
        try:
            assert pool is not None
            call = context.run(_pack, x)
            running = pool.submit(_run_in_child, call)
        except Exception as error:  # the function or its arguments cannot travel, or no pool
            self._crash(x, future, error)
            return
        running.add_done_callback(partial(self._arrived, x, future))

    def _arrived(
        self, x: TaskExecution, future: PenstockConcurrentFuture[Any], running: Future[bytes]
    ) -> None:
        try:
            self._finish(future, cloudpickle.loads(running.result()))
        except CancelledError:
            return
        except BaseException as error:  # the child died, or its answer cannot be read
            self._crash(x, future, error)

    def _crash(
        self, x: TaskExecution, future: PenstockConcurrentFuture[Any], error: BaseException
    ) -> None:
        state = crashed_state(error)
        x.emit(x.enter(state, state.timestamp))
        self._finish(future, x.state)

    def _finish(self, future: PenstockConcurrentFuture[Any], state: State) -> None:
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
            state = State(
                type=StateType.CANCELLED, message="The flow ended before the task started"
            )
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


def _forward(messages: Any, processors: list[Processor], send: telemetry.Send) -> None:
    """Take messages of the children until None comes, and send them on."""
    logger = logging.getLogger("penstock.task_runners")
    while (message := messages.get()) is not None:
        kind, payload = message
        try:
            for processor in processors:
                passed = processor(kind, payload)
                if passed is None:
                    break
                kind, payload = passed
            else:
                _deliver(kind, payload, send)
        except Exception:  # worker loop: a processor of the user must not end it
            logger.exception("A message of a task in another process could not be sent on")


def _deliver(kind: str, payload: Any, send: telemetry.Send) -> None:
    if kind == "event":
        send(payload)
    elif kind == "log":
        for handler in logging.getLogger(payload.name).handlers:
            if isinstance(handler, APILogHandler):
                handler.handle(payload)


# --- in the child --------------------------------------------------------------------------------


class _ToParent(logging.Handler):
    """Sends records to the parent instead of to the API."""

    def __init__(self, messages: Any) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        self._messages.put(("log", record))


def _start(messages: Any) -> None:
    """Once per child: events and logs go to the parent."""
    from penstock.logging import ensure_logging_setup

    telemetry.redirect(lambda event: messages.put(("event", event)))
    ensure_logging_setup()
    for name in RUN_LOGGERS:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            if isinstance(handler, APILogHandler):
                logger.removeHandler(handler)
        logger.addHandler(_ToParent(messages))


def _pack(x: TaskExecution) -> bytes:
    """Everything a child needs to run `x`."""
    return cloudpickle.dumps(
        {
            "task": x.task,
            "record": x.record,
            "parameters": x.parameters,
            "tags": x.context.tags,
            "start_time": x.context.start_time,
            "log_prints": x.context.log_prints,
            "persist_result": x.context.persist_result,
            "outer": portable(x.context.parent),
            "current_tags": current_tags.get(),
            "settings": get_current_settings(),
        }
    )


def _run_in_child(call: bytes) -> bytes:
    """Run the task that `call` describes; its last state, pickled."""
    packed = cloudpickle.loads(call)
    outer = restored(packed["outer"])
    with settings_context(packed["settings"]):
        current_run.set(outer)
        current_tags.set(packed["current_tags"])
        context = TaskRunContext(
            task=packed["task"],
            record=packed["record"],
            parameters=packed["parameters"],
            tags=packed["tags"],
            start_time=packed["start_time"],
            flow_context=outer.flow_context if outer is not None else None,  # type: ignore[arg-type]
            parent=outer,
            log_prints=packed["log_prints"],
            persist_result=packed["persist_result"],
        )
        x = TaskExecution(packed["task"], packed["record"], context, emit=telemetry.sender())
        try:
            if x.task.isasync:
                run_on_thread_loop(task_run(x), task_services(x))
            else:
                run_task(x)
        except BaseException:  # worker loop: the crash is recorded, the child goes on
            x.logger.debug("%s crashed", x.label, exc_info=True)
    return cloudpickle.dumps(portable_state(x.state))
