"""Every documented refusal of every operation, generated from the operation table, over REST."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.catalogue.cases_of_blocks import block_schema, block_type, document
from tests.catalogue.cases_of_deployments import CRON, deployment
from tests.catalogue.cases_of_runs import run
from tests.catalogue.cases_of_values import flow, limit, variable
from tests.catalogue.cases_of_work import pool, queue
from tests.catalogue.harness import Api, running
from tests.databases import DATABASES, database_url

from penstock.schemas.operations import OPERATIONS, Operation
from penstock.server import openapi

DOCUMENT = openapi.document()


@pytest.fixture(scope="module", params=DATABASES)
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with database_url(request.param, tmp_path_factory.mktemp("store")) as url, running(url) as api:
        yield api


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """For requests that no database sees."""
    with running(f"sqlite:///{tmp_path_factory.mktemp('edge')}/store.db") as api:
        yield api


def path_of(operation: Operation, **values: str) -> str:
    """The path with values for some parameters, and ids and names of nothing for the others."""
    path = operation.path
    for name, type in zip(operation.param_names, operation.params, strict=True):
        unknown = {UUID: str(uuid4()), int: "1", str: f"no-{uuid4()}"}.get(type, "log")
        path = path.replace("{" + name + "}", values.get(name, unknown))
    required = [f"{one.name}={value_of(one.type)}" for one in operation.query if one.required]
    return f"{path}?{'&'.join(required)}" if required else path


def value_of(type: Any) -> str:
    if type is UUID:
        return str(uuid4())
    return "2026-01-01T00:00:00Z" if type is datetime else "x"


def schema_of(operation: Operation) -> dict[str, Any] | None:
    entry = DOCUMENT["paths"][operation.path][operation.method.lower()]
    body = entry.get("requestBody")
    return body and resolved(body["content"]["application/json"]["schema"])


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while True:
        if "$ref" in schema:
            schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema:
            schema = schema["anyOf"][0]
        else:
            return schema


def smallest(schema: dict[str, Any]) -> Any:
    """The least that is of a schema."""
    schema = resolved(schema)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        members = schema.get("properties", {})
        return {name: smallest(members[name]) for name in schema.get("required", ())}
    if kind == "array":
        return [smallest(schema["items"]) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        texts = {"uuid": str(uuid4()), "date-time": "2026-01-01T00:00:00Z"}
        return texts.get(schema.get("format", ""), "x" * schema.get("minLength", 1))
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return {"boolean": True, "null": None}.get(kind or "", {})


def body_of(operation: Operation) -> Any:
    schema = schema_of(operation)
    return None if schema is None else smallest(schema)


# --- 422 -----------------------------------------------------------------------------------------


def wrong_requests(operation: Operation) -> Iterator[tuple[str, Any]]:
    """Requests with one value of a wrong type each."""
    for one in operation.query:
        if one.type is not str:
            path = path_of(operation).partition("?")[0]
            yield f"{path}?{one.name}=wrong", body_of(operation)
        elif one.required:
            yield path_of(operation).partition("?")[0], body_of(operation)
    schema = schema_of(operation)
    if schema is not None:
        yield path_of(operation), ([] if schema.get("type") in ("object", "string") else {})
        yield path_of(operation), 7
        if schema.get("required"):
            yield path_of(operation), {}
        for name, member in schema.get("properties", {}).items():
            if resolved(member).get("type") in ("integer", "boolean", "array", "object"):
                yield path_of(operation), {**smallest(schema), name: "wrong"}


WRONG = [name for name, operation in OPERATIONS.items() if any(wrong_requests(operation))]


@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_a_wrong_type(edge: Api, name: str) -> None:
    operation = OPERATIONS[name]
    for path, body in wrong_requests(operation):
        reply = edge.ask(operation.method, path, body)
        assert reply.status == 422, (path, body, reply.status, reply.body)
        answer = reply.json
        assert answer["exception_message"] == "Invalid request received."
        for fault in answer["exception_detail"]:
            assert fault.keys() == {"loc", "msg", "type"}
            assert fault["loc"][0] in ("path", "query", "body", "header")


# --- 404 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, one in OPERATIONS.items() if UUID in one.params])
def test_an_id_that_is_none_leads_nowhere(edge: Api, name: str) -> None:
    operation = OPERATIONS[name]
    for parameter, type in zip(operation.param_names, operation.params, strict=True):
        if type is UUID:
            path = path_of(operation, **{parameter: "wrong"})
            reply = edge.ask(operation.method, path, body_of(operation))
            assert (reply.status, reply.json) == (404, {"detail": "Not Found"})


# Bodies that get as far as the object, where the least that is of the schema does not.
BODIES: dict[str, Any] = {
    "test_automation": {"since": "2026-01-01T00:00:00Z"},
    "bulk_create_flow_runs_from_deployment": [{}],
    "claim_flow_runs": {"owner": "o", "work_pool_name": "no-such-pool"},
}
BESIDE = {"verify_audit": "?after=1000000"}
# A run that is deleted while it is made a second time; of an unknown flow it is a conflict.
ONLY_IN_A_RACE = {"create_flow_run"}
MISSING = [
    name
    for name, operation in OPERATIONS.items()
    if 404 in operation.errors and name not in ONLY_IN_A_RACE
]


@pytest.mark.parametrize("name", MISSING)
def test_an_object_that_is_not_there(api: Api, name: str) -> None:
    operation = OPERATIONS[name]
    body = BODIES.get(name, body_of(operation))
    if name == "create_deployment":
        body = {**body, "flow_id": flow(api)["id"], "work_pool_name": "no-such-pool"}
    reply = api.ask(operation.method, path_of(operation) + BESIDE.get(name, ""), body)
    assert reply.status == 404, (reply.status, reply.body)
    # The contract has two names for the text.
    [text] = [reply.json[key] for key in ("detail", "exception_message") if key in reply.json]
    assert isinstance(text, str) and text


# --- 409 -----------------------------------------------------------------------------------------

Conflict = Callable[[Api], tuple[str, Any]]
"""Prepares, and returns the path and the body of the request that must be refused."""
CONFLICTS: dict[str, Conflict] = {}


def conflict(make: Conflict) -> Conflict:
    CONFLICTS[make.__name__] = make
    return make


@conflict
def create_flow_run(api: Api) -> tuple[str, Any]:
    made = run(api, flow(api))
    return "/flow_runs/", {"id": made["id"], "flow_id": flow(api)["id"]}


@conflict
def begin_flow_run(api: Api) -> tuple[str, Any]:
    made = run(api, flow(api))
    other = {"name": api.name("flow")}
    body = {"flow": other, "run": {"id": made["id"], "flow_id": str(uuid4())}}
    return "/flow_runs/begin", body


@conflict
def create_flow_run_input(api: Api) -> tuple[str, Any]:
    path = f"/flow_runs/{run(api, flow(api))['id']}/input"
    body = {"key": "k", "value": "1"}
    api.post(path, body)
    return path, body


@conflict
def create_concurrency_limit_v2(api: Api) -> tuple[str, Any]:
    return "/v2/concurrency_limits/", {"name": limit(api)["name"], "limit": 1}


@conflict
def update_concurrency_limit_v2(api: Api) -> tuple[str, Any]:
    taken = limit(api)["name"]
    return f"/v2/concurrency_limits/{limit(api)['id']}", {"name": taken}


@conflict
def create_deployment(api: Api) -> tuple[str, Any]:
    return "/deployments/", {"name": "d", "flow_id": str(uuid4())}


SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}


@conflict
def update_deployment(api: Api) -> tuple[str, Any]:
    made = deployment(api, flow(api), parameter_openapi_schema=SCHEMA)
    return f"/deployments/{made['id']}", {"parameters": {"x": "none"}}


@conflict
def create_flow_run_from_deployment(api: Api) -> tuple[str, Any]:
    made = deployment(api, flow(api), parameter_openapi_schema=SCHEMA)
    return f"/deployments/{made['id']}/create_flow_run", {"parameters": {"x": "none"}}


@conflict
def create_deployment_schedules(api: Api) -> tuple[str, Any]:
    path = f"/deployments/{deployment(api, flow(api))['id']}/schedules"
    api.post(path, [{**CRON, "slug": "s"}])
    return path, [{**CRON, "slug": "s"}]


@conflict
def create_work_pool(api: Api) -> tuple[str, Any]:
    return "/work_pools/", {"name": pool(api)["name"], "type": "process"}


@conflict
def create_work_pool_queue(api: Api) -> tuple[str, Any]:
    return f"/work_pools/{pool(api)['name']}/queues", {"name": "default"}


@conflict
def update_work_pool_queue(api: Api) -> tuple[str, Any]:
    of = pool(api)
    return f"/work_pools/{of['name']}/queues/{queue(api, of)['name']}", {"name": "default"}


@conflict
def delete_work_pool_queue(api: Api) -> tuple[str, Any]:
    return f"/work_pools/{pool(api)['name']}/queues/default", None


@conflict
def create_work_queue(api: Api) -> tuple[str, Any]:
    name = api.name("queue")
    api.post("/work_queues/", {"name": name})
    return "/work_queues/", {"name": name}


@conflict
def update_work_queue(api: Api) -> tuple[str, Any]:
    return f"/work_queues/{queue(api, pool(api))['id']}", {"name": "default"}


@conflict
def delete_work_queue(api: Api) -> tuple[str, Any]:
    return f"/work_queues/{pool(api)['default_queue_id']}", None


@conflict
def create_block_type(api: Api) -> tuple[str, Any]:
    made = block_type(api)
    return "/block_types/", {"name": made["name"], "slug": made["slug"]}


def in_use(api: Api) -> dict[str, Any]:
    """A document that a deployment has its storage from."""
    made = document(api, block_schema(api, block_type(api)))
    deployment(api, flow(api), storage_document_id=made["id"])
    return made


@conflict
def delete_block_type(api: Api) -> tuple[str, Any]:
    return f"/block_types/{in_use(api)['block_type_id']}", None


@conflict
def create_block_schema(api: Api) -> tuple[str, Any]:
    nested = {"block_type_slug": "none", "block_schema_checksum": "sha256:none"}
    fields = {"title": "t", "block_schema_references": {"inner": nested}}
    return "/block_schemas/", {"fields": fields, "block_type_id": block_type(api)["id"]}


@conflict
def delete_block_schema(api: Api) -> tuple[str, Any]:
    return f"/block_schemas/{in_use(api)['block_schema_id']}", None


@conflict
def create_block_document(api: Api) -> tuple[str, Any]:
    made = document(api, block_schema(api, block_type(api)))
    names = ("name", "block_type_id", "block_schema_id")
    return "/block_documents/", {"data": {}, **{name: made[name] for name in names}}


@conflict
def delete_block_document(api: Api) -> tuple[str, Any]:
    return f"/block_documents/{in_use(api)['id']}", None


@conflict
def update_artifact(api: Api) -> tuple[str, Any]:
    data = {"type": "result", "value": 1}
    made = run(api, flow(api), "COMPLETED", data=data)
    found = {"flow_runs": {"id": {"any_": [made["id"]]}}}
    [result] = api.post("/artifacts/filter", found)
    return f"/artifacts/{result['id']}", {"description": "mine"}


@conflict
def create_variable(api: Api) -> tuple[str, Any]:
    return "/variables/", {"name": variable(api)["name"], "value": 1}


@conflict
def update_variable(api: Api) -> tuple[str, Any]:
    return f"/variables/{variable(api)['id']}", {"name": variable(api)["name"]}


@conflict
def update_variable_by_name(api: Api) -> tuple[str, Any]:
    return f"/variables/name/{variable(api)['name']}", {"name": variable(api)["name"]}


@conflict
def create_token(api: Api) -> tuple[str, Any]:
    body = {"name": api.name("token"), "scopes": ["read"]}
    api.post("/tokens", body)
    return "/tokens", body


# The last token of an administrator, on a server without an auth string: tests/security; owed
# teardowns that are being worked on: tests/queue.
ELSEWHERE = {
    "revoke_token",
    "delete_cleanup_message",
    "requeue_cleanup_message",
    "cancel_cleanup_message",
    "request_flow_run_cleanup",
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_conflict(api: Api, name: str) -> None:
    path, body = CONFLICTS[name](api)
    api.settle()
    reply = api.ask(OPERATIONS[name].method, path, body)
    assert reply.status == 409, (reply.status, reply.body)
    assert isinstance(reply.json["detail"], str) and reply.json["detail"]
    assert api.events() == [] == api.audit(), "what is refused changes and tells nothing"


def test_every_documented_conflict_is_tried() -> None:
    documented = {name for name, operation in OPERATIONS.items() if 409 in operation.errors}
    assert CONFLICTS.keys() | ELSEWHERE == documented


# --- bulk ----------------------------------------------------------------------------------------

BULK = {
    "bulk_delete_flows": "flows",
    "bulk_delete_flow_runs": "flow_runs",
    "bulk_delete_deployments": "deployments",
    "bulk_set_flow_run_state": "flow_runs",
}


@pytest.mark.parametrize(("name", "member"), BULK.items())
def test_a_bulk_change_names_what_it_changes(api: Api, name: str, member: str) -> None:
    deployment(api, flow(api))
    run(api, flow(api))
    state = {"state": {"type": "CANCELLED"}} if name.startswith("bulk_set") else {}
    id = {"id": {"any_": [str(uuid4())]}}
    api.settle()
    for filter in (
        {},
        {member: {}},
        {member: None},
        {member: {"id": {}}},
        {member: {"operator": "or_"}},
        {member: {"tags": {"all_": []}}},
        {member: {**id, "unknown": {"any_": ["x"]}}},
        {member: id, "unknown": {}},
        {member: {"id": {"any": [str(uuid4())]}}},
    ):
        reply = api.ask("POST", OPERATIONS[name].path, {**state, **filter})
        assert reply.status == 422, (filter, reply.status, reply.body)
    assert api.events() == [] == api.audit()
