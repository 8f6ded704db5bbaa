"""One taken run in one process: start it, stop it when it is cancelled, say how it ended."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from penstock.events import emit_event
from penstock.logging import get_logger
from penstock.runner.environment import run_variables
from penstock.runner.exits import Exit, explain
from penstock.runner.launching import LaunchError, Launching, RunProcess
from penstock.runner.messages import StartRun
from penstock.runner.sources import Source, Taken
from penstock.schemas.claims import EndedClaim
from penstock.schemas.errors import PenstockException
from penstock.schemas.filters import FlowRunFilter, FlowRunFilterState, IdFilter, StateTypeFilter
from penstock.schemas.flow_runs import FlowRunsFilterPage
from penstock.schemas.states import StateType

logger = get_logger("runner")

GRACE_SECONDS = 30.0
CANCEL = "cancel"
LONGEST_RETRY = 15.0
HOOKS_SECONDS = 60.0


class Cancelled(Exception):
    """The run was cancelled before its process was started."""


class RunProcesses:
    """The processes of runs, by run. `source` says how their ends are reported."""

    def __init__(
        self,
        client: Any,
        launching: Launching,
        source: Callable[[], Any],
        *,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._client = client
        self._launching = launching
        self._source = source
        self._grace = grace_seconds
        self._processes: dict[UUID, RunProcess] = {}
        self._begun: dict[UUID, Taken] = {}
        self._cancelled: set[UUID] = set()
        self._lost: set[UUID] = set()
        self.closing = False

    # --- the life of a run -----------------------------------------------------------------------

    async def execute(
        self,
        taken: Taken,
        start: StartRun,
        on_started: Callable[[int], None] | None = None,
    ) -> Exit:
        """Start the run's process and return when it is gone and its end is told."""
        self._begun[taken.id] = taken
        try:
            end = await self._run(taken, start, on_started)
        except LaunchError as error:
            end = None
            message = f"The run's process could not be started: {error}"
        except Cancelled:
            end, message = None, "The run was cancelled before its process was started."
        else:
            message = explain(end)
        finally:
            self._processes.pop(taken.id, None)
        try:
            await self._told(taken, start, end, message)
        finally:
            self._begun.pop(taken.id, None)
            self._cancelled.discard(taken.id)
            self._lost.discard(taken.id)
        return end if end is not None else Exit(lost=True)

    async def _run(
        self, taken: Taken, start: StartRun, on_started: Callable[[int], None] | None
    ) -> Exit:
        if taken.id in self._cancelled:
            raise Cancelled
        logger.debug("Starting a process for flow run %r", taken.flow_run.name)
        process = self._processes[taken.id] = await self._launching.start(start)
        if on_started is not None:
            on_started(process.pid)
        if taken.id in self._lost:
            process.kill()
        elif taken.id in self._cancelled:
            process.stop(CANCEL, self._grace)
        try:
            return await process.wait()
        except asyncio.CancelledError:
            process.kill()
            raise

    async def _told(self, taken: Taken, start: StartRun, end: Exit | None, message: str) -> None:
        if taken.id in self._lost:
            return  # It is somebody else's now.
        ended = await self._report(taken, message)
        if ended is None:
            return
        if ended.forced and end is not None and not end.is_clean:
            logger.error("Flow run %r: %s", taken.flow_run.name, message)
        if ended.forced and end is not None:
            await self._run_hooks(taken, start)
        if ended.state_type is StateType.CANCELLED and taken.id in self._cancelled:
            self._emit_cancelled(taken)

    async def _report(self, taken: Taken, message: str) -> EndedClaim | None:
        """Tell the server that the process is gone, however long it takes to reach it."""
        pause = 0.2
        while True:
            try:
                source: Source = await self._source()
                return await source.end(taken, message)
            except (PenstockException, OSError) as error:
                if self.closing:
                    logger.error(
                        "The end of flow run %s could not be reported: %s", taken.id, error
                    )
                    return None
                logger.warning("The end of flow run %s is reported later: %s", taken.id, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_RETRY)

    async def _run_hooks(self, taken: Taken, start: StartRun) -> None:
        """Run the hooks that the process did not live to run, in a process of their own."""
        hooks = replace(
            start,
            run_id=f"{start.run_id}:hooks",
            command=[],
            environment=start.environment | run_variables(run_hooks=taken.id),
        )
        try:
            process = await self._launching.start(hooks)
        except LaunchError as error:
            logger.error("The hooks of flow run %r were not run: %s", taken.flow_run.name, error)
            return
        try:
            async with asyncio.timeout(HOOKS_SECONDS):
                await process.wait()
        except TimeoutError:
            logger.error("The hooks of flow run %r take too long", taken.flow_run.name)
            process.kill()

    def _emit_cancelled(self, taken: Taken) -> None:
        run = taken.flow_run
        related = [
            {
                "prefect.resource.id": f"prefect.flow.{run.flow_id}",
                "prefect.resource.role": "flow",
                "prefect.resource.name": taken.flow_name or "",
            }
        ]
        if run.deployment_id is not None:
            related.append(
                {
                    "prefect.resource.id": f"prefect.deployment.{run.deployment_id}",
                    "prefect.resource.role": "deployment",
                }
            )
        emit_event(
            "prefect.runner.cancelled-flow-run",
            resource={
                "prefect.resource.id": f"prefect.flow-run.{run.id}",
                "prefect.resource.name": run.name,
            },
            related=related,
        )

    # --- being stopped ---------------------------------------------------------------------------

    def cancel(self, id: UUID, when: datetime | None = None) -> None:
        """Stop the process of a run that is to be cancelled, if it is one of ours.

        `when` it was asked for; what lies before the run became ours is not meant for this try.
        """
        taken = self._begun.get(id)
        if taken is None or id in self._cancelled:
            return
        state = taken.flow_run.state
        if when is not None and state is not None and when < state.timestamp:
            return
        logger.info("Stopping flow run %r, which is to be cancelled", taken.flow_run.name)
        self._cancelled.add(id)
        process = self._processes.get(id)
        if process is not None:
            process.stop(CANCEL, self._grace)

    def begin(self, taken: Taken) -> None:
        """The run is ours, though its process is not started yet; it can be cancelled from now."""
        self._begun[taken.id] = taken

    def forget(self, id: UUID) -> None:
        """The run will not be started here."""
        self._begun.pop(id, None)
        self._cancelled.discard(id)

    def lost(self, id: UUID) -> None:
        """The run is somebody else's now: kill its processes and say nothing about it."""
        self._lost.add(id)
        process = self._processes.get(id)
        if process is not None:
            process.kill()

    def stop(self, id: UUID, intent: str) -> None:
        """Ask the process of one run to end, saying why."""
        process = self._processes.get(id)
        if process is not None:
            process.stop(intent, self._grace)

    def stop_all(self, intent: str = "") -> None:
        """Ask every process to end."""
        for id, process in list(self._processes.items()):
            if intent == CANCEL:
                self._cancelled.add(id)
            process.stop(intent, self._grace)

    async def check_cancelled(self) -> None:
        """Stop what is to be cancelled and nobody told us of."""
        ids = [id for id in self._begun if id not in self._cancelled]
        if not ids:
            return
        body = FlowRunsFilterPage(
            flow_runs=FlowRunFilter(
                id=IdFilter(any_=ids),
                state=FlowRunFilterState(type=StateTypeFilter(any_=[StateType.CANCELLING])),
            )
        )
        with suppress(PenstockException, OSError):
            for run in await self._client.call("read_flow_runs", body=body):
                self.cancel(run.id)


class RunDirectory:
    """An empty directory for one run, removed when the run's process is gone."""

    def __init__(self, given: Path | None = None) -> None:
        self._given = given
        self.path = given if given is not None else Path(tempfile.mkdtemp(prefix="penstock-run-"))

    def __enter__(self) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        return self.path

    def __exit__(self, *_: object) -> None:
        if self._given is None:
            shutil.rmtree(self.path, ignore_errors=True)
