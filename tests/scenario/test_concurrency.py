"""Global concurrency limits as programs use them, with the server in the same process."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock import flow, task
from penstock.client import leases
from penstock.client.endpoint import endpoint
from penstock.client.sockets import flush_events
from penstock.concurrency import asyncio as aio
from penstock.concurrency import sync
from penstock.concurrency.v1 import asyncio as aio_v1
from penstock.concurrency.v1 import sync as sync_v1
from penstock.schemas.errors import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
)
from penstock.schemas.events import EventsFilterBody
from penstock.schemas.limits import (
    ConcurrencyLimitCreate,
    ConcurrencyLimitV2Create,
    SlotsIncrement,
)
from penstock.schemas.states import StateType


class Slots:
    """The limits of an API, and what is known of their slots."""

    def __init__(self, api: EmbeddedApi) -> None:
        self.api = api
        self.client = api.client
        transport: Any = endpoint(api.client.target).transport
        self.store = transport.server.app.store

    def limit(self, name: str, slots: int = 1, **fields: Any) -> None:
        body = ConcurrencyLimitV2Create(name=name, limit=slots, **fields)
        self.client.call("create_concurrency_limit_v2", body=body)

    def taken(self, name: str) -> int:
        return self.client.call("read_concurrency_limit_v2", name).active_slots

    def occupy(self, name: str) -> None:
        """Take a slot that nobody gives back."""
        body = SlotsIncrement(names=[name], slots=1)
        self.client.call("bulk_increment_active_slots", body=body)

    def end_leases(self) -> None:
        """End all leases behind the backs of their holders."""
        self.store.write_sync(lambda tx: tx.fetch("DELETE FROM concurrency_lease RETURNING id", []))

    def leases(self) -> int:
        """How many there are. Every acquisition makes one, even without a limit."""
        sql = "SELECT COUNT(DISTINCT id) AS count FROM concurrency_lease"
        return self.store.read_sync(lambda tx: tx.fetch(sql, []))[0]["count"]

    def events(self) -> list[Any]:
        """Events about slots, the oldest first."""
        assert flush_events(10) == 0
        page = self.client.call("read_events", body=EventsFilterBody(limit=50))
        found = [event for event in page.events if ".concurrency-limit." in event.event]
        names = ("acquired", "released")
        return [one for one in reversed(found) if one.event.endswith(names)]


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[Slots]:
    with embedded_api(tmp_path) as api:
        yield Slots(api)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are renewed all the time instead of once in a while."""
    monkeypatch.setattr(leases, "RENEW_AFTER", 0.0001)


async def in_asyncio(context: Any) -> None:
    async with context:
        pass


# --- ordinary code --------------------------------------------------------------------------------


def test_slots_are_held_while_the_body_runs(slots: Slots) -> None:
    slots.limit("db", 3)
    slots.limit("api", 2)
    with sync.concurrency(["db", "api"], occupy=2):
        assert (slots.taken("db"), slots.taken("api")) == (2, 2)
        with pytest.raises(AcquireConcurrencySlotTimeoutError), sync.concurrency("api", 1, 0):
            pass
        with sync.concurrency("db"):
            assert slots.taken("db") == 3
    assert (slots.taken("db"), slots.taken("api")) == (0, 0)
    with pytest.raises(ValueError, match="mine"), sync.concurrency("db"):
        raise ValueError("mine")
    assert slots.taken("db") == 0


def test_no_names_and_unknown_names_hold_nobody_up(
    slots: Slots, caplog: pytest.LogCaptureFixture
) -> None:
    with sync.concurrency([]), sync.concurrency("nothing"):
        pass
    assert "nothing" in caplog.text
    sync.rate_limit([])
    with (
        pytest.raises(ConcurrencySlotAcquisitionError, match="nothing"),
        sync.concurrency("nothing", strict=True),
    ):
        pass


def test_waiters_do_not_wait_for_each_other(slots: Slots) -> None:
    """One that waits for much holds up none behind it, and each one's time is its own."""
    slots.limit("db", 2)
    slots.occupy("db")
    waited: list[float] = []
    all_wait = threading.Barrier(5)

    def wait(occupy: int) -> None:
        started = time.monotonic()
        all_wait.wait()
        with (
            pytest.raises(AcquireConcurrencySlotTimeoutError),
            sync.concurrency("db", occupy=occupy, timeout_seconds=0.5),
        ):
            pass
        waited.append(time.monotonic() - started)

    threads = [threading.Thread(target=copy_context().run, args=(wait, 2)) for _ in range(4)]
    for thread in threads:
        thread.start()
    all_wait.wait()
    with sync.concurrency("db", timeout_seconds=0):
        pass
    for thread in threads:
        thread.join()
    assert len(waited) == 4 and max(waited) < 3


def test_slots_are_told_with_what_they_are_held_for(slots: Slots) -> None:
    slots.limit("db", 5)
    slots.limit("api", 5)

    @flow
    def etl() -> None:
        with sync.concurrency(["db", "api"], occupy=2):
            pass

    etl()
    run = slots.api.flow_run("etl")
    events = slots.events()
    assert sorted(event.event for event in events) == (
        ["prefect.concurrency-limit.acquired"] * 2 + ["prefect.concurrency-limit.released"] * 2
    )
    acquired = {event.resource["prefect.resource.name"]: event for event in events[:2]}
    released = {event.resource["prefect.resource.name"]: event for event in events[2:]}
    for name, other in (("db", "api"), ("api", "db")):
        event = acquired[name]
        limit = slots.client.call("read_concurrency_limit_v2", name)
        assert event.resource == {
            "prefect.resource.id": f"prefect.concurrency-limit.{limit.id}",
            "prefect.resource.name": name,
            "slots-acquired": "2",
            "limit": "5",
        }
        roles = {one["prefect.resource.role"]: one for one in event.related}
        assert (
            roles["concurrency-limit"]["prefect.resource.id"]
            == (acquired[other].resource["prefect.resource.id"])
        )
        assert roles["flow-run"]["prefect.resource.id"] == f"prefect.flow-run.{run.id}"
        assert released[name].follows == event.id
        assert released[name].resource == event.resource


def test_a_rate_is_limited_by_decay(slots: Slots) -> None:
    slots.limit("rate", 2, slot_decay_per_second=0.0001)
    sync.rate_limit("rate", 2)
    assert slots.taken("rate") == 2
    with pytest.raises(AcquireConcurrencySlotTimeoutError):
        sync.rate_limit("rate", timeout_seconds=0)
    slots.limit("plain", 2)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="decay"):
        sync.rate_limit("plain")
    (event,) = slots.events()
    assert event.event == "prefect.concurrency-limit.acquired"


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("options", [{"strict": True}, {"raise_on_lease_renewal_failure": True}])
def test_a_body_that_lost_its_slots_is_ended(slots: Slots, options: dict[str, Any]) -> None:
    slots.limit("db")
    with (
        pytest.raises(ConcurrencySlotAcquisitionError, match="lost"),
        sync.concurrency("db", **options),
    ):
        slots.end_leases()
        never = threading.Event()
        for _ in range(1000):
            never.wait(0.01)
        raise AssertionError("the body went on")
    assert slots.taken("db") == 0


@pytest.mark.usefixtures("hasty")
def test_a_body_that_may_go_on_is_warned(
    slots: Slots, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots.limit("db")
    with sync.concurrency("db"):
        slots.end_leases()
        assert leases.KEEPER._thread is not None
        leases.KEEPER._thread.join(10)
    assert "going on without" in caplog.text
    assert slots.taken("db") == 0


# --- coroutines -----------------------------------------------------------------------------------


def test_coroutines_hold_slots_as_ordinary_code_does(slots: Slots) -> None:
    slots.limit("db", 2)

    async def story() -> None:
        async with aio.concurrency("db", occupy=2):
            assert slots.taken("db") == 2
            with pytest.raises(AcquireConcurrencySlotTimeoutError):
                await in_asyncio(aio.concurrency("db", timeout_seconds=0.1))
        assert slots.taken("db") == 0
        async with aio.concurrency([]):
            pass
        await aio.rate_limit([])
        with pytest.raises(ConcurrencySlotAcquisitionError, match="nothing"):
            await in_asyncio(aio.concurrency("nothing", strict=True))

    asyncio.run(story())


def test_a_cancelled_holder_gives_its_slots_back(slots: Slots) -> None:
    slots.limit("db")

    async def story() -> None:
        inside = asyncio.Event()

        async def hold() -> None:
            async with aio.concurrency("db"):
                inside.set()
                await asyncio.Event().wait()

        holder = asyncio.create_task(hold())
        await inside.wait()
        assert slots.taken("db") == 1
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder
        assert slots.taken("db") == 0

    asyncio.run(story())


@pytest.mark.usefixtures("hasty")
def test_a_coroutine_that_lost_its_slots_is_ended(slots: Slots) -> None:
    slots.limit("db")

    async def story() -> None:
        async with aio.concurrency("db", strict=True):
            slots.end_leases()
            await asyncio.Event().wait()

    with pytest.raises(ConcurrencySlotAcquisitionError, match="lost"):
        asyncio.run(asyncio.wait_for(story(), 30))
    assert slots.taken("db") == 0


def test_a_caller_that_is_cancelled_while_it_asks_keeps_nothing(slots: Slots) -> None:
    slots.limit("db")

    async def story() -> None:
        asking = asyncio.create_task(in_asyncio(aio.concurrency("db")))
        for _ in range(3):
            await asyncio.sleep(0)  # the request is on its way
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with aio.concurrency("db", timeout_seconds=30):
            assert slots.taken("db") == 1

    asyncio.run(story())
    assert slots.taken("db") == 0


# --- tags -----------------------------------------------------------------------------------------


def test_tasks_share_the_slots_of_their_tag(slots: Slots) -> None:
    slots.limit("tag:db", 1, slot_decay_per_second=0)
    together: list[int] = []

    @task(tags=["db", "free"])
    def query(n: int) -> int:
        together.append(slots.taken("tag:db"))
        if n == 1:
            raise ValueError("this one fails")
        return n

    @task(tags=["db"])
    async def query_later() -> int:
        together.append(slots.taken("tag:db"))
        return 7

    @flow
    def etl() -> None:
        futures = [query.submit(n) for n in range(2)]
        futures.append(query_later.submit())
        for future in futures:
            future.wait()

    etl(return_state=True)
    assert together == [1, 1, 1]
    assert slots.taken("tag:db") == 0
    run = slots.api.flow_run("etl")
    states = sorted(str(one.state_type) for one in slots.api.task_runs(run))
    assert states == [StateType.COMPLETED, StateType.COMPLETED, StateType.FAILED]
    events = slots.events()
    assert [event.event.rpartition(".")[2] for event in events] == ["acquired", "released"] * 3
    for acquired, released in zip(events[::2], events[1::2], strict=True):
        assert acquired.resource["prefect.resource.name"] == "tag:db"
        assert released.follows == acquired.id
        roles = [one["prefect.resource.role"] for one in acquired.related]
        assert roles[:3] == ["flow-run", "task-run", "flow"]


def test_tags_without_a_limit_are_asked_about_once_in_a_while(slots: Slots) -> None:
    tag = f"free-{uuid4().hex}"

    @task(tags=[tag])
    def work(n: int) -> int:
        return n

    @task
    def plain(n: int) -> int:
        return n

    def requests(run: Any) -> int:
        before = slots.leases()
        run()
        return slots.leases() - before

    assert requests(lambda: [plain(n) for n in range(10)]) == 0
    assert requests(lambda: [work(n) for n in range(10)]) == 1
    assert requests(lambda: [work(n) for n in range(10)]) == 0


def test_a_task_that_cannot_ask_for_its_slots_fails(slots: Slots) -> None:
    slots.limit("tag:db", 0)

    @task(tags=["db"])
    def work() -> None:
        raise AssertionError("it ran")

    state = work(return_state=True)
    assert state.is_failed() and "0" in str(state.message)


# --- version 1 ------------------------------------------------------------------------------------


def test_slots_of_tags_for_a_task_run(slots: Slots) -> None:
    body = ConcurrencyLimitCreate(tag="db", concurrency_limit=1)
    slots.client.call("create_concurrency_limit", body=body)
    one, two = uuid4(), uuid4()

    def holders() -> list[Any]:
        return slots.client.call("read_concurrency_limit_by_tag", "db").active_slots

    async def in_a_coroutine() -> None:
        async with aio_v1.concurrency("db", two):
            assert holders() == [two]

    with sync_v1.concurrency(["db", "free"], one):
        assert holders() == [one]
        with (
            pytest.raises(AcquireConcurrencySlotTimeoutError),
            sync_v1.concurrency("db", two, timeout_seconds=0),
        ):
            pass
    asyncio.run(in_a_coroutine())
    assert holders() == []
    events = slots.events()
    assert [event.event for event in events] == [
        "prefect.concurrency-limit.v1.acquired",
        "prefect.concurrency-limit.v1.released",
    ] * 2
    assert events[0].resource["task_run_id"] == str(one)
    assert events[1].follows == events[0].id
