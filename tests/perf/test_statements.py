"""How many statements the requests cost that a server spends its time with, on both databases.

The budgets are those of the documentation (`docs/explanation/performance.md`).
"""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from tests.databases import World, scheduled
from tests.deployments import cron, deploy

from penstock.schemas.deployments import DeploymentCreate
from penstock.schemas.flow_runs import FlowRunCreate
from penstock.schemas.states import SetStateBody, StateCreate, StateType
from penstock.server.ops import deployments, flow_runs, transition

SET_STATE, CREATE_RUN, UPSERT = 5, 4, 8
SET_STATE_OF_A_SUBFLOW = 8
"""2026-11-25: the task run that stands for it in the calling flow takes the state on, which is
above the budget of 5 by three statements."""


def cost(world: World, operation: Callable[[], object]) -> int:
    before = world.store.statistics.snapshot()
    operation()
    after = world.store.statistics.snapshot()
    assert after[0] - before[0] == 1, "more than one transaction"
    return after[1] - before[1]


def set_state(world: World, run: str, type: StateType, **fields: object) -> Callable[[], object]:
    body = SetStateBody(state=StateCreate(type=type, **fields))  # type: ignore[arg-type]
    return lambda: world.write(transition.set_flow_run_state, run, body=body)


def test_any_change_of_a_flow_runs_state(world: World) -> None:
    deployment = UUID(deploy(world))
    plain = world.flow_run(StateType.PENDING)
    deployed = world.flow_run(scheduled(world.now), deployment_id=deployment)
    parent = world.flow_run(StateType.RUNNING)
    child = world.subflow_run(parent, StateType.PENDING)
    costs = {}
    for name, run in (("plain", plain), ("deployed", deployed), ("child", child)):
        for type in (
            StateType.PENDING,
            StateType.RUNNING,
            StateType.PAUSED,
            StateType.RUNNING,
            StateType.CANCELLING,
            StateType.CANCELLED,
            StateType.SCHEDULED,
            StateType.PENDING,
            StateType.RUNNING,
            StateType.FAILED,
        ):
            world.clock.advance(1)
            costs[name, type] = max(
                cost(world, set_state(world, run, type)), costs.get((name, type), 0)
            )
    budgets = {"plain": SET_STATE, "deployed": SET_STATE, "child": SET_STATE_OF_A_SUBFLOW}
    over = {key: count for key, count in costs.items() if count > budgets[key[0]]}
    assert over == {}


def test_a_change_of_a_task_runs_state(world: World) -> None:
    run = world.task_run(world.flow_run(StateType.RUNNING), StateType.PENDING)
    for type in (StateType.RUNNING, StateType.COMPLETED):
        world.clock.advance(1)
        body = SetStateBody(state=StateCreate(type=type))
        spent = cost(world, lambda: world.write(transition.set_task_run_state, run, body=body))  # noqa: B023
        assert spent <= SET_STATE, type


@pytest.mark.parametrize("key", [None, "once"])
def test_a_flow_run_is_created(world: World, key: str | None) -> None:
    flow = UUID(world.flow())
    body = FlowRunCreate(flow_id=flow, idempotency_key=key, tags=["a"], parameters={"x": 1})
    assert cost(world, lambda: world.write(flow_runs.create_flow_run, body=body)) <= CREATE_RUN


def test_a_deployment_is_made_and_made_again(world: World) -> None:
    flow = UUID(world.flow())
    body = DeploymentCreate(flow_id=flow, name=uuid4().hex, schedules=[cron(slug="s")])
    for _ in range(2):
        assert cost(world, lambda: world.write(deployments.create_deployment, body=body)) <= UPSERT
