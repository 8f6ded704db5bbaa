"""What a rule says about a proposal, and what a decision asks to be written.

Writes are values. `ops/transition.py` carries them out in the transaction of the state change; a
decision that keeps the current state has none.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from penstock.schemas.states import SetStateStatus
from penstock.server.domain.orchestration.facts import Proposal, Run


class Change(Struct, frozen=True, kw_only=True):
    """New values for fields of the run; unset ones stay."""

    run_count: int | UnsetType = UNSET
    flow_run_run_count: int | UnsetType = UNSET
    resuming: bool | UnsetType = UNSET
    pause_keys: tuple[str, ...] | UnsetType = UNSET
    retry_type: Literal["in_process", "reschedule"] | UnsetType | None = UNSET


class AcquireSlots(Struct, frozen=True, kw_only=True):
    """Take one slot of each limit under one lease."""

    limit_ids: tuple[UUID, ...]
    lease_id: UUID
    seconds: float
    holder: str


class RenewLease(Struct, frozen=True, kw_only=True):
    lease_id: UUID
    seconds: float


class KeepLease(Struct, frozen=True, kw_only=True):
    """Let the lease last until it is released, because its holder cannot renew it."""

    lease_id: UUID


class ReleaseSlots(Struct, frozen=True, kw_only=True):
    """Give back what the lease holds, if it has not ended."""

    lease_id: UUID


class ReleaseHolder(Struct, frozen=True, kw_only=True):
    """Give back every slot of limits on tags that `holder` holds."""

    holder: str


class InsertCache(Struct, frozen=True, kw_only=True):
    """Make the new state findable under its cache key."""

    key: str
    expiration: datetime | None


class SetTimer(Struct, frozen=True, kw_only=True):
    """One timer of this kind for the run, due then; an earlier one is replaced."""

    kind: str
    due: datetime


class ClearTimer(Struct, frozen=True, kw_only=True):
    kind: str


class RetryTaskRuns(Struct, frozen=True, kw_only=True):
    """Put the failed task runs of the flow run back to AwaitingRetry with no runs counted."""

    scheduled_time: datetime


class EmitStateChange(Struct, frozen=True):
    """Record the event of this state change."""


class MirrorState(Struct, frozen=True, kw_only=True):
    """Force a copy of the new state onto the task run that stands for this subflow run."""

    task_run_id: UUID


class OfferTaskRun(Struct, frozen=True):
    """Put a background task run into the queue from which task workers take, from `due` on."""

    due: datetime


class WithdrawTaskRun(Struct, frozen=True):
    """Take a background task run out of the queue: it is not waiting any more."""


Write = (
    AcquireSlots
    | RenewLease
    | KeepLease
    | ReleaseSlots
    | ReleaseHolder
    | InsertCache
    | SetTimer
    | ClearTimer
    | RetryTaskRuns
    | EmitStateChange
    | MirrorState
    | OfferTaskRun
    | WithdrawTaskRun
)


class Accept(Struct, frozen=True, kw_only=True):
    """Nothing against it. The proposal may come back changed, its type never.

    `before` is seen by the rules that follow and by the counters of the run; `after` is applied
    when everything else is settled. Both are forgotten when a later rule refuses.
    """

    proposal: Proposal | None = None
    before: Change | None = None
    after: Change | None = None
    writes: tuple[Write, ...] = ()


class Reject(Struct, frozen=True, kw_only=True):
    """Not this state: `instead` is put in place, or with None the current state stays."""

    reason: str
    instead: Proposal | None = None
    before: Change | None = None
    writes: tuple[Write, ...] = ()


class Wait(Struct, frozen=True, kw_only=True):
    """Not yet; propose it again after `delay_seconds`."""

    delay_seconds: int
    reason: str


class Abort(Struct, frozen=True, kw_only=True):
    """Not this state, and whoever works on the run should stop."""

    reason: str


Verdict = Accept | Reject | Wait | Abort

ACCEPT = Accept()


class Decision(Struct, frozen=True, kw_only=True):
    """The outcome of all rules.

    `state` and `run` are what to store; both are None when the current state stays, and then
    `writes` is empty.
    """

    status: SetStateStatus
    reason: str | None = None
    delay_seconds: int = 0
    state: Proposal | None = None
    run: Run | None = None
    writes: tuple[Write, ...] = ()
