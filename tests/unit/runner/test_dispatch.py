"""Taking runs at their time: how the dispatcher asks, limits, keeps and loses."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from penstock.runner.dispatch import Dispatcher
from penstock.runner.sources import Round, Taken, Target
from penstock.schemas.claims import EndedClaim
from penstock.schemas.errors import APIUnreachable
from penstock.schemas.flow_runs import FlowRun


def run() -> FlowRun:
    return FlowRun(id=uuid4(), created=None, updated=None, flow_id=uuid4(), name="r")


class Queue:
    """A source that gives what it is filled with."""

    def __init__(self) -> None:
        self.waiting: list[Taken] = []
        self.limits: list[int] = []
        self.renewed: list[UUID] = []
        self.lost: list[UUID] = []
        self.failures = 0
        self.next_due: float | None = None

    async def take(self, target: Target, limit: int) -> Round:
        self.limits.append(limit)
        if self.failures:
            self.failures -= 1
            raise APIUnreachable("the server is away")
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return Round(taken=taken, next_due=self.next_due)

    async def renew(self, runs: Sequence[Taken]) -> list[UUID]:
        self.renewed += [one.id for one in runs]
        return self.lost

    async def end(self, run: Taken, message: str | None) -> EndedClaim:
        return EndedClaim()


class Bench:
    """A dispatcher over a queue; runs go on until they are let go."""

    def __init__(self, **options: Any) -> None:
        self.queue = Queue()
        self.begun: list[UUID] = []
        self.lost: list[UUID] = []
        self.released: dict[UUID, asyncio.Event] = {}
        options.setdefault("query_seconds", 60.0)
        self.dispatcher = Dispatcher(
            None,
            lambda: Target(owner="o", work_pool_name="p"),
            self.handle,
            on_lost=self.lost.append,
            **options,
        )
        self.dispatcher._source = self.queue

    async def handle(self, taken: Taken) -> None:
        self.begun.append(taken.id)
        await self.released.setdefault(taken.id, asyncio.Event()).wait()

    def put(self, count: int = 1) -> list[UUID]:
        runs = [Taken(flow_run=run()) for _ in range(count)]
        self.queue.waiting += runs
        return [one.id for one in runs]

    def let_go(self, id: UUID) -> None:
        self.released.setdefault(id, asyncio.Event()).set()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_no_more_than_the_limit_and_one_more_for_each_that_ends() -> None:
    async def story() -> None:
        bench = Bench(limit=2)
        ids = bench.put(3)
        serving = asyncio.create_task(bench.dispatcher.run())
        await settle()
        assert (bench.begun, bench.queue.limits) == (ids[:2], [2])
        bench.let_go(ids[0])
        await settle()
        assert (bench.begun, bench.queue.limits) == (ids, [2, 1])
        for id in ids:
            bench.let_go(id)
        await bench.dispatcher.drained()
        bench.dispatcher.stop()
        await serving

    asyncio.run(story())


def test_it_asks_again_when_the_next_run_is_due() -> None:
    async def story() -> None:
        bench = Bench()
        bench.queue.next_due = 0.05
        serving = asyncio.create_task(bench.dispatcher.run())
        await settle()
        bench.queue.next_due = None
        (id,) = bench.put()
        assert bench.begun == []
        await asyncio.sleep(0.15)
        assert bench.begun == [id]
        serving.cancel()

    asyncio.run(story())


def test_a_wake_up_is_not_lost_while_it_asks() -> None:
    async def story() -> None:
        bench = Bench()
        take = bench.queue.take

        async def slow(target: Target, limit: int) -> Round:
            answer = await take(target, limit)
            bench.queue.take = take
            bench.put()
            bench.dispatcher.wake()
            return answer

        bench.queue.take = slow
        serving = asyncio.create_task(bench.dispatcher.run())
        await settle()
        assert len(bench.begun) == 1
        serving.cancel()

    asyncio.run(story())


def test_an_absent_server_is_asked_again() -> None:
    async def story() -> None:
        bench = Bench()
        bench.queue.failures = 1
        (id,) = bench.put()
        serving = asyncio.create_task(bench.dispatcher.run())
        await settle()
        assert bench.begun == []
        bench.dispatcher.wake()
        await settle()
        assert bench.begun == [id]
        serving.cancel()

    asyncio.run(story())


def test_claims_are_renewed_and_lost_ones_are_told() -> None:
    async def story() -> None:
        bench = Bench(lease_seconds=0.06)
        kept, lost = bench.put(2)
        bench.queue.lost = [lost, uuid4()]
        serving = asyncio.create_task(bench.dispatcher.run())
        await asyncio.sleep(0.05)
        assert {kept, lost} <= set(bench.queue.renewed)
        assert set(bench.lost) == {lost}
        serving.cancel()

    asyncio.run(story())


def test_a_run_that_cannot_be_looked_after_does_not_end_the_others() -> None:
    async def story() -> None:
        bench = Bench()

        async def broken(taken: Taken) -> None:
            raise ValueError("no")

        bench.dispatcher._handle = broken
        bench.put(2)
        serving = asyncio.create_task(bench.dispatcher.run())
        await settle()
        assert bench.dispatcher.active == {}
        assert not serving.done()
        serving.cancel()

    asyncio.run(story())
