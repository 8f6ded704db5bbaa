"""Every operation of the catalogue over REST: the exact event, the exact audit row, in one commit.

The cases are in the modules beside this one; `harness.py` says how they are written.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from tests.catalogue import (
    cases_of_blocks,
    cases_of_deployments,
    cases_of_runs,
    cases_of_values,
    cases_of_work,
)
from tests.catalogue.harness import CASES, RESOURCE, Api, Case, Expected, running
from tests.databases import DATABASES, database_url

MODULES = (cases_of_values, cases_of_blocks, cases_of_deployments, cases_of_work, cases_of_runs)


@pytest.fixture(scope="module", params=DATABASES)
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with database_url(request.param, tmp_path_factory.mktemp("store")) as url, running(url) as api:
        yield api


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_operation(api: Api, case: Case) -> None:
    api.settle()
    expected = case.perform(api)
    names = [one.event_name for one in expected if one.event_name is not None]
    assert set(names) == set(case.events), "the case asserts other events than it says"
    events, rows = api.events(), api.audit()
    assert [event["event"] for event in events] == names
    changes = [one for one in expected if one.audited]
    assert [(row["kind"], row["action"], row["object_id"]) for row in rows] == [
        (one.kind, one.action, one.id) for one in changes
    ]
    by_change = {id(one): row for one, row in zip(changes, rows, strict=True)}
    for one, row in zip(changes, rows, strict=True):
        check_row(one, row, cause_of(one, by_change))
    told = [one for one in expected if one.event_name is not None]
    for one, event in zip(told, events, strict=True):
        check_event(one, event, by_change.get(id(one)), cause_of(one, by_change))
    for changed in {one.id for one in changes}:
        check_history(api.history(changed))


def check_history(rows: list[dict[str, Any]]) -> None:
    """What a row begins with is what the row before it ended with."""
    for earlier, later in pairwise(rows):
        before, after = later["before"], earlier["after"]
        assert after is not None and before is not None, "it was there, and then it was changed"
        shared = before.keys() & after.keys()
        assert {name: after[name] for name in shared} == {name: before[name] for name in shared}


def cause_of(expected: Expected, rows: Mapping[int, Mapping[str, Any]]) -> str | None:
    return None if expected.caused_by is None else rows[id(expected.caused_by)]["id"]


def check_event(
    expected: Expected, event: Mapping[str, Any], row: Mapping[str, Any] | None, cause: str | None
) -> None:
    resource = {
        RESOURCE[0]: expected.resource,
        RESOURCE[1]: expected.name,
        **expected.labels,
    }
    assert event["resource"] == resource
    others = [one for one in event["related"] if one["prefect.resource.role"] != "actor"]
    assert others == list(expected.related)
    assert event["payload"] == expected.payload
    assert (event["follows"] is not None) == expected.follows
    assert event.get("caused_by") == cause
    if row is None:
        return
    [actor] = [one for one in event["related"] if one["prefect.resource.role"] == "actor"]
    name = "user.catalogue" if row["actor_type"] == "user" else "service.catalogue"
    assert actor["prefect.resource.id"] == f"penstock.actor.{name}"
    assert event["id"] == row["id"]
    assert event["actor"]["type"] == row["actor_type"]
    assert event.get("changes", []) == row["changes"]


def check_row(expected: Expected, row: Mapping[str, Any], cause: str | None) -> None:
    assert row["object_name"] == expected.name
    assert row["caused_by"] == cause
    assert (row["actor_type"], row["actor_name"]) in (
        ("user", "catalogue"),
        ("service", "catalogue"),
    )
    assert (row["request_route"] is not None) == (row["actor_type"] == "user")
    told = {change["path"]: (change.get("from"), change.get("to")) for change in row["changes"]}
    assert told == dict(expected.changes)
    if expected.after is not None:
        assert row["after"] == expected.after
    if expected.before is not None:
        assert row["before"] == expected.before
    first = expected.action == "created" if expected.first is None else expected.first
    assert (row["before"] is None) == first
    assert (row["after"] is None) == (expected.action == "deleted")


CATALOGUE = {
    *(
        f"prefect.{kind}.{action}"
        for kind in (
            "variable",
            "flow",
            "block-type",
            "block-document",
            "concurrency-limit",
            "artifact-collection",
            "automation",
            "deployment",
            "work-pool",
            "work-queue",
        )
        for action in ("created", "updated", "deleted")
    ),
    *(f"prefect.{kind}.ready" for kind in ("deployment", "work-pool", "work-queue")),
    *(f"prefect.{kind}.not-ready" for kind in ("deployment", "work-pool", "work-queue")),
    *(f"prefect.{kind}.paused" for kind in ("work-pool", "work-queue")),
    *(
        f"prefect.flow-run.{state}"
        for state in (
            "Scheduled",
            "Late",
            "AwaitingRetry",
            "AwaitingConcurrencySlot",
            "Resuming",
            "Retrying",
            "Pending",
            "Submitting",
            "InfrastructurePending",
            "Running",
            "Paused",
            "Suspended",
            "Cancelling",
            "Cancelled",
            "Completed",
            "Cached",
            "RolledBack",
            "Failed",
            "Crashed",
            "TimedOut",
            "Custom Name",
        )
    ),
    *(f"penstock.deployment-schedule.{action}" for action in ("created", "updated", "deleted")),
    *(f"penstock.worker.{action}" for action in ("online", "offline", "deleted")),
    *(f"penstock.block-schema.{action}" for action in ("created", "deleted")),
    *(f"penstock.artifact.{action}" for action in ("updated", "deleted")),
    *(f"penstock.flow-run.{action}" for action in ("updated", "deleted")),
    "penstock.task-run.deleted",
    "penstock.configuration.updated",
    "penstock.token.created",
    "penstock.token.deleted",
    "penstock.auth.failed",
}
"""Names of all events that the server makes of changes. Those of clients and of running
automations are made elsewhere, and so are those of owed teardowns."""


def test_the_table_has_every_event_of_the_catalogue() -> None:
    assert {event for case in CASES for event in case.events} == CATALOGUE
