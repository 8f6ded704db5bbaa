"""Transitions on real databases: what is written, what is answered, what is repeated."""

import re
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from tests.store.run_rows import (
    FLOW,
    events,
    put_deployment,
    put_flow,
    put_flow_run,
    put_task_run,
    run_row,
    state_rows,
    timers,
)

from penstock.base import json
from penstock.base.clock import ManualClock
from penstock.base.ids import uuid7
from penstock.schemas.errors import (
    ObjectConflict,
    ObjectMissing,
    RequestInvalid,
    ServiceUnavailable,
)
from penstock.schemas.flow_runs import FlowRunPolicy
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateBody,
    SetStateStatus,
    StateAbortDetails,
    StateAcceptDetails,
    StateCreate,
    StateDetails,
    StateRejectDetails,
    StateType,
    StateWaitDetails,
)
from penstock.schemas.task_runs import TaskRunPolicy
from penstock.server.domain.orchestration.facts import RunKind
from penstock.server.ops.context import Context, Limits, Made
from penstock.server.ops.transition import (
    _Transition,
    force_state,
    mark_late,
    set_flow_run_state,
    set_task_run_state,
)
from penstock.server.store import Store
from penstock.server.store.statements import statements
from penstock.server.store.transaction import Row, Tx

CONTEXT = Context()
SCHEDULED, PENDING, RUNNING = StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING
COMPLETED, FAILED, CANCELLED = StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED
PAUSED, CANCELLING, CRASHED = StateType.PAUSED, StateType.CANCELLING, StateType.CRASHED


class Runs:
    """One store and the transitions of its runs."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock

    def flow_run(self, **fields) -> str:
        return self.store.write_sync(put_flow_run, **fields)

    def task_run(self, **fields) -> str:
        return self.store.write_sync(put_task_run, **fields)

    def flow_to(
        self,
        id: str,
        type: StateType,
        /,
        *,
        force: bool = False,
        context: Context = CONTEXT,
        **state,
    ) -> Made[OrchestrationResult]:
        body = SetStateBody(state=StateCreate(type=type, **state), force=force)
        return self.store.write_sync(set_flow_run_state, context, id, body=body)

    def task_to(
        self,
        id: str,
        type: StateType,
        /,
        *,
        force: bool = False,
        context: Context = CONTEXT,
        **state,
    ) -> Made[OrchestrationResult]:
        body = SetStateBody(state=StateCreate(type=type, **state), force=force)
        return self.store.write_sync(set_task_run_state, context, id, body=body)

    def row(self, id: str, table: str = "flow_run") -> Row:
        return self.store.read_sync(run_row, table, id)

    def states(self, id: str, table: str = "flow_run") -> list[Row]:
        return self.store.read_sync(state_rows, table, id)

    def events(self) -> list[Row]:
        return self.store.read_sync(events)

    def timers(self) -> list[Row]:
        return self.store.read_sync(timers)


@pytest.fixture
def runs(store: Store, clock: ManualClock) -> Runs:
    return Runs(store, clock)


# --- accepted -------------------------------------------------------------------------------------


def test_a_run_from_pending_to_completed(runs: Runs) -> None:
    id = runs.flow_run()
    start = runs.clock.now()
    runs.flow_to(id, PENDING)
    runs.clock.advance(2)
    runs.flow_to(id, RUNNING)
    runs.clock.advance(3)
    made = runs.flow_to(id, COMPLETED, message="done", data={"type": "reference", "key": "k"})

    assert made.created
    result = made.value
    assert result.status is SetStateStatus.ACCEPT and result.details == StateAcceptDetails()
    assert result.state is not None and result.state.state_details.flow_run_id == UUID(id)
    row = runs.row(id)
    assert (row["state_type"], row["state_name"]) == ("COMPLETED", "Completed")
    assert row["state_id"] == str(result.state.id)
    assert row["state_timestamp"] == result.state.timestamp == start + timedelta(seconds=5)
    assert row["version"] == 3 and row["run_count"] == 1
    assert row["expected_start_time"] == start
    assert row["start_time"] == start + timedelta(seconds=2)
    assert row["end_time"] == start + timedelta(seconds=5)
    assert row["total_run_time"] == 3.0
    states = runs.states(id)
    assert [state["type"] for state in states] == ["PENDING", "RUNNING", "COMPLETED"]
    assert states[-1]["message"] == "done"
    assert states[-1]["data"] == {"type": "reference", "key": "k"}


def test_a_common_transition_costs_four_statements_in_one_transaction(runs: Runs) -> None:
    id = runs.flow_run()
    for type in (PENDING, RUNNING, COMPLETED):
        before = (runs.store.statistics.transactions, runs.store.statistics.statements)
        runs.flow_to(id, type)
        after = (runs.store.statistics.transactions, runs.store.statistics.statements)
        assert (after[0] - before[0], after[1] - before[1]) == (1, 4)


def test_a_refused_transition_costs_one_statement_and_writes_nothing(runs: Runs) -> None:
    id = runs.flow_run()
    runs.flow_to(id, RUNNING)
    before = runs.store.statistics.statements
    made = runs.flow_to(id, PENDING)
    assert runs.store.statistics.statements - before == 1
    assert not made.created and made.value.status is SetStateStatus.ABORT
    assert isinstance(made.value.details, StateAbortDetails) and made.value.details.reason
    assert made.value.state is not None and made.value.state.type is RUNNING
    assert len(runs.states(id)) == len(runs.events()) == runs.row(id)["version"] == 1


def test_data_of_a_result_that_is_nowhere_stored_is_not_stored(runs: Runs) -> None:
    id = runs.flow_run()
    made = runs.flow_to(id, COMPLETED, data={"type": "unpersisted"})
    assert made.value.state is not None and made.value.state.data is None
    assert runs.states(id)[0]["data"] is None


@pytest.mark.parametrize("data", [0, False, "text", [1, None], {"a": "\0"}])
def test_any_json_value_is_kept_as_data(runs: Runs, data: object) -> None:
    id = runs.flow_run()
    runs.flow_to(id, RUNNING, data=data)
    kept = {"a": "\N{REPLACEMENT CHARACTER}"} if isinstance(data, dict) else data
    assert runs.states(id)[0]["data"] == kept


def test_an_unknown_run_is_missing(runs: Runs) -> None:
    for attempt in (runs.flow_to, runs.task_to):
        with pytest.raises(ObjectMissing, match=r"there is no (flow|task) run"):
            attempt(str(uuid7()), RUNNING)


# --- times ----------------------------------------------------------------------------------------


def test_states_within_one_instant_get_rising_times(runs: Runs) -> None:
    id = runs.flow_run()
    for type in (PENDING, RUNNING, COMPLETED):
        runs.flow_to(id, type)
    stamps = [state["timestamp"] for state in runs.states(id)]
    now, step = runs.clock.now(), timedelta(microseconds=1)
    assert stamps == [now, now + step, now + 2 * step]


def test_a_client_time_is_kept_unless_the_run_is_past_it(runs: Runs) -> None:
    id = runs.flow_run()
    early, step = datetime(2025, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
    runs.flow_to(id, PENDING, timestamp=early)
    assert runs.row(id)["state_timestamp"] == early
    for type in (RUNNING, COMPLETED):
        runs.flow_to(id, type, timestamp=early - timedelta(hours=type is COMPLETED))
    stamps = [state["timestamp"] for state in runs.states(id)]
    assert stamps == [early, early + step, early + 2 * step]
    row = runs.row(id)
    assert row["state_timestamp"] == row["end_time"] == early + 2 * step
    assert row["total_run_time"] == pytest.approx(1e-6)


def test_a_client_time_without_offset_is_utc(runs: Runs) -> None:
    id = runs.flow_run()
    made = runs.flow_to(id, RUNNING, timestamp=datetime(2025, 1, 1))
    assert made.value.state is not None
    assert made.value.state.timestamp == datetime(2025, 1, 1, tzinfo=UTC)


def test_times_without_offset_in_the_details_are_utc(runs: Runs) -> None:
    id = runs.flow_run()
    due = runs.clock.now() + timedelta(hours=1)
    details = StateDetails(scheduled_time=due.replace(tzinfo=None))
    runs.flow_to(id, SCHEDULED, state_details=details)
    assert runs.row(id)["next_scheduled_start_time"] == due
    made = runs.flow_to(id, RUNNING)
    assert isinstance(made.value.details, StateWaitDetails)
    assert made.value.details.delay_seconds == 3600
    runs.flow_to(id, RUNNING, force=True)
    details = StateDetails(pause_timeout=due.replace(tzinfo=None))
    runs.flow_to(id, PAUSED, state_details=details)
    assert runs.timers()[0]["due"] == due


def test_a_client_time_far_ahead_is_refused(runs: Runs) -> None:
    id = runs.flow_run()
    ahead = runs.clock.now() + timedelta(days=1)
    for timestamp in (ahead + timedelta(microseconds=1), datetime.max.replace(tzinfo=UTC)):
        with pytest.raises(RequestInvalid, match="more than a day ahead"):
            runs.flow_to(id, RUNNING, timestamp=timestamp)
    assert runs.flow_to(id, RUNNING, timestamp=ahead).created
    made = runs.flow_to(id, COMPLETED)
    assert made.value.state is not None and made.value.state.timestamp > ahead


# --- answers other than ACCEPT --------------------------------------------------------------------


def test_a_run_waits_for_its_scheduled_time(runs: Runs) -> None:
    id = runs.flow_run()
    due = runs.clock.now() + timedelta(seconds=10, milliseconds=1)
    runs.flow_to(id, SCHEDULED, state_details=StateDetails(scheduled_time=due))
    assert runs.row(id)["next_scheduled_start_time"] == due
    made = runs.flow_to(id, RUNNING)
    assert isinstance(made.value.details, StateWaitDetails)
    assert made.value.details.delay_seconds == 11 and not made.created
    runs.clock.advance(11)
    assert runs.flow_to(id, RUNNING).value.status is SetStateStatus.ACCEPT
    assert runs.row(id)["next_scheduled_start_time"] is None


def test_a_failure_with_retries_left_is_answered_with_a_wait(runs: Runs) -> None:
    id = runs.flow_run(empirical_policy=FlowRunPolicy(retries=1, retry_delay=5, pause_keys=["a"]))
    runs.flow_to(id, RUNNING)
    made = runs.flow_to(id, FAILED, message="boom", data={"type": "reference"})
    result = made.value
    assert made.created and result.status is SetStateStatus.REJECT
    assert result.details == StateRejectDetails(reason="Retrying")
    assert result.state is not None and result.state.name == "AwaitingRetry"
    assert result.state.message == "boom"
    due = runs.clock.now() + timedelta(seconds=5)
    assert result.state.state_details.scheduled_time == due
    row = runs.row(id)
    assert row["next_scheduled_start_time"] == due and row["end_time"] is None
    assert row["empirical_policy"]["retry_type"] == "in_process"
    assert row["empirical_policy"]["pause_keys"] == []

    runs.clock.advance(5)
    runs.flow_to(id, RUNNING)
    assert runs.row(id)["run_count"] == 2
    assert runs.flow_to(id, FAILED).value.status is SetStateStatus.ACCEPT
    assert runs.row(id)["empirical_policy"]["retry_type"] is None


def test_an_old_client_gets_its_failed_tasks_retried_with_the_flow(runs: Runs) -> None:
    id = runs.flow_run(empirical_policy=FlowRunPolicy(retries=1))
    runs.flow_to(id, RUNNING)
    failed, done = runs.task_run(flow_run_id=id), runs.task_run(flow_run_id=id)
    for task_run, end in ((failed, FAILED), (done, COMPLETED)):
        runs.task_to(task_run, RUNNING)
        runs.task_to(task_run, end)
    runs.flow_to(id, FAILED, context=Context(api_version=(0, 8, 2)))
    row = runs.row(failed, "task_run")
    assert (row["state_name"], row["run_count"]) == ("AwaitingRetry", 0)
    assert row["next_scheduled_start_time"] == runs.row(id)["next_scheduled_start_time"]
    assert runs.row(done, "task_run")["state_type"] == "COMPLETED"


def test_the_current_state_is_answered_with_everything_it_has(runs: Runs) -> None:
    id = runs.flow_run()
    stored = {"type": "reference", "key": "k"}
    first = runs.flow_to(id, COMPLETED, message="m", data=stored).value
    again = runs.flow_to(id, PENDING).value
    assert again.status is SetStateStatus.REJECT
    assert json.encode(again.state) == json.encode(first.state)


# --- repetition -----------------------------------------------------------------------------------


def test_a_repeated_proposal_gets_the_stored_answer_and_writes_nothing(runs: Runs) -> None:
    id = runs.flow_run()
    proposal = uuid7()
    first = runs.flow_to(id, RUNNING, id=proposal)
    runs.clock.advance(1)
    runs.flow_to(id, COMPLETED)
    before = (runs.row(id), runs.states(id), runs.events())
    statements = runs.store.statistics.statements
    again = runs.flow_to(id, RUNNING, id=proposal)
    assert runs.store.statistics.statements - statements == 1
    assert first.created and not again.created
    assert json.encode(again.value) == json.encode(first.value)
    assert (runs.row(id), runs.states(id), runs.events()) == before
    assert first.value.state is not None and first.value.state.id == proposal


def test_a_repeated_rejection_gets_the_stored_answer(runs: Runs) -> None:
    id = runs.flow_run(empirical_policy=FlowRunPolicy(retries=3))
    runs.flow_to(id, RUNNING)
    proposal = uuid7()
    first = runs.flow_to(id, FAILED, id=proposal)
    again = runs.flow_to(id, FAILED, id=proposal)
    assert first.value.status is SetStateStatus.REJECT
    assert json.encode(again.value) == json.encode(first.value)
    assert first.value.state is not None and first.value.state.id != proposal
    assert len(runs.states(id)) == 2


def test_a_wait_is_not_remembered(runs: Runs) -> None:
    id = runs.flow_run()
    due = runs.clock.now() + timedelta(seconds=3)
    runs.flow_to(id, SCHEDULED, state_details=StateDetails(scheduled_time=due))
    proposal = uuid7()
    assert runs.flow_to(id, RUNNING, id=proposal).value.status is SetStateStatus.WAIT
    runs.clock.advance(3)
    assert runs.flow_to(id, RUNNING, id=proposal).value.status is SetStateStatus.ACCEPT


def test_a_state_id_belongs_to_one_run(runs: Runs) -> None:
    proposal = uuid7()
    runs.flow_to(runs.flow_run(), RUNNING, id=proposal)
    other = runs.flow_run()
    with pytest.raises(ObjectConflict):
        runs.flow_to(other, RUNNING, id=proposal)
    assert runs.states(other) == []


def test_concurrent_proposals_are_decided_one_after_the_other(runs: Runs) -> None:
    """Claims of one run: one caller gets it, the others see the state it put in place."""
    id = runs.flow_run()
    runs.flow_to(id, SCHEDULED)
    answers: list[Made[OrchestrationResult]] = []
    callers = [
        threading.Thread(target=lambda: answers.append(runs.flow_to(id, PENDING))) for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    statuses = sorted(answer.value.status for answer in answers)
    assert statuses == [SetStateStatus.ABORT] * 5 + [SetStateStatus.ACCEPT]
    accepted = [answer for answer in answers if answer.value.status is SetStateStatus.ACCEPT]
    current = accepted[0].value.state
    assert all(json.encode(answer.value.state) == json.encode(current) for answer in answers)
    assert runs.row(id)["version"] == 2


def test_a_proposal_that_waited_for_another_is_decided_on_what_that_left(runs: Runs) -> None:
    """On PostgreSQL the waiting statement sees the new run beside the old state."""
    id = runs.flow_run()
    proposal = uuid7()
    waiting = SetStateBody(state=StateCreate(type=RUNNING, id=proposal))
    answers: list[Made[OrchestrationResult]] = []
    caller = threading.Thread(
        target=lambda: answers.append(
            runs.store.write_sync(set_flow_run_state, CONTEXT, id, body=waiting)
        )
    )

    def first(tx: Tx) -> Made[OrchestrationResult]:
        """Decide, then commit only when the other caller waits for this transaction.

        On SQLite it waits for its turn, outside of any statement.
        """
        made = set_flow_run_state(tx, CONTEXT, id, body=waiting)
        caller.start()
        if tx.dialect == "sqlite":
            return made
        blocked = (
            "SELECT 1 AS blocked FROM pg_locks"
            " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        while caller.is_alive() and not tx.fetch(blocked, []):
            pass
        return made

    made = runs.store.write_sync(first)
    caller.join()
    assert [made.created, answers[0].created] == [True, False]
    assert json.encode(answers[0].value) == json.encode(made.value)
    assert runs.row(id)["version"] == 1


def test_concurrent_repetitions_are_decided_once(runs: Runs) -> None:
    id = runs.flow_run()
    runs.flow_to(id, PENDING)
    proposal = uuid7()
    answers: list[Made[OrchestrationResult]] = []
    callers = [
        threading.Thread(target=lambda: answers.append(runs.flow_to(id, RUNNING, id=proposal)))
        for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len({json.encode(answer.value) for answer in answers}) == 1
    assert [answer.created for answer in answers].count(True) == 1
    assert runs.row(id)["version"] == 2 and runs.row(id)["run_count"] == 1


# --- forced ---------------------------------------------------------------------------------------


def test_force_skips_the_rules(runs: Runs) -> None:
    id = runs.flow_run(empirical_policy=FlowRunPolicy(retries=3))
    runs.flow_to(id, RUNNING)
    assert runs.flow_to(id, FAILED, force=True).value.status is SetStateStatus.ACCEPT
    result = runs.store.write_sync(
        force_state, CONTEXT, "flow_run", id, StateCreate(type=PAUSED, name="Held")
    )
    assert result.state is not None and result.state.name == "Held"
    assert runs.row(id)["state_name"] == "Held" and runs.row(id)["end_time"] is None


def test_the_first_state_of_a_run_is_applied_with_its_event(runs: Runs) -> None:
    def make(tx: Tx) -> str:
        id = put_flow_run(tx)
        force_state(tx, CONTEXT, "flow_run", id, StateCreate(type=PENDING))
        return id

    id = runs.store.write_sync(make)
    assert runs.row(id)["version"] == 1
    (event,) = runs.events()
    assert event["event"] == "prefect.flow-run.Pending" and event["follows"] is None


def test_a_run_that_changed_behind_the_lock_is_not_overwritten(runs: Runs) -> None:
    id = runs.flow_run()

    def change(tx: Tx) -> None:
        row = tx.one("transition.flow_run", id=id, proposal_id=None)
        assert row is not None
        tx.fetch("UPDATE flow_run SET version = version + 1 WHERE id = ? RETURNING id", [id])
        _Transition(
            tx,
            CONTEXT,
            RunKind.FLOW_RUN,
            row,
            StateCreate(type=RUNNING),
            force=False,
            policy=None,
        ).made()

    with pytest.raises(ServiceUnavailable, match="was changed meanwhile"):
        runs.store.write_sync(change)
    assert runs.states(id) == [] and runs.row(id)["version"] == 0


def test_a_run_is_marked_late_only_while_it_is_scheduled(runs: Runs) -> None:
    id = runs.flow_run()
    late = StateCreate(type=SCHEDULED, name="Late")
    runs.flow_to(id, SCHEDULED)
    result = runs.store.write_sync(mark_late, CONTEXT, id, state=late)
    assert result.status is SetStateStatus.ACCEPT and runs.row(id)["state_name"] == "Late"
    runs.flow_to(id, PENDING)
    result = runs.store.write_sync(mark_late, CONTEXT, id, state=late)
    assert result.status is SetStateStatus.REJECT and runs.row(id)["state_type"] == "PENDING"


# --- pausing and resuming -------------------------------------------------------------------------


def test_a_rejected_way_out_of_a_pause_does_not_mark_the_run_as_resuming(runs: Runs) -> None:
    """Otherwise the next running state would not be counted."""
    id = runs.flow_run()
    runs.flow_to(id, RUNNING)
    runs.flow_to(id, PAUSED)
    assert runs.flow_to(id, PENDING).value.status is SetStateStatus.REJECT
    assert not runs.row(id)["empirical_policy"].get("resuming")
    runs.flow_to(id, RUNNING)
    assert runs.row(id)["run_count"] == 2


def test_a_suspended_run_that_is_scheduled_again_is_not_counted_twice(runs: Runs) -> None:
    id = runs.flow_run(deployment_id=str(uuid7()))
    runs.flow_to(id, RUNNING)
    runs.flow_to(id, PAUSED, name="Suspended", state_details=StateDetails(pause_reschedule=True))
    runs.flow_to(id, SCHEDULED, name="Resuming")
    assert runs.row(id)["empirical_policy"]["resuming"] is True
    runs.flow_to(id, PENDING)
    runs.flow_to(id, RUNNING)
    row = runs.row(id)
    assert row["run_count"] == 1 and row["empirical_policy"]["resuming"] is False


def test_a_pause_has_a_timer_until_it_ends(runs: Runs) -> None:
    id = runs.flow_run()
    timeout = runs.clock.now() + timedelta(minutes=5)
    runs.flow_to(id, RUNNING)
    made = runs.flow_to(id, PAUSED, state_details=StateDetails(pause_timeout=timeout))
    assert made.value.state is not None
    (timer,) = runs.timers()
    assert (timer["kind"], timer["key"], timer["due"]) == ("pause-expiry", id, timeout)
    assert timer["payload"] == {"state_id": str(made.value.state.id)}
    runs.flow_to(id, RUNNING)
    assert runs.timers() == []


def test_a_pause_that_timed_out_has_failed(runs: Runs) -> None:
    id = runs.flow_run()
    runs.flow_to(id, RUNNING)
    timeout = runs.clock.now() + timedelta(seconds=1)
    runs.flow_to(id, PAUSED, state_details=StateDetails(pause_timeout=timeout))
    runs.clock.advance(2)
    made = runs.flow_to(id, RUNNING)
    assert made.value.status is SetStateStatus.REJECT
    assert runs.row(id)["state_type"] == "FAILED" and runs.timers() == []


def test_cancelling_has_a_timer_until_it_is_cancelled(runs: Runs) -> None:
    id = runs.flow_run()
    runs.flow_to(id, RUNNING)
    context = Context(limits=Limits(cancelling_seconds=60))
    made = runs.flow_to(id, CANCELLING, context=context)
    assert made.value.state is not None
    (timer,) = runs.timers()
    assert timer["kind"] == "cancelling-timeout"
    assert timer["due"] == made.value.state.timestamp + timedelta(seconds=60)
    runs.flow_to(id, CANCELLED)
    assert runs.timers() == []


# --- events ---------------------------------------------------------------------------------------


def test_the_event_of_a_transition(runs: Runs) -> None:
    runs.store.write_sync(put_flow, tags=("nightly", "z"))
    id = runs.flow_run(
        name="brisk-otter",
        tags=["a", "z"],
        deployment_id=runs.store.write_sync(
            put_deployment,
            id="22222222-2222-7222-8222-222222222222",
            name="nightly-etl",
            tags=["deployed"],
        ),
        created_by={
            "id": "33333333-3333-7333-8333-333333333333",
            "type": "AUTOMATION",
            "display_value": "rerun",
        },
    )
    first = runs.flow_to(id, PENDING).value.state
    runs.clock.advance(1)
    second = runs.flow_to(id, RUNNING, name="Special Name", message="hello").value.state
    assert first is not None and second is not None
    event = runs.events()[-1]
    assert event["event"] == "prefect.flow-run.Special Name"
    assert (event["id"], event["follows"]) == (str(second.id), str(first.id))
    assert event["occurred"] == second.timestamp
    assert event["resource_id"] == f"prefect.flow-run.{id}"
    assert event["resource"] == {
        "prefect.resource.id": f"prefect.flow-run.{id}",
        "prefect.resource.name": "brisk-otter",
        "prefect.run-count": "1",
        "prefect.state-message": "hello",
        "prefect.state-name": "Special Name",
        "prefect.state-timestamp": second.timestamp.isoformat(),
        "prefect.state-type": "RUNNING",
    }
    assert event["related"][:-1] == [
        {
            "prefect.resource.id": f"prefect.flow.{FLOW}",
            "prefect.resource.role": "flow",
            "prefect.resource.name": "etl",
        },
        {
            "prefect.resource.id": "prefect.deployment.22222222-2222-7222-8222-222222222222",
            "prefect.resource.role": "deployment",
            "prefect.resource.name": "nightly-etl",
        },
        {"prefect.resource.id": "prefect.tag.a", "prefect.resource.role": "tag"},
        {"prefect.resource.id": "prefect.tag.deployed", "prefect.resource.role": "tag"},
        {"prefect.resource.id": "prefect.tag.nightly", "prefect.resource.role": "tag"},
        {"prefect.resource.id": "prefect.tag.z", "prefect.resource.role": "tag"},
        {
            "prefect.resource.id": "prefect.automation.33333333-3333-7333-8333-333333333333",
            "prefect.resource.role": "creator",
            "prefect.resource.name": "rerun",
        },
    ]
    assert event["payload"] == {
        "intended": {"from": "PENDING", "to": "RUNNING"},
        "initial_state": {"type": "PENDING", "name": "Pending"},
        "validated_state": {"type": "RUNNING", "name": "Special Name", "message": "hello"},
    }


def test_a_change_after_five_minutes_follows_nothing(runs: Runs) -> None:
    id = runs.flow_run()
    runs.flow_to(id, PENDING)
    runs.clock.advance(300)
    runs.flow_to(id, RUNNING)
    assert runs.events()[-1]["follows"] is None


def test_the_first_state_of_a_scheduled_run_is_silent(runs: Runs) -> None:
    """And the second state's event does not follow an event that does not exist."""
    id = runs.flow_run(auto_scheduled=True)
    runs.store.write_sync(force_state, CONTEXT, "flow_run", id, StateCreate(type=SCHEDULED))
    assert runs.events() == []
    pending = runs.flow_to(id, PENDING).value.state
    runs.flow_to(id, RUNNING)
    assert pending is not None
    assert [event["follows"] for event in runs.events()] == [None, str(pending.id)]


def test_waiters_for_events_are_woken_after_the_commit(store: Store, runs: Runs) -> None:
    woken: list[frozenset[str]] = []
    id = runs.flow_run()
    store.on_wake = woken.append
    runs.flow_to(id, RUNNING)
    assert [topics for topics in woken if "events" in topics]


# --- subflows -------------------------------------------------------------------------------------


def test_a_subflow_run_shows_its_state_on_the_task_run_it_stands_for(runs: Runs) -> None:
    parent = runs.flow_run()
    stub = runs.task_run(flow_run_id=parent, name="child-0", tags=["stub"])
    child = runs.flow_run(parent_task_run_id=stub)
    runs.flow_to(child, RUNNING)
    made = runs.flow_to(child, COMPLETED, message="fine", data={"type": "reference"})
    state = made.value.state
    assert state is not None and state.state_details.task_run_id == UUID(stub)

    row = runs.row(stub, "task_run")
    assert (row["state_type"], row["run_count"], row["version"]) == ("COMPLETED", 1, 2)
    copy = runs.states(stub, "task_run")[-1]
    assert copy["id"] != str(state.id)
    assert copy["message"] == "fine" and copy["data"] == {"type": "reference"}
    assert copy["state_details"]["child_flow_run_id"] == child
    assert copy["state_details"]["flow_run_id"] == parent
    assert copy["state_details"]["task_run_id"] == stub
    related = runs.events()[-1]["related"]
    assert {
        "prefect.resource.id": f"prefect.task-run.{stub}",
        "prefect.resource.role": "task-run",
        "prefect.resource.name": "child-0",
    } in related
    assert {"prefect.resource.id": "prefect.tag.stub", "prefect.resource.role": "tag"} in related


def test_a_subflow_run_without_its_task_run_goes_on(runs: Runs) -> None:
    child = runs.flow_run(parent_task_run_id=str(uuid7()))
    assert runs.flow_to(child, RUNNING).value.status is SetStateStatus.ACCEPT


# --- task runs ------------------------------------------------------------------------------------


def test_a_task_run_starts_only_while_its_flow_run_runs(runs: Runs) -> None:
    parent = runs.flow_run()
    task_run = runs.task_run(flow_run_id=parent)
    assert runs.task_to(task_run, RUNNING).value.status is SetStateStatus.ABORT
    runs.flow_to(parent, RUNNING)
    assert runs.task_to(task_run, RUNNING).value.status is SetStateStatus.ACCEPT
    assert runs.row(task_run, "task_run")["flow_run_run_count"] == 1
    timeout = runs.clock.now() + timedelta(minutes=1)
    runs.flow_to(parent, PAUSED, state_details=StateDetails(pause_timeout=timeout))
    made = runs.task_to(task_run, RUNNING)
    assert made.value.state is not None and made.value.state.name == "NotReady"
    assert made.value.state.state_details.pause_timeout == timeout


def test_states_of_task_runs_make_no_events(runs: Runs) -> None:
    runs.task_to(runs.task_run(), RUNNING)
    assert runs.events() == []


def test_a_task_run_retries_with_the_delay_of_its_attempt(runs: Runs) -> None:
    task_run = runs.task_run(empirical_policy=TaskRunPolicy(retries=2, retry_delay=[1, 10]))
    for delay in (1, 10):
        runs.task_to(task_run, RUNNING)
        made = runs.task_to(task_run, FAILED)
        assert made.value.state is not None
        due = made.value.state.state_details.scheduled_time
        assert due == runs.clock.now() + timedelta(seconds=delay)
        runs.clock.advance(delay)
    made = runs.task_to(task_run, RUNNING)
    assert made.value.state is not None and made.value.state.name == "Retrying"
    assert runs.task_to(task_run, FAILED).value.status is SetStateStatus.ACCEPT


def test_a_stored_result_is_found_by_its_cache_key(runs: Runs) -> None:
    now = runs.clock.now()
    kept = StateDetails(cache_key="k", cache_expiration=now + timedelta(minutes=1))
    stored = {"type": "reference", "key": "r"}
    first = runs.task_run()
    runs.task_to(first, COMPLETED, state_details=kept, data=stored)

    second = runs.task_run()
    made = runs.task_to(second, RUNNING, state_details=StateDetails(cache_key="k"))
    assert made.created and made.value.status is SetStateStatus.REJECT
    row = runs.row(second, "task_run")
    assert (row["state_type"], row["state_name"]) == ("COMPLETED", "Cached")
    copy = runs.states(second, "task_run")[-1]
    assert copy["data"] == stored and copy["state_details"]["task_run_id"] == second

    fresh = StateDetails(cache_key="k", refresh_cache=True)
    assert runs.task_to(runs.task_run(), RUNNING, state_details=fresh).value.status == "ACCEPT"
    runs.clock.advance(61)
    late = runs.task_to(runs.task_run(), RUNNING, state_details=StateDetails(cache_key="k"))
    assert late.value.status is SetStateStatus.ACCEPT


def test_an_overlong_cache_key_is_told_and_not_kept(runs: Runs) -> None:
    details = StateDetails(cache_key="k" * 11)
    context = Context(limits=Limits(cache_key_length=10))
    task_run = runs.task_run()
    made = runs.task_to(task_run, COMPLETED, state_details=details, context=context)
    assert made.value.status is SetStateStatus.REJECT
    assert runs.row(task_run, "task_run")["state_type"] == "COMPLETED"
    again = runs.task_to(runs.task_run(), RUNNING, state_details=details, context=context)
    assert again.value.status is SetStateStatus.ACCEPT


def test_a_background_task_run_is_offered_and_keeps_its_parameters(
    store: Store, runs: Runs
) -> None:
    woken: list[frozenset[str]] = []
    store.on_wake = woken.append
    parameters = uuid7()
    task_run = runs.task_run(empirical_policy=TaskRunPolicy(retries=1))
    details = StateDetails(deferred=True, task_parameters_id=parameters)
    runs.task_to(task_run, SCHEDULED, state_details=details, force=True)
    assert frozenset({"task_runs"}) in woken
    assert runs.task_to(task_run, PENDING).value.status is SetStateStatus.ACCEPT
    assert runs.task_to(task_run, PENDING).value.status is SetStateStatus.ABORT
    runs.task_to(task_run, RUNNING)
    woken.clear()
    runs.task_to(task_run, FAILED)
    assert frozenset({"task_runs"}) in woken
    held = [state["state_details"] for state in runs.states(task_run, "task_run")]
    assert [details["task_parameters_id"] for details in held] == [str(parameters)] * 4
    assert runs.row(task_run, "task_run")["state_name"] == "AwaitingRetry"


@pytest.mark.parametrize("name", ["transition.flow_run", "transition.task_run"])
def test_both_databases_read_the_same_and_one_locks(name: str) -> None:
    """SQLite has one writer; the statement of PostgreSQL differs by its lock, and by how it makes
    JSON of the limits on tags."""
    limits = re.compile(r"CASE WHEN run\.tags .*? AS tag_limits", re.DOTALL)
    plain, locking = (
        re.sub(r"\?|\$\d+", "MARK", limits.sub("LIMITS", statements(dialect)[name].sql)).split()
        for dialect in ("sqlite", "postgresql")
    )
    assert locking == [*plain, "FOR", "NO", "KEY", "UPDATE", "OF", "run"]
