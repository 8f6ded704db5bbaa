"""Finding and resolving what a run depends on."""

import dataclasses
import gc
from uuid import uuid4

import pydantic
import pytest

from penstock.annotations import allow_failure, opaque, quote, unmapped
from penstock.engine.inputs import (
    FLOW_RUN,
    TASK_RUN,
    Blocked,
    Results,
    check_upstream,
    find_inputs,
    resolve,
)
from penstock.futures import PenstockConcurrentFuture
from penstock.result_records import ResultRecord
from penstock.schemas.states import State, StateDetails, StateType
from penstock.states import Completed, Failed, Pending


def done(value):
    future = PenstockConcurrentFuture(uuid4())
    future.complete(Completed(data=ResultRecord(value)))
    return future


def failed(error):
    future = PenstockConcurrentFuture(uuid4())
    future.complete(Failed(data=ResultRecord(error)))
    return future


@dataclasses.dataclass
class Box:
    inside: object


class Model(pydantic.BaseModel):
    inside: object


def test_futures_are_found_at_any_depth_and_noted_per_parameter():
    a, b = done(1), done(2)
    found = find_inputs({"x": [1, {"k": (a,)}], "y": Box(b), "z": 3}, wait_for=[b])
    assert set(found.futures) == {a, b}
    assert found.origins == {
        "x": [(TASK_RUN, a.task_run_id)],
        "y": [(TASK_RUN, b.task_run_id)],
        "wait_for": [(TASK_RUN, b.task_run_id)],
    }
    assert found.nested


def test_a_single_future_may_be_waited_for_without_a_list():
    a = done(1)
    found = find_inputs({"x": 1}, wait_for=a)
    assert found.futures == [a]
    assert not found.nested


def test_states_name_the_run_they_are_of():
    run = uuid4()
    of_task = State(type=StateType.COMPLETED, state_details=StateDetails(task_run_id=run))
    of_flow = State(type=StateType.COMPLETED, state_details=StateDetails(flow_run_id=run))
    found = find_inputs({"t": of_task, "f": of_flow, "own": Completed()})
    assert found.origins == {"t": [(TASK_RUN, run)], "f": [(FLOW_RUN, run)]}


def test_quotes_are_not_looked_into():
    a = done(1)
    found = find_inputs({"x": quote([a])})
    assert found.futures == []
    assert resolve(quote([a])) == [a]


def test_cycles_do_not_catch_the_search():
    loop: list[object] = []
    loop.append(loop)
    assert find_inputs({"x": loop}).futures == []


def test_opaque_values_are_resolved_once_and_not_looked_into():
    inner = done(1)
    outer = done([inner])
    found = find_inputs({"x": opaque(outer), "y": opaque([inner])})
    assert found.futures == [outer]
    assert resolve(opaque(outer)) == [inner]
    assert resolve(opaque([inner])) == [inner]


def test_resolving_rebuilds_only_what_changes():
    untouched = [1, 2]
    value = {"a": done(1), "b": untouched}
    resolved = resolve(value)
    assert resolved == {"a": 1, "b": [1, 2]}
    assert resolved["b"] is untouched
    assert resolve(untouched) is untouched


def test_resolving_reaches_into_objects():
    assert resolve(Box(done(3))) == Box(3)
    assert resolve(Model(inside=done(3))) == Model(inside=3)
    assert resolve((done(1), {done(2)})) == (1, {2})
    assert resolve(unmapped(done(4))) == 4


def test_cycles_are_resolved_too():
    loop: list[object] = [done(1)]
    loop.append(loop)
    assert resolve(loop)[0] == 1


def test_an_upstream_that_did_not_complete_blocks():
    bad = failed(ValueError("no"))
    with pytest.raises(Blocked) as caught:
        resolve([bad])
    assert str(bad.task_run_id) in caught.value.origin
    with pytest.raises(Blocked):
        check_upstream([bad])
    check_upstream([allow_failure(bad), quote([bad])])


def test_allowed_failures_give_the_exception():
    error = ValueError("no")
    assert resolve(allow_failure([failed(error), done(1)])) == [error, 1]
    not_ready = PenstockConcurrentFuture(uuid4())
    not_ready.complete(Pending(name="NotReady", message="x did not complete"))
    assert "x did not complete" in str(resolve(allow_failure(not_ready)))


def test_a_crashed_upstream_blocks_even_when_failures_are_allowed():
    crashed = PenstockConcurrentFuture(uuid4())
    crashed.complete(State(type=StateType.CRASHED))
    with pytest.raises(Blocked):
        resolve(allow_failure(crashed))


class TestResults:
    def test_results_are_known_by_identity_one_level_deep(self):
        results, run = Results(), (TASK_RUN, uuid4())
        deep = object.__new__(Box)
        value = [deep, [Box(1)]]
        results.link(value, run)
        assert results.origin(value) == run
        assert results.origin(deep) == run
        assert results.origin(value[1][0]) is None
        assert results.origin([*value]) is None

    def test_what_the_whole_process_shares_has_no_origin(self):
        results, run = Results(), (TASK_RUN, uuid4())
        for shared in (None, True, False, 7, -5, 256, ...):
            results.link(shared, run)
            assert results.origin(shared) is None
        big = 10**6
        results.link(big, run)
        assert results.origin(big) == run

    def test_objects_are_held_weakly_where_possible(self):
        results = Results()
        box = Box(1)
        results.link(box, (TASK_RUN, uuid4()))
        assert len(results) == 1
        del box
        gc.collect()
        assert len(results) == 0

    def test_linked_results_are_found_as_inputs(self):
        results, run = Results(), (TASK_RUN, uuid4())
        box = Box(1)
        results.link(box, run)
        assert find_inputs({"x": [box]}, None, results).origins == {"x": [run]}
