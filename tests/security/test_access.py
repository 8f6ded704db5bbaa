"""Nothing but two health paths is answered without credentials; foreign pages get nothing."""

import base64
from typing import Any
from uuid import UUID

import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Reply, request

from penstock.schemas.operations import OPERATIONS, Operation
from penstock.server.app import App

ID = "0198f3b2-7c1d-7abc-8def-0123456789ab"
AUTH = "me:pass"


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def target(operation: Operation) -> str:
    path = operation.path
    for name, type in zip(operation.param_names, operation.params, strict=True):
        path = path.replace("{" + name + "}", ID if type is UUID else "word")
    return f"/api{path}"


WRONG: list[dict[str, str]] = [
    {},
    basic("me:wrong"),
    basic(""),
    {"authorization": f"Bearer {AUTH}"},
    {"authorization": AUTH},
]


def test_every_operation_is_refused_without_the_right_credentials():
    async def test(app: App) -> None:
        for operation in OPERATIONS.values():
            if operation.open:
                continue
            for headers in WRONG:
                reply = await request(
                    app, operation.method, target(operation), b"{}", headers=headers
                )
                assert reply.status == 401, operation.name
                assert reply.json == {"exception_message": "Unauthorized"}
                assert "www-authenticate" not in reply.headers

    with_app(test, auth_string=AUTH)


def test_the_open_operations_are_two():
    names = {operation.path for operation in OPERATIONS.values() if operation.open}
    assert names == {"/health", "/ready"}

    async def test(app: App) -> None:
        for path in names:
            assert (await request(app, "GET", f"/api{path}")).status == 200

    with_app(test, auth_string=AUTH)


@pytest.mark.parametrize(
    "path",
    ["/api/nothing", "/api/health/", "/api/healthx", "/api/health/../version", "/api//health"],
)
def test_paths_beside_the_open_ones_are_not_open(path: str):
    async def test(app: App) -> None:
        assert (await request(app, "GET", path)).status == 401
        assert (await request(app, "POST", path)).status == 401

    with_app(test, auth_string=AUTH)


def test_every_operation_is_reached_with_them():
    async def test(app: App) -> None:
        for operation in OPERATIONS.values():
            reply = await request(
                app, operation.method, target(operation), b"{}", headers=basic(AUTH)
            )
            assert reply.status not in (401, 403, 405, 500), operation.name

    with_app(test, auth_string=AUTH)


# --- pages of other sites -------------------------------------------------------------------------

CHANGING = [operation for operation in OPERATIONS.values() if operation.changes]


def test_no_page_of_another_site_changes_anything():
    async def test(app: App) -> None:
        headers = {"host": "127.0.0.1:4200", "origin": "https://evil.example"}
        for operation in CHANGING:
            reply = await request(app, operation.method, target(operation), b"{}", headers=headers)
            assert reply.status == 403, operation.name
        flow = {"name": "f"}
        for origin in ("http://127.0.0.1:4200", "http://localhost:3000"):
            local = {"host": "127.0.0.1:4200", "origin": origin}
            assert (await request(app, "POST", "/api/flows/", flow, headers=local)).status < 300

    with_app(test)


def test_a_name_that_was_bound_to_this_machine_is_not_answered():
    async def test(app: App) -> None:
        for method in ("GET", "POST"):
            rebound = {"host": "evil.example:4200"}
            reply = await request(app, method, "/api/flows/name/x", headers=rebound)
            assert reply.status == 403
        assert (await request(app, "GET", "/api/health", headers=rebound)).status == 200

    with_app(test, allowed_hosts=("localhost",))


def test_preflight():
    async def test(app: App) -> None:
        asking = {
            "origin": "https://dashboard.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        reply = await request(app, "OPTIONS", "/api/flows/", headers=asking)
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == "https://dashboard.example"
        assert reply.headers["access-control-allow-headers"] == "authorization"
        asking["origin"] = "https://evil.example"
        reply = await request(app, "OPTIONS", "/api/flows/", headers=asking)
        assert reply.status == 400
        assert "access-control-allow-origin" not in reply.headers

    with_app(test, auth_string=AUTH, cors_allowed_origins=("https://dashboard.example",))


# --- CSRF -----------------------------------------------------------------------------------------

CLIENT = "0198f3b2-7c1d-7abc-8def-00000000c11e"


def pair(token: str, client: str = CLIENT) -> dict[str, str]:
    return {"prefect-csrf-token": token, "prefect-csrf-client": client}


async def token_of(app: App, client: str = CLIENT) -> str:
    reply = await request(app, "GET", f"/api/csrf-token?client={client}")
    assert reply.status == 200
    assert set(reply.json) == {"id", "created", "updated", "token", "client", "expiration"}
    assert len(reply.json["token"]) == 64
    return reply.json["token"]


def test_changing_requests_need_the_pair_of_token_and_client():
    async def test(app: App) -> None:
        token = await token_of(app)

        async def create(headers: Any) -> Reply:
            return await request(app, "POST", "/api/flows/", {"name": "f"}, headers=headers)

        assert (await create(pair(token))).status == 201
        for headers in (
            {},
            {"prefect-csrf-token": token},
            {"prefect-csrf-client": CLIENT},
            pair("0" * 64),
            pair(token, ID),
            pair(token[:-1]),
        ):
            reply = await create(headers)
            assert reply.status == 403
            assert set(reply.json) == {"detail"}
        assert "Invalid CSRF token" in (await create(pair("0" * 64))).json["detail"]
        renewed = await token_of(app)
        assert (await create(pair(token))).status == 403
        assert (await create(pair(renewed))).status == 200
        assert (await request(app, "GET", "/api/flows/name/f")).status == 200

    with_app(test, csrf_enabled=True)


def test_a_token_ends():
    async def test(app: App) -> None:
        token = await token_of(app)
        reply = await request(app, "POST", "/api/flows/", {"name": "f"}, headers=pair(token))
        assert reply.status == 403

    with_app(test, csrf_enabled=True, csrf_expiration=-1.0)


def test_every_changing_operation_is_protected():
    async def test(app: App) -> None:
        for operation in CHANGING:
            reply = await request(app, operation.method, target(operation), b"{}")
            assert reply.status == 403, operation.name

    with_app(test, csrf_enabled=True)


def test_a_client_is_told_that_protection_is_off():
    async def test(app: App) -> None:
        reply = await request(app, "GET", f"/api/csrf-token?client={CLIENT}")
        assert reply.status == 422
        assert "CSRF protection is disabled." in reply.json["detail"]

    with_app(test)


# --- secrets --------------------------------------------------------------------------------------


def test_the_credentials_appear_in_no_answer():
    canary = "canary-7f3a"

    async def test(app: App) -> None:
        for operation in OPERATIONS.values():
            for headers in ({}, basic(f"me:{canary}")):
                body = {"auth_string": canary, "password": canary, "x": {"api_key": canary}}
                reply = await request(
                    app, operation.method, target(operation), body, headers=headers
                )
                assert canary.encode() not in reply.body, operation.name
        for path in ("/ui-settings", "/", "/api/openapi.json", "/api/docs"):
            assert canary.encode() not in (await request(app, "GET", path)).body

    settings = {"server": {"api": {"auth_string": f"me:{canary}"}}}
    with_app(test, auth_string=f"me:{canary}", displayed_settings=settings)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/../app.py",
        "/..%2fapp.py",
        "/%2e%2e/%2e%2e/pyproject.toml",
        "//etc/passwd",
        "/\0",
        "/a" * 3_000,
    ],
)
def test_the_static_files_end_at_their_folder(path: str):
    async def test(app: App) -> None:
        reply = await request(app, "GET", path)
        assert reply.status == 200
        assert b"<title>Penstock</title>" in reply.body

    with_app(test)
