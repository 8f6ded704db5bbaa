"""The server inside the process: same answers, no socket; found, shared, stopped, forked."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from tests.server_process import ServerProcess

from penstock.client import PenstockClient, SyncPenstockClient, embedded, get_client
from penstock.client.embedded import EmbeddedTransport, local_server, same_database
from penstock.client.endpoint import discard_endpoint, endpoint
from penstock.client.exchange import TransportFailure
from penstock.client.target import current_target
from penstock.schemas.errors import ObjectNotFound, PenstockHTTPStatusError
from penstock.schemas.flow_runs import FlowRunBegin, FlowRunCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import SetStateStatus, StateCreate, StateType
from penstock.settings import temporary_settings
from penstock.testing.utilities import penstock_test_harness


@pytest.fixture
def harness() -> Iterator[None]:
    with penstock_test_harness():
        yield


@pytest.mark.usefixtures("harness")
def test_a_run_through_the_application_without_a_socket():
    client = get_client(sync_client=True)
    asked = FlowRunBegin(
        flow=FlowCreate(name="etl"),
        run=FlowRunCreate(
            flow_id=UUID(int=0), id=uuid4(), state=StateCreate(type=StateType.PENDING)
        ),
    )
    run = client.begin_flow_run(asked)
    assert run.id == asked.run.id
    assert client.begin_flow_run(asked).name == run.name, "the id makes it repeatable"
    running = StateCreate(type=StateType.RUNNING, id=uuid4())
    first = client.set_flow_run_state(run.id, running)
    assert first.status == SetStateStatus.ACCEPT
    assert client.set_flow_run_state(run.id, running).state == first.state
    assert client.read_flow_run(run.id).state_type == StateType.RUNNING
    assert client.count_flow_runs() == 1
    assert isinstance(endpoint(current_target()).transport, EmbeddedTransport)


@pytest.mark.usefixtures("harness")
def test_errors_come_through_as_from_any_server():
    client = get_client(sync_client=True)
    with pytest.raises(ObjectNotFound):
        client.read_flow(uuid4())
    with pytest.raises(ObjectNotFound):
        client.read_flow_by_name("is/quoted?")
    with pytest.raises(PenstockHTTPStatusError) as caught:
        client.call("create_flow", body={"name": "a/b"})
    assert caught.value.status_code == 422


@pytest.mark.usefixtures("harness")
def test_coroutines_of_any_loop_and_threads_share_it():
    async def many() -> list[int]:
        async with get_client() as client:
            await client.create_flow_from_name("etl")
            return await asyncio.gather(*(client.count_flows() for _ in range(20)))

    assert asyncio.run(many()) == [1] * 20
    assert asyncio.run(many()) == [1] * 20, "a second loop"
    counts: list[int] = []
    client = get_client(sync_client=True)
    threads = [
        threading.Thread(target=lambda: counts.append(client.count_flows())) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 5


@pytest.mark.usefixtures("harness")
def test_a_cancelled_call_is_cancelled():
    async def cancel() -> bool:
        client = PenstockClient()
        await client.hello()
        task = asyncio.create_task(client.read_flows())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await client.health_check()

    assert asyncio.run(cancel()) is True


@pytest.mark.usefixtures("harness")
def test_its_own_loop_refuses_to_wait_for_itself():
    client = SyncPenstockClient()
    client.hello()
    transport = endpoint(current_target()).transport
    assert isinstance(transport, EmbeddedTransport)

    async def inside() -> None:
        client.hello()

    future = asyncio.run_coroutine_threadsafe(inside(), transport.server.loop)
    with pytest.raises(RuntimeError, match="own event loop"):
        future.result(10)


@pytest.mark.usefixtures("harness")
def test_a_stopped_server_says_so_and_the_next_client_starts_another():
    client = SyncPenstockClient()
    client.create_flow_from_name("kept")
    transport = endpoint(current_target()).transport
    assert isinstance(transport, EmbeddedTransport)
    discard_endpoint(current_target())
    assert not transport.server.running
    with pytest.raises(TransportFailure, match="stopped"):
        transport.send(embedded.build(embedded.operation("hello"), (), None, {}))
    assert SyncPenstockClient().count_flows() == 1, "over the same database"


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'missing' / 'sub' / 'penstock.db'}"
    (tmp_path / "missing").write_text("a file, not a folder")
    settings = {
        "api.url": None,
        "home": tmp_path,
        "server.ephemeral.enabled": True,
        "server.database.connection_url": url,
    }
    with temporary_settings(settings), pytest.raises(Exception, match="missing"):
        SyncPenstockClient().hello()


def test_no_api_and_no_leave_for_one_inside_is_an_error():
    with (
        temporary_settings({"api.url": None, "server.ephemeral.enabled": False}),
        pytest.raises(ValueError, match="PENSTOCK_API_URL"),
    ):
        get_client(sync_client=True)


FORKING = """
import json, os
from penstock.client import get_client
from penstock.testing.utilities import penstock_test_harness

with penstock_test_harness():
    client = get_client(sync_client=True)
    client.create_flow_from_name("the parent's")
    child = os.fork()
    if child == 0:
        try:
            client.create_flow_from_name("the child's")
            print(json.dumps(sorted(flow.name for flow in client.read_flows())), flush=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    print(client.count_flows())
"""


def test_a_forked_child_starts_its_own_over_the_same_database() -> None:
    # A program of its own: threads of other tests may hold locks of libraries while we fork.
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout, done.stderr
    of_child, of_parent = done.stdout.splitlines()
    assert json.loads(of_child) == ["the child's", "the parent's"]
    assert of_parent == "2"


PROGRAM = """
from penstock.client import get_client
from penstock.events import emit_event
client = get_client(sync_client=True)
client.create_flow_from_name("etl")
emit_event("demo.last", {"prefect.resource.id": "demo.1"})
"""


def test_the_end_of_the_program_flushes_and_stops(tmp_path: Path):
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")},
        "PENSTOCK_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with temporary_settings(
        {
            "api.url": None,
            "home": tmp_path,
            "server.ephemeral.enabled": True,
            "server.database.connection_url": f"sqlite:///{tmp_path / 'penstock.db'}",
        }
    ):
        client = SyncPenstockClient()
        assert client.count_flows() == 1
        assert "demo.last" in [event.event for event in client.read_events().events]
        discard_endpoint(current_target())


# --- a local server that owns the same database --------------------------------------------------


def test_a_local_server_with_the_same_database_is_used(tmp_path: Path):
    with ServerProcess(tmp_path) as server:
        settings = {
            "api.url": None,
            "home": tmp_path,
            "server.ephemeral.enabled": True,
            "server.database.connection_url": f"sqlite:///{tmp_path / 'penstock.db'}",
        }
        with temporary_settings(settings):
            assert local_server(current_target()) == server.api
            client = SyncPenstockClient()
            client.create_flow_from_name("shared")
            assert not isinstance(endpoint(current_target()).transport, EmbeddedTransport)
            assert SyncPenstockClient(server.api).count_flows() == 1
            discard_endpoint(current_target())
        with temporary_settings(
            {**settings, "server.database.connection_url": f"sqlite:///{tmp_path / 'other.db'}"}
        ):
            assert local_server(current_target()) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"pid": 1}',
        '{"pid": 999999999, "url": "http://127.0.0.1:9/api", "database_url": "sqlite:///x"}',
        f'{{"pid": {os.getppid()}, "url": "http://127.0.0.1:9/api", "database_url": "sqlite:///x"}}',
        f'{{"pid": {os.getppid()}, "url": "ftp://x/", "database_url": "sqlite:///x"}}',
    ],
)
def test_a_stale_or_broken_note_is_ignored(tmp_path: Path, content: str):
    (tmp_path / "server.json").write_text(content)
    with temporary_settings(
        {
            "api.url": None,
            "home": tmp_path,
            "server.ephemeral.enabled": True,
            "server.database.connection_url": "sqlite:///x",
        }
    ):
        assert local_server(current_target()) is None


def test_databases_are_compared_without_driver_and_password():
    assert same_database("sqlite+aiosqlite:///a.db") == same_database("sqlite:///a.db")
    assert same_database("postgresql+asyncpg://u:p@h/d") == same_database("postgresql://u@h/d")
    assert same_database("postgresql://u@h/d") != same_database("postgresql://u@h/e")
