"""Secrets that were put wherever a user can put one come out nowhere else.

Each canary is told by its place. The places are those where a secret belongs (block documents,
tokens, credentials) and those where people leave one under a name that says so, or in a URL.
"""

import base64
import json
import logging
import re
from typing import Any

import msgspec
import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Reply, WebSocket, request

from penstock.server.app import App

LOGIN = "anna:canary-login"
UNKNOWN = "0198f3b2-7c1d-7abc-8def-0123456789ab"
FOUND = re.compile(r"canary-[a-z0-9-]+")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def url(place: str, scheme: str = "postgres") -> str:
    return f"{scheme}://bob:canary-{place}@db.example/x"


class Api:
    """Requests as the administrator; keeps what was answered to refuse."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.refusals: list[bytes] = []

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        given = {"authorization": basic(LOGIN), **headers}
        reply = await request(self.app, method, f"/api{path}", body, headers=given)
        assert reply.status < 300, (method, path, reply.status, reply.body)
        return reply.json if reply.body else None

    async def refused(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        given = {"authorization": basic(LOGIN), **headers}
        reply = await request(self.app, method, f"/api{path}", body, headers=given)
        assert 400 <= reply.status < 500, (method, path, reply.status)
        self.refusals.append(reply.body)
        return reply


async def blocks(api: Api) -> None:
    type = await api("POST", "/block_types/", {"name": "Vault", "slug": "vault"})
    schema = await api(
        "POST",
        "/block_schemas/",
        {
            "block_type_id": type["id"],
            "fields": {"type": "object", "secret_fields": ["code", "deep.*"]},
        },
    )
    data = {
        "code": "canary-block-secret",
        "deep": {"any": "canary-block-deep"},
        "password": "canary-block-named",
        "url": url("block-url"),
    }
    ids = {"block_type_id": type["id"], "block_schema_id": schema["id"]}
    made = await api("POST", "/block_documents/", {**ids, "name": "v", "data": data})
    changed = {"data": {**data, "code": "canary-block-changed"}}
    await api("PATCH", f"/block_documents/{made['id']}", changed)
    await api.refused("POST", "/block_documents/", {**ids, "name": "v", "data": data})
    await api.refused("POST", "/block_documents/", {"name": 7, "data": data})
    await api("DELETE", f"/block_documents/{made['id']}")


async def variables(api: Api) -> None:
    for name, value, tags in (
        ("db_password", "canary-variable-name", []),
        ("plain", "canary-variable-tag", ["secret"]),
        ("address", url("variable-url"), []),
        ("nested", {"api_key": "canary-variable-nested"}, []),
    ):
        body = {"name": name, "value": value, "tags": tags}
        await api("POST", "/variables/", body)
        await api("PATCH", f"/variables/name/{name}", {"value": [value, value]})
        await api.refused("POST", "/variables/", body)
        await api.refused("POST", "/variables/", {**body, "surprise": 1})
        await api.refused("PATCH", f"/variables/name/{name}", {"value": value, "surprise": 1})
        await api("DELETE", f"/variables/name/{name}")


def named(place: str) -> dict[str, Any]:
    """A document of the shape that users' documents have, with secrets in it."""
    return {
        "env": {"DB_PASSWORD": f"canary-{place}-env", "URL": url(f"{place}-url")},
        "headers": [{"Authorization": f"Bearer canary-{place}-header"}],
        "x-api-key": {"deep": [f"canary-{place}-deep"]},
    }


async def runs(api: Api) -> None:
    flow = await api("POST", "/flows/", {"name": "f", "labels": {"token": "canary-flow-label"}})
    await api("PATCH", f"/flows/{flow['id']}", {"tags": ["t"]})
    run = {
        "flow_id": flow["id"],
        "parameters": named("run-parameters"),
        "job_variables": named("run-job"),
        "labels": {"api_key": "canary-run-label"},
        "state": {"type": "PENDING", "message": f"cannot reach {url('run-message')}"},
    }
    made = await api("POST", "/flow_runs/", run)
    await api("PATCH", f"/flow_runs/{made['id']}", {"parameters": named("run-update")})
    await api.refused("PATCH", f"/flow_runs/{made['id']}", {"job_variables": named("run-late")})
    state = {"type": "FAILED", "message": f"lost {url('run-failed')}"}
    await api("POST", f"/flow_runs/{made['id']}/set_state", {"state": state})
    await api.refused("POST", "/flow_runs/", {**run, "surprise": 1})
    await api("DELETE", f"/flow_runs/{made['id']}")


async def deployments(api: Api) -> None:
    pool = {
        "name": "p",
        "type": "process",
        "base_job_template": {
            "job_configuration": {"command": "x", "env": {"API_KEY": "canary-pool-env"}},
            "variables": {
                "type": "object",
                "properties": {"password": {"type": "string", "default": "canary-pool-default"}},
            },
        },
    }
    await api("POST", "/work_pools/", pool)
    template = {
        **pool["base_job_template"],
        "job_configuration": {"command": "y", "env": {"API_KEY": "canary-pool-changed"}},
    }
    await api("PATCH", "/work_pools/p", {"base_job_template": template})
    await api.refused("POST", "/work_pools/", {**pool, "surprise": 1})
    flow = await api("POST", "/flows/", {"name": "g"})
    body = {
        "flow_id": flow["id"],
        "name": "d",
        "work_pool_name": "p",
        "parameters": named("deployment-parameters"),
        "job_variables": named("deployment-job"),
        "pull_steps": [
            {"git_clone": {"repository": url("pull-url", "https"), "access_token": "canary-pull"}}
        ],
        "labels": {"secret": "canary-deployment-label"},
        "schedules": [{"schedule": {"interval": 3600}, "parameters": {"token": "canary-schedule"}}],
    }
    made = await api("POST", "/deployments/", body)
    path = f"/deployments/{made['id']}"
    await api("PATCH", path, {"job_variables": named("deployment-changed")})
    await api("POST", "/deployments/", {**body, "parameters": named("deployment-again")})
    await api.refused("PATCH", path, {"job_variables": named("deployment-refused"), "x": 1})
    created = {"parameters": named("created-run"), "job_variables": named("created-run-job")}
    await api("POST", f"{path}/create_flow_run", created)
    automation = {
        "name": "a",
        "trigger": {"posture": "Reactive", "expect": ["x"], "threshold": 1, "within": 0},
        "actions": [
            {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": made["id"],
                "parameters": named("automation"),
                "job_variables": named("automation-job"),
            },
            {
                "type": "call-webhook",
                "block_document_id": UNKNOWN,
                "payload": {"password": "canary-webhook"},
            },
        ],
    }
    kept = await api("POST", "/automations/", automation)
    await api("PUT", f"/automations/{kept['id']}", {**automation, "description": "again"})
    await api("DELETE", path)
    await api("DELETE", "/work_pools/p")


def event(place: str) -> dict[str, Any]:
    return {
        "event": "told",
        "occurred": "2026-11-25T00:00:00Z",
        "resource": {"prefect.resource.id": url(f"{place}-id"), "api_token": f"canary-{place}"},
        "related": [
            {
                "prefect.resource.id": "x",
                "prefect.resource.role": "y",
                "client_secret": f"canary-{place}-related",
            }
        ],
        "payload": named(f"{place}-payload"),
    }


async def events(api: Api) -> None:
    await api("POST", "/events", [event("event")])
    await api.refused("POST", "/events", [{**event("event-refused"), "event": "x" * 2000}])
    socket = WebSocket(api.app, "/api/events/in", subprotocols=["prefect"])
    async with socket:
        await socket.login(LOGIN)
        socket.send(event("event-socket"))
        socket.send({**event("event-socket-refused"), "related": [{}]})
    # Leaving waits for what was sent.


async def credentials(api: Api) -> None:
    body = {"name": "bot", "scopes": ["write"]}
    secret = (await api("POST", "/tokens", body))["token"]
    assert secret.startswith("pst_")
    await api("GET", "/flows/name/f", authorization=f"Bearer {secret}")
    for header in (
        basic("bob:canary-wrong-basic"),
        "Bearer canary-wrong-bearer",
        "canary-no-scheme",
        "Basic canary-no-base64",
    ):
        await api.refused("POST", "/flows/", {"name": "x"}, authorization=header)
        await api.refused("GET", "/nothing/canary-not-seen", authorization=header)
    csrf = {"prefect-csrf-token": "canary-csrf", "prefect-csrf-client": "c"}
    await api.refused("GET", "/nothing", **csrf)
    refused = await api.refused("GET", "/tokens", authorization=f"Bearer {secret}")
    assert secret.encode() not in refused.body
    api.secret = secret  # type: ignore[attr-defined]


async def told(api: Api) -> dict[str, str]:
    """Everything a reader without write access can see of what was done, and what is stored."""
    answers = {}
    page: Any = await api("POST", "/events/filter", {})
    pages = [page]
    while page["next_page"]:
        target = page["next_page"].removeprefix("http://testserver/api")
        page = await api("GET", target)
        pages.append(page)
    answers["events"] = json.dumps(pages)
    audit: list[Any] = [await api("POST", "/audit/filter", {})]
    while audit[-1]["next"]:
        audit.append(await api("POST", "/audit/filter", {"after": audit[-1]["next"]}))
    answers["audit"] = json.dumps(audit)
    export = await request(
        api.app, "GET", "/api/audit/export", headers={"authorization": basic(LOGIN)}
    )
    answers["export"] = export.body.decode()
    answers["tokens"] = json.dumps(await api("GET", "/tokens"))
    for table in ("event", "event_resource", "audit", "audit_segment", "api_token"):
        sql = f"SELECT * FROM {table}"
        rows = await api.app.store.read(lambda tx, sql=sql: tx.fetch(sql, []))
        assert rows or table == "audit_segment", table
        answers[f"table {table}"] = json.dumps(rows, default=_plain)
    return answers


def _plain(value: Any) -> str:
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else str(value)


def test_no_secret_comes_out_anywhere_else(caplog: pytest.LogCaptureFixture) -> None:
    async def test(app: App) -> tuple[dict[str, str], str]:
        api = Api(app)
        for put in (blocks, variables, runs, deployments, events, credentials):
            await put(api)
        answers = await told(api)
        answers["refusals"] = b"\n".join(api.refusals).decode()
        return answers, api.secret  # type: ignore[attr-defined]

    with caplog.at_level(logging.DEBUG):
        answers, secret = with_app(test, auth_string=LOGIN)
    answers["log"] = caplog.text
    for place, text in answers.items():
        assert not set(FOUND.findall(text)), place
        assert secret not in text, place
    # The test can fail: what is no secret is there.
    for place in ("audit", "export", "table audit", "table event"):
        assert "DB_PASSWORD" in answers[place], place
    assert answers["events"].count("told") >= 2
    assert "********" in answers["refusals"]


def test_an_altered_secret_can_be_told_from_the_same_one() -> None:
    async def test(app: App) -> list[Any]:
        api = Api(app)
        flow = await api("POST", "/flows/", {"name": "f"})
        body = {"flow_id": flow["id"], "name": "d", "parameters": {"token": "one", "n": 1}}
        made = await api("POST", "/deployments/", body)
        for parameters in ({"token": "one", "n": 2}, {"token": "two", "n": 2}):
            await api("PATCH", f"/deployments/{made['id']}", {"parameters": parameters})
        page = await api("POST", "/audit/filter", {"filter": {"action": {"any_": ["updated"]}}})
        return [[change["path"] for change in one["changes"]] for one in page["records"]]

    assert with_app(test, auth_string=LOGIN) == [
        ["/parameters/token/fingerprint"],
        ["/parameters/n"],
    ]
