"""Workers: take runs of a work pool and start them somewhere. `BaseWorker` is the base of each.

A worker of your own is a subclass with a `type` and a `run`. `run` starts the flow run where it is
to run, calls `task_status.started(identifier)` when that has happened, and returns a result when
it is over. What is the same for all workers is done here: taking runs at their time, claims,
concurrency, job configurations, heartbeats, cancellation, reporting.

    class ShellWorker(BaseWorker[BaseJobConfiguration, BaseVariables, BaseWorkerResult]):
        type = "shell"
        job_configuration = BaseJobConfiguration

        async def run(self, flow_run, configuration, task_status=None):
            ...
"""

import abc
import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar
from uuid import UUID, uuid4

from msgspec import MsgspecError, convert
from pydantic import BaseModel, Field, PrivateAttr, field_validator

from penstock.base.version import VERSION
from penstock.client import get_client
from penstock.client.sockets import flush_events
from penstock.client.target import current_target
from penstock.deployments.templating import apply_values
from penstock.events import emit_event
from penstock.logging import flow_run_logger, get_logger
from penstock.runner.dispatch import Dispatcher
from penstock.runner.environment import exported_settings, run_variables
from penstock.runner.exits import Exit, explain
from penstock.runner.health import HealthPage
from penstock.runner.sources import Taken, Target
from penstock.runner.watching import Watcher
from penstock.schemas.channel import CANCELLING_TIMEOUT_TEARDOWN, WorkReady
from penstock.schemas.claims import EndedClaim
from penstock.schemas.deployments import Deployment
from penstock.schemas.errors import (
    ObjectAlreadyExists,
    ObjectNotFound,
    PenstockException,
)
from penstock.schemas.events import EventFilter, EventRelatedFilter
from penstock.schemas.flow_runs import FlowRun, FlowRunUpdate
from penstock.schemas.work import WorkPool, WorkPoolCreate, WorkPoolUpdate
from penstock.settings import get_current_settings
from penstock.states import Cancelled
from penstock.workers.channel import WorkerChannel, WorkerDescription
from penstock.workers.cleanup import CleanupExecutor, Handler
from penstock.workers.jobs import resolved_configuration
from penstock.workers.teardown import InfrastructureTeardown

BANNED_IN_NAMES = "/%"
CHECK_SECONDS = 10.0
"""How often cancellations are looked for while no event can tell of them."""
SETUP_ATTEMPT_SECONDS = 0.5
MISSED_POLLS = 30
FLUSH_SECONDS = 5.0
"""How long the end of a worker waits until its events have arrived."""


class BaseJobConfiguration(BaseModel):
    """What one flow run is started with. Subclass it for what your infrastructure needs."""

    command: str | None = Field(
        default=None, description="What starts the flow run; rarely needed."
    )
    env: dict[str, str | None] = Field(
        default_factory=dict,
        title="Environment Variables",
        description="Variables of the flow run's environment; null removes one.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels of what the worker starts."
    )
    name: str | None = Field(default=None, description="Name of what the worker starts.")

    _related_objects: dict[str, Any] = PrivateAttr(default_factory=dict)

    @field_validator("env", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: None if one is None else str(one) for key, one in value.items()}
        return value

    @property
    def is_using_a_runner(self) -> bool:
        """Whether the command is one that looks after the run itself."""
        return self.command is not None and "flow-run execute" in self.command

    @classmethod
    def json_template(cls) -> dict[str, Any]:
        """The job configuration of a template: every field is the variable of its name."""
        return {name: f"{{{{ {name} }}}}" for name in cls.model_fields}

    @classmethod
    async def from_template_and_values(
        cls,
        base_job_template: dict[str, Any],
        values: dict[str, Any],
        client: Any = None,
    ) -> Self:
        """The configuration that a template gives with these variables, blocks resolved."""
        return cls.model_validate(
            await resolved_configuration(base_job_template, values, client=client)
        )

    @classmethod
    async def resolve_for_flow_run(
        cls,
        flow_run: FlowRun,
        *,
        client: Any,
        work_pool: WorkPool,
        worker_name: str,
        worker_id: UUID | None = None,
        deployment: Deployment | None = None,
        flow: Any = None,
    ) -> Self:
        """The configuration of a run, ready to be used."""
        values = await resolved_configuration(
            work_pool.base_job_template,
            deployment.job_variables if deployment is not None else None,
            flow_run.job_variables,
            client=client,
        )
        configuration = cls.model_validate(values)
        configuration.prepare_for_flow_run(
            flow_run,
            deployment=deployment,
            flow=flow,
            work_pool=work_pool,
            worker_name=worker_name,
            worker_id=worker_id,
        )
        return configuration

    def prepare_for_flow_run(
        self,
        flow_run: FlowRun,
        deployment: Deployment | None = None,
        flow: Any = None,
        work_pool: WorkPool | None = None,
        worker_name: str | None = None,
        worker_id: UUID | None = None,
    ) -> None:
        """Put in what follows from the run: environment, labels, name, command."""
        self._related_objects = {"deployment": deployment, "flow": flow, "flow-run": flow_run}
        flow_name = getattr(flow, "name", None)
        self.env = {
            **exported_settings(),
            **run_variables(
                flow_run_id=flow_run.id,
                worker_id=worker_id,
                worker_name=worker_name,
                flow_id=flow_run.flow_id,
                flow_name=flow_name,
                deployment_id=deployment.id if deployment else None,
                deployment_name=deployment.name if deployment else None,
            ),
            **self.env,
        }
        told = {
            "flow-run-id": flow_run.id,
            "flow-run-name": flow_run.name,
            "version": VERSION,
            "work-pool-name": work_pool.name if work_pool else None,
            "work-pool-id": work_pool.id if work_pool else None,
            "worker-name": worker_name,
            "flow-id": flow_run.flow_id,
            "flow-name": flow_name,
            "deployment-id": deployment.id if deployment else None,
            "deployment-name": deployment.name if deployment else None,
            "deployment-updated": deployment.updated if deployment else None,
        }
        labels = {f"prefect.io/{key}": str(value) for key, value in told.items() if value}
        self.labels = {**labels, **self.labels}
        self.name = self._run_name(flow_run, flow_name)
        self.command = self.command or self._base_flow_run_command()

    def _run_name(self, flow_run: FlowRun, flow_name: str | None) -> str:
        if not self.name:
            return flow_run.name
        values = {"ctx": {"flow": {"name": flow_name}, "flow_run": {"name": flow_run.name}}}
        return str(apply_values(self.name, values))

    @staticmethod
    def _base_flow_run_command() -> str:
        return "penstock flow-run execute"


class BaseVariables(BaseModel):
    """The variables of a template. Subclass it, with a description for whoever fills them in."""

    name: str | None = Field(default=None, description="Name of what the worker starts.")
    env: dict[str, str | None] = Field(
        default_factory=dict,
        title="Environment Variables",
        description="Variables of the flow run's environment.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels of what the worker starts."
    )
    command: str | None = Field(default=None, description="What starts the flow run.")


class BaseWorkerResult(BaseModel, abc.ABC):
    """How a run's infrastructure ended. Status 0 is success."""

    identifier: str
    status_code: int

    def __bool__(self) -> bool:
        return self.status_code == 0


class TaskStatus(Protocol):
    """How `run` says that the infrastructure is there, and by which identifier it is found."""

    def started(self, value: Any = None) -> None: ...


C = TypeVar("C", bound=BaseJobConfiguration)
V = TypeVar("V", bound=BaseVariables)
R = TypeVar("R", bound=BaseWorkerResult)

_types: dict[str, type["BaseWorker[Any, Any, Any]"]] = {}


class BaseWorker(abc.ABC, Generic[C, V, R]):
    """A worker of one work pool. Use it with `async with`, or call `start`."""

    type: ClassVar[str]
    job_configuration: ClassVar[Any] = BaseJobConfiguration
    job_configuration_variables: ClassVar[Any] = None
    over_with_run: ClassVar[bool] = False
    """Whether the flow run's process is certainly gone when `run` returns success. Then a run
    that it left without a final state has crashed."""
    cleanup_max_concurrency: ClassVar[int | None] = None
    """How many teardowns the worker carries out at once; None for one."""
    _documentation_url: ClassVar[str] = ""
    _logo_url: ClassVar[str] = ""
    _description: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A subclass that says no type of its own does not take the place of the one that does.
        if isinstance(cls.__dict__.get("type"), str):
            _types[cls.type] = cls

    def __init__(
        self,
        work_pool_name: str,
        work_queues: list[str] | None = None,
        name: str | None = None,
        prefetch_seconds: float | None = None,
        create_pool_if_not_found: bool = True,
        limit: int | None = None,
        heartbeat_interval_seconds: int | None = None,
        *,
        base_job_template: dict[str, Any] | None = None,
    ) -> None:
        if name is not None and any(sign in name for sign in BANNED_IN_NAMES):
            raise ValueError(f"{name!r} is no name for a worker: it must not contain / or %")
        settings = get_current_settings().worker
        self.name = name or f"{type(self).__name__} {uuid4()}"
        self.work_queues: set[str] = set(work_queues or ())
        self.limit = limit
        self.worker_id: UUID | None = None
        self._work_pool_name = work_pool_name
        self._work_pool: WorkPool | None = None
        self._create_pool = create_pool_if_not_found
        self._base_job_template = base_job_template
        self._prefetch = settings.prefetch_seconds if prefetch_seconds is None else prefetch_seconds
        self._heartbeat = int(heartbeat_interval_seconds or settings.heartbeat_seconds)
        self._query = settings.query_seconds
        self._jobs: dict[UUID, tuple[C, _Started]] = {}
        self._logger: logging.Logger = get_logger(f"worker.{self.type}.{self.name.lower()}")
        self._client: Any = None
        self._dispatcher: Dispatcher | None = None
        self._watcher: Watcher | None = None
        self._channel: WorkerChannel | None = None
        self._background: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    # --- what a subclass gives -------------------------------------------------------------------

    @abc.abstractmethod
    async def run(
        self, flow_run: FlowRun, configuration: C, task_status: TaskStatus | None = None
    ) -> R:
        """Start the flow run, say so to `task_status`, and return when it is over."""

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: C, grace_seconds: int = 30
    ) -> None:
        """End what `run` started. Override it where that is possible."""
        raise NotImplementedError(f"workers of type {self.type!r} cannot end what they started")

    def teardown_handlers(self) -> Mapping[str, Handler]:
        """Who tears down what runs left behind, by the kind of teardown that the server orders.

        A worker that can kill its infrastructure does it for runs that were cancelled in vain.
        """
        if type(self).kill_infrastructure is BaseWorker.kill_infrastructure:
            return {}
        handler = InfrastructureTeardown(
            self.kill_infrastructure,
            lambda run: self.client.read_flow_run(run),
            self._teardown_configuration,
            grace_seconds=int(get_current_settings().worker.cleanup_grace_seconds),
        )
        return {CANCELLING_TIMEOUT_TEARDOWN: handler}

    async def _teardown_configuration(self, flow_run: FlowRun | None) -> C:
        """The configuration to reach the infrastructure of a run with; of a deleted one by the
        pool alone."""
        if flow_run is None:
            template = self.work_pool.base_job_template
            values = await resolved_configuration(template, None, None, client=self.client)
            return self.job_configuration.model_validate(values)
        deployment = None
        if flow_run.deployment_id is not None:
            with suppress(ObjectNotFound):
                deployment = await self.client.read_deployment(flow_run.deployment_id)
        return await self.job_configuration.resolve_for_flow_run(
            flow_run,
            client=self.client,
            work_pool=self.work_pool,
            worker_name=self.name,
            worker_id=self.worker_id,
            deployment=deployment,
        )

    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        """The template that a pool of this type starts with."""
        variables = cls.job_configuration_variables or cls.job_configuration
        schema = variables.model_json_schema()
        schema.pop("title", None)
        schema.pop("description", None)
        return {"job_configuration": cls.job_configuration.json_template(), "variables": schema}

    @classmethod
    def get_description(cls) -> str:
        return cls._description

    @classmethod
    def get_documentation_url(cls) -> str:
        return cls._documentation_url

    @classmethod
    def get_logo_url(cls) -> str:
        return cls._logo_url

    @staticmethod
    def get_worker_class_from_type(type: str) -> "type[BaseWorker[Any, Any, Any]] | None":
        """The class that was defined for a type of work pool."""
        _load_types()
        return _types.get(type)

    @staticmethod
    def get_all_available_worker_types() -> list[str]:
        _load_types()
        return sorted(_types)

    # --- facts -----------------------------------------------------------------------------------

    @property
    def work_pool(self) -> WorkPool:
        if self._work_pool is None:
            raise RuntimeError("the work pool is not known yet; enter the worker first")
        return self._work_pool

    @property
    def client(self) -> Any:
        if self._client is None:
            raise RuntimeError("the worker is not set up; enter it first")
        return self._client

    @property
    def dispatcher(self) -> Dispatcher:
        assert self._dispatcher is not None, "the worker is not set up; enter it first"
        return self._dispatcher

    def get_name_slug(self) -> str:
        return "-".join(
            part for part in "".join(c if c.isalnum() else " " for c in self.name.lower()).split()
        )

    def get_flow_run_logger(self, flow_run: FlowRun) -> Any:
        return flow_run_logger(flow_run)

    def get_status(self) -> dict[str, Any]:
        """What the worker is and serves, as JSON values."""
        return {
            "name": self.name,
            "work_pool": self._work_pool.name if self._work_pool else self._work_pool_name,
            "work_queues": sorted(self.work_queues),
            "active_flow_runs": len(self._dispatcher.active) if self._dispatcher else 0,
            "prefetch_seconds": self._prefetch,
        }

    def is_worker_still_polling(self, query_interval_seconds: float) -> bool:
        """Whether the last poll is not longer ago than 30 of these intervals."""
        if self._dispatcher is None:
            return False
        ago = asyncio.get_running_loop().time() - self._dispatcher.last_polled
        return ago <= query_interval_seconds * MISSED_POLLS

    # --- life ------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.setup()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.teardown(*exc_info)

    async def setup(self) -> None:
        """Connect. A server that cannot be reached now is not the end: it is tried again."""
        self._client = get_client()
        self._dispatcher = Dispatcher(
            self._client,
            self._wanted,
            self._carry_out,
            on_lost=self._on_lost,
            on_missing=self._pool_is_gone,
            limit=self.limit,
            query_seconds=self._query,
            prefetch_seconds=self._prefetch,
        )
        try:
            await self.sync_with_backend()
        except (PenstockException, OSError) as error:
            self._logger.warning("Work pool %r cannot be read now: %s", self._work_pool_name, error)

    async def teardown(self, *exc_info: Any) -> None:
        """Take nothing more, let go of what is still there."""
        if self._watcher is not None:
            self._watcher.stop()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._background.clear()
        if self._channel is not None:
            await self._channel.stop()
        active = [one.task for one in self.dispatcher.active.values() if one.task is not None]
        for task in active:
            task.cancel()
        await asyncio.gather(*active, return_exceptions=True)

    async def start(
        self,
        run_once: bool = False,
        with_healthcheck: bool = False,
        printer: Callable[..., None] = print,
    ) -> None:
        """Take runs and start them until `stop`; with `run_once` only those that are due now."""
        async with self:
            printer(f"Worker {self.name!r} started!")
            self._emit("prefect.worker.started")
            if run_once:
                await self.get_and_submit_flow_runs()
                await self.dispatcher.drained()
            else:
                async with self._health_page(with_healthcheck):
                    await self._serve()
            self._emit("prefect.worker.stopped")
            await asyncio.to_thread(flush_events, FLUSH_SECONDS)
            printer(f"Worker {self.name!r} stopped!")

    def stop(self) -> None:
        """Ask the worker to stop: nothing more is taken. May be called from a signal handler."""
        self._stopping.set()
        if self._dispatcher is not None:
            self._dispatcher.stop()

    async def _serve(self) -> None:
        await self._begin_channel()
        self._watcher = Watcher(
            self._watched,
            on_work=self._on_work,
            on_cancelling=self._on_cancelling,
            on_connected=self._on_connected,
        )
        self._watcher.start()
        self._background = [
            asyncio.create_task(self._keep_synced()),
            asyncio.create_task(self._check_cancelled()),
        ]
        await self.dispatcher.run()

    def _health_page(self, wanted: bool) -> HealthPage:
        settings = get_current_settings().worker
        return HealthPage(
            lambda: self.is_worker_still_polling(self._query),
            host=settings.webserver.host,
            port=settings.webserver.port if wanted else None,
        )

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Take the runs that are due now and start them; the runs."""
        return [taken.flow_run for taken in await self.dispatcher.take()]

    # --- the pool --------------------------------------------------------------------------------

    async def sync_with_backend(self) -> None:
        """Read the pool, make it when there is none and that is wanted, and say that we live."""
        await self._read_pool()
        await self._beat()

    async def _read_pool(self) -> None:
        try:
            pool = await self.client.read_work_pool(self._work_pool_name)
        except ObjectNotFound:
            if not self._create_pool:
                self._work_pool = None
                self._logger.warning(
                    "Work pool %r does not exist; create it, or start the worker without "
                    "--no-create-pool-if-not-found",
                    self._work_pool_name,
                )
                return
            pool = await self._make_pool()
        if self._work_pool is None and pool.type != self.type:
            self._logger.warning(
                "Work pool %r is of type %r and this worker of type %r; some of its settings may "
                "have no effect",
                pool.name,
                pool.type,
                self.type,
            )
        if not pool.base_job_template:
            template = self._base_job_template or self.get_default_base_job_template()
            update = WorkPoolUpdate(base_job_template=template)
            await self.client.update_work_pool(pool.name, update)
            pool = await self.client.read_work_pool(pool.name)
        self._take_pool(pool)

    async def _make_pool(self) -> WorkPool:
        template = self._base_job_template or self.get_default_base_job_template()
        body = WorkPoolCreate(name=self._work_pool_name, type=self.type, base_job_template=template)
        with suppress(ObjectAlreadyExists):
            await self.client.create_work_pool(body)
            self._logger.info("Work pool %r was created", self._work_pool_name)
        return await self.client.read_work_pool(self._work_pool_name)

    async def _beat(self) -> None:
        if self._work_pool is None:
            return
        with suppress(ObjectNotFound):
            await self.client.send_worker_heartbeat(
                self._work_pool_name,
                self.name,
                heartbeat_interval_seconds=self._heartbeat,
            )

    async def _begin_channel(self) -> None:
        """Connect the worker channel: heartbeats, the pool as it changes, word of ready runs."""
        self._channel = WorkerChannel(
            current_target(),
            self._work_pool_name,
            WorkerDescription(
                name=self.name,
                type=self.type,
                heartbeat_seconds=self._heartbeat,
                work_queue_names=tuple(sorted(self.work_queues)),
                create_pool_if_not_found=self._create_pool,
                base_job_template=self._base_job_template or self.get_default_base_job_template(),
            ),
            rest_heartbeat=self._beat,
            on_snapshot=self._on_snapshot,
            on_work_ready=self._on_work_ready,
            cleanups=self._cleanups(),
        )
        await self._channel.start()

    def _cleanups(self) -> CleanupExecutor | None:
        """Who carries out the teardowns that the server orders; None for nobody."""
        handlers = self.teardown_handlers()
        if not handlers:
            return None
        return CleanupExecutor(handlers, limit=self.cleanup_max_concurrency or 1)

    def _on_snapshot(self, pool: dict[str, Any]) -> None:
        with suppress(MsgspecError):
            self._take_pool(convert(pool, WorkPool, strict=False))

    def _on_work(self) -> None:
        """An event tells of work. The channel tells more exactly, while there is one."""
        if self._channel is None or not self._channel.healthy:
            self.dispatcher.wake()

    def _on_work_ready(self, work: WorkReady) -> None:
        self.dispatcher.wake()

    async def _keep_synced(self) -> None:
        """Read the pool now and then: the channel may be down, or the server may have none."""
        pause = SETUP_ATTEMPT_SECONDS
        while True:
            known = self._work_pool is not None
            pause = self._heartbeat if known else min(pause * 2, self._heartbeat)
            await asyncio.sleep(pause)
            if self._channel is not None and self._channel.healthy and known:
                continue
            try:
                await self._read_pool()
            except (PenstockException, OSError) as error:
                self._logger.debug("Work pool %r was not read: %s", self._work_pool_name, error)

    async def _pool_is_gone(self) -> None:
        """The pool was deleted under this worker: make it anew where that is wanted."""
        try:
            await self._read_pool()
        except (PenstockException, OSError) as error:
            self._logger.debug("Work pool %r was not read: %s", self._work_pool_name, error)
            return
        if self._work_pool is not None and self._channel is not None:
            # The server has closed the channel to the old pool for good.
            await self._channel.stop()
            await self._channel.start()

    def _take_pool(self, pool: WorkPool) -> None:
        """The pool as it is now; a new one (there was none, or it was made anew) has new work."""
        is_new = self._work_pool is None or self._work_pool.id != pool.id
        self._work_pool = pool
        if is_new:
            self.dispatcher.wake()
            if self._watcher is not None:
                self._watcher.again()

    # --- events ----------------------------------------------------------------------------------

    def _watched(self) -> EventFilter:
        pool = self._work_pool
        id = pool.id if pool is not None else UUID(int=0)
        return EventFilter(related=EventRelatedFilter(id=[f"prefect.work-pool.{id}"]))

    def _on_connected(self) -> None:
        """What happened while nobody listened is looked up."""
        self.dispatcher.wake()
        self._background.append(asyncio.create_task(self._look_for_cancelled()))

    def _on_cancelling(self, id: UUID, when: datetime) -> None:
        """A run of the pool is to be cancelled; if it is one of ours, its infrastructure is."""
        job = self._jobs.get(id)
        if job is not None:
            self._background.append(asyncio.create_task(self._kill(id, *job)))

    async def _kill(self, id: UUID, configuration: C, status: "_Started") -> None:
        identifier = await status.future
        try:
            await self.kill_infrastructure(str(identifier), configuration)
        except NotImplementedError as error:
            self._logger.warning("Flow run %s cannot be stopped: %s", id, error)
        except Exception as error:  # Supervision: what infrastructure raises.
            self._logger.error("Flow run %s was not stopped: %r", id, error)

    def _on_lost(self, id: UUID) -> None:
        """A run is no longer ours. What `run` does for it is cancelled."""
        active = self.dispatcher.active.get(id)
        if active is not None and active.task is not None:
            active.task.cancel()

    async def _look_for_cancelled(self) -> None:
        """Look for runs of ours that are to be cancelled."""

    async def _check_cancelled(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if self._watcher is None or not self._watcher.connected:
                await self._look_for_cancelled()

    def _emit(self, event: str, related: list[dict[str, str]] | None = None, **payload: Any) -> Any:
        return emit_event(
            event,
            resource={
                "prefect.resource.id": f"prefect.worker.{self.type}.{self.get_name_slug()}",
                "prefect.resource.name": self.name,
                "prefect.version": VERSION,
                "prefect.worker-type": self.type,
            },
            related=[*(related or []), *self._related_pool()],
            payload=payload or None,
        )

    def _related_pool(self) -> list[dict[str, str]]:
        pool = self._work_pool
        if pool is None:
            return []
        return [
            {
                "prefect.resource.id": f"prefect.work-pool.{pool.id}",
                "prefect.resource.role": "work-pool",
                "prefect.resource.name": pool.name,
            }
        ]

    # --- a run -----------------------------------------------------------------------------------

    def _wanted(self) -> Target | None:
        pool = self._work_pool
        if pool is None:
            return None
        return Target(
            owner=self.name,
            work_pool_name=pool.name,
            work_queue_names=sorted(self.work_queues),
            labels={
                "prefect.worker.name": self.name,
                "prefect.worker.type": self.type,
                "prefect.work-pool.name": pool.name,
                "prefect.work-pool.id": str(pool.id),
            },
        )

    async def _carry_out(self, taken: Taken) -> None:
        """Start a run that was taken and see it to its end."""
        run = taken.flow_run
        if taken.deployment is None and run.deployment_id is not None:
            await self._without_deployment(taken)
            return
        try:
            configuration = await self._configuration(taken)
        except Exception as error:  # Supervision: a template or a block of the user.
            self._logger.error("Flow run %r cannot be started: %s", run.name, error)
            await self._end(taken, f"Flow run could not be submitted to infrastructure: {error}")
            return
        await self.execute(taken, configuration)

    async def execute(self, taken: Taken, configuration: C) -> None:
        """Run it and report how it ended."""
        status = _Started()
        related = _related(configuration)
        self._emit("prefect.worker.submitted-flow-run", related)
        noting = asyncio.create_task(self._note_identifier(taken, status))
        message: str | None = None
        result: R | None = None
        self._jobs[taken.id] = configuration, status
        try:
            result = await self.run(taken.flow_run, configuration, status)
            status.started(result.identifier)
            if result.status_code or self.over_with_run:
                message = explain(Exit(code=result.status_code))
            self._emit(
                "prefect.worker.executed-flow-run",
                related,
                identifier=result.identifier,
                status_code=result.status_code,
            )
        except Exception as error:  # Supervision: what infrastructure raises is a crash of the run.
            how = "ended" if status.future.done() else "could be started"
            self._logger.exception("Flow run %r failed before it %s", taken.flow_run.name, how)
            message = f"Flow run could not be submitted to infrastructure: {error!r}"
        finally:
            if not status.future.done():
                noting.cancel()
            self._jobs.pop(taken.id, None)
        await asyncio.wait([noting])
        await self._finish(taken, result, message)

    async def _finish(self, taken: Taken, result: R | None, message: str | None) -> None:
        """Report the end; `result` is None when `run` raised."""
        await self._end(taken, message)

    async def _configuration(self, taken: Taken) -> C:
        flow = _Named(taken.flow_run.flow_id, taken.flow_name)
        return await self.job_configuration.resolve_for_flow_run(
            taken.flow_run,
            client=self.client,
            work_pool=self.work_pool,
            worker_name=self.name,
            worker_id=self.worker_id,
            deployment=taken.deployment,
            flow=flow,
        )

    async def _without_deployment(self, taken: Taken) -> None:
        message = "The deployment of this run was deleted, so there is no code to run."
        self._logger.warning("Flow run %r is cancelled: %s", taken.flow_run.name, message)
        await self._persistently(
            lambda: self.client.set_flow_run_state(taken.id, Cancelled(message=message), force=True)
        )
        await self._end(taken, None)

    async def _note_identifier(self, taken: Taken, status: "_Started") -> None:
        identifier = await status.future
        if identifier is None:
            return
        update = FlowRunUpdate(infrastructure_pid=str(identifier))
        try:
            await self.client.call("update_flow_run", taken.id, body=update)
        except (PenstockException, OSError) as error:
            self._logger.warning("The process of flow run %s was not noted: %s", taken.id, error)

    async def _end(self, taken: Taken, message: str | None) -> EndedClaim | None:
        async def tell() -> EndedClaim:
            return await (await self.dispatcher.source()).end(taken, message)

        return await self._persistently(tell)

    async def _persistently(self, ask: Callable[[], Any]) -> Any:
        """The answer of the server, however long it is away; None when the worker stops."""
        pause = 0.2
        while True:
            try:
                return await ask()
            except ObjectNotFound:
                return None
            except (PenstockException, OSError) as error:
                if self._stopping.is_set():
                    self._logger.error("A report could not be delivered: %s", error)
                    return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, 15.0)


class _Started:
    """The task status of one run."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def started(self, value: Any = None) -> None:
        if not self.future.done():
            self.future.set_result(value)


class _Named:
    """A flow as far as configurations need it."""

    def __init__(self, id: UUID, name: str | None) -> None:
        self.id = id
        self.name = name or ""


def _related(configuration: BaseJobConfiguration) -> list[dict[str, str]]:
    """The run, its flow and its deployment, as events name them."""
    return [
        {
            "prefect.resource.id": f"prefect.{kind}.{thing.id}",
            "prefect.resource.role": kind,
            "prefect.resource.name": thing.name,
        }
        for kind, thing in configuration._related_objects.items()
        if thing is not None
    ]


def _load_types() -> None:
    """Workers of this package and of others that announce theirs (`penstock.collections`)."""
    import_module("penstock.workers.process")
    for group in ("penstock.collections", "prefect.collections"):
        for point in entry_points(group=group):
            try:
                point.load()
            except Exception as error:  # Supervision: a package of somebody else.
                get_logger("worker").warning("Collection %r cannot be loaded: %s", point, error)
