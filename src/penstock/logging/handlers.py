"""Where records go: the console, and the API."""

import logging
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from traceback import format_exception
from typing import Any, TextIO
from uuid import UUID

from penstock.base.run_context import current_run
from penstock.logging.complaint import say
from penstock.logging.filters import masked
from penstock.schemas.errors import MissingContextError
from penstock.schemas.logs import LogCreate
from penstock.settings import get_current_settings

_COLORS = {
    logging.DEBUG: "\x1b[2m",
    logging.INFO: "",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}
_sink: Callable[[dict[str, Any]], None] | None = None


class PenstockConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes to `stream`, or to whatever `sys.stderr` is at the moment. Colours the line by level
    on a terminal, unless `PENSTOCK_LOGGING_COLORS` says no."""

    def __init__(self, stream: TextIO | None = None, level: int | str = logging.NOTSET) -> None:
        super().__init__(stream)
        self.setLevel(level)
        self._chosen = stream

    def emit(self, record: logging.LogRecord) -> None:
        if self._chosen is None:
            # Looked up each time, because tests and notebooks replace sys.stderr.
            self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        color = _COLORS.get(record.levelno)
        if color and self.stream.isatty() and get_current_settings().logging.colors:
            return f"{color}{text}\x1b[0m"
        return text


class APILogHandler(logging.Handler):
    """Queues records of runs for the API; a background thread sends them in batches.

    A record belongs to the run named by its attributes `flow_run_id` and `task_run_id`, else to
    the run that logs it. One that belongs to none is dropped as
    `PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW` says. `extra={"send_to_api": False}` keeps a record
    here. Never raises (except for `error` as that setting); problems are written to stderr.
    """

    def emit(self, record: logging.LogRecord) -> None:
        settings = get_current_settings().logging.to_api
        if not settings.enabled or not getattr(record, "send_to_api", True):
            return
        try:
            log = self.log_of(record)
            if log is None:
                self._missing_run(record, settings.when_missing_flow)
                return
            if _sink is not None:
                _sink(_as_dict(log))
            else:
                _shipping().ship(log, settings.max_log_size)
        except MissingContextError:
            raise
        except Exception:  # A log that cannot be kept must not break what it tells about.
            self.handleError(record)

    def log_of(self, record: logging.LogRecord) -> LogCreate | None:
        """The record as the API wants it; None when it belongs to no run."""
        flow_run_id = _identifier(getattr(record, "flow_run_id", None))
        task_run_id = _identifier(getattr(record, "task_run_id", None))
        if flow_run_id is None:
            run = current_run.get()
            if run is not None:
                flow_run_id = getattr(run.flow_run, "id", None)
                task_run_id = task_run_id or getattr(run.task_run, "id", None)
        if flow_run_id is None and task_run_id is None:
            return None
        return LogCreate(
            name=record.name,
            level=record.levelno,
            message=masked(_message(record)),
            timestamp=datetime.fromtimestamp(record.created, UTC),
            flow_run_id=flow_run_id,
            task_run_id=task_run_id,
        )

    def prepare(self, record: logging.LogRecord) -> dict[str, Any]:
        """The record as a JSON object. Raises `MissingContextError` when it belongs to no run."""
        log = self.log_of(record)
        if log is None:
            raise _no_run(record)
        return _as_dict(log)

    def flush(self) -> None:
        """Ask for delivery now; does not wait."""
        if _shipping_loaded():
            _shipping().flush(0)

    @classmethod
    async def aflush(cls) -> None:
        """Wait until what is queued is delivered, at most 30 seconds, without blocking the loop."""
        import asyncio

        await asyncio.to_thread(flush_logs, 30.0)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        say(f"a log record of {record.name!r} is not sent to the API: {error!r}")

    def _missing_run(self, record: logging.LogRecord, choice: str) -> None:
        if choice == "error":
            raise _no_run(record)
        if choice == "warn":
            say(f"{_no_run(record)}")


def _no_run(record: logging.LogRecord) -> MissingContextError:
    return MissingContextError(
        f"the logger {record.name!r} sends records to the API and was used outside a run; give "
        "extra={'flow_run_id': ...} or set PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW=ignore"
    )


def _identifier(value: Any) -> UUID | None:
    return value if value is None or isinstance(value, UUID) else _parsed(str(value))


@lru_cache(maxsize=256)
def _parsed(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and record.exc_info[0] is not None:
        text += "\n" + "".join(format_exception(*record.exc_info)).rstrip("\n")
    if record.stack_info:
        text += "\n" + record.stack_info
    return text


def _as_dict(log: LogCreate) -> dict[str, Any]:
    # msgspec's converter is only needed by the sink and by `prepare`.
    from msgspec import to_builtins

    return to_builtins(log)


def set_api_log_sink(sink: Callable[[dict[str, Any]], None] | None) -> None:
    """Give records to `sink` instead of the API; None ends that. For processes that hand their
    records to another one."""
    global _sink
    _sink = sink


def emit_api_log(log: dict[str, Any]) -> None:
    """Queue a record that `prepare` made, perhaps in another process."""
    from msgspec import convert

    size = get_current_settings().logging.to_api.max_log_size
    _shipping().ship(convert(log, LogCreate), size)


def flush_logs(timeout: float) -> int:
    """Send all queued records now; returns how many are not delivered after `timeout` seconds."""
    return _shipping().flush(timeout) if _shipping_loaded() else 0


# --- the shipper, loaded with the client when the first record goes out ---------------------------

_loaded: Any = None
_loading = threading.Lock()


def _shipping() -> Any:
    global _loaded
    if _loaded is None:
        with _loading:
            # The client costs import time that declaring a flow must not pay.
            from penstock.logging import shipping

            _loaded = shipping
    return _loaded


def _shipping_loaded() -> bool:
    return _loaded is not None
