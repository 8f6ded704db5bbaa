"""The HTTP edge over the whole application: statuses, headers, shapes, limits."""

import base64
import csv
import io
import json
import logging
from typing import Any

import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Reply, request

from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.operations import OPERATIONS
from penstock.server.app import App

UNKNOWN = "0198f3b2-7c1d-7abc-8def-0123456789ab"
BASIC = {"authorization": "Basic " + base64.b64encode(b"me:pass").decode()}
EVENT = {
    "occurred": "2026-11-25T00:00:00Z",
    "event": "happened",
    "resource": {"prefect.resource.id": "thing.1"},
}


def ask(
    method: str, target: str, body: Any = None, *, headers: Any = None, **options: Any
) -> Reply:
    """One request to a fresh application."""

    async def test(app: App) -> Reply:
        return await request(app, method, target, body, headers=headers)

    return with_app(test, **options)


async def new_run(app: App) -> str:
    flow = (await request(app, "POST", "/api/flows/", {"name": "f"})).json
    reply = await request(
        app, "POST", "/api/flow_runs/", {"flow_id": flow["id"], "state": {"type": "PENDING"}}
    )
    assert reply.status == 201
    return reply.json["id"]


# --- routes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/api/nothing"), ("GET", "/api/flow_runs/7"), ("GET", "/api"), ("POST", "/api/")],
)
def test_an_unknown_path(method: str, target: str):
    reply = ask(method, target)
    assert (reply.status, reply.json) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("method", ["HEAD", "PUT", "OPTIONS"])
def test_a_method_that_is_not_served(method: str):
    reply = ask(method, "/api/flows/filter")
    assert reply.status == 405
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/api/flows?a=b", "/api/flows/?a=b"),
        ("/api/events/", "/api/events"),
        ("/api/flows/name/a%20b/", "/api/flows/name/a%20b"),
    ],
)
def test_a_path_that_differs_in_its_last_slash_is_redirected(target: str, location: str):
    reply = ask("POST", target, {"name": "f"})
    assert reply.status == 307
    assert reply.headers["location"] == location


def test_the_base_path_can_be_changed():
    assert ask("GET", "/flows-api/health", base_path="/flows-api").json is True
    assert ask("GET", "/health", base_path="").json is True
    assert ask("GET", "/apikeys", base_path="/api").headers["content-type"].startswith("text/html")


def test_an_undecodable_segment_does_not_break_the_server():
    assert ask("GET", "/api/flows/name/%ff%00%2f").status == 404


# --- versions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "status"),
    [("0.8.4", 200), ("0.8.0", 200), ("9.9.9", 200), ("0.7.9", 400), ("1.2", 400), ("x.y.z", 400)],
)
def test_the_api_version_of_the_caller(version: str, status: int):
    headers = {"x-prefect-api-version": version}
    assert ask("GET", "/api/admin/version", headers=headers).status == status
    assert ask("GET", "/api/health", headers=headers).status == 200


@pytest.mark.parametrize(
    ("agent", "version"),
    [
        ("curl/8", "3.7.4"),
        ("", "3.7.4"),
        ("penstock/0.1.0 (API 0.8.4)", "0.1.0"),
        ("prefect/3.7.4 (API 0.8.4)", "3.7.4"),
        ("prefect/3.0.0 (API 0.8.4)", "3.7.4"),
        ("prefect/3.9.1 (API 0.8.4)", "3.9.1"),
        ("prefect/3.10.0.dev2+abc (API 0.8.4)", "3.10.0.dev2+abc"),
        ("prefect/4.0.0 (API 0.8.4)", "3.7.4"),
        ("prefect/three", "3.7.4"),
    ],
)
def test_the_version_a_client_is_told(agent: str, version: str):
    assert ask("GET", "/api/admin/version", headers={"user-agent": agent}).json == version


def test_the_small_operations():
    assert ask("GET", "/api/version").json == "0.8.4"
    assert ask("GET", "/api/hello").json == "👋"
    assert ask("GET", "/api/ready").json["message"] == "OK"
    extensions = ask("GET", "/api/health").headers["penstock-extensions"]
    assert extensions.split(", ") == [
        *("begin", "state-id", "run-id", "events-ack", "tokens", "audit", "claims", "cleanup"),
        "firings",
    ]


# --- bodies and answers ---------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json; charset=utf-8"])
def test_a_body_is_read_as_json_whatever_it_says_it_is(content_type: str | None):
    headers = {"content-type": content_type} if content_type else None
    assert ask("POST", "/api/flows/", {"name": "f"}, headers=headers).status == 201


def test_201_for_what_was_made_and_200_for_what_was_found():
    async def test(app: App) -> None:
        first = await request(app, "POST", "/api/flows/", {"name": "f"})
        second = await request(app, "POST", "/api/flows/", {"name": "f", "tags": ["ignored"]})
        assert (first.status, second.status) == (201, 200)
        assert first.json == second.json

    with_app(test)


def test_204_has_no_body():
    async def test(app: App) -> None:
        flow = (await request(app, "POST", "/api/flows/", {"name": "f"})).json
        reply = await request(app, "PATCH", f"/api/flows/{flow['id']}", {"tags": ["a"]})
        assert (reply.status, reply.raw) == (204, b"")
        assert "content-type" not in reply.headers

    with_app(test)


def test_422_names_the_place_and_echoes_the_body_without_secrets():
    body = {"name": "f", "labels": {"password": "hunter2"}, "surprise": 1}
    reply = ask("POST", "/api/flows/", body)
    assert reply.status == 422
    assert reply.json == {
        "exception_message": "Invalid request received.",
        "exception_detail": [
            {
                "loc": ["body", "surprise"],
                "msg": "Extra inputs are not permitted",
                "type": "extra_forbidden",
            }
        ],
        "request_body": {"name": "f", "labels": {"password": "********"}, "surprise": 1},
    }


def test_a_missing_query_parameter():
    reply = ask("GET", "/api/events/filter/next")
    assert reply.status == 422
    assert reply.json["exception_detail"][0]["loc"] == ["query", "page-token"]


def test_404_of_a_state_change_has_its_own_shape():
    async def test(app: App) -> None:
        for kind in ("flow_runs", "task_runs"):
            target = f"/api/{kind}/{UNKNOWN}"
            state = {"state": {"type": "RUNNING"}}
            changed = await request(app, "POST", f"{target}/set_state", state)
            assert changed.status == 404
            assert UNKNOWN in changed.json["exception_message"]
            read = await request(app, "GET", target)
            assert read.status == 404
            assert UNKNOWN in read.json["detail"]

    with_app(test)


def test_409_for_a_flow_that_is_not_there():
    reply = ask("POST", "/api/flow_runs/", {"flow_id": UNKNOWN})
    assert reply.status == 409
    assert set(reply.json) == {"detail"}


@pytest.mark.parametrize("limit", [-1, 201])
def test_a_limit_outside_its_bounds(limit: int):
    reply = ask("POST", "/api/flows/filter", {"limit": limit})
    assert reply.status == 422


def test_a_body_over_the_limit_is_refused_while_it_is_read():
    async def test(app: App) -> None:
        said = await request(app, "POST", "/api/flows/", b"{}", headers={"content-length": "1001"})
        assert said.status == 413
        assert said.headers["connection"] == "close"
        unsaid = await request(app, "POST", "/api/flows/", pieces=[b" " * 600, b" " * 600, b"{}"])
        assert unsaid.status == 413
        single = await request(
            app, "POST", "/api/flows/", b" " * 1001, headers={"content-length": "5"}
        )
        assert single.status == 413
        whole = await request(app, "POST", "/api/flows/", pieces=[b'{"name":', b'"f"', b"}"])
        assert whole.status == 201

    with_app(test, maximum_body_bytes=1000)


def test_a_caller_that_leaves_in_the_middle_gets_nothing_and_changes_nothing():
    async def test(app: App) -> None:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return pieces.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        pieces = [
            {"type": "http.request", "body": b'{"name": "f"', "more_body": True},
            {"type": "http.disconnect"},
        ]
        scope = {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "path": "/api/flows/",
            "raw_path": b"/api/flows/",
            "query_string": b"",
            "headers": [],
        }
        await app(scope, receive, send)
        assert sent == []
        assert (await request(app, "POST", "/api/flows/count")).json == 0

    with_app(test)


def test_answers_from_500_bytes_are_compressed_for_who_accepts_it():
    async def test(app: App) -> None:
        for number in range(5):
            await request(app, "POST", "/api/flows/", {"name": f"flow-{number}"})
        plain = await request(app, "POST", "/api/flows/filter")
        small = await request(app, "POST", "/api/flows/count", headers={"accept-encoding": "gzip"})
        packed = await request(
            app, "POST", "/api/flows/filter", headers={"accept-encoding": "br, gzip"}
        )
        assert "content-encoding" not in plain.headers
        assert "content-encoding" not in small.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "Accept-Encoding"
        assert len(packed.raw) == int(packed.headers["content-length"]) < len(plain.raw)
        assert packed.json == plain.json

    with_app(test)


def test_an_input_comes_back_as_plain_text():
    async def test(app: App) -> None:
        run = await new_run(app)
        body = {"key": "answer", "value": '{"ü": 1}'}
        assert (await request(app, "POST", f"/api/flow_runs/{run}/input", body)).status == 201
        reply = await request(app, "GET", f"/api/flow_runs/{run}/input/answer")
        assert reply.headers["content-type"].startswith("text/plain")
        assert reply.body.decode() == '{"ü": 1}'

    with_app(test)


def test_logs_download_as_csv_over_several_pages():
    async def test(app: App) -> None:
        run = await new_run(app)
        messages = [f'line {number}, "quoted"\nand more' for number in range(2_050)]
        logs = [
            {
                "level": 20,
                "name": "n",
                "message": message,
                "timestamp": f"2026-11-25T00:{number // 60:02}:{number % 60:02}Z",
                "flow_run_id": run,
            }
            for number, message in enumerate(messages)
        ]
        assert (await request(app, "POST", "/api/logs/", logs)).status == 201
        reply = await request(app, "GET", f"/api/flow_runs/{run}/logs/download")
        assert reply.headers["content-type"].startswith("text/csv")
        assert reply.headers["content-disposition"].startswith("attachment")
        rows = list(csv.DictReader(io.StringIO(reply.body.decode(), newline="")))
        assert [row["message"] for row in rows] == messages
        missing = await request(app, "GET", f"/api/flow_runs/{UNKNOWN}/logs/download")
        assert missing.status == 404

    with_app(test)


# --- events ---------------------------------------------------------------------------------------


def test_events_over_the_limit_are_left_out_and_413_when_all_are():
    async def test(app: App) -> None:
        large = EVENT | {"id": UNKNOWN, "payload": {"text": "x" * 2_000}}
        refused = await request(app, "POST", "/api/events", [large])
        assert refused.status == 413
        assert UNKNOWN in refused.json["detail"]
        taken = await request(app, "POST", "/api/events", [large, EVENT, large])
        assert taken.status == 204
        page = (await request(app, "POST", "/api/events/filter", {})).json
        assert [event["payload"] for event in page["events"]] == [{}]
        assert app.edge.counters.events_rejected == {"too large": 3}
        assert (await request(app, "POST", "/api/events", [])).status == 204

    from penstock.server.config import EventLimits

    with_app(test, event_limits=EventLimits(maximum_bytes=1_000))


@pytest.mark.parametrize(
    "wrong",
    [
        {"resource": {}},
        {"event": "x" * 1025},
        {"related": [{"prefect.resource.id": "a"}]},
        {"resource": {"prefect.resource.id": 7}},
        {"occurred": None},
    ],
)
def test_one_wrong_event_refuses_the_batch(wrong: dict[str, Any]):
    async def test(app: App) -> None:
        reply = await request(app, "POST", "/api/events", [EVENT, EVENT | wrong])
        assert reply.status == 422
        assert reply.json["exception_detail"][0]["loc"][:2] == ["body", 1]
        assert (await request(app, "POST", "/api/events/filter")).json["total"] == 0

    with_app(test)


def test_the_next_page_is_an_address_below_the_base_path():
    async def test(app: App) -> None:
        assert (await request(app, "POST", "/flows/events", [EVENT, EVENT, EVENT])).status == 204
        first = (await request(app, "POST", "/flows/events/filter", {"limit": 2})).json
        assert first["next_page"].startswith("http://testserver/flows/events/filter/next?")
        target = first["next_page"].removeprefix("http://testserver")
        second = (await request(app, "GET", target)).json
        assert (len(first["events"]), len(second["events"])) == (2, 1)
        assert second["next_page"] is None
        forwarded = {"x-forwarded-host": "flows.example", "x-forwarded-proto": "https"}
        other = await request(app, "POST", "/flows/events/filter", {"limit": 2}, headers=forwarded)
        assert other.json["next_page"].startswith("https://flows.example/flows/")
        forged = await request(app, "GET", "/flows/events/filter/next?page-token=abc")
        assert forged.status == 403

    with_app(test, base_path="/flows")


# --- failures -------------------------------------------------------------------------------------


def test_503_while_the_database_is_away():
    async def test(app: App) -> None:
        async def away(*arguments: Any, **keywords: Any) -> Any:
            raise ServiceUnavailable("the database is locked")

        app.edge.store.read = away
        app.edge.store.write = away
        reply = await request(app, "POST", "/api/flows/", {"name": "f"})
        assert (reply.status, reply.json) == (503, {"exception_message": "Service Unavailable"})
        ready = await request(app, "GET", "/api/ready")
        assert ready.status == 503
        assert (await request(app, "GET", "/api/health")).json is True

    with_app(test)


def test_ready_names_a_service_that_makes_no_progress():
    async def test(app: App) -> None:
        app.edge.stalled = lambda: ["timers"]
        reply = await request(app, "GET", "/api/ready")
        assert reply.status == 503
        assert reply.json["stalled"] == ["timers"]

    with_app(test)


def test_a_bug_is_a_500_that_says_nothing_and_is_logged(caplog: pytest.LogCaptureFixture):
    async def test(app: App) -> None:
        async def broken(*arguments: Any, **keywords: Any) -> Any:
            raise KeyError("hunter2")

        original, app.edge.store.read = app.edge.store.read, broken
        reply = await request(app, "POST", "/api/flows/count")
        assert (reply.status, reply.json) == (500, {"exception_message": "Internal Server Error"})
        app.edge.store.read = original
        assert (await request(app, "POST", "/api/flows/count")).json == 0

    with caplog.at_level(logging.ERROR):
        with_app(test)
    assert "POST /flows/count failed" in caplog.text


def test_dates_that_cannot_be_calculated_with_are_refused():
    body = {
        "history_start": "0001-01-01T00:00:00Z",
        "history_end": "9999-12-31T00:00:00Z",
        "history_interval_seconds": -1e15,
    }
    assert ask("POST", "/api/task_runs/history", body).status == 422


# --- documents ------------------------------------------------------------------------------------


def test_the_documents_are_served_with_credentials_only():
    async def test(app: App) -> None:
        for target in ("/api/openapi.json", "/api/docs"):
            assert (await request(app, "GET", target)).status == 401
            assert (await request(app, "GET", target, headers=BASIC)).status == 200
        document = (await request(app, "GET", "/api/openapi.json", headers=BASIC)).json
        assert len(document["paths"]) == len({one.path for one in OPERATIONS.values()})

    with_app(test, auth_string="me:pass")


def test_the_settings_document_masks_secrets():
    settings = {"server": {"api": {"auth_string": "me:hunter2", "port": 4200}}}
    reply = ask("GET", "/api/admin/settings", displayed_settings=settings)
    assert reply.json == {"server": {"api": {"auth_string": "********", "port": 4200}}}


def test_ui_settings():
    reply = ask("GET", "/ui-settings", auth_string="me:pass", csrf_enabled=True)
    assert reply.status == 200
    shown = reply.json
    assert shown["api_url"] == "http://testserver/api"
    assert shown["auth"] == "BASIC"
    assert shown["csrf_enabled"] is True
    assert json.dumps(shown).find("pass") < 0


# --- reading and writing --------------------------------------------------------------------------


def test_operations_that_only_read():
    reading = {name for name, operation in OPERATIONS.items() if operation.reads}
    assert {"read_flow_runs", "count_flows", "flow_run_history", "count_account_events"} <= reading
    assert {"average_flow_run_lateness", "paginate_task_runs", "filter_flow_run_input"} <= reading
    for name in ("create_csrf_token", "create_flow_run", "set_flow_run_state", "create_logs"):
        assert name not in reading
    for name in ("bulk_delete_flows", "resume_flow_run", "begin_flow_run", "delete_flow"):
        assert name not in reading


def test_a_request_is_one_transaction():
    async def test(app: App) -> None:
        run = await new_run(app)
        before = app.store.statistics.snapshot()[0]
        body = {"state": {"type": "RUNNING"}}
        reply = await request(app, "POST", f"/api/flow_runs/{run}/set_state", body)
        assert reply.status == 201
        assert app.store.statistics.snapshot()[0] - before == 1

    with_app(test)
