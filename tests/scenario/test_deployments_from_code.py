"""Deployments as code declares them, sent to a server in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock import flow
from penstock.deployments import deploy, run_deployment
from penstock.deployments.frozen import freeze
from penstock.deployments.runner import (
    ConcurrencyLimitConfig,
    DeploymentApplyError,
    RunnerDeployment,
)
from penstock.schedules import Cron, Interval
from penstock.schemas.automations import RunDeployment
from penstock.schemas.deployments import ConcurrencyLimitStrategy
from penstock.schemas.errors import ObjectNotFound
from penstock.schemas.states import StateType
from penstock.schemas.work import WorkPoolCreate
from penstock.types.entrypoint import EntrypointType


@flow(version="1", description="Loads a table.")
def load(table: str, rows: int = 10) -> int:
    return rows


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path_factory.mktemp("api")) as api:
        api.client.create_work_pool(WorkPoolCreate(name="local", type="process"))
        yield api


def stored(api: EmbeddedApi, name: str) -> Any:
    return api.client.read_deployment_by_name(f"load/{name}")


def test_a_deployment_takes_from_the_flow_what_it_does_not_say(api: EmbeddedApi) -> None:
    load.to_deployment("plain", parameters={"table": "t"}, tags=["b", "a"]).apply()
    made = stored(api, "plain")
    assert made.description == "Loads a table."
    assert (made.parameters, made.tags) == ({"table": "t"}, ["b", "a"])
    assert made.entrypoint.endswith("test_deployments_from_code.py:load")
    assert made.parameter_openapi_schema["required"] == ["table"]
    assert made.work_pool_name is None


def test_schedules_stay_unless_others_are_given(api: EmbeddedApi) -> None:
    first = load.to_deployment("timed", cron="0 3 * * *", parameters={"table": "t"})
    id = first.apply()
    (before,) = stored(api, "timed").schedules
    assert load.to_deployment("timed", parameters={"table": "u"}).apply() == id
    (after,) = stored(api, "timed").schedules
    assert (after.id, stored(api, "timed").parameters) == (before.id, {"table": "u"})
    load.to_deployment("timed", schedules=[]).apply()
    assert stored(api, "timed").schedules == []


def test_a_schedule_is_found_again_by_its_slug(api: EmbeddedApi) -> None:
    both = [Cron("0 3 * * *", slug="night"), Interval(3600, slug="hourly", parameters={"rows": 1})]
    load.to_deployment("slugs", schedules=both, parameters={"table": "t"}).apply()
    ids = {one.slug: one.id for one in stored(api, "slugs").schedules}
    changed = [Cron("0 4 * * *", slug="night"), both[1]]
    load.to_deployment("slugs", schedules=changed, parameters={"table": "t"}).apply()
    after = {one.slug: one for one in stored(api, "slugs").schedules}
    assert {slug: one.id for slug, one in after.items()} == ids
    assert after["night"].schedule.cron == "0 4 * * *"
    assert after["hourly"].parameters == {"rows": 1}


def test_limits_and_frozen_parameters(api: EmbeddedApi) -> None:
    limit = ConcurrencyLimitConfig(2, ConcurrencyLimitStrategy.CANCEL_NEW)
    load.to_deployment(
        "limited", concurrency_limit=limit, parameters={"table": freeze("t")}
    ).apply()
    made = stored(api, "limited")
    assert made.global_concurrency_limit.limit == 2
    assert made.concurrency_options.collision_strategy is ConcurrencyLimitStrategy.CANCEL_NEW
    assert made.parameters == {"table": "t"}
    described = made.parameter_openapi_schema["properties"]["table"]
    assert (described["readOnly"], described["enum"]) == (True, ["t"])


def test_triggers_become_automations_of_the_deployment(api: EmbeddedApi) -> None:
    trigger = {"expect": ["table.changed"], "parameters": {"table": "x"}}
    deployment = load.to_deployment("triggered", triggers=[trigger])
    id = deployment.apply()
    deployment.apply()
    (automation,) = api.client.read_resource_related_automations(f"prefect.deployment.{id}")
    assert automation.name == "triggered__automation_1"
    (action,) = automation.actions
    assert isinstance(action, RunDeployment)
    assert action.deployment_id == id
    load.to_deployment("triggered").apply()
    assert api.client.read_resource_related_automations(f"prefect.deployment.{id}") == []


@pytest.mark.parametrize(
    "options",
    [{"work_queue_name": "q"}, {"job_variables": {"a": 1}}],
)
def test_what_is_for_a_pool_needs_one(api: EmbeddedApi, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no work pool"):
        load.to_deployment("poolless", **options).apply()


def test_only_one_way_to_say_when(api: EmbeddedApi) -> None:
    with pytest.raises(ValueError, match="exactly one of"):
        load.to_deployment("confused", cron="0 3 * * *", interval=60)


def test_what_the_server_refuses_is_told(api: EmbeddedApi) -> None:
    with pytest.raises(DeploymentApplyError, match="refused deployment 'load/bad'"):
        load.to_deployment("bad", cron="99 * * * *").apply()


def test_a_flow_that_was_made_interactively_is_refused() -> None:
    space: dict[str, Any] = {"flow": flow}
    exec("@flow\ndef typed():\n    pass\n", space)
    with pytest.raises(ValueError, match="made interactively"):
        RunnerDeployment.from_flow(space["typed"], "d")


def test_deploy_sends_to_a_pool_and_says_what_became_of_each(
    api: EmbeddedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    good = load.to_deployment("good", job_variables={"env": {"A": "1"}})
    bad = load.to_deployment("not-good", cron="99 * * * *")
    ids = deploy(good, bad, work_pool_name="local", ignore_warnings=True)
    made = stored(api, "good")
    assert ids == [made.id]
    assert (made.work_pool_name, made.job_variables) == ("local", {"env": {"A": "1"}})
    assert made.path == str(Path.cwd())
    printed = capsys.readouterr().out
    assert "load/good" in printed
    assert "load/not-good" in printed
    with pytest.raises(DeploymentApplyError):
        deploy(bad, work_pool_name="local", ignore_warnings=True)
    with pytest.raises(ValueError, match="does not exist"):
        deploy(good, work_pool_name="nowhere")


def test_a_pool_elsewhere_needs_code_it_can_get(api: EmbeddedApi, tmp_path: Path) -> None:
    api.client.create_work_pool(WorkPoolCreate(name="boxes", type="docker"))
    with pytest.raises(ValueError, match="nothing says where a worker finds the code"):
        load.deploy("remote", work_pool_name="boxes")
    load.deploy(
        "remote",
        work_pool_name="boxes",
        print_next_steps=False,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert stored(api, "remote").entrypoint.endswith("test_deployments_from_code:load")
    assert stored(api, "remote").path is None


def test_a_flow_from_elsewhere_is_pulled_by_its_runs(api: EmbeddedApi, tmp_path: Path) -> None:
    (tmp_path / "away.py").write_text(
        "from penstock import flow\n\n\n@flow(name='load')\ndef far():\n    pass\n"
    )
    far = flow.from_source(str(tmp_path), "away.py:far")
    far.deploy("far", work_pool_name="local", ignore_warnings=True, print_next_steps=False)
    made = stored(api, "far")
    assert made.entrypoint == "away.py:far"
    assert made.pull_steps == [
        {"prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}
    ]
    assert made.path is None


def test_a_run_of_a_deployment_without_waiting(api: EmbeddedApi) -> None:
    load.to_deployment("asked", parameters={"table": "t"}, tags=["d"]).apply()
    run = run_deployment("load/asked", parameters={"rows": 2}, timeout=0, tags=["r"])
    assert run.state_type is StateType.SCHEDULED
    assert (run.parameters, set(run.tags)) == ({"table": "t", "rows": 2}, {"d", "r"})
    late = run_deployment("load/asked", timeout=0.1)
    assert late.state_type is StateType.SCHEDULED
    with pytest.raises(ValueError, match="cannot be negative"):
        run_deployment("load/asked", timeout=-1)
    with pytest.raises(ValueError, match="names no deployment"):
        run_deployment("asked")
    with pytest.raises(ObjectNotFound):
        run_deployment("load/nothing", timeout=0)


def test_a_run_inside_a_flow_is_a_subflow(api: EmbeddedApi) -> None:
    load.to_deployment("child", parameters={"table": "t"}).apply()

    @flow
    def parent() -> Any:
        inside = run_deployment("load/child", timeout=0)
        outside = run_deployment("load/child", timeout=0, as_subflow=False)
        return inside.id, outside.id

    inside, outside = parent()
    run = api.client.read_flow_run(inside)
    assert run.parent_task_run_id is not None
    stub = api.task_run(run.parent_task_run_id)
    assert stub.flow_run_id == api.flow_run("parent").id
    assert api.client.read_flow_run(outside).parent_task_run_id is None
