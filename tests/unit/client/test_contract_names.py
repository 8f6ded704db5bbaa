"""Names of the contract's client modules lead to the project's own types."""

import asyncio
from types import SimpleNamespace

import pytest

from penstock.base.run_context import RunContext, running
from penstock.client import PenstockClient, get_client
from penstock.client.attribution import Attribution, get_attribution_headers
from penstock.client.orchestration import raw_request
from penstock.client.schemas import filters, objects, responses
from penstock.client.target import Target, target_of
from penstock.client.utilities import client_injector, get_or_create_client, inject_client
from penstock.schemas.filters import FlowRunFilter
from penstock.schemas.flow_runs import FlowRun
from penstock.settings import get_current_settings, temporary_settings


def test_a_filter_built_from_contract_names_is_the_wire_filter():
    made = filters.FlowRunFilter(
        id=filters.FlowRunFilterId(any_=[]),
        state=filters.FlowRunFilterState(
            type=filters.FlowRunFilterStateType(any_=[objects.StateType.FAILED])
        ),
        name=filters.FlowRunFilterName(like_="otter"),
        start_time=filters.FlowRunFilterStartTime(is_null_=False),
    )
    assert isinstance(made, FlowRunFilter)
    assert responses.FlowRunResponse is FlowRun


def test_a_client_is_injected_unless_given():
    @inject_client
    async def kind(*, client: PenstockClient | None = None) -> object:
        return client

    @client_injector
    async def first(client: PenstockClient, number: int) -> tuple[object, int]:
        return client, number

    settings = {"api.url": "http://127.0.0.1:1/api"}
    with temporary_settings(settings):
        assert isinstance(asyncio.run(kind()), PenstockClient)
        given = get_client()
        assert asyncio.run(kind(client=given)) is given
        client, number = asyncio.run(first(7))
        assert (isinstance(client, PenstockClient), number) == (True, 7)
        assert get_or_create_client(given) == (given, True)
        assert get_or_create_client()[1] is False


def test_inside_a_run_the_client_is_shared_while_the_settings_fit():
    with temporary_settings({"api.url": "http://127.0.0.1:1/api"}):
        own = get_client(sync_client=True)
        with running(RunContext(client=own)):
            assert get_client(sync_client=True) is own
            assert get_client() is not own
            with temporary_settings({"api.url": "http://127.0.0.1:2/api"}):
                assert get_client(sync_client=True) is not own
            assert get_client({"timeout": 5}, sync_client=True) is not own


def test_attribution_comes_from_the_run_before_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PENSTOCK__WORKER_NAME", "w")
    monkeypatch.setenv("PREFECT__FLOW_NAME", "from the environment")
    assert get_attribution_headers() == {
        "X-Prefect-Worker-Name": "w",
        "X-Prefect-Flow-Name": "from the environment",
    }
    context = RunContext(
        flow=SimpleNamespace(name="etl\r\nX-Evil: 1 \u20ac"),
        flow_run=SimpleNamespace(flow_id="f1", deployment_id=None, id="r1", name="brave"),
    )
    with running(context):
        headers = dict(Attribution()())
    assert headers["X-Prefect-Flow-Run-Id"] == "r1"
    assert headers["X-Prefect-Flow-Run-Name"] == "brave"
    assert headers["X-Prefect-Flow-Id"] == "f1"
    assert headers["X-Prefect-Flow-Name"] == "etl  X-Evil: 1 ?"
    assert "X-Prefect-Deployment-Id" not in headers


def test_custom_headers_cannot_replace_those_of_the_client(caplog: pytest.LogCaptureFixture):
    custom = {"Authorization": "Bearer stolen", "X-Team": "data"}
    with temporary_settings({"api.url": "http://a/api", "client.custom_headers": custom}):
        target = target_of(get_current_settings())
    assert target.custom_headers == (("X-Team", "data"),)
    assert "'Authorization'" in caplog.text


def test_a_target_shows_no_credentials():
    target = Target(url="http://user:hidden@host/api", auth_string="admin:secret", key="k")
    assert target.name == "http://host/api"
    assert repr(target) == "Target(http://host/api)"


def test_raw_requests_fill_paths_and_refuse_what_they_do_not_know():
    request = raw_request("get", "/flows/{id}", {"a": [1, 2]}, {"id": "x/y"}, {"json": {"b": 1}})
    assert (request.method, request.path) == ("GET", "/flows/x%2Fy?a=1&a=2")
    assert request.body == b'{"b":1}'
    with pytest.raises(TypeError, match="'files'"):
        raw_request("POST", "/x", None, None, {"files": 1})
