"""Deployments, their schedules, the limits they own, what goes with them."""

from typing import Any

from tests.catalogue.cases_of_values import (
    automation,
    flow,
    limit,
    of_automation,
    of_flow,
    of_limit,
)
from tests.catalogue.harness import Api, Expected, case

from penstock.server.ops import readiness

CRON = {"schedule": {"cron": "0 0 1 1 *", "timezone": "UTC"}, "active": True}


def deployment(api: Api, of: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return api.post(
        "/deployments/", {"name": api.name("deployment"), "flow_id": of["id"], **fields}
    )


def entry(role: str, kind: str, id: str, name: str | None = None, **more: str) -> dict[str, str]:
    named = {} if name is None else {"prefect.resource.name": name}
    return {
        "prefect.resource.id": f"prefect.{kind}.{id}",
        "prefect.resource.role": role,
        **named,
        **more,
    }


def of_deployment(action: str, made: dict[str, Any], of: dict[str, Any], **more: Any) -> Expected:
    related = [entry("flow", "flow", of["id"], of["name"])]
    related += more.pop("beside", [])
    changes = more.get("changes", {})
    told = {
        path.removeprefix("/"): {"from": old, "to": new} for path, (old, new) in changes.items()
    }
    # The contract's own name for job variables.
    told = {"infra_overrides" if name == "job_variables" else name: it for name, it in told.items()}
    payload = {"updated_fields": list(told), "updates": told} if action == "updated" else {}
    return Expected(
        **{
            "kind": "deployment",
            "action": action,
            "id": made["id"],
            "name": made["name"],
            "related": related,
            "payload": payload,
            **more,
        }
    )


def of_schedule(
    action: str, schedule: dict[str, Any], made: dict[str, Any], of: dict[str, Any], **more: Any
) -> Expected:
    names = ("id", "deployment_id", "schedule", "active", "slug", "parameters")
    kept = {name: schedule[name] for name in (*names, "max_scheduled_runs")}
    kept["catch_up"] = schedule.get("catch_up")  # an extension, left out of the answer when unset
    return Expected(
        kind="deployment-schedule",
        action=action,
        event=f"penstock.deployment-schedule.{action}",
        id=schedule["id"],
        name=schedule["slug"] or made["name"],
        payload=kept,
        related=[
            entry("deployment", "deployment", made["id"], made["name"]),
            entry("flow", "flow", of["id"], of["name"]),
        ],
        before=kept if action == "deleted" else None,
        after=kept if action != "deleted" else None,
        **more,
    )


@case("prefect.deployment.created", "penstock.deployment-schedule.created")
def deployment_created(api: Api) -> list[Expected]:
    of = flow(api)
    api.settle()
    made = deployment(api, of, schedules=[CRON], tags=["t"])
    return [
        of_deployment("created", made, of),
        of_schedule("created", made["schedules"][0], made, of),
    ]


@case("prefect.deployment.updated")
def deployment_made_again_with_another_value(api: Api) -> list[Expected]:
    of = flow(api)
    made = deployment(api, of, schedules=[CRON])
    api.settle()
    body = {"name": made["name"], "flow_id": of["id"], "schedules": [CRON]}
    api.post("/deployments/", body)
    for _ in range(2):
        api.post("/deployments/", {**body, "description": "words", "version": "2"})
    changes = {"/description": (None, "words"), "/version": (None, "2")}
    return [of_deployment("updated", made, of, changes=changes)]


@case("prefect.deployment.updated")
def deployment_updated_paused_and_resumed(api: Api) -> list[Expected]:
    of = flow(api)
    made = deployment(api, of)
    path = f"/deployments/{made['id']}"
    api.settle()
    for _ in range(2):
        api.patch(path, {"paused": True})
    for _ in range(2):
        api.post(f"{path}/resume_deployment")
    for _ in range(2):
        api.post(f"{path}/pause_deployment")
    api.patch(path, {"tags": ["x"], "enforce_parameter_schema": False})
    api.patch(path, {})
    pause, resume = {"/paused": (False, True)}, {"/paused": (True, False)}
    other = {"/tags": ([], ["x"]), "/enforce_parameter_schema": (True, False)}
    return [
        of_deployment("updated", made, of, changes=changes)
        for changes in (pause, resume, pause, other)
    ]


@case("prefect.deployment.updated")
def secret_of_a_deployment_is_not_told(api: Api) -> list[Expected]:
    of = flow(api)
    made = deployment(api, of, job_variables={"env": {"API_KEY": "canary-one", "A": "1"}})
    api.settle()
    variables = {"env": {"API_KEY": "canary-two", "A": "2"}}
    api.patch(f"/deployments/{made['id']}", {"job_variables": variables})
    [event], [row] = api.events(), api.audit()
    assert "canary" not in str([event, row])
    told = event["payload"]["updates"]["infra_overrides"]
    assert (told["from"]["env"]["A"], told["to"]["env"]["A"]) == ("1", "2")
    hidden = [told[side]["env"]["API_KEY"] for side in ("from", "to")]
    assert [one["value"] for one in hidden] == ["********"] * 2
    assert hidden[0]["fingerprint"] != hidden[1]["fingerprint"]
    changes = {change["path"]: (change["from"], change["to"]) for change in row["changes"]}
    assert set(changes) == {"/job_variables/env/A", "/job_variables/env/API_KEY/fingerprint"}
    return [
        of_deployment("updated", made, of, changes=changes, payload=event["payload"]),
    ]


@case("prefect.deployment.deleted", "penstock.deployment-schedule.deleted")
def deployment_deleted(api: Api) -> list[Expected]:
    of = flow(api)
    made = deployment(api, of, schedules=[CRON])
    api.settle()
    api.delete(f"/deployments/{made['id']}")
    cause = of_deployment("deleted", made, of)
    return [of_schedule("deleted", made["schedules"][0], made, of, caused_by=cause), cause]


@case("prefect.deployment.deleted")
def deployments_deleted_together(api: Api) -> list[Expected]:
    of = flow(api)
    made = [deployment(api, of) for _ in range(2)]
    api.settle()
    ids = [one["id"] for one in made]
    answer = api.post("/deployments/bulk_delete", {"deployments": {"id": {"any_": ids}}})
    by_id = {one["id"]: one for one in made}
    return [of_deployment("deleted", by_id[id], of) for id in answer["deleted"]]


@case(
    "prefect.automation.deleted",
    "penstock.flow-run.deleted",
    "prefect.deployment.deleted",
    "prefect.flow.deleted",
)
def flow_deleted_with_what_is_of_it(api: Api) -> list[Expected]:
    of = flow(api)
    made = deployment(api, of)
    owned = automation(api, owner_resource=f"prefect.deployment.{made['id']}")
    run = api.post("/flow_runs/", {"flow_id": of["id"], "state": {"type": "COMPLETED"}})
    api.settle()
    api.delete(f"/flows/{of['id']}")
    whole = of_flow("deleted", of)
    cause = of_deployment("deleted", made, of, caused_by=whole)
    return [
        of_automation("deleted", owned, caused_by=cause),
        cause,
        Expected(
            kind="flow-run",
            action="deleted",
            event="penstock.flow-run.deleted",
            id=run["id"],
            name=run["name"],
            related=[entry("flow", "flow", of["id"])],
            caused_by=whole,
        ),
        whole,
    ]


# --- schedules -----------------------------------------------------------------------------------


@case(
    "penstock.deployment-schedule.created",
    "penstock.deployment-schedule.updated",
    "penstock.deployment-schedule.deleted",
)
def schedule_created_updated_and_deleted(api: Api) -> list[Expected]:
    of = flow(api)
    made = deployment(api, of)
    path = f"/deployments/{made['id']}/schedules"
    api.settle()
    [schedule] = api.post(path, [{**CRON, "slug": "yearly"}])
    for _ in range(2):
        api.patch(f"{path}/{schedule['id']}", {"active": False})
    api.delete(f"{path}/{schedule['id']}")
    off = {**schedule, "active": False}
    changes = {"/active": (True, False)}
    return [
        of_schedule("created", schedule, made, of),
        of_schedule("updated", off, made, of, changes=changes),
        of_schedule("deleted", off, made, of),
    ]


@case("penstock.deployment-schedule.created", "penstock.deployment-schedule.deleted")
def schedules_replaced_by_an_upsert(api: Api) -> list[Expected]:
    of = flow(api)
    made = deployment(api, of, schedules=[CRON])
    api.settle()
    other = {"schedule": {"cron": "0 0 2 2 *", "timezone": "UTC"}, "active": True}
    body = {"name": made["name"], "flow_id": of["id"], "schedules": [other]}
    again = api.post("/deployments/", body)
    events = [
        of_schedule("deleted", made["schedules"][0], made, of),
        of_schedule("created", again["schedules"][0], made, of),
    ]
    first = api.audit()[0]["action"]
    return events if first == "deleted" else events[::-1]


# --- limits of deployments -----------------------------------------------------------------------


def owned(api: Api, made: dict[str, Any]) -> dict[str, Any]:
    return api.get(f"/v2/concurrency_limits/deployment:{made['id']}")


@case(
    "prefect.concurrency-limit.created",
    "prefect.concurrency-limit.updated",
    "prefect.concurrency-limit.deleted",
    "prefect.deployment.created",
    "prefect.deployment.deleted",
)
def limit_that_a_deployment_owns(api: Api) -> list[Expected]:
    of = flow(api)
    api.settle()
    made = deployment(api, of, concurrency_limit=1)
    first = owned(api, made)
    for _ in range(2):
        api.patch(f"/deployments/{made['id']}", {"concurrency_limit": 3})
    api.delete(f"/deployments/{made['id']}")
    beside = [entry("concurrency-limit", "concurrency-limit", first["id"])]
    created = of_deployment("created", made, of, beside=beside)
    deleted = of_deployment("deleted", made, of, beside=beside)
    raised = {**first, "limit": 3}
    return [
        of_limit("created", first, caused_by=created),
        created,
        of_limit("updated", raised, changes={"/limit": (1, 3)}),
        of_limit("deleted", raised, caused_by=deleted),
        deleted,
    ]


@case("prefect.concurrency-limit.deleted", "prefect.deployment.updated")
def limit_that_a_deployment_gives_up(api: Api) -> list[Expected]:
    of = flow(api)
    made = deployment(api, of, concurrency_limit=1)
    was = owned(api, made)
    api.settle()
    for _ in range(2):
        api.patch(f"/deployments/{made['id']}", {"concurrency_limit": None})
    cause = of_deployment("updated", made, of, changes={"/concurrency_limit_id": (was["id"], None)})
    return [of_limit("deleted", was, caused_by=cause), cause]


@case("prefect.concurrency-limit.deleted", "prefect.deployment.updated")
def limit_deleted_that_a_deployment_shares(api: Api) -> list[Expected]:
    of, shared = flow(api), limit(api)
    made = deployment(api, of, global_concurrency_limit_id=shared["id"])
    api.settle()
    api.delete(f"/v2/concurrency_limits/{shared['name']}")
    assert api.get(f"/deployments/{made['id']}")["global_concurrency_limit"] is None
    cause = of_limit("deleted", shared)
    changes = {"/concurrency_limit_id": (shared["id"], None)}
    return [of_deployment("updated", made, of, changes=changes, caused_by=cause), cause]


# --- readiness -----------------------------------------------------------------------------------


@case("prefect.deployment.ready")
def deployment_polled(api: Api) -> list[Expected]:
    of = flow(api)
    made = deployment(api, of)
    api.settle()
    for _ in range(2):
        api.post("/deployments/get_scheduled_flow_runs", {"deployment_ids": [made["id"]]})
    changes = {"/status": ("NOT_READY", "READY")}
    return [of_deployment("ready", made, of, changes=changes)]


@case("prefect.deployment.not-ready")
def deployment_not_polled_any_more(api: Api) -> list[Expected]:
    of = flow(api)
    made = deployment(api, of)
    api.clock.advance(3600)
    api.write(readiness.mark_unpolled_deployments, 60, 60, 1000)
    api.post("/deployments/get_scheduled_flow_runs", {"deployment_ids": [made["id"]]})
    api.settle()
    for _ in range(3):
        api.clock.advance(59)
        api.write(readiness.mark_unpolled_deployments, 60, 60, 1000)
    changes = {"/status": ("READY", "NOT_READY")}
    return [of_deployment("not-ready", made, of, changes=changes)]
