"""Slots of a task's tags, with the effects of the core answered by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from penstock.client import leases
from penstock.client.leases import LeaseKeeper
from penstock.engine import tag_slots
from penstock.engine.context import TaskRunContext
from penstock.engine.effects import Call, Emit, Now, Read, Request, Sleep, Write
from penstock.engine.inputs import find_inputs
from penstock.engine.record import TaskRecord
from penstock.engine.tag_slots import Unlimited
from penstock.engine.task import task_run
from penstock.engine.task_execution import TaskExecution
from penstock.schemas.errors import APIUnreachable, PenstockHTTPStatusError
from penstock.schemas.limits import (
    ConcurrencyLimitWithLeaseResponse,
    MinimalConcurrencyLimitResponse,
)
from penstock.schemas.states import State, StateType
from penstock.tasks import Task

START = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = uuid4()
LIMIT = MinimalConcurrencyLimitResponse(id=uuid4(), name="tag:db", limit=1)
GRANTED = ConcurrencyLimitWithLeaseResponse(lease_id=LEASE, limits=[LIMIT])
NO_LIMITS = ConcurrencyLimitWithLeaseResponse(lease_id=LEASE, limits=[])
TAKE = "bulk_increment_active_slots_with_lease"
GIVE_BACK = "bulk_decrement_active_slots_with_lease"


def full(retry_after: float | None) -> PenstockHTTPStatusError:
    return PenstockHTTPStatusError("full", status_code=423, retry_after=retry_after)


class Play:
    """Runs the core of a task and writes down what happens."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, tags: frozenset[str] = frozenset({"db"})
    ) -> None:
        self.tags = tags
        self.now = START
        self.story: list[str] = []
        self.slept: list[float] = []
        self.answers: list[Any] = []
        self.bodies: list[Any] = []
        self.events: list[dict[str, Any]] = []
        self.seconds = 0.0
        monkeypatch.setattr(LeaseKeeper, "_run", lambda keeper: None)
        self.keeper = LeaseKeeper()
        monkeypatch.setattr(leases, "KEEPER", self.keeper)
        monkeypatch.setattr(tag_slots, "UNLIMITED", Unlimited(lambda: self.seconds))

    @property
    def renewing(self) -> bool:
        return self.keeper.due_in() is not None

    def core(self, outcomes: list[Any], **options: Any) -> Any:
        def fn() -> None: ...

        task = Task(fn, **options)
        self.outcomes = outcomes
        record = TaskRecord(
            task.shape(self.tags),
            id=uuid4(),
            name="work",
            dynamic_key="0",
            inputs=find_inputs({}, None),
        )
        context = TaskRunContext(
            task=task, record=record, parameters={}, tags=self.tags, start_time=START
        )
        x = TaskExecution(task, record, context, emit=lambda _: None, chance=lambda: 0.0)
        x.enter(State(type=StateType.PENDING), START)
        self.x = x
        return task_run(x)

    def run(self, *outcomes: Any, **options: Any) -> State:
        core = self.core(list(outcomes), **options)
        send: Any = core.send
        answer: Any = None
        try:
            while True:
                effect = send(answer)
                try:
                    send, answer = core.send, self.answer(effect)
                except BaseException as error:
                    send, answer = core.throw, error
        except StopIteration as stop:
            return stop.value

    def answer(self, effect: Any) -> Any:
        match effect:
            case Now():
                self.now += timedelta(seconds=1)
                return self.now
            case Emit():
                event = msgspec.json.decode(effect.event)
                self.events.append(event)
                self.story.append(event["event"].rpartition(".")[2])
            case Sleep():
                self.slept.append(effect.seconds)
            case Request():
                self.story.append("take" if effect.operation == TAKE else "give back")
                self.bodies.append(effect.body)
                answer = self.answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer
            case Call():
                self.story.append("call, renewing" if self.renewing else "call")
                outcome = self.outcomes.pop(0)
                if isinstance(outcome, BaseException):
                    raise outcome
                return outcome
            case Read():
                return None, None
            case Write():
                return effect.action() if effect.action is not None else None
        return None


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    return Play(monkeypatch)


def test_slots_are_taken_before_the_run_and_given_back_after_it(play: Play) -> None:
    play.answers = [GRANTED, None]
    assert play.run(1).is_completed()
    assert play.story == [
        "take", "acquired", "Running", "call, renewing", "Completed", "give back", "released",
    ]  # fmt: skip
    asked, released = play.bodies
    assert (asked.names, asked.slots, asked.lease_duration) == (["tag:db"], 1, 60.0)
    assert (asked.holder.type, asked.holder.id) == ("task_run", play.x.record.id)
    assert released.lease_id == LEASE
    assert not play.renewing


def test_the_events_name_the_limit_the_run_and_each_other(play: Play) -> None:
    other = MinimalConcurrencyLimitResponse(id=uuid4(), name='tag:"x"', limit=2)
    play.answers = [ConcurrencyLimitWithLeaseResponse(lease_id=LEASE, limits=[LIMIT, other]), None]
    play.run(1)
    slots = [event for event in play.events if ".concurrency-limit." in event["event"]]
    assert [event["resource"] for event in slots[:2]] == [
        {
            "prefect.resource.id": f"prefect.concurrency-limit.{limit.id}",
            "prefect.resource.name": limit.name,
            "slots-acquired": "1",
            "limit": str(limit.limit),
        }
        for limit in (LIMIT, other)
    ]
    related = [one["prefect.resource.id"] for one in slots[0]["related"]]
    assert related == [
        f"prefect.concurrency-limit.{other.id}",
        f"prefect.task-run.{play.x.record.id}",
    ]
    assert [event["follows"] for event in slots] == [None, None, slots[0]["id"], slots[1]["id"]]


def test_a_run_waits_as_long_as_it_is_told(play: Play) -> None:
    play.answers = [full(2.5), full(None), GRANTED, None]
    assert play.run(1).is_completed()
    assert play.slept == [2.5, 1.0]


def test_slots_are_kept_through_retries_and_given_back_after_a_failure(play: Play) -> None:
    play.answers = [GRANTED, None]
    state = play.run(ValueError("one"), ValueError("two"), retries=1, retry_delay_seconds=9)
    assert state.is_failed()
    assert play.story.count("take") == play.story.count("give back") == 1
    assert play.story.count("call, renewing") == 2
    assert play.story[-2:] == ["give back", "released"]


def test_a_crash_gives_the_slots_back(play: Play) -> None:
    play.answers = [GRANTED, None]
    with pytest.raises(KeyboardInterrupt):
        play.run(KeyboardInterrupt())
    assert play.story[-3:] == ["give back", "released", "Crashed"]
    assert not play.renewing


def test_a_run_that_is_dropped_renews_nothing(play: Play) -> None:
    play.answers = [GRANTED]
    core = play.core([])
    effect = core.send(None)
    while not isinstance(effect, Call):
        effect = core.send(play.answer(effect))
    assert play.renewing
    core.close()
    assert not play.renewing


def test_slots_that_cannot_be_given_back_change_no_outcome(play: Play) -> None:
    play.answers = [GRANTED, APIUnreachable("nobody")]
    assert play.run(1).is_completed()
    assert play.story[-1] == "give back" and not play.renewing


@pytest.mark.parametrize(
    "error", [APIUnreachable("nobody"), PenstockHTTPStatusError("never", status_code=422)]
)
def test_a_run_that_cannot_ask_fails(play: Play, error: Exception) -> None:
    play.answers = [error]
    state = play.run()
    assert state.is_failed() and play.story == ["take", "Failed"]


def test_tags_without_a_limit_are_asked_about_again_after_a_while(play: Play) -> None:
    play.answers = [NO_LIMITS, NO_LIMITS, GRANTED, None]
    for seconds, asked in ((0.0, True), (4.9, False), (5.1, True), (10.2, True)):
        play.seconds, play.story = seconds, []
        assert play.run(1).is_completed()
        assert ("take" in play.story) == asked, seconds
    assert play.story[-1] == "released"


def test_a_run_without_tags_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    play = Play(monkeypatch, tags=frozenset())
    assert play.run(1).is_completed()
    assert play.story == ["Running", "call", "Completed"]


def test_what_is_remembered_is_remembered_for_one_api_and_bounded() -> None:
    unlimited = Unlimited(lambda: 0.0)
    tags = frozenset({"a"})
    unlimited.note("one", tags)
    assert unlimited.holds("one", tags)
    assert not unlimited.holds("two", tags)
    assert not unlimited.holds("one", frozenset({"a", "b"}))
    for n in range(tag_slots.MAXIMUM_REMEMBERED):
        unlimited.note("one", frozenset({str(n)}))
    assert len(unlimited._until) <= tag_slots.MAXIMUM_REMEMBERED
