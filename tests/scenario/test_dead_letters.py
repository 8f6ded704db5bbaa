"""A dead letter is found, explained and requeued by the commands of its guide, in their order."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cli_process import Cli
from tests.server_process import ServerProcess

from penstock.client import get_client
from penstock.schemas.flow_runs import FlowRunCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import StateCreate, StateType
from penstock.schemas.work import WorkPoolCreate
from penstock.server.bus import MemoryBus
from penstock.server.queue.database import DatabaseQueue
from penstock.server.store import open_store
from penstock.settings import temporary_settings

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "dead-letters.md"
KIND = "cancelling_timeout_teardown.v1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def cli(server: ServerProcess, tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home", tmp_path, PENSTOCK_API_URL=server.api)


def crashed_run(server: ServerProcess, pool: str) -> str:
    """A run of a new pool that has ended; its id."""
    with (
        temporary_settings({"PENSTOCK_API_URL": server.api}),
        get_client(sync_client=True) as client,
    ):
        client.call("create_work_pool", body=WorkPoolCreate(name=pool, type="process"))
        flow = client.call("create_flow", body=FlowCreate(name="etl"))
        body = FlowRunCreate(
            flow_id=flow.id, work_pool_name=pool, state=StateCreate(type=StateType.CRASHED)
        )
        return str(client.call("create_flow_run", body=body).id)


async def refuse(server: ServerProcess, message_id: str, pool_id: str) -> None:
    """Be a worker that takes the message and cannot understand it."""
    store = open_store(f"sqlite:///{server.home / 'penstock.db'}")
    await asyncio.to_thread(store.start)
    try:
        queue = DatabaseQueue(store, MemoryBus())
        held = await queue.reserve(
            pool_id, [KIND], consumer_id=str(uuid4()), worker_name="w1", hosts=["host-a"]
        )
        assert held is not None and held.message_id == message_id
        await queue.release(pool_id, message_id, held.token, "invalid_payload")
    finally:
        await asyncio.to_thread(store.stop)


def test_the_guide(server: ServerProcess, cli: Cli) -> None:
    run = crashed_run(server, "local")
    request = ("flow-run", "cleanup", run, "--infrastructure", "host-a:42", "-o", "json")
    message = cli(*request).json
    asyncio.run(refuse(server, message["id"], message["work_pool_id"]))

    said: dict[str, list[str]] = {}
    for line in re.findall(r"^    penstock (.*)$", GUIDE.read_text(), re.MULTILINE):
        command = line.replace("MESSAGE", message["id"]).replace("RUN", run).split()
        done = cli(*command)
        assert done.status == 0, f"{line}: {done.err}"
        said.setdefault(" ".join(line.split()[:2]), []).append(done.out)

    assert "dead   1" in said["cleanup stats"][0]
    assert message["id"] in said["cleanup ls"][0]
    assert "permanent_failure" in said["cleanup ls"][0]
    assert "invalid_payload" in said["cleanup inspect"][0]
    history = said["flow-run cleanup-history"][0]
    steps = ["Crashed", "manual", "reserved", "released", "invalid_payload", "dead"]
    places = [history.index(step) for step in steps]
    assert places == sorted(places)
    assert "was requeued" in said["cleanup requeue"][0]
    assert "0 of 0 matching messages would be requeued" in said["cleanup requeue"][1]
    assert "was cancelled" in said["cleanup cancel"][0]
    assert "is ready" in said["flow-run cleanup"][0]


def test_many_are_looked_at_before_they_are_changed(server: ServerProcess, cli: Cli) -> None:
    run = crashed_run(server, "elsewhere")
    made = cli("flow-run", "cleanup", run, "--infrastructure", "host-b:42", "-o", "json").json
    assert cli("cleanup", "cancel", made["id"]).status == 0
    dead = ("--state", "cancelled")
    preview = cli("cleanup", "requeue", *dead, "--preview").out
    unchanged = cli("cleanup", "ls", *dead, "-o", "json").json
    assert f"{len(unchanged)} of {len(unchanged)} matching messages would be requeued" in preview
    unasked = cli("cleanup", "requeue", *dead)
    assert (unasked.status, "Repeat with --yes" in unasked.err) == (1, True)
    assert cli("cleanup", "ls", *dead, "-o", "json").json == unchanged
    assert "were requeued" in cli("cleanup", "requeue", *dead, "--yes").out
    assert cli("cleanup", "ls", *dead, "-o", "json").json == []
    refused = cli("cleanup", "requeue", "--yes")
    assert (refused.status, "choose some" in refused.err) == (1, True)
