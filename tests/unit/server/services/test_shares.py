"""A loop runs in one process at a time, and in another one when that is gone."""

import asyncio

from tests.databases import World

from penstock.base.clock import ManualClock
from penstock.server.bus import MemoryBus
from penstock.server.services.shares import Shares, lease_seconds
from penstock.server.services.supervisor import Record, Service, Supervisor


def record() -> Record:
    return Record(started=0.0)


def test_one_process_holds_a_loop_until_its_lease_lapses(world: World) -> None:
    async def test() -> None:
        first = Shares(world.store, "first", world.clock)
        second = Shares(world.store, "second", world.clock)
        assert await first.holds("timers", 5.0, record())
        assert not await second.holds("timers", 5.0, record())
        if world.store.dialect == "sqlite":
            world.clock.advance(lease_seconds(5.0) + 1)
            assert await second.holds("timers", 5.0, record())
            assert not await first.holds("timers", 5.0, record())

    asyncio.run(test())


def test_a_process_that_stops_hands_its_loops_over_at_once(world: World) -> None:
    async def test() -> None:
        first = Shares(world.store, "first", world.clock)
        second = Shares(world.store, "second", world.clock)
        assert await first.holds("timers", 5.0, record())
        await first.release()
        assert await second.holds("timers", 5.0, record())
        assert [row["holder"] for row in await second.rows()] == ["second"]

    asyncio.run(test())


def test_a_loop_that_another_process_runs_is_not_run_here_and_not_stalled() -> None:
    class Elsewhere:
        async def holds(self, name: str, interval: float, record: Record) -> bool:
            return False

        async def release(self) -> None:
            pass

    async def test() -> None:
        bus, rounds = MemoryBus(), []
        await bus.start()

        async def run_once(now: object) -> None:
            rounds.append(now)

        services = [
            Service(name="shared", run_once=run_once, interval=3600),
            Service(name="own", run_once=run_once, interval=3600, shared=False),
        ]
        supervisor = Supervisor(services, bus, ManualClock(), Elsewhere())  # type: ignore[arg-type]
        await supervisor.start()
        await asyncio.sleep(0.05)
        assert len(rounds) == 1
        assert supervisor.stalled() == []
        assert [state.here for state in supervisor.state()] == [False, True]
        await supervisor.stop()

    asyncio.run(test())


def test_a_database_that_is_away_ends_no_loop() -> None:
    class Failing:
        answers = 0

        async def holds(self, name: str, interval: float, record: Record) -> bool:
            self.answers += 1
            if self.answers < 3:
                raise RuntimeError("the database cannot be used now")
            return True

        async def release(self) -> None:
            pass

    async def test() -> None:
        bus, ran = MemoryBus(), asyncio.Event()
        await bus.start()

        async def run_once(now: object) -> None:
            ran.set()

        service = Service(name="shared", run_once=run_once, interval=3600)
        supervisor = Supervisor([service], bus, ManualClock(), Failing())  # type: ignore[arg-type]
        await supervisor.start()
        await asyncio.wait_for(ran.wait(), 5)
        assert supervisor.records["shared"].failures == 2
        await supervisor.stop()

    asyncio.run(test())
