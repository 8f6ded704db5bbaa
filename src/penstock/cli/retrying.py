"""Running a finished flow run again, under the same id."""

import asyncio
import inspect
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.cli.output import Failure
from penstock.cli.runs import Api
from penstock.flows import load_flow_from_entrypoint, run_flow
from penstock.schemas.errors import MissingFlowError
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.states import (
    SetStateBody,
    SetStateStatus,
    State,
    StateCreate,
    StateDetails,
    StateType,
)


def schedule_again(client: Api, run: FlowRun) -> None:
    """Move a finished run to `AwaitingRetry`, due now. Raises `Failure` when that is refused."""
    state = StateCreate(
        type=StateType.SCHEDULED,
        name="AwaitingRetry",
        message="Retry asked for on the command line",
        state_details=StateDetails(scheduled_time=datetime.now(UTC)),
    )
    result = client.call("set_flow_run_state", run.id, body=SetStateBody(state=state, force=True))
    if result.status is not SetStateStatus.ACCEPT:
        raise Failure(f"the flow run {run.id} cannot be retried: {reason(result)}")


def reason(result: Any) -> str:
    """Why the server refused a state."""
    return getattr(result.details, "reason", None) or "the server gave no reason"


def run_here(client: Api, run: FlowRun, entrypoint: str) -> State:
    """Load the run's flow from `entrypoint` and run it in this process; its final state.

    Raises `Failure`, before anything changed, when the entrypoint is not the run's flow.
    """
    sys.path.insert(0, str(Path.cwd()))
    try:
        flow = load_flow_from_entrypoint(entrypoint)
    except (MissingFlowError, ModuleNotFoundError, ValueError) as error:
        raise Failure(str(error)) from error
    expected = client.call("read_flow", run.flow_id).name
    if flow.name != expected:
        raise Failure(
            f"{entrypoint} is the flow {flow.name!r}, but the run {run.id} is one of {expected!r}"
        )
    schedule_again(client, run)
    current = client.call("read_flow_run", run.id)
    outcome = run_flow(flow, flow_run=current, return_state=True)
    return asyncio.run(outcome) if inspect.iscoroutine(outcome) else outcome
