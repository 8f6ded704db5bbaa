"""Flows: made once by name, listed in pages, deleted with their runs."""

from uuid import UUID

import pytest
from tests.databases import World, wire

from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.filters import FlowFilter, IdFilter, NameFilter
from penstock.schemas.flows import (
    FlowCreate,
    FlowsBulkDeleteBody,
    FlowsFilterPage,
    FlowSort,
    FlowsPaginateBody,
    FlowUpdate,
)
from penstock.server.ops import flow_run_lists, flows


def test_a_flow_is_made_once_by_name(world: World) -> None:
    first = world.write(flows.create_flow, body=FlowCreate(name="etl", tags=["a"]))
    again = world.write(flows.create_flow, body=FlowCreate(name="etl", tags=["b"]))
    assert (first.created, again.created) == (True, False)
    assert wire(again.value) == wire(first.value)
    assert wire(again.value)["tags"] == ["a"]
    assert world.events("prefect.flow.") == ["prefect.flow.created"]


def test_the_created_event_holds_a_snapshot(world: World) -> None:
    id = world.flow("etl", tags=["a"], labels={"team": "x"})
    (row,) = world.rows("SELECT * FROM event")
    assert wire(row["payload"]) == {"name": "etl", "tags": ["a"], "labels": {"team": "x"}}
    assert wire(row["resource"]) == {
        "prefect.resource.id": f"prefect.flow.{id}",
        "prefect.resource.name": "etl",
    }


def test_a_flow_is_read_by_id_and_by_name(world: World) -> None:
    id = world.flow("etl")
    assert wire(world.read(flows.read_flow, id)) == wire(world.read(flows.read_flow_by_name, "etl"))
    with pytest.raises(ObjectMissing, match="ETL"):
        world.read(flows.read_flow_by_name, "ETL")
    with pytest.raises(ObjectMissing):
        world.read(flows.read_flow, str(UUID(int=1)))


def test_equal_tags_change_nothing(world: World) -> None:
    id = world.flow("etl", tags=["a"])
    world.clock.advance(1)
    world.write(flows.update_flow, id, body=FlowUpdate(tags=["a"]))
    world.write(flows.update_flow, id, body=FlowUpdate())
    assert world.events() == ["prefect.flow.created"]
    world.write(flows.update_flow, id, body=FlowUpdate(tags=["b"]))
    flow = wire(world.read(flows.read_flow, id))
    assert flow["tags"] == ["b"]
    assert flow["updated"] > flow["created"]
    assert world.events() == ["prefect.flow.created", "prefect.flow.updated"]
    with pytest.raises(ObjectMissing):
        world.write(flows.update_flow, str(UUID(int=1)), body=FlowUpdate(tags=["b"]))


def test_lists_are_sorted_filtered_and_cut(world: World) -> None:
    for name in ("b", "a", "c"):
        world.flow(name)
        world.clock.advance(1)

    def names(**fields: object) -> list[str]:
        body = FlowsFilterPage(**fields)  # type: ignore[arg-type]
        return [flow.name for flow in world.read(flows.read_flows, body=body)]

    assert names() == ["a", "b", "c"]
    assert names(sort=FlowSort.CREATED_DESC) == ["c", "a", "b"]
    assert names(limit=1, offset=1) == ["b"]
    assert names(limit=0) == []
    assert names(flows=FlowFilter(name=NameFilter(any_=["c"]))) == ["c"]
    assert world.read(flows.count_flows) == 3
    for limit in (-1, 201):
        with pytest.raises(RequestInvalid, match="limit"):
            names(limit=limit)


def test_pages_are_numbered(world: World) -> None:
    for name in ("a", "b", "c"):
        world.flow(name)
    page = world.read(flows.paginate_flows, body=FlowsPaginateBody(limit=2, page=2))
    assert [flow.name for flow in page.results] == ["c"]
    assert (page.count, page.limit, page.page, page.pages) == (3, 2, 2, 2)
    empty = world.read(flows.paginate_flows, body=FlowsPaginateBody(limit=0))
    assert (empty.results, empty.count, empty.pages) == ([], 3, 0)


def test_deleting_a_flow_deletes_its_runs(world: World) -> None:
    world.flow_run(flow="etl")
    kept = world.flow_run(flow="other")
    etl = world.read(flows.read_flow_by_name, "etl").id
    world.write(flows.delete_flow, etl)
    assert [run.id for run in world.read(flow_run_lists.read_flow_runs)] == [kept]
    assert world.events("penstock.") == ["penstock.flow-run.deleted"]
    assert world.events("prefect.flow.")[-1] == "prefect.flow.deleted"
    of_run, of_flow = world.rows(
        "SELECT id, members FROM event WHERE event LIKE '%.deleted' ORDER BY seq"
    )
    assert wire(of_run["members"])["caused_by"] == of_flow["id"]
    audit = world.rows("SELECT kind, action, object_id FROM audit WHERE action = 'deleted'")
    assert [row["kind"] for row in audit] == ["flow-run", "flow"]
    with pytest.raises(ObjectMissing):
        world.write(flows.delete_flow, etl)


def test_bulk_delete_needs_a_condition(world: World) -> None:
    first, second = world.flow("a"), world.flow("b")
    for body in (None, FlowsBulkDeleteBody(flows=FlowFilter(name=NameFilter(like_="")))):
        with pytest.raises(RequestInvalid, match="condition"):
            world.write(flows.bulk_delete_flows, body=body)
    chosen = FlowFilter(id=IdFilter(any_=[UUID(first)]))
    answer = world.write(flows.bulk_delete_flows, body=FlowsBulkDeleteBody(flows=chosen))
    assert answer.deleted == [first]
    assert [flow.id for flow in world.read(flows.read_flows)] == [second]
