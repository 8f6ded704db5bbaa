"""A flow run in the process that was started for it: get the code, load the flow, run it.

Exit codes: 0 when the run got an outcome or the server wants no more of it, 1 when it could not
be run or its process crashed.
"""

import asyncio
import base64
import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import cloudpickle

from penstock.base import json
from penstock.base.dual import run_coroutine
from penstock.client import get_client
from penstock.engine import signals, telemetry
from penstock.flows import Flow, load_flow_from_entrypoint, run_flow
from penstock.logging import flow_run_logger, flush_logs, get_logger
from penstock.runner.dependencies import INSTALLED, install_command
from penstock.runner.workspace import Workspace, prepare
from penstock.schemas.deployments import Deployment
from penstock.schemas.errors import (
    Abort,
    ObjectNotFound,
    Pause,
    PenstockException,
    TerminationSignal,
)
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.states import SetStateBody, StateCreate, StateType
from penstock.settings import refresh_settings

FLUSH_SECONDS = 10.0


def environment_variable(name: str) -> str | None:
    """`PENSTOCK__<name>` or `PREFECT__<name>`."""
    return os.environ.get(f"PENSTOCK__{name}") or os.environ.get(f"PREFECT__{name}")


def run_forked(start: Any, flow: Flow[..., Any] | None) -> int:
    """Run what a launcher was asked to start, in a process that was just forked from it."""
    refresh_settings()
    signals.set_intent(None)
    if "" not in sys.path:
        # As in an interpreter of its own: what lies in the working directory can be imported.
        sys.path.insert(0, "")
    for entry in reversed(os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        if entry and entry not in sys.path:
            sys.path.insert(1, entry)
    run = json.decode(start.run, FlowRun) if start.run else None
    deployment = json.decode(start.deployment, Deployment) if start.deployment else None
    if flow is None and start.flow:
        flow = cloudpickle.loads(base64.b64decode(start.flow))
    if of := environment_variable("RUN_HOOKS"):
        return run_final_hooks(of, deployment=deployment, entrypoint=start.entrypoint, flow=flow)
    return run_flow_run(
        start.run_id, flow_run=run, deployment=deployment, entrypoint=start.entrypoint, flow=flow
    )


def run_flow_run(
    id: str,
    *,
    flow_run: FlowRun | None = None,
    deployment: Deployment | None = None,
    entrypoint: str | None = None,
    flow: Flow[..., Any] | None = None,
) -> int:
    """Run the flow run with this id here; returns the exit code.

    What is not given is asked of the API: the run, and its deployment with its entrypoint.
    """
    logger: Any = get_logger("engine")
    entrypoint = entrypoint or environment_variable("FLOW_ENTRYPOINT")
    try:
        run = flow_run or get_client(sync_client=True).read_flow_run(UUID(id))
    except (PenstockException, ValueError) as error:
        logger.error("Flow run %s could not be run: %s", id, error)
        return 1
    try:
        logger = flow_run_logger(run, flow)
        if flow is None:
            flow = _load(run, deployment, entrypoint, logger)
        state: Any = run_flow(flow, flow_run=run, return_state=not flow.isgenerator)
        if flow.isgenerator:
            _exhaust(flow, state)
        elif flow.isasync:
            asyncio.run(state)
    except Abort as signal:
        logger.info("Flow run %s was not run: %s", id, signal)
    except Pause as signal:
        logger.info("Flow run %s is paused and this process ends: %s", id, signal)
    except TerminationSignal:
        if signals.intent() is None:
            raise
        # The run was told why, and its state says it.
    except Exception as error:  # Supervision: whatever it is, the run must not stay as it is.
        _crash(run, error, logger)
        return 1
    finally:
        telemetry.flush(FLUSH_SECONDS)
        flush_logs(FLUSH_SECONDS)
    return 0


def run_final_hooks(
    id: str,
    *,
    deployment: Deployment | None = None,
    entrypoint: str | None = None,
    flow: Flow[..., Any] | None = None,
) -> int:
    """Run the hooks of a run whose own process did not live to run them."""
    logger: Any = get_logger("engine")
    try:
        run = get_client(sync_client=True).read_flow_run(UUID(id))
        logger = flow_run_logger(run, flow)
        if flow is None:
            flow = _load(run, deployment, entrypoint, logger)
        for hook in _final_hooks(flow, run):
            _call_hook(hook, flow, run, logger)
    except Exception as error:  # Supervision: code of the user, or none to be found.
        logger.error("Hooks of flow run %s were not run: %s", id, error)
        return 1
    finally:
        telemetry.flush(FLUSH_SECONDS)
        flush_logs(FLUSH_SECONDS)
    return 0


def _final_hooks(flow: Flow[..., Any], run: FlowRun) -> list[Any]:
    match run.state_type:
        case StateType.CANCELLED | StateType.CANCELLING:
            return flow.on_cancellation_hooks
        case StateType.CRASHED:
            return flow.on_crashed_hooks
    return []


def _call_hook(hook: Any, flow: Flow[..., Any], run: FlowRun, logger: Any) -> None:
    name = getattr(hook, "__name__", repr(hook))
    logger.info("Running hook %r in response to entering state %r", name, run.state_name)
    try:
        value = hook(flow, run, run.state)
        if hasattr(value, "__await__"):
            run_coroutine(value)
    except Exception:  # A hook of the user.
        logger.error("An error was encountered while running hook %r", name, exc_info=True)


def _load(
    run: FlowRun, deployment: Deployment | None, entrypoint: str | None, logger: Any
) -> Flow[..., Any]:
    """The flow of the run. Raises `MissingFlowError` and whatever its code or steps raise."""
    if deployment is None and run.deployment_id is not None and entrypoint is None:
        deployment = _deployment_of(run)
    workspace = (
        prepare(deployment, run, logger) if deployment is not None else Workspace(Path.cwd())
    )
    found = entrypoint or workspace.entrypoint(run)
    if deployment is not None:
        _go_on_with_dependencies(found, logger)
    return load_flow_from_entrypoint(found)


def _go_on_with_dependencies(entrypoint: str, logger: Any) -> None:
    """Become a process with the project's dependencies, where that is asked for and possible."""
    base = environment_variable("STORAGE_BASE_PATH")
    command, missing = install_command(
        Path.cwd(), entrypoint, workspace=Path(base) if base is not None else None
    )
    if command is None:
        if missing:
            logger.warning("Dependencies are not installed: %s", missing)
        return
    logger.info("Installing what the project in %s needs", command[4])
    telemetry.flush(FLUSH_SECONDS)
    flush_logs(FLUSH_SECONDS)
    os.environ[INSTALLED] = "true"
    os.execv(command[0], command)  # noqa: S606 - uv as found on the path


def _deployment_of(run: FlowRun) -> Deployment:
    assert run.deployment_id is not None
    try:
        return get_client(sync_client=True).read_deployment(run.deployment_id)
    except ObjectNotFound as error:
        raise ObjectNotFound(
            f"the deployment {run.deployment_id} of flow run {run.name!r} was deleted, so its "
            "code cannot be found; deploy the flow again and start a new run"
        ) from error


def _exhaust(flow: Flow[..., Any], items: Any) -> None:
    async def drain() -> None:
        async for _ in items:
            pass

    if flow.isasync:
        asyncio.run(drain())
        return
    for _ in items:
        pass


def _crash(run: FlowRun, error: Exception, logger: Any) -> None:
    """The run could not be started or its end could not be told: say so where others look.

    A failed flow has its state and does not come here as one that is not final.
    """
    client = get_client(sync_client=True)
    try:
        known = client.read_flow_run(run.id)
        if known.state is not None and known.state.is_final():
            return
        message = f"Flow run could not be executed: {type(error).__name__}: {error}"
        logger.error("%s", message, exc_info=error)
        crashed = StateCreate(type=StateType.CRASHED, message=message)
        client.call("set_flow_run_state", run.id, body=SetStateBody(state=crashed, force=True))
    except PenstockException as unreachable:
        logger.error("The crash of flow run %s could not be reported: %s", run.id, unreachable)
