"""One queue for each backend; every test works in pools of its own."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from msgspec.structs import replace
from tests.databases import database_url

from penstock.base.clock import utc_now
from penstock.schemas.cleanup import CleanupKind, CleanupPlacement
from penstock.server.bus import MemoryBus
from penstock.server.config import CleanupConfig
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_owed import id_of
from penstock.server.domain.cleanup_retries import CleanupPolicy
from penstock.server.queue import Reservation, open_queue
from penstock.server.store import Store, open_store

KIND = CleanupKind.CANCELLING_TIMEOUT.value
BACKENDS = ("memory", "sqlite", "postgresql", "redis")
REDIS = os.environ.get("PENSTOCK_TEST_REDIS", "redis://127.0.0.1:6379/0")


class Bench:
    """A queue at work, and short ways to do what most tests begin with."""

    def __init__(self, kind: str, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self.kind = kind
        self.store = store
        self.loop = loop
        self.bus = MemoryBus()
        self.queue: Any = None
        self.pool = str(uuid4())
        self.prefix = f"test:{uuid4().hex}"
        self.consumer = str(uuid4())

    def open(self, policy: CleanupPolicy | None = None) -> None:
        storages = {"memory": "memory", "redis": "redis"}
        config = CleanupConfig(
            storage=storages.get(self.kind, "database"),
            policy=policy or CleanupPolicy(),
            redis_url=REDIS,
            redis_prefix=self.prefix,
        )
        self.queue = open_queue(config, self.store, self.bus, ephemeral=True)
        self.run(self.bus.start())
        self.run(self.queue.start())
        self.store.on_wake = self._wake

    def _wake(self, topics: frozenset[str]) -> None:
        for topic in topics:
            self.bus.wake(topic)
        self.queue.committed(topics)

    def close(self) -> None:
        self.run(self.queue.stop())
        self.run(self.bus.stop())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def advance(self, seconds: float) -> None:
        """Let time pass for the queue."""
        self.settle()
        self.queue.shift += timedelta(seconds=seconds)

    def with_policy(self, **fields: Any) -> None:
        self.queue.policy = replace(self.queue.policy, **fields)

    # --- what most tests begin with --------------------------------------------------------------

    def message(self, **fields: Any) -> Message:
        """A message that was not enqueued yet."""
        now = utc_now()
        run = str(uuid4())
        key = fields.pop("idempotency_key", f"{KIND}:{run}:{uuid4()}")
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
        return Message(**{**values, **fields})

    def enqueue(self, **fields: Any) -> str:
        message = self.message(**fields)
        made = str(self.run(self.queue.enqueue(message)).id)
        self.settle()
        return made

    def reserve(self, worker: str = "w1", **fields: Any) -> Reservation | None:
        self.settle()
        values: dict[str, Any] = {"consumer_id": self.consumer, "worker_name": worker}
        pool = fields.pop("pool", self.pool)
        kinds = fields.pop("kinds", (KIND,))
        return self.run(self.queue.reserve(pool, kinds, **{**values, **fields}))

    def leased(self, worker: str = "w1", **fields: Any) -> Reservation:
        """One message, enqueued and reserved."""
        self.enqueue(**fields)
        found = self.reserve(worker)
        assert found is not None
        return found

    def ack(self, held: Reservation, **fields: Any) -> Any:
        pool = fields.pop("pool", self.pool)
        token = fields.pop("token", held.token)
        return self.run(self.queue.ack(pool, held.message_id, token, **fields))

    def renew(self, held: Reservation, **fields: Any) -> Any:
        pool, token = fields.get("pool", self.pool), fields.get("token", held.token)
        return self.run(self.queue.renew(pool, held.message_id, token))

    def release(
        self, held: Reservation, reason: str = "infrastructure_not_available", **fields: Any
    ) -> Any:
        pool, token = fields.get("pool", self.pool), fields.get("token", held.token)
        return self.run(self.queue.release(pool, held.message_id, token, reason))

    def expire(self, limit: int = 100) -> Any:
        self.settle()
        return self.run(self.queue.expire(limit, self.pool))

    def settle(self) -> None:
        """Until what was decided can be read by everybody; nothing where it always can."""
        settled = getattr(self.queue, "settled", None)
        if settled is not None:
            self.run(settled())

    def get(self, id: str) -> Any:
        self.settle()
        found = self.run(self.queue.get(id))
        assert found is not None
        return found.message

    def history(self, id: str) -> list[Any]:
        self.settle()
        found = self.run(self.queue.get(id))
        assert found is not None
        return found.history

    def kill(self, reason: str = "invalid_payload") -> Reservation:
        """A dead message, as its last holder saw it."""
        held = self.leased()
        assert self.release(held, reason).status == "dead_lettered"
        return held


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Store]]:
    """Started stores by kind of database, each opened when it is first asked for."""
    opened: dict[str, Store] = {}
    with ExitStack() as closing:

        def store_of(kind: str) -> Store:
            if kind not in opened:
                if kind in ("memory", "redis"):
                    url = "sqlite:///:memory:"
                else:
                    folder: Path = tmp_path_factory.mktemp("queue")
                    url = closing.enter_context(database_url(kind, folder))
                store = open_store(url)
                store.start()
                closing.callback(store.stop)
                opened[kind] = store
            return opened[kind]

        yield store_of


@pytest.fixture(params=BACKENDS)
def bench(request: pytest.FixtureRequest, stores: Callable[[str], Store]) -> Iterator[Bench]:
    if request.param == "redis" and not reachable(REDIS):
        pytest.skip("2026-11-25: no Redis server can be reached")
    loop = asyncio.new_event_loop()
    made = Bench(request.param, stores(request.param), loop)
    made.open()
    yield made
    made.close()
    if request.param == "redis":
        forget(made.prefix)
    loop.close()


def reachable(url: str) -> bool:
    try:
        redis.Redis.from_url(url, socket_connect_timeout=1).ping()
    except redis.RedisError:
        return False
    return True


def forget(prefix: str) -> None:
    """Delete every key of a test."""
    client = redis.Redis.from_url(REDIS)
    for key in client.scan_iter(match=f"{prefix}:*", count=1000):
        client.delete(key)
    client.close()


def placed(placement: CleanupPlacement, worker: str | None = "w1", **more: Any) -> Mapping:
    return {"placement": placement, "affinity_worker_name": worker, **more}
