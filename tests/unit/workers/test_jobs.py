"""From a base job template and job variables to a job configuration."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.worker_types import BASE_JOB_TEMPLATES
from penstock.workers.base import BaseJobConfiguration, BaseWorker, BaseWorkerResult
from penstock.workers.jobs import merged_variables, resolved_configuration
from penstock.workers.process import ProcessJobConfiguration, ProcessWorker

TEMPLATE: dict[str, Any] = {
    "job_configuration": {
        "name": "{{ name }}",
        "env": "{{ env }}",
        "image": "registry/{{ image }}:{{ tag }}",
        "limits": "{{ limits }}",
        "missing": "{{ missing }}",
    },
    "variables": {
        "properties": {
            "name": {"default": None},
            "image": {"default": "base"},
            "tag": {"default": "1"},
            "env": {"default": {"A": "template", "B": "template"}},
            "limits": {"default": {"cpu": 1, "memory": {"soft": 1}}},
        }
    },
}


def test_later_layers_win_and_environments_are_merged() -> None:
    values = merged_variables(
        TEMPLATE,
        {"image": "mine", "env": {"B": "deployment", "C": "deployment"}},
        {"env": {"C": "run"}, "tag": "2"},
    )
    assert values["env"] == {"A": "template", "B": "deployment", "C": "run"}
    assert (values["image"], values["tag"]) == ("mine", "2")
    assert "name" not in values


def test_dotted_names_set_what_is_inside() -> None:
    values = merged_variables(TEMPLATE, {"limits.memory.hard": 2}, {"limits": {"cpu": 3}})
    assert values["limits"] == {"cpu": 3}
    values = merged_variables(TEMPLATE, {"limits": {"cpu": 3}}, {"limits.memory.hard": 2})
    assert values["limits"] == {"cpu": 3, "memory": {"hard": 2}}


def test_layers_leave_the_template_as_it_is() -> None:
    merged_variables(TEMPLATE, {"limits.cpu": 9, "env": {"A": "x"}})
    defaults = TEMPLATE["variables"]["properties"]
    assert defaults["limits"]["default"] == {"cpu": 1, "memory": {"soft": 1}}
    assert defaults["env"]["default"]["A"] == "template"


def test_variables_go_into_the_configuration_and_missing_ones_leave_no_trace() -> None:
    found = asyncio.run(resolved_configuration(TEMPLATE, {"tag": "3"}))
    assert found == {
        "env": {"A": "template", "B": "template"},
        "image": "registry/base:3",
        "limits": {"cpu": 1, "memory": {"soft": 1}},
    }


def run() -> FlowRun:
    return FlowRun(id=uuid4(), created=None, updated=None, flow_id=uuid4(), name="brave-ox")


def test_a_configuration_knows_its_run() -> None:
    made = run()
    configuration = ProcessJobConfiguration(
        name="job-{{ ctx.flow_run.name }}", env={"MINE": "1", "PREFECT__WORKER_NAME": "other"}
    )
    configuration.prepare_for_flow_run(made, worker_name="w")
    assert configuration.name == "job-brave-ox"
    assert configuration.env["PENSTOCK__FLOW_RUN_ID"] == str(made.id)
    assert configuration.env["PREFECT__WORKER_NAME"] == "other"
    assert configuration.labels["prefect.io/flow-run-name"] == "brave-ox"
    assert not configuration.command


def test_numbers_in_the_environment_become_text() -> None:
    given: Any = {"N": 1, "GONE": None, "T": True}
    assert ProcessJobConfiguration(env=given).env == {"N": "1", "GONE": None, "T": "True"}


@pytest.mark.parametrize(
    ("fields", "fresh"),
    [
        ({}, False),
        ({"fresh_interpreter": True}, True),
        ({"env": {"PENSTOCK_RUNNER_FRESH_INTERPRETER": "true"}}, True),
        ({"env": {"PENSTOCK_RUNNER_FRESH_INTERPRETER": "false"}}, False),
    ],
)
def test_a_fresh_interpreter_is_asked_for(fields: dict[str, Any], fresh: bool) -> None:
    assert ProcessJobConfiguration(**fields).is_fresh is fresh


def test_a_worker_of_ones_own_is_found_by_its_type_and_describes_its_jobs() -> None:
    class BoxConfiguration(BaseJobConfiguration):
        size: int = 3

    class BoxWorker(BaseWorker[Any, Any, Any]):
        type = "box-of-this-test"
        job_configuration = BoxConfiguration

        async def run(self, flow_run: Any, configuration: Any, task_status: Any = None) -> Any:
            return BaseWorkerResult

    assert BaseWorker.get_worker_class_from_type("box-of-this-test") is BoxWorker
    assert BaseWorker.get_worker_class_from_type("process") is ProcessWorker
    assert "process" in BaseWorker.get_all_available_worker_types()
    template = BoxWorker.get_default_base_job_template()
    assert template["job_configuration"]["size"] == "{{ size }}"
    assert template["variables"]["properties"]["size"]["default"] == 3
    assert ProcessWorker.get_default_base_job_template() == BASE_JOB_TEMPLATES["process"]


def test_names_that_would_break_paths_are_refused() -> None:
    with pytest.raises(ValueError, match="must not contain"):
        ProcessWorker("pool", name="a/b")
