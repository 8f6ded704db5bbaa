"""Callers that change the same objects at once get answers, and what is stored stays whole."""

import random
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from tests.databases import World

from penstock.schemas.errors import ObjectMissing
from penstock.schemas.flow_runs import FlowRunUpdate
from penstock.schemas.states import SetStateBody, StateCreate, StateType
from penstock.schemas.task_runs import TaskRunCreate
from penstock.server.ops import flow_runs, flows, task_runs

CALLERS = 8
CALLS = 60


def test_any_mix_of_changes(world: World) -> None:
    """Creating, moving, changing and deleting; whatever is refused is refused as missing."""
    runs, tasks = [world.flow_run()], [world.task_run()]

    def change(choice: random.Random) -> None:
        run, task = choice.choice(runs[-8:]), choice.choice(tasks[-8:])
        state = StateCreate(type=choice.choice(list(StateType)))
        body = SetStateBody(state=state, force=choice.random() < 0.5)
        match choice.randrange(8):
            case 0:
                key = str(choice.randrange(5))
                runs.append(world.flow_run(flow=f"f{choice.randrange(2)}", idempotency_key=key))
            case 1:
                runs.append(world.flow_run(parent_task_run_id=UUID(task)))
            case 2:
                world.write(flow_runs.set_flow_run_state, run, body=body)
            case 3:
                world.write(task_runs.set_task_run_state, task, body=body)
            case 4:
                world.write(flow_runs.update_flow_run, run, body=FlowRunUpdate(tags=[task]))
            case 5:
                world.write(flow_runs.delete_flow_run, run)
            case 6 if choice.random() < 0.5:
                world.write(flows.delete_flow, world.flow(f"f{choice.randrange(2)}"))
            case _:
                create = TaskRunCreate(task_key="t", dynamic_key=str(len(tasks)))
                made = world.write(task_runs.create_task_run, body=create)
                tasks.append(made.value.id)

    def caller(seed: int) -> int:
        choice = random.Random(seed)
        done = 0
        for _ in range(CALLS):
            try:
                change(choice)
                done += 1
            except ObjectMissing:
                continue
        return done

    with ThreadPoolExecutor(CALLERS) as pool:
        done = sum(pool.map(caller, range(CALLERS)))
    assert done > CALLERS * CALLS // 3
    for kind in ("flow_run", "task_run"):
        without_state = world.rows(
            f"SELECT id FROM {kind} AS r WHERE NOT EXISTS"
            f" (SELECT 1 FROM {kind}_state AS s WHERE s.id = r.state_id AND s.{kind}_id = r.id)"
        )
        assert without_state == []
        # One more version for each state that was put in place.
        wrong = world.rows(
            f"SELECT id FROM {kind} AS r WHERE version <>"
            f" (SELECT COUNT(*) FROM {kind}_state AS s WHERE s.{kind}_id = r.id)"
        )
        assert wrong == []
    states = world.rows("SELECT id FROM flow_run_state")
    events = {row["id"] for row in world.rows("SELECT id FROM event")}
    assert {row["id"] for row in states} <= events
