"""The states a run can be in and which changes between them the ordinary policies allow.

The tables say what can happen to a proposed change when nothing forces it:

    +   accepted, whatever else is known
    ?   depends on more than the two types: a rule looks at names, data, limits, times
    -   never accepted as proposed: refused, or another state is put in its place

A repeated transition id refuses any change and is left out of the tables. `policy.py` holds the
rules themselves; tests hold both to each other.
"""

from enum import StrEnum

from penstock.schemas.states import TERMINAL_STATES, StateType
from penstock.server.domain.orchestration.facts import RunKind

TYPES = tuple(StateType)
TERMINAL = TERMINAL_STATES
SLOT_HOLDING = frozenset({StateType.PENDING, StateType.RUNNING, StateType.CANCELLING})
"""Types during which a flow run occupies a slot of its deployment's limit."""


class Permission(StrEnum):
    ALLOWED = "+"
    CONDITIONAL = "?"
    REFUSED = "-"


_FLOW_RUN = """
            SCHEDULED PENDING RUNNING COMPLETED FAILED CANCELLED CRASHED PAUSED CANCELLING
none            ?        ?       +        +        +       +        +       -        +
SCHEDULED       +        ?       ?        +        +       +        +       -        ?
PENDING         ?        ?       ?        +        +       +        +       -        +
RUNNING         ?        -       +        +        ?       +        +       ?        +
COMPLETED       ?        ?       ?        ?        +       +        -       -        -
FAILED          ?        ?       +        +        +       +        -       -        -
CANCELLED       ?        -       +        +        +       +        -       -        -
CRASHED         ?        ?       +        +        +       +        -       -        -
PAUSED          ?        -       ?        ?        ?       ?        ?       -        -
CANCELLING      -        -       -        -        -       +        -       -        -
"""

_TASK_RUN = """
            SCHEDULED PENDING RUNNING COMPLETED FAILED CANCELLED CRASHED PAUSED CANCELLING
none            +        +       ?        ?        +       +        +       +        +
SCHEDULED       +        +       ?        ?        +       +        +       +        +
PENDING         +        +       ?        ?        +       +        +       +        +
RUNNING         +        +       ?        ?        ?       +        +       +        +
COMPLETED       ?        ?       ?        ?        ?       ?        -       -        -
FAILED          +        +       ?        ?        +       +        -       -        -
CANCELLED       +        +       ?        ?        +       +        -       -        -
CRASHED         +        +       ?        ?        +       +        -       -        -
PAUSED          +        +       ?        ?        +       +        +       +        +
CANCELLING      +        +       ?        ?        +       +        +       +        +
"""

Matrix = dict[tuple[StateType | None, StateType], Permission]


def _parse(table: str) -> Matrix:
    header, *rows = table.strip().splitlines()
    columns = [StateType(name) for name in header.split()]
    matrix: Matrix = {}
    for row in rows:
        name, *marks = row.split()
        start = None if name == "none" else StateType(name)
        for column, mark in zip(columns, marks, strict=True):
            matrix[start, column] = Permission(mark)
    return matrix


MATRIX: dict[RunKind, Matrix] = {
    RunKind.FLOW_RUN: _parse(_FLOW_RUN),
    RunKind.TASK_RUN: _parse(_TASK_RUN),
}
