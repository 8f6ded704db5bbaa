"""The recorder on real databases: rows built from events, and what is left out."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw, ValidationError
from msgspec.structs import replace
from tests.store.run_rows import put_flow_run, put_task_run, run_row, state_rows
from tests.store.task_events import task_event

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.events import Event
from penstock.schemas.states import SetStateBody, StateCreate, StateDetails, StateType
from penstock.server.ops.context import Context
from penstock.server.ops.recorder import record
from penstock.server.ops.transition import set_task_run_state
from penstock.server.store import Store
from penstock.server.store.transaction import Row

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def complete(seconds: float, **fields: Any) -> dict[str, Any]:
    """The times and counters of an engine that keeps them."""
    return {
        "run_count": 0,
        "start_time": None,
        "end_time": None,
        "expected_start_time": START.isoformat(),
        "next_scheduled_start_time": None,
        "total_run_time": 0.0,
        **fields,
    }


def a_run(run_id: str, flow_run_id: str | None = None, **more: Any) -> list[Event]:
    """Pending, running, completed, with the run as the engine sees it each time."""
    started = {"run_count": 1, "start_time": at(1).isoformat()}
    ended = {**started, "end_time": at(3).isoformat(), "total_run_time": 2.0}
    return [
        task_event(run_id, "PENDING", at(0), flow_run_id=flow_run_id, **complete(0), **more),
        task_event(
            run_id, "RUNNING", at(1), flow_run_id=flow_run_id, **complete(1, **started), **more
        ),
        task_event(
            run_id, "COMPLETED", at(3), flow_run_id=flow_run_id, **complete(3, **ended), **more
        ),
    ]


def task_run(store: Store, id: str) -> Row:
    return store.read_sync(run_row, "task_run", id)


def states(store: Store, id: str) -> list[Row]:
    return store.read_sync(state_rows, "task_run", id)


def is_there(store: Store, id: str) -> bool:
    return bool(store.read_sync(lambda tx: tx.fetch("SELECT 1 FROM task_run WHERE id = ?", [id])))


def test_a_task_run_is_built_from_its_events(store: Store) -> None:
    flow_run, id = store.write_sync(put_flow_run), str(uuid7())
    events = a_run(id, flow_run, tags=("a", "b"), flow_run_run_count=2, labels={"team": "x"})
    store.write_sync(record, events)
    row = task_run(store, id)
    assert row["flow_run_id"] == flow_run
    assert (row["task_key"], row["dynamic_key"], row["name"]) == ("add-1234", id, "add-0")
    assert (row["state_type"], row["state_name"]) == ("COMPLETED", "Completed")
    assert (row["state_id"], row["state_timestamp"]) == (str(events[2].id), at(3))
    assert (row["run_count"], row["flow_run_run_count"]) == (1, 2)
    assert (row["start_time"], row["end_time"]) == (at(1), at(3))
    assert row["expected_start_time"] == at(0) and row["total_run_time"] == 2.0
    assert row["tags"] == ["a", "b"] and row["labels"] == {"team": "x"}
    assert row["task_inputs"] == {"x": [{"input_type": "constant", "type": "int"}]}
    stored = states(store, id)
    assert [state["id"] for state in stored] == [str(event.id) for event in events]
    assert [state["timestamp"] for state in stored] == [at(0), at(1), at(3)]
    for state in stored:
        assert state["state_details"]["task_run_id"] == id
        assert state["state_details"]["flow_run_id"] == flow_run


def test_result_metadata_is_kept_only_for_stored_results(store: Store) -> None:
    kept, dropped = str(uuid7()), str(uuid7())
    reference = {"type": "reference", "storage_key": "s"}
    store.write_sync(
        record,
        [
            task_event(kept, "COMPLETED", at(0), data=reference, **complete(0)),
            task_event(dropped, "COMPLETED", at(0), data={"type": "unpersisted"}, **complete(0)),
        ],
    )
    assert states(store, kept)[0]["data"] == reference
    assert states(store, dropped)[0]["data"] is None


def test_an_older_state_is_stored_and_does_not_move_the_run(store: Store) -> None:
    id = str(uuid7())
    first, second, third = a_run(id)
    store.write_sync(record, [third])
    moved = task_run(store, id)
    store.write_sync(record, [first, second])
    assert task_run(store, id) == moved
    assert len(states(store, id)) == 3


def test_any_number_of_events_costs_four_statements(store: Store) -> None:
    flow_run = store.write_sync(put_flow_run)
    for size in (1, 40):
        events = [event for _ in range(size) for event in a_run(str(uuid7()), flow_run)]
        before = store.statistics.statements
        store.write_sync(record, events)
        assert store.statistics.statements - before == 4


def test_a_time_without_offset_is_utc(store: Store) -> None:
    id, plain = str(uuid7()), "2026-01-01T00:00:00"
    event = task_event(
        id,
        "SCHEDULED",
        datetime(2026, 1, 1),
        details={"scheduled_time": plain, "cache_expiration": plain},
        cache_expiration=plain,
        **complete(0, start_time=plain, expected_start_time=plain),
    )
    store.write_sync(record, [event])
    row = task_run(store, id)
    for column in (
        "state_timestamp",
        "start_time",
        "expected_start_time",
        "next_scheduled_start_time",
        "cache_expiration",
    ):
        assert row[column] == at(0)
    ended = task_event(id, "FAILED", at(1), **complete(1, end_time=plain))
    store.write_sync(record, [ended])
    assert task_run(store, id)["end_time"] == at(0)


def test_other_events_cost_nothing(store: Store) -> None:
    id = str(uuid7())
    reported = a_run(id)[0]
    others = [
        replace(reported, event="prefect.flow-run.Pending"),
        replace(reported, resource={"prefect.resource.id": f"prefect.task-run.{id}"}),
    ]
    before = store.statistics.statements
    store.write_sync(record, others)
    assert store.statistics.statements == before
    assert not is_there(store, id)


def test_the_payload_may_still_be_text(store: Store) -> None:
    id = str(uuid7())
    events = [replace(event, payload=Raw(json.encode(event.payload))) for event in a_run(id)]
    store.write_sync(record, events)
    assert task_run(store, id)["state_type"] == "COMPLETED"


def test_the_flow_run_may_be_named_by_the_state_alone(store: Store) -> None:
    flow_run, id = store.write_sync(put_flow_run), str(uuid7())
    details = {"flow_run_id": flow_run}
    store.write_sync(record, [task_event(id, "RUNNING", at(0), details=details, **complete(0))])
    assert task_run(store, id)["flow_run_id"] == flow_run


def test_events_of_a_missing_flow_run_do_not_hurt_the_others(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    flow_run, good, gone = store.write_sync(put_flow_run), str(uuid7()), str(uuid7())
    deleted = str(uuid7())
    with caplog.at_level(logging.WARNING):
        store.write_sync(record, a_run(gone, deleted) + a_run(good, flow_run))
    assert task_run(store, good)["state_type"] == "COMPLETED"
    assert not is_there(store, gone)
    assert "3 events" in caplog.text and deleted in caplog.text


def malformed(id: str) -> list[Event]:
    event = a_run(id)[0]
    state, run = event.payload["validated_state"], event.payload["task_run"]
    label = "prefect.resource.id"
    return [
        replace(event, payload={}),
        replace(event, payload={"validated_state": state}),
        replace(event, payload={"validated_state": {"type": "LOST"}, "task_run": run}),
        replace(event, payload={"validated_state": state, "task_run": {"name": "no keys"}}),
        replace(event, payload={"validated_state": None, "task_run": run}),
        replace(event, payload={"validated_state": state, "task_run": {**run, "run_count": 1e30}}),
        replace(event, payload={"validated_state": state, "task_run": {**run, "run_count": 9**30}}),
        replace(event, payload={"validated_state": state, "task_run": {**run, "run_count": -1}}),
        replace(event, payload=[]),
        replace(event, resource={**event.resource, label: "prefect.task-run.7"}),
        replace(event, resource={**event.resource, label: f"prefect.flow-run.{id}"}),
        replace(event, related=[{label: "x", "prefect.resource.role": "flow-run"}]),
    ]


def test_malformed_events_do_not_hurt_the_others(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = str(uuid7()), str(uuid7())
    events = [replace(event, id=uuid7()) for event in malformed(bad)]
    with caplog.at_level(logging.WARNING):
        store.write_sync(record, events[:4] + a_run(good) + events[4:])
    assert task_run(store, good)["state_type"] == "COMPLETED"
    assert not is_there(store, bad)
    assert all(str(event.id) in caplog.text for event in events)


def test_two_states_at_one_instant_do_not_stop_the_batch(store: Store) -> None:
    id = str(uuid7())
    first = task_event(id, "PENDING", at(0), **complete(0))
    twin = replace(task_event(id, "RUNNING", at(0), **complete(0)), id=uuid7())
    store.write_sync(record, [first, twin, *a_run(str(uuid7()))])
    row, stored = task_run(store, id), states(store, id)
    assert [state["id"] for state in stored] == [row["state_id"]]


def test_a_run_made_by_request_is_found_by_its_natural_key(store: Store) -> None:
    flow_run = store.write_sync(put_flow_run)
    id = store.write_sync(put_task_run, flow_run_id=flow_run, task_key="t", dynamic_key="0")
    other = str(uuid7())
    store.write_sync(record, a_run(other, flow_run, task_key="t", dynamic_key="0"))
    assert task_run(store, id)["state_type"] == "COMPLETED"
    assert len(states(store, id)) == 3
    assert not is_there(store, other)


def test_two_ids_of_one_natural_key_become_one_run(store: Store) -> None:
    flow_run = store.write_sync(put_flow_run)
    one, two = sorted((str(uuid7()), str(uuid7())))
    keys = {"task_key": "t", "dynamic_key": "0"}
    store.write_sync(record, a_run(two, flow_run, **keys)[1:] + a_run(one, flow_run, **keys)[:1])
    assert task_run(store, one)["state_type"] == "COMPLETED"
    assert not is_there(store, two)


def test_a_run_of_the_server_goes_on_with_its_events(store: Store) -> None:
    """A background task run is scheduled by request and run by a worker that reports events."""
    id = store.write_sync(put_task_run)
    body = SetStateBody(
        state=StateCreate(
            type=StateType.SCHEDULED,
            timestamp=at(-1),
            state_details=StateDetails(deferred=True, scheduled_time=at(-1)),
        )
    )
    store.write_sync(set_task_run_state, Context(), id, body=body)
    assert task_run(store, id)["next_scheduled_start_time"] == at(-1)
    store.write_sync(record, a_run(id))
    row = task_run(store, id)
    assert row["state_type"] == "COMPLETED" and row["next_scheduled_start_time"] is None
    body = SetStateBody(state=StateCreate(type=StateType.CANCELLED), force=True)
    made = store.write_sync(set_task_run_state, Context(), id, body=body)
    assert made.created and len(states(store, id)) == 5


def test_an_engine_that_keeps_no_times_gets_them_from_its_states(store: Store) -> None:
    id = str(uuid7())
    due = at(10)
    events = [
        task_event(id, "PENDING", at(0)),
        task_event(id, "RUNNING", at(1)),
        task_event(
            id,
            "SCHEDULED",
            at(3),
            name="AwaitingRetry",
            details={"scheduled_time": due.isoformat()},
        ),
        task_event(id, "RUNNING", at(10), name="Retrying"),
        task_event(id, "COMPLETED", at(14)),
    ]
    store.write_sync(record, events[2:3])
    assert task_run(store, id)["next_scheduled_start_time"] == due
    store.write_sync(record, [events[4], events[1]])
    store.write_sync(record, [events[0], events[3]])
    row = task_run(store, id)
    assert (row["run_count"], row["total_run_time"]) == (2, 6.0)
    assert (row["start_time"], row["end_time"]) == (at(1), at(14))
    assert row["expected_start_time"] == at(0) and row["next_scheduled_start_time"] is None


def test_events_of_one_run_may_come_over_several_connections(store: Store) -> None:
    """At the same time, overlapping, and in opposite orders."""
    flow_run = store.write_sync(put_flow_run)
    ids = [str(uuid7()) for _ in range(10)]
    events = [event for id in ids for event in a_run(id, flow_run)]
    shares = [events, events[::-1], events[::2], events[1::2], events[10:] + events[:10]]
    callers = [threading.Thread(target=store.write_sync, args=(record, share)) for share in shares]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for number, id in enumerate(ids):
        row = task_run(store, id)
        assert row["state_id"] == str(events[3 * number + 2].id)
        assert (row["state_type"], row["total_run_time"]) == ("COMPLETED", 2.0)
        assert len(states(store, id)) == 3


oddities = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["", "\0", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00", "RUNNING"]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values),
    max_leaves=5,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_an_event_holds_its_neighbours_are_recorded(
    store: Store, data: st.DataObject
) -> None:
    odd_id, good_id = str(uuid7()), str(uuid7())
    valid = task_event(odd_id, "SCHEDULED", at(0), tags=("a",), details={}, **complete(0))
    document = json.decode(json.encode(replace(valid, id=uuid7())))
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(document, data)
    try:
        odd = json.decode(json.encode(document), Event)
    except ValidationError:
        return
    store.write_sync(record, [odd, *a_run(good_id), odd])
    assert task_run(store, good_id)["state_type"] == "COMPLETED"
    assert len(states(store, good_id)) == 3


def mutate(document: dict[str, Any], data: st.DataObject) -> None:
    """Replace or remove one member somewhere in the event."""
    inner = document
    while True:
        key = data.draw(st.sampled_from(sorted(inner)))
        if not isinstance(inner[key], dict) or not inner[key] or data.draw(st.integers(0, 4)) == 0:
            break
        inner = inner[key]
    if data.draw(st.integers(0, 3)) == 0 and inner is not document:
        del inner[key]
    else:
        inner[key] = data.draw(oddities)
