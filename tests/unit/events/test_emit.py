"""emit_event: what an event says, what is refused, what a test can watch."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from penstock.base import json
from penstock.base.run_context import RunContext, running
from penstock.events import Event, RelatedResource, Resource, ResourceSpecification, emit_event
from penstock.events.clients import AssertingEventsClient, NullEventsClient
from penstock.events.related import related_resources_of, tags_as_related_resources
from penstock.events.worker import EventsWorker
from penstock.schemas.errors import EventTooLarge
from penstock.settings import temporary_settings

RESOURCE = {"prefect.resource.id": "demo.1", "prefect.resource.name": "one"}


@pytest.fixture
def emitted() -> Iterator[list[Event]]:
    EventsWorker.set_client_override(AssertingEventsClient)
    assert AssertingEventsClient.last is not None
    yield AssertingEventsClient.last.events
    EventsWorker.set_client_override(None)
    AssertingEventsClient.reset()


def run_context() -> RunContext:
    flow_run = SimpleNamespace(
        id=uuid4(),
        name="quick-otter",
        flow_id=uuid4(),
        tags=["blue", "red"],
        deployment_id=uuid4(),
        work_queue_id=uuid4(),
        work_queue_name="default",
        work_pool_id=uuid4(),
        work_pool_name="pool",
    )
    return RunContext(flow=SimpleNamespace(name="etl"), flow_run=flow_run)


def test_an_event_is_returned_and_sent(emitted: list[Event]):
    event = emit_event("demo.happened", RESOURCE, payload={"a": 1})
    assert event is not None
    assert emitted == [event]
    assert (event.event, event.payload, event.related) == ("demo.happened", {"a": 1}, [])
    assert isinstance(event.resource, Resource)
    assert (event.resource.id, event.resource.name) == ("demo.1", "one")
    document = json.decode(json.encode(event))
    assert set(document) == {
        "occurred",
        "event",
        "resource",
        "related",
        "payload",
        "id",
        "follows",
    }


def test_inside_a_run_the_run_is_related_in_the_order_of_the_contract(emitted: list[Event]):
    context = run_context()
    with running(context):
        event = emit_event("demo.happened", RESOURCE)
    assert event is not None
    roles = [one["prefect.resource.role"] for one in event.related]
    assert roles == ["flow-run", "flow", "deployment", "work-queue", "work-pool", "tag", "tag"]
    assert event.related[0] == {
        "prefect.resource.id": f"prefect.flow-run.{context.flow_run.id}",
        "prefect.resource.role": "flow-run",
        "prefect.resource.name": "quick-otter",
    }
    assert [one["prefect.resource.id"] for one in event.related[-2:]] == [
        "prefect.tag.blue",
        "prefect.tag.red",
    ]


def test_what_is_named_already_is_not_named_again(emitted: list[Event]):
    context = run_context()
    flow = {
        "prefect.resource.id": f"prefect.flow.{context.flow_run.flow_id}",
        "prefect.resource.role": "source",
    }
    with running(context):
        event = emit_event(
            "demo.happened",
            {"prefect.resource.id": f"prefect.flow-run.{context.flow_run.id}"},
            related=[flow],
        )
    assert event is not None
    ids = [one["prefect.resource.id"] for one in event.related]
    assert len(ids) == len(set(ids))
    assert event.related[0] == flow
    assert event.resource["prefect.resource.id"] not in ids


def test_a_lineage_resource_stands_alone(emitted: list[Event]):
    with running(run_context()):
        event = emit_event(
            "demo.happened", {**RESOURCE, "prefect.resource.lineage-group": "global"}
        )
    assert event is not None
    assert event.related == []


@pytest.mark.parametrize(
    ("apart", "kept"), [(timedelta(minutes=4), True), (timedelta(minutes=6), False)]
)
def test_events_follow_each_other_when_they_are_close(
    emitted: list[Event], apart: timedelta, kept: bool
):
    now = datetime.now(UTC)
    first = emit_event("demo.first", RESOURCE, occurred=now)
    assert first is not None
    for when in (now + apart, now - apart):
        second = emit_event("demo.second", RESOURCE, occurred=when, follows=first)
        assert second is not None
        assert (second.follows == first.id) is kept


def test_a_time_without_offset_is_utc(emitted: list[Event]):
    event = emit_event("demo", RESOURCE, occurred=datetime(2026, 1, 1))
    assert event is not None
    assert event.occurred == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_chosen_id_is_kept(emitted: list[Event]):
    chosen = uuid4()
    event = emit_event("demo", RESOURCE, id=chosen)
    assert event is not None
    assert event.id == chosen


def test_too_large_an_event_is_the_callers_error(emitted: list[Event]):
    with (
        temporary_settings({"server.events.maximum_size_bytes": 500}),
        pytest.raises(EventTooLarge) as caught,
    ):
        emit_event("demo", RESOURCE, payload={"text": "x" * 600})
    assert caught.value.maximum == 500
    assert emitted == []


@pytest.mark.parametrize(
    ("resource", "related", "payload", "why"),
    [
        ({}, None, None, "prefect.resource.id"),
        ({"prefect.resource.id": ""}, None, None, "prefect.resource.id"),
        (RESOURCE, [{"prefect.resource.id": "x"}], None, "prefect.resource.role"),
        ({**RESOURCE, "n": 1}, None, None, "not text"),
        (RESOURCE, None, {"x": object()}, "not emitted"),
    ],
)
def test_a_wrong_event_is_logged_and_not_raised(
    emitted: list[Event],
    caplog: pytest.LogCaptureFixture,
    resource: Any,
    related: Any,
    payload: Any,
    why: str,
):
    assert emit_event("demo", resource, related=related, payload=payload) is None
    assert emitted == []
    assert why in caplog.records[-1].getMessage()


def test_without_an_api_nothing_is_emitted():
    with temporary_settings({"api.url": None, "server.ephemeral.enabled": False}):
        assert emit_event("demo", RESOURCE) is None


def test_limits_are_settings():
    related = [{"prefect.resource.id": f"r.{n}", "prefect.resource.role": "r"} for n in range(3)]
    with (
        temporary_settings({"server.events.maximum_related_resources": 2}),
        pytest.raises(ValueError, match="3 related resources; 2 are allowed"),
    ):
        Event(event="x", resource=RESOURCE, related=related)
    with (
        temporary_settings({"server.events.maximum_labels_per_resource": 1}),
        pytest.raises(ValueError, match="2 labels; 1 are allowed"),
    ):
        Resource(RESOURCE)


# --- what events and resources answer ------------------------------------------------------------


def test_resources_by_role_and_labels():
    related = [
        {"prefect.resource.id": "a", "prefect.resource.role": "tag", "x": "1"},
        {"prefect.resource.id": "b", "prefect.resource.role": "tag", "y": "2"},
    ]
    event = Event(event="x", resource={**RESOURCE, "color": "red"}, related=related)
    assert event.resource_in_role["tag"]["prefect.resource.id"] == "a"
    assert len(event.resources_in_role["tag"]) == 2
    assert event.find_resource_label("color") == "red"
    assert event.find_resource_label("tag:y") == "2"
    assert event.find_resource_label("tag:z") is None
    assert event.find_resource_label("nothing") is None
    assert event.size_bytes == len(json.encode(event))
    assert isinstance(event.related[0], RelatedResource)
    assert event.related[0].role == "tag"


def test_an_object_id_is_read_out_of_its_kind():
    identifier = uuid4()
    resource = Resource({"prefect.resource.id": f"prefect.flow-run.{identifier}"})
    assert resource.prefect_object_id("prefect.flow-run") == identifier
    with pytest.raises(ValueError, match=r"prefect\.flow'"):
        resource.prefect_object_id("prefect.flow")


@pytest.mark.parametrize(
    ("specification", "expected"),
    [
        ({}, True),
        ({"prefect.resource.id": "demo.1"}, True),
        ({"prefect.resource.id": "demo.*"}, True),
        ({"prefect.resource.id": ["other", "demo.*"]}, True),
        ({"prefect.resource.id": "other.*"}, False),
        ({"prefect.resource.id": "!demo.1"}, False),
        ({"prefect.resource.id": "!other.*"}, True),
        ({"missing": "*"}, False),
    ],
)
def test_specifications_match_labels(specification: dict[str, Any], expected: bool):
    assert ResourceSpecification(specification).matches(RESOURCE) is expected
    assert ResourceSpecification(specification).includes([RESOURCE]) is expected


def test_specifications_of_everything():
    assert ResourceSpecification({"prefect.resource.id": "*"}).matches_every_resource()
    flow_runs = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
    assert not flow_runs.matches_every_resource()
    assert flow_runs.matches_every_resource_of_kind("prefect.flow-run")
    assert not flow_runs.matches_every_resource_of_kind("prefect.flow")


def test_tags_are_sorted_and_once():
    tags = [one.id for one in tags_as_related_resources(["b", "a", "b"])]
    assert tags == ["prefect.tag.a", "prefect.tag.b"]
    assert related_resources_of(None) == []


def test_clients_emit_only_while_entered():
    async def use() -> None:
        event = Event(event="x", resource=RESOURCE)
        for kind in (AssertingEventsClient, NullEventsClient):
            client = kind()
            with pytest.raises(TypeError, match="async with"):
                await client.emit(event)
            async with client:
                await client.emit(event)
        assert AssertingEventsClient.last is not None
        assert AssertingEventsClient.last.pop_events() == [event]
        assert AssertingEventsClient.last.events == []

    asyncio.run(use())
    AssertingEventsClient.reset()
