"""Running steps: one after the other, each with the outputs of those before it."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from penstock.base.dual import Steps, run_aio
from penstock.deployments.steps.requirements import install_missing
from penstock.deployments.templating import apply_values, resolved_blocks, resolved_variables
from penstock.events.utilities import emit_event
from penstock.schemas.errors import PenstockException

RESERVED_KEYWORDS = {"id", "requires"}
# The names under which deployments of the contract know the functions of this package.
_OTHER_NAMES = {"prefect.deployments.": "penstock.deployments."}


class StepExecutionError(PenstockException):
    """A step failed; `__cause__` is what it raised."""

    code = "step_failed"


async def run_steps(
    steps: list[dict[str, Any]],
    upstream_outputs: dict[str, Any] | None = None,
    print_function: Callable[[str], Any] = print,
    deployment: Any = None,
    flow_run: Any = None,
    logger: Any = None,
) -> dict[str, Any]:
    """Run the steps in order; the outputs of all, on top of `upstream_outputs`.

    A step's outputs are known to those after it by their names, and under its `id`. The first
    failure ends it with `StepExecutionError`, which says which step. With `flow_run`, each step
    is told as an event, with its inputs as they are written, so that no secret is in it.
    """
    outputs = dict(upstream_outputs or {})
    for index, step in enumerate(steps):
        if not step:
            continue
        name, inputs = _parts(step)
        print_function(f" > Running {name} step...")
        try:
            result = await run_step(step, outputs)
        except Exception as error:
            _tell(flow_run, deployment, "failed", index, name, inputs, logger)
            raise StepExecutionError(
                f"step {index + 1}, {name}, failed: {error or type(error).__name__}"
            ) from error
        _tell(flow_run, deployment, "executed", index, name, inputs, logger)
        if isinstance(result, Mapping):
            if inputs.get("id"):
                outputs[inputs["id"]] = result
            outputs.update(result)
    return outputs


async def run_step(
    step: dict[str, Any], upstream_outputs: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Run one step and return its outputs.

    Its inputs are filled in from earlier outputs, then blocks, then variables, with the
    environment. The packages it `requires` are installed when they are missing. The function may
    be plain or a coroutine function; it runs on a thread of its own.
    """
    name, inputs = _parts(step)
    inputs = await run_aio(_filled_in(inputs, upstream_outputs or {}))
    given = {key: value for key, value in inputs.items() if key not in RESERVED_KEYWORDS}
    required = inputs.get("requires")
    return await asyncio.to_thread(_call, name, given, required)


def _parts(step: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(step, Mapping) or len(step) != 1:
        raise ValueError(
            "a step is a mapping with one key, the full name of a function, to its inputs; "
            f"this one is {sorted(map(str, step)) if isinstance(step, Mapping) else step!r}"
        )
    name, inputs = next(iter(step.items()))
    if not isinstance(inputs, Mapping | None):
        raise ValueError(f"the inputs of the step {name} are no mapping")
    return str(name), dict(inputs or {})


def _filled_in(inputs: dict[str, Any], outputs: Mapping[str, Any]) -> Steps[dict[str, Any]]:
    filled = apply_values(inputs, outputs, remove_notset=False)
    filled = yield from resolved_blocks(filled)
    return (yield from resolved_variables(filled))


def _call(name: str, inputs: dict[str, Any], required: Any) -> Any:
    if required:
        install_missing([required] if isinstance(required, str) else list(required))
    result = step_function(name)(**inputs)
    if inspect.isawaitable(result):
        return asyncio.run(_awaited(result))
    return result


async def _awaited(result: Any) -> Any:
    return await result


def step_function(name: str) -> Callable[..., Any]:
    """The function that a step names. Raises `ValueError` when there is none."""
    for other, own in _OTHER_NAMES.items():
        if name.startswith(other):
            name = own + name.removeprefix(other)
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ValueError(f"{name!r} is no step; give the full name of a function: package.function")
    try:
        function = getattr(import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the step {name} cannot be imported: {error}; install the package it is in, or name "
            "it under `requires`"
        ) from error
    if not callable(function):
        raise ValueError(f"the step {name} does not exist: {module} has no function {attribute!r}")
    return function


def _tell(
    flow_run: Any,
    deployment: Any,
    outcome: str,
    index: int,
    name: str,
    inputs: dict[str, Any],
    logger: Any,
) -> None:
    if logger is not None:
        logger.info("Pull step %s %s.", name, outcome)
    if flow_run is None:
        return
    related = []
    if deployment is not None:
        related.append(
            {
                "prefect.resource.id": f"prefect.deployment.{deployment.id}",
                "prefect.resource.role": "deployment",
                "prefect.resource.name": deployment.name,
            }
        )
    emit_event(
        f"prefect.flow-run.pull-step.{outcome}",
        resource={
            "prefect.resource.id": f"prefect.flow-run.{flow_run.id}",
            "prefect.resource.name": str(getattr(flow_run, "name", "") or ""),
        },
        related=related,
        payload={
            "index": index,
            "qualified_name": name,
            "step_name": name.rpartition(".")[2],
            "id": inputs.get("id"),
            "inputs": inputs,
        },
    )
