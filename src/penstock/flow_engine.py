"""`python -m penstock.flow_engine ENTRYPOINT`: runs the flow run of `PENSTOCK__FLOW_RUN_ID` with
the flow that the entrypoint names, in a workspace that is prepared already."""

import sys

from penstock.logging import get_logger
from penstock.runner.child import environment_variable, run_flow_run


def main(arguments: list[str]) -> int:
    """The exit code, see `penstock.runner.child`."""
    given = environment_variable("FLOW_RUN_ID")
    if not arguments or given is None:
        get_logger("engine").error(
            "Give the entrypoint of the flow as argument and the flow run in PENSTOCK__FLOW_RUN_ID"
        )
        return 1
    return run_flow_run(given, entrypoint=arguments[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
