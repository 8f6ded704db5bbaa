"""The protocol of the worker channel, frame by frame, against a whole application."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from tests.channel import BASIC, CLEANUP, KIND, Worker, cleaning, frame, heartbeat, hello, path
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Closed, WebSocket, request
from tests.unit.server.api.shared import SharedApp, shared_app

from penstock.server.app import App

TEMPLATE = {
    "job_configuration": {"command": "{{ command }}"},
    "variables": {"type": "object", "properties": {"command": {"type": "string"}}},
}


async def make_pool(app: App, name: str = "local", **fields: Any) -> dict[str, Any]:
    answer = await request(
        app, "POST", "/api/work_pools/", {"name": name, "type": "process", **fields}
    )
    assert answer.status == 201, answer.body
    return answer.json


async def events(app: App, name: str, of: str) -> int:
    """How many events of this name are about the resource of that id or name."""
    body = {"filter": {"event": {"name": [name]}}}
    answer = await request(app, "POST", "/api/events/filter", body)
    return sum(of in one["resource"].values() for one in answer.json["events"])


async def closed_after(app: App, *frames: Any, pool: str = "local", **options: Any) -> Closed:
    """How the channel is closed after these frames; it must close."""
    options.setdefault("subprotocols", ["prefect"])
    with pytest.raises(Closed) as caught:
        async with WebSocket(app, path(pool), **options) as socket:
            for one in frames:
                socket.send(one) if not isinstance(one, bytes) else socket.send_bytes(one)
            while True:
                await socket.receive()
    return caught.value


@pytest.fixture(scope="module")
def shared() -> Iterator[SharedApp]:
    with shared_app() as running:
        yield running


def check(test: Callable[[App], Awaitable[Any]], shared: SharedApp | None = None) -> None:
    """Run a test on an application with the pool `local` and nothing else."""

    async def with_pool(app: App) -> None:
        await make_pool(app)
        try:
            await test(app)
        finally:
            if shared is not None:
                listed = await request(app, "POST", "/api/work_pools/filter", {})
                for one in listed.json:
                    await request(app, "DELETE", "/api/work_pools/" + quote(one["name"]))

    if shared is None:
        with_app(with_pool)
    else:
        shared.run(with_pool)


SAID = hello()
AUTH = {"type": "auth", "token": None}


# --- authentication ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        "not json",
        "[" * 100_000,
        "[]",
        {"type": "auth", "token": "wrong"},
        {"type": "auth", "token": None},
        {"type": "auth", "token": 7},
        {"type": "auth", "token": "me:pass", "more": 1},
        {"type": "auth_success"},
        hello(),
        b"\xff\xfe",
    ],
)
def test_who_does_not_authenticate_is_closed(first: Any):
    async def test(app: App) -> None:
        closed = await closed_after(app, first)
        assert (closed.code, closed.reason) == (1008, "authentication_failed")

    with_app(test, auth_string="me:pass")


@pytest.mark.parametrize("token", [None, "anything"])
def test_without_credentials_configured_any_token_passes(shared: SharedApp, token: Any):
    async def test(app: App) -> None:
        async with WebSocket(app, path(), subprotocols=["prefect"]) as socket:
            await socket.login(token)

    check(test, shared)


@pytest.mark.parametrize("offered", [[], ["other"]])
def test_without_the_subprotocol_nobody_is_accepted(shared: SharedApp, offered: list[str]):
    async def test(app: App) -> None:
        closed = await closed_after(app, AUTH, subprotocols=offered)
        assert not closed.accepted

    check(test, shared)


def test_the_subprotocol_may_stand_among_others(shared: SharedApp):
    async def test(app: App) -> None:
        async with WebSocket(app, path(), subprotocols=["x", "prefect"]) as socket:
            assert socket.subprotocol == "prefect"

    check(test, shared)


# --- hello ---------------------------------------------------------------------------------------

PROTOCOL = (1002, "protocol_error")
AUTHORIZATION = (1008, "authorization_failed")


@pytest.mark.parametrize(
    ("said", "closed"),
    [
        ("not json", PROTOCOL),
        ({"type": "worker.hello.v1"}, PROTOCOL),
        (frame("worker.goodbye.v1", {}), PROTOCOL),
        (frame("worker.ready.v1", {}), PROTOCOL),
        ({**hello(), "extra": 1}, PROTOCOL),
        ({**hello(), "id": "no id"}, PROTOCOL),
        ({**hello(), "sent_at": "yesterday"}, PROTOCOL),
        (hello(extra=1), PROTOCOL),
        (hello(consumer_id=...), PROTOCOL),
        (hello(consumer_id="seven"), PROTOCOL),
        (hello(worker_name=""), PROTOCOL),
        (hello(worker_type=...), PROTOCOL),
        (hello(heartbeat_interval_seconds=0), PROTOCOL),
        (hello(supported_channel_versions=[]), PROTOCOL),
        (hello(requested_capabilities=[]), PROTOCOL),
        (hello(requested_capabilities=BASIC[:1]), PROTOCOL),
        (hello(requested_capabilities=BASIC[1:]), PROTOCOL),
        (hello(handled_cleanup_kinds=[KIND]), PROTOCOL),
        (hello(max_cleanup_concurrency=1), PROTOCOL),
        (hello(**cleaning(-1)), PROTOCOL),
        (hello(worker_metadata=[]), PROTOCOL),
        (hello(default_base_job_template={"job_configuration": {}}), PROTOCOL),
        (heartbeat(hello()), PROTOCOL),
        (hello(worker_metadata={"x": "x" * 1_100_000}), PROTOCOL),
        (b"\x00\x01", PROTOCOL),
        (
            hello(supported_channel_versions=["work_pool_worker_channel.v9"]),
            (1008, "unsupported_version"),
        ),
        (hello(work_queue_names=["nowhere"]), AUTHORIZATION),
    ],
)
def test_a_hello_that_is_not_right_closes(shared: SharedApp, said: Any, closed: tuple[int, str]):
    async def test(app: App) -> None:
        end = await closed_after(app, AUTH, said)
        assert (end.code, end.reason) == closed
        listed = await request(app, "POST", "/api/work_pools/local/workers/filter", {})
        assert listed.json == []

    check(test, shared)


@pytest.mark.parametrize(("pool", "create"), [("unknown", False), ("prefect-x", True)])
def test_a_pool_that_cannot_be_had_closes(shared: SharedApp, pool: str, create: bool):
    async def test(app: App) -> None:
        end = await closed_after(app, AUTH, hello(create_pool_if_not_found=create), pool=pool)
        assert (end.code, end.reason) == AUTHORIZATION

    check(test, shared)


def test_ready_tells_the_worker_what_it_has(shared: SharedApp):
    async def test(app: App) -> None:
        requested = [*BASIC, "x.v1", "x.v1", CLEANUP]
        async with Worker(app, said=hello(requested_capabilities=requested)) as worker:
            ready = worker.ready
            snapshot = ready.pop("initial_snapshot")
            (queue,) = ready.pop("resolved_work_queues")
            assert ready == {
                "consumer_id": worker.said["payload"]["consumer_id"],
                "worker_id": None,
                "selected_channel_version": "work_pool_worker_channel.v1",
                "effective_heartbeat_interval_seconds": 30,
                "accepted_capabilities": BASIC,
                "rejected_capabilities": ["x.v1", CLEANUP],
                "effective_max_cleanup_concurrency": 0,
            }
            assert queue["name"] == "default"
            assert (snapshot["snapshot_sequence"], snapshot["reason"]) == (1, "initial")
            pool = (await request(app, "GET", "/api/work_pools/local")).json
            told = snapshot["work_pool"]
            assert "penstock_work_ready.v1" in told.pop("penstock")["capabilities"]
            assert told == pool
            assert pool["status"] == "READY"
            (one,) = (await request(app, "POST", "/api/work_pools/local/workers/filter", {})).json
            assert (one["name"], one["status"]) == ("w", "ONLINE")

    check(test, shared)


def test_queues_that_the_worker_names_are_resolved_once(shared: SharedApp):
    async def test(app: App) -> None:
        await request(app, "POST", "/api/work_pools/local/queues", {"name": "fast"})
        async with Worker(app, said=hello(work_queue_names=["fast", "fast"])) as worker:
            assert [one["name"] for one in worker.ready["resolved_work_queues"]] == ["fast"]

    check(test, shared)


def test_a_pool_is_made_for_the_worker_that_asks_for_it(shared: SharedApp):
    async def test(app: App) -> None:
        said = hello(create_pool_if_not_found=True, default_base_job_template=TEMPLATE)
        async with Worker(app, "new pool", said) as worker:
            made = worker.ready["initial_snapshot"]["work_pool"]
            assert (made["name"], made["type"]) == ("new pool", "process")
            assert made["base_job_template"] == TEMPLATE
            assert made["default_queue_id"] == worker.ready["resolved_work_queues"][0]["id"]

    check(test, shared)


def test_two_workers_that_make_the_same_pool_get_the_same(shared: SharedApp):
    async def test(app: App) -> None:
        workers = [
            Worker(app, "both", hello(create_pool_if_not_found=True, worker_name=name))
            for name in "ab"
        ]
        async with workers[0] as first, workers[1] as second:
            ids = {one.ready["initial_snapshot"]["work_pool"]["id"] for one in (first, second)}
            assert len(ids) == 1

    check(test, shared)


def test_an_empty_template_is_filled_and_a_full_one_is_kept(shared: SharedApp):
    async def test(app: App) -> None:
        other = {"job_configuration": {}, "variables": {"properties": {}}}
        async with Worker(app, said=hello(default_base_job_template=TEMPLATE)) as worker:
            pool = worker.ready["initial_snapshot"]["work_pool"]
            assert pool["base_job_template"] == TEMPLATE
        async with Worker(app, said=hello(default_base_job_template=other)) as worker:
            pool = worker.ready["initial_snapshot"]["work_pool"]
            assert pool["base_job_template"] == TEMPLATE
        assert (
            await events(app, "prefect.work-pool.updated", f"prefect.work-pool.{pool['id']}") == 1
        )

    check(test, shared)


def test_a_refused_setup_leaves_nothing_behind(shared: SharedApp):
    async def test(app: App) -> None:
        said = hello(
            worker_name="nobody", create_pool_if_not_found=True, work_queue_names=["nowhere"]
        )
        end = await closed_after(app, AUTH, said, pool="fresh")
        assert (end.code, end.reason) == AUTHORIZATION
        assert (await request(app, "GET", "/api/work_pools/fresh")).status == 404
        assert await events(app, "prefect.work-pool.created", "fresh") == 0
        assert await events(app, "penstock.worker.online", "nobody") == 0

    check(test, shared)


# --- heartbeats ----------------------------------------------------------------------------------


def test_a_heartbeat_is_stored_and_not_answered(shared: SharedApp):
    async def test(app: App) -> None:
        async with Worker(app) as worker:
            worker.send(heartbeat(worker.said, heartbeat_interval_seconds=7))
            await until(app, lambda one: one["heartbeat_interval_seconds"] == 7)
            assert worker.nothing_received()

    check(test, shared)


@pytest.mark.parametrize(
    "wrong", [{"consumer_id": str(uuid4())}, {"worker_name": "other"}, {"extra": 1}]
)
def test_a_heartbeat_of_somebody_else_closes(shared: SharedApp, wrong: dict[str, Any]):
    async def test(app: App) -> None:
        said = hello()
        end = await closed_after(app, AUTH, said, heartbeat(said, **wrong))
        assert (end.code, end.reason) == PROTOCOL

    check(test, shared)


def test_a_second_hello_closes(shared: SharedApp):
    async def test(app: App) -> None:
        said = hello()
        end = await closed_after(app, AUTH, said, said)
        assert (end.code, end.reason) == PROTOCOL

    check(test, shared)


def test_a_heartbeat_that_cannot_be_stored_closes_for_a_while():
    async def test(app: App) -> None:
        with pytest.raises(Closed) as caught:
            async with Worker(app) as worker:
                app.store.stop()
                worker.send(heartbeat(worker.said))
                await worker.receive()
        assert (caught.value.code, caught.value.reason) == (1011, "heartbeat_persistence_failed")

    check(test)


def test_a_database_that_is_away_closes_for_a_while():
    async def test(app: App) -> None:
        await app.edge.access.required()
        app.store.stop()
        end = await closed_after(app, AUTH, hello())
        assert (end.code, end.reason) == (1011, "transient_server_error")

    check(test)


async def until(app: App, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until the only worker of the pool is as told."""
    for _ in range(200):
        (one,) = (await request(app, "POST", "/api/work_pools/local/workers/filter", {})).json
        if holds(one):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the worker never became as wanted")


# --- snapshots -----------------------------------------------------------------------------------


async def patch(app: App, name: str = "local", **fields: Any) -> None:
    answer = await request(app, "PATCH", f"/api/work_pools/{name}", fields)
    assert answer.status == 204, answer.body


@pytest.mark.parametrize(
    "change",
    [
        {"is_paused": True},
        {"concurrency_limit": 3},
        {"base_job_template": TEMPLATE},
        {"storage_configuration": {"bundle_upload_step": {"x": 1}}},
    ],
)
def test_a_change_of_the_pool_is_told(shared: SharedApp, change: dict[str, Any]):
    async def test(app: App) -> None:
        async with Worker(app) as worker:
            await patch(app, **change)
            told = await worker.receive()
            assert told["type"] == "work_pool.snapshot.v1"
            payload = told["payload"]
            assert (payload["snapshot_sequence"], payload["reason"]) == (2, "work_pool_updated")
            (field, value) = next(iter(change.items()))
            found = payload["work_pool"][field]
            assert found == value or found.items() >= value.items()

    check(test, shared)


def test_changes_in_a_row_are_told_once_with_the_last_value(
    shared: SharedApp, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("penstock.server.channel.pool.COALESCE_SECONDS", 1.0)

    async def test(app: App) -> None:
        async with Worker(app) as worker:
            for limit in range(1, 6):
                await patch(app, concurrency_limit=limit)
            told = await worker.receive()
            await asyncio.sleep(0.1)
            assert told["payload"]["work_pool"]["concurrency_limit"] == 5
            assert told["payload"]["snapshot_sequence"] == 2
            assert worker.nothing_received()

    check(test, shared)


def test_a_change_of_another_pool_is_not_told(shared: SharedApp):
    async def test(app: App) -> None:
        await make_pool(app, "other")
        async with Worker(app) as worker:
            await patch(app, "other", concurrency_limit=1)
            await asyncio.sleep(0.15)
            assert worker.nothing_received()

    check(test, shared)


def test_a_change_nobody_was_told_of_is_found_by_the_next_heartbeat(shared: SharedApp):
    async def test(app: App) -> None:
        async with Worker(app) as worker:
            await asyncio.sleep(0.1)  # the pool is looked at once when its first worker comes
            await patch(app, description="not worth telling at once")
            await asyncio.sleep(0.1)
            assert worker.nothing_received()
            worker.send(heartbeat(worker.said))
            told = await worker.receive()
            assert told["payload"]["reason"] == "heartbeat_reconciliation"
            assert told["payload"]["work_pool"]["description"] == "not worth telling at once"
            worker.send(heartbeat(worker.said))
            await asyncio.sleep(0.15)
            assert worker.nothing_received()

    check(test, shared)


def test_deleting_the_pool_closes_its_channels(shared: SharedApp):
    async def test(app: App) -> None:
        with pytest.raises(Closed) as caught:
            async with Worker(app) as worker:
                await request(app, "DELETE", "/api/work_pools/local")
                await worker.receive()
        assert (caught.value.code, caught.value.reason) == AUTHORIZATION

    check(test, shared)


# --- operations without the capability, and the rest ---------------------------------------------


def test_an_operation_without_the_capability_is_unauthorized(shared: SharedApp):
    async def test(app: App) -> None:
        async with Worker(app) as worker:
            for name, more in (("ack", {}), ("renew", {}), ("release", {"reason": "x"})):
                sent = frame(
                    f"cleanup.{name}.v1",
                    {"message_id": str(uuid4()), "reservation_token": "x", **more},
                )
                worker.send(sent)
                told = (await worker.receive())["payload"]
                assert told["request_frame_id"] == sent["id"]
                assert told["message_id"] == sent["payload"]["message_id"]
                assert (told["operation"], told["status"]) == (name, "unauthorized")
                assert told["reason"] == "cleanup_delivery_not_accepted"

    check(test, shared)


@pytest.mark.parametrize(
    "sent",
    [
        frame("cleanup.ack.v1", {"message_id": str(uuid4())}),
        frame("cleanup.ack.v1", {"message_id": str(uuid4()), "reservation_token": ""}),
        frame("cleanup.release.v1", {"message_id": str(uuid4()), "reservation_token": "x"}),
        frame(
            "cleanup.release.v1",
            {"message_id": str(uuid4()), "reservation_token": "x", "reason": ""},
        ),
        frame(
            "cleanup.renew.v1",
            {"message_id": str(uuid4()), "reservation_token": "x", "reason": "x"},
        ),
    ],
)
def test_a_malformed_operation_closes(shared: SharedApp, sent: Any):
    async def test(app: App) -> None:
        end = await closed_after(app, AUTH, hello(), sent)
        assert (end.code, end.reason) == PROTOCOL

    check(test, shared)


def test_too_many_operations_in_a_second_close_for_a_while(shared: SharedApp):
    async def test(app: App) -> None:
        guess = [
            frame("cleanup.ack.v1", {"message_id": str(uuid4()), "reservation_token": "guess"})
            for _ in range(200)
        ]
        end = await closed_after(app, AUTH, hello(), *guess)
        assert (end.code, end.reason) == (1011, "transient_server_error")

    check(test, shared)


def test_of_two_connections_of_one_consumer_the_newer_stays(shared: SharedApp):
    async def test(app: App) -> None:
        older, newer = (Worker(app, said=SAID) for _ in range(2))
        await older.__aenter__()
        await newer.__aenter__()
        with pytest.raises(Closed) as caught:
            await older.receive()
        assert (caught.value.code, caught.value.reason) == (1011, "transient_server_error")
        await older.__aexit__()
        await patch(app, concurrency_limit=9)
        assert (await newer.receive())["payload"]["work_pool"]["concurrency_limit"] == 9
        await newer.__aexit__()

    check(test, shared)


def test_a_server_that_stops_sends_workers_elsewhere():
    async def test(app: App) -> None:
        with pytest.raises(Closed) as caught:
            async with Worker(app) as worker:
                await app.drain()
                await worker.receive()
        assert (caught.value.code, caught.value.reason) == (1011, "transient_server_error")
        closed = await closed_after(app)
        assert not closed.accepted

    check(test)
