"""Any sequence of calls of producers, dispatchers, workers and people, beside a plain model.

The model knows of each message only what the rules say: its state, its budgets, its newest token
and before when it may not be reserved. After every step the queue must agree. How many sequences
are tried is `PENSTOCK_TEST_MODEL_SEQUENCES` (200; the long run is 10,000), and on which backend
`PENSTOCK_TEST_MODEL_BACKEND` (memory, or redis).
"""

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from msgspec.structs import replace
from tests.queue.conftest import Bench, forget

from penstock.schemas.errors import ServiceUnavailable
from penstock.server.queue import Reservation
from penstock.server.store import Store, open_store

SEQUENCES = int(os.environ.get("PENSTOCK_TEST_MODEL_SEQUENCES", "200"))
BACKEND = os.environ.get("PENSTOCK_TEST_MODEL_BACKEND", "memory")
MAX_ATTEMPTS, MAX_DELIVERIES = 3, 6
LEASE, BASE = 30.0, 5.0
SLACK = 0.5
"""The queue's clock goes on while the test works."""

FREE = ("connection_closed", "delivery_failed", "concurrency_limit_reached")
CHARGED = ("handler_failed", "infrastructure_not_available", "anything else")
PERMANENT = ("invalid_payload",)

_stores: dict[str, Store] = {}


def shared_store() -> Store:
    if "one" not in _stores:
        _stores["one"] = open_store("sqlite:///:memory:")
        _stores["one"].start()
    return _stores["one"]


@dataclass
class Known:
    """One message as the rules have it."""

    id: str
    key: str
    state: str = "ready"
    attempts: int = 0
    deliveries: int = 0
    before_requeue: int = 0
    not_before: float = 0.0
    lease_ends: float = 0.0
    renewals: int = 0
    lost: bool = False
    newest: Reservation | None = None
    older: list[Reservation] = field(default_factory=list)


class Queue(RuleBasedStateMachine):
    """The queue and its model."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.bench = Bench(BACKEND, shared_store(), self.loop)
        self.bench.open()
        self.bench.queue.policy = replace(
            self.bench.queue.policy,
            max_attempts=MAX_ATTEMPTS,
            max_deliveries=MAX_DELIVERIES,
            lease_seconds=LEASE,
            retry_base_seconds=BASE,
        )
        self.now = 0.0
        self.known: dict[str, Known] = {}

    def teardown(self) -> None:
        self.bench.settle()
        for one in self.known.values():
            self.agree(one)
        self.bench.close()
        if BACKEND == "redis":
            forget(self.bench.prefix)
        self.loop.close()

    # --- what must hold --------------------------------------------------------------------------

    def agree(self, one: Known) -> None:
        """I1 and I6: the message is there, where the rules say, within its budgets."""
        message = self.bench.get(one.id)
        assert message.state == one.state, (message, one)
        assert (message.attempts, message.deliveries) == (one.attempts, one.deliveries)
        assert message.attempts <= MAX_ATTEMPTS
        assert message.deliveries - one.before_requeue <= MAX_DELIVERIES

    def fail(self, one: Known, *, charged: bool, permanent: bool = False) -> None:
        one.attempts += charged
        spent = one.deliveries - one.before_requeue >= MAX_DELIVERIES
        dead = permanent or (charged and one.attempts >= MAX_ATTEMPTS) or spent
        one.state = "dead" if dead else "ready"
        pause = 0.8 * BASE * 2 ** (one.attempts - 1) if charged else 0.0
        one.not_before = self.now + pause

    # --- producers -------------------------------------------------------------------------------

    @rule(number=st.integers(0, 4))
    def enqueue(self, number: int) -> None:
        key = f"{self.bench.pool}:{number}"
        before = self.known.get(key)
        made = self.bench.run(self.bench.queue.enqueue(self.bench.message(idempotency_key=key)))
        self.bench.settle()
        if before is None:
            self.known[key] = Known(id=str(made.id), key=key, not_before=self.now)
        else:
            assert str(made.id) == before.id
        self.agree(self.known[key])

    # --- dispatchers -----------------------------------------------------------------------------

    @rule(worker=st.sampled_from(["w1", "w2", "w3"]))
    def reserve(self, worker: str) -> None:
        held = self.bench.reserve(worker)
        if held is None:
            sure = [
                one
                for one in self.known.values()
                # The longest pause: the jitter's upper end, or a second for what was free.
                if one.state == "ready" and one.not_before * 1.0 + 40 < self.now
            ]
            assert not sure, f"{sure[0]} is ready and nobody gets it"
            return
        one = next(one for one in self.known.values() if one.id == held.message_id)
        assert one.state == "ready"
        assert self.now + SLACK >= one.not_before, "it was delivered again too soon"
        one.state = "leased"
        one.deliveries += 1
        if one.newest is not None:
            one.older.append(one.newest)
        one.newest, one.lease_ends = held, self.now + LEASE
        one.renewals, one.lost = 0, False
        assert held.delivery_count == one.deliveries
        self.agree(one)

    @rule()
    def expire(self) -> None:
        found = self.bench.expire()
        ended = {message.id for message in (*found.ready, *found.dead)}
        for one in self.known.values():
            if one.id in ended:
                assert one.state == "leased"
                assert one.lease_ends <= self.now + SLACK
                self.fail(one, charged=not (one.lost and one.renewals == 0))
            elif one.state == "leased":
                assert one.lease_ends > self.now - SLACK, "an overdue lease was left"
            self.agree(one)

    @rule(seconds=st.sampled_from([0.5, 2.0, 7.0, 31.0, 400.0]))
    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.bench.advance(seconds)

    @rule(lost=st.booleans())
    def connection(self, lost: bool) -> None:
        self.bench.run(self.bench.queue.mark_holder(self.bench.consumer, lost=lost))
        for one in self.known.values():
            if one.state == "leased":
                one.lost = lost

    # --- workers ---------------------------------------------------------------------------------

    def held(self, data: Any) -> tuple[Known, Reservation, bool]:
        """Some reservation that was ever issued; whether it is the message's newest."""
        choices = [
            (one, held, held is one.newest)
            for one in self.known.values()
            for held in (*one.older, one.newest)
            if held is not None
        ]
        return data.draw(st.sampled_from(choices))

    def any_held(self) -> bool:
        return any(one.newest is not None for one in self.known.values())

    @precondition(any_held)
    @rule(data=st.data())
    def ack(self, data: Any) -> None:
        one, held, newest = self.held(data)
        status = self.bench.ack(held).status
        if one.state == "cancelled":
            assert status == "not_current"
        elif newest:
            assert status == "accepted", "success of the newest token always counts"
            one.state = "done"
        else:
            assert status in ("invalid_token", "not_current", "not_found")
        self.agree(one)

    @precondition(any_held)
    @rule(data=st.data())
    def renew(self, data: Any) -> None:
        one, held, newest = self.held(data)
        status = self.bench.renew(held).status
        assert (status == "accepted") == (newest and one.state == "leased")
        if status == "accepted":
            one.lease_ends = self.now + LEASE
            one.renewals += 1
            one.lost = False
        self.agree(one)

    @precondition(any_held)
    @rule(data=st.data(), reason=st.sampled_from([*FREE, *CHARGED, *PERMANENT]))
    def release(self, data: Any, reason: str) -> None:
        one, held, newest = self.held(data)
        live = newest and one.state == "leased"
        status = self.bench.release(held, reason).status
        assert (status == "accepted" or (live and status == "dead_lettered")) == live
        if live:
            self.fail(one, charged=reason not in FREE, permanent=reason in PERMANENT)
            assert (status == "dead_lettered") == (one.state == "dead")
        self.agree(one)

    @precondition(any_held)
    @rule(data=st.data(), operation=st.sampled_from(["ack", "renew", "release"]))
    def from_another_pool(self, data: Any, operation: str) -> None:
        one, held, _ = self.held(data)
        result = getattr(self.bench, operation)(held, pool=str(uuid4()))
        assert (result.status, result.reason) == ("not_found", "message_not_found")
        self.agree(one)

    @precondition(any_held)
    @rule(data=st.data(), operation=st.sampled_from(["ack", "renew", "release"]))
    def with_the_database_away(self, data: Any, operation: str) -> None:
        """A backend that fails changes nothing and says so."""
        if BACKEND != "memory":
            return
        one, held, _ = self.held(data)
        store, real = self.bench.store, self.bench.store.write

        async def failing(*arguments: Any, **options: Any) -> Any:
            raise ServiceUnavailable("the database cannot be used now; try again")

        store.write = failing
        try:
            assert getattr(self.bench, operation)(held).status == "error"
        finally:
            store.write = real
        self.agree(one)

    # --- people ----------------------------------------------------------------------------------

    @precondition(lambda self: bool(self.known))
    @rule(data=st.data(), force=st.booleans())
    def cancel(self, data: Any, force: bool) -> None:
        one = data.draw(st.sampled_from(list(self.known.values())))
        self.bench.settle()
        done = self.bench.run(self.bench.queue.cancel(one.id, force=force))
        self.bench.settle()
        allowed = one.state == "ready" or (force and one.state == "leased")
        assert (done is not None) == allowed
        if allowed:
            one.state = "cancelled"
        self.agree(one)

    @precondition(lambda self: bool(self.known))
    @rule(data=st.data())
    def requeue(self, data: Any) -> None:
        one = data.draw(st.sampled_from(list(self.known.values())))
        self.bench.settle()
        done = self.bench.run(self.bench.queue.requeue(one.id))
        self.bench.settle()
        assert (done is not None) == (one.state in ("dead", "cancelled"))
        if done is not None:
            one.state, one.attempts, one.not_before = "ready", 0, 0.0
            one.before_requeue = one.deliveries
        self.agree(one)


TestQueue = Queue.TestCase
TestQueue.settings = settings(
    max_examples=SEQUENCES,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
