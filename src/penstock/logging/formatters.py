"""How a record is written: a line for people, or JSON for machines."""

import logging
import traceback
from typing import Any, Literal

from penstock.logging.filters import masked

Style = Literal["%", "{", "$"]

PREFIX = "%(asctime)s.%(msecs)03d | %(levelname)-7s | "
FORMAT = PREFIX + "%(name)s - %(message)s"
FLOW_RUN_FORMAT = PREFIX + "Flow run %(flow_run_name)r - %(message)s"
TASK_RUN_FORMAT = PREFIX + "Task run %(task_run_name)r - %(message)s"
TIME_FORMAT = "%H:%M:%S"


class PenstockFormatter(logging.Formatter):
    """One line per record; records of a flow run or task run have formats of their own.

    A record that lacks a name its format asks for is written in the plain format. Credentials
    from the settings are masked.
    """

    def __init__(
        self,
        format: str | None = None,
        datefmt: str | None = None,
        style: Style = "%",
        validate: bool = True,
        *,
        defaults: dict[str, Any] | None = None,
        task_run_fmt: str | None = None,
        flow_run_fmt: str | None = None,
    ) -> None:
        super().__init__(
            format or FORMAT, datefmt or TIME_FORMAT, style, validate, defaults=defaults
        )
        kind = type(self._style)
        self._task_run = kind(task_run_fmt, defaults=defaults) if task_run_fmt else None
        self._flow_run = kind(flow_run_fmt, defaults=defaults) if flow_run_fmt else None

    def usesTime(self) -> bool:
        return True

    def formatMessage(self, record: logging.LogRecord) -> str:
        style = None
        if getattr(record, "task_run_id", None):
            style = self._task_run
        elif getattr(record, "flow_run_id", None):
            style = self._flow_run
        if style is not None:
            try:
                return style.format(record)
            except ValueError:
                pass
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def format_exception_info(exc_info: Any) -> dict[str, Any]:
    """An exception as a JSON object: type, message, traceback."""
    kind, error, trace = exc_info
    return {
        "type": kind.__name__ if kind else None,
        "message": str(error),
        "traceback": "".join(traceback.format_tb(trace)) if trace else None,
    }


class JsonFormatter(logging.Formatter):
    """One JSON object per record, with every attribute of it; `pretty` adds indentation."""

    def __init__(
        self, fmt: Literal["pretty", "default"] = "default", dmft: str = "", style: Style = "%"
    ) -> None:
        super().__init__()
        if fmt not in ("pretty", "default"):
            raise ValueError(f"the JSON format is 'pretty' or 'default', not {fmt!r}")
        self._indent = 2 if fmt == "pretty" else None

    def format(self, record: logging.LogRecord) -> str:
        import json

        values = dict(record.__dict__)
        values["message"] = record.getMessage()
        if record.exc_info:
            values["exc_info"] = format_exception_info(record.exc_info)
        return masked(json.dumps(values, default=str, indent=self._indent))
