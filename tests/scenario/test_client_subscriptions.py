"""Live events and logs, from the server inside the process and over the network."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from tests.server_process import ServerProcess

from penstock.client import get_client
from penstock.client.endpoint import reset
from penstock.client.subscriptions import (
    AsyncSubscription,
    Subscription,
    subscribe_events,
    subscribe_logs,
)
from penstock.events import Event, FlowRunSubscriber, emit_event, get_events_subscriber
from penstock.events.worker import EventsWorker
from penstock.logging import flow_run_logger, flush_logs
from penstock.schemas.events import EventFilter, EventNameFilter
from penstock.schemas.flow_runs import FlowRunBegin, FlowRunCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.logs import Log
from penstock.schemas.states import StateCreate, StateType
from penstock.settings import temporary_settings
from penstock.testing.utilities import penstock_test_harness


@pytest.fixture(params=["embedded", "network"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """One test, against both ways to a server; log streaming is on."""
    streaming = {"server.logs.stream_out_enabled": True}
    if request.param == "embedded":
        with temporary_settings(streaming), penstock_test_harness():
            yield
        return
    reset()
    with (
        ServerProcess(tmp_path, PENSTOCK_SERVER_LOGS_STREAM_OUT_ENABLED="true") as server,
        temporary_settings({"api.url": server.api}),
    ):
        yield
        EventsWorker.instance().drain()
        reset()


def emit(name: str) -> None:
    assert emit_event(name, {"prefect.resource.id": "demo.1"}) is not None


@pytest.mark.usefixtures("api")
def test_events_from_before_and_after_come_once_in_order():
    emit("demo.before")
    EventsWorker.instance().drain()
    only = EventFilter(event=EventNameFilter(prefix=["demo."]))
    with subscribe_events(only) as subscription:
        emit("other.event")
        emit("demo.after")
        events = iter(subscription)
        assert [next(events).event, next(events).event] == ["demo.before", "demo.after"]


@pytest.mark.usefixtures("api")
def test_closing_from_another_thread_ends_the_iteration():
    subscription = subscribe_events()
    subscription.open()
    ended = threading.Event()

    def listen() -> None:
        for _ in subscription:
            pass
        ended.set()

    thread = threading.Thread(target=listen)
    thread.start()
    subscription.close()
    assert ended.wait(10)
    thread.join()


@pytest.mark.usefixtures("api")
def test_the_async_subscriber_gives_events_with_accessors():
    async def first() -> Event:
        async with get_events_subscriber() as events:
            emit("demo.heard")
            async for event in events:
                return event
        raise AssertionError("nothing came")

    event = asyncio.run(first())
    assert (event.event, event.resource.get("prefect.resource.id")) == ("demo.heard", "demo.1")
    assert event.involved_resources == [event.resource]


@pytest.mark.usefixtures("api")
def test_logs_come_as_they_are_stored():
    run = uuid4()

    async def speak() -> None:
        while True:
            flow_run_logger(flow_run_id=run).info("live")
            await asyncio.to_thread(flush_logs, 10.0)

    async def first() -> Log:
        async with AsyncSubscription(subscribe_logs()) as logs:
            # Nothing says when a subscription has begun; it has when the first record comes.
            speaking = asyncio.create_task(speak())
            async for log in logs:
                speaking.cancel()
                return log
        raise AssertionError("nothing came")

    log = asyncio.run(first())
    assert (log.message, log.flow_run_id) == ("live", run)


@pytest.mark.usefixtures("api")
def test_a_flow_run_is_followed_to_its_end():
    client = get_client(sync_client=True)
    pending = StateCreate(type=StateType.PENDING)
    run = client.begin_flow_run(
        FlowRunBegin(
            flow=FlowCreate(name="etl"),
            run=FlowRunCreate(flow_id=UUID(int=0), id=uuid4(), state=pending),
        )
    )

    async def follow() -> list[str]:
        seen: list[str] = []
        async with FlowRunSubscriber(run.id, straggler_timeout=0) as items:
            for state in (StateType.RUNNING, StateType.COMPLETED):
                await asyncio.to_thread(client.set_flow_run_state, run.id, StateCreate(type=state))
            async for item in items:
                seen.append(item.event if isinstance(item, Event) else item.message)
        return seen

    assert asyncio.run(follow()) == [
        "prefect.flow-run.Pending",
        "prefect.flow-run.Running",
        "prefect.flow-run.Completed",
    ]


def test_a_lost_server_is_looked_for_and_what_was_missed_is_caught_up(tmp_path: Path):
    reset()
    server = ServerProcess(tmp_path)
    server.start()
    try:
        with temporary_settings({"api.url": server.api}):
            emit("demo.first")
            EventsWorker.instance().drain()
            paused = threading.Event()
            restarted: list[bool] = []

            def restart_once(seconds: float) -> None:
                if not restarted:
                    restarted.append(True)
                    server.start()
                    emit("demo.second")
                    EventsWorker.instance().drain()
                paused.set()

            made = subscribe_events(EventFilter(event=EventNameFilter(prefix=["demo."])))
            subscription = Subscription(
                made._feed, made._filter, reconnection_attempts=50, sleep=restart_once
            )
            with subscription:
                events = iter(subscription)
                assert next(events).event == "demo.first"
                server.kill()
                assert next(events).event == "demo.second"
            assert paused.is_set()
    finally:
        server.stop()
        reset()


def test_a_server_that_refuses_is_told_at_once(tmp_path: Path):
    reset()
    with (
        ServerProcess(tmp_path, PENSTOCK_SERVER_API_AUTH_STRING="admin:pass") as server,
        temporary_settings({"api.url": server.api, "api.auth_string": "admin:wrong"}),
        pytest.raises(ConnectionError, match="Invalid token"),
    ):
        list(subscribe_events())
    reset()
