"""Runs of tasks in other processes: what travels there, what comes back.

A call travels by cloudpickle. Events and logs of a child come back through a queue and leave from
the parent, so that children need no API of their own.
"""

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import cloudpickle

from penstock.base.run_context import current_run, current_tags
from penstock.engine import telemetry
from penstock.engine.context import TaskRunContext
from penstock.engine.portable import portable, portable_state, restored
from penstock.engine.run import run_task, task_services
from penstock.engine.runners.loop import run_on_thread_loop
from penstock.engine.task import task_run
from penstock.engine.task_execution import TaskExecution
from penstock.logging.handlers import APILogHandler
from penstock.schemas.states import State
from penstock.settings import get_current_settings, settings_context

Message = tuple[str, Any]
Processor = Callable[[str, Any], Message | None]
RUN_LOGGERS = ("penstock.flow_runs", "penstock.task_runs")

__all__ = ["CancelledError", "forward", "open_pool", "pack", "run_in_child", "unpack"]


def open_pool(max_workers: int) -> tuple[ProcessPoolExecutor, Any]:
    """A pool of fresh processes, and the queue on which they send events and logs."""
    spawn = get_context("spawn")
    messages = spawn.SimpleQueue()
    pool = ProcessPoolExecutor(
        max_workers, mp_context=spawn, initializer=_start, initargs=(messages,)
    )
    return pool, messages


def forward(messages: Any, processors: list[Processor], send: telemetry.Send) -> None:
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


def pack(x: TaskExecution) -> bytes:
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


def run_in_child(call: bytes) -> bytes:
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


def unpack(answer: bytes) -> State:
    """What `run_in_child` answered."""
    return cloudpickle.loads(answer)
