"""Work pools and queues from the command line, against a server process."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli_process import Cli
from tests.server_process import ServerProcess

from penstock.client import get_client
from penstock.schemas.flow_runs import FlowRunCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import StateCreate, StateType
from penstock.settings import temporary_settings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def cli(server: ServerProcess, tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home", tmp_path, PENSTOCK_API_URL=server.api)


def waiting_runs(server: ServerProcess, pool: str, queue: str, *types: StateType) -> list[str]:
    """Runs of a pool in these states; their ids."""
    with (
        temporary_settings({"PENSTOCK_API_URL": server.api}),
        get_client(sync_client=True) as client,
    ):
        flow = client.call("create_flow", body=FlowCreate(name="etl"))
        return [
            str(
                client.call(
                    "create_flow_run",
                    body=FlowRunCreate(
                        flow_id=flow.id,
                        work_pool_name=pool,
                        work_queue_name=queue,
                        state=StateCreate(type=type),
                    ),
                ).id
            )
            for type in types
        ]


def test_a_pool_is_made_changed_paused_and_deleted(cli: Cli, tmp_path: Path) -> None:
    made = cli("work-pool", "create", "local", "--type", "process", "--set-as-default")
    assert made.status == 0, made.err
    assert "DEFAULT_WORK_POOL_NAME" in cli("config", "view").out
    again = cli("work-pool", "create", "local")
    assert (again.status, "--overwrite" in again.err) == (1, True)
    assert cli("work-pool", "create", "local", "--overwrite", "--paused").status == 0

    shown = cli("work-pool", "inspect", "local").json
    assert (shown["type"], shown["status"]) == ("process", "PAUSED")
    assert cli("work-pool", "resume", "local").status == 0
    assert cli("work-pool", "update", "local").status == 2
    assert cli("work-pool", "update", "local", "--description", "night").status == 0
    assert cli("work-pool", "set-concurrency-limit", "local", "3").status == 0
    (row,) = (one for one in cli("work-pool", "ls", "-o", "json").json if one["name"] == "local")
    assert (row["status"], row["description"], row["concurrency_limit"]) == (
        "NOT_READY",
        "night",
        3,
    )
    assert cli("work-pool", "clear-concurrency-limit", "local").status == 0
    assert cli("work-pool", "inspect", "local").json["concurrency_limit"] is None

    file = tmp_path / "template.json"
    assert cli("work-pool", "get-default-base-job-template", "-f", str(file)).status == 0
    assert "working_dir" in json.loads(file.read_text())["variables"]["properties"]
    file.write_text('{"job_configuration": {"x": "{{ y }}"}, "variables": {}}')
    refused = cli("work-pool", "update", "local", "--base-job-template", str(file))
    assert (refused.status, "does not declare: y" in refused.err) == (1, True)

    assert cli("work-pool", "delete", "local").status == 0
    for command in ("inspect", "pause", "delete", "preview", "slots"):
        done = cli("work-pool", command, "local")
        assert (done.status, "no work pool 'local'" in done.err) == (1, True)


def test_types_without_a_template_are_said(cli: Cli) -> None:
    done = cli("work-pool", "create", "cluster", "--type", "kubernetes")
    assert (done.status, "--base-job-template" in done.err) == (1, True)


def test_queues_of_a_pool(cli: Cli) -> None:
    assert cli("work-pool", "create", "queued").status == 0
    pool = ("--pool", "queued")
    made = cli("work-queue", "create", "fast", "-q", "1", "-l", "2", *pool)
    assert made.status == 0 and "priority 1" in made.out
    assert cli("work-queue", "create", "fast", *pool).status == 1
    rows = cli("work-queue", "ls", *pool, "-o", "json").json
    assert [(row["name"], row["priority"]) for row in rows] == [("fast", 1), ("default", 2)]
    (row,) = cli("work-queue", "ls", "--match", "fa", "-o", "json").json
    assert row["work_pool_name"] == "queued"
    assert cli("work-queue", "pause", "fast", *pool).status == 0
    assert cli("work-queue", "inspect", "fast", *pool).json["status"] == "PAUSED"
    assert cli("work-queue", "resume", "fast", *pool).status == 0
    assert cli("work-queue", "clear-concurrency-limit", "fast", *pool).status == 0
    assert cli("work-queue", "inspect", "fast", *pool).json["concurrency_limit"] is None
    refused = cli("work-queue", "delete", "default", *pool)
    assert (refused.status, "default queue" in refused.err) == (1, True)
    assert cli("work-queue", "delete", "fast", *pool).status == 0
    lost = cli("work-queue", "inspect", "fast", *pool)
    assert (lost.status, "no work queue 'fast'" in lost.err) == (1, True)
    assert "no work pool 'nowhere'" in cli("work-queue", "ls", "--pool", "nowhere").err


def test_a_queue_without_a_pool_is_in_the_implicit_one(cli: Cli) -> None:
    assert "default-agent-pool" in cli("work-queue", "create", "alone").out
    assert cli("work-queue", "inspect", "alone").json["work_pool_name"] == "default-agent-pool"


def test_runs_that_wait_and_runs_that_hold_slots(cli: Cli, server: ServerProcess) -> None:
    assert cli("work-pool", "create", "busy").status == 0
    scheduled, pending = waiting_runs(
        server, "busy", "default", StateType.SCHEDULED, StateType.PENDING
    )
    assert [run["id"] for run in cli("work-pool", "preview", "busy", "-o", "json").json] == [
        scheduled
    ]
    queue = ("default", "--pool", "busy")
    assert scheduled in cli("work-queue", "preview", *queue).out
    assert scheduled in cli("work-queue", "read-runs", *queue).out
    for done in (cli("work-pool", "slots", "busy"), cli("work-queue", "slots", *queue)):
        assert "1 taken, no limit" in done.out
        assert pending in done.out and scheduled not in done.out
