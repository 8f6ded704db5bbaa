"""The result of a run, out of its state. Importing this installs `State.result`."""

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from penstock.base import json
from penstock.base.dual import Call, Steps, dual
from penstock.base.lazy import LazyModule
from penstock.filesystems import PathMissing
from penstock.result_records import ResultRecord, ResultRecordMetadata
from penstock.results import read_from_metadata
from penstock.schemas.errors import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingResult,
    PausedRun,
    UnfinishedRun,
)
from penstock.schemas.states import State, install_result_reader
from penstock.states.groups import is_state_iterable

if TYPE_CHECKING:
    import asyncio
    import time
else:
    asyncio = LazyModule("asyncio")
    time = LazyModule("time")

RESULT_READ_MAXIMUM_ATTEMPTS = 10
RESULT_READ_RETRY_DELAY = 0.25


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

install_result_reader(get_state_result, aget_state_result)


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
