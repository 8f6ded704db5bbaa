"""Runs one flow run in this process: `python -m penstock.engine [flow run id]`.

The id comes from the argument or `PENSTOCK__FLOW_RUN_ID`, the flow from
`PENSTOCK__FLOW_ENTRYPOINT` (`path/to/file.py:flow` or `module:flow`). Ends with 0 when the run
got an outcome, whatever it was, and with 1 when it could not be run or crashed.
"""

import asyncio
import os
import sys
from importlib import import_module
from uuid import UUID

from penstock.client import get_client
from penstock.engine import telemetry
from penstock.logging import flush_logs, get_logger
from penstock.schemas.errors import Abort, Pause, PenstockException

FLUSH_SECONDS = 10.0


def _environment(name: str) -> str | None:
    return os.environ.get(f"PENSTOCK__{name}") or os.environ.get(f"PREFECT__{name}")


def main(arguments: list[str]) -> int:
    """Run the flow run; returns the exit code."""
    logger = get_logger("engine")
    given = arguments[0] if arguments else _environment("FLOW_RUN_ID")
    entrypoint = _environment("FLOW_ENTRYPOINT")
    if given is None or entrypoint is None:
        logger.error(
            "Give the flow run id as argument or in PENSTOCK__FLOW_RUN_ID, and the flow in "
            "PENSTOCK__FLOW_ENTRYPOINT"
        )
        return 1
    try:
        flow_run = get_client(sync_client=True).read_flow_run(UUID(given))
        # Flows lie above the engine, so this entry point reaches them by name.
        flows = import_module("penstock.flows")
        flow = flows.load_flow_from_entrypoint(entrypoint)
        state = flows.run_flow(flow, flow_run=flow_run, return_state=True)
        if flow.isasync:
            asyncio.run(state)
    except Abort as signal:
        logger.info("Flow run %s was not run: %s", given, signal)
        return 0
    except Pause as signal:
        logger.info("Flow run %s is paused and this process ends: %s", given, signal)
        return 0
    except (PenstockException, ValueError) as error:
        logger.error("Flow run %s could not be run: %s", given, error)
        return 1
    finally:
        telemetry.flush(FLUSH_SECONDS)
        flush_logs(FLUSH_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
