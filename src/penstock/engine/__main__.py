"""Runs one flow run in this process: `python -m penstock.engine [flow run id]`.

The id comes from the argument or `PENSTOCK__FLOW_RUN_ID`, the flow from
`PENSTOCK__FLOW_ENTRYPOINT` (`path/to/file.py:flow` or `module:flow`), else from the deployment of
the run. Ends with 0 when the run got an outcome, whatever it was, and with 1 when it could not be
run or crashed.
"""

import os
import sys
from importlib import import_module

from penstock.logging import get_logger


def main(arguments: list[str]) -> int:
    """Run the flow run; returns the exit code."""
    given = arguments[0] if arguments else _environment("FLOW_RUN_ID")
    if given is None:
        get_logger("engine").error("Give the flow run id as argument or in PENSTOCK__FLOW_RUN_ID")
        return 1
    # Deployments and flows lie above the engine, so this entry point reaches them by name.
    return import_module("penstock.runner.child").run_flow_run(given)


def _environment(name: str) -> str | None:
    return os.environ.get(f"PENSTOCK__{name}") or os.environ.get(f"PREFECT__{name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
