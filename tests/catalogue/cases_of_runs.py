"""Flow runs through their states, edits and ends; task runs where the server tells of them."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

from tests.catalogue.cases_of_deployments import deployment, entry
from tests.catalogue.cases_of_values import flow
from tests.catalogue.cases_of_work import TYPE, pool
from tests.catalogue.harness import Api, Expected, case

from penstock.server.ops import upkeep

INITIAL = ("type", "name", "message", "pause_reschedule")


def run(api: Api, of: dict[str, Any], type: str | None = None, **state: Any) -> dict[str, Any]:
    given = {} if type is None else {"state": {"type": type, **state}}
    return api.post("/flow_runs/", {"flow_id": of["id"], **given})


def read(api: Api, made: dict[str, Any]) -> dict[str, Any]:
    return api.get(f"/flow_runs/{made['id']}")


def to(api: Api, made: dict[str, Any], type: str, force: bool = False, **state: Any) -> str:
    body = {"state": {"type": type, **state}, "force": force}
    return api.post(f"/flow_runs/{made['id']}/set_state", body)["status"]


def told(state: dict[str, Any]) -> dict[str, Any]:
    shown = {"type": state["type"], "name": state["name"]}
    if state["message"] is not None:
        shown["message"] = state["message"]
    if state["type"] == "PAUSED":
        reschedule = state["state_details"]["pause_reschedule"]
        shown["pause_reschedule"] = "true" if reschedule else "false"
    return shown


def of_state(
    made: dict[str, Any],
    of: dict[str, Any],
    before: dict[str, Any] | None,
    after: dict[str, Any],
    run_count: int = 0,
    **more: Any,
) -> Expected:
    """`before` and `after` are states as REST gives them."""
    old, new = columns(before), columns(after)
    changed = {f"/{key}": (old[key], new[key]) for key in new if before and old[key] != new[key]}
    related = [entry("flow", "flow", of["id"], of["name"]), *more.pop("beside", [])]
    return Expected(
        kind="flow-run",
        action=after["name"],
        first=before is None,
        event=f"prefect.flow-run.{after['name']}",
        id=made["id"],
        name=made["name"],
        labels={
            "prefect.run-count": str(run_count),
            "prefect.state-message": after["message"] or "",
            "prefect.state-name": after["name"],
            "prefect.state-timestamp": after["timestamp"].replace("Z", "+00:00"),
            "prefect.state-type": after["type"],
        },
        related=related,
        payload={
            "intended": {"from": before and before["type"], "to": after["type"]},
            "initial_state": told(before) if before else None,
            "validated_state": told(after),
        },
        changes=changed,
        follows=before is not None,
        **more,
    )


def columns(state: dict[str, Any] | None) -> dict[str, Any]:
    if state is None:
        return {}
    return {
        "state_message": state["message"],
        "state_name": state["name"],
        "state_type": state["type"],
    }


@case("prefect.flow-run.Pending")
def flow_run_created(api: Api) -> list[Expected]:
    of = flow(api)
    api.settle()
    made = run(api, of)
    return [of_state(made, of, None, read(api, made)["state"])]


@case("prefect.flow-run.Scheduled")
def flow_run_created_once_for_its_key(api: Api) -> list[Expected]:
    of = flow(api, tags=["b"])
    api.settle()
    body = {
        "flow_id": of["id"],
        "state": {"type": "SCHEDULED"},
        "idempotency_key": "once",
        "tags": ["c", "a"],
    }
    made = api.post("/flow_runs/", body)
    assert api.post("/flow_runs/", body)["id"] == made["id"]
    tags = [entry("tag", "tag", tag) for tag in ("a", "b", "c")]
    return [of_state(made, of, None, made["state"], beside=tags)]


@case(
    "prefect.flow-run.Pending",
    "prefect.flow-run.Running",
    "prefect.flow-run.Completed",
)
def flow_run_from_pending_to_completed(api: Api) -> list[Expected]:
    of = flow(api)
    api.settle()
    made = run(api, of)
    states = [read(api, made)["state"]]
    for type in ("RUNNING", "COMPLETED"):
        # What is refused is no transition and tells nothing.
        assert to(api, made, "PENDING") in ("ABORT", "REJECT")
        assert to(api, made, type) == "ACCEPT"
        states.append(read(api, made)["state"])
    return [
        of_state(made, of, None, states[0]),
        of_state(made, of, states[0], states[1], run_count=1),
        of_state(made, of, states[1], states[2], run_count=1),
    ]


@case(
    "prefect.flow-run.Running",
    "prefect.flow-run.Paused",
    "prefect.flow-run.Cancelling",
    "prefect.flow-run.Cancelled",
    "prefect.flow-run.Crashed",
    "prefect.flow-run.Custom Name",
)
def flow_run_by_every_other_way(api: Api) -> list[Expected]:
    of = flow(api)
    made = run(api, of, "RUNNING")
    states = [read(api, made)["state"]]
    counts = [read(api, made)["run_count"]]
    api.settle()

    def reached() -> None:
        found = read(api, made)
        states.append(found["state"])
        counts.append(found["run_count"])

    timeout = (api.clock.now() + timedelta(hours=1)).isoformat()
    to(api, made, "PAUSED", state_details={"pause_timeout": timeout, "pause_key": "one"})
    reached()
    api.post(f"/flow_runs/{made['id']}/resume", {})
    reached()
    for type, force in (("CANCELLING", False), ("CANCELLED", False), ("CRASHED", True)):
        assert to(api, made, type, force) == "ACCEPT"
        reached()
    to(api, made, "RUNNING", force=True, name="Custom Name", message="by hand")
    reached()
    return [
        of_state(made, of, before, after, run_count=count)
        for before, after, count in zip(states, states[1:], counts[1:], strict=False)
    ]


@case("prefect.flow-run.Suspended", "prefect.flow-run.Resuming")
def flow_run_suspended_and_resumed(api: Api) -> list[Expected]:
    of = flow(api)
    deployed = deployment(api, of)
    made = api.post(f"/deployments/{deployed['id']}/create_flow_run", {})
    to(api, made, "PENDING")
    to(api, made, "RUNNING")
    states = [read(api, made)["state"]]
    api.settle()
    timeout = (api.clock.now() + timedelta(hours=1)).isoformat()
    details = {"pause_timeout": timeout, "pause_key": "s", "pause_reschedule": True}
    assert to(api, made, "PAUSED", name="Suspended", state_details=details) == "ACCEPT"
    states.append(read(api, made)["state"])
    api.post(f"/flow_runs/{made['id']}/resume", {})
    states.append(read(api, made)["state"])
    beside = [entry("deployment", "deployment", deployed["id"], deployed["name"])]
    return [
        of_state(made, of, before, after, run_count=1, beside=beside)
        for before, after in pairwise(states)
    ]


@case("prefect.flow-run.Cancelled")
def flow_runs_set_together(api: Api) -> list[Expected]:
    of = flow(api)
    made = [run(api, of, "SCHEDULED") for _ in range(2)]
    api.settle()
    body = {
        "flow_runs": {"id": {"any_": [one["id"] for one in made]}},
        "state": {"type": "CANCELLED"},
    }
    api.post("/flow_runs/bulk_set_state", body)
    by_id = {one["id"]: one for one in made}
    order = [row["object_id"] for row in api.audit()]
    assert sorted(order) == sorted(by_id)
    return [
        of_state(by_id[id], of, by_id[id]["state"], read(api, by_id[id])["state"]) for id in order
    ]


@case("prefect.flow-run.Scheduled")
def flow_run_of_a_deployment(api: Api) -> list[Expected]:
    of, home = flow(api), pool(api)
    deployed = deployment(api, of, work_pool_name=home["name"], tags=["d"])
    queue = api.get(f"/work_pools/{home['name']}/queues/default")
    api.settle()
    made = api.post(f"/deployments/{deployed['id']}/create_flow_run", {})
    beside = [
        entry("deployment", "deployment", deployed["id"], deployed["name"]),
        entry("work-queue", "work-queue", queue["id"], "default"),
        entry("work-pool", "work-pool", home["id"], home["name"], **TYPE),
        entry("tag", "tag", "d"),
    ]
    return [of_state(made, of, None, made["state"], beside=beside)]


@case()
def planned_runs_are_silent(api: Api) -> list[Expected]:
    of = flow(api)
    schedule = {"schedule": {"cron": "* * * * *", "timezone": "UTC"}, "active": True}
    made = deployment(api, of, schedules=[schedule])
    api.settle()
    api.post(f"/deployments/{made['id']}/schedule", {})
    found = {"flow_runs": {"deployment_id": {"any_": [made["id"]]}}}
    assert api.post("/flow_runs/count", found) > 0
    return []


@case("prefect.flow-run.Late")
def flow_run_that_did_not_start_in_time(api: Api) -> list[Expected]:
    of = flow(api)
    made = run(api, of, "SCHEDULED")
    api.settle()
    later = api.clock.advance(60)
    for _ in range(2):
        api.write(upkeep.mark_late, made["id"], later)
    return [of_state(made, of, made["state"], read(api, made)["state"])]


@case("prefect.flow-run.Failed")
def flow_run_whose_pause_nobody_ended(api: Api) -> list[Expected]:
    of = flow(api)
    made = run(api, of, "RUNNING")
    timeout = (api.clock.now() + timedelta(seconds=30)).isoformat()
    to(api, made, "PAUSED", state_details={"pause_timeout": timeout, "pause_key": "p"})
    paused = read(api, made)["state"]
    api.settle()
    api.clock.advance(60)
    for _ in range(2):
        api.write(upkeep.expire_pause, made["id"])
    ended = read(api, made)
    return [of_state(made, of, paused, ended["state"], run_count=ended["run_count"])]


@case("penstock.flow-run.updated")
def flow_run_edited(api: Api) -> list[Expected]:
    of = flow(api)
    made = run(api, of)
    path = f"/flow_runs/{made['id']}"
    labels = read(api, made)["labels"]
    api.settle()
    for _ in range(2):
        api.patch(path, {"name": "renamed"})
    for _ in range(2):
        api.patch(f"{path}/labels", {"team": "a"})
    assert read(api, made)["labels"] == {**labels, "team": "a"}
    shared: dict[str, Any] = {
        "kind": "flow-run",
        "action": "updated",
        "event": "penstock.flow-run.updated",
        "id": made["id"],
        "name": "renamed",
        "related": [entry("flow", "flow", of["id"])],
    }
    return [
        Expected(
            **shared,
            payload={"updated_fields": ["name"]},
            changes={"/name": (made["name"], "renamed")},
        ),
        Expected(
            **shared,
            payload={"updated_fields": ["labels"]},
            changes={"/labels/team": (None, "a")},
        ),
    ]


@case("penstock.flow-run.deleted")
def flow_runs_deleted(api: Api) -> list[Expected]:
    of = flow(api)
    made = [run(api, of) for _ in range(2)]
    api.settle()
    api.delete(f"/flow_runs/{made[0]['id']}")
    api.post("/flow_runs/bulk_delete", {"flow_runs": {"id": {"any_": [made[1]["id"]]}}})
    return [
        Expected(
            kind="flow-run",
            action="deleted",
            event="penstock.flow-run.deleted",
            id=one["id"],
            name=one["name"],
            related=[entry("flow", "flow", of["id"])],
        )
        for one in made
    ]


@case("penstock.task-run.deleted")
def task_run_only_its_end_is_told(api: Api) -> list[Expected]:
    """States of task runs set over REST are silent; their engines tell of them in events."""
    parent = run(api, flow(api))
    api.settle()
    body = {"flow_run_id": parent["id"], "task_key": "work", "dynamic_key": "0", "name": "w"}
    made = api.post("/task_runs/", body)
    api.post(f"/task_runs/{made['id']}/set_state", {"state": {"type": "RUNNING"}})
    path = f"/flow_runs/{parent['id']}/input"
    api.post(path, {"key": "k", "value": "1"})
    api.delete(f"{path}/k")
    api.delete(f"/task_runs/{made['id']}")
    rows = [row for row in api.audit() if row["action"] != "deleted"]
    silent = [
        Expected(
            kind=row["kind"],
            action=row["action"],
            event=None,
            id=made["id"],
            name=made["name"],
            changes={one["path"]: (one.get("from"), one.get("to")) for one in row["changes"]},
        )
        for row in rows
    ]
    return [
        *silent,
        Expected(
            kind="task-run",
            action="deleted",
            event="penstock.task-run.deleted",
            id=made["id"],
            name=made["name"],
            related=[entry("flow-run", "flow-run", parent["id"])],
        ),
    ]


NAMED = {
    "AwaitingRetry": "SCHEDULED",
    "AwaitingConcurrencySlot": "SCHEDULED",
    "Retrying": "RUNNING",
    "Submitting": "PENDING",
    "InfrastructurePending": "PENDING",
    "Cached": "COMPLETED",
    "RolledBack": "COMPLETED",
    "TimedOut": "FAILED",
}


@case(*(f"prefect.flow-run.{name}" for name in NAMED))
def flow_run_created_in_every_named_state(api: Api) -> list[Expected]:
    of = flow(api)
    api.settle()
    made = [run(api, of, type, name=name, message=f"is {name}") for name, type in NAMED.items()]
    return [
        of_state(one, of, None, found["state"], run_count=found["run_count"])
        for one, found in ((one, read(api, one)) for one in made)
    ]
