"""A worker's channel to a real server: connected, told, lost, found again."""

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.server_process import ServerProcess

from penstock.client.target import Target
from penstock.schemas.channel import WorkReady
from penstock.workers.channel import ChannelState, WorkerChannel, WorkerDescription, reconnect_delay


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as running:
        yield running


def call(server: ServerProcess, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        server.api + path,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None


class Heard:
    """What a channel has told, and waiting for more of it."""

    def __init__(self) -> None:
        self.snapshots: list[dict[str, Any]] = []
        self.work: list[WorkReady] = []
        self.states: list[ChannelState] = []
        self.requests = 0

    async def rest_heartbeat(self) -> None:
        self.requests += 1

    async def until(self, holds: Callable[[], Any], seconds: float = 10.0) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not holds():
            assert asyncio.get_running_loop().time() < deadline, vars(self)
            await asyncio.sleep(0.005)


def with_channel(
    server: ServerProcess,
    pool: str,
    test: Callable[[WorkerChannel, Heard], Awaitable[None]],
    **options: Any,
) -> None:
    async def whole() -> None:
        heard = Heard()
        channel = WorkerChannel(
            Target(url=server.api),
            pool,
            WorkerDescription(
                **{
                    "name": "w",
                    "type": "process",
                    "create_pool_if_not_found": True,
                    **options,
                }
            ),
            rest_heartbeat=heard.rest_heartbeat,
            on_snapshot=heard.snapshots.append,
            on_work_ready=heard.work.append,
            on_state=heard.states.append,
        )
        await channel.start()
        try:
            await asyncio.wait_for(test(channel, heard), 30)
        finally:
            await channel.stop()

    asyncio.run(whole())


def scheduled_run(server: ServerProcess, pool: str, due: datetime) -> str:
    flow = call(server, "POST", "/flows/", {"name": "etl"})
    body = {
        "name": f"d-{pool}",
        "flow_id": flow["id"],
        "work_pool_name": pool,
        "entrypoint": "x.py:f",
    }
    deployment = call(server, "POST", "/deployments/", body)
    state = {
        "type": "SCHEDULED",
        "state_details": {"scheduled_time": due.isoformat()},
    }
    made = call(
        server, "POST", f"/deployments/{deployment['id']}/create_flow_run", {"state": state}
    )
    return made["id"]


def test_a_worker_is_online_by_its_channel_alone(server: ServerProcess):
    async def test(channel: WorkerChannel, heard: Heard) -> None:
        assert await channel.settled(5) is ChannelState.HEALTHY
        (snapshot,) = heard.snapshots
        assert snapshot["name"] == "online"
        (worker,) = await asyncio.to_thread(
            call, server, "POST", "/work_pools/online/workers/filter", {}
        )
        assert worker["status"] == "ONLINE"
        first = worker["last_heartbeat_time"]
        await asyncio.sleep(1.2)
        (worker,) = await asyncio.to_thread(
            call, server, "POST", "/work_pools/online/workers/filter", {}
        )
        assert worker["last_heartbeat_time"] > first
        assert heard.requests == 0

    with_channel(server, "online", test, heartbeat_seconds=1)


def test_the_channel_says_at_once_that_a_run_is_ready(server: ServerProcess):
    async def test(channel: WorkerChannel, heard: Heard) -> None:
        await channel.settled(5)
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(scheduled_run, server, "ready", datetime.now(UTC))
        begin = loop.time()
        await heard.until(lambda: heard.work)
        assert loop.time() - begin < 1
        (told,) = heard.work[:1]
        assert told.ready == 1
        assert channel.ready is not None
        assert told.work_queue_ids == [channel.ready.resolved_work_queues[0].id]

    with_channel(server, "ready", test)


def test_a_run_that_is_due_soon_is_announced_and_then_told(server: ServerProcess):
    async def test(channel: WorkerChannel, heard: Heard) -> None:
        await channel.settled(5)
        due = datetime.now(UTC) + timedelta(seconds=1.5)
        await asyncio.to_thread(scheduled_run, server, "soon", due)
        await heard.until(lambda: heard.work)
        assert (heard.work[0].ready, heard.work[0].next_due) == (0, due)
        await heard.until(lambda: heard.work[-1].ready)
        assert timedelta() <= datetime.now(UTC) - due < timedelta(seconds=0.5)

    with_channel(server, "soon", test)


def test_a_worker_of_other_queues_is_left_alone(server: ServerProcess):
    call(server, "POST", "/work_pools/", {"name": "queues", "type": "process"})
    call(server, "POST", "/work_pools/queues/queues", {"name": "other"})

    async def test(channel: WorkerChannel, heard: Heard) -> None:
        await channel.settled(5)
        await asyncio.to_thread(scheduled_run, server, "queues", datetime.now(UTC))
        await asyncio.sleep(0.3)
        assert heard.work == []

    with_channel(server, "queues", test, work_queue_names=("other",))


def test_changes_of_the_pool_arrive(server: ServerProcess):
    async def test(channel: WorkerChannel, heard: Heard) -> None:
        await channel.settled(5)
        await asyncio.to_thread(
            call, server, "PATCH", "/work_pools/changes", {"concurrency_limit": 4}
        )
        await heard.until(lambda: len(heard.snapshots) == 2)
        assert heard.snapshots[1]["concurrency_limit"] == 4

    with_channel(server, "changes", test)


def test_an_unknown_pool_disables_the_channel_and_heartbeats_go_by_requests(server: ServerProcess):
    async def test(channel: WorkerChannel, heard: Heard) -> None:
        assert await channel.settled(5) is ChannelState.DISABLED
        await heard.until(lambda: heard.requests)

    with_channel(server, "nowhere", test, create_pool_if_not_found=False)


def test_a_lost_server_is_found_again(tmp_path: Path):
    server = ServerProcess(tmp_path)
    server.start()

    async def test(channel: WorkerChannel, heard: Heard) -> None:
        assert await channel.settled(5) is ChannelState.HEALTHY
        await asyncio.to_thread(server.kill)
        await heard.until(lambda: heard.requests)
        assert channel.state is ChannelState.FALLBACK_RETRYING
        await asyncio.to_thread(server.start)
        await heard.until(lambda: channel.healthy, 20)
        assert len(heard.snapshots) == 2

    try:
        with_channel(server, "lost", test)
    finally:
        server.stop()


def test_pauses_between_attempts_double_up_to_half_a_minute():
    assert [reconnect_delay(attempt) for attempt in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
