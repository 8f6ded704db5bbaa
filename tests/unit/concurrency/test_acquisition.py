"""Asking for slots, step by step, without a server or a clock."""

from typing import Any
from uuid import uuid4

import pytest

from penstock.base.run_context import RunContext, running
from penstock.concurrency.acquisition import Grant, Wanted, acquire, current_holder, names_of
from penstock.schemas.errors import (
    AcquireConcurrencySlotTimeoutError,
    APIUnreachable,
    ConcurrencySlotAcquisitionError,
    PenstockHTTPStatusError,
)
from penstock.schemas.limits import (
    ConcurrencyLimitWithLeaseResponse,
    MinimalConcurrencyLimitResponse,
)
from penstock.steps import Monotonic, Request, Sleep

LEASE = uuid4()
GRANTED = ConcurrencyLimitWithLeaseResponse(
    lease_id=LEASE, limits=[MinimalConcurrencyLimitResponse(id=uuid4(), name="db", limit=1)]
)


def full(retry_after: float | None = 3.0) -> PenstockHTTPStatusError:
    return PenstockHTTPStatusError("full", status_code=423, retry_after=retry_after)


class Script:
    """Answers requests in turn; sleeping moves its clock and nothing else does."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.now = 100.0
        self.slept: list[float] = []
        self.requests: list[Request] = []

    def run(self, wanted: Wanted) -> Grant:
        steps = acquire(wanted)
        send: Any = steps.send
        answer: Any = None
        try:
            while True:
                step = send(answer)
                send, answer = steps.send, None
                if isinstance(step, Sleep):
                    self.slept.append(step.seconds)
                    self.now += step.seconds
                elif isinstance(step, Monotonic):
                    answer = self.now
                else:
                    self.requests.append(step)
                    answer = self.answers.pop(0)
                    if isinstance(answer, Exception):
                        send = steps.throw
        except StopIteration as stop:
            return stop.value


def wanted(**fields: Any) -> Wanted:
    return Wanted(**{"names": ["db"], "lease_seconds": 300.0, **fields})


def test_a_free_slot_is_taken_at_once() -> None:
    script = Script(GRANTED)
    grant = script.run(wanted(slots=2))
    assert grant.lease_id == LEASE and [told.limit.name for told in grant.told] == ["db"]
    (request,) = script.requests
    assert request.operation == "bulk_increment_active_slots_with_lease"
    assert (request.body.names, request.body.slots, request.body.lease_duration) == (["db"], 2, 300)
    assert script.slept == []


def test_a_denied_caller_waits_as_long_as_it_is_told() -> None:
    script = Script(full(3), full(None), full(0.5), GRANTED)
    script.run(wanted())
    assert script.slept == [3, 1.0, 0.5]


def test_the_timeout_is_that_of_the_caller_and_the_last_try_is_at_its_end() -> None:
    script = Script(full(3), full(3), full(3))
    with pytest.raises(AcquireConcurrencySlotTimeoutError, match="within 5 seconds") as caught:
        script.run(wanted(timeout_seconds=5))
    assert isinstance(caught.value, TimeoutError)
    assert script.slept == [3, 2]
    assert len(script.requests) == 3
    Script(full(3), full(3), GRANTED).run(wanted(timeout_seconds=5))


def test_no_time_is_one_try() -> None:
    with pytest.raises(AcquireConcurrencySlotTimeoutError):
        Script(full()).run(wanted(timeout_seconds=0))
    assert Script(GRANTED).run(wanted(timeout_seconds=0)).lease_id == LEASE


def test_retries_are_bounded() -> None:
    script = Script(full(), full(), full())
    with pytest.raises(ConcurrencySlotAcquisitionError, match="2 retries"):
        script.run(wanted(max_retries=2))
    assert script.slept == [3, 3]


@pytest.mark.parametrize(
    "error", [PenstockHTTPStatusError("slots > limit", status_code=422), APIUnreachable("nobody")]
)
def test_other_errors_are_told_as_what_they_mean(error: Exception) -> None:
    with pytest.raises(ConcurrencySlotAcquisitionError, match=str(error)) as caught:
        Script(error).run(wanted())
    assert caught.value.__cause__ is error


def test_an_unknown_limit_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    grant = Script(GRANTED).run(wanted(names=["db", "nothing"]))
    assert grant.lease_id == LEASE
    assert "nothing" in caplog.text and "'db'" not in caplog.text


def test_an_unknown_limit_is_an_error_when_it_must_be_there() -> None:
    script = Script(GRANTED, None)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="nothing"):
        script.run(wanted(names=["db", "nothing"], strict=True))
    assert script.requests[1].operation == "bulk_decrement_active_slots_with_lease"
    assert script.requests[1].body.lease_id == LEASE


def test_a_rate_is_asked_without_a_lease() -> None:
    script = Script(GRANTED.limits)
    grant = script.run(wanted(mode="rate_limit", lease_seconds=None))
    assert grant.lease_id is None
    (request,) = script.requests
    assert (request.operation, request.body.mode) == ("bulk_increment_active_slots", "rate_limit")


def test_names_are_one_or_several_without_doubles() -> None:
    assert names_of("db") == ["db"]
    assert names_of(["b", "a", "b"]) == ["b", "a"]
    assert names_of([]) == []


class _Run:
    def __init__(self) -> None:
        self.id = uuid4()


def test_slots_are_held_by_the_innermost_run() -> None:
    assert current_holder() is None
    flow_run, task_run = _Run(), _Run()
    with running(RunContext(flow_run=flow_run)):
        holder = current_holder()
        assert holder is not None and (holder.type, holder.id) == ("flow_run", flow_run.id)
    with running(RunContext(flow_run=flow_run, task_run=task_run)):
        holder = current_holder()
        assert holder is not None and (holder.type, holder.id) == ("task_run", task_run.id)
