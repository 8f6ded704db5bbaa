"""Logs of runs: on the console and, in batches, to the API.

`get_run_logger()` inside a flow or task gives the logger of that run; `get_logger()` one of this
package. Nothing here raises into the caller, and nothing imports the client before the first
record is shipped.
"""

from penstock.logging.configuration import ensure_logging_setup, setup_logging
from penstock.logging.handlers import flush_logs
from penstock.logging.loggers import (
    LogEavesdropper,
    disable_run_logger,
    flow_run_logger,
    get_logger,
    get_run_logger,
    patch_print,
    task_run_logger,
)

__all__ = [
    "LogEavesdropper",
    "disable_run_logger",
    "ensure_logging_setup",
    "flow_run_logger",
    "flush_logs",
    "get_logger",
    "get_run_logger",
    "patch_print",
    "setup_logging",
    "task_run_logger",
]
