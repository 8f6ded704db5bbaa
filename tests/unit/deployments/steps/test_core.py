"""Running steps: order, outputs, failures, what is told of them."""

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from penstock.deployments.steps import core
from penstock.deployments.steps.core import StepExecutionError, run_step, run_steps, step_function
from penstock.deployments.steps.requirements import install_missing


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of steps named `mine`."""
    module = ModuleType("mine")

    def give(**values: Any) -> dict[str, Any]:
        return values

    async def give_later(**values: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return values

    def fail(message: str) -> None:
        raise ValueError(message)

    module.give, module.give_later, module.fail = give, give_later, fail  # type: ignore[attr-defined]
    module.nothing = lambda: "no mapping"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine", module)
    yield module


def ran(listed: list[dict[str, Any]], before: dict[str, Any] | None = None, **more: Any) -> Any:
    return asyncio.run(run_steps(listed, before, print_function=lambda _: None, **more))


@pytest.mark.usefixtures("steps")
def test_outputs_are_known_to_later_steps_by_name_and_by_id() -> None:
    outputs = ran(
        [
            {"mine.give": {"id": "first", "a": 1, "b": ["x"]}},
            {"mine.give_later": {"c": "{{ a }}", "d": "{{ first.b[0] }}-{{ zero }}"}},
            {},
            {"mine.nothing": None},
        ],
        {"zero": 0},
    )
    assert outputs == {
        "zero": 0, "first": {"a": 1, "b": ["x"]}, "a": 1, "b": ["x"], "c": 1, "d": "x-0",
    }  # fmt: skip


@pytest.mark.usefixtures("steps")
def test_a_failure_names_the_step_and_ends_the_others() -> None:
    with pytest.raises(StepExecutionError, match=r"step 1, mine.fail, failed: broken") as failure:
        ran([{"mine.fail": {"message": "broken"}}, {"mine.give": {}}])
    assert isinstance(failure.value.__cause__, ValueError)


@pytest.mark.usefixtures("steps")
def test_each_step_of_a_run_is_an_event_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(core, "emit_event", lambda name, **body: told.append((name, body)))
    monkeypatch.setenv("STEP_SECRET", "hunter22")
    run = SimpleNamespace(id="r-1", name="run")
    with pytest.raises(StepExecutionError):
        ran(
            [
                {"mine.give": {"id": "x", "t": "{{ $STEP_SECRET }}"}},
                {"mine.fail": {"message": "m"}},
            ],
            deployment=SimpleNamespace(id="d-1", name="deployment"),
            flow_run=run,
        )
    assert [name for name, _ in told] == [
        "prefect.flow-run.pull-step.executed",
        "prefect.flow-run.pull-step.failed",
    ]
    assert told[0][1]["payload"] == {
        "index": 0,
        "qualified_name": "mine.give",
        "step_name": "give",
        "id": "x",
        "inputs": {"id": "x", "t": "{{ $STEP_SECRET }}"},
    }
    assert told[0][1]["related"][0]["prefect.resource.id"] == "prefect.deployment.d-1"
    assert "hunter22" not in str(told)


@pytest.mark.parametrize("step", [{"a.b": {}, "c.d": {}}, "text", {"a.b": "text"}, {"a": {}}])
def test_what_is_no_step_is_refused(step: Any) -> None:
    with pytest.raises(ValueError, match="step"):
        asyncio.run(run_step(step))


def test_both_spellings_name_the_same_functions() -> None:
    names = ("set_working_directory", "git_clone", "run_shell_script", "pull_with_block")
    for name in names:
        own = step_function(f"penstock.deployments.steps.{name}")
        assert step_function(f"prefect.deployments.steps.{name}") is own
    with pytest.raises(ValueError, match="has no function 'nope'"):
        step_function("prefect.deployments.steps.nope")
    with pytest.raises(ValueError, match="install the package it is in"):
        step_function("not_there_at_all.steps.x")


def test_what_is_there_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    target = "penstock.deployments.steps.requirements.run_installer"
    monkeypatch.setattr(target, lambda *arguments: asked.append(arguments))
    install_missing(["click>=8", "msgspec"])
    assert asked == []
    with pytest.raises(ImportError):
        install_missing(["prefect-docker", "click"])
    assert asked == [("install", "prefect[docker]")]
    with pytest.raises(ValueError, match="no requirement"):
        install_missing(["--index-url=x"])
