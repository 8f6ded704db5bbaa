"""Making states, turning outcomes into states, reading results out of states."""

import asyncio
import concurrent.futures
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from penstock.base.json import encode
from penstock.filesystems import LocalFileSystem
from penstock.result_records import ResultRecord, ResultRecordMetadata
from penstock.results import ResultStore
from penstock.schemas.errors import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingResult,
    PausedRun,
    SerializationError,
    TerminationSignal,
    UnfinishedRun,
)
from penstock.schemas.states import State, StateDetails, StateType
from penstock.states import (
    AwaitingConcurrencySlot,
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    InfrastructurePending,
    Late,
    Paused,
    Pending,
    Retrying,
    Running,
    Scheduled,
    StateGroup,
    Submitting,
    Suspended,
    aggregate_state,
    araise_state_exception,
    crashed_state,
    exception_to_crashed_state,
    exception_to_failed_state,
    failed_state,
    format_exception,
    get_state_exception,
    get_state_result,
    is_state,
    is_state_iterable,
    raise_state_exception,
    reading,
    return_value_to_state,
    state_to_wire,
    to_state_create,
    value_state,
)

THEN = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return ResultStore(result_storage=LocalFileSystem(tmp_path))


def as_read(state):
    """The state as another process gets it from the API."""
    document = json.loads(encode(state_to_wire(state)))
    return state.model_copy(update={"data": document["data"]})


# --- constructors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "type", "name"),
    [
        (Scheduled, StateType.SCHEDULED, "Scheduled"),
        (Late, StateType.SCHEDULED, "Late"),
        (AwaitingRetry, StateType.SCHEDULED, "AwaitingRetry"),
        (AwaitingConcurrencySlot, StateType.SCHEDULED, "AwaitingConcurrencySlot"),
        (Pending, StateType.PENDING, "Pending"),
        (Submitting, StateType.PENDING, "Submitting"),
        (InfrastructurePending, StateType.PENDING, "InfrastructurePending"),
        (Running, StateType.RUNNING, "Running"),
        (Retrying, StateType.RUNNING, "Retrying"),
        (Completed, StateType.COMPLETED, "Completed"),
        (Failed, StateType.FAILED, "Failed"),
        (Crashed, StateType.CRASHED, "Crashed"),
        (Cancelling, StateType.CANCELLING, "Cancelling"),
        (Cancelled, StateType.CANCELLED, "Cancelled"),
        (Paused, StateType.PAUSED, "Paused"),
        (Suspended, StateType.PAUSED, "Suspended"),
    ],
)
def test_each_constructor_gives_its_type_and_name(make, type, name):
    state = make(message="why")
    assert (state.type, state.name, state.message) == (type, name, "why")
    assert make(name="Mine").name == "Mine"
    assert isinstance(make(State), State)


@pytest.mark.parametrize("make", [Scheduled, Late, AwaitingRetry, AwaitingConcurrencySlot])
def test_scheduled_states_have_a_time_by_default_now(make):
    before = datetime.now(UTC)
    assert before <= make().state_details.scheduled_time <= datetime.now(UTC)
    assert make(scheduled_time=THEN).state_details.scheduled_time == THEN
    details = StateDetails(scheduled_time=THEN, cache_key="k")
    assert make(state_details=details).state_details == details
    with pytest.raises(ValueError, match="only once"):
        make(scheduled_time=THEN, state_details=details)


def test_a_pause_ends_at_a_time_or_after_seconds():
    assert Paused().state_details.pause_timeout is None
    assert Paused(pause_expiration_time=THEN).state_details.pause_timeout == THEN
    end = Paused(timeout_seconds=60).state_details.pause_timeout
    assert end is not None
    left = end - datetime.now(UTC)
    assert timedelta(seconds=55) < left <= timedelta(seconds=60)
    with pytest.raises(ValueError, match="not both"):
        Paused(timeout_seconds=1, pause_expiration_time=THEN)
    with pytest.raises(ValueError, match="only once"):
        Paused(timeout_seconds=1, state_details=StateDetails(pause_timeout=THEN))


def test_a_suspension_is_a_pause_that_is_rescheduled():
    state = Suspended(pause_expiration_time=THEN, pause_key="k")
    assert state.state_details.pause_reschedule is True
    assert state.state_details.pause_key == "k"
    assert Paused(pause_key="k").state_details.pause_reschedule is False


def test_a_copy_changes_only_what_is_named():
    state = Completed(data={"a": [1]}, state_details=StateDetails(flow_run_id=UUID(int=1)))
    copy = state.model_copy(update={"name": "X"})
    assert (copy.id, copy.name, copy.data) == (state.id, "X", state.data)
    assert copy.data is state.data
    assert state.model_copy(deep=True).data is not state.data
    fresh = state.fresh_copy(message="again")
    assert fresh.id != state.id
    assert fresh.timestamp > state.timestamp
    assert fresh.state_details.flow_run_id is None
    assert (fresh.type, fresh.message) == (state.type, "again")


# --- groups --------------------------------------------------------------------------------------


def test_a_collection_of_states_is_a_list_tuple_or_set_of_nothing_else():
    assert is_state(Completed())
    assert not is_state("Completed")
    assert is_state_iterable([Completed(), Failed()])
    assert is_state_iterable((Completed(),))
    one: Any = Completed()
    assert is_state_iterable({one})
    for other in ([], [Completed(), 1], {"a": Completed()}, Completed(), iter([Completed()]), None):
        assert not is_state_iterable(other)


@pytest.mark.parametrize(
    ("members", "type", "message"),
    [
        ([Completed(), Completed()], StateType.COMPLETED, "All states completed."),
        ([Completed(), Cancelled(), Failed()], StateType.CANCELLED, "1/3 states cancelled."),
        ([Completed(), Paused(), Failed()], StateType.PAUSED, "1/3 states paused."),
        ([Completed(), Failed(), Crashed()], StateType.FAILED, "2/3 states failed."),
        ([Completed(), Pending(name="NotReady")], StateType.FAILED, "1/2 states are not final."),
    ],
)
def test_states_together_make_one(members, type, message, store):
    for state in (aggregate_state(members), value_state(members, store)):
        assert (state.type, state.message) == (type, message)
    assert value_state(tuple(members), store).type == type


def test_a_group_counts():
    group = StateGroup([Completed(), Failed(), Crashed(), Running(), Cancelled(), Paused()])
    assert group.fail_count == 2
    assert group.any_failed()
    assert group.any_cancelled()
    assert group.any_paused()
    assert not group.all_final()
    assert not group.all_completed()
    assert "total=6" in group.counts_message()
    assert "not_final=2" in group.counts_message()
    assert "FAILED=1" in group.counts_message()


# --- outcomes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, None, [], {"a": 1}, [1, Completed()], {"f": Completed()}])
def test_anything_else_is_the_data_of_a_completed_state(value, store):
    state = value_state(value, store)
    assert state.is_completed()
    assert state.result() == value


def test_a_state_of_the_users_own_is_kept(store):
    given = Completed(name="X", data=5)
    state = value_state(given, store)
    assert (state.id, state.name, state.result()) == (given.id, "X", 5)
    failed = value_state(Failed(message="no"), store)
    assert failed.is_failed()
    assert failed.data is None


def test_a_state_of_a_run_decides_the_outcome(store):
    details = StateDetails(task_run_id=UUID(int=1))
    inner = Failed(message="inner", state_details=details)
    state = value_state(inner, store)
    assert (state.type, state.message) == (StateType.FAILED, "1/1 states failed.")
    assert state.id != inner.id
    done = value_state(Completed(data=ResultRecord(3), state_details=details), store)
    assert done.is_completed()


def test_a_generator_is_read_into_a_list(store):
    assert value_state((i for i in range(3)), store).result() == [0, 1, 2]


def test_a_record_is_taken_as_it_is(store):
    record = store.create_result_record(3, key="k")
    assert value_state(record, store).data is record


def test_making_a_state_writes_only_when_asked(store):
    state = return_value_to_state(5, store, key="k")
    assert not store.exists("k")
    assert not state.data.persisted
    written = return_value_to_state(5, store, key="k", expiration=THEN, write_result=True)
    assert written.data.persisted
    assert written.data.expiration == THEN
    with pytest.raises(SerializationError):
        return_value_to_state(threading.Lock(), store, write_result=True)


def test_the_asynchronous_colour_does_the_same(store):
    async def main():
        state: Any = return_value_to_state(5, store, key="k", write_result=True)
        failed: Any = exception_to_failed_state(ValueError("x"), store, write_result=True)
        crashed: Any = exception_to_crashed_state(SystemExit(1))
        return await state, await failed, await crashed

    state, failed, crashed = asyncio.run(main())
    assert state.data.persisted
    assert failed.data.persisted
    assert crashed.is_crashed()


def test_a_failed_state_names_the_exception(store):
    state = failed_state(ValueError("bad"), store, message="Flow run encountered an exception:")
    assert state.message == "Flow run encountered an exception: ValueError: bad"
    assert state.is_failed()
    assert failed_state(ValueError(), name="TimedOut").message == "ValueError"
    assert failed_state(ValueError(), name="TimedOut").name == "TimedOut"
    try:
        raise KeyError("current")
    except KeyError:
        assert "KeyError" in str(exception_to_failed_state().message)
    with pytest.raises(ValueError, match="no exception"):
        exception_to_failed_state()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyboardInterrupt(), "interrupt signal"),
        (TerminationSignal(signal=15), "termination signal"),
        (SystemExit(1), "system exit"),
        (asyncio.CancelledError(), "cancelled by the runtime"),
        (concurrent.futures.CancelledError(), "cancelled by the runtime"),
        (MemoryError("full"), "MemoryError: full"),
    ],
)
def test_a_crashed_state_names_the_cause(error, words):
    state = crashed_state(error)
    assert state.is_crashed()
    assert words in state.message
    assert state.data.result is error


def test_an_exception_is_written_with_its_traceback_when_given():
    try:
        raise ValueError("x")
    except ValueError as error:
        text = format_exception(error, error.__traceback__)
    assert "Traceback" in text
    assert text.endswith("ValueError: x\n")


# --- the wire ------------------------------------------------------------------------------------


def test_only_metadata_of_written_results_is_sent(store):
    state = return_value_to_state({"secret": 1}, store, key="k", write_result=True)
    wire = state_to_wire(state)
    assert (wire.id, wire.timestamp, wire.type, wire.name) == (
        state.id,
        state.timestamp,
        state.type,
        state.name,
    )
    document = json.loads(encode(wire))
    assert document["data"]["storage_key"].endswith("/k")
    assert "secret" not in encode(wire).decode()


def test_what_is_not_written_is_not_sent(store):
    state = return_value_to_state(5, store, key="k")
    assert to_state_create(state).data is None
    assert isinstance(state_to_wire(state, persisting=True).data, ResultRecordMetadata)


@pytest.mark.parametrize("data", [None, "text", 1, {"a": [1]}, [True]])
def test_plain_data_is_sent_as_it_is(data):
    assert state_to_wire(Completed(data=data)).data == data


@pytest.mark.parametrize("data", [object(), ValueError("x"), {"a": object()}])
def test_data_that_is_not_json_is_left_out(data):
    assert state_to_wire(Failed(data=data)).data is None


# --- results -------------------------------------------------------------------------------------


def test_the_result_of_a_written_state_is_read_elsewhere(store):
    state = return_value_to_state({"a": 1}, store, key="k", write_result=True)
    remote = as_read(state)
    assert isinstance(remote.data, dict)
    assert remote.result() == {"a": 1}
    assert asyncio.run(remote.aresult()) == {"a": 1}
    assert asyncio.run(_awaited(remote)) == {"a": 1}


async def _awaited(state):
    return await state.result()


def test_a_result_kept_apart_from_its_metadata_is_read_elsewhere(tmp_path):
    store = ResultStore(
        result_storage=LocalFileSystem(tmp_path / "r"), metadata_storage=LocalFileSystem(tmp_path)
    )
    state = return_value_to_state([1], store, key="k", write_result=True)
    assert as_read(state).result() == [1]


def test_the_exception_of_a_written_state_is_raised_elsewhere(store):
    state = exception_to_failed_state(ValueError("bad"), store, write_result=True)
    for seen in (state, as_read(state)):
        with pytest.raises(ValueError, match="bad"):
            seen.result()
        assert isinstance(seen.result(raise_on_failure=False), ValueError)


@pytest.mark.parametrize(
    ("make", "error"), [(Failed, FailedRun), (Crashed, CrashedRun), (Cancelled, CancelledRun)]
)
def test_without_an_exception_the_message_is_raised(make, error):
    with pytest.raises(error, match="why"):
        make(message="why").result()
    with pytest.raises(error, match="text"):
        make(data="text").result()
    assert type(make().result(raise_on_failure=False)) is error


def test_the_exception_of_a_nested_state_is_found():
    inner = Failed(data=ResultRecord(ValueError("deep")))
    with pytest.raises(ValueError, match="deep"):
        Failed(data=ResultRecord([Completed(), inner])).result()
    with pytest.raises(ValueError, match="deep"):
        Failed(data=ResultRecord(inner)).result()
    with pytest.raises(FailedRun, match="outer"):
        Failed(message="outer", data=ResultRecord([Completed()])).result()
    with pytest.raises(FailedRun, match="outer"):
        Failed(message="outer", data=ResultRecord(Completed())).result()


def test_runs_without_a_result_say_so():
    with pytest.raises(PausedRun) as caught:
        Paused().result()
    assert caught.value.state.is_paused()
    for state in (Running(), Pending(), Scheduled(), Cancelling()):
        with pytest.raises(UnfinishedRun, match=state.name):
            state.result()
        with pytest.raises(UnfinishedRun):
            state.result(raise_on_failure=False)
    with pytest.raises(MissingResult, match="persist_result=True"):
        Completed().result()
    with pytest.raises(MissingResult):
        Completed(data={"type": "unpersisted"}).result()
    with pytest.raises(MissingResult):
        Completed(data={"storage_key": None, "serializer": {"type": "pickle"}}).result()


def test_raising_the_exception_of_a_state():
    raise_state_exception(Completed())
    raise_state_exception(Running())
    with pytest.raises(FailedRun):
        raise_state_exception(Failed())
    with pytest.raises(FailedRun):
        asyncio.run(araise_state_exception(Failed()))
    with pytest.raises(ValueError, match="has no exception"):
        get_state_exception(Completed())


@pytest.fixture
def missing(store, tmp_path):
    state = as_read(return_value_to_state(7, store, key="k", write_result=True))
    content = (tmp_path / "k").read_bytes()
    (tmp_path / "k").unlink()
    return state, tmp_path / "k", content


def test_a_result_that_is_late_is_waited_for(missing, monkeypatch):
    state, path, content = missing
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            path.write_bytes(content)

    monkeypatch.setattr(reading, "_sleep", sleep)
    assert state.result() == 7
    assert pauses == [0.25] * 3


def test_a_result_that_never_comes_is_missing(missing, monkeypatch):
    state, path, _ = missing
    pauses = []
    monkeypatch.setattr(reading, "_sleep", pauses.append)
    with pytest.raises(MissingResult, match=str(path)):
        get_state_result(state)
    assert pauses == [0.25] * 9
    pauses.clear()
    with pytest.raises(MissingResult):
        state.result(retry_result_failure=False)
    assert pauses == []


def test_without_a_reader_the_error_says_what_to_import():
    code = (
        "from penstock.schemas.states import State, StateType\n"
        "try:\n"
        "    State(type=StateType.COMPLETED).result()\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "import penstock.states" in done.stdout
