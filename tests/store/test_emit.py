"""Server-made events are rows of the transaction of their change."""

import pytest
from tests.store.run_rows import events

from penstock.base.clock import ManualClock
from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectConflict
from penstock.schemas.events import MAXIMUM_EVENT_BYTES
from penstock.server.ops.emit import emit
from penstock.server.store import Store
from penstock.server.store.transaction import Tx

RESOURCE = {"prefect.resource.id": "prefect.thing.1", "prefect.resource.name": "thing"}


def test_an_event_with_everything(store: Store, clock: ManualClock) -> None:
    id, leader, occurred = uuid7(), uuid7(), clock.now()
    clock.advance(5)
    related = [{"prefect.resource.id": "prefect.tag.a", "prefect.resource.role": "tag"}]
    store.write_sync(
        emit,
        event="prefect.thing.updated",
        resource=RESOURCE,
        related=related,
        payload={"a": [1, None]},
        id=id,
        occurred=occurred,
        follows=leader,
    )
    (event,) = store.read_sync(events)
    assert (event["id"], event["follows"]) == (str(id), str(leader))
    assert (event["occurred"], event["received"]) == (occurred, clock.now())
    assert event["event"] == "prefect.thing.updated"
    assert event["resource_id"] == "prefect.thing.1" and event["resource"] == RESOURCE
    assert event["related"] == related and event["payload"] == {"a": [1, None]}


def test_an_event_happens_now_unless_it_says_when(store: Store, clock: ManualClock) -> None:
    id = store.write_sync(emit, event="prefect.thing.created", resource=RESOURCE)
    (event,) = store.read_sync(events)
    assert (event["id"], event["occurred"], event["payload"]) == (str(id), clock.now(), {})


def test_a_payload_that_is_too_large_is_replaced_by_its_size(store: Store) -> None:
    payload = {"text": "x" * MAXIMUM_EVENT_BYTES}
    store.write_sync(emit, event="prefect.thing.updated", resource=RESOURCE, payload=payload)
    (event,) = store.read_sync(events)
    size = MAXIMUM_EVENT_BYTES + len('{"text":""}')
    assert event["payload"] == {"truncated": True, "original_size": size, "updated_fields": []}


def test_related_resources_beyond_the_limit_are_left_out(store: Store) -> None:
    related = [
        {"prefect.resource.id": f"prefect.tag.{n}", "prefect.resource.role": "tag"}
        for n in range(101)
    ]
    store.write_sync(emit, event="e", resource=RESOURCE, related=related)
    assert store.read_sync(events)[0]["related"] == related[:100]


def test_an_undone_change_leaves_no_event_and_wakes_nobody(store: Store) -> None:
    woken: list[frozenset[str]] = []
    store.on_wake = woken.append

    def change(tx: Tx) -> None:
        emit(tx, event="prefect.thing.updated", resource=RESOURCE)
        raise ObjectConflict("no")

    with pytest.raises(ObjectConflict):
        store.write_sync(change)
    assert store.read_sync(events) == [] and woken == []
    store.write_sync(emit, event="prefect.thing.updated", resource=RESOURCE)
    assert woken == [frozenset({"events"})]


def test_an_event_id_is_stored_once(store: Store) -> None:
    id = uuid7()
    store.write_sync(emit, event="e", resource=RESOURCE, id=id)
    with pytest.raises(ObjectConflict):
        store.write_sync(emit, event="e", resource=RESOURCE, id=id)
    assert len(store.read_sync(events)) == 1
