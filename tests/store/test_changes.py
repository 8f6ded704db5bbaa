"""A change is one event and one audit row of its own transaction."""

from typing import Any

import pytest

from penstock.base import json
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Actor, Context, RequestInfo
from penstock.server.store import Store
from penstock.server.store.transaction import Row, Tx

CONTEXT = Context(
    actor=Actor(type="token", id="t1", name="ci-bot", auth="bearer"),
    request=RequestInfo(id="r1", route="PATCH /variables/{id}"),
    claims=(("flow-run", "f1"),),
    fingerprint_key=b"key",
)


def change(**members: Any) -> Change:
    return Change(kind="variable", action="updated", id="v1", name="limit", **members)


def events(tx: Tx) -> list[Row]:
    return tx.fetch("SELECT * FROM event ORDER BY seq", [])


def audit(tx: Tx) -> list[Row]:
    return tx.fetch("SELECT * FROM audit ORDER BY seq", [])


def test_a_change_is_one_event_and_one_audit_row_with_the_same_id(store: Store) -> None:
    given = change(before={"value": 1}, after={"value": 2}, payload={"value": 2})
    store.write_sync(record, CONTEXT, given)
    [event] = store.read_sync(events)
    [row] = store.read_sync(audit)
    assert event["event"] == "prefect.variable.updated"
    assert event["resource_id"] == "prefect.variable.v1"
    assert row["id"] == event["id"]
    assert (row["actor_type"], row["actor_name"]) == ("token", "ci-bot")
    assert json.decode(row["changes"]) == [{"path": "/value", "from": 1, "to": 2}]
    members = json.decode(event["members"])
    assert members["actor"]["name"] == "ci-bot"
    assert members["request"]["id"] == "r1"
    assert members["changes"] == json.decode(row["changes"])


def test_the_actor_is_related_and_claims_are_marked(store: Store) -> None:
    store.write_sync(record, CONTEXT, change(after={"value": 2}))
    [event] = store.read_sync(events)
    actor, initiator = json.decode(event["related"])
    assert actor["prefect.resource.id"] == "penstock.actor.token.t1"
    assert actor["prefect.resource.role"] == "actor"
    assert initiator["penstock.claimed"] == "true"


def test_a_change_of_nothing_is_not_recorded(store: Store) -> None:
    same = change(before={"value": 1, "updated": 1}, after={"value": 1, "updated": 2})
    assert store.write_sync(record, CONTEXT, same) is None
    assert store.read_sync(events) == []
    assert store.read_sync(audit) == []


def test_a_change_that_is_rolled_back_leaves_nothing(store: Store) -> None:
    def broken(tx: Tx) -> None:
        record(tx, CONTEXT, change(after={"value": 2}))
        raise RuntimeError("after the fact")

    with pytest.raises(RuntimeError, match="after the fact"):
        store.write_sync(broken)
    assert store.read_sync(events) == []
    assert store.read_sync(audit) == []


def test_secrets_are_fingerprints_in_the_audit_row(store: Store) -> None:
    given = change(
        before={"job_variables": {"env": {"DB_PASSWORD": "old"}}, "code": "x"},
        after={"job_variables": {"env": {"DB_PASSWORD": "new"}}, "code": "x"},
        secret=("code",),
    )
    store.write_sync(record, CONTEXT, given)
    [row] = store.read_sync(audit)
    text = json.encode([row["before"], row["after"], row["changes"]]).decode()
    assert "old" not in text
    assert "new" not in text
    assert "********" in text
    [only] = json.decode(row["changes"])
    assert only["path"] == "/job_variables/env/DB_PASSWORD/fingerprint"


def test_it_costs_one_statement(store: Store) -> None:
    before = store.statistics.statements
    store.write_sync(record, CONTEXT, change(after={"value": 2}))
    assert store.statistics.statements - before == 1
