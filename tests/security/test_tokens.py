"""Tokens: what each may do, when it ends, and that nobody is locked out or passes for another."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Closed, Reply, WebSocket, request

from penstock.base.clock import ManualClock
from penstock.schemas.operations import OPERATIONS, Operation
from penstock.server.api.access import FRESH_SECONDS
from penstock.server.api.ws import endpoints
from penstock.server.app import App
from penstock.server.config import ServerConfig

LOGIN = "me:pass"
ID = "0198f3b2-7c1d-7abc-8def-0123456789ab"
ROLES = ("read", "write", "admin")

ADMIN = {
    "clear_server_default_result_storage", "create_token", "read_settings", "read_tokens",
    "revoke_token", "update_server_default_result_storage",
}  # fmt: skip
READING = {
    "read_automation_firings", "read_dead_actions", "test_automation",
    "average_flow_run_lateness", "count_account_events", "count_artifacts", "count_automations",
    "count_block_documents", "count_cleanup_messages", "count_deployments",
    "count_deployments_by_flow", "count_flow_runs", "count_flows", "count_latest_artifacts",
    "count_task_runs", "count_task_runs_by_flow_run", "count_variables", "count_work_pools",
    "filter_flow_run_input", "flow_run_history", "next_runs_by_flow", "paginate_deployments",
    "paginate_flow_runs", "paginate_flows", "paginate_task_runs", "read_all_concurrency_limits_v2",
    "read_artifacts", "read_audit", "read_automations", "read_block_documents",
    "read_block_schemas", "read_block_types", "read_cleanup_messages", "read_concurrency_limits",
    "read_dashboard_task_run_counts", "read_deployments", "read_events", "read_flow_run_history",
    "read_flow_runs", "read_flows", "read_latest_artifacts", "read_logs", "read_saved_searches",
    "read_task_run_counts_by_state", "read_task_runs", "read_task_workers", "read_variables",
    "read_work_pool_concurrency_status", "read_work_pool_queues", "read_work_pools",
    "read_work_queue_concurrency_status", "read_work_queues", "read_workers", "task_run_history",
    "validate_automation_template", "validate_obj", "validate_template",
}  # fmt: skip
"""Operations that are sent with POST and change nothing: of these a reader needs to be allowed."""


def needed(operation: Operation) -> str:
    """Stated here and not taken from the table, so that a slip there is found."""
    if operation.name in ADMIN:
        return "admin"
    return "read" if operation.method == "GET" or operation.name in READING else "write"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def ask(
    app: App, method: str, path: str, body: Any = None, token: str | None = None, **headers: str
) -> Reply:
    given = {**(bearer(token) if token else {}), **headers}
    return await request(app, method, f"/api{path}", body, headers=given)


async def made(
    app: App, name: str, scope: str = "admin", token: str | None = None, **fields: Any
) -> tuple[str, str]:
    """The id and the secret of a new token."""
    body = {"name": name, "scopes": [scope], **fields}
    reply = await ask(app, "POST", "/tokens", body, token)
    assert reply.status == 201, reply.body
    return reply.json["id"], reply.json["token"]


def target(operation: Operation) -> str:
    path = operation.path
    for name, type in zip(operation.param_names, operation.params, strict=True):
        path = path.replace("{" + name + "}", ID if type is UUID else "word")
    return path


def test_every_role_may_do_what_it_may_and_nothing_else() -> None:
    async def test(app: App) -> None:
        _, admin = await made(app, "admin")
        tokens = {"admin": admin}
        for role in ("read", "write"):
            _, tokens[role] = await made(app, role, role, admin)
        for operation in OPERATIONS.values():
            path = target(operation)
            if operation.open:
                continue
            assert (await ask(app, operation.method, path, b"{}")).status == 401, operation.name
            allowed = ROLES[ROLES.index(needed(operation)) :]
            for role, token in tokens.items():
                reply = await ask(app, operation.method, path, b"{}", token)
                said = (operation.name, role, reply.status, reply.body[:200])
                if role in allowed:
                    assert reply.status not in (401, 405, 500), said
                    assert b"has the scope" not in reply.body, said
                else:
                    assert reply.status == 403, said
                    assert f"'{role}' has the scope {role}" in reply.json["detail"], said

    with_app(test)


def test_a_reader_gets_no_secrets_of_blocks() -> None:
    async def test(app: App) -> None:
        _, admin = await made(app, "admin")
        _, reader = await made(app, "reader", "read", admin)
        type = (await ask(app, "POST", "/block_types/", {"name": "S", "slug": "s"}, admin)).json
        fields = {"type": "object", "secret_fields": ["code"]}
        schema = (
            await ask(
                app,
                "POST",
                "/block_schemas/",
                {"block_type_id": type["id"], "fields": fields},
                admin,
            )
        ).json
        document = {
            "name": "d",
            "data": {"code": "canary"},
            "block_type_id": type["id"],
            "block_schema_id": schema["id"],
        }
        id = (await ask(app, "POST", "/block_documents/", document, admin)).json["id"]
        for method, path, body in (
            ("GET", f"/block_documents/{id}?include_secrets=true", None),
            ("GET", "/block_types/slug/s/block_documents?include_secrets=true", None),
            ("GET", "/block_types/slug/s/block_documents/name/d?include_secrets=1", None),
            ("POST", "/block_documents/filter", {"include_secrets": True}),
        ):
            refused = await ask(app, method, path, body, reader)
            assert (refused.status, b"canary" in refused.body) == (403, False), path
            assert "include_secrets" in refused.json["detail"]
            assert b"canary" in (await ask(app, method, path, body, admin)).body, path
            plain = (path.partition("?")[0], None if body is None else {})
            shown = await ask(app, method, *plain, reader)
            assert (shown.status, b"canary" in shown.body) == (200, False), path

    with_app(test)


# --- beginning and end ---------------------------------------------------------------------------


def test_nobody_locks_themselves_out() -> None:
    async def test(app: App) -> None:
        for fields in ({"scopes": ["write"]}, {"scopes": ["admin"], "expires": "2099-01-01"}):
            reply = await ask(app, "POST", "/tokens", {"name": "first", **fields})
            assert reply.status in (409, 422), reply.body
        id, admin = await made(app, "first")
        assert (await ask(app, "GET", "/flows/name/x")).status == 401
        kept = await ask(app, "DELETE", f"/tokens/{id}", token=admin)
        assert (kept.status, "last token" in kept.json["detail"]) == (409, True)
        _, writer = await made(app, "writer", "write", admin)
        assert (await ask(app, "DELETE", f"/tokens/{id}", token=admin)).status == 409
        _, second = await made(app, "second", "admin", admin)
        assert (await ask(app, "DELETE", f"/tokens/{id}", token=second)).status == 204
        assert (await ask(app, "GET", "/tokens", token=admin)).status == 401
        assert (await ask(app, "GET", "/flows/name/x", token=writer)).status == 404

    with_app(test)


def test_the_api_stays_closed_after_the_last_token_was_revoked() -> None:
    async def test(app: App) -> None:
        login = "Basic bWU6cGFzcw=="
        body = {"name": "only", "scopes": ["admin"]}
        reply = await ask(app, "POST", "/tokens", body, authorization=login)
        id, token = reply.json["id"], reply.json["token"]
        assert (await ask(app, "DELETE", f"/tokens/{id}", authorization=login)).status == 204
        assert (await ask(app, "GET", "/tokens", token=token)).status == 401
        assert (await ask(app, "GET", "/tokens")).status == 401
        again = await ask(app, "POST", "/tokens", body, authorization=login)
        assert again.status == 409  # the trail stays unambiguous

    with_app(test, auth_string=LOGIN)


def test_a_token_ends_at_its_time() -> None:
    async def test() -> None:
        clock = ManualClock()
        app = App(ServerConfig(services=False, auth_string=LOGIN), clock)
        await app.start()
        try:
            end = clock.now().timestamp() + 60
            body = {"name": "brief", "scopes": ["read"], "expires": end}
            login = "Basic bWU6cGFzcw=="
            reply = await ask(app, "POST", "/tokens", body, authorization=login)
            token = reply.json["token"]
            assert (await ask(app, "GET", "/hello", token=token)).status == 200
            clock.advance(59)
            assert (await ask(app, "GET", "/hello", token=token)).status == 200
            clock.advance(1)
            assert (await ask(app, "GET", "/hello", token=token)).status == 401
        finally:
            await app.stop()

    asyncio.run(test())


def test_a_revocation_through_another_server_is_known_within_seconds(tmp_path: Any) -> None:
    async def test() -> None:
        clock = ManualClock()
        config = ServerConfig(services=False, database_url=f"sqlite:///{tmp_path / 'shared.db'}")
        here, there = App(config, clock), App(config, clock)
        await here.start()
        await there.start()
        try:
            _, admin = await made(here, "admin")
            clock.advance(FRESH_SECONDS)
            id, bot = await made(here, "bot", "read", admin)
            clock.advance(FRESH_SECONDS)
            assert (await ask(there, "GET", "/hello", token=bot)).status == 200
            assert (await ask(here, "DELETE", f"/tokens/{id}", token=admin)).status == 204
            assert (await ask(here, "GET", "/hello", token=bot)).status == 401
            clock.advance(FRESH_SECONDS)
            assert (await ask(there, "GET", "/hello", token=bot)).status == 401
        finally:
            await there.stop()
            await here.stop()

    asyncio.run(test())


# --- sockets -------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "WATCH_SECONDS", 0.01)


@pytest.mark.usefixtures("impatient")
def test_a_revoked_token_closes_its_sockets_and_no_others() -> None:
    async def test(app: App) -> None:
        _, admin = await made(app, "admin")
        id, bot = await made(app, "bot", "write", admin)
        sockets = []
        for token in (bot, bot, admin):
            path = "/api/events/in" if len(sockets) == 1 else "/api/events/out"
            socket = WebSocket(app, path, subprotocols=["prefect"])
            await socket.__aenter__()
            await socket.login(token)
            sockets.append(socket)
        assert (await ask(app, "DELETE", f"/tokens/{id}", token=admin)).status == 204
        for socket in sockets[:2]:
            with pytest.raises(Closed) as closed:
                await socket.receive()
            assert (closed.value.code, "credentials" in closed.value.reason) == (1008, True)
        await asyncio.sleep(0.05)
        assert sockets[2].close_code() is None
        for socket in sockets:
            await socket.__aexit__()
        with pytest.raises(Closed) as refused:
            async with WebSocket(app, "/api/events/out", subprotocols=["prefect"]) as socket:
                await socket.login(bot)
        assert refused.value.code == 1008

    with_app(test)


@pytest.mark.usefixtures("impatient")
def test_sockets_without_credentials_close_when_the_first_token_is_made() -> None:
    async def test(app: App) -> None:
        async with WebSocket(app, "/api/events/out", subprotocols=["prefect"]) as socket:
            await socket.login(None)
            await made(app, "admin")
            with pytest.raises(Closed) as closed:
                await socket.receive()
            assert closed.value.code == 1008

    with_app(test)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/events/out", {"read", "write", "admin"}),
        ("/events/in", {"write", "admin"}),
        ("/task_runs/subscriptions/scheduled", {"write", "admin"}),
    ],
)
def test_sockets_ask_for_the_scope_of_what_they_do(path: str, allowed: set[str]) -> None:
    async def test(app: App) -> None:
        _, admin = await made(app, "admin")
        for role in ROLES:
            _, token = (None, admin) if role == "admin" else await made(app, role, role, admin)
            try:
                async with WebSocket(app, f"/api{path}", subprotocols=["prefect"]) as socket:
                    await socket.login(token)
            except Closed as closed:
                assert role not in allowed and closed.code == 1008
            else:
                assert role in allowed

    with_app(test)


# --- who it was ----------------------------------------------------------------------------------


def test_headers_never_make_an_actor() -> None:
    spoofed = {
        "x-prefect-worker-id": ID,
        "x-prefect-worker-name": "mallory",
        "x-prefect-flow-run-id": ID,
        "prefect-automation-id": ID,
        "prefect-automation-name": "mallory",
        "x-penstock-actor": "mallory",
        "x-forwarded-user": "mallory",
        "x-forwarded-for": "10.0.0.1",
        "x-request-id": "mallory\r\nx: y",
    }

    async def test(app: App) -> None:
        _, admin = await made(app, "admin")
        variable = {"name": "v", "value": 1}
        assert (await ask(app, "POST", "/variables/", variable, admin, **spoofed)).status == 201
        filter = {"filter": {"kind": {"any_": ["variable"]}}}
        [row] = (await ask(app, "POST", "/audit/filter", filter, admin)).json["records"]
        assert row["actor"]["name"] == "admin"
        assert row["actor"]["type"] == "token"
        assert row["claims"] == {"worker": ID, "worker-name": "mallory", "flow-run": ID}
        assert row["request"]["ip"] is None  # the connection's, which these tests have not
        assert "mallory" not in row["request"]["id"]
        body = {"filter": {"event": {"name": ["prefect.variable.created"]}}}
        [event] = (await ask(app, "POST", "/events/filter", body, admin)).json["events"]
        roles = {one["prefect.resource.role"]: one for one in event["related"]}
        assert roles["actor"]["prefect.resource.name"] == "admin"
        assert "penstock.claimed" not in roles["actor"]
        claimed = [one for one in event["related"] if "penstock.claimed" in one]
        assert {one["prefect.resource.role"] for one in claimed} == {"initiator"}

    with_app(test)


def test_an_event_of_a_client_names_no_actor() -> None:
    async def test(app: App) -> None:
        actor = {"type": "user", "id": "anna", "name": "anna"}
        body = {
            "event": "prefect.variable.updated",
            "occurred": "2026-11-25T00:00:00Z",
            "resource": {"prefect.resource.id": "prefect.variable.1"},
            "related": [
                {
                    "prefect.resource.id": "penstock.actor.user.anna",
                    "prefect.resource.role": "actor",
                }
            ],
            "actor": actor,
            "changes": [{"path": "/value", "from": 1, "to": 2}],
        }
        assert (await ask(app, "POST", "/events", [body])).status == 204
        [event] = (await ask(app, "POST", "/events/filter", {})).json["events"]
        assert "actor" not in event and "changes" not in event
        assert [one["penstock.claimed"] for one in event["related"]] == ["true"]
        assert (await ask(app, "POST", "/audit/filter", {})).json["records"] == []

    with_app(test)


# --- pages of other sites ------------------------------------------------------------------------


def test_with_tokens_a_wildcard_lets_pages_read_but_never_with_a_browsers_credentials() -> None:
    async def test(app: App) -> None:
        page = {"origin": "https://evil.example", "host": "127.0.0.1:4200"}
        open_answer = await ask(app, "POST", "/flows/filter", {}, **page)
        assert open_answer.status == 403
        assert "access-control-allow-origin" not in open_answer.headers
        _, admin = await made(app, "admin")
        reply = await ask(app, "GET", "/hello", token=admin, **page)
        assert reply.headers["access-control-allow-origin"] == "https://evil.example"
        assert "access-control-allow-credentials" not in reply.headers
        refused = await ask(app, "GET", "/hello", **page)
        assert refused.status == 401

    with_app(test, cors_allowed_origins=("*",))
