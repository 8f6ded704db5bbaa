"""What a client sees of state changes over HTTP: statuses, answers, repetition, refusals."""

from typing import Any
from uuid import uuid4

import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Reply, request

from penstock.server.app import App

ACCEPTED = {"type": "accept_details"}


async def new_run(app: App, **fields: Any) -> str:
    flow = (await request(app, "POST", "/api/flows/", {"name": "etl"})).json
    body = {"flow_id": flow["id"], **fields}
    return (await request(app, "POST", "/api/flow_runs/", body)).json["id"]


async def new_task_run(app: App, **fields: Any) -> str:
    body = {"task_key": "add", "dynamic_key": str(uuid4()), **fields}
    return (await request(app, "POST", "/api/task_runs/", body)).json["id"]


async def propose(
    app: App, id: str, type: str, /, *, kind: str = "flow_runs", **more: Any
) -> Reply:
    force = more.pop("force", False)
    body = {"state": {"type": type, **more}, "force": force}
    return await request(app, "POST", f"/api/{kind}/{id}/set_state", body)


def test_a_run_from_start_to_end() -> None:
    async def story(app: App) -> None:
        id = await new_run(app)
        reply = await propose(app, id, "RUNNING")
        assert reply.status == 201
        assert (reply.json["status"], reply.json["details"]) == ("ACCEPT", ACCEPTED)
        assert reply.json["state"]["name"] == "Running"
        assert reply.json["state"]["state_details"]["flow_run_id"] == id
        reply = await propose(app, id, "COMPLETED", data={"type": "reference", "key": "k"})
        assert reply.json["state"]["data"] == {"type": "reference", "key": "k"}
        run = (await request(app, "GET", f"/api/flow_runs/{id}")).json
        assert (run["state_type"], run["run_count"]) == ("COMPLETED", 1)
        assert run["state"] == reply.json["state"]
        assert run["end_time"] == reply.json["state"]["timestamp"]

    with_app(story)


def test_refusals_are_answers_with_status_200() -> None:
    async def story(app: App) -> None:
        id = await new_run(app, state={"type": "RUNNING"})
        current = (await request(app, "GET", f"/api/flow_runs/{id}")).json["state"]
        aborted = await propose(app, id, "PENDING")
        assert (aborted.status, aborted.json["status"]) == (200, "ABORT")
        assert aborted.json["state"] == current
        assert aborted.json["details"]["type"] == "abort_details"
        assert aborted.json["details"]["reason"]

        await propose(app, id, "PAUSED")
        rejected = await propose(app, id, "PENDING")
        assert (rejected.status, rejected.json["status"]) == (200, "REJECT")
        assert rejected.json["details"]["type"] == "reject_details"
        assert rejected.json["state"]["type"] == "PAUSED"

        due = {"scheduled_time": "2999-01-01T00:00:00Z"}
        later = await new_run(app, state={"type": "SCHEDULED", "state_details": due})
        waiting = await propose(app, later, "RUNNING")
        assert (waiting.status, waiting.json["status"]) == (200, "WAIT")
        assert waiting.json["details"]["type"] == "wait_details"
        assert isinstance(waiting.json["details"]["delay_seconds"], int)
        assert waiting.json["details"]["delay_seconds"] > 86_400

    with_app(story)


def test_a_failure_is_retried_by_whoever_runs_it() -> None:
    async def story(app: App) -> None:
        policy = {"retries": 1, "retry_delay": 0}
        id = await new_run(app, empirical_policy=policy, state={"type": "RUNNING"})
        reply = await propose(app, id, "FAILED", message="boom")
        assert (reply.status, reply.json["status"]) == (201, "REJECT")
        assert reply.json["state"]["name"] == "AwaitingRetry"
        assert reply.json["state"]["message"] == "boom"
        assert (await propose(app, id, "RUNNING", name="Retrying")).json["status"] == "ACCEPT"
        assert (await propose(app, id, "FAILED")).json["status"] == "ACCEPT"
        run = (await request(app, "GET", f"/api/flow_runs/{id}")).json
        assert (run["state_type"], run["run_count"]) == ("FAILED", 2)

    with_app(story)


def test_a_lost_reply_may_be_asked_for_again() -> None:
    async def story(app: App) -> None:
        id, state_id = await new_run(app), str(uuid4())
        first = await propose(app, id, "RUNNING", id=state_id)
        await propose(app, id, "COMPLETED")
        again = await propose(app, id, "RUNNING", id=state_id)
        assert (first.status, again.status) == (201, 200)
        assert again.json == first.json and first.json["state"]["id"] == state_id
        states = await request(app, "GET", f"/api/flow_run_states/?flow_run_id={id}")
        assert [state["type"] for state in states.json] == ["PENDING", "RUNNING", "COMPLETED"]

    with_app(story)


def test_a_subflow_run_shows_on_its_parent() -> None:
    async def story(app: App) -> None:
        parent = await new_run(app, state={"type": "RUNNING"})
        stub = await new_task_run(app, flow_run_id=parent)
        child = await new_run(app, parent_task_run_id=stub)
        await propose(app, child, "RUNNING")
        await propose(app, child, "FAILED", message="no")
        task_run = (await request(app, "GET", f"/api/task_runs/{stub}")).json
        assert (task_run["state_type"], task_run["run_count"]) == ("FAILED", 1)
        assert task_run["state"]["message"] == "no"
        assert task_run["state"]["state_details"]["child_flow_run_id"] == child

    with_app(story)


@pytest.mark.parametrize("kind", ["flow_runs", "task_runs"])
def test_an_unknown_run(kind: str) -> None:
    async def story(app: App) -> None:
        reply = await propose(app, str(uuid4()), "RUNNING", kind=kind)
        assert reply.status == 404 and "there is no" in reply.json["exception_message"]

    with_app(story)


HOSTILE = [
    {"timestamp": "9999-12-31T23:59:59.999999Z"},
    {"timestamp": "0001-01-01T00:00:00Z"},
    {"timestamp": "2020-01-01T00:00:00"},
    {"name": ""},
    {"name": "a\0b" * 1_000},
    {"message": "x" * 300_000},
    {"message": "\0"},
    {"data": "text"},
    {"data": [None, {"deep": {"er": [1e308]}}]},
    {"data": {"type": {"not": "text"}}},
    {"state_details": {"scheduled_time": "0001-01-01T00:00:00"}},
    {"state_details": {"scheduled_time": "9999-12-31T23:59:59.999999Z"}},
    {"state_details": {"pause_timeout": "0001-01-01T00:00:00Z"}},
    {"state_details": {"pause_timeout": "9999-12-31T23:59:59.999999"}},
    {"state_details": {"cache_key": "\0", "cache_expiration": "9999-12-31T00:00:00"}},
    {"state_details": {"cache_key": "k" * 10_000}},
    {"state_details": {"deployment_concurrency_lease_id": str(uuid4())}},
    {"state_details": {"deferred": True, "task_parameters_id": str(uuid4())}},
    {"state_details": {"transition_id": "00000000-0000-0000-0000-000000000000"}},
    {"state_details": {"unknown": 1}},
]
TYPES = [
    "SCHEDULED",
    "PENDING",
    "RUNNING",
    "PAUSED",
    "CANCELLING",
    "COMPLETED",
    "RUNNING",
    "FAILED",
    "CRASHED",
    "CANCELLED",
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("kind", ["flow_runs", "task_runs"])
def test_odd_proposals_never_break_the_server_or_the_run(kind: str, hostile: Any) -> None:
    """Each is decided or refused (422), and the run can go on and be read."""

    async def story(app: App) -> None:
        if kind == "flow_runs":
            policy = {"retries": 2**31, "retry_delay": 2**53}
            id = await new_run(app, empirical_policy=policy)
        else:
            policy = {"retries": 2**31, "retry_delay": [1e300], "retry_jitter_factor": 1e300}
            id = await new_task_run(app, empirical_policy=policy)
        for force in (False, True):
            for type in TYPES:
                reply = await propose(app, id, type, kind=kind, force=force, **hostile)
                assert reply.status in (200, 201, 422)
                plain = await propose(app, id, type, kind=kind, force=force)
                assert plain.status in (200, 201)
        run = await request(app, "GET", f"/api/{kind}/{id}")
        assert run.status == 200 and run.json["state_type"] == "CANCELLED"

    with_app(story)
