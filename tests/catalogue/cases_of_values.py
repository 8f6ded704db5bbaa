"""Variables, flows, concurrency limits, artifacts, automations, tokens, the configuration."""

from typing import Any
from uuid import uuid4

from tests.catalogue.harness import Api, Expected, case

# --- variables -----------------------------------------------------------------------------------


def variable(api: Api, **fields: Any) -> dict[str, Any]:
    return api.post("/variables/", {"name": api.name("v").replace("-", "_"), "value": 1, **fields})


def of_variable(action: str, made: dict[str, Any], **fields: Any) -> Expected:
    payload = {name: made[name] for name in ("name", "value", "tags")}
    kept = {"id": made["id"], **payload}
    return Expected(
        kind="variable",
        action=action,
        id=made["id"],
        name=made["name"],
        payload=payload,
        before=kept if action == "deleted" else None,
        after=kept if action != "deleted" else None,
        **fields,
    )


@case("prefect.variable.created")
def variable_created(api: Api) -> list[Expected]:
    return [of_variable("created", variable(api, value={"a": [1, None]}, tags=["t"]))]


@case("prefect.variable.updated")
def variable_updated_by_id(api: Api) -> list[Expected]:
    made = variable(api)
    api.settle()
    api.patch(f"/variables/{made['id']}", {"value": 2, "tags": ["x"]})
    changed = {**made, "value": 2, "tags": ["x"]}
    changes = {"/value": (1, 2), "/tags": ([], ["x"])}
    return [of_variable("updated", changed, changes=changes)]


@case("prefect.variable.updated")
def variable_renamed_by_name(api: Api) -> list[Expected]:
    made = variable(api)
    api.settle()
    name = api.name("renamed").replace("-", "_")
    api.patch(f"/variables/name/{made['name']}", {"name": name})
    return [of_variable("updated", {**made, "name": name}, changes={"/name": (made["name"], name)})]


@case()
def variable_updated_with_nothing(api: Api) -> list[Expected]:
    made = variable(api)
    api.settle()
    api.patch(f"/variables/{made['id']}", {})
    api.patch(f"/variables/name/{made['name']}", {"value": 1, "tags": []})
    api.refused(409, "POST", "/variables/", {"name": made["name"], "value": 3})
    return []


@case("prefect.variable.deleted")
def variable_deleted_by_id(api: Api) -> list[Expected]:
    made = variable(api)
    api.settle()
    api.delete(f"/variables/{made['id']}")
    api.refused(404, "DELETE", f"/variables/{made['id']}")
    return [of_variable("deleted", made)]


@case("prefect.variable.deleted")
def variable_deleted_by_name(api: Api) -> list[Expected]:
    made = variable(api)
    api.settle()
    api.delete(f"/variables/name/{made['name']}")
    return [of_variable("deleted", made)]


# --- flows ---------------------------------------------------------------------------------------


def flow(api: Api, **fields: Any) -> dict[str, Any]:
    return api.post("/flows/", {"name": api.name("flow"), **fields})


def of_flow(action: str, made: dict[str, Any], **fields: Any) -> Expected:
    payload = {name: made[name] for name in ("name", "tags", "labels")}
    kept = {"id": made["id"], **payload}
    return Expected(
        kind="flow",
        action=action,
        id=made["id"],
        name=made["name"],
        payload=payload,
        before=kept if action == "deleted" else None,
        after=kept if action != "deleted" else None,
        **fields,
    )


@case("prefect.flow.created")
def flow_created(api: Api) -> list[Expected]:
    made = flow(api, tags=["t"], labels={"team": "a"})
    again = api.post("/flows/", {"name": made["name"]})
    assert again["id"] == made["id"]
    return [of_flow("created", made)]


@case("prefect.flow.updated")
def flow_updated(api: Api) -> list[Expected]:
    made = flow(api)
    api.settle()
    api.patch(f"/flows/{made['id']}", {"tags": ["new"]})
    api.patch(f"/flows/{made['id']}", {"tags": ["new"]})
    return [of_flow("updated", {**made, "tags": ["new"]}, changes={"/tags": ([], ["new"])})]


@case("prefect.flow.deleted")
def flow_deleted(api: Api) -> list[Expected]:
    made = flow(api)
    api.settle()
    api.delete(f"/flows/{made['id']}")
    return [of_flow("deleted", made)]


@case("prefect.flow.deleted")
def flows_deleted_together(api: Api) -> list[Expected]:
    made = sorted((flow(api) for _ in range(2)), key=lambda one: one["name"])
    api.settle()
    ids = [one["id"] for one in made]
    answer = api.post("/flows/bulk_delete", {"flows": {"id": {"any_": ids}}})
    by_id = {one["id"]: one for one in made}
    return [of_flow("deleted", by_id[id]) for id in answer["deleted"]]


# --- concurrency limits --------------------------------------------------------------------------

LIMIT = ("name", "limit", "active", "slot_decay_per_second")


def limit(api: Api, **fields: Any) -> dict[str, Any]:
    return api.post("/v2/concurrency_limits/", {"name": api.name("limit"), "limit": 2, **fields})


def of_limit(action: str, made: dict[str, Any], **fields: Any) -> Expected:
    payload = {name: made[name] for name in LIMIT}
    kept = {"id": made["id"], **payload, "active_slots": 0, "denied_slots": 0}
    return Expected(
        kind="concurrency-limit",
        action=action,
        id=made["id"],
        name=made["name"],
        payload=payload,
        before=kept if action == "deleted" else None,
        after=kept if action != "deleted" else None,
        **fields,
    )


def of_tag(action: str, made: dict[str, Any], slots: int, **fields: Any) -> Expected:
    row = {
        "id": made["id"],
        "name": f"tag:{made['tag']}",
        "limit": slots,
        "active": True,
        "slot_decay_per_second": 0.0,
    }
    return of_limit(action, row, **fields)


@case("prefect.concurrency-limit.created")
def limit_created(api: Api) -> list[Expected]:
    made = limit(api, slot_decay_per_second=0.5)
    body = {"name": made["name"], "limit": 3}
    api.refused(409, "POST", "/v2/concurrency_limits/", body)
    return [of_limit("created", made)]


@case("prefect.concurrency-limit.updated")
def limit_updated_by_id_and_by_name(api: Api) -> list[Expected]:
    made = limit(api)
    api.settle()
    api.patch(f"/v2/concurrency_limits/{made['id']}", {"limit": 5})
    api.patch(f"/v2/concurrency_limits/{made['name']}", {"active": False})
    api.patch(f"/v2/concurrency_limits/{made['name']}", {"active": False, "limit": 5})
    api.patch(f"/v2/concurrency_limits/{made['name']}", {})
    first = {**made, "limit": 5}
    return [
        of_limit("updated", first, changes={"/limit": (2, 5)}),
        of_limit("updated", {**first, "active": False}, changes={"/active": (True, False)}),
    ]


@case("prefect.concurrency-limit.deleted")
def limits_deleted(api: Api) -> list[Expected]:
    first, second = limit(api), limit(api)
    api.settle()
    api.delete(f"/v2/concurrency_limits/{first['id']}")
    api.delete(f"/v2/concurrency_limits/{second['name']}")
    return [of_limit("deleted", first), of_limit("deleted", second)]


@case()
def slots_taken_and_given_back(api: Api) -> list[Expected]:
    made = limit(api)
    api.settle()
    names = {"names": [made["name"]], "slots": 1}
    api.post("/v2/concurrency_limits/increment", names)
    api.post("/v2/concurrency_limits/decrement", names)
    lease = api.post("/v2/concurrency_limits/increment-with-lease", names)["lease_id"]
    api.post(f"/v2/concurrency_limits/leases/{lease}/renew", {"lease_duration": 60})
    api.post("/v2/concurrency_limits/decrement-with-lease", {"lease_id": lease})
    return []


def tag_limit(api: Api) -> dict[str, Any]:
    return api.post("/concurrency_limits/", {"tag": api.name("tag"), "concurrency_limit": 1})


@case("prefect.concurrency-limit.created", "prefect.concurrency-limit.updated")
def limit_of_a_tag_created_and_updated(api: Api) -> list[Expected]:
    made = tag_limit(api)
    for _ in range(2):
        api.post("/concurrency_limits/", {"tag": made["tag"], "concurrency_limit": 4})
    return [
        of_tag("created", made, 1),
        of_tag("updated", made, 4, changes={"/limit": (1, 4)}),
    ]


@case("prefect.concurrency-limit.deleted")
def limits_of_tags_deleted(api: Api) -> list[Expected]:
    first, second = tag_limit(api), tag_limit(api)
    holder = {"names": [first["tag"]], "task_run_id": str(uuid4())}
    api.settle()
    api.post("/concurrency_limits/increment", holder)
    api.post("/concurrency_limits/decrement", holder)
    api.post(f"/concurrency_limits/tag/{first['tag']}/reset", {})
    api.delete(f"/concurrency_limits/{first['id']}")
    api.delete(f"/concurrency_limits/tag/{second['tag']}")
    return [of_tag("deleted", first, 1), of_tag("deleted", second, 1)]


# --- artifacts -----------------------------------------------------------------------------------

CONTENT = ("key", "type", "data", "description")


def artifact(api: Api, key: str | None = None, **fields: Any) -> dict[str, Any]:
    return api.post("/artifacts/", {"key": key, "type": "markdown", "data": "text", **fields})


def of_collection(
    action: str, id: str, latest: dict[str, Any], content: dict[str, Any] | None = None, **more: Any
) -> Expected:
    shown = content or latest
    return Expected(
        kind="artifact-collection",
        action=action,
        id=id,
        name=shown["key"],
        payload={name: shown[name] for name in CONTENT},
        related=[
            {
                "prefect.resource.id": f"prefect.artifact.{latest['id']}",
                "prefect.resource.role": "latest",
            }
        ],
        **more,
    )


def of_artifact(action: str, made: dict[str, Any], **fields: Any) -> Expected:
    return Expected(
        kind="artifact",
        action=action,
        event=f"penstock.artifact.{action}",
        id=made["id"],
        name=made["key"] or made["id"],
        payload={name: made[name] for name in ("key", "type", "description")},
        **fields,
    )


def collection_of(api: Api, key: str) -> str:
    [found] = api.post("/artifacts/latest/filter", {"artifacts": {"key": {"any_": [key]}}})
    return found["id"]


@case()
def artifact_without_a_key_created(api: Api) -> list[Expected]:
    artifact(api)
    return []


@case("prefect.artifact-collection.created", "prefect.artifact-collection.updated")
def artifacts_of_a_key_created(api: Api) -> list[Expected]:
    first = artifact(api, "key-of-two", description="first")
    second = artifact(api, "key-of-two", data="other", description="second")
    id = collection_of(api, "key-of-two")
    changes = {
        "/data": ("text", "other"),
        "/description": ("first", "second"),
        "/latest_id": (first["id"], second["id"]),
    }
    return [
        of_collection("created", id, first),
        of_collection("updated", id, second, changes=changes),
    ]


@case("penstock.artifact.updated", "prefect.artifact-collection.updated")
def newest_artifact_of_a_key_updated(api: Api) -> list[Expected]:
    made = artifact(api, "key-of-one")
    id = collection_of(api, "key-of-one")
    api.settle()
    api.patch(f"/artifacts/{made['id']}", {"data": "edited"})
    api.patch(f"/artifacts/{made['id']}", {"data": "edited"})
    changes = {"/data": ("text", "edited")}
    edited = {**made, "data": "edited"}
    cause = of_artifact("updated", edited, changes=changes)
    return [cause, of_collection("updated", id, edited, changes=changes, caused_by=cause)]


@case("penstock.artifact.updated")
def older_artifact_of_a_key_updated(api: Api) -> list[Expected]:
    older = artifact(api, "key-with-history")
    artifact(api, "key-with-history")
    api.settle()
    api.patch(f"/artifacts/{older['id']}", {"description": "older"})
    changes = {"/description": (None, "older")}
    return [of_artifact("updated", {**older, "description": "older"}, changes=changes)]


@case(
    "penstock.artifact.deleted",
    "prefect.artifact-collection.updated",
    "prefect.artifact-collection.deleted",
)
def artifacts_of_a_key_deleted(api: Api) -> list[Expected]:
    oldest, middle, newest = (artifact(api, "key-to-go", data=f"{n}") for n in range(3))
    id = collection_of(api, "key-to-go")
    api.settle()
    for one in (oldest, newest, middle):
        api.delete(f"/artifacts/{one['id']}")
    changes = {"/data": ("2", "1"), "/latest_id": (newest["id"], middle["id"])}
    one, two, three = (of_artifact("deleted", made) for made in (oldest, newest, middle))
    return [
        one,
        two,
        of_collection("updated", id, middle, changes=changes, caused_by=two),
        three,
        of_collection("deleted", id, middle, caused_by=three),
    ]


# --- automations ---------------------------------------------------------------------------------


def automation_body(api: Api, **fields: Any) -> dict[str, Any]:
    return {
        "name": api.name("automation"),
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "expect": ["something.happened"],
            "threshold": 1,
            "within": 0,
        },
        "actions": [{"type": "do-nothing"}],
        **fields,
    }


def automation(api: Api, **fields: Any) -> dict[str, Any]:
    return api.post("/automations/", automation_body(api, **fields))


def of_automation(action: str, made: dict[str, Any], **fields: Any) -> Expected:
    kept = {name: value for name, value in made.items() if name not in ("created", "updated")}
    return Expected(
        kind="automation",
        action=action,
        id=made["id"],
        name=made["name"],
        payload=made,
        before=kept if action == "deleted" else None,
        after=kept if action != "deleted" else None,
        **fields,
    )


@case("prefect.automation.created")
def automation_created(api: Api) -> list[Expected]:
    return [of_automation("created", automation(api, tags=["t"]))]


@case("prefect.automation.updated")
def automation_updated(api: Api) -> list[Expected]:
    body = automation_body(api)
    made = api.post("/automations/", body)
    path = f"/automations/{made['id']}"
    api.settle()
    api.patch(path, {"enabled": False})
    api.patch(path, {"enabled": False})
    off = api.get(path)
    assert off["enabled"] is False
    changed = {**body, "enabled": False, "description": "new"}
    api.done("PUT", path, changed)
    api.done("PUT", path, changed)
    return [
        of_automation("updated", off, changes={"/enabled": (True, False)}),
        of_automation("updated", api.get(path), changes={"/description": ("", "new")}),
    ]


@case("prefect.automation.deleted")
def automation_deleted(api: Api) -> list[Expected]:
    made = automation(api)
    api.settle()
    api.delete(f"/automations/{made['id']}")
    return [of_automation("deleted", made)]


@case("prefect.automation.deleted")
def automations_of_an_owner_deleted(api: Api) -> list[Expected]:
    owner = f"prefect.deployment.{uuid4()}"
    made = automation(api, owner_resource=owner)
    automation(api)
    api.settle()
    api.delete(f"/automations/owned-by/{owner}")
    return [of_automation("deleted", made)]


# --- the server itself ---------------------------------------------------------------------------


@case()
def what_is_no_change_of_an_object(api: Api) -> list[Expected]:
    """Logs, inputs, searches, events of clients that are none, and everything that reads."""
    searches = {"name": api.name("search"), "filters": []}
    made = api.done("PUT", "/saved_searches/", searches)
    api.delete(f"/saved_searches/{made['id']}")
    api.post(
        "/logs/",
        [{"name": "n", "level": 20, "message": "m", "timestamp": "2026-01-01T00:00:00Z"}],
    )
    for path in ("/hello", "/health", "/version", "/admin/settings", "/admin/storage"):
        api.get(path)
    for path in ("flows", "flow_runs", "task_runs", "deployments", "work_pools", "variables"):
        api.post(f"/{path}/filter", {})
        api.post(f"/{path}/count", {})
    return []


@case("penstock.token.created", "penstock.token.deleted")
def token_made_and_revoked(api: Api) -> list[Expected]:
    body = {"name": api.name("token"), "scopes": ["read"]}
    made = api.post("/tokens", body)
    for _ in range(2):
        api.delete(f"/tokens/{made['id']}")
    assert made["token"] not in str([api.events(), api.audit()])
    return [
        Expected(
            kind="token",
            action=action,
            event=f"penstock.token.{action}",
            id=made["id"],
            name=made["name"],
            payload={"name": made["name"], "scopes": ["read"]},
        )
        for action in ("created", "deleted")
    ]


@case("penstock.auth.failed")
def caller_that_is_not_let_in(api: Api) -> list[Expected]:
    """Told once for a while; the next one tells how many there were between."""
    api.clock.advance(3600)
    for _ in range(3):
        reply = api.ask("POST", "/flows/", {"name": "none"}, authorization="Basic bm86Ym9keQ==")
        assert reply.status == 401
    [event] = api.events()
    assert event["payload"]["suppressed"] == 0
    return [
        Expected(
            kind="server",
            action="failed",
            event="penstock.auth.failed",
            id="penstock.server",
            name="penstock",
            payload=event["payload"],
            audited=False,
        )
    ]
