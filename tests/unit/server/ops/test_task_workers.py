"""The queue of background task runs: nothing is lost, nothing is lent twice at a time."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from tests.databases import World, wire
from tests.store.task_events import task_event

from penstock.schemas.states import SetStateBody, StateCreate, StateDetails, StateType
from penstock.schemas.task_runs import TaskRunPolicy
from penstock.schemas.task_workers import TaskWorkerFilter, TaskWorkersFilterBody
from penstock.server.ops import events, task_runs, task_workers
from penstock.server.ops.task_workers import LOAN


def background(**details: Any) -> StateCreate:
    given = StateDetails(deferred=True, task_parameters_id=uuid4(), **details)
    return StateCreate(type=StateType.SCHEDULED, state_details=given)


def take(world: World, worker: str = "w", *keys: str) -> str | None:
    run = world.store.write_sync(task_workers.take, worker, list(keys or ("work",)))
    return None if run is None else wire(run)["id"]


def connect(world: World, worker: str = "w", identifier: str = "host-1", *keys: str) -> None:
    world.store.write_sync(task_workers.put_worker, worker, identifier, list(keys or ("work",)))


def leave(world: World, worker: str = "w") -> None:
    world.store.write_sync(task_workers.remove_worker, worker)


def propose(world: World, id: str, type: StateType) -> str:
    body = SetStateBody(state=StateCreate(type=type))
    return world.write(task_runs.set_task_run_state, id, body=body).value.status


def queued(world: World) -> int:
    return world.rows("SELECT count(*) AS count FROM task_queue")[0]["count"]


def test_runs_are_lent_in_order_to_one_worker_each(world: World):
    ids = []
    for _ in range(3):
        ids.append(world.task_run(state=background()))
        world.clock.advance(0.001)
    assert world.store.read_sync(task_workers.is_waiting, ["work"])
    assert [take(world, "a"), take(world, "b"), take(world, "a"), take(world, "b")] == [*ids, None]
    assert not world.store.read_sync(task_workers.is_waiting, ["work"])


def test_what_is_sent_is_the_whole_run(world: World):
    id = world.task_run(state=background(), tags=["x"])
    run = wire(world.store.write_sync(task_workers.take, "w", ["work"]))
    assert run == wire(world.read(task_runs.read_task_run, id))
    assert run["state"]["state_details"]["deferred"] is True
    assert run["state"]["state_details"]["task_parameters_id"] is not None


def test_only_scheduled_background_runs_of_the_asked_tasks_wait(world: World):
    world.task_run(state=StateType.SCHEDULED)
    world.task_run(state=StateType.PENDING)
    wanted = world.task_run(state=background(), key="other")
    assert take(world) is None
    assert take(world, "w", "work", "other") == wanted


def test_a_run_waits_for_its_time(world: World):
    id = world.task_run(state=background(scheduled_time=world.now + timedelta(seconds=5)))
    assert take(world) is None
    world.clock.advance(5)
    assert take(world) == id


def test_a_run_leaves_the_queue_when_it_is_taken_on(world: World):
    id = world.task_run(state=background())
    take(world)
    assert queued(world) == 1
    assert propose(world, id, StateType.PENDING) == "ACCEPT"
    assert queued(world) == 0


def test_what_a_worker_leaves_behind_another_one_gets(world: World):
    ids = {world.task_run(state=background()) for _ in range(3)}
    connect(world)
    got = take(world)
    assert got is not None
    propose(world, got, StateType.PENDING)
    take(world)
    leave(world)
    assert {take(world, "x"), take(world, "x")} == ids - {got}
    assert take(world, "x") is None


def test_a_run_whose_worker_fell_silent_is_lent_again(world: World):
    id = world.task_run(state=background())
    connect(world, "dead")
    assert take(world, "dead") == id
    world.clock.advance(LOAN.total_seconds() - 1)
    assert take(world, "x") is None
    world.clock.advance(1)
    assert take(world, "x") == id


def test_a_worker_that_is_heard_of_keeps_what_it_has(world: World):
    id = world.task_run(state=background())
    take(world, "w")
    for _ in range(5):
        world.clock.advance(LOAN.total_seconds() - 1)
        connect(world, "w")
    assert take(world, "x") is None
    assert propose(world, id, StateType.PENDING) == "ACCEPT"


def test_two_workers_with_the_same_run_run_it_once(world: World):
    id = world.task_run(state=background())
    take(world, "a")
    leave(world, "a")
    assert take(world, "b") == id
    assert propose(world, id, StateType.PENDING) == "ACCEPT"
    assert propose(world, id, StateType.PENDING) != "ACCEPT"


def test_a_retry_comes_back_to_the_queue_when_it_is_due(world: World):
    policy = TaskRunPolicy(retries=1, retry_delay=10)
    id = world.task_run(state=background(), empirical_policy=policy)
    take(world)
    for state in (StateType.PENDING, StateType.RUNNING):
        assert propose(world, id, state) == "ACCEPT"
    assert propose(world, id, StateType.FAILED) == "REJECT"
    assert take(world, "x") is None
    world.clock.advance(11)
    assert take(world, "x") == id


def test_a_run_that_an_event_told_of_is_not_lent(world: World):
    """As when a client runs it without asking: the event moves the run, not the queue."""
    id = world.task_run(state=background())
    told = task_event(id, StateType.RUNNING, world.now + timedelta(seconds=1), task_key="work")
    world.write(events.ingest, [told])
    assert world.rows("SELECT state_type FROM task_run") == [{"state_type": "RUNNING"}]
    assert queued(world) == 1
    assert take(world) is None
    assert queued(world) == 0


def test_a_deleted_run_is_not_lent(world: World):
    id = world.task_run(state=background())
    world.write(task_runs.delete_task_run, id)
    assert queued(world) == 0


def workers(world: World, *keys: str) -> list[tuple[str, list[str]]]:
    filter = TaskWorkerFilter(task_keys=list(keys)) if keys else None
    body = TaskWorkersFilterBody(task_worker_filter=filter)
    found = wire(world.read(task_workers.read_task_workers, body=body))
    return [(one["identifier"], one["task_keys"]) for one in found]


def test_who_is_connected(world: World):
    connect(world, "1", "host-1", "a", "b")
    connect(world, "2", "host-2", "c")
    connect(world, "3", "host-1", "b", "d")
    assert workers(world) == [("host-1", ["a", "b", "d"]), ("host-2", ["c"])]
    assert workers(world, "c", "x") == [("host-2", ["c"])]
    leave(world, "2")
    assert workers(world) == [("host-1", ["a", "b", "d"])]
    world.clock.advance(LOAN.total_seconds() + 1)
    connect(world, "3", "host-1", "b", "d")
    assert workers(world) == [("host-1", ["b", "d"])]
    world.clock.advance(20 * LOAN.total_seconds())
    connect(world, "4", "host-4")
    assert world.rows("SELECT connection_id FROM task_worker") == [{"connection_id": "4"}]


def test_what_a_run_costs(world: World):
    def cost(function: Any, *arguments: Any) -> int:
        before = world.store.statistics.statements
        function(*arguments)
        return world.store.statistics.statements - before

    id = world.task_run(state=background())
    assert cost(take, world) <= 3
    assert cost(propose, world, id, StateType.PENDING) <= 5
