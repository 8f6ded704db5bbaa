"""What the current run is, as attributes of modules."""

from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import pytest

import penstock.runtime
from penstock.base.run_context import RunContext, running
from penstock.runtime import deployment, fields, flow_run, task_run
from penstock.settings import temporary_settings

RUN, STUB, PARENT, ROOT_STUB, ROOT = (UUID(int=i) for i in range(1, 6))
FLOW, DEPLOYMENT = UUID(int=10), UUID(int=11)
THEN = datetime(2026, 3, 1, tzinfo=UTC)


def a_flow_run(**given):
    return SimpleNamespace(
        **{
            "id": RUN,
            "name": "quick-fox",
            "tags": ["a", "b"],
            "expected_start_time": THEN,
            "flow_id": FLOW,
            "flow_version": "v0",
            "parameters": {"x": "<Thing>"},
            "parent_task_run_id": None,
            "deployment_id": None,
            "run_count": 2,
            "job_variables": {"cpu": 1},
            **given,
        }
    )


OBJECTS = {
    ("read_flow_run", RUN): a_flow_run(parent_task_run_id=STUB, deployment_id=DEPLOYMENT),
    ("read_task_run", STUB): SimpleNamespace(flow_run_id=PARENT),
    ("read_flow_run", PARENT): a_flow_run(parent_task_run_id=ROOT_STUB, deployment_id=DEPLOYMENT),
    ("read_task_run", ROOT_STUB): SimpleNamespace(flow_run_id=ROOT),
    ("read_flow_run", ROOT): a_flow_run(id=ROOT),
    ("read_flow", FLOW): SimpleNamespace(name="my-flow"),
    ("read_deployment", DEPLOYMENT): SimpleNamespace(name="prod", parameters={"x": 1}, version="7"),
}


@pytest.fixture(autouse=True)
def api(monkeypatch):
    """An API that knows `OBJECTS`; gives the list of what was asked."""
    asked = []

    def ask(request):
        asked.append((request.operation, *request.path))
        return OBJECTS[(request.operation, UUID(request.path[0]))]

    monkeypatch.setattr(fields.Request, "sync", ask)
    fields.read.cache_clear()
    yield asked
    fields.read.cache_clear()


@pytest.fixture
def in_flow():
    context = RunContext(
        flow=SimpleNamespace(name="my-flow", version="v1"),
        flow_run=a_flow_run(),
        parameters={"x": 5},
    )
    context.flow_context = context
    with running(context):
        yield context


def test_in_a_flow_everything_comes_from_the_context(in_flow, api):
    assert flow_run.id == str(RUN)
    assert flow_run.name == "quick-fox"
    assert flow_run.tags == ["a", "b"]
    assert flow_run.scheduled_start_time == THEN
    assert flow_run.flow_name == "my-flow"
    assert flow_run.flow_version == "v1"
    assert flow_run.parameters == {"x": 5}
    assert flow_run.run_count == 2
    assert flow_run.job_variables == {"cpu": 1}
    assert flow_run.parent_flow_run_id is None
    assert flow_run.parent_deployment_id is None
    assert flow_run.root_flow_run_id == str(RUN)
    assert deployment.id is None
    assert deployment.flow_run_id == str(RUN)
    assert task_run.id is None
    assert api == []


def test_in_a_task_both_runs_are_known(in_flow):
    context = RunContext(
        task=SimpleNamespace(name="add"),
        task_run=SimpleNamespace(id=STUB, name="add-1", tags={"t"}, run_count=3),
        flow=in_flow.flow,
        flow_run=in_flow.flow_run,
        parameters={"y": 1},
        flow_context=in_flow,
    )
    with running(context):
        assert task_run.id == str(STUB)
        assert task_run.name == "add-1"
        assert task_run.tags == ["t"]
        assert task_run.run_count == 3
        assert task_run.task_name == "add"
        assert task_run.parameters == {"y": 1}
        assert flow_run.id == str(RUN)
        assert flow_run.parameters == {"x": 5}


def test_outside_of_runs_everything_is_empty():
    assert {name: getattr(task_run, name) for name in task_run.FIELDS} == {
        "id": None,
        "tags": [],
        "name": None,
        "parameters": {},
        "run_count": 0,
        "task_name": None,
        "api_url": None,
        "ui_url": None,
    }
    assert flow_run.id is None
    assert flow_run.tags == []
    assert flow_run.parameters == {}
    assert flow_run.run_count == 0
    assert flow_run.flow_name is None
    assert flow_run.root_flow_run_id is None
    assert flow_run.scheduled_start_time.tzinfo is not None
    assert deployment.id is None
    assert deployment.parameters == {}


@pytest.mark.parametrize("name", ["PENSTOCK__FLOW_RUN_ID", "PREFECT__FLOW_RUN_ID"])
def test_a_process_started_for_a_run_reads_it_from_the_api_once(name, monkeypatch, api):
    monkeypatch.setenv(name, str(RUN))
    assert flow_run.id == str(RUN)
    assert api == []
    assert flow_run.name == "quick-fox"
    assert flow_run.flow_name == "my-flow"
    assert flow_run.flow_version == "v0"
    assert flow_run.parameters == {"x": "<Thing>"}
    assert flow_run.parent_flow_run_id == str(PARENT)
    assert flow_run.parent_deployment_id == str(DEPLOYMENT)
    assert flow_run.root_flow_run_id == str(ROOT)
    assert deployment.id == str(DEPLOYMENT)
    assert deployment.name == "prod"
    assert deployment.version == "7"
    assert deployment.parameters == {"x": 1}
    assert len(api) == len(set(api))


def test_addresses_lead_to_paths_that_exist(in_flow):
    """Regression: the peer's addresses lead to paths that neither its API nor its UI has."""
    with temporary_settings(
        {"PENSTOCK_API_URL": "http://host:4200/api", "PENSTOCK_UI_URL": "http://host:4200"}
    ):
        assert flow_run.api_url == f"http://host:4200/api/flow_runs/{RUN}"
        assert flow_run.ui_url == f"http://host:4200/runs/flow-run/{RUN}"
        with running(RunContext(task_run=SimpleNamespace(id=STUB))):
            assert task_run.api_url == f"http://host:4200/api/task_runs/{STUB}"
            assert task_run.ui_url == f"http://host:4200/runs/task-run/{STUB}"
    with temporary_settings({"PENSTOCK_API_URL": "", "PENSTOCK_UI_URL": ""}):
        assert flow_run.api_url is None
        assert flow_run.ui_url is None


@pytest.mark.parametrize("prefix", ["PENSTOCK", "PREFECT"])
def test_the_environment_overrides_with_the_type_of_the_real_value(prefix, monkeypatch, in_flow):
    overrides = {
        "FLOW_RUN__NAME": ("mocked", "mocked"),
        "FLOW_RUN__RUN_COUNT": ("17", 17),
        "FLOW_RUN__SCHEDULED_START_TIME": (
            "2026-05-01T10:00:00",
            datetime(2026, 5, 1, 10, tzinfo=UTC),
        ),
        "FLOW_RUN__TAGS": ('["x"]', ["x"]),
        "FLOW_RUN__PARAMETERS": ('{"x": 2}', {"x": 2}),
        "FLOW_RUN__PARENT_FLOW_RUN_ID": ("some-id", "some-id"),
        "DEPLOYMENT__NAME": ("d", "d"),
        "TASK_RUN__RUN_COUNT": ("3", 3),
    }
    for name, (text, expected) in overrides.items():
        monkeypatch.setenv(f"{prefix}__RUNTIME__{name}", text)
        group, field = name.lower().split("__")
        assert getattr(getattr(penstock.runtime, group), field) == expected


def test_an_instant_with_another_offset_is_moved_to_utc(monkeypatch):
    monkeypatch.setenv(
        "PENSTOCK__RUNTIME__FLOW_RUN__SCHEDULED_START_TIME", "2026-05-01T10:00:00+02:00"
    )
    assert flow_run.scheduled_start_time == datetime(2026, 5, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("1", True), ("False", False), ("no", False)]
)
def test_booleans_are_read_by_their_words(text, expected):
    assert fields.type_cast[bool](text) is expected


def test_a_value_of_another_type_cannot_be_overridden(monkeypatch):
    monkeypatch.setenv("PENSTOCK__RUNTIME__FLOW_RUN__THING", "x")
    with pytest.raises(ValueError, match="patch the attribute"):
        fields.field("flow_run", "thing", {"thing": object})


@pytest.mark.parametrize("module", [flow_run, task_run, deployment])
def test_the_modules_name_their_attributes(module):
    assert set(module.FIELDS) <= set(module.__all__)
    assert dir(module) == sorted(module.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = module.nothing
    with pytest.raises(AttributeError):
        _ = penstock.runtime.nothing


def test_an_attribute_can_be_patched(monkeypatch):
    monkeypatch.setattr(flow_run, "name", "patched", raising=False)
    assert flow_run.name == "patched"
