"""A worker of one's own: the base class takes runs, notes, stops and reports."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.server_process import ServerProcess

from penstock.client.endpoint import discard_endpoint
from penstock.client.orchestration import SyncPenstockClient
from penstock.client.target import current_target
from penstock.schemas.states import StateCreate, StateType
from penstock.settings import temporary_settings
from penstock.workers.base import (
    BaseJobConfiguration,
    BaseVariables,
    BaseWorker,
    BaseWorkerResult,
)


class BoxConfiguration(BaseJobConfiguration):
    size: int = 1


class BoxResult(BaseWorkerResult):
    pass


class BoxWorker(BaseWorker[BoxConfiguration, BaseVariables, BoxResult]):
    """Its boxes end with the status that their size says; those of size 100 only when killed."""

    type = "box"
    job_configuration = BoxConfiguration

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ended: dict[str, asyncio.Event] = {}
        self.seen: list[BoxConfiguration] = []

    async def run(
        self, flow_run: Any, configuration: BoxConfiguration, task_status: Any = None
    ) -> BoxResult:
        self.seen.append(configuration)
        identifier = f"box-{flow_run.name}"
        if configuration.size < 0:
            raise OSError("there is no room for a box")
        task_status.started(identifier)
        if configuration.size == 100:
            self.ended[identifier] = asyncio.Event()
            await self.ended[identifier].wait()
            return BoxResult(identifier=identifier, status_code=143)
        return BoxResult(identifier=identifier, status_code=configuration.size)

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: BoxConfiguration, grace_seconds: int = 30
    ) -> None:
        self.ended[infrastructure_pid].set()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("server")
    with (
        ServerProcess(home) as server,
        temporary_settings({"PENSTOCK_API_URL": server.api, "PENSTOCK_HOME": str(home)}),
    ):
        yield server
        discard_endpoint(current_target())
        discard_endpoint(SyncPenstockClient(server.api).target)


async def until(what: Callable[[], Any]) -> Any:
    for _ in range(600):
        if found := what():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen in time")


async def final(client: SyncPenstockClient, id: Any) -> Any:
    def ended() -> Any:
        run = client.read_flow_run(id)
        return run if run.state is not None and run.state.is_final() else None

    return await until(ended)


def test_runs_are_taken_started_stopped_and_reported(server: ServerProcess) -> None:
    client = SyncPenstockClient(server.api)

    async def story() -> None:
        worker = BoxWorker("boxes", name="packer")
        serving = asyncio.create_task(worker.start(printer=lambda text: None))
        await until(lambda: worker._work_pool)
        assert "size" in worker.work_pool.base_job_template["variables"]["properties"]
        flow = client.create_flow_from_name("boxed")
        id = client.create_deployment(
            flow, "d", entrypoint="f.py:f", work_pool_name="boxes", job_variables={"size": 7}
        )
        broken = client.create_flow_run_from_deployment(id)
        stuck = client.create_flow_run_from_deployment(id, job_variables={"size": 100})
        refused = client.create_flow_run_from_deployment(id, job_variables={"size": -1})
        left = client.create_flow_run_from_deployment(id, job_variables={"size": 0})

        run = await final(client, broken.id)
        assert run.state_type is StateType.CRASHED
        assert "exit code 7" in run.state.message
        assert run.infrastructure_pid == f"box-{run.name}"
        run = await final(client, refused.id)
        assert "there is no room for a box" in run.state.message

        await until(lambda: worker.ended)
        client.set_flow_run_state(stuck.id, StateCreate(type=StateType.CANCELLING))
        assert (await final(client, stuck.id)).state_type is StateType.CANCELLED

        # Its box reported success and may have handed the run on; nobody says it crashed.
        run = client.read_flow_run(left.id)
        assert run.state_type is StateType.PENDING

        worker.stop()
        await serving

    asyncio.run(story())
