"""Following a flow run until it is final."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from penstock.cli.output import STATE_COLOURS, Failure, console
from penstock.cli.runs import Api, found
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.states import State

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 2.0


def watch_flow_run(
    client: Api,
    id: UUID,
    timeout: float | None,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> FlowRun:
    """Print each new state of a run and return the run once it is final.

    Every state is printed once, also those that came and went between two looks. Raises
    `Failure` when `timeout` seconds have passed.
    """
    began = monotonic()
    seen: set[UUID] = set()
    pause = FIRST_PAUSE
    printer = console()
    while True:
        run = found(client, "read_flow_run", "flow run", id)
        if run.state_id not in seen:
            pause = FIRST_PAUSE
            for state in client.call("read_flow_run_states", flow_run_id=id):
                if state.id not in seen:
                    seen.add(state.id)
                    _print_state(printer, run.name, state)
        if run.state is not None and run.state.is_final():
            return run
        if timeout is not None and monotonic() - began + pause > timeout:
            raise Failure(
                f"the flow run {id} is {run.state_name or 'not started'} after {timeout} s; "
                "watch it again, or cancel it"
            )
        sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _print_state(printer: Any, name: str, state: State) -> None:
    # The class is only imported where something is printed for a person.
    from rich.text import Text

    line = Text(f"{state.timestamp.astimezone():%H:%M:%S} {name} is ")
    line.append(state.name or "", style=STATE_COLOURS.get(state.type.value, ""))
    if state.message:
        line.append(f": {state.message}")
    printer.print(line)
