"""Work pools."""

from typing import Any

import pytest
from tests.databases import World, wire
from tests.deployments import deploy
from tests.deployments import read as read_deployment
from tests.work import beat, due_run, last_event, pool, queue, read_pool, read_queue, roles

from penstock.base import json
from penstock.schemas.errors import Forbidden, ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.filters import AnyTextFilter, WorkPoolFilter
from penstock.schemas.states import StateType
from penstock.schemas.work import (
    WorkPoolConcurrencyStatusBody,
    WorkPoolsCountBody,
    WorkPoolsPage,
    WorkPoolStorageConfiguration,
    WorkPoolUpdate,
)
from penstock.server.ops import flow_runs, work_pools
from penstock.server.ops.context import Context


def update(world: World, name: str = "local", **fields: Any) -> None:
    world.write(work_pools.update_work_pool, name, body=WorkPoolUpdate(**fields))


def test_a_new_pool_has_a_default_queue(world: World) -> None:
    made = pool(world, description="night", concurrency_limit=2)
    assert made == {**read_pool(world)}
    assert (made["status"], made["active_slots"]) == ("NOT_READY", 0)
    default = read_queue(world, "default")
    assert (default["id"], default["priority"]) == (made["default_queue_id"], 1)
    assert world.events() == [
        "prefect.work-queue.created",
        "prefect.work-pool.created",
        "prefect.work-pool.not-ready",
    ]
    event = last_event(world, "prefect.work-pool.created")
    assert event["resource"] == {
        "prefect.resource.id": f"prefect.work-pool.{made['id']}",
        "prefect.resource.name": "local",
        "prefect.work-pool.type": "process",
        "prefect.resource.role": "work-pool",
    }
    assert roles(event)["default-queue"]["prefect.resource.id"].endswith(default["id"])
    assert event["payload"] == {}
    of_queue = last_event(world, "prefect.work-queue.created")
    assert of_queue["resource"]["prefect.resource.role"] == "work-queue"
    assert roles(of_queue)["work-pool"]["prefect.work-pool.type"] == "process"
    (audit,) = world.rows("SELECT * FROM audit WHERE kind = 'work-pool' AND action = 'created'")
    assert json.decode(audit["after"])["concurrency_limit"] == 2


def test_a_paused_pool_and_one_for_agents(world: World) -> None:
    assert pool(world, "still", is_paused=True)["status"] == "PAUSED"
    assert world.events()[-1] == "prefect.work-pool.paused"
    assert pool(world, "agents", type="prefect-agent")["status"] is None
    assert world.events()[-1] == "prefect.work-pool.created"
    update(world, "agents", is_paused=True)
    assert read_pool(world, "agents")["status"] is None
    assert last_event(world, "prefect.work-pool.updated")["payload"]["updated_fields"] == [
        "is_paused"
    ]


def test_what_is_refused(world: World) -> None:
    pool(world)
    before = world.events()
    with pytest.raises(ObjectConflict, match="'local' exists already"):
        pool(world)
    with pytest.raises(Forbidden, match="reserved"):
        pool(world, "Prefect-managed")
    with pytest.raises(RequestInvalid, match="does not declare: x"):
        pool(
            world,
            "broken",
            base_job_template={"job_configuration": {"a": "{{ x }}"}, "variables": {}},
        )
    with pytest.raises(RequestInvalid, match="needs variables"):
        update(world, base_job_template={"job_configuration": {}})
    for op in (work_pools.read_work_pool, work_pools.read_work_pool_concurrency_status):
        with pytest.raises(ObjectMissing, match="'nowhere' does not exist"):
            world.read(op, "nowhere")
    for body in ({}, {"is_paused": True}):
        with pytest.raises(ObjectMissing):
            update(world, "nowhere", **body)
    assert world.events() == before


def test_an_update_tells_what_changed(world: World) -> None:
    pool(world)
    before = len(world.events())
    template = {
        "job_configuration": {"env": "{{ env }}"},
        "variables": {"properties": {"env": {"default": {"api_key": "canary"}}}},
    }
    storage = WorkPoolStorageConfiguration(bundle_upload_step={"run": "x"})
    update(
        world,
        description="told",
        concurrency_limit=3,
        base_job_template=template,
        storage_configuration=storage,
    )
    assert world.events()[before:] == ["prefect.work-pool.updated"]
    event = last_event(world, "prefect.work-pool.updated")
    assert event["payload"]["updated_fields"] == [
        "description",
        "base_job_template",
        "concurrency_limit",
        "storage_configuration",
    ]
    assert event["payload"]["updates"]["description"] == {"from": None, "to": "told"}
    assert "canary" not in str(event)
    assert set(roles(event)) == {"actor"}
    stored = read_pool(world)
    assert (stored["base_job_template"], stored["description"]) == (template, "told")
    update(
        world,
        description="told",
        concurrency_limit=3,
        base_job_template=template,
        storage_configuration=storage,
        is_paused=False,
    )
    update(world)
    assert len(world.events()) == before + 1
    update(world, base_job_template=None, storage_configuration=None, concurrency_limit=None)
    stored = read_pool(world)
    assert stored["base_job_template"] == {} and stored["active_slots"] is None
    assert stored["storage_configuration"]["bundle_upload_step"] is None


def test_pausing_is_told_once(world: World) -> None:
    pool(world)
    update(world, is_paused=True)
    update(world, is_paused=True)
    assert read_pool(world)["status"] == "PAUSED"
    event = last_event(world, "prefect.work-pool.paused")
    assert event["follows"] == last_event(world, "prefect.work-pool.not-ready")["id"]
    assert "prefect.resource.role" not in event["resource"]
    assert {one["path"] for one in event["members"]["changes"]} == {"/is_paused", "/status"}
    world.clock.advance(601)
    update(world, is_paused=False, description="again")
    assert world.events("prefect.work-pool.")[-3:] == [
        "prefect.work-pool.paused",
        "prefect.work-pool.updated",
        "prefect.work-pool.not-ready",
    ]
    assert last_event(world, "prefect.work-pool.not-ready")["follows"] is None


def test_a_resumed_pool_with_a_worker_is_ready(world: World) -> None:
    pool(world)
    beat(world, interval=30)
    update(world, is_paused=True)
    beat(world, interval=30)
    assert read_pool(world)["status"] == "PAUSED"
    update(world, is_paused=False)
    assert read_pool(world)["status"] == "READY"


def test_deletion_tells_of_queues_and_workers(world: World) -> None:
    made = pool(world)
    queue(world, "fast")
    beat(world)
    run = due_run(world, "fast")
    deployment = deploy(world, work_pool_name="local", work_queue_name="fast")
    before = len(world.events())
    world.write(work_pools.delete_work_pool, "local")
    assert world.events()[before:] == [
        "penstock.worker.deleted",
        "prefect.work-queue.deleted",
        "prefect.deployment.updated",
        "prefect.work-queue.deleted",
        "prefect.work-pool.deleted",
    ]
    causes = world.rows("SELECT caused_by FROM audit WHERE kind = 'worker' AND action = 'deleted'")
    assert causes[0]["caused_by"] == last_event(world, "prefect.work-pool.deleted")["id"]
    assert world.rows("SELECT id FROM work_queue WHERE work_pool_id = ?", made["id"]) == []
    assert world.rows("SELECT id FROM worker") == []
    kept = wire(world.read(flow_runs.read_flow_run, run))
    assert (kept["work_queue_id"], kept["work_pool_name"]) == (None, None)
    assert read_deployment(world, deployment)["work_pool_name"] is None


def test_lists(world: World) -> None:
    for name in ("b", "a", "c"):
        pool(world, name, type="docker" if name == "c" else "process", concurrency_limit=1)
    world.flow_run(StateType.RUNNING, work_pool_name="b")
    listed = wire(world.read(work_pools.read_work_pools))
    assert [(one["name"], one["active_slots"]) for one in listed] == [("a", 0), ("b", 1), ("c", 0)]
    page = WorkPoolsPage(limit=1, offset=1)
    assert [one.name for one in world.read(work_pools.read_work_pools, body=page)] == ["b"]
    of_type = WorkPoolFilter(type=AnyTextFilter(any_=["process"]))
    assert world.read(work_pools.count_work_pools, body=WorkPoolsCountBody(work_pools=of_type)) == 2
    assert world.read(work_pools.count_work_pools) == 3


def test_who_holds_slots(world: World) -> None:
    pool(world, concurrency_limit=5)
    queue(world, "fast", concurrency_limit=4, priority=1)
    held = [world.flow_run(StateType.PENDING, work_pool_name="local", work_queue_name="fast")]
    world.clock.advance(2)
    held.append(world.flow_run(StateType.RUNNING, work_pool_name="local", work_queue_name="fast"))
    due_run(world, "fast")
    world.flow_run(StateType.CANCELLING, work_pool_name="local")
    world.clock.advance(3)
    body = WorkPoolConcurrencyStatusBody(flow_run_limit=1)
    status = wire(world.read(work_pools.read_work_pool_concurrency_status, "local", body=body))
    assert (status["active_slots"], status["concurrency_limit"], status["count"]) == (2, 5, 2)
    fast, default = status["queues"]
    assert (fast["active_slots"], fast["flow_run_count"], default["active_slots"]) == (2, 2, 0)
    (longest,) = fast["flow_runs"]
    assert (longest["id"], longest["time_in_current_state"]) == (held[0], 5.0)
    body = WorkPoolConcurrencyStatusBody(limit=1, page=2)
    status = wire(world.read(work_pools.read_work_pool_concurrency_status, "local", body=body))
    assert [one["queue_name"] for one in status["queues"]] == ["default"]
    assert status["pages"] == 2


def test_old_clients_get_the_storage_they_know(world: World) -> None:
    pool(world)
    row = world.store.read_sync(
        work_pools.read_work_pool, Context(client_version=(3, 3, 7)), "local"
    )
    assert "default_result_storage_block_id" not in wire(row)["storage_configuration"]
