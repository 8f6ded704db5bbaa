"""Stories over the API of a real server: what a client sees, one request after another."""

import csv
import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.server_process import ServerProcess
from websockets.sync.client import connect


class Api:
    """Plain requests to a server, as any client could make them."""

    def __init__(self, base: str) -> None:
        self.base = base

    def request(self, method: str, url: str, body: Any = None) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body, default=str).encode()
        request = urllib.request.Request(
            url, data, {"content-type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def call(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> Any:
        status, content = self.request(method, self.base + path, body)
        assert status == expect, (status, content)
        return json.loads(content) if content else None

    def begin(self, *, flow: str = "etl", expect: int = 201, **run: Any) -> dict[str, Any]:
        body = {"flow": {"name": flow}, "run": {"flow_id": str(uuid4()), **run}}
        return self.call("POST", "/flow_runs/begin", body, expect=expect)

    def propose(self, run: str, state: dict[str, Any], **body: Any) -> dict[str, Any]:
        status, content = self.request(
            "POST", f"{self.base}/flow_runs/{run}/set_state", {"state": state, **body}
        )
        assert status in (200, 201), content
        return json.loads(content)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(
        tmp_path_factory.mktemp("home"),
        PENSTOCK_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS="0.1",
        PENSTOCK_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS="0",
    )
    process.start()
    yield process
    process.stop()


@pytest.fixture
def api(server: ServerProcess) -> Api:
    return Api(server.api)


def test_a_run_from_begin_to_end(api: Api) -> None:
    run = api.begin(parameters={"x": 1}, id=str(uuid4()))
    assert run["state"]["type"] == "PENDING"
    # A reply that was lost: the same request again, and the same run.
    assert api.begin(parameters={"x": 1}, id=run["id"])["id"] == run["id"]
    assert api.propose(run["id"], {"type": "RUNNING"})["status"] == "ACCEPT"
    assert api.propose(run["id"], {"type": "COMPLETED"})["status"] == "ACCEPT"
    stored = api.call("GET", f"/flow_runs/{run['id']}")
    assert (stored["state_type"], stored["run_count"]) == ("COMPLETED", 1)
    assert stored["end_time"] >= stored["start_time"]
    states = api.call("GET", f"/flow_run_states/?flow_run_id={run['id']}")
    assert [state["type"] for state in states] == ["PENDING", "RUNNING", "COMPLETED"]
    about = {"resource": {"id": [f"prefect.flow-run.{run['id']}"]}, "order": "ASC"}
    page = api.call("POST", "/events/filter", {"filter": about})
    assert [event["event"] for event in page["events"]] == [
        "prefect.flow-run.Pending",
        "prefect.flow-run.Running",
        "prefect.flow-run.Completed",
    ]
    api.call("DELETE", f"/flow_runs/{run['id']}", expect=204)
    api.call("GET", f"/flow_runs/{run['id']}", expect=404)


def test_a_run_waits_for_input(api: Api) -> None:
    run = api.begin(state={"type": "RUNNING"})["id"]
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    keys = {"schema": "paused-schema", "response": "paused-response"}
    body = {"key": keys["schema"], "value": json.dumps(schema)}
    api.call("POST", f"/flow_runs/{run}/input", body, expect=201)
    timeout = datetime.now(UTC) + timedelta(hours=1)
    details = {"pause_timeout": timeout.isoformat(), "run_input_keyset": keys}
    assert api.propose(run, {"type": "PAUSED", "state_details": details})["status"] == "ACCEPT"
    wrong = {"run_input": {"n": "three"}}
    answer = api.call("POST", f"/flow_runs/{run}/resume", wrong)
    assert (answer["status"], answer["state"]["type"]) == ("REJECT", "PAUSED")
    right = {"run_input": {"n": 3}}
    answer = api.call("POST", f"/flow_runs/{run}/resume", right, expect=201)
    assert (answer["status"], answer["state"]["type"]) == ("ACCEPT", "RUNNING")
    _, value = api.request("GET", f"{api.base}/flow_runs/{run}/input/{keys['response']}")
    assert json.loads(value) == {"n": 3}


def test_events_are_read_page_by_page(api: Api) -> None:
    name = f"story.{uuid4()}"
    now = datetime.now(UTC)
    batch = [
        {
            "id": str(uuid4()),
            "occurred": (now - timedelta(seconds=n // 3)).isoformat(),
            "event": name,
            "resource": {"prefect.resource.id": "story"},
        }
        for n in range(10)
    ]
    api.call("POST", "/events", batch, expect=204)
    api.call("POST", "/events", batch, expect=204)
    page = api.call("POST", "/events/filter", {"filter": {"event": {"name": [name]}}, "limit": 4})
    ids = [event["id"] for event in page["events"]]
    while page["next_page"]:
        status, content = api.request("GET", page["next_page"])
        assert status == 200, content
        page = json.loads(content)
        assert page["total"] == 10
        ids += [event["id"] for event in page["events"]]
    assert sorted(ids) == sorted(event["id"] for event in batch)
    status, _ = api.request("GET", f"{api.base}/events/filter/next?page-token=forged")
    assert status == 403


def test_logs_are_downloaded_whole(api: Api) -> None:
    run = api.begin()["id"]
    now = datetime.now(UTC)
    records = [
        {
            "level": 20,
            "message": f"line {n}, with a comma",
            "name": "story",
            "timestamp": (now + timedelta(milliseconds=n // 7)).isoformat(),
            "flow_run_id": run,
        }
        for n in range(2500)
    ]
    api.call("POST", "/logs/", records, expect=201)
    status, content = api.request("GET", f"{api.base}/flow_runs/{run}/logs/download")
    assert status == 200
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert {row["message"] for row in rows} == {record["message"] for record in records}
    assert len(rows) == len(records)


def test_a_run_that_nobody_starts_is_told_to_be_late(server: ServerProcess, api: Api) -> None:
    url = server.api.replace("http:", "ws:") + "/events/out"
    with connect(url, subprotocols=["prefect"]) as socket:  # type: ignore[list-item]
        socket.send(json.dumps({"type": "auth", "token": None}))
        assert json.loads(socket.recv(timeout=30))["type"] == "auth_success"
        run = api.begin(state={"type": "SCHEDULED"})["id"]
        wanted = {
            "event": {"name": ["prefect.flow-run.Late"]},
            "resource": {"id": [f"prefect.flow-run.{run}"]},
        }
        socket.send(json.dumps({"type": "filter", "filter": wanted}))
        frame = json.loads(socket.recv(timeout=30))
    assert frame["event"]["event"] == "prefect.flow-run.Late"
    assert api.call("GET", f"/flow_runs/{run}")["state_name"] == "Late"


def test_what_was_answered_survives_a_crash(tmp_path: Path) -> None:
    process = ServerProcess(tmp_path)
    process.start()
    try:
        api = Api(process.api)
        run = api.begin(name="kept")["id"]
        api.propose(run, {"type": "RUNNING", "id": str(uuid4())})
        process.kill()
        process.start()
        stored = api.call("GET", f"/flow_runs/{run}")
        assert (stored["name"], stored["state_type"]) == ("kept", "RUNNING")
    finally:
        process.stop()
