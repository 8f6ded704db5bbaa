"""States of flow runs and task runs, and the answer to a proposed transition.

A state is a value: it never changes after it was made. Predicates here are pure;
reading a state's result is the SDK's business (`penstock.states`).
"""

from collections.abc import Callable, Coroutine, Mapping
from copy import deepcopy
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType, field
from msgspec.structs import force_setattr, replace

from penstock.base.clock import utc_now
from penstock.base.ids import uuid7
from penstock.schemas.shapes import Entity, Strict


class StateType(StrEnum):
    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"


TERMINAL_STATES = frozenset(
    {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED}
)


class StateDetails(Entity):
    cache_expiration: datetime | None = None
    cache_key: str | None = None
    child_flow_run_id: UUID | None = None
    deferred: bool | None = False
    deployment_concurrency_lease_id: UUID | None = None
    flow_run_id: UUID | None = None
    pause_key: str | None = None
    pause_reschedule: bool = False
    pause_timeout: datetime | None = None
    refresh_cache: bool | None = None
    retriable: bool | None = None
    run_input_keyset: dict[str, str] | None = None
    scheduled_time: datetime | None = None
    task_parameters_id: UUID | None = None
    task_run_id: UUID | None = None
    traceparent: str | None = None
    transition_id: UUID | None = None
    untrackable_result: bool = False


class State(Entity, weakref=True):
    """One state of one run.

    `name` defaults to the capitalised type. `data` is any JSON value on the wire; in the
    process that produced the state it may be the live result record.
    """

    type: StateType
    id: UUID = field(default_factory=uuid7)
    name: str | None = None
    timestamp: datetime = field(default_factory=utc_now)
    message: str | None = None
    data: Any = None
    state_details: StateDetails = field(default_factory=StateDetails)

    def __post_init__(self) -> None:
        if self.name is None:
            # The only write to a frozen state, before anybody can see it.
            force_setattr(self, "name", default_name(self.type))

    def is_scheduled(self) -> bool:
        return self.type == StateType.SCHEDULED

    def is_pending(self) -> bool:
        return self.type == StateType.PENDING

    def is_running(self) -> bool:
        return self.type == StateType.RUNNING

    def is_completed(self) -> bool:
        return self.type == StateType.COMPLETED

    def is_failed(self) -> bool:
        return self.type == StateType.FAILED

    def is_crashed(self) -> bool:
        return self.type == StateType.CRASHED

    def is_cancelled(self) -> bool:
        return self.type == StateType.CANCELLED

    def is_cancelling(self) -> bool:
        return self.type == StateType.CANCELLING

    def is_paused(self) -> bool:
        return self.type == StateType.PAUSED

    def is_final(self) -> bool:
        return self.type in TERMINAL_STATES

    def result(self, raise_on_failure: bool = True, retry_result_failure: bool = True) -> Any:
        """The value the run returned, or the exception it failed with.

        Raises the exception instead of returning it unless `raise_on_failure` is false. Called
        in an async context it gives the coroutine of `aresult`.
        """
        return _installed_reader()[0](self, raise_on_failure, retry_result_failure)

    def aresult(
        self, raise_on_failure: bool = True, retry_result_failure: bool = True
    ) -> Coroutine[Any, Any, Any]:
        """`result` as a coroutine."""
        return _installed_reader()[1](self, raise_on_failure, retry_result_failure)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> "State":
        """The same state with some fields changed; `deep` copies its data and details too."""
        state = replace(self, **(update or {}))
        return deepcopy(state) if deep else state

    def fresh_copy(self, **changes: Any) -> "State":
        """A new state like this one: a new id and timestamp, and no reference to a run."""
        details = replace(self.state_details, flow_run_id=None, task_run_id=None)
        changes = {"id": uuid7(), "timestamp": utc_now(), "state_details": details, **changes}
        return replace(self, **changes)

    def __str__(self) -> str:
        """As logs show it: `Completed()`, `Failed('why')`, `Late(type=SCHEDULED)`."""
        parts = [repr(self.message)] if self.message else []
        if (self.name or "").lower() != self.type.value.lower():
            parts.append(f"type={self.type.value}")
        return f"{self.name}({', '.join(parts)})"

    def __repr__(self) -> str:
        message = f", message={self.message!r}" if self.message else ""
        return f"{self.name}(type={self.type.value}{message})"


class StateCreate(Strict):
    """A proposed state.

    `id` and `timestamp` are extensions of the wire contract: a client that sends an id may
    repeat the request after a lost reply and gets the stored answer.
    """

    type: StateType
    name: str | None = None
    message: str | None = None
    data: Any = None
    state_details: StateDetails = field(default_factory=StateDetails)
    id: UUID | UnsetType = UNSET
    timestamp: datetime | UnsetType = UNSET


class SetStateStatus(StrEnum):
    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    ABORT = "ABORT"
    WAIT = "WAIT"


class StateAcceptDetails(Entity, tag_field="type", tag="accept_details"):
    pass


class StateRejectDetails(Entity, tag_field="type", tag="reject_details"):
    reason: str | None = None


class StateAbortDetails(Entity, tag_field="type", tag="abort_details"):
    reason: str | None = None


class StateWaitDetails(Entity, tag_field="type", tag="wait_details"):
    delay_seconds: int
    reason: str | None = None


TransitionDetails = StateAcceptDetails | StateRejectDetails | StateAbortDetails | StateWaitDetails


class OrchestrationResult(Entity):
    details: TransitionDetails
    state: State | None
    status: SetStateStatus


class SetStateBody(Entity):
    state: StateCreate
    force: bool = False


def default_name(type: StateType) -> str:
    """The name of a state that was given none: the capitalised type."""
    return type.value.capitalize()


Reader = Callable[[State, bool, bool], Any]
_reader: tuple[Reader, Reader] | None = None


def install_result_reader(plain: Reader, coroutine: Reader) -> None:
    """Says how `State.result` and `State.aresult` read; done by `penstock.states`."""
    global _reader
    _reader = (plain, coroutine)


def _installed_reader() -> tuple[Reader, Reader]:
    if _reader is None:
        raise RuntimeError(
            "no reader of results is installed in this process; import penstock.states first"
        )
    return _reader
