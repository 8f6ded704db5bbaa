"""A worker whose machine stopped, or whose connection was cut without a word."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
import uvicorn
from msgspec.structs import replace
from tests.channel import KIND, cleaning, hello, operation, path
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from penstock.base.clock import utc_now
from penstock.schemas.work import WorkPoolCreate
from penstock.server.api.ws.protocol import GatedProtocol
from penstock.server.app import App, create_app
from penstock.server.channel import dispatcher
from penstock.server.config import ServerConfig
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_owed import id_of
from penstock.server.ops import work_pools
from penstock.server.ops.context import Context


class Bench:
    """A server on a real port, in this loop, and the pool `local`."""

    def __init__(self, app: App, port: int, pool: str) -> None:
        self.app = app
        self.pool = pool
        self.workers: list[ClientConnection] = []
        self._url = f"ws://127.0.0.1:{port}{path()}"

    async def worker(self, name: str) -> ClientConnection:
        connection = await connect(
            self._url, subprotocols=[Subprotocol("prefect")], ping_interval=None, compression=None
        )
        self.workers.append(connection)
        await connection.send(json.dumps({"type": "auth", "token": None}))
        await connection.recv()
        await connection.send(json.dumps(hello(**cleaning(worker_name=name))))
        assert json.loads(await connection.recv())["type"] == "worker.ready.v1"
        return connection

    async def enqueue(self) -> str:
        now, run = utc_now(), str(uuid4())
        key = f"{KIND}:{run}"
        message = Message(
            id=id_of(key),
            work_pool_id=self.pool,
            kind=KIND,
            cause="manual",
            flow_run_id=run,
            target={"flow_run_id": run, "infrastructure_pid": "x"},
            data={},
            idempotency_key=key,
            available_at=now,
            created_at=now,
            updated_at=now,
            queued_at=now,
        )
        return str((await self.app.queue.enqueue(message)).id)

    async def state(self, id: str) -> Any:
        found = await self.app.queue.get(id)
        assert found is not None
        return found.message


def stop(worker: ClientConnection) -> None:
    """As if the machine of the worker stood still: nothing is read and nothing answered."""
    worker.transport.pause_reading()


async def held(worker: ClientConnection, seconds: float = 5.0) -> dict[str, Any]:
    frame = json.loads(await asyncio.wait_for(worker.recv(), seconds))
    assert frame["type"] == "cleanup.message.v1"
    return frame["payload"]


async def acknowledge(worker: ClientConnection, one: dict[str, Any]) -> str:
    said = operation("ack", one["message_id"], one["reservation_token"])
    await worker.send(json.dumps(said))
    return json.loads(await worker.recv())["payload"]["status"]


def check(test: Callable[[Bench], Awaitable[None]]) -> None:
    async def whole() -> None:
        app = create_app(ServerConfig(services=False))
        await app.start()
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, ws=GatedProtocol, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        made = await app.store.write(
            work_pools.create_work_pool, Context(), body=WorkPoolCreate(name="local", type="x")
        )
        bench = Bench(app, listener.getsockname()[1], str(made.id))
        try:
            await asyncio.wait_for(test(bench), 30)
        finally:
            for worker in bench.workers:
                worker.transport.abort()
            await app.drain()
            server.should_exit = True
            await serving
            await app.stop()

    asyncio.run(whole())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths."""
    for name, seconds in (
        ("LIVE_SECONDS", 0.4),
        ("PATIENCE", 0.2),
        ("HOLDER_SECONDS", 0.2),
        ("SAFETY_SECONDS", 0.3),
    ):
        monkeypatch.setattr(dispatcher, name, seconds)


def test_nothing_is_sent_into_a_connection_that_gives_no_sign_of_life():
    async def test(bench: Bench) -> None:
        dead = await bench.worker("a")
        alive = await bench.worker("b")
        stop(dead)
        await asyncio.sleep(0.5)
        for _ in range(3):
            id = await bench.enqueue()
            one = await held(alive)
            assert (one["message_id"], one["delivery_count"]) == (id, 1)
            assert await acknowledge(alive, one) == "accepted"
        # Back to life: it is asked, answers, and gets what comes next.
        dead.transport.resume_reading()
        await bench.enqueue()
        await bench.enqueue()
        assert await held(alive)
        assert await held(dead)

    check(test)


def test_a_worker_that_stops_with_a_message_wastes_one_delivery_and_no_attempt():
    async def test(bench: Bench) -> None:
        bench.app.queue.policy = replace(bench.app.queue.policy, lease_seconds=1.5)
        dead = await bench.worker("a")
        stop(dead)
        id = await bench.enqueue()
        await asyncio.sleep(0.1)
        alive = await bench.worker("b")
        one = await held(alive)
        assert (one["message_id"], one["delivery_count"]) == (id, 2)
        assert (await bench.state(id)).attempts == 0
        assert await acknowledge(alive, one) == "accepted"

    check(test)


def test_a_worker_that_stood_still_and_comes_back_in_time_keeps_its_message():
    async def test(bench: Bench) -> None:
        worker = await bench.worker("a")
        id = await bench.enqueue()
        one = await held(worker)
        stop(worker)
        await asyncio.sleep(1.0)
        worker.transport.resume_reading()
        assert await acknowledge(worker, one) == "accepted"
        message = await bench.state(id)
        assert (message.state, message.deliveries, message.attempts) == ("done", 1, 0)

    check(test)
