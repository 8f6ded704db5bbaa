"""Many flow runs: lists, counts, sums over time, bulk changes."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, scheduled, wire

from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.filters import (
    FlowFilter,
    FlowRunFilter,
    FlowRunFilterState,
    IdFilter,
    NameFilter,
    StateTypeFilter,
)
from penstock.schemas.flow_runs import (
    FlowRunHistoryBody,
    FlowRunsBulkDeleteBody,
    FlowRunsBulkSetStateBody,
    FlowRunsFilterBody,
    FlowRunsFilterPage,
    FlowRunsPaginateBody,
)
from penstock.schemas.states import StateCreate, StateType
from penstock.server.ops import flow_run_lists, flow_runs


def ids(*values: str) -> FlowRunFilter:
    return FlowRunFilter(id=IdFilter(any_=[UUID(value) for value in values]))


def test_the_newest_run_comes_first(world: World) -> None:
    made = [world.flow_run() for _ in range(3)]
    listed = world.read(flow_run_lists.read_flow_runs)
    assert [run.id for run in listed] == made[::-1]
    body = FlowRunsFilterPage(limit=1, offset=1)
    assert [run.id for run in world.read(flow_run_lists.read_flow_runs, body=body)] == [made[1]]
    assert wire(listed[0]) == wire(world.read(flow_runs.read_flow_run, made[2]))


def test_filters_on_other_entities_restrict(world: World) -> None:
    world.flow_run(flow="a")
    wanted = world.flow_run(flow="b")
    body = FlowRunsFilterPage(flows=FlowFilter(name=NameFilter(any_=["b"])))
    assert [run.id for run in world.read(flow_run_lists.read_flow_runs, body=body)] == [wanted]
    assert (
        world.read(flow_run_lists.count_flow_runs, body=FlowRunsFilterBody(flows=body.flows)) == 1
    )
    assert world.read(flow_run_lists.count_flow_runs) == 2


def test_limits_are_held(world: World) -> None:
    world.flow_run()
    world.limited(page=5)
    assert world.read(flow_run_lists.read_flow_runs, body=FlowRunsFilterPage(limit=0)) == []
    for limit in (-1, 6):
        with pytest.raises(RequestInvalid):
            world.read(flow_run_lists.read_flow_runs, body=FlowRunsFilterPage(limit=limit))
    page = world.read(flow_run_lists.paginate_flow_runs, body=FlowRunsPaginateBody(limit=0))
    assert (page.count, page.pages, page.results) == (1, 0, [])
    page = world.read(flow_run_lists.paginate_flow_runs)
    assert (page.count, page.limit, page.pages, len(page.results)) == (1, 5, 1, 1)


def test_lateness_is_averaged(world: World) -> None:
    assert world.read(flow_run_lists.average_flow_run_lateness) is None
    waiting = world.flow_run(scheduled(world.now + timedelta(seconds=10)))
    world.flow_run(StateType.COMPLETED)
    world.clock.advance(40)
    assert world.read(flow_run_lists.average_flow_run_lateness) == pytest.approx(15.0)
    body = FlowRunsFilterBody(flow_runs=ids(waiting))
    assert world.read(flow_run_lists.average_flow_run_lateness, body=body) == pytest.approx(30.0)


def history(world: World, **fields: Any) -> list[dict[str, Any]]:
    body = FlowRunHistoryBody(
        **{
            "history_start": world.now - timedelta(hours=1),
            "history_end": world.now + timedelta(hours=1),
            "history_interval_seconds": 3600,
            **fields,
        }
    )
    return wire(world.read(flow_run_lists.flow_run_history, body=body))


def test_history_counts_by_interval_and_state(world: World) -> None:
    start = world.now - timedelta(hours=1)
    first = world.flow_run(scheduled(world.now - timedelta(minutes=30)))
    world.flow_run(StateType.RUNNING)
    world.flow_run(StateType.RUNNING)
    world.clock.advance(60)
    past, present, future = history(
        world, history_start=start, history_end=start + timedelta(hours=2, minutes=30)
    )
    assert past["interval_end"] == present["interval_start"]
    assert [state["state_type"] for state in past["states"]] == ["SCHEDULED"]
    assert past["states"][0]["sum_estimated_lateness"] == pytest.approx(31 * 60)
    (running,) = present["states"]
    assert running["state_name"] == "Running"
    assert running["count_runs"] == 2
    assert running["sum_estimated_run_time"] == pytest.approx(120)
    assert future["states"] == []
    only = history(world, flow_runs=ids(first))
    assert [state["count_runs"] for each in only for state in each["states"]] == [1]


def test_history_intervals_are_bounded(world: World) -> None:
    with pytest.raises(RequestInvalid, match="at least 1"):
        history(world, history_interval_seconds=0.5)
    many = history(world, history_interval_seconds=1)
    assert len(many) == 500
    assert history(world, history_end=world.now - timedelta(hours=2)) == []
    assert len(history(world, history_interval_seconds=1e30)) == 1


def test_bulk_delete_takes_what_matches_and_no_more(world: World) -> None:
    first, second = world.flow_run(), world.flow_run()
    with pytest.raises(RequestInvalid, match="condition"):
        world.write(flow_run_lists.bulk_delete_flow_runs)
    body = FlowRunsBulkDeleteBody(flow_runs=ids(first, str(uuid4())))
    answer = world.write(flow_run_lists.bulk_delete_flow_runs, body=body)
    assert answer.deleted == [first]
    assert [run.id for run in world.read(flow_run_lists.read_flow_runs)] == [second]
    pending = FlowRunFilter(
        state=FlowRunFilterState(type=StateTypeFilter(any_=[StateType.PENDING]))
    )
    world.flow_run()
    body = FlowRunsBulkDeleteBody(flow_runs=pending, limit=1)
    assert len(world.write(flow_run_lists.bulk_delete_flow_runs, body=body).deleted) == 1


def test_bulk_set_state_decides_each_run(world: World) -> None:
    pending, done = world.flow_run(), world.flow_run(StateType.COMPLETED)
    body = FlowRunsBulkSetStateBody(
        state=StateCreate(type=StateType.CANCELLING, id=uuid4()), flow_runs=ids(pending, done)
    )
    answer = wire(world.write(flow_run_lists.bulk_set_flow_run_state, body=body))
    by_run = {result["flow_run_id"]: result for result in answer["results"]}
    assert by_run[pending]["status"] == "ACCEPT"
    assert by_run[pending]["state"]["type"] == "CANCELLING"
    assert by_run[done]["status"] == "ABORT"
    assert by_run[done]["details"]["type"] == "abort_details"
    assert wire(world.read(flow_runs.read_flow_run, pending))["state_type"] == "CANCELLING"
    with pytest.raises(RequestInvalid, match="condition"):
        empty = FlowRunsBulkSetStateBody(state=StateCreate(type=StateType.CANCELLED))
        world.write(flow_run_lists.bulk_set_flow_run_state, body=empty)


def test_bulk_set_state_goes_on_past_a_refusal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, there = world.flow_run(), world.flow_run()
    real = flow_run_lists.set_flow_run_state

    def refusing(tx: Any, context: Any, id: str, **arguments: Any) -> Any:
        if id == gone:
            raise ObjectMissing(f"flow run {id} was deleted")
        return real(tx, context, id, **arguments)

    monkeypatch.setattr(flow_run_lists, "set_flow_run_state", refusing)
    body = FlowRunsBulkSetStateBody(
        state=StateCreate(type=StateType.RUNNING), flow_runs=ids(gone, there)
    )
    answer = wire(world.write(flow_run_lists.bulk_set_flow_run_state, body=body))
    by_run = {result["flow_run_id"]: result for result in answer["results"]}
    assert (by_run[gone]["status"], by_run[gone]["state"]) == ("ABORT", None)
    assert "deleted" in by_run[gone]["details"]["reason"]
    assert by_run[there]["status"] == "ACCEPT"
