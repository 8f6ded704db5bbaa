"""Loggers of runs, and what `print` becomes inside one."""

import builtins
import logging
import sys
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from io import StringIO
from typing import Any, Self
from uuid import UUID

from penstock.base.run_context import current_run
from penstock.logging.configuration import ROOT, ensure_logging_setup
from penstock.schemas.errors import MissingContextError

FLOW_RUNS = f"{ROOT}.flow_runs"
TASK_RUNS = f"{ROOT}.task_runs"


class PenstockLogAdapter(logging.LoggerAdapter[logging.Logger]):
    """Adds the run to every record; what the call gives as `extra` wins."""

    extra: dict[str, Any]  # pyright: ignore[reportIncompatibleVariableOverride]

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        given = kwargs.get("extra")
        kwargs["extra"] = {**self.extra, **given} if given else self.extra
        return msg, kwargs

    def getChild(self, suffix: str, extra: dict[str, Any] | None = None) -> "PenstockLogAdapter":
        return PenstockLogAdapter(self.logger.getChild(suffix), {**self.extra, **(extra or {})})


def get_logger(name: str | None = None) -> logging.Logger:
    """The logger `penstock.<name>`, or `penstock` itself. A full name is taken as it is."""
    if name is None or name == ROOT:
        return logging.getLogger(ROOT)
    return logging.getLogger(name if name.startswith(f"{ROOT}.") else f"{ROOT}.{name}")


def get_run_logger(
    context: Any = None, **kwargs: Any
) -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    """The logger of the run that calls, or of the run `context`; `kwargs` go into its records.

    Raises `MissingContextError` outside a run, unless run loggers are disabled.
    """
    run = context if context is not None else current_run.get()
    if run is None:
        if logging.getLogger(FLOW_RUNS).disabled:
            silent = logging.getLogger("null")
            silent.disabled = True
            return silent
        raise MissingContextError(
            "there is no active flow or task run here; call get_run_logger inside one, or use "
            "penstock.logging.get_logger"
        )
    if run.logger is not None and not kwargs:
        return run.logger
    if run.task_run is not None:
        return task_run_logger(run.task_run, run.task, run.flow_run, run.flow, **kwargs)
    return flow_run_logger(run.flow_run, run.flow, **kwargs)


def flow_run_logger(
    flow_run: Any = None, flow: Any = None, flow_run_id: UUID | None = None, **kwargs: Any
) -> PenstockLogAdapter:
    """The logger of a flow run; without the run, of the one with `flow_run_id`."""
    ensure_logging_setup()
    identifier = getattr(flow_run, "id", None) or flow_run_id
    extra = {
        "flow_run_name": getattr(flow_run, "name", None) or "<unknown>",
        "flow_run_id": str(identifier) if identifier else "<unknown>",
        "flow_name": getattr(flow, "name", None) or "<unknown>",
        **kwargs,
    }
    return PenstockLogAdapter(logging.getLogger(FLOW_RUNS), extra)


def task_run_logger(
    task_run: Any, task: Any = None, flow_run: Any = None, flow: Any = None, **kwargs: Any
) -> PenstockLogAdapter:
    """The logger of a task run; the flow run is the one given, else the one around the caller."""
    ensure_logging_setup()
    run = current_run.get()
    if run is not None:
        flow_run = flow_run if flow_run is not None else run.flow_run
        flow = flow if flow is not None else run.flow
    flow_run_id = getattr(task_run, "flow_run_id", None) or getattr(flow_run, "id", None)
    extra = {
        "task_run_id": str(task_run.id),
        "flow_run_id": str(flow_run_id) if flow_run_id else "<unknown>",
        "task_run_name": task_run.name or "<unknown>",
        "task_name": getattr(task, "name", None) or "<unknown>",
        "flow_run_name": getattr(flow_run, "name", None) or "<unknown>",
        "flow_name": getattr(flow, "name", None) or "<unknown>",
        **kwargs,
    }
    return PenstockLogAdapter(logging.getLogger(TASK_RUNS), extra)


def get_worker_logger(worker: Any, name: str | None = None) -> PenstockLogAdapter:
    """The logger of a worker; its records carry the worker's name and id."""
    ensure_logging_setup()
    extra = {
        "worker_name": worker.name,
        "worker_id": str(getattr(worker, "backend_id", None) or "<unknown>"),
        "work_pool_name": getattr(worker, "_work_pool_name", None) or "<unknown>",
        "work_pool_id": str(getattr(getattr(worker, "_work_pool", None), "id", "<unknown>")),
    }
    return PenstockLogAdapter(get_logger(name or f"workers.{worker.type}"), extra)


@contextmanager
def disable_logger(name: str) -> Iterator[None]:
    """The logger `name` is silent inside the body."""
    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def disable_run_logger() -> Iterator[None]:
    """Run loggers are silent inside the body and `get_run_logger` works outside a run: for
    calling the function of a flow or task directly, in a test."""
    with disable_logger(FLOW_RUNS), disable_logger(TASK_RUNS):
        yield


# --- print ---------------------------------------------------------------------------------------

_print = builtins.print
_patches = 0
_patching = threading.Lock()


def print_as_log(*args: Any, **kwargs: Any) -> None:
    """`print` that logs at INFO inside a run that asked for it, and prints everywhere else.

    What is written to a stream other than the standard ones is left alone.
    """
    run = current_run.get()
    if (
        run is None
        or not run.log_prints
        or kwargs.get("file") not in (None, sys.stdout, sys.stderr)
    ):
        _print(*args, **kwargs)
        return
    text = StringIO()
    _print(*args, **{**kwargs, "file": text, "flush": False})
    # The log ends its line itself; more line ends than the one of print are the caller's wish.
    get_run_logger(run).info("%s", text.getvalue().removesuffix(kwargs.get("end") or "\n"))


@contextmanager
def patch_print() -> Iterator[None]:
    """`print` is `print_as_log` inside the body; runs without `log_prints` do not notice."""
    global _patches, _print
    with _patching:
        if _patches == 0:
            _print = builtins.print
            builtins.print = print_as_log
        _patches += 1
    try:
        yield
    finally:
        with _patching:
            _patches -= 1
            if _patches == 0:
                builtins.print = _print


# --- listening in --------------------------------------------------------------------------------


class LogEavesdropper(logging.Handler):
    """Collects what another logger emits inside a `with` block, for showing it later."""

    def __init__(self, eavesdrop_on: str, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._logger = logging.getLogger(eavesdrop_on)
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def text(self) -> str:
        """What was emitted, a line per record."""
        return "\n".join(self._lines)
