"""Changing the state of a run: read, decide, write, in one transaction.

A proposal that names its state (`StateCreate.id`) is decided once: when its answer put a state in
place, a repetition gets the stored answer and writes nothing. Answers that kept the current state
changed nothing and are given anew.

A common transition costs four statements: the run with its lock, the state, the run, the event.
Taking, renewing or giving back a slot of a concurrency limit costs one more. Slots are taken and
leases renewed before anything else is written: when somebody else was faster, the transition is
decided again by what is there then.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw, Struct
from msgspec.structs import replace

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectMissing, RequestInvalid, ServiceUnavailable
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateBody,
    SetStateStatus,
    State,
    StateAbortDetails,
    StateAcceptDetails,
    StateCreate,
    StateDetails,
    StateRejectDetails,
    StateType,
    StateWaitDetails,
)
from penstock.server.domain import state_events
from penstock.server.domain.orchestration.decide import decide
from penstock.server.domain.orchestration.facts import (
    Facts,
    Proposal,
    RunKind,
    aware,
    aware_details,
    is_persisted,
    proposal_of,
)
from penstock.server.domain.orchestration.policy import MARK_LATE, Policy, policy_for
from penstock.server.domain.orchestration.verdicts import (
    AcquireSlots,
    ClearTimer,
    Decision,
    EmitStateChange,
    InsertCache,
    KeepLease,
    MirrorState,
    OfferTaskRun,
    ReleaseHolder,
    ReleaseSlots,
    RenewLease,
    RetryTaskRuns,
    SetTimer,
    WithdrawTaskRun,
    Write,
)
from penstock.server.ops import changes, cleanup_owed, slots, task_workers
from penstock.server.ops.context import Context, Made
from penstock.server.ops.run_facts import (
    current_state,
    deployment_of,
    parent_of,
    run_of,
    state_of,
    subject_of,
    tag_limits_of,
)
from penstock.server.ops.stale_claims import record_stale_writer
from penstock.server.ops.topics import work_topic
from penstock.server.store.transaction import Row, Tx

_STEP = timedelta(microseconds=1)
_CLOCK_DIFFERENCE = timedelta(days=1)
"""How far ahead of the server a client's timestamp may be; the states after it come later still."""
_CHANCES = 1 << 32
_HOLDING = (StateType.PENDING, StateType.RUNNING)
"""States in which a run has a slot of its work queue and its work pool."""
_ATTEMPTS = 5
"""How often a transition is decided whose slots others take in between."""


def set_flow_run_state(
    tx: Tx, context: Context, id: str, *, body: SetStateBody
) -> Made[OrchestrationResult]:
    """Propose a state for a flow run. Raises `ObjectMissing` when there is no such run.

    `created` says whether this call stored a state.
    """
    return _propose(tx, context, RunKind.FLOW_RUN, id, body.state, force=body.force)


def set_task_run_state(
    tx: Tx, context: Context, id: str, *, body: SetStateBody
) -> Made[OrchestrationResult]:
    """Propose a state for a task run. Raises `ObjectMissing` when there is no such run."""
    return _propose(tx, context, RunKind.TASK_RUN, id, body.state, force=body.force)


def force_state(
    tx: Tx, context: Context, kind: str, id: str, state: StateCreate
) -> OrchestrationResult:
    """Put a run into a state with hardly a rule asked; `kind` is `flow_run` or `task_run`.

    What still holds: a stored result is not lost, a run without a process is not left cancelling,
    and a background task run keeps its own policy. Raises `ObjectMissing`.
    """
    return _propose(tx, context, RunKind(kind), id, state, force=True).value


class FirstState:
    """The first state of a flow run that is yet to be inserted, decided as a forced change.

    `row` is the run as `run_facts.new_flow_run` makes it. Insert the run with `columns`, which
    say what the state does to it, then call `store`.
    """

    def __init__(self, tx: Tx, context: Context, row: Row, state: StateCreate) -> None:
        kind = RunKind.FLOW_RUN
        self._transition = _Transition(tx, context, kind, row, state, force=True, policy=None)
        self._decision = self._transition.decision()
        assert self._decision.state is not None, "no rule of a forced change refuses a first state"
        self.state = self._transition.placed(self._decision, self._decision.state)
        self.columns = self._transition.columns(self._decision, self.state)

    def store(self) -> None:
        """Insert the state, its event and whatever else follows from it."""
        self._transition.insert_state(self._decision, self.state)
        self._transition.carry_out(self._decision, self.state)


def mark_late(tx: Tx, context: Context, id: str, *, state: StateCreate) -> OrchestrationResult:
    """Rename a scheduled flow run to Late; refused when it is no longer scheduled.

    Raises `ObjectMissing`.
    """
    return _propose(tx, context, RunKind.FLOW_RUN, id, state, force=False, policy=MARK_LATE).value


class _Statements(Struct, frozen=True):
    """What differs between the two kinds of run in the database."""

    noun: str
    read: str
    insert_state: str
    update: str


_STATEMENTS = {
    RunKind.FLOW_RUN: _Statements(
        "flow run",
        "transition.flow_run",
        "transition.insert_flow_run_state",
        "transition.update_flow_run",
    ),
    RunKind.TASK_RUN: _Statements(
        "task run",
        "transition.task_run",
        "transition.insert_task_run_state",
        "transition.update_task_run",
    ),
}


_TIMES = ("start_time", "end_time", "expected_start_time", "next_scheduled_start_time")


def _propose(
    tx: Tx,
    context: Context,
    kind: RunKind,
    id: str,
    state: StateCreate,
    *,
    force: bool,
    policy: Policy | None = None,
) -> Made[OrchestrationResult]:
    proposal_id = None if state.id is UNSET else state.id
    row = _locked(tx, kind, id, proposal_id)
    if row is None:
        noun = _STATEMENTS[kind].noun
        raise ObjectMissing(f"there is no {noun} {id}; it may have been deleted")
    if row["answered_id"] is not None:
        return Made(_stored_answer(row), created=False)
    claim = context.run_claim
    if (
        kind is RunKind.FLOW_RUN
        and claim is not None
        and claim[0] == id
        and claim[1] != row["claim_number"]
    ):
        reason = record_stale_writer(tx, context, row, claim[1], state.name or state.type)
        aborted = Decision(status=SetStateStatus.ABORT, reason=reason)
        return Made(_answer(aborted, current_state(row)), created=False)
    return _Transition(tx, context, kind, row, state, force=force, policy=policy).made()


def _locked(tx: Tx, kind: RunKind, id: str, proposal_id: UUID | None) -> Row | None:
    """The run with all facts about it, locked to the end of the transaction.

    A run that somebody else changed while this statement waited for the lock comes back with the
    new row beside the old state. Then it is read again, which needs no waiting any more.
    """
    statement = _STATEMENTS[kind].read
    row = tx.one(statement, id=id, proposal_id=proposal_id)
    if row is not None and row["found_state_id"] != row["state_id"]:
        row = tx.one(statement, id=id, proposal_id=proposal_id)
    return row


class _Transition:
    """One proposal for one locked run."""

    def __init__(
        self,
        tx: Tx,
        context: Context,
        kind: RunKind,
        row: Row,
        state: StateCreate,
        *,
        force: bool,
        policy: Policy | None,
    ) -> None:
        self.tx = tx
        self.context = context
        self.kind = kind
        self.row = row
        self.before = current_state(row)
        self.wanted_id = None if state.id is UNSET else state.id
        self.proposal = _proposal(tx, state, self.before)
        self.facts = self._facts()
        self.policy = policy or policy_for(self.facts, self.proposal, force=force)

    def made(self) -> Made[OrchestrationResult]:
        decision = self.decision()
        if decision.state is None:
            return Made(_answer(decision, self.before), created=False)
        state = self.placed(decision, decision.state)
        self.insert_state(decision, state)
        self._update_run(self.columns(decision, state))
        self.carry_out(decision, state)
        return Made(_answer(decision, state), created=True)

    def carry_out(self, decision: Decision, state: State) -> None:
        """Write what the decision asks for besides the state and the run."""
        self._wake_workers(state)
        for write in decision.writes:
            if not isinstance(write, (AcquireSlots, RenewLease)):
                _CARRY_OUT[type(write)](self, write, decision, state)
        if state.type is StateType.CRASHED and self.context.actor.type == "service":
            self._owe_teardown(state)

    def _owe_teardown(self, state: State) -> None:
        """What the server itself calls crashed may have left infrastructure."""
        if self.kind is RunKind.FLOW_RUN:
            pending = self.row["state_type"] == StateType.PENDING
            cleanup_owed.of_crash(self.tx, self.context, self.row, state.id, was_pending=pending)

    def _wake_workers(self, state: State) -> None:
        """Tell the workers of the run's pool when they may have something to start now."""
        if self.kind is RunKind.TASK_RUN or self.row["pool_id"] is None:
            return
        freed = (
            self.row["state_type"] in _HOLDING
            and self.row["work_is_limited"]
            and state.type not in _HOLDING
        )
        if freed or state.type is StateType.SCHEDULED:
            self.tx.wake(work_topic(self.row["pool_id"]))

    def decision(self) -> Decision:
        """The decision, with the slots taken and the lease renewed that it rests on."""
        for _ in range(_ATTEMPTS):
            decision = decide(self.facts, self.proposal, self.policy)
            if all(self._secured(write) for write in decision.writes):
                return decision
        raise ServiceUnavailable(
            f"the slots for {self.kind.value} {self.row['id']} change hands too fast; try again"
        )

    def _secured(self, write: Write) -> bool:
        """Whether `write` can be relied on. If not, the facts are new ones."""
        if isinstance(write, RenewLease) and not slots.renew(self.tx, write):
            self.facts = replace(self.facts, lease_alive=False)
            return False
        if isinstance(write, AcquireSlots) and not slots.acquire(self.tx, write):
            row = self.tx.one(_STATEMENTS[self.kind].read, id=self.row["id"], proposal_id=None)
            assert row is not None, "a run that is locked cannot be deleted"
            self.row = row
            self.facts = replace(self._facts(), lease_alive=self.facts.lease_alive)
            return False
        return True

    def _facts(self) -> Facts:
        fresh_id = uuid7()
        now, limits = self.tx.now, self.context.limits
        of_task = self.kind is RunKind.TASK_RUN
        return Facts(
            run=run_of(self.kind, self.row),
            state=self.before,
            now=now,
            fresh_id=fresh_id,
            chance=(fresh_id.int % _CHANCES) / _CHANCES,
            parent=parent_of(self.row) if of_task else None,
            deployment=None if of_task else deployment_of(self.row, now, limits.deployment_lease),
            lease_alive=True,
            tag_limits=tag_limits_of(self.row, now) if of_task else (),
            holds_slots=of_task and self.row["holds_slots"],
            slot_wait_seconds=limits.deployment_slot_wait,
            cached=self._cached(),
            client_version=self.context.client_version,
            api_version=self.context.api_version,
            cache_key_length=limits.cache_key_length,
            cancelling_seconds=limits.cancelling_seconds,
        )

    def _cached(self) -> State | None:
        """Looked up only where the cache rule will ask."""
        details = self.proposal.details
        if (
            self.kind is RunKind.FLOW_RUN
            or self.proposal.type is not StateType.RUNNING
            or not details.cache_key
            or details.refresh_cache
        ):
            return None
        found = self.tx.one("transition.cached_state", cache_key=details.cache_key, now=self.tx.now)
        return state_of(found, "") if found is not None else None

    def placed(self, decision: Decision, placed: Proposal) -> State:
        """The state that is put in place, under the id it is stored with."""
        accepted = decision.status is SetStateStatus.ACCEPT
        return State(
            id=self.wanted_id if accepted and self.wanted_id else uuid7(),
            type=placed.type,
            name=placed.name,
            timestamp=placed.timestamp,
            message=placed.message,
            data=_stored_data(placed.data),
            state_details=placed.details,
        )

    def insert_state(self, decision: Decision, state: State) -> None:
        answer = None
        if self.wanted_id is not None:
            answer = _StoredAnswer(status=decision.status, reason=decision.reason)
        self.tx.run(
            _STATEMENTS[self.kind].insert_state,
            id=state.id,
            run_id=self.row["id"],
            type=state.type,
            name=state.name,
            timestamp=state.timestamp,
            message=state.message,
            state_details=state.state_details,
            data=state.data,
            proposal_id=self.wanted_id,
            answer=answer,
        )

    def columns(self, decision: Decision, state: State) -> dict[str, Any]:
        """What becomes of the run's columns, all but its version and when it was changed."""
        run = decision.run
        assert run is not None
        columns: dict[str, Any] = {
            "state_id": state.id,
            "state_type": state.type,
            "state_name": state.name,
            "state_timestamp": state.timestamp,
            "run_count": run.run_count,
            "start_time": run.start_time,
            "end_time": run.end_time,
            "expected_start_time": run.expected_start_time,
            "next_scheduled_start_time": run.next_scheduled_start_time,
            "total_run_time": run.total_run_time,
        }
        if self.kind is RunKind.TASK_RUN:
            columns["flow_run_run_count"] = run.flow_run_run_count
        elif run.policy is self.facts.run.policy:
            columns["empirical_policy"] = self.row["empirical_policy"]
        else:
            columns["empirical_policy"] = run.policy
        return columns

    def _update_run(self, columns: dict[str, Any]) -> None:
        changed = self.tx.run(
            self._update_statement(columns),
            id=self.row["id"],
            version=self.row["version"],
            now=self.tx.now,
            **columns,
        )
        if not changed:
            noun = _STATEMENTS[self.kind].noun
            raise ServiceUnavailable(
                f"the {noun} {self.row['id']} was changed meanwhile; try again"
            )

    def _update_statement(self, columns: dict[str, Any]) -> str:
        """The one that names no more columns than it must; see `transition.start_flow_run`."""
        if self.kind is RunKind.FLOW_RUN:
            moved = {name for name in _TIMES if columns[name] != self.row[name]}
            if moved <= {"start_time"}:
                return "transition.start_flow_run"
            if moved <= {"end_time"}:
                return "transition.end_flow_run"
        return _STATEMENTS[self.kind].update

    # --- what a decision asks to be written ------------------------------------------------------

    def emit_state_change(self, _: EmitStateChange, decision: Decision, state: State) -> None:
        row = self.row
        if row["auto_scheduled"] and row["version"] == 0:
            return
        assert decision.run is not None
        subject = subject_of(row, decision.run.run_count)
        before = state_events.snapshot(self.before) if self.before is not None else None
        after = state_events.snapshot(state)
        changes.write(
            self.tx,
            self.context,
            id=state.id,
            event=state_events.event_name(state),
            resource=state_events.resource(subject, state),
            related=state_events.related(subject),
            payload=state_events.payload(self.before, state),
            occurred=state.timestamp,
            follows=self._followed(state),
            kind="flow-run",
            action=state.name or state.type,
            object_id=row["id"],
            object_name=row["name"],
            before=before,
            after=after,
            changed=state_events.changes(before, after),
        )

    def _followed(self, state: State) -> UUID | None:
        """The event of the state before; a scheduled run's first state has none."""
        before = self.before
        if before is None or (self.row["auto_scheduled"] and self.row["version"] == 1):
            return None
        return before.id if state_events.is_followed(before, state) else None

    def mirror_state(self, write: MirrorState, decision: Decision, state: State) -> None:
        """A parent task run that is not there (not yet recorded, deleted) is left out."""
        row = _locked(self.tx, RunKind.TASK_RUN, str(write.task_run_id), None)
        if row is None:
            return
        copy = StateCreate(
            type=state.type,
            name=state.name,
            message=state.message,
            data=state.data,
            state_details=replace(
                state.state_details,
                child_flow_run_id=UUID(self.row["id"]),
                deployment_concurrency_lease_id=None,
            ),
        )
        _Transition(
            self.tx, self.context, RunKind.TASK_RUN, row, copy, force=True, policy=None
        ).made()

    def set_timer(self, write: SetTimer, decision: Decision, state: State) -> None:
        self.tx.run(
            "timer.set",
            kind=write.kind,
            key=self.row["id"],
            due=write.due,
            payload={"state_id": str(state.id)},
        )
        self.tx.wake("timers")

    def clear_timer(self, write: ClearTimer, decision: Decision, state: State) -> None:
        self.tx.run("timer.delete", kind=write.kind, key=self.row["id"])

    def insert_cache(self, write: InsertCache, decision: Decision, state: State) -> None:
        self.tx.run(
            "transition.insert_cache",
            cache_key=write.key,
            cache_expiration=write.expiration,
            state_id=state.id,
            now=self.tx.now,
        )

    def retry_task_runs(self, write: RetryTaskRuns, decision: Decision, state: State) -> None:
        retry = StateCreate(
            type=StateType.SCHEDULED,
            name="AwaitingRetry",
            state_details=StateDetails(scheduled_time=write.scheduled_time),
        )
        for failed in self.tx.all("transition.failed_task_runs", flow_run_id=self.row["id"]):
            _propose(self.tx, self.context, RunKind.TASK_RUN, failed["id"], retry, force=True)
            self.tx.run("transition.uncount_task_run", id=failed["id"])

    def keep_lease(self, write: KeepLease, decision: Decision, state: State) -> None:
        slots.keep(self.tx, write)

    def release_slots(self, write: ReleaseSlots, decision: Decision, state: State) -> None:
        slots.release(self.tx, write)

    def release_holder(self, write: ReleaseHolder, decision: Decision, state: State) -> None:
        slots.release_holder(self.tx, write)

    def offer_task_run(self, write: OfferTaskRun, decision: Decision, state: State) -> None:
        task_workers.offer(self.tx, self.row["id"], write.due)

    def withdraw_task_run(self, _: WithdrawTaskRun, decision: Decision, state: State) -> None:
        task_workers.withdraw(self.tx, self.row["id"])


_CARRY_OUT: dict[type, Callable[[_Transition, Any, Decision, State], None]] = {
    KeepLease: _Transition.keep_lease,
    ReleaseSlots: _Transition.release_slots,
    ReleaseHolder: _Transition.release_holder,
    EmitStateChange: _Transition.emit_state_change,
    MirrorState: _Transition.mirror_state,
    SetTimer: _Transition.set_timer,
    ClearTimer: _Transition.clear_timer,
    InsertCache: _Transition.insert_cache,
    RetryTaskRuns: _Transition.retry_task_runs,
    OfferTaskRun: _Transition.offer_task_run,
    WithdrawTaskRun: _Transition.withdraw_task_run,
}


class _StoredAnswer(Struct, frozen=True, kw_only=True):
    """An answer without its state, which is the row it is stored in."""

    status: SetStateStatus
    reason: str | None = None


def _proposal(tx: Tx, state: StateCreate, before: State | None) -> Proposal:
    """The proposal with its time: the client's or now, and after the current state in any case."""
    timestamp = tx.now if state.timestamp is UNSET else aware(state.timestamp)
    if timestamp > tx.now + _CLOCK_DIFFERENCE:
        raise RequestInvalid(
            f"the state's timestamp {timestamp.isoformat()} lies more than a day ahead of the "
            "server's clock; correct the clock that made it or leave the timestamp out"
        )
    if before is not None and timestamp <= before.timestamp:
        timestamp = before.timestamp + _STEP
    return proposal_of(
        state.type,
        timestamp,
        now=tx.now,
        name=state.name,
        message=state.message,
        data=state.data,
        details=aware_details(state.state_details),
    )


def _stored_data(data: Any) -> Raw | None:
    """What is kept of a state's data: nothing when it says that the result is nowhere stored."""
    if not is_persisted(data):
        return None
    return data if isinstance(data, Raw) else Raw(json.encode(data))


def _answer(decision: Decision, state: State | None) -> OrchestrationResult:
    return _result(decision.status, decision.reason, decision.delay_seconds, state)


def _stored_answer(row: Row) -> OrchestrationResult:
    stored = json.decode(row["answered_answer"], _StoredAnswer)
    return _result(stored.status, stored.reason, 0, state_of(row, "answered_"))


def _result(
    status: SetStateStatus, reason: str | None, delay_seconds: int, state: State | None
) -> OrchestrationResult:
    match status:
        case SetStateStatus.ACCEPT:
            details = StateAcceptDetails()
        case SetStateStatus.REJECT:
            details = StateRejectDetails(reason=reason)
        case SetStateStatus.ABORT:
            details = StateAbortDetails(reason=reason)
        case SetStateStatus.WAIT:
            details = StateWaitDetails(delay_seconds=delay_seconds, reason=reason)
    return OrchestrationResult(details=details, state=state, status=status)
