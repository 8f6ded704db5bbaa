"""Whatever is sent, the answer is never a failure, and neighbours are unharmed."""

import asyncio
import json
from base64 import b64encode
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Reply, WebSocket, request

from penstock.schemas.operations import OPERATIONS, Operation
from penstock.server import openapi
from penstock.server.app import App

EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
DOCUMENT = openapi.document()

TEXT = st.text(max_size=12) | st.sampled_from(
    ["\0", "a\0b", "%", "_", "../", "x" * 3_000, "\u202e", "0", "null", "true", "-1", "1e400", "٣"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63) - 1, 2**31, 10**400, -1, 0])
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.uuids().map(str)
    | st.sampled_from(
        ["2026-11-25T00:00:00Z", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999-23:59", "P1D"]
    )
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def near(schema: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that are almost of a schema: right in shape, wrong here and there."""
    schema = resolved(schema)
    if depth > 4:
        return SCALARS
    wrong = JSON if depth else st.nothing()
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return st.one_of(*(near(one, depth) for one in schema[key]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | SCALARS
    if "const" in schema:
        return st.just(schema["const"])
    if "properties" in schema:
        members = {name: near(member, depth + 1) for name, member in schema["properties"].items()}
        required = set(schema.get("required", ()))
        return wrong | st.fixed_dictionaries(
            {name: one for name, one in members.items() if name in required},
            optional={name: one for name, one in members.items() if name not in required},
        )
    kind = schema.get("type")
    if kind == "array":
        item = schema.get("items", {})
        return wrong | st.lists(near(item, depth + 1) if item else JSON, max_size=3)
    if kind == "object":
        return st.dictionaries(TEXT, JSON, max_size=3) | wrong
    if schema.get("format") == "uuid":
        return st.uuids().map(str) | SCALARS
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda at: at.isoformat()) | SCALARS
    return SCALARS


# A body that happens to make an API token ends anonymous access, so these requests are a user's.
AUTH_STRING = "fuzz:er"
AS_USER = {"authorization": f"Basic {b64encode(AUTH_STRING.encode()).decode()}"}


async def ask(app: App, method: str, target: str, body: Any) -> Reply:
    return await request(app, method, target, body, headers=AS_USER)


def with_a_body(operation: Operation) -> bool:
    return operation.body is not None


BODIES = sorted(name for name, one in OPERATIONS.items() if with_a_body(one))


@pytest.mark.parametrize("name", BODIES)
def test_a_body_of_almost_the_right_shape(name: str):
    operation = OPERATIONS[name]
    entry = DOCUMENT["paths"][operation.path][operation.method.lower()]
    schema = entry["requestBody"]["content"]["application/json"]["schema"]

    async def test(app: App) -> None:
        ids = await existing(app)

        async def one(body: Any, known: bool) -> None:
            target = path_of(operation, ids if known else {})
            reply = await ask(app, operation.method, target, written(body))
            assert reply.status < 500, (reply.status, reply.body, body)

        loop = asyncio.get_running_loop()

        @EXAMPLES
        @given(near(schema), st.booleans())
        def examples(body: Any, known: bool) -> None:
            asyncio.run_coroutine_threadsafe(one(body, known), loop).result(30)

        await asyncio.to_thread(examples)
        await unharmed(app)

    with_app(test, auth_string=AUTH_STRING)


def written(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def path_of(operation: Operation, ids: dict[str, str]) -> str:
    path = operation.path
    for parameter, type in zip(operation.param_names, operation.params, strict=True):
        kind = operation.path.split("/")[1]
        value = ids.get(kind, str(uuid4())) if type is UUID else "day"
        path = path.replace("{" + parameter + "}", value)
    return f"/api{path}"


async def existing(app: App) -> dict[str, str]:
    """Ids of objects that are there."""
    flow = (await ask(app, "POST", "/api/flows/", {"name": "kept"})).json["id"]
    run = (await ask(app, "POST", "/api/flow_runs/", {"flow_id": flow})).json["id"]
    body = {"flow_run_id": run, "task_key": "t", "dynamic_key": "0"}
    task = (await ask(app, "POST", "/api/task_runs/", body)).json["id"]
    return {"flows": flow, "flow_runs": run, "task_runs": task}


async def unharmed(app: App) -> None:
    """The server still does what it is for."""
    flow = (await ask(app, "POST", "/api/flows/", {"name": f"new-{uuid4()}"})).json["id"]
    made = await ask(app, "POST", "/api/flow_runs/", {"flow_id": flow})
    assert made.status == 201
    state = {"state": {"type": "RUNNING"}}
    changed = await ask(app, "POST", f"/api/flow_runs/{made.json['id']}/set_state", state)
    assert changed.json["status"] == "ACCEPT"


def test_bytes_that_are_no_json():
    async def test(app: App) -> None:
        loop = asyncio.get_running_loop()

        async def one(operation: Operation, body: bytes) -> None:
            reply = await request(app, operation.method, path_of(operation, {}), body)
            assert reply.status < 500, (operation.name, reply.status, body)

        @settings(EXAMPLES, max_examples=200)
        @given(
            st.sampled_from([OPERATIONS[name] for name in BODIES]),
            st.binary(max_size=200)
            | JSON.map(written)
            | st.sampled_from(
                [
                    b"[" * 50_000,
                    b'{"a":' * 50_000,
                    b'{"state":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
                    b"\xef\xbb\xbf{}",
                    b"\xff\xfe{\0}\0",
                    b'"\\ud800"',
                    b"1" * 5_000,
                ]
            ),
        )
        def examples(operation: Operation, body: bytes) -> None:
            asyncio.run_coroutine_threadsafe(one(operation, body), loop).result(30)

        await asyncio.to_thread(examples)
        await unharmed(app)

    with_app(test)


def test_paths_queries_and_headers():
    segment = st.text(st.characters(codec="latin-1", exclude_characters="?#"), max_size=10)
    header = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)

    async def test(app: App) -> None:
        loop = asyncio.get_running_loop()

        async def one(method: str, path: str, query: str, headers: dict[str, str]) -> None:
            reply = await request(app, method, f"/api/{path}?{query}", b"{}", headers=headers)
            assert reply.status < 500, (method, path, query, headers, reply.body)

        @settings(EXAMPLES, max_examples=300)
        @given(
            st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "WEIRD"]),
            st.lists(
                st.sampled_from(
                    ["flows", "flow_runs", "filter", "events", "next", "name", str(uuid4())]
                )
                | segment.map(
                    lambda text: "".join(f"%{byte:02x}" for byte in text.encode("latin-1"))
                ),
                max_size=4,
            ).map("/".join),
            st.sampled_from(
                ["", "page-token=a", "flow_run_id=1", "since=x", "=&=", "%zz=%00", "a" * 300]
            ),
            st.dictionaries(
                st.sampled_from(
                    [
                        "authorization",
                        "x-prefect-api-version",
                        "user-agent",
                        "origin",
                        "host",
                        "accept-encoding",
                        "content-length",
                        "x-request-id",
                        "x-forwarded-host",
                        "x-prefect-worker-id",
                    ]
                ),
                header,
                max_size=4,
            ),
        )
        def examples(method: str, path: str, query: str, headers: dict[str, str]) -> None:
            asyncio.run_coroutine_threadsafe(one(method, path, query, headers), loop).result(30)

        await asyncio.to_thread(examples)
        await unharmed(app)

    with_app(test)


@pytest.mark.parametrize("protocol", ["prefect", "penstock.events.v1"])
def test_frames_of_events(protocol: str):
    """Whatever frames come between them, the good events are stored and nothing else breaks."""
    frames = (
        near(DOCUMENT["components"]["schemas"]["Event"]).map(lambda one: written(one).decode())
        | TEXT
        | st.lists(JSON, max_size=3).map(lambda one: written(one).decode())
    )

    async def test(app: App) -> None:
        loop = asyncio.get_running_loop()

        async def one(bad: list[str]) -> None:
            good = [
                {
                    "id": str(uuid4()),
                    "occurred": "2026-11-25T00:00:00Z",
                    "event": "good",
                    "resource": {"prefect.resource.id": "thing"},
                }
                for _ in range(len(bad) + 1)
            ]
            async with WebSocket(app, "/api/events/in", subprotocols=[protocol]) as socket:
                await socket.login()
                socket.send(good[0])
                for frame, following in zip(bad, good[1:], strict=True):
                    socket.send(frame)
                    socket.send(following)
            ids = [event["id"] for event in good]
            body = {"filter": {"id": {"id": ids}, "event": {"name": ["good"]}}}
            page = (await request(app, "POST", "/api/events/filter", body)).json
            assert {event["id"] for event in page["events"]} == set(ids)

        @settings(EXAMPLES, max_examples=60)
        @given(st.lists(frames, max_size=5))
        def examples(bad: list[str]) -> None:
            asyncio.run_coroutine_threadsafe(one(bad), loop).result(30)

        await asyncio.to_thread(examples)
        await unharmed(app)

    with_app(test)


@pytest.mark.parametrize("path", ["/api/events/out", "/api/logs/out"])
def test_subscriptions(path: str):
    frames = (
        near(DOCUMENT["components"]["schemas"]["EventFilter"]).map(
            lambda one: written({"type": "filter", "filter": one}).decode()
        )
        | JSON.map(lambda one: written(one).decode())
        | TEXT
    )

    async def test(app: App) -> None:
        loop = asyncio.get_running_loop()

        async def one(frame: str) -> None:
            async with WebSocket(app, path, subprotocols=["prefect"]) as socket:
                await socket.login()
                socket.send(frame)
                await asyncio.sleep(0)
            assert socket.close_code() in (None, 1002, 1013), frame

        @settings(EXAMPLES, max_examples=60)
        @given(frames)
        def examples(frame: str) -> None:
            asyncio.run_coroutine_threadsafe(one(frame), loop).result(30)

        await asyncio.to_thread(examples)
        await unharmed(app)

    with_app(test, logs_stream_enabled=True)
