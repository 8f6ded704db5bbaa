"""The process worker: every flow run is a process of this machine.

Runs are forked from a process that has imported everything already, so they begin within
milliseconds. A run gets a fresh interpreter when it asks for that (`fresh_interpreter`, or
`PENSTOCK_RUNNER_FRESH_INTERPRETER` in its environment) or has a command of its own.
"""

import shlex
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from pydantic import Field, field_validator

from penstock.base import json
from penstock.client.endpoint import told_to_children
from penstock.runner.environment import child_environment, run_variables
from penstock.runner.launching import Launching
from penstock.runner.messages import StartRun
from penstock.runner.processes import RunDirectory, RunProcesses
from penstock.runner.sources import Taken
from penstock.schemas.channel import KINDS
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.worker_types import BASE_JOB_TEMPLATES
from penstock.settings import get_current_settings
from penstock.workers.base import (
    BaseJobConfiguration,
    BaseVariables,
    BaseWorker,
    BaseWorkerResult,
    TaskStatus,
)
from penstock.workers.cleanup import Handler
from penstock.workers.identity import identity_of
from penstock.workers.teardown import ProcessTeardown

FRESH = "PENSTOCK_RUNNER_FRESH_INTERPRETER"
ENGINE = ("-m", "penstock.engine")
_TRUE = frozenset({"1", "true", "yes", "on"})


class ProcessJobConfiguration(BaseJobConfiguration):
    """What a process of a flow run is started with."""

    stream_output: bool = Field(default=True, description="Whether to print what the run prints.")
    working_dir: Path | None = Field(
        default=None, description="Where the process starts; a fresh directory when empty."
    )
    fresh_interpreter: bool = Field(
        default=False, description="Start a new interpreter instead of forking a warm one."
    )

    @field_validator("working_dir", mode="before")
    @classmethod
    def validate_working_dir(cls, v: Path | str | None) -> Path | None:
        return Path(v) if isinstance(v, str) and v else (v or None)

    @staticmethod
    def _base_flow_run_command() -> str:
        return ""

    @property
    def is_fresh(self) -> bool:
        return self.fresh_interpreter or (self.env.get(FRESH) or "").lower() in _TRUE


class ProcessVariables(BaseVariables):
    """The variables of the template of a process pool."""

    stream_output: bool = Field(default=True, description="Whether to print what the run prints.")
    working_dir: Path | None = Field(
        default=None, description="Where the process starts; a fresh directory when empty."
    )
    fresh_interpreter: bool = Field(
        default=False, description="Start a new interpreter instead of forking a warm one."
    )


class ProcessWorkerResult(BaseWorkerResult):
    """How a flow run's process ended."""


class ProcessWorker(BaseWorker[ProcessJobConfiguration, ProcessVariables, ProcessWorkerResult]):
    """Runs flow runs as processes of this machine."""

    type: ClassVar[str] = "process"
    job_configuration = ProcessJobConfiguration
    job_configuration_variables = ProcessVariables
    over_with_run = True
    cleanup_max_concurrency = 16
    _description = "Runs each flow run as a process of the machine the worker is on."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._launching = Launching()
        self._runs: RunProcesses | None = None

    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        return BASE_JOB_TEMPLATES["process"]

    def teardown_handlers(self) -> Mapping[str, Handler]:
        """Processes of this host are ended, whichever worker of it started them."""
        handler = ProcessTeardown(get_current_settings().worker.cleanup_grace_seconds)
        return dict.fromkeys(KINDS, handler)

    @property
    def runs(self) -> RunProcesses:
        assert self._runs is not None, "the worker is not set up; enter it first"
        return self._runs

    async def setup(self) -> None:
        await super().setup()
        self._runs = RunProcesses(self.client, self._launching, self.dispatcher.source)
        await self._launching.open()

    async def teardown(self, *exc_info: Any) -> None:
        """Stop all runs, wait until they are gone and reported, and let the launcher go."""
        self.runs.closing = True
        self.runs.stop_all()
        await self.dispatcher.drained()
        await super().teardown(*exc_info)
        await self._launching.close()

    def stop(self) -> None:
        """Take nothing more and ask what runs to end."""
        super().stop()
        self.runs.closing = True

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: TaskStatus | None = None,
    ) -> ProcessWorkerResult:
        active = self.dispatcher.active.get(flow_run.id)
        taken = active.taken if active is not None else Taken(flow_run=flow_run)
        with RunDirectory(configuration.working_dir) as directory:
            start = self._start_of(taken, configuration, directory)
            identifier = ""

            def note(pid: int) -> None:
                nonlocal identifier
                identifier = str(identity_of(pid) or pid)
                if task_status is not None:
                    task_status.started(identifier)

            end = await self.runs.execute(taken, start, note)
        return ProcessWorkerResult(
            identifier=identifier or str(flow_run.id), status_code=end.status
        )

    async def _finish(
        self, taken: Taken, result: ProcessWorkerResult | None, message: str | None
    ) -> None:
        """How a process ended is reported by whoever watched it; the rest is reported here."""
        if result is None:
            await super()._finish(taken, result, message)

    def _start_of(
        self, taken: Taken, configuration: ProcessJobConfiguration, directory: Path
    ) -> StartRun:
        environment = child_environment(
            configuration.env,
            run_variables(storage_base_path=directory),
            {"PENSTOCK__CLAIM": None if taken.number is None else str(taken.number)},
            told_to_children(self.client.target, self.client.extensions),
            settings={},
            working_directory=directory,
        )
        command = shlex.split(configuration.command) if configuration.command else []
        if not command and configuration.is_fresh:
            command = [sys.executable, *ENGINE]
        return StartRun(
            run_id=str(taken.id),
            directory=str(directory),
            environment=environment,
            command=command,
            quiet=not configuration.stream_output,
            run=json.encode(taken.flow_run).decode(),
            deployment=json.encode(taken.deployment).decode() if taken.deployment else None,
        )

    # --- cancellation ----------------------------------------------------------------------------

    async def _carry_out(self, taken: Taken) -> None:
        self.runs.begin(taken)
        try:
            await super()._carry_out(taken)
        finally:
            self.runs.forget(taken.id)

    def _on_cancelling(self, id: UUID, when: datetime) -> None:
        self.runs.cancel(id, when)

    def _on_lost(self, id: UUID) -> None:
        self.runs.lost(id)

    async def _look_for_cancelled(self) -> None:
        await self.runs.check_cancelled()
