"""`Runner`: serves deployments from this process; every run is a process of its own."""

import asyncio
import base64
import logging
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import cloudpickle
from msgspec import Struct

from penstock.annotations import NotSet
from penstock.base import json
from penstock.base.dual import Steps, dual
from penstock.client import get_client
from penstock.client.endpoint import told_to_children
from penstock.deployments.runner import RunnerDeployment
from penstock.flows import Flow
from penstock.logging import get_logger
from penstock.runner.dispatch import Dispatcher
from penstock.runner.environment import child_environment, run_variables
from penstock.runner.exits import Exit
from penstock.runner.health import HealthPage
from penstock.runner.launching import Launching
from penstock.runner.messages import StartRun
from penstock.runner.processes import RunDirectory, RunProcesses
from penstock.runner.sources import Taken, Target
from penstock.runner.watching import Watcher
from penstock.schemas.errors import ObjectNotFound, PenstockException
from penstock.schemas.events import EventFilter, EventRelatedFilter, EventResourceFilter
from penstock.schemas.states import SetStateBody, StateCreate, StateDetails, StateType
from penstock.settings import get_current_settings

CHECK_SECONDS = 10.0
PAUSE_SECONDS = 10.0
"""How long the end of a runner waits for each deployment to be paused."""
FRESH = "PENSTOCK_RUNNER_FRESH_INTERPRETER"


class _Served(Struct):
    """A deployment that this runner serves."""

    deployment: RunnerDeployment
    id: UUID | None = None
    pulled: float | None = None
    pickled: str | None = None

    @property
    def key(self) -> str:
        return self.deployment.full_name


class Runner:
    """Takes the runs of its deployments when they are due and starts each in a process.

    `limit` is the most runs at once: by default that of the settings, None for no limit. Add
    deployments with `add_flow` or `add_deployment`, then `await start()`.
    """

    def __init__(
        self,
        name: str | None = None,
        query_seconds: float | None = None,
        prefetch_seconds: float = 10,
        heartbeat_seconds: float | None = None,
        limit: int | type[NotSet] | None = NotSet,
        pause_on_shutdown: bool = True,
        webserver: bool = False,
    ) -> None:
        settings = get_current_settings()
        if name is not None and ("/" in name or "%" in name):
            raise ValueError(f"{name!r} is no name for a runner: it must not contain / or %")
        self.name = Path(name).stem if name is not None else f"runner-{uuid4()}"
        self.query_seconds = float(
            settings.runner.poll_frequency if query_seconds is None else query_seconds
        )
        self.prefetch_seconds = prefetch_seconds
        self.heartbeat_seconds = heartbeat_seconds or settings.flows.heartbeat_frequency
        chosen = settings.runner.process_limit if limit is NotSet else limit
        self.limit: int | None = chosen if isinstance(chosen, int) else None
        self.pause_on_shutdown = pause_on_shutdown
        self.webserver = webserver
        self.started = False
        self.stopping = False
        self._served: dict[str, _Served] = {}
        self._launching = Launching()
        self._logger: logging.Logger = get_logger("runner")
        self._client: Any = None
        self._dispatcher: Dispatcher | None = None
        self._runs: RunProcesses | None = None
        self._watcher: Watcher | None = None
        self._storage_path: Path | None = None
        self._background: set[asyncio.Task[Any]] = set()

    # --- what is served --------------------------------------------------------------------------

    def prepare(self, *deployments: RunnerDeployment) -> None:
        """Fork the launcher now, with the flows of these deployments in it.

        The first thing to do in a process, because it is safe only while there is no other thread.
        Without it, runs load their flow anew.
        """
        flows = {one.full_name: one._flow for one in deployments if one._flow is not None}
        self._launching = Launching(flows)
        if not self._launching.fork():
            self._logger.debug("Other threads run here, so runs load their flow anew")

    def _add_deployment(self, deployment: RunnerDeployment) -> Steps[UUID]:
        """Send the deployment and serve it; its id."""
        if deployment.work_pool_name is not None:
            self._logger.warning(
                "Deployment %r is served here, so its work pool %r is left out",
                deployment.full_name,
                deployment.work_pool_name,
            )
            deployment.work_pool_name = deployment.work_queue_name = None
            deployment.job_variables = {}
        id: UUID = yield from deployment._apply()
        self._served[deployment.full_name] = _Served(deployment, id)
        return id

    add_deployment, aadd_deployment = dual(_add_deployment)

    def _add_flow(
        self, flow: Flow[..., Any], name: str | None = None, **options: Any
    ) -> Steps[UUID]:
        """Make a deployment of the flow, with the options of `RunnerDeployment.from_flow`, send
        it and serve it; its id."""
        deployment = RunnerDeployment.from_flow(flow, name or self.name, **options)
        return (yield from self._add_deployment(deployment))

    add_flow, aadd_flow = dual(_add_flow)

    # --- life ------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._client = get_client()
        self._storage_path = Path(tempfile.mkdtemp(prefix="penstock-runner-"))
        self._dispatcher = Dispatcher(
            self._client,
            self._wanted,
            self._carry_out,
            on_lost=self._on_lost,
            limit=self.limit,
            query_seconds=self.query_seconds,
            prefetch_seconds=self.prefetch_seconds,
        )
        self._runs = RunProcesses(self._client, self._launching, self._dispatcher.source)
        await self._launching.open()
        self.started = True
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.stopping = True
        if self._watcher is not None:
            self._watcher.stop()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self.runs.closing = True
        self.runs.stop_all("cancel")
        if self.pause_on_shutdown:
            await self._pause_deployments()
        await self.dispatcher.drained()
        await self._launching.close()
        if self._storage_path is not None:
            shutil.rmtree(self._storage_path, ignore_errors=True)
        self.started = False

    async def start(self, run_once: bool = False, webserver: bool | None = None) -> None:
        """Serve until `stop`, SIGINT or SIGTERM; with `run_once` only what is due now."""
        settings = get_current_settings().runner.server
        wanted = self.webserver if webserver is None else webserver
        async with self:
            if run_once:
                await self.dispatcher.take()
                await self.dispatcher.drained()
                return
            page = HealthPage(
                self._is_healthy,
                host=settings.host,
                port=settings.port if wanted or settings.enable else None,
                pages={
                    ("GET", "/run_count"): lambda: len(self.dispatcher.active),
                    ("POST", "/shutdown"): self._shut_down,
                },
            )
            with _signals(self.stop):
                async with page:
                    await self._serve()

    async def _serve(self) -> None:
        ids = [f"prefect.deployment.{one.id}" for one in self._served.values()]
        self.watch(EventFilter(related=EventRelatedFilter(id=ids)))
        self._keep(self._check_cancelled())
        await self.dispatcher.run()

    def watch(self, filter: EventFilter) -> None:
        """Hear at once of work and of cancellations among the events that match."""
        self._watcher = Watcher(
            lambda: filter,
            on_work=self.dispatcher.wake,
            on_cancelling=self._on_cancelling,
            on_connected=self._on_connected,
        )
        self._watcher.start()

    def stop(self) -> None:
        """Take nothing more, end what runs, and let `start` return. From any callback or signal."""
        self.stopping = True
        if self._dispatcher is not None:
            self._dispatcher.stop()

    async def astop(self) -> None:
        self.stop()

    def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
        self.stop()

    def cancel_all(self) -> None:
        """Cancel every run of this runner."""
        self.runs.stop_all("cancel")

    def reschedule_current_flow_runs(self) -> None:
        """Schedule what runs now anew, for whoever serves its deployment, and end it here."""
        for id in list(self.dispatcher.active):
            self.execute_in_background(self.reschedule, id)

    async def reschedule(self, flow_run_id: UUID) -> None:
        """Schedule one run anew and end its process here."""
        try:
            await self._client.call("set_flow_run_state", flow_run_id, body=_rescheduled())
        except (PenstockException, OSError) as error:
            self._logger.error("Flow run %s was not rescheduled: %s", flow_run_id, error)
        self.runs.stop(flow_run_id, "reschedule")

    @property
    def dispatcher(self) -> Dispatcher:
        if self._dispatcher is None:
            raise RuntimeError("the runner is not started; enter it or call `start`")
        return self._dispatcher

    @property
    def runs(self) -> RunProcesses:
        if self._runs is None:
            raise RuntimeError("the runner is not started; enter it or call `start`")
        return self._runs

    @property
    def last_polled(self) -> float:
        return self.dispatcher.last_polled

    def has_slots_available(self) -> bool:
        return self.dispatcher.free > 0

    def execute_in_background(
        self, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> "asyncio.Future[Any]":
        """Run a coroutine function beside the runner."""
        return self._keep(func(*args, **kwargs))

    # --- a run -----------------------------------------------------------------------------------

    async def execute_flow_run(
        self,
        flow_run_id: UUID,
        entrypoint: str | None = None,
        command: str | None = None,
        cwd: Path | str | None = None,
        env: Mapping[str, str | None] | None = None,
        task_status: Any = None,
        stream_output: bool = True,
    ) -> Exit:
        """Run one flow run in a process and see it to its end, whoever scheduled it."""
        run = await self._client.read_flow_run(flow_run_id)
        deployment = None
        if run.deployment_id is not None:
            with suppress(ObjectNotFound):
                deployment = await self._client.read_deployment(run.deployment_id)
        taken = Taken(flow_run=run, deployment=deployment)
        with RunDirectory(Path(cwd) if cwd is not None else None) as directory:
            start = self._start(
                taken,
                directory=str(directory),
                entrypoint=entrypoint,
                command=shlex.split(command) if command else None,
                extra=env,
                quiet=not stream_output,
            )
            return await self.runs.execute(
                taken, start, None if task_status is None else task_status.started
            )

    async def _carry_out(self, taken: Taken) -> None:
        self.runs.begin(taken)
        try:
            served = self._served_of(taken)
            if served is None:
                await self._told(taken, "The runner does not serve the deployment of this run.")
                return
            start = await self._start_of(taken, served)
        except Exception as error:  # Supervision: pulling code can fail in any way.
            self._logger.exception("Flow run %r cannot be started", taken.flow_run.name)
            await self._told(taken, f"Flow run could not be started: {error!r}")
            return
        finally:
            if taken.id not in self.dispatcher.active:
                self.runs.forget(taken.id)
        await self.runs.execute(taken, start)

    async def _told(self, taken: Taken, message: str) -> None:
        try:
            await (await self.dispatcher.source()).end(taken, message)
        except (PenstockException, OSError) as error:
            self._logger.error("The end of flow run %s was not reported: %s", taken.id, error)

    def _served_of(self, taken: Taken) -> _Served | None:
        id = taken.flow_run.deployment_id
        return next((one for one in self._served.values() if one.id == id), None)

    async def _start_of(self, taken: Taken, served: _Served) -> StartRun:
        deployment = served.deployment
        if deployment.storage is not None:
            directory = await self._pulled(served)
            return self._start(taken, directory=str(directory), entrypoint=deployment.entrypoint)
        if deployment._flow is None:
            return self._start(taken, directory=str(Path.cwd()), entrypoint=deployment.entrypoint)
        if self._launching.keeps_flows:
            return self._start(taken, directory=str(Path.cwd()), flow_key=served.key)
        pickled = self._pickled(served)
        return self._start(
            taken,
            directory=str(Path.cwd()),
            entrypoint=None if pickled else deployment.entrypoint,
            flow=pickled,
        )

    def _pickled(self, served: _Served) -> str | None:
        """The flow for another process; None when it holds what cannot travel."""
        if served.pickled is None:
            try:
                data = cloudpickle.dumps(served.deployment._flow)
            except Exception as error:  # Whatever the flow refers to may refuse in any way.
                self._logger.debug("Flow %r is loaded from its file: %s", served.key, error)
                served.pickled = ""
            else:
                served.pickled = base64.b64encode(data).decode()
        return served.pickled or None

    async def _pulled(self, served: _Served) -> Path:
        """The directory with the deployment's code, pulled again when that is due."""
        storage = served.deployment.storage
        interval = storage.pull_interval
        now = time.monotonic()
        if served.pulled is None or (interval is not None and now - served.pulled >= interval):
            assert self._storage_path is not None, "the runner is entered"
            storage.set_base_path(self._storage_path)
            await storage.pull_code()
            served.pulled = now
        return Path(storage.destination)

    def _start(
        self,
        taken: Taken,
        *,
        directory: str,
        entrypoint: str | None = None,
        command: list[str] | None = None,
        flow_key: str | None = None,
        flow: str | None = None,
        extra: Mapping[str, str | None] | None = None,
        quiet: bool = False,
    ) -> StartRun:
        run, deployment = taken.flow_run, taken.deployment
        environment = child_environment(
            run_variables(
                flow_run_id=run.id,
                flow_id=run.flow_id,
                flow_name=taken.flow_name,
                deployment_id=run.deployment_id,
                deployment_name=deployment.name if deployment is not None else None,
                storage_base_path=self._storage_path,
                flow_entrypoint=entrypoint,
            ),
            {"PENSTOCK__CLAIM": None if taken.number is None else str(taken.number)},
            told_to_children(self._client.target, self._client.extensions),
            extra or {},
        )
        fresh = (environment.get(FRESH) or "").lower() in ("1", "true", "yes", "on")
        if fresh and not command:
            command = [sys.executable, "-m", "penstock.engine"]
        return StartRun(
            run_id=str(run.id),
            directory=directory,
            environment=environment,
            command=command or [],
            quiet=quiet,
            run=json.encode(run).decode(),
            deployment=json.encode(deployment).decode() if deployment is not None else None,
            entrypoint=entrypoint,
            flow_key=flow_key,
            flow=flow,
        )

    # --- events ----------------------------------------------------------------------------------

    def _wanted(self) -> Target | None:
        ids = [one.id for one in self._served.values() if one.id is not None]
        return Target(owner=self.name, deployment_ids=ids) if ids else None

    def _on_lost(self, id: UUID) -> None:
        self.runs.lost(id)

    def _on_cancelling(self, id: UUID, when: datetime) -> None:
        self.runs.cancel(id, when)

    def _on_connected(self) -> None:
        self.dispatcher.wake()
        self._keep(self.runs.check_cancelled())

    async def _check_cancelled(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if self._watcher is None or not self._watcher.connected:
                await self.runs.check_cancelled()

    def _is_healthy(self) -> bool:
        tolerance = get_current_settings().runner.server.missed_polls_tolerance
        return time.monotonic() - self.last_polled <= tolerance * self.query_seconds * 1.3

    def _shut_down(self) -> dict[str, str]:
        asyncio.get_running_loop().call_soon(self.stop)
        return {"message": "The runner shuts down"}

    def _keep(self, coroutine: Any) -> "asyncio.Task[Any]":
        task = asyncio.ensure_future(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _pause_deployments(self) -> None:
        """No more runs are scheduled for deployments that nobody serves now."""
        for served in self._served.values():
            if served.id is None:
                continue
            try:
                async with asyncio.timeout(PAUSE_SECONDS):
                    await self._client.pause_deployment(served.id)
            except (PenstockException, OSError, TimeoutError) as error:
                self._logger.warning(
                    "Deployment %r could not be paused: %s", served.deployment.full_name, error
                )


class _signals:
    """While the block runs, SIGINT and SIGTERM call `stop`; the second one acts as usual."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._installed: list[int] = []

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Only the main thread can have handlers; elsewhere somebody else decides.
            with suppress(ValueError, RuntimeError, NotImplementedError):
                self._loop.add_signal_handler(number, self._got)
                self._installed.append(number)

    def __exit__(self, *_: object) -> None:
        installed, self._installed = self._installed, []
        for number in installed:
            self._loop.remove_signal_handler(number)

    def _got(self) -> None:
        self._stop()
        for number in self._installed:
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)


async def execute(flow_run_id: UUID) -> int:
    """Run one flow run here, in a process that is watched; the exit code of the command.

    SIGTERM ends the process; with `PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR=reschedule` the run
    is scheduled anew first, and the exit code is 0.
    """
    runner = Runner(name="execute", pause_on_shutdown=False, limit=None)
    rescheduled = False

    def terminated() -> None:
        nonlocal rescheduled
        if _reschedules():
            rescheduled = True
            runner.execute_in_background(runner.reschedule, flow_run_id)
        else:
            runner.runs.stop_all()

    async with runner:
        runner.watch(
            EventFilter(resource=EventResourceFilter(id=[f"prefect.flow-run.{flow_run_id}"]))
        )
        with _signals(terminated):
            end = await runner.execute_flow_run(flow_run_id)
    if rescheduled or end.is_clean:
        return 0
    return end.status if end.status > 0 else 128 - end.status


def _reschedules() -> bool:
    for prefix in ("PENSTOCK", "PREFECT"):
        value = os.environ.get(f"{prefix}_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR")
        if value is not None:
            return value.strip().lower() == "reschedule"
    return False


def _rescheduled() -> SetStateBody:
    state = StateCreate(
        type=StateType.SCHEDULED, name="AwaitingRetry", state_details=StateDetails()
    )
    return SetStateBody(state=state, force=True)
