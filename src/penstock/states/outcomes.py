"""What a run returned or raised, as its final state.

`value_state`, `failed_state` and `crashed_state` are pure; the functions of the contract add the
writing of the result and come in two colours.
"""

import sys
import traceback
from datetime import datetime
from types import GeneratorType, TracebackType
from typing import Any

from penstock.base.dual import Call, Steps, dual
from penstock.result_records import ResultRecord
from penstock.results import ResultStore
from penstock.schemas.errors import TerminationSignal
from penstock.schemas.states import State
from penstock.states.constructors import Completed, Crashed, Failed
from penstock.states.groups import aggregate_state, is_state_iterable


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
