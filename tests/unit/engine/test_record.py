"""Task runs as their process keeps them, and their events."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.inputs import TASK_RUN, Inputs
from penstock.engine.record import FOLLOWS_WITHIN, TaskRecord, TaskShape, related_resource
from penstock.schemas.events import Event
from penstock.schemas.states import State, StateDetails, StateType
from penstock.schemas.task_runs import TaskRunPolicy

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def record(**fields):
    shape = TaskShape("key-1", "v", TaskRunPolicy(retries=2, retry_delay=[1.0]), ["b", "a"])
    defaults = {"id": uuid4(), "name": "add-abc", "dynamic_key": "dyn", "inputs": Inputs()}
    return TaskRecord(shape, **(defaults | fields))


def enter(run, type, at=START, **fields):
    entered, event = run.enter(State(type=type, **fields), at)
    return entered, msgspec.json.decode(event, type=Event)


def test_the_event_of_a_transition_says_everything():
    flow_run = uuid4()
    inputs = Inputs()
    upstream = uuid4()
    inputs.note("x", (TASK_RUN, upstream))
    run = record(
        flow_run_id=flow_run,
        flow_run_run_count=3,
        inputs=inputs,
        related=related_resource("flow-run", flow_run, "flow-run", "name"),
    )
    first, _ = enter(run, StateType.PENDING)
    state, event = enter(run, StateType.RUNNING, START + SECOND)
    assert event.id == state.id
    assert event.follows == first.id
    assert event.occurred == state.timestamp == START + SECOND
    assert event.event == "prefect.task-run.Running"
    assert event.resource == {
        "prefect.resource.id": f"prefect.task-run.{run.id}",
        "prefect.resource.name": "add-abc",
        "prefect.run-count": "1",
        "prefect.state-message": "",
        "prefect.state-name": "Running",
        "prefect.state-timestamp": "2026-01-01T00:00:01Z",
        "prefect.state-type": "RUNNING",
        "prefect.orchestration": "client",
    }
    assert [r["prefect.resource.id"] for r in event.related] == [
        "prefect.tag.a",
        "prefect.tag.b",
        f"prefect.flow-run.{flow_run}",
    ]
    details = {"flow_run_id": str(flow_run), "task_run_id": str(run.id)}
    assert event.payload["intended"] == {"from": "PENDING", "to": "RUNNING"}
    assert event.payload["initial_state"] == {
        "type": "PENDING",
        "name": "Pending",
        "message": "",
        "state_details": details,
    }
    assert event.payload["validated_state"]["state_details"] == details
    task_run = event.payload["task_run"]
    assert task_run["task_key"] == "key-1"
    assert task_run["dynamic_key"] == "dyn"
    assert task_run["run_count"] == 1
    assert task_run["flow_run_run_count"] == 3
    assert task_run["empirical_policy"]["retries"] == 2
    assert task_run["task_inputs"] == {"x": [{"input_type": "task_run", "id": str(upstream)}]}
    assert not {"id", "created", "updated", "flow_run_id", "state"} & task_run.keys()


def test_equal_timestamps_are_moved_apart():
    run = record()
    times = [enter(run, type)[0].timestamp for type in (StateType.PENDING, StateType.RUNNING)]
    assert times == [START, START + timedelta(microseconds=1)]


def test_what_is_long_ago_is_not_followed():
    run = record()
    enter(run, StateType.PENDING)
    _, event = enter(run, StateType.RUNNING, START + FOLLOWS_WITHIN)
    assert event.follows is None


def test_times_and_counts_follow_the_states():
    run = record()
    enter(run, StateType.PENDING)
    enter(run, StateType.RUNNING, START + SECOND)
    enter(run, StateType.SCHEDULED, START + 3 * SECOND, name="AwaitingRetry")
    enter(run, StateType.RUNNING, START + 4 * SECOND, name="Retrying")
    enter(run, StateType.COMPLETED, START + 5 * SECOND)
    assert run.run_count == 2
    assert run.start_time == START + SECOND
    assert run.end_time == START + 5 * SECOND
    assert run.total_run_time == 3.0
    snapshot = run.snapshot
    assert snapshot.state_name == "Completed"
    assert snapshot.total_run_time == 3.0
    assert snapshot is run.snapshot


def test_details_of_a_state_are_kept_and_completed():
    run = record()
    due = START + SECOND
    state, event = enter(run, StateType.SCHEDULED, state_details=StateDetails(scheduled_time=due))
    assert state.state_details.task_run_id == run.id
    assert event.payload["validated_state"]["state_details"] == {
        "scheduled_time": "2026-01-01T00:00:01Z",
        "task_run_id": str(run.id),
    }
    assert run.expected_start_time == due


def test_data_is_in_the_event_when_it_is_stored():
    run = record()
    _, event = run.enter(State(type=StateType.COMPLETED), START, b'{"k":1}')
    assert msgspec.json.decode(event)["payload"]["validated_state"]["data"] == {"k": 1}


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_any_text_makes_a_valid_event(name: str, state_name: str, message: str):
    run = record(name=name)
    _, event = enter(run, StateType.RUNNING, name=state_name, message=message)
    assert event.resource["prefect.resource.name"] == name
    assert event.event == f"prefect.task-run.{state_name}"
    assert event.resource["prefect.state-message"] == message


def test_long_messages_are_cut():
    state, event = enter(record(), StateType.FAILED, message="x" * 200_000)
    assert len(state.message or "") == 100_000
    assert len(event.resource["prefect.state-message"]) == 100_000


def test_a_renamed_run_has_its_name_in_later_events():
    run = record()
    enter(run, StateType.PENDING)
    run.rename("other")
    _, event = enter(run, StateType.RUNNING, START + SECOND)
    assert event.resource["prefect.resource.name"] == "other"
    assert event.payload["task_run"]["name"] == "other"
    assert run.snapshot.name == "other"


@pytest.mark.parametrize("type", list(StateType))
def test_every_type_of_state_can_be_entered(type):
    _, event = enter(record(), type)
    assert event.payload["validated_state"]["type"] == type.value
