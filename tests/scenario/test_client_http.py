"""The clients against a real HTTP server: connections, headers, retries, errors."""

import asyncio
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.scripted_api import Answer, ScriptedApi, recorded

from penstock.client import PenstockClient, SyncPenstockClient, get_client
from penstock.client.endpoint import Endpoint, reset, version_warning
from penstock.client.exchange import RetryRule, TransportFailure, build, operation
from penstock.client.http import HttpTransport
from penstock.client.target import Target
from penstock.schemas.errors import APIUnreachable, ObjectNotFound, PenstockHTTPStatusError
from penstock.schemas.flow_runs import FlowRunBegin, FlowRunCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import StateCreate, StateType
from penstock.settings import temporary_settings

ID = str(uuid4())
FLOW = {"id": ID, "name": "etl", "created": None, "updated": None}
RUN = {"id": ID, "flow_id": ID, "created": None, "updated": None, "name": "quick-otter"}
VERSION = ("GET", "/admin/version")
OK_VERSION = Answer(200, "3.7.4")
ALL_EXTENSIONS = {"Penstock-Extensions": "begin, state-id, run-id, events-ack"}


@pytest.fixture(autouse=True)
def _fresh_endpoints() -> Iterator[None]:
    reset()
    yield
    reset()


def test_a_call_sends_the_contract_headers_and_reads_the_type():
    with ScriptedApi({VERSION: OK_VERSION, ("POST", "/flows/"): Answer(201, FLOW)}) as api:
        client = SyncPenstockClient(api.url, auth_string="user:pass")
        flow = client.call("create_flow", body=FlowCreate(name="etl"))
        assert str(flow.id) == ID
        heard = api.heard[-1]
    assert heard.body == {"name": "etl", "labels": None, "tags": []}
    assert heard.headers["authorization"] == "Basic " + b64encode(b"user:pass").decode()
    assert heard.headers["x-prefect-api-version"] == "0.8.4"
    assert heard.headers["user-agent"].startswith("penstock/")
    assert heard.headers["content-type"] == "application/json"


def test_an_api_key_is_sent_as_bearer():
    with ScriptedApi({VERSION: OK_VERSION, ("GET", "/hello"): Answer(200, "hi")}) as api:
        assert SyncPenstockClient(api.url, api_key="k1").hello() == "hi"
        assert api.heard[-1].headers["authorization"] == "Bearer k1"


def test_the_version_is_asked_for_once_per_api_and_connections_are_kept():
    with ScriptedApi({VERSION: OK_VERSION, ("GET", "/hello"): Answer(200, "hi")}) as api:
        for _ in range(5):
            SyncPenstockClient(api.url).hello()
        assert api.paths() == [VERSION] + [("GET", "/hello")] * 5
        assert api.connections == 1


def test_async_and_sync_clients_do_the_same():
    with ScriptedApi({VERSION: OK_VERSION, ("GET", f"/flows/{ID}"): Answer(200, FLOW)}) as api:

        async def read_many() -> list[Any]:
            async with PenstockClient(api.url) as client:
                return await asyncio.gather(*(client.read_flow(ID) for _ in range(10)))

        flows = asyncio.run(read_many())
        assert {flow.name for flow in flows} == {"etl"}
        assert SyncPenstockClient(api.url).read_flow(ID) == flows[0]


def test_an_async_client_cannot_be_entered_synchronously():
    with pytest.raises(RuntimeError, match="async with"), PenstockClient("http://127.0.0.1:1/api"):
        pass


def test_settings_choose_the_api():
    with ScriptedApi({VERSION: OK_VERSION, ("GET", "/hello"): Answer(200, "hi")}) as api:
        overrides = {
            "PENSTOCK_API_URL": api.url,
            "PENSTOCK_CLIENT_CUSTOM_HEADERS": {"X-Team": "data"},
        }
        with temporary_settings(overrides), get_client(sync_client=True) as client:
            assert client.hello() == "hi"
        assert api.heard[-1].headers["x-team"] == "data"


def test_a_lost_503_is_repeated_after_the_time_the_server_asked_for():
    answers = {("GET", "/hello"): [Answer(503, {}, {"Retry-After": "3"}), Answer(200, "hi")]}
    with ScriptedApi(answers) as api:
        sleeps: list[float] = []
        target = Target(url=api.url, rule=RetryRule(jitter=0.0), version_check=False)
        one = Endpoint(target, HttpTransport(api.url), sleep=recorded(sleeps))
        response = one.perform(build(operation("hello"), (), None, {}))
        one.transport.close()
    assert (response.status, sleeps) == (200, [3.0])


def test_a_connection_that_breaks_before_the_answer_is_repeated():
    with ScriptedApi({("GET", "/hello"): [Answer(hang_up=True), Answer(200, "hi")]}) as api:
        sleeps: list[float] = []
        target = Target(url=api.url, rule=RetryRule(jitter=0.0), version_check=False)
        one = Endpoint(target, HttpTransport(api.url), sleep=recorded(sleeps))
        assert one.perform(build(operation("hello"), (), None, {})).status == 200
        one.transport.close()
    assert sleeps == [2.0]


def test_a_kept_alive_connection_closed_by_the_server_costs_no_retry():
    closing = Answer(200, "hi", {"Connection": "keep-alive"})
    with ScriptedApi({("GET", "/hello"): closing}) as api:
        transport = HttpTransport(api.url)
        request = build(operation("hello"), (), None, {})
        assert transport.send(request).ok
        for pooled in transport._idle:
            pooled.socket.shutdown(socket.SHUT_RDWR)
        assert transport.send(request).ok
        assert api.connections == 2
        transport.close()


def test_nobody_listening_is_said_at_once_without_credentials_in_the_message():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    client = SyncPenstockClient(f"http://user:hidden@127.0.0.1:{port}/api")
    with pytest.raises(APIUnreachable) as caught:
        client.hello()
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_error_answers_become_errors_with_their_detail():
    answers = {VERSION: OK_VERSION, ("GET", f"/flows/{ID}"): Answer(404, {"detail": "no flow"})}
    with (
        ScriptedApi(answers) as api,
        pytest.raises(ObjectNotFound, match="no flow"),
    ):
        SyncPenstockClient(api.url).read_flow(ID)


def test_wrong_credentials_are_named_before_the_first_request_is_sent():
    with ScriptedApi({VERSION: Answer(401, {"exception_message": "Unauthorized"})}) as api:
        with pytest.raises(PenstockHTTPStatusError, match="PENSTOCK_API_AUTH_STRING"):
            SyncPenstockClient(api.url).hello()
        assert api.paths() == [VERSION]


def test_redirects_are_followed_on_the_same_server_only():
    answers = {
        ("GET", "/hello"): Answer(307, "", {"Location": "/api/hello/"}),
        ("GET", "/hello/"): Answer(200, "hi"),
        ("GET", "/ready"): Answer(307, "", {"Location": "http://other.invalid/api/ready"}),
        ("GET", "/version"): Answer(307, "", {"Location": "/api/version"}),
    }
    with ScriptedApi(answers) as api:
        transport = HttpTransport(api.url)
        assert transport.send(build(operation("hello"), (), None, {})).body == b'"hi"'
        ready = build(operation("perform_readiness_check"), (), None, {})
        with pytest.raises(TransportFailure, match=r"other\.invalid"):
            transport.send(ready)
        with pytest.raises(TransportFailure, match="redirects"):
            transport.send(build(operation("server_version"), (), None, {}))
        transport.close()


def test_many_threads_share_one_pool():
    with ScriptedApi({VERSION: OK_VERSION, ("GET", "/hello"): Answer(200, "hi")}) as api:
        client = SyncPenstockClient(api.url)
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda: answers.extend(client.hello() for _ in range(20)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == ["hi"] * 160
        assert api.connections <= 16


# --- extensions ----------------------------------------------------------------------------------


def begin() -> FlowRunBegin:
    state = StateCreate(type=StateType.PENDING, id=uuid4())
    run = FlowRunCreate(flow_id=uuid4(), id=uuid4(), name="quick-otter", state=state)
    return FlowRunBegin(flow=FlowCreate(name="etl"), run=run)


def test_begin_is_one_request_where_it_is_announced():
    answers = {
        VERSION: Answer(200, "3.7.4", ALL_EXTENSIONS),
        ("POST", "/flow_runs/begin"): Answer(201, RUN),
    }
    with ScriptedApi(answers) as api:
        client = SyncPenstockClient(api.url)
        asked = begin()
        assert client.begin_flow_run(asked).name == "quick-otter"
        assert client.extensions == {"begin", "state-id", "run-id", "events-ack"}
        assert api.paths() == [VERSION, ("POST", "/flow_runs/begin")]
        assert api.heard[-1].body["run"]["id"] == str(asked.run.id)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_begin_is_two_contract_requests_elsewhere(asynchronous: bool):
    answers = {
        VERSION: OK_VERSION,
        ("POST", "/flows/"): Answer(200, FLOW),
        ("POST", "/flow_runs/"): Answer(201, RUN),
    }
    with ScriptedApi(answers) as api:
        if asynchronous:
            run = asyncio.run(PenstockClient(api.url).begin_flow_run(begin()))
        else:
            run = SyncPenstockClient(api.url).begin_flow_run(begin())
        assert run.name == "quick-otter"
        assert api.paths() == [VERSION, ("POST", "/flows/"), ("POST", "/flow_runs/")]
        sent = api.heard[-1].body
    assert sent["flow_id"] == ID
    assert "id" not in sent
    assert "id" not in sent["state"]


def test_the_state_id_goes_only_where_it_is_understood():
    result = {"status": "ACCEPT", "details": {"type": "accept_details"}, "state": None}
    path = ("POST", f"/flow_runs/{ID}/set_state")
    state = StateCreate(type=StateType.RUNNING, id=uuid4())
    sent: list[dict[str, Any]] = []
    for version in (OK_VERSION, Answer(200, "3.7.4", ALL_EXTENSIONS)):
        with ScriptedApi({VERSION: version, path: Answer(201, result)}) as api:
            SyncPenstockClient(api.url).set_flow_run_state(ID, state)
            sent.append(api.heard[-1].body["state"])
    assert "id" not in sent[0]
    assert sent[1]["id"] == str(state.id)


def test_the_peer_method_creates_flow_and_run():
    class Flow:
        name, version, retries, retry_delay_seconds = "etl", "v1", 2, 5

    answers = {
        VERSION: OK_VERSION,
        ("POST", "/flows/"): Answer(200, FLOW),
        ("POST", "/flow_runs/"): Answer(201, RUN),
    }
    with ScriptedApi(answers) as api:
        run = SyncPenstockClient(api.url).create_flow_run(Flow(), parameters={"x": 1}, tags={"t"})
        sent = api.heard[-1].body
    assert run.name == "quick-otter"
    assert (sent["parameters"], sent["tags"], sent["flow_version"]) == ({"x": 1}, ["t"], "v1")
    assert sent["empirical_policy"]["retries"] == 2


# --- versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "penstock", "outcome"),
    [
        ("3.7.4", False, None),
        ("3.9.0", False, None),
        ("3.7.4+build.5", False, None),
        ("3.1.0", False, "older than 3.7.4"),
        ("2.19.0", False, RuntimeError),
        ("0.1.0", True, None),
        ("0.0.9", True, "older than 0.1.0"),
        ("1.0.0", True, RuntimeError),
        ("3.7.4", True, None),
        ("unknown", False, None),
    ],
)
def test_versions_that_do_not_fit_are_told(version: str, penstock: bool, outcome: Any):
    if outcome is RuntimeError:
        with pytest.raises(RuntimeError, match="same major version"):
            version_warning(version, penstock=penstock, name="http://api")
        return
    warning = version_warning(version, penstock=penstock, name="http://api")
    assert (warning is None) if outcome is None else (outcome in (warning or ""))
