"""Deployments from the command line, and the client's methods for them, with a server process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli_process import Cli
from tests.server_process import ServerProcess

from penstock.client import get_client
from penstock.schemas.deployments import DeploymentScheduleCreate, DeploymentUpdate
from penstock.schemas.schedules import CronSchedule
from penstock.settings import temporary_settings

SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "string"}},
    "required": [],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def penstock(server: ServerProcess, tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home", tmp_path, PENSTOCK_API_URL=server.api)


def deploy(server: ServerProcess, name: str) -> str:
    """A deployment of the flow `etl`, made by the client; its full name."""
    with (
        temporary_settings({"PENSTOCK_API_URL": server.api}),
        get_client(sync_client=True) as api,
    ):
        flow_id = api.create_flow_from_name("etl")
        id = api.create_deployment(
            flow_id,
            name,
            parameters={"x": 1},
            parameter_openapi_schema=SCHEMA,
            schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron="0 3 * * *"))],
        )
        assert api.read_deployment(id) == api.read_deployment_by_name(f"etl/{name}")
    return f"etl/{name}"


def test_list_inspect_and_delete(server: ServerProcess, penstock: Cli) -> None:
    full = deploy(server, "listed")
    assert full in penstock("deployment", "ls").out
    assert full not in penstock("deployment", "ls", "other-flow").out
    [found] = [
        one for one in penstock("deployment", "ls", "-o", "json").json if one["name"] == "listed"
    ]
    assert penstock("deployment", "inspect", full, "-o", "json").json == found
    gone = penstock("deployment", "delete", full)
    assert (gone.status, gone.err) == (0, "")
    missing = penstock("deployment", "inspect", full)
    assert missing.status == 1
    assert f"there is no deployment '{full}'" in missing.err
    assert "<flow>/<deployment>" in penstock("deployment", "inspect", "listed").err


def test_run(server: ServerProcess, penstock: Cli) -> None:
    full = deploy(server, "run")
    made = penstock(
        "deployment", "run", full, "-p", "x=5", "-p", "y=text", "--tag", "a", "--start-in", "1h"
    )
    assert made.status == 0, made.err
    id = made.out.split("(")[1].split(")")[0]
    run = penstock("flow-run", "inspect", id, "-o", "json").json
    assert run["parameters"] == {"x": 5, "y": "text"}
    assert (run["state_name"], run["tags"]) == ("Scheduled", ["a"])
    from_stdin = penstock("deployment", "run", full, "--params", "-", answer='{"x": 6}')
    assert from_stdin.status == 0, from_stdin.err
    for arguments, words in (
        (("-p", "z=1"), "its parameters are: x, y"),
        (("-p", "x=many"), "not of type 'integer'"),
        (("-p", "x"), "KEY=VALUE"),
        (("--params", "["), "no JSON"),
        (("--start-in", "soon"), "no duration"),
        (("--start-at", "whenever"), "no moment"),
    ):
        refused = penstock("deployment", "run", full, *arguments)
        assert refused.status == 1
        assert words in refused.err
    assert penstock("deployment", "run").status == 2


def test_watching_a_run_that_does_not_come(server: ServerProcess, penstock: Cli) -> None:
    full = deploy(server, "watched")
    done = penstock("deployment", "run", full, "--watch", "--watch-timeout", "1")
    assert done.status == 1
    assert "is Scheduled" in done.out
    assert "after 1 s" in done.err


def test_pause_and_resume(server: ServerProcess, penstock: Cli) -> None:
    full = deploy(server, "paused")
    assert penstock("deployment", "pause", full).status == 0
    assert penstock("deployment", "inspect", full, "-o", "json").json["paused"] is True
    assert penstock("deployment", "resume", full).status == 0
    assert penstock("deployment", "inspect", full, "-o", "json").json["paused"] is False


def test_schedules(server: ServerProcess, penstock: Cli) -> None:
    full = deploy(server, "scheduled")

    def listed() -> dict[str, bool]:
        found = penstock("deployment", "schedule", "ls", full, "-o", "json").json
        return {one["id"]: one["active"] for one in found}

    [first] = listed()
    for how in (("--interval", "3600"), ("--rrule", "FREQ=DAILY;BYHOUR=5")):
        assert penstock("deployment", "schedule", "create", full, *how).status == 0
    text = penstock("deployment", "schedule", "ls", full).out
    assert "cron 0 3 * * *" in text and "every 1:00:00" in text and "FREQ=DAILY" in text
    refused = penstock("deployment", "schedule", "create", full, "--cron", "0 0 31 2 *")
    assert (refused.status, "cannot be used" in refused.err) == (1, True)
    assert penstock("deployment", "schedule", "create", full).status == 2
    assert penstock("deployment", "schedule", "pause", full, first).status == 0
    assert listed()[first] is False
    assert penstock("deployment", "schedule", "resume", full, first).status == 0
    assert listed()[first] is True
    assert penstock("deployment", "schedule", "delete", full, first).status == 0
    assert first not in listed()
    replaced = penstock(
        "deployment", "schedule", "create", full, "--cron", "5 5 * * *", "--replace"
    )
    assert (replaced.status, len(listed())) == (0, 1)
    assert penstock("deployment", "schedule", "pause", "--all").status == 0
    assert set(listed().values()) == {False}
    assert penstock("deployment", "schedule", "resume", "--all").status == 0
    assert set(listed().values()) == {True}
    assert penstock("deployment", "schedule", "clear", full, "-y").status == 0
    assert listed() == {}


def test_the_clients_methods(server: ServerProcess) -> None:
    deploy(server, "client")
    with (
        temporary_settings({"PENSTOCK_API_URL": server.api}),
        get_client(sync_client=True) as api,
    ):
        found = api.read_deployment_by_name("etl/client")
        [schedule] = api.read_deployment_schedules(found.id)
        assert schedule.schedule == CronSchedule(cron="0 3 * * *")
        api.update_deployment_schedule(found.id, schedule.id, active=False)
        [added] = api.create_deployment_schedules(
            found.id, [(CronSchedule(cron="1 * * * *"), True)]
        )
        assert {one.id: one.active for one in api.read_deployment_schedules(found.id)} == {
            schedule.id: False,
            added.id: True,
        }
        api.delete_deployment_schedule(found.id, added.id)
        api.update_deployment(found.id, DeploymentUpdate(description="new"))
        api.pause_deployment(found.id)
        changed = api.read_deployment(found.id)
        assert (changed.description, changed.paused) == ("new", True)
        api.resume_deployment(found.id)
        run = api.create_flow_run_from_deployment(found.id, parameters={"x": 7}, tags=["t"])
        assert (run.parameters, run.deployment_id) == ({"x": 7}, found.id)
        due = api.get_scheduled_flow_runs_for_deployments([found.id])
        assert run.id in {one.id for one in due}
        assert found.id in {one.id for one in api.read_deployments()}
        with pytest.raises(ValueError, match="<flow>/<deployment>"):
            api.read_deployment_by_name("client")
        api.delete_deployment(found.id)
        assert found.id not in {one.id for one in api.read_deployments()}
