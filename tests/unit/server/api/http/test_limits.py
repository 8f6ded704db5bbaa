"""Taking slots over HTTP: what is granted, and when a denied caller may come back."""

from typing import Any

import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Reply, request

from penstock.server.app import App
from penstock.server.ops.context import Limits

LIMITS = "/api/v2/concurrency_limits/"
RUN = "0198f3b2-7c1d-7abc-8def-0123456789ab"


def served(*calls: tuple[str, str, Any], chance: float = 0.0, **options: Any) -> list[Reply]:
    """The replies to these requests of one application."""

    async def test(app: App) -> list[Reply]:
        app.edge.chance = lambda: chance
        return [await request(app, method, target, body) for method, target, body in calls]

    return with_app(test, **options)


def new_limit(name: str, **fields: Any) -> tuple[str, str, Any]:
    return ("POST", LIMITS, {"name": name, "limit": 1, **fields})


INCREMENTS = [
    (LIMITS + "increment", {"names": ["tag:db"], "slots": 1}),
    (LIMITS + "increment-with-lease", {"names": ["tag:db"], "slots": 1}),
    ("/api/concurrency_limits/increment", {"names": ["db"], "task_run_id": RUN}),
]


@pytest.mark.parametrize(("target", "body"), INCREMENTS)
@pytest.mark.parametrize(("chance", "wait"), [(0.0, 1.0), (0.5, 1.5), (0.999, 1.999)])
def test_a_denial_says_when_to_ask_again(
    target: str, body: Any, chance: float, wait: float
) -> None:
    *_, denied, read = served(
        new_limit("tag:db", active_slots=1),
        ("POST", target, body),
        ("GET", LIMITS + "tag:db", None),
        chance=chance,
    )
    assert denied.status == 423
    assert float(denied.headers["retry-after"]) == pytest.approx(wait, abs=0.001)
    assert "tag:db" in denied.json["detail"]
    assert read.json["active_slots"] == 1


def test_the_wait_has_a_bound() -> None:
    _, denied = served(
        new_limit("db", active_slots=1, slot_decay_per_second=0.001),
        ("POST", LIMITS + "increment", {"names": ["db"], "slots": 1, "mode": "rate_limit"}),
        chance=0.999_999,
        limits=Limits(slot_wait=4.0),
    )
    assert denied.status == 423 and float(denied.headers["retry-after"]) <= 4.0


@pytest.mark.parametrize(("target", "body"), INCREMENTS)
def test_a_grant_names_the_limits(target: str, body: Any) -> None:
    made, granted = served(new_limit("tag:db"), ("POST", target, body))
    assert (made.status, granted.status) == (201, 200)
    limits = granted.json["limits"] if "lease" in target else granted.json
    assert limits == [{"id": made.json["id"], "name": "tag:db", "limit": 1}]
    assert ("lease_id" in granted.json) == ("lease" in target)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "", {"name": "a/b", "limit": 1}, 422),
        ("POST", "", {"name": "b", "limit": -1}, 422),
        ("POST", "", {"name": "db", "limit": 1}, 409),
        ("POST", "increment", {"names": ["db"], "slots": 0}, 422),
        ("POST", "increment", {"names": ["db"], "slots": 9}, 422),
        ("POST", "increment", {"names": ["db"], "slots": 1, "mode": "rate_limit"}, 422),
        ("POST", "increment", {"names": [], "slots": 1}, 200),
        ("POST", "increment-with-lease", {"names": ["db"], "slots": 1, "lease_duration": 1}, 422),
        ("POST", "decrement", {"names": ["db"], "slots": 1, "occupancy_seconds": None}, 200),
        ("POST", "decrement-with-lease", {"lease_id": RUN}, 204),
        ("POST", f"leases/{RUN}/renew", None, 410),
        ("POST", f"leases/{RUN}/renew", {"lease_duration": 5}, 422),
        ("PATCH", "db", {"limit": 3}, 204),
        ("PATCH", "db", {"size": 3}, 422),
        ("PATCH", "nothing", {"limit": 3}, 404),
        ("GET", "nothing", None, 404),
        ("DELETE", "db", None, 204),
        ("DELETE", "nothing", None, 404),
        ("POST", "filter", None, 200),
        ("POST", "filter", {"limit": 201}, 422),
    ],
)
def test_statuses(method: str, path: str, body: Any, status: int) -> None:
    _, reply = served(new_limit("db"), (method, LIMITS + path, body))
    assert reply.status == status


def test_version_one_statuses() -> None:
    path = "/api/concurrency_limits/"
    body = {"tag": "db", "concurrency_limit": 2}
    replies = served(
        ("POST", path, body),
        ("POST", path, body),
        ("GET", path + "tag/db", None),
        ("POST", path + "filter", None),
        ("POST", path + "tag/db/reset", None),
        ("POST", path + "tag/db/reset", {"slot_override": [RUN]}),
        ("GET", path + "tag/db", None),
        ("POST", path + "decrement", {"names": ["db"], "task_run_id": RUN}),
        ("DELETE", path + "tag/db", None),
        ("DELETE", path + "tag/db", None),
        ("GET", path + RUN, None),
    )
    statuses = [reply.status for reply in replies]
    assert statuses == [201, 200, 200, 200, 200, 200, 200, 200, 200, 404, 404]
    assert replies[6].json["active_slots"] == [RUN]
    assert replies[8].json is None
