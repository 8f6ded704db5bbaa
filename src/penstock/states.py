"""Making states, turning outcomes into states, and reading results out of states.

`return_value_to_state`, `exception_to_failed_state` and `exception_to_crashed_state` come in two
colours; the engine, which does its own input and output, uses the pure `value_state`,
`failed_state` and `crashed_state` under them. In the process that made a state its `data` is the
live `ResultRecord`; `state_to_wire` gives what may be sent.
"""

import sys
import traceback
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any, TypeGuard

import msgspec
from msgspec import Raw

from penstock.base import json
from penstock.base.clock import utc_now
from penstock.base.dual import Call, Steps, coroutine, dual
from penstock.base.lazy import LazyModule
from penstock.filesystems import PathMissing
from penstock.result_records import ResultRecord, ResultRecordMetadata
from penstock.results import ResultStore, read_from_metadata
from penstock.schemas.errors import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingResult,
    PausedRun,
    TerminationSignal,
    UnfinishedRun,
)
from penstock.schemas.states import (
    TERMINAL_STATES,
    State,
    StateCreate,
    StateDetails,
    StateType,
    install_result_reader,
)

if TYPE_CHECKING:
    import asyncio
    import time
else:
    asyncio = LazyModule("asyncio")
    time = LazyModule("time")

RESULT_READ_MAXIMUM_ATTEMPTS = 10
RESULT_READ_RETRY_DELAY = 0.25

__all__ = [
    "TERMINAL_STATES",
    "AwaitingConcurrencySlot",
    "AwaitingRetry",
    "Cancelled",
    "Cancelling",
    "Completed",
    "Crashed",
    "Failed",
    "InfrastructurePending",
    "Late",
    "Paused",
    "Pending",
    "Retrying",
    "Running",
    "Scheduled",
    "State",
    "StateCreate",
    "StateDetails",
    "StateGroup",
    "StateType",
    "Submitting",
    "Suspended",
    "aexception_to_crashed_state",
    "aexception_to_failed_state",
    "aget_state_exception",
    "aget_state_result",
    "aggregate_state",
    "araise_state_exception",
    "areturn_value_to_state",
    "crashed_state",
    "exception_to_crashed_state",
    "exception_to_failed_state",
    "failed_state",
    "format_exception",
    "get_state_exception",
    "get_state_result",
    "is_state",
    "is_state_iterable",
    "raise_state_exception",
    "result_metadata",
    "return_value_to_state",
    "state_to_wire",
    "to_state_create",
    "value_state",
    "wire_data",
]


# --- constructors --------------------------------------------------------------------------------


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


# --- groups of states ----------------------------------------------------------------------------


def is_state(obj: Any) -> TypeGuard[State]:
    return isinstance(obj, State)


def is_state_iterable(obj: Any) -> TypeGuard[Iterable[State]]:
    """Whether `obj` is a list, tuple or set of states only, with at least one."""
    if isinstance(obj, list | tuple | set) and obj:
        return all(isinstance(item, State) for item in obj)
    return False


class StateGroup:
    """Several states and what can be said of them together."""

    def __init__(self, states: Iterable[State]) -> None:
        self.states = list(states)
        self.type_counts = Counter(state.type for state in self.states)
        self.total_count = len(self.states)
        self.cancelled_count = self.type_counts[StateType.CANCELLED]
        self.final_count = sum(state.is_final() for state in self.states)
        self.not_final_count = self.total_count - self.final_count
        self.paused_count = self.type_counts[StateType.PAUSED]

    @property
    def fail_count(self) -> int:
        return self.type_counts[StateType.FAILED] + self.type_counts[StateType.CRASHED]

    def all_completed(self) -> bool:
        return self.type_counts[StateType.COMPLETED] == self.total_count

    def any_cancelled(self) -> bool:
        return self.cancelled_count > 0

    def any_failed(self) -> bool:
        return self.fail_count > 0

    def any_paused(self) -> bool:
        return self.paused_count > 0

    def all_final(self) -> bool:
        return self.final_count == self.total_count

    def counts_message(self) -> str:
        """How many there are, how many are not final, and how many of each type."""
        parts = [f"total={self.total_count}"]
        if self.not_final_count:
            parts.append(f"not_final={self.not_final_count}")
        parts += [f"{type.value}={self.type_counts[type]}" for type in sorted(self.type_counts)]
        return " ".join(parts)

    def __repr__(self) -> str:
        return f"StateGroup<{self.counts_message()}>"


def aggregate_state(states: Iterable[State], data: Any = None) -> State:
    """The one state of a run that returned these: completed only when all are."""
    group = StateGroup(states)
    if group.all_completed():
        return Completed(message="All states completed.", data=data)
    total = group.total_count
    if group.any_cancelled():
        message = f"{group.cancelled_count}/{total} states cancelled."
        return Cancelled(message=message, data=data)
    if group.any_paused():
        return Paused(message=f"{group.paused_count}/{total} states paused.", data=data)
    if group.any_failed():
        return Failed(message=f"{group.fail_count}/{total} states failed.", data=data)
    return Failed(message=f"{group.not_final_count}/{total} states are not final.", data=data)


# --- outcomes to states --------------------------------------------------------------------------


def value_state(
    value: Any,
    store: ResultStore,
    key: str | None = None,
    expiration: datetime | None = None,
) -> State:
    """The final state of a run that returned `value`, its record not yet written. Pure.

    Futures in `value` must have been replaced by their states. A state of the user's own making
    is kept, and a state of a run, or a list, tuple or set of nothing but states, decides the
    outcome; anything else is the data of a completed state. A generator is read into a list.
    """
    if isinstance(value, State) and _is_of_no_run(value):
        if isinstance(value.data, ResultRecord) or value.data is None:
            record = value.data
        else:
            record = store.create_result_record(value.data, key, expiration)
        return value.model_copy(update={"data": record})
    if isinstance(value, State) or is_state_iterable(value):
        states = [value] if isinstance(value, State) else value
        return aggregate_state(states, store.create_result_record(value, key, expiration))
    if isinstance(value, GeneratorType):
        value = list(value)
    if isinstance(value, ResultRecord):
        return Completed(data=value)
    return Completed(data=store.create_result_record(value, key, expiration))


def failed_state(
    exc: BaseException | None = None, store: ResultStore | None = None, **kwargs: Any
) -> State:
    """The failed state of a run whose exception is `exc`, by default the one being handled.

    `message` in `kwargs` is put before the exception's name and text. Pure.
    """
    if exc is None:
        exc = sys.exc_info()[1]
        if exc is None:
            raise ValueError(
                "there is no exception to make a state of; pass one or call this while handling one"
            )
    prefix = kwargs.pop("message", None)
    text = format_exception(exc)
    data = store.create_result_record(exc) if store is not None else ResultRecord(exc)
    return Failed(data=data, message=f"{prefix} {text}" if prefix else text, **kwargs)


def crashed_state(exc: BaseException, store: ResultStore | None = None) -> State:
    """The crashed state of a run that `exc` stopped; the message names the cause. Pure."""
    data = store.create_result_record(exc) if store is not None else ResultRecord(exc)
    return Crashed(message=_crash_message(exc), data=data)


def _return_value_to_state(
    retval: Any,
    result_store: ResultStore,
    key: str | None = None,
    expiration: datetime | None = None,
    write_result: bool = False,
) -> Steps[State]:
    """The final state of a run that returned `retval` (see `value_state`).

    With `write_result` the record is written to the store as well.
    """
    state = value_state(retval, result_store, key, expiration)
    if write_result:
        yield from _written(state, result_store)
    return state


def _exception_to_failed_state(
    exc: BaseException | None = None,
    result_store: ResultStore | None = None,
    write_result: bool = False,
    **kwargs: Any,
) -> Steps[State]:
    """The failed state of an exception (see `failed_state`)."""
    state = failed_state(exc, result_store, **kwargs)
    if write_result and result_store is not None:
        yield from _written(state, result_store)
    return state


def _exception_to_crashed_state(
    exc: BaseException, result_store: ResultStore | None = None
) -> Steps[State]:
    """The crashed state of an exception; the message names the cause."""
    yield from ()
    return crashed_state(exc, result_store)


return_value_to_state, areturn_value_to_state = dual(_return_value_to_state)
exception_to_failed_state, aexception_to_failed_state = dual(_exception_to_failed_state)
exception_to_crashed_state, aexception_to_crashed_state = dual(_exception_to_crashed_state)


def format_exception(exc: BaseException, tb: TracebackType | None = None) -> str:
    """`Type: text` of an exception, with its traceback when `tb` is given."""
    if tb is not None:
        return "".join(traceback.format_exception(type(exc), exc, tb))
    name = type(exc).__name__
    text = str(exc)
    return f"{name}: {text}" if text else name


def _written(state: State, store: ResultStore) -> Steps[None]:
    if isinstance(state.data, ResultRecord):
        yield Call(store.persist_result_record, store.apersist_result_record, state.data)


def _is_of_no_run(state: State) -> bool:
    return state.state_details.flow_run_id is None and state.state_details.task_run_id is None


def _crash_message(exc: BaseException) -> str:
    if isinstance(exc, KeyboardInterrupt):
        return "Execution was aborted by an interrupt signal."
    if isinstance(exc, TerminationSignal):
        return f"Execution was aborted by a termination signal ({exc.signal})."
    if isinstance(exc, SystemExit):
        return "Execution was aborted by Python system exit call."
    if type(exc).__name__ == "CancelledError":
        # By name: the class is asyncio's, concurrent.futures' or a framework's.
        return "Execution was cancelled by the runtime environment."
    url = getattr(exc, "url", None) or getattr(exc, "request", None)
    if isinstance(exc, TimeoutError) and url:
        return f"Request to {url} timed out: {format_exception(exc)}"
    return f"Execution was interrupted by an unexpected exception: {format_exception(exc)}"


# --- to the wire ---------------------------------------------------------------------------------


def state_to_wire(state: State, *, persisting: bool = False) -> StateCreate:
    """The proposal to send for a state: the same id, and only the metadata of its result.

    A record that is not in storage is left out, unless `persisting` says that it is about to be
    written. Data that JSON cannot say is left out as well.
    """
    return StateCreate(
        id=state.id,
        type=state.type,
        name=state.name,
        timestamp=state.timestamp,
        message=state.message,
        data=wire_data(state.data, persisting=persisting),
        state_details=state.state_details,
    )


def to_state_create(state: State) -> StateCreate:
    """The proposal to send for a state (see `state_to_wire`)."""
    return state_to_wire(state)


def wire_data(data: Any, *, persisting: bool = False) -> Any:
    """What of a state's data may be sent."""
    if isinstance(data, ResultRecord):
        return data.metadata if data.persisted or persisting else None
    if data is None or isinstance(data, str | int | float | bool | Raw | ResultRecordMetadata):
        return data
    try:
        json.encode(data)
    except (TypeError, ValueError, RecursionError):
        return None
    return data


# --- results out of states -----------------------------------------------------------------------


def _get_state_result(
    state: State, raise_on_failure: bool = True, retry_result_failure: bool = True
) -> Steps[Any]:
    """The result of a state (see `State.result`).

    Raises `PausedRun` for a paused run, `UnfinishedRun` for one that has not ended,
    `MissingResult` when a completed run's value was not kept. A stored result is tried up to
    ten times, a quarter of a second apart.
    """
    if state.is_paused():
        raise PausedRun("The run is paused; resume it to get its result.", state=state)
    if not state.is_final():
        raise UnfinishedRun(
            f"The run is in state {state.name!r} and has no result yet; wait for it to finish."
        )
    if not state.is_completed():
        exception = yield from _exception_of(state, retry_result_failure)
        if raise_on_failure:
            raise exception
        return exception
    if state.data is None:
        raise MissingResult(
            "The result of the run was not persisted and is no longer available; "
            "set `persist_result=True` to read it later."
        )
    return (yield from _value_of(state.data, retry_result_failure))


def _get_state_exception(state: State) -> Steps[BaseException]:
    """The exception of a failed, crashed or cancelled state.

    That is the stored one; `FailedRun`, `CrashedRun` or `CancelledRun` with the state's message
    when none was kept, or when the data is text or a state. Of several states it is the
    exception of the first that failed.
    """
    return (yield from _exception_of(state, retry=True))


def _exception_of(state: State, retry: bool) -> Steps[BaseException]:
    if state.is_failed():
        wrapper: type[Exception] = FailedRun
        default = "Run failed."
    elif state.is_crashed():
        wrapper, default = CrashedRun, "Run crashed."
    elif state.is_cancelled():
        wrapper, default = CancelledRun, "Run cancelled."
    else:
        raise ValueError(
            f"a {state.name} state has no exception; expected a failed, crashed or cancelled one"
        )
    if state.data is None:
        return wrapper(state.message or default)
    value = yield from _value_of(state.data, retry)
    if isinstance(value, BaseException):
        return value
    if isinstance(value, str):
        return wrapper(value)
    if isinstance(value, State):
        # A completed state inside a failed one has no exception to give.
        if value.is_failed() or value.is_crashed() or value.is_cancelled():
            return (yield from _exception_of(value, retry))
        return wrapper(state.message or default)
    if is_state_iterable(value):
        for inner in value:
            if inner.is_failed() or inner.is_crashed() or inner.is_cancelled():
                return (yield from _exception_of(inner, retry))
    return wrapper(state.message or default)


def _raise_state_exception(state: State) -> Steps[None]:
    """Raises the exception of a failed, crashed or cancelled state; does nothing for others."""
    if state.is_failed() or state.is_crashed() or state.is_cancelled():
        raise (yield from _get_state_exception(state))


get_state_result, aget_state_result = dual(_get_state_result)
get_state_exception, aget_state_exception = dual(_get_state_exception)
raise_state_exception, araise_state_exception = dual(_raise_state_exception)

install_result_reader(get_state_result, coroutine(_get_state_result))


def result_metadata(data: Any) -> ResultRecordMetadata | None:
    """The metadata in the data of a state that came from the API; None when there is none."""
    if isinstance(data, ResultRecordMetadata):
        return data
    if isinstance(data, Raw):
        data = json.decode(data)
    if isinstance(data, dict) and "storage_key" in data and "serializer" in data:
        return msgspec.convert(data, ResultRecordMetadata)
    return None


def _value_of(data: Any, retry: bool) -> Steps[Any]:
    if isinstance(data, ResultRecord):
        return data.result
    metadata = result_metadata(data)
    if metadata is None:
        if isinstance(data, dict) and data.get("type") == "unpersisted":
            raise MissingResult("The result of the run was not persisted; only its state is known.")
        return json.decode(data) if isinstance(data, Raw) else data
    attempts = RESULT_READ_MAXIMUM_ATTEMPTS if retry else 1
    while True:
        attempts -= 1
        try:
            record = yield from read_from_metadata(metadata)
        except (OSError, ValueError) as error:
            # The state may arrive before the file does, from another machine.
            if attempts <= 0 and isinstance(error, PathMissing):
                raise MissingResult(
                    f"The result is not in storage under {metadata.storage_key}; it was deleted, "
                    "or the storage is not shared with this machine."
                ) from None
            if attempts <= 0:
                raise
            yield Call(_sleep, _asleep, RESULT_READ_RETRY_DELAY)
        else:
            return record.result


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


async def _asleep(seconds: float) -> None:
    await asyncio.sleep(seconds)
