"""Futures of runs in this process."""

import threading
from uuid import uuid4

import pytest

from penstock.annotations import quote
from penstock.futures import (
    PenstockConcurrentFuture,
    PenstockFutureList,
    as_completed,
    resolve_futures_to_results,
    resolve_futures_to_states,
    wait,
)
from penstock.result_records import ResultRecord
from penstock.schemas.errors import UpstreamTaskError
from penstock.schemas.states import State, StateType
from penstock.states import Completed, Failed, Pending


def future(state: State | None = None) -> PenstockConcurrentFuture[object]:
    made: PenstockConcurrentFuture[object] = PenstockConcurrentFuture(uuid4())
    if state is not None:
        made.complete(state)
    return made


def done(value: object) -> PenstockConcurrentFuture[object]:
    return future(Completed(data=ResultRecord(value)))


def test_a_future_is_completed_once():
    one = future()
    assert one.state.is_pending()
    first = Completed(data=ResultRecord(1))
    one.complete(first)
    one.complete(Failed())
    assert one.state is first
    assert one.result() == 1


def test_waiting_ends_silently_and_asking_for_a_result_does_not():
    one = future()
    one.wait(0.001)
    with pytest.raises(TimeoutError, match=str(one.task_run_id)):
        one.result(timeout=0.001)


def test_a_result_wakes_every_waiting_thread():
    one = future()
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(one.result())) for _ in range(5)]
    for thread in threads:
        thread.start()
    one.complete(Completed(data=ResultRecord("x")))
    for thread in threads:
        thread.join(5)
    assert got == ["x"] * 5


def test_failures_are_raised_or_returned():
    error = ValueError("boom")
    one = future(Failed(data=ResultRecord(error)))
    with pytest.raises(ValueError, match="boom"):
        one.result()
    assert one.result(raise_on_failure=False) is error


def test_a_run_that_was_not_ready_says_so():
    one = future(Pending(name="NotReady", message="upstream x"))
    with pytest.raises(UpstreamTaskError, match="upstream x"):
        one.result()


def test_callbacks_are_called_once_each():
    one = future()
    called: list[object] = []
    one.add_done_callback(called.append)
    one.complete(State(type=StateType.COMPLETED))
    one.add_done_callback(called.append)
    assert called == [one, one]


def test_lists_give_results_in_order():
    futures = PenstockFutureList([done(1), done(2)])
    futures.wait()
    assert futures.result() == [1, 2]
    with pytest.raises(TimeoutError):
        PenstockFutureList([done(1), future()]).result(timeout=0.001)


def test_wait_splits_what_is_done_from_what_is_not():
    one, other = done(1), future()
    assert wait([one, other], timeout=0.001) == ({one}, {other})
    assert wait([one]) == ({one}, set())


def test_as_completed_goes_by_the_order_of_completion():
    first, second = future(), future()
    order = as_completed([first, second])
    threading.Timer(0.01, lambda: second.complete(State(type=StateType.COMPLETED))).start()
    assert next(order) is second
    first.complete(State(type=StateType.COMPLETED))
    assert list(order) == [first]
    with pytest.raises(TimeoutError, match="1 of 1"):
        list(as_completed([future()], timeout=0.001))


def test_resolving_expressions():
    one = done(1)
    assert resolve_futures_to_results({"a": [one, (2, one)]}) == {"a": [1, (2, 1)]}
    assert resolve_futures_to_states([one]) == [one.state]
    quoted = quote([one])
    assert resolve_futures_to_states(quoted) is quoted
    untouched = [1, [2]]
    assert resolve_futures_to_results(untouched) is untouched
