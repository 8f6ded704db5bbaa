import asyncio
import logging
from datetime import datetime

import pytest

from penstock.base.clock import ManualClock
from penstock.server.bus import MemoryBus
from penstock.server.services.supervisor import Service, Supervisor


class Work:
    """Rounds that report themselves; `plan` holds what the next rounds return or raise."""

    def __init__(self, *plan: object) -> None:
        self.plan = list(plan)
        self.rounds: list[datetime] = []
        self.reported: asyncio.Queue[datetime] = asyncio.Queue()

    async def __call__(self, now: datetime) -> object:
        self.rounds.append(now)
        self.reported.put_nowait(now)
        outcome = self.plan.pop(0) if self.plan else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def started(
    *services: Service, clock: ManualClock | None = None
) -> tuple[Supervisor, MemoryBus]:
    bus = MemoryBus()
    await bus.start()
    supervisor = Supervisor(list(services), bus, clock or ManualClock())
    await supervisor.start()
    return supervisor, bus


def test_a_round_runs_at_start_and_again_when_its_topic_is_woken():
    async def main() -> None:
        work = Work()
        supervisor, bus = await started(
            Service(name="w", run_once=work, interval=3600, topic="events")
        )
        await asyncio.wait_for(work.reported.get(), 5)
        bus.wake("events")
        await asyncio.wait_for(work.reported.get(), 5)
        await supervisor.stop()
        assert supervisor.records["w"].rounds == len(work.rounds) == 2

    asyncio.run(main())


def test_a_wake_up_during_a_round_causes_another_round():
    async def main() -> None:
        bus = MemoryBus()
        await bus.start()
        rounds: asyncio.Queue[int] = asyncio.Queue()
        count = 0

        async def work(now: datetime) -> None:
            nonlocal count
            count += 1
            if count == 1:
                bus.wake("events")
            rounds.put_nowait(count)

        supervisor = Supervisor(
            [Service(name="w", run_once=work, interval=3600, topic="events")], bus, ManualClock()
        )
        await supervisor.start()
        assert await asyncio.wait_for(rounds.get(), 5) == 1
        assert await asyncio.wait_for(rounds.get(), 5) == 2
        await supervisor.stop()

    asyncio.run(main())


def test_more_work_means_another_round_at_once():
    async def main() -> None:
        work = Work(True, True, False)
        supervisor, _ = await started(Service(name="w", run_once=work, interval=3600))
        for _ in range(3):
            await asyncio.wait_for(work.reported.get(), 5)
        await asyncio.sleep(0)
        await supervisor.stop()
        assert len(work.rounds) == 3

    asyncio.run(main())


def test_a_failing_round_is_recorded_and_the_service_goes_on(caplog: pytest.LogCaptureFixture):
    async def main() -> Supervisor:
        work, other = Work(RuntimeError("broken row 7")), Work()
        supervisor, _ = await started(
            Service(name="w", run_once=work, interval=0.001),
            Service(name="other", run_once=other, interval=0.001),
        )
        for _ in range(2):
            await asyncio.wait_for(work.reported.get(), 5)
            await asyncio.wait_for(other.reported.get(), 5)
        await supervisor.stop()
        return supervisor

    with caplog.at_level(logging.ERROR):
        supervisor = asyncio.run(main())
    record = supervisor.records["w"]
    assert record.failures == 1
    assert record.failing == 0
    assert record.last_error == "RuntimeError: broken row 7"
    assert record.last_success is not None
    assert "a round of the service w failed" in caplog.text


def test_a_service_without_progress_is_named():
    async def main() -> None:
        clock = ManualClock()
        release = asyncio.Event()

        async def stuck(now: datetime) -> None:
            await release.wait()

        fine = Work()
        supervisor, bus = await started(
            Service(name="stuck", run_once=stuck, interval=1),
            Service(name="fine", run_once=fine, interval=3600, topic="t"),
            clock=clock,
        )
        await asyncio.wait_for(fine.reported.get(), 5)
        assert supervisor.stalled() == []
        clock.advance(61)
        bus.wake("t")
        await asyncio.wait_for(fine.reported.get(), 5)
        assert supervisor.stalled() == ["stuck"]
        await supervisor.stop()
        assert supervisor.stalled() == []

    asyncio.run(main())


def test_start_and_stop_by_many_callers_at_once():
    async def main() -> None:
        running = 0
        most = 0

        async def work(now: datetime) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                await asyncio.sleep(0)
            finally:
                running -= 1

        bus = MemoryBus()
        await bus.start()
        supervisor = Supervisor(
            [Service(name="w", run_once=work, interval=0.0001)], bus, ManualClock()
        )

        async def caller(number: int) -> None:
            for round in range(50):
                if (number + round) % 2:
                    await supervisor.start()
                else:
                    await supervisor.stop()
                await asyncio.sleep(0)

        await asyncio.gather(*(caller(number) for number in range(10)))
        await supervisor.stop()
        assert not supervisor.running
        assert running == 0
        assert most == 1
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_two_services_cannot_share_a_name():
    service = Service(name="w", run_once=Work(), interval=1)
    with pytest.raises(ValueError, match="share a name"):
        Supervisor([service, service], MemoryBus())
