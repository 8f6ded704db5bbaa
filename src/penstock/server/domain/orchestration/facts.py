"""What a decision may know, and what is proposed.

Everything a rule looks at is a field here. Chance and fresh identifiers are facts too, so that
the same facts always give the same decision.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct, field
from msgspec.structs import replace

from penstock.base import json
from penstock.schemas.flow_runs import FlowRunPolicy
from penstock.schemas.states import State, StateDetails, StateType, default_name
from penstock.schemas.task_runs import TaskRunPolicy


class RunKind(StrEnum):
    FLOW_RUN = "flow_run"
    TASK_RUN = "task_run"


class OnFull(StrEnum):
    """What happens to a run whose deployment has no free slot."""

    ENQUEUE = "ENQUEUE"
    CANCEL_NEW = "CANCEL_NEW"


class Run(Struct, frozen=True, kw_only=True):
    """The run whose state is to change."""

    kind: RunKind
    id: UUID
    policy: FlowRunPolicy | TaskRunPolicy
    run_count: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    expected_start_time: datetime | None = None
    next_scheduled_start_time: datetime | None = None
    total_run_time: float = 0.0
    # flow runs
    deployment_id: UUID | None = None
    parent_task_run_id: UUID | None = None
    infrastructure_pid: str | None = None
    # task runs
    flow_run_id: UUID | None = None
    flow_run_run_count: int = 0

    @property
    def retries(self) -> int | None:
        """How often a failure is retried; the deprecated field counts when the new one is unset."""
        policy = self.policy
        return policy.retries if policy.retries is not None else policy.max_retries or None


class Limit(Struct, frozen=True, kw_only=True):
    """A concurrency limit and how many of its slots are taken."""

    id: UUID
    name: str
    limit: int
    active: int = 0
    held: bool = False
    """Whether the run has a slot of it already."""

    @property
    def is_full(self) -> bool:
        return self.active >= self.limit


class Deployment(Struct, frozen=True, kw_only=True):
    """What the deployment of a flow run says about concurrency; `limit` None means no limit."""

    id: UUID
    found: bool = True
    limit: Limit | None = None
    on_full: OnFull = OnFull.ENQUEUE
    grace_seconds: float = 300.0


class Parent(Struct, frozen=True, kw_only=True):
    """The flow run a task run belongs to."""

    state_type: StateType | None
    run_count: int = 0
    pause_timeout: datetime | None = None
    pause_reschedule: bool = False


class Proposal(Struct, frozen=True, kw_only=True):
    """A state somebody wants a run to be in, or that a rule puts in its place.

    It has no id: who stores it names it. A SCHEDULED proposal always has a scheduled time.
    """

    type: StateType
    name: str
    timestamp: datetime
    message: str | None = None
    data: Any = None
    details: StateDetails = field(default_factory=StateDetails)


class Facts(Struct, frozen=True, kw_only=True):
    """All that is known when a transition is decided. Defaults mean: no limit, nothing cached."""

    run: Run
    state: State | None
    now: datetime
    fresh_id: UUID
    """A new identifier for what the decision must name: a lease, a pause key."""
    chance: float = 0.0
    """A number drawn uniformly from [0, 1), for jitter."""
    parent: Parent | None = None
    deployment: Deployment | None = None
    lease_alive: bool = False
    """Whether the lease named by the current state is still held."""
    tag_limits: tuple[Limit, ...] = ()
    holds_slots: bool = False
    """Whether the task run has slots of limits, its tags' or others'."""
    cached: State | None = None
    """The newest unexpired state stored under the proposed cache key."""
    client_version: tuple[int, ...] | None = None
    api_version: tuple[int, int, int] | None = None
    slot_wait_seconds: float = 30.0
    cache_key_length: int = 2_000
    cancelling_seconds: float = 300.0

    @property
    def state_type(self) -> StateType | None:
        return self.state.type if self.state else None

    @property
    def limit(self) -> Limit | None:
        """The limit of the run's deployment, None when nothing limits it."""
        return self.deployment.limit if self.deployment else None

    @property
    def lease_id(self) -> UUID | None:
        """The lease on a deployment slot that the current state carries."""
        return self.state.state_details.deployment_concurrency_lease_id if self.state else None


class _Tagged(Struct):
    type: Any = None


def is_persisted(data: Any) -> bool:
    """Whether a state's data says that the result is stored: neither null nor `unpersisted`."""
    if data is None:
        return False
    if isinstance(data, Raw):
        text = bytes(data).strip()
        if not text.startswith(b"{"):
            return text != b"null"
        return json.decode(text, _Tagged).type != "unpersisted"
    return not (isinstance(data, dict) and data.get("type") == "unpersisted")


def proposal_of(
    type: StateType,
    timestamp: datetime,
    *,
    now: datetime | None = None,
    name: str | None = None,
    message: str | None = None,
    data: Any = None,
    details: StateDetails | None = None,
) -> Proposal:
    """A proposal with the gaps filled: the name from the type, the scheduled time from `now`.

    `now` defaults to the timestamp, which may lie a little ahead to keep the states in order.
    """
    details = details or StateDetails()
    if type is StateType.SCHEDULED and details.scheduled_time is None:
        details = replace(details, scheduled_time=now or timestamp)
    return Proposal(
        type=type,
        name=name or default_name(type),
        timestamp=timestamp,
        message=message,
        data=data,
        details=details,
    )


def aware(instant: datetime) -> datetime:
    """A time without an offset is read as UTC."""
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def aware_details(details: StateDetails) -> StateDetails:
    """`details` with an offset in each of its times."""
    changes = {
        name: aware(instant)
        for name in ("scheduled_time", "pause_timeout", "cache_expiration")
        if (instant := getattr(details, name)) is not None and instant.tzinfo is None
    }
    return replace(details, **changes) if changes else details


def with_details(proposal: Proposal, **changes: Any) -> Proposal:
    """`proposal` with these members of its details changed."""
    return replace(proposal, details=replace(proposal.details, **changes))
