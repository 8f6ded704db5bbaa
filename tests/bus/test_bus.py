"""One suite for every bus: what waits is woken, what is published arrives, nothing else does."""

import asyncio
import os
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest

from penstock.server.bus import MemoryBus, open_bus
from penstock.server.bus.interface import LocalBus, Subscription
from penstock.server.bus.postgres import PostgresBus
from penstock.server.bus.redis import RedisBus

POSTGRES = os.environ.get("PENSTOCK_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
REDIS = os.environ.get("PENSTOCK_TEST_REDIS", "redis://127.0.0.1:6379/0")

Make = Callable[[], LocalBus]


def reachable(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((parts.hostname or "127.0.0.1", parts.port or 0)) == 0


@pytest.fixture(params=["memory", "postgresql", "redis"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes buses that share one channel of their own."""
    channel = f"test_{secrets.token_hex(8)}"
    if request.param == "memory":
        return MemoryBus
    if request.param == "postgresql":
        if not reachable(POSTGRES):
            pytest.skip("2026-11-25: no PostgreSQL server can be reached")
        return lambda: PostgresBus(POSTGRES, channel)
    if not reachable(REDIS):
        pytest.skip("2026-11-25: no Redis server can be reached")
    return lambda: RedisBus(REDIS, channel)


@pytest.fixture
def make_two(make: Make) -> Make:
    """As `make`, for the kinds that join several processes."""
    if make is MemoryBus:
        pytest.skip("2026-11-25: the memory bus stays in one process by definition")
    return make


def run(make: Make, test: Callable[..., Awaitable[None]], buses: int = 1) -> None:
    async def whole() -> None:
        made = [make() for _ in range(buses)]
        for bus in made:
            await bus.start()
        try:
            await asyncio.wait_for(test(*made), 20)
        finally:
            for bus in made:
                await bus.stop()

    asyncio.run(whole())


def test_a_waiter_is_woken_by_its_topic_only(make: Make):
    async def test(bus: LocalBus) -> None:
        seen = bus.version("events")
        waiting = asyncio.create_task(bus.wait("events", seen, 10))
        await asyncio.sleep(0)
        bus.wake("logs")
        assert await bus.wait("events", seen, 0) == seen
        assert not waiting.done()
        bus.wake("events")
        assert await waiting > seen

    run(make, test)


def test_a_wake_up_before_the_wait_is_not_missed(make: Make):
    async def test(bus: LocalBus) -> None:
        seen = bus.version("events")
        bus.wake("events")
        assert await bus.wait("events", seen, 10) > seen

    run(make, test)


def test_a_wait_ends_by_itself_with_the_old_version(make: Make):
    async def test(bus: LocalBus) -> None:
        seen = bus.version("quiet")
        assert await bus.wait("quiet", seen, 0.01) == seen

    run(make, test)


def test_all_waiters_of_a_topic_are_woken(make: Make):
    async def test(bus: LocalBus) -> None:
        waits = [asyncio.create_task(bus.wait("events", 10_000, 10)) for _ in range(50)]
        seen = bus.version("events")
        others = [asyncio.create_task(bus.wait("events", seen, 10)) for _ in range(50)]
        await asyncio.sleep(0)
        bus.wake("events")
        assert all(version > seen for version in await asyncio.gather(*others))
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    run(make, test)


def test_threads_may_wake_and_publish(make: Make):
    async def test(bus: LocalBus) -> None:
        subscription = bus.subscribe("copies")
        seen = bus.version("events")
        waiting = asyncio.create_task(bus.wait("events", seen, 10))
        await asyncio.sleep(0)

        def other_thread() -> None:
            bus.wake("events")
            for number in range(100):
                bus.publish("copies", b"%d" % number)

        thread = threading.Thread(target=other_thread)
        thread.start()
        await waiting
        assert await take(subscription, 100) == [b"%d" % number for number in range(100)]
        thread.join()
        subscription.close()

    run(make, test)


def test_copies_arrive_in_order_and_only_at_their_topic(make: Make):
    async def test(bus: LocalBus) -> None:
        subscription, other = bus.subscribe("a"), bus.subscribe("b")
        for number in range(500):
            bus.publish("a", b"%d" % number)
        bus.publish("b", b"end")
        assert await take(subscription, 500) == [b"%d" % number for number in range(500)]
        assert await take(other, 1) == [b"end"]
        subscription.close()
        other.close()

    run(make, test)


def test_a_closed_subscription_ends_its_reader(make: Make):
    async def test(bus: LocalBus) -> None:
        subscription = bus.subscribe("a")

        async def read() -> list[bytes]:
            return [copy async for copy in subscription]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        subscription.close()
        assert await reading == []

    run(make, test)


def test_a_slow_reader_keeps_the_newest_and_knows_how_many_it_lost(make: Make):
    async def test(bus: LocalBus) -> None:
        subscription = Subscription(bus, "a", held=3)
        for copy in (b"1", b"2", b"3", b"4", b"5"):
            subscription.offer(copy)
        assert await subscription.take() == [b"3", b"4", b"5"]
        assert subscription.dropped == 2
        subscription.close()

    run(make, test)


def test_stop_releases_who_waits(make: Make):
    async def test(bus: LocalBus) -> None:
        waiting = asyncio.create_task(bus.wait("events", 10_000, 60))
        subscription = bus.subscribe("a")
        taking = asyncio.create_task(subscription.take())
        await asyncio.sleep(0)
        await bus.stop()
        assert await asyncio.wait_for(waiting, 5) < 10_000
        assert await asyncio.wait_for(taking, 5) == []

    run(make, test)


def test_start_and_stop_may_be_repeated(make: Make):
    async def test(bus: LocalBus) -> None:
        await bus.start()
        for _ in range(3):
            await bus.stop()
            await bus.start()
        seen = bus.version("events")
        waiting = asyncio.create_task(bus.wait("events", seen, 10))
        await asyncio.sleep(0)
        bus.wake("events")
        assert await waiting > seen

    run(make, test)


def test_wake_ups_and_copies_reach_another_process(make_two: Make):
    async def test(here: LocalBus, there: LocalBus) -> None:
        subscription = there.subscribe("copies")
        seen = there.version("events")
        here.wake("events")
        assert await there.wait("events", seen, 10) > seen
        large = secrets.token_bytes(50_000)
        here.publish("copies", b"small")
        here.publish("copies", large)
        here.publish("copies", b"")
        assert await take(subscription, 3) == [b"small", large, b""]
        subscription.close()

    run(make_two, test, buses=2)


def test_a_sender_hears_itself_once(make_two: Make):
    async def test(here: LocalBus, there: LocalBus) -> None:
        mine = here.subscribe("copies")
        theirs = there.subscribe("back")
        here.publish("copies", b"once")
        here.publish("back", b"done")
        # When the other one has it, an echo of the first copy would have come back before.
        assert await take(theirs, 1) == [b"done"]
        answer = here.subscribe("answer")
        there.publish("answer", b"yes")
        assert await take(answer, 1) == [b"yes"]
        assert await mine.take() == [b"once"]
        assert mine.dropped == 0
        for subscription in (mine, theirs, answer):
            subscription.close()

    run(make_two, test, buses=2)


def test_a_broken_connection_is_made_again_and_everything_is_woken():
    if not reachable(POSTGRES):
        pytest.skip("2026-11-25: no PostgreSQL server can be reached")
    channel = f"test_{secrets.token_hex(8)}"

    async def test(bus: LocalBus) -> None:
        seen = bus.version("events")
        bus.wake("events")
        seen = await bus.wait("events", seen, 10)
        await asyncio.to_thread(break_connections, channel)
        assert await bus.wait("events", seen, 15) > seen

    run(lambda: PostgresBus(POSTGRES, channel), test)


def break_connections(channel: str) -> None:
    import psycopg

    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE application_name = %s",
            (f"penstock {channel}",),
        ).fetchone()
    assert ended == (1,)


def test_the_bus_is_chosen_by_name():
    assert isinstance(open_bus("memory", ""), MemoryBus)
    assert isinstance(open_bus("postgresql", POSTGRES), PostgresBus)
    assert isinstance(open_bus(REDIS, ""), RedisBus)
    with pytest.raises(ValueError, match="there is no bus 'carrier pigeon'"):
        open_bus("carrier pigeon", "")


async def take(subscription: Subscription, count: int) -> list[bytes]:
    """Exactly `count` copies."""
    taken: list[bytes] = []
    while len(taken) < count:
        copies = await subscription.take()
        assert copies, "the subscription ended early"
        taken += copies
    return taken
