"""What becomes of a run whose process or whose owner is gone."""

from typing import Literal

from penstock.schemas.states import StateCreate, StateType

Ending = Literal["process", "owner"]


def left_by_process(type: StateType | None, reschedules: bool, message: str) -> StateCreate | None:
    """The state of a run whose process ended in a state of this type; None: it stays as it is.

    `reschedules` says of a paused run that a new process goes on with it.
    """
    match type:
        case StateType.CANCELLING:
            return StateCreate(type=StateType.CANCELLED, message="The run's process was stopped.")
        case StateType.PENDING | StateType.RUNNING:
            return StateCreate(type=StateType.CRASHED, message=message)
        case StateType.PAUSED if not reschedules:
            return StateCreate(type=StateType.CRASHED, message=message)
    return None


def left_by_owner(type: StateType | None, reschedules: bool, owner: str) -> StateCreate | None:
    """The same for a run whose owner stopped renewing its claim.

    A run that did not begin yet is scheduled anew, so that another owner takes it.
    """
    if type is StateType.PENDING:
        return StateCreate(
            type=StateType.SCHEDULED,
            name="AwaitingRetry",
            message=f"{owner!r} took the run and did not start it in time.",
        )
    message = f"{owner!r}, which ran it, was not heard of in time; it or its machine is gone."
    return left_by_process(type, reschedules, message)
