"""What of a state may be sent: never a value, only where it is kept."""

from typing import Any

from msgspec import Raw

from penstock.base import json
from penstock.result_records import ResultRecord, ResultRecordMetadata
from penstock.schemas.states import State, StateCreate


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
