"""From what a function returned or raised to a state."""

from typing import Any, cast

from penstock.engine.effects import RunTimeoutError
from penstock.futures import PenstockFuture, futures_in
from penstock.result_records import ResultRecord
from penstock.results import ResultStore
from penstock.schemas.errors import SerializationError
from penstock.schemas.states import State
from penstock.states import failed_state

UNSET: Any = object()
_CONTAINERS = (list, tuple, set, frozenset, dict)
_DATA = (str, int, float, bool, bytes, type(None))


def is_plain(value: Any) -> bool:
    """Whether a returned value is nothing but data, so that no state or future decides."""
    if type(value) in _DATA:
        return True
    if isinstance(value, State | PenstockFuture | ResultRecord):
        return False
    if isinstance(value, _CONTAINERS):
        return not _holds_runs(value)
    return type(value).__name__ != "generator"


def _holds_runs(value: Any) -> bool:
    for item in value.values() if isinstance(value, dict) else value:
        if type(item) in _DATA:
            continue
        if isinstance(item, State | PenstockFuture):
            return True
        if isinstance(item, _CONTAINERS) and _holds_runs(item):
            return True
    return False


def failure(error: Exception, subject: str, store: ResultStore | None) -> State:
    """The failed state of `error`; a timeout has its own name."""
    message = f"{subject} encountered an exception:"
    if isinstance(error, RunTimeoutError):
        state = failed_state(error, store, message=message, name="TimedOut")
        return state.model_copy(update={"message": str(error).replace("The run", subject)})
    if isinstance(error, TimeoutError):
        return failed_state(
            error, store, message=f"{subject} failed due to a timeout:", name="TimedOut"
        )
    return failed_state(error, store, message=message)


def store_for_flow(store: ResultStore, flow: Any) -> ResultStore:
    """The store of runs of `flow`, below `store`; may block to load a storage block."""
    # Typed loosely: `_sync` is known to the functions that have two colours, not to their types.
    return cast(Any, store).update_for_flow(flow, _sync=True)


def store_for_task(store: ResultStore, task: Any) -> ResultStore:
    """The store of runs of `task`, below `store`; may block to load a storage block."""
    return cast(Any, store).update_for_task(task, _sync=True)


def keep(state: State, store: ResultStore, logger: Any) -> None:
    """Write the result of `state` to storage; what cannot be written is only warned about."""
    if not isinstance(state.data, ResultRecord):
        return
    try:
        store.persist_result_record(state.data)
    except SerializationError as error:
        logger.warning("The result is not persisted: %s", error)


def returned_futures(value: Any) -> list[PenstockFuture[Any]]:
    """Futures in a returned value."""
    if type(value) in _DATA or (isinstance(value, _CONTAINERS) and not _holds_runs(value)):
        return []
    return list(futures_in(value))
