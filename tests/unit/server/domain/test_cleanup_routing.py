"""Which worker gets which message."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from penstock.schemas.cleanup import CleanupPlacement
from penstock.server.domain.cleanup_routing import Taker, matched, may_take

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KIND = "cancelling_timeout_teardown.v1"
ANY, PREFER, REQUIRE = CleanupPlacement


class Message(Struct, frozen=True, kw_only=True):
    kind: str = KIND
    work_queue_id: str | None = None
    queued_at: datetime = NOW
    affinity_worker_name: str | None = None
    host_id: str | None = None
    placement: CleanupPlacement = ANY
    tried_workers: tuple[str, ...] = ()


def taker(name: str = "w", **fields: Any) -> Taker:
    values: dict[str, Any] = {
        "worker_name": name,
        "host_id": None,
        "kinds": frozenset({KIND}),
        "queue_ids": None,
        "limit": 1,
        "held": 0,
        "last_given": 0.0,
    }
    return Taker(**{**values, **fields})


def chosen(message: Message, *takers: Taker, wait: float = 60.0) -> str | None:
    pairs = matched([message], takers, NOW, wait)
    return pairs[0][1].worker_name if pairs else None


def test_a_kind_that_was_not_advertised_is_not_given():
    assert chosen(Message(kind="pending_claim_teardown.v1"), taker()) is None


def test_a_worker_that_tried_is_not_asked_again():
    assert chosen(Message(tried_workers=("a",)), taker("a"), taker("b")) == "b"


def test_only_the_launching_worker_or_its_host_where_that_is_required():
    bound = Message(placement=REQUIRE, affinity_worker_name="a", host_id="h")
    assert chosen(bound, taker("b"), taker("c", host_id="other")) is None
    assert chosen(bound, taker("b"), taker("a")) == "a"
    assert chosen(bound, taker("b", host_id="h"), taker("c")) == "b"
    assert chosen(Message(placement=REQUIRE), taker("b")) is None


def test_the_launching_worker_first_where_that_is_preferred_then_anybody():
    fresh = Message(placement=PREFER, affinity_worker_name="a")
    assert chosen(fresh, taker("b")) is None
    assert chosen(fresh, taker("b"), taker("a")) == "a"
    old = Message(placement=PREFER, affinity_worker_name="a", queued_at=NOW - timedelta(seconds=60))
    assert chosen(old, taker("b")) == "b"


def test_the_launching_worker_comes_before_one_of_the_queue():
    message = Message(affinity_worker_name="a", work_queue_id="q")
    workers = (taker("b", queue_ids=frozenset({"q"})), taker("a", queue_ids=frozenset({"x"})))
    assert chosen(message, *workers) == "a"


def test_a_worker_of_the_queue_comes_before_others_and_others_before_nobody():
    message = Message(work_queue_id="q")
    other, own = taker("o", queue_ids=frozenset({"x"})), taker("q", queue_ids=frozenset({"q"}))
    assert chosen(message, other, own) == "q"
    assert chosen(message, taker("o", queue_ids=frozenset({"x"}))) == "o"


def test_of_equals_the_least_loaded_and_then_the_one_that_waited_longest():
    busy, free = taker("busy", limit=4, held=2), taker("free", limit=4, held=1, last_given=9.0)
    assert chosen(Message(), busy, free) == "free"
    late, early = taker("late", last_given=2.0), taker("early", last_given=1.0)
    assert chosen(Message(), late, early) == "early"


def test_messages_are_spread_and_nobody_gets_more_than_fits():
    workers = [taker("a", limit=2), taker("b", limit=1)]
    pairs = matched([Message() for _ in range(5)], workers, NOW, 60.0)
    assert sorted(one.worker_name for _, one in pairs) == ["a", "a", "b"]


NAMES = st.sampled_from(["a", "b", "c"])
MESSAGES = st.builds(
    Message,
    kind=st.sampled_from([KIND, "pending_claim_teardown.v1"]),
    work_queue_id=st.none() | st.sampled_from(["q", "r"]),
    queued_at=st.integers(0, 120).map(lambda ago: NOW - timedelta(seconds=ago)),
    affinity_worker_name=st.none() | NAMES,
    host_id=st.none() | st.sampled_from(["h", "i"]),
    placement=st.sampled_from(CleanupPlacement),
    tried_workers=st.lists(NAMES, max_size=2).map(tuple),
)
TAKERS = st.lists(
    st.builds(
        taker,
        NAMES,
        host_id=st.none() | st.sampled_from(["h", "i"]),
        kinds=st.frozensets(st.sampled_from([KIND, "pending_claim_teardown.v1"])),
        queue_ids=st.none() | st.frozensets(st.sampled_from(["q", "r"])),
        limit=st.integers(1, 3),
    ),
    max_size=4,
)


@given(messages=st.lists(MESSAGES, max_size=12), takers=TAKERS)
def test_what_always_holds(messages: list[Message], takers: list[Taker]):
    pairs = matched(messages, takers, NOW, 60.0)
    assert all(may_take(message, one, NOW, 60.0) for message, one in pairs)
    assert all(0 <= one.held <= one.limit for one in takers)
    assert sum(one.held for one in takers) == len(pairs)
    given_to = [id(message) for message, _ in pairs]
    assert len(set(given_to)) == len(given_to)
    # Nobody who has room is passed over by a message that could have gone there.
    kept = [message for message in messages if id(message) not in given_to]
    idle = [one for one in takers if one.credit > 0]
    assert not any(may_take(message, one, NOW, 60.0) for message in kept for one in idle)
