"""A function for each state a run can be in.

The first argument is the class to make, for callers of the contract; everything else of a state
may be given by name.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from penstock.base.clock import utc_now
from penstock.schemas.states import State, StateDetails, StateType


def Scheduled(
    cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any
) -> State:
    """A run that is to start at `scheduled_time`, by default now."""
    return _scheduled(cls, None, scheduled_time, kwargs)


def Late(cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any) -> State:
    """A run that should have started at `scheduled_time`."""
    return _scheduled(cls, "Late", scheduled_time, kwargs)


def AwaitingRetry(
    cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any
) -> State:
    """A run that failed and starts again at `scheduled_time`."""
    return _scheduled(cls, "AwaitingRetry", scheduled_time, kwargs)


def AwaitingConcurrencySlot(
    cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any
) -> State:
    """A run that waits for a free slot and asks again at `scheduled_time`."""
    return _scheduled(cls, "AwaitingConcurrencySlot", scheduled_time, kwargs)


def Pending(cls: type[State] = State, **kwargs: Any) -> State:
    return cls(type=StateType.PENDING, **kwargs)


def Submitting(cls: type[State] = State, **kwargs: Any) -> State:
    """A run that a worker is handing to its infrastructure."""
    return cls(type=StateType.PENDING, **{"name": "Submitting", **kwargs})


def InfrastructurePending(cls: type[State] = State, **kwargs: Any) -> State:
    """A run whose infrastructure is being made ready."""
    return cls(type=StateType.PENDING, **{"name": "InfrastructurePending", **kwargs})


def Running(cls: type[State] = State, **kwargs: Any) -> State:
    return cls(type=StateType.RUNNING, **kwargs)


def Retrying(cls: type[State] = State, **kwargs: Any) -> State:
    """A run that runs again at once after a failure."""
    return cls(type=StateType.RUNNING, **{"name": "Retrying", **kwargs})


def Completed(cls: type[State] = State, **kwargs: Any) -> State:
    return cls(type=StateType.COMPLETED, **kwargs)


def Failed(cls: type[State] = State, **kwargs: Any) -> State:
    return cls(type=StateType.FAILED, **kwargs)


def Crashed(cls: type[State] = State, **kwargs: Any) -> State:
    return cls(type=StateType.CRASHED, **kwargs)


def Cancelling(cls: type[State] = State, **kwargs: Any) -> State:
    return cls(type=StateType.CANCELLING, **kwargs)


def Cancelled(cls: type[State] = State, **kwargs: Any) -> State:
    return cls(type=StateType.CANCELLED, **kwargs)


def Paused(
    cls: type[State] = State,
    timeout_seconds: float | None = None,
    pause_expiration_time: datetime | None = None,
    reschedule: bool = False,
    pause_key: str | None = None,
    **kwargs: Any,
) -> State:
    """A run that waits to be resumed, until `pause_expiration_time` or for `timeout_seconds`.

    Raises `ValueError` when both are given, or pause settings beside `state_details` of the
    caller's own.
    """
    settings = (timeout_seconds, pause_expiration_time, pause_key)
    details = kwargs.pop("state_details", None) or StateDetails()
    if timeout_seconds is not None and pause_expiration_time is not None:
        raise ValueError("give either `timeout_seconds` or `pause_expiration_time`, not both")
    if details.pause_timeout is not None and any(value is not None for value in settings[:2]):
        raise ValueError("`state_details` holds a pause timeout already; give it only once")
    if timeout_seconds is not None:
        pause_expiration_time = utc_now() + timedelta(seconds=timeout_seconds)
    changes: dict[str, Any] = {"pause_reschedule": reschedule or details.pause_reschedule}
    if pause_expiration_time is not None:
        changes["pause_timeout"] = pause_expiration_time
    if pause_key is not None:
        changes["pause_key"] = pause_key
    details = msgspec.structs.replace(details, **changes)
    return cls(type=StateType.PAUSED, state_details=details, **kwargs)


def Suspended(
    cls: type[State] = State,
    timeout_seconds: float | None = None,
    pause_expiration_time: datetime | None = None,
    pause_key: str | None = None,
    **kwargs: Any,
) -> State:
    """A paused run whose process has ended; resuming it starts a new one."""
    return Paused(
        cls,
        timeout_seconds=timeout_seconds,
        pause_expiration_time=pause_expiration_time,
        reschedule=True,
        pause_key=pause_key,
        **{"name": "Suspended", **kwargs},
    )


def _scheduled(
    cls: type[State], name: str | None, scheduled_time: datetime | None, kwargs: dict[str, Any]
) -> State:
    details = kwargs.pop("state_details", None) or StateDetails()
    if scheduled_time is not None and details.scheduled_time is not None:
        raise ValueError("`state_details` holds a scheduled time already; give it only once")
    when = scheduled_time or details.scheduled_time or utc_now()
    if name is not None:
        kwargs = {"name": name, **kwargs}
    details = msgspec.structs.replace(details, scheduled_time=when)
    return cls(type=StateType.SCHEDULED, state_details=details, **kwargs)
