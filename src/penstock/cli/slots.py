"""Who holds slots, as a table."""

from collections.abc import Iterable

from penstock.cli.output import STATE_COLOURS, print_table
from penstock.schemas.work import FlowRunSlotSummary


def print_holders(holders: Iterable[tuple[str, FlowRunSlotSummary]]) -> None:
    """Each run with the queue whose slot it holds, and for how many seconds it is in its state."""
    print_table(
        ("Flow run", "Name", "Queue", "State", "Seconds in it"),
        (
            (
                str(run.id),
                run.name,
                queue,
                (run.state_name or "-", STATE_COLOURS.get(run.state_type or "", "")),
                "-" if run.time_in_current_state is None else f"{run.time_in_current_state:.0f}",
            )
            for queue, run in holders
        ),
        "No run holds a slot.",
    )
