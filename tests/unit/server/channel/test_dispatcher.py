"""Owed teardowns reach connected workers, through a whole application in this process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from tests.channel import CLEANUP, KIND, Worker, cleaning, frame, hello, operation
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import request
from tests.unit.server.api.shared import SharedApp, shared_app

from penstock.base.clock import utc_now
from penstock.schemas.cleanup import CleanupPlacement
from penstock.server.app import App
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_owed import id_of

MESSAGE = "cleanup.message.v1"


class Bench:
    """An application with one pool, and what most tests begin with."""

    def __init__(self, app: App, pool: dict[str, Any]) -> None:
        self.app = app
        self.pool: str = pool["id"]
        self.name: str = pool["name"]

    async def enqueue(self, **fields: Any) -> str:
        now, run = utc_now(), str(uuid4())
        key = f"{KIND}:{run}:{uuid4()}"
        values: dict[str, Any] = {
            "id": id_of(key),
            "work_pool_id": self.pool,
            "kind": KIND,
            "cause": "cancelling_timeout",
            "flow_run_id": run,
            "target": {"flow_run_id": run, "infrastructure_pid": "pid-1"},
            "data": {"cause": "cancelling_timeout"},
            "idempotency_key": key,
            "available_at": now,
            "created_at": now,
            "updated_at": now,
            "queued_at": now,
        }
        return str((await self.app.queue.enqueue(Message(**{**values, **fields}))).id)

    async def state(self, id: str) -> Any:
        found = await self.app.queue.get(id)
        assert found is not None
        return found.message

    def policy(self, **fields: Any) -> None:
        self.app.queue.policy = replace(self.app.queue.policy, **fields)

    def worker(self, name: str = "w", limit: int = 1, **fields: Any) -> Worker:
        return self.connect(hello(**cleaning(limit, worker_name=name, **fields)))

    def connect(self, said: dict[str, Any]) -> Worker:
        return Worker(self.app, self.name, said)


@pytest.fixture(scope="module")
def shared() -> Iterator[SharedApp]:
    with shared_app() as running:
        yield running


def check(test: Callable[[Bench], Awaitable[Any]], shared: SharedApp | None = None) -> None:
    """Run a test in a pool of its own; without `shared` in an application of its own, too."""

    async def whole(app: App) -> None:
        body = {"name": uuid4().hex, "type": "process"}
        made = await request(app, "POST", "/api/work_pools/", body)
        policy = app.queue.policy
        try:
            await test(Bench(app, made.json))
        finally:
            app.queue.policy = policy

    if shared is None:
        with_app(whole)
    else:
        shared.run(whole)


async def message(worker: Worker) -> dict[str, Any]:
    told = await worker.receive()
    assert told["type"] == MESSAGE, told
    return told["payload"]


async def told(worker: Worker, name: str, held: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the server answers to an operation."""
    sent = operation(name, held["message_id"], held["reservation_token"], **more)
    worker.send(sent)
    answer = await worker.receive()
    assert answer["type"] == "cleanup.operation_result.v1", answer
    assert answer["payload"]["request_frame_id"] == sent["id"]
    return answer["payload"]


async def nothing(worker: Worker, seconds: float = 0.1) -> None:
    await asyncio.sleep(seconds)
    assert worker.nothing_received()


def test_a_message_goes_to_the_worker_and_its_acknowledgement_ends_it(shared: SharedApp):
    async def test(bench: Bench) -> None:
        async with bench.worker() as worker:
            assert worker.ready["effective_max_cleanup_concurrency"] == 1
            assert CLEANUP in worker.ready["accepted_capabilities"]
            id = await bench.enqueue()
            held = await message(worker)
            assert (held["message_id"], held["kind"]) == (id, KIND)
            assert held["target"]["infrastructure_pid"] == "pid-1"
            assert held["delivery_count"] == 1
            assert len(held["reservation_token"]) == 43
            answer = await told(worker, "ack", held)
            assert (answer["status"], answer["operation"]) == ("accepted", "ack")
            assert (await bench.state(id)).state == "done"

    check(test, shared)


def test_a_message_that_was_there_before_the_worker_is_delivered_when_it_connects(
    shared: SharedApp,
):
    async def test(bench: Bench) -> None:
        id = await bench.enqueue()
        async with bench.worker() as worker:
            assert (await message(worker))["message_id"] == id

    check(test, shared)


def test_a_worker_never_holds_more_than_its_limit(shared: SharedApp):
    async def test(bench: Bench) -> None:
        ids = {await bench.enqueue() for _ in range(5)}
        async with bench.worker(limit=2) as worker:
            first, second = await message(worker), await message(worker)
            await nothing(worker)
            await told(worker, "ack", first)
            third = await message(worker)
            await nothing(worker)
            assert {one["message_id"] for one in (first, second, third)} < ids

    check(test, shared)


def test_the_answer_comes_before_the_message_that_takes_its_place(shared: SharedApp):
    async def test(bench: Bench) -> None:
        await bench.enqueue()
        await bench.enqueue()
        async with bench.worker() as worker:
            held = await message(worker)
            assert (await told(worker, "ack", held))["status"] == "accepted"
            assert await message(worker)

    check(test, shared)


def test_the_server_caps_what_a_worker_may_hold(shared: SharedApp):
    async def test(bench: Bench) -> None:
        bench.policy(max_concurrency_per_worker=3)
        async with bench.worker(limit=99) as worker:
            assert worker.ready["effective_max_cleanup_concurrency"] == 3

    check(test, shared)


@pytest.mark.parametrize(
    "fields",
    [
        {"handled_cleanup_kinds": []},
        {"max_cleanup_concurrency": 0},
        {"handled_cleanup_kinds": ["made.up.v1"]},
    ],
)
def test_a_worker_that_can_take_nothing_is_not_accepted_for_cleanups(
    shared: SharedApp, fields: dict[str, Any]
):
    async def test(bench: Bench) -> None:
        await bench.enqueue()
        async with bench.worker(**fields) as worker:
            assert CLEANUP in worker.ready["rejected_capabilities"]
            assert worker.ready["effective_max_cleanup_concurrency"] == 0
            await nothing(worker)

    check(test, shared)


def test_without_a_limit_named_a_worker_holds_one(shared: SharedApp):
    async def test(bench: Bench) -> None:
        said = cleaning()
        del said["max_cleanup_concurrency"]
        async with bench.connect(hello(**said)) as worker:
            assert worker.ready["effective_max_cleanup_concurrency"] == 1

    check(test, shared)


def test_two_workers_get_different_messages(shared: SharedApp):
    async def test(bench: Bench) -> None:
        async with bench.worker("a") as first, bench.worker("b") as second:
            ids = {await bench.enqueue(), await bench.enqueue()}
            got = {(await message(one))["message_id"] for one in (first, second)}
            assert got == ids

    check(test, shared)


def test_a_required_worker_is_waited_for_and_blocks_nobody(shared: SharedApp):
    async def test(bench: Bench) -> None:
        bound = await bench.enqueue(
            placement=CleanupPlacement.REQUIRE, affinity_worker_name="launcher"
        )
        async with bench.worker("other") as other:
            free = await bench.enqueue()
            assert (await message(other))["message_id"] == free
            async with bench.worker("launcher") as launcher:
                assert (await message(launcher))["message_id"] == bound

    check(test, shared)


def test_a_worker_on_the_same_host_may_stand_in(shared: SharedApp):
    async def test(bench: Bench) -> None:
        id = await bench.enqueue(
            placement=CleanupPlacement.REQUIRE, affinity_worker_name="launcher", host_id="h1"
        )
        here: dict[str, Any] = {"worker_metadata": {"penstock": {"host_id": "h1"}}}
        async with bench.worker("other"), bench.worker("neighbour", **here) as neighbour:
            assert (await message(neighbour))["message_id"] == id

    check(test, shared)


def test_a_worker_that_says_elsewhere_is_not_asked_again(shared: SharedApp):
    async def test(bench: Bench) -> None:
        async with bench.worker("a") as first:
            id = await bench.enqueue()
            held = await message(first)
            answer = await told(first, "release", held, reason="infrastructure_elsewhere")
            assert answer["status"] == "accepted"
            await nothing(first)
            async with bench.worker("b") as second:
                again = await message(second)
                assert (again["message_id"], again["delivery_count"]) == (id, 2)
                assert again["reservation_token"] != held["reservation_token"]

    check(test, shared)


def test_where_a_worker_is_preferred_the_others_are_swept_too(shared: SharedApp):
    async def test(bench: Bench) -> None:
        bench.policy(placement_wait_seconds=0.0)
        async with bench.worker("a") as first, bench.worker("b") as second:
            id = await bench.enqueue(placement=CleanupPlacement.PREFER, affinity_worker_name="gone")
            workers = {"a": first, "b": second}
            await asyncio.sleep(0.1)
            one = next(name for name, it in workers.items() if not it.nothing_received())
            (other,) = set(workers) - {one}
            await told(workers[one], "ack", await message(workers[one]))
            assert (await bench.state(id)).state in ("ready", "leased")
            await told(workers[other], "ack", await message(workers[other]))
            assert (await bench.state(id)).state == "done"

    check(test, shared)


def test_a_failure_is_tried_again_when_its_time_has_come(shared: SharedApp):
    async def test(bench: Bench) -> None:
        bench.policy(retry_base_seconds=0.3, retry_jitter=0.0)
        async with bench.worker() as worker:
            await bench.enqueue()
            held = await message(worker)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await told(worker, "release", held, reason="infrastructure_not_available")
            again = await message(worker)
            assert again["delivery_count"] == 2
            assert 0.28 <= loop.time() - began < 0.5

    check(test, shared)


def test_a_renewal_keeps_the_lease_and_its_end_redelivers(shared: SharedApp):
    async def test(bench: Bench) -> None:
        bench.policy(lease_seconds=0.4, retry_base_seconds=0.05)
        async with bench.worker() as worker:
            await bench.enqueue()
            held = await message(worker)
            for _ in range(3):
                await asyncio.sleep(0.2)
                answer = await told(worker, "renew", held)
                assert answer["status"] == "accepted"
                deadline = datetime.fromisoformat(answer["lease_expires_at"])
                assert timedelta(seconds=0.2) < deadline - utc_now() <= timedelta(seconds=0.45)
            again = await message(worker)
            assert again["delivery_count"] == 2
            assert (await told(worker, "renew", held))["status"] == "invalid_token"

    check(test, shared)


def test_a_late_acknowledgement_counts(shared: SharedApp):
    async def test(bench: Bench) -> None:
        bench.policy(lease_seconds=0.1, retry_base_seconds=5.0)
        async with bench.worker() as worker:
            id = await bench.enqueue()
            held = await message(worker)
            await asyncio.sleep(0.3)
            assert (await bench.state(id)).state == "ready"
            assert (await told(worker, "ack", held))["status"] == "accepted"
            assert (await bench.state(id)).state == "done"

    check(test, shared)


def test_a_message_of_another_pool_is_unknown(shared: SharedApp):
    async def test(bench: Bench) -> None:
        other = uuid4().hex
        await request(bench.app, "POST", "/api/work_pools/", {"name": other, "type": "process"})
        async with bench.worker() as worker:
            await bench.enqueue()
            held = await message(worker)
            said = hello(**cleaning(worker_name="thief"))
            async with Worker(bench.app, other, said) as thief:
                for name, more in (("ack", {}), ("renew", {}), ("release", {"reason": "x"})):
                    answer = await told(thief, name, held, **more)
                    assert (answer["status"], answer["reason"]) == (
                        "not_found",
                        "message_not_found",
                    )
            assert (await told(worker, "ack", held))["status"] == "accepted"

    check(test, shared)


def test_a_guessed_token_does_nothing(shared: SharedApp):
    async def test(bench: Bench) -> None:
        async with bench.worker() as worker:
            await bench.enqueue()
            held = await message(worker)
            answer = await told(worker, "ack", {**held, "reservation_token": "A" * 43})
            assert answer["status"] == "invalid_token"
            assert (await told(worker, "ack", held))["status"] == "accepted"

    check(test, shared)


def test_a_worker_that_is_quick_is_not_taken_for_one_that_guesses(shared: SharedApp):
    async def test(bench: Bench) -> None:
        for _ in range(80):
            await bench.enqueue()
        async with bench.worker(limit=16) as worker:
            done = 0
            while done < 80:
                frame = await worker.receive()
                if frame["type"] == MESSAGE:
                    held = frame["payload"]
                    worker.send(operation("ack", held["message_id"], held["reservation_token"]))
                else:
                    assert frame["payload"]["status"] == "accepted"
                    done += 1

    check(test, shared)


# --- connections that come and go ----------------------------------------------------------------


def test_a_lost_worker_finishes_over_its_next_connection(shared: SharedApp):
    async def test(bench: Bench) -> None:
        said = hello(**cleaning())
        async with bench.connect(said) as worker:
            id = await bench.enqueue()
            held = await message(worker)
            worker.vanish()
        await bench.enqueue()
        async with bench.connect(said) as worker:
            await nothing(worker)  # what it holds still counts
            assert (await told(worker, "ack", held))["status"] == "accepted"
            assert (await bench.state(id)).attempts == 0
            assert await message(worker)

    check(test, shared)


def test_the_end_of_a_lost_workers_lease_costs_no_attempt(shared: SharedApp):
    async def test(bench: Bench) -> None:
        bench.policy(lease_seconds=0.3)
        async with bench.worker("a") as worker:
            id = await bench.enqueue()
            await message(worker)
            worker.vanish()
            began = asyncio.get_running_loop().time()
        async with bench.worker("b") as other:
            held = await message(other)
            assert asyncio.get_running_loop().time() - began < 2
            assert (held["message_id"], held["delivery_count"]) == (id, 2)
            assert (await bench.state(id)).attempts == 0

    check(test, shared)


def test_a_worker_that_leaves_in_good_order_gives_up_what_it_holds(
    shared: SharedApp,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("penstock.server.channel.channels.RETURN_SECONDS", 0.2)

    async def test(bench: Bench) -> None:
        async with bench.worker("a") as worker:
            id = await bench.enqueue()
            await message(worker)
        async with bench.worker("b") as other:
            held = await message(other)
            assert held["message_id"] == id
            assert (await bench.state(id)).attempts == 0

    check(test, shared)


def test_a_message_that_could_not_be_sent_costs_no_attempt(shared: SharedApp):
    async def test(bench: Bench) -> None:
        async with bench.worker("a") as worker:
            worker.stall()
            id = await bench.enqueue()
            await asyncio.sleep(0.1)
        async with bench.worker("b") as other:
            held = await message(other)
            assert held["message_id"] == id
            assert (await bench.state(id)).attempts == 0

    check(test, shared)


def test_a_stalled_worker_delays_nobody_else(shared: SharedApp):
    async def test(bench: Bench) -> None:
        async with bench.worker("a") as stalled, bench.worker("b", limit=8) as other:
            stalled.stall()
            loop = asyncio.get_running_loop()
            for _ in range(6):
                await bench.enqueue()
            began = loop.time()
            for _ in range(5):
                await message(other)
            assert loop.time() - began < 1

    check(test, shared)


# --- clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [40.0, -40.0, 0.2])
def test_times_are_told_in_the_workers_clock(shared: SharedApp, ahead: float):
    async def test(bench: Bench) -> None:
        said = hello(ahead, **cleaning())
        async with bench.connect(said) as worker:
            await bench.enqueue()
            sent = await worker.receive()
            skew = timedelta(seconds=ahead if abs(ahead) > 0.5 else 0)
            deadline = datetime.fromisoformat(sent["payload"]["lease_expires_at"]) - skew
            assert timedelta(seconds=28) < deadline - utc_now() <= timedelta(seconds=30.1)
            at = datetime.fromisoformat(sent["sent_at"]) - skew
            assert abs(at - utc_now()) < timedelta(seconds=1)
            held = sent["payload"]
            worker.send(
                frame(
                    "cleanup.renew.v1",
                    {
                        "message_id": held["message_id"],
                        "reservation_token": held["reservation_token"],
                    },
                    ahead,
                )
            )
            answer = await worker.receive()
            deadline = datetime.fromisoformat(answer["payload"]["lease_expires_at"])
            lease = deadline - datetime.fromisoformat(answer["sent_at"])
            assert timedelta(seconds=29) < lease <= timedelta(seconds=30.1)

    check(test, shared)


# --- what may be in the way ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"kind": "pending_claim_teardown.v1"}, 0.5),
        ({"placement": CleanupPlacement.REQUIRE, "affinity_worker_name": "absent"}, 0.5),
        ({"tried_workers": ("w",)}, 2.0),
    ],
)
def test_what_cannot_be_delivered_is_not_in_the_way(
    shared: SharedApp, fields: dict[str, Any], seconds: float
):
    """Five thousand of them here would take the suite's time; the benchmark has them."""

    async def test(bench: Bench) -> None:
        for _ in range(300):
            await bench.enqueue(**fields)
        id = await bench.enqueue()
        async with bench.worker() as worker:
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert (await message(worker))["message_id"] == id
            assert loop.time() - began < seconds

    check(test, shared)


def test_without_any_wake_up_the_safety_poll_delivers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("penstock.server.channel.dispatcher.SAFETY_SECONDS", 0.3)

    async def test(bench: Bench) -> None:
        bench.app.store.on_wake = lambda topics: None
        async with bench.worker() as worker:
            await asyncio.sleep(0.05)
            id = await bench.enqueue()
            assert (await message(worker))["message_id"] == id

    check(test)


def test_draining_leaves_messages_for_other_servers():
    async def test(bench: Bench) -> None:
        async with bench.worker() as worker:
            await bench.app.drain()
            id = await bench.enqueue()
            await asyncio.sleep(0.1)
            assert (await bench.state(id)).state == "ready"
            assert worker.close_code() == 1011

    check(test)
