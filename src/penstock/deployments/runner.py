"""`RunnerDeployment`: a deployment as code declares it, and `deploy`, which sends several."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from msgspec import UNSET, Struct, to_builtins
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock.base.dual import Blocking, Steps, dual, run_aio, run_sync
from penstock.deployments.entrypoints import entrypoint_of
from penstock.deployments.frozen import frozen_parameters
from penstock.deployments.loading import flow_steps
from penstock.deployments.parameters import parameter_schema
from penstock.deployments.schedules import FlexibleScheduleList, chosen_schedules
from penstock.deployments.triggers import automation_of
from penstock.deployments.versions import VersionType, version_info
from penstock.flows import Flow, load_flow_from_entrypoint
from penstock.schemas.deployments import (
    ConcurrencyLimitStrategy,
    ConcurrencyOptions,
    Deployment,
    DeploymentCreate,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
    VersionInfo,
)
from penstock.schemas.errors import ObjectNotFound, PenstockHTTPStatusError
from penstock.schemas.flows import FlowCreate
from penstock.schemas.work import WorkPool
from penstock.settings import get_current_settings
from penstock.steps import Request
from penstock.types.entrypoint import EntrypointType


class DeploymentApplyError(RuntimeError):
    """The server refused a deployment; the message says why."""


class ConcurrencyLimitConfig(Struct, frozen=True):
    """How many runs of a deployment run at once, and what happens to one more."""

    limit: int
    collision_strategy: ConcurrencyLimitStrategy = ConcurrencyLimitStrategy.ENQUEUE
    grace_period_seconds: int | None = None


class RunnerDeployment(BaseModel):
    """A flow with where its code is, when it runs, with what. `apply` sends it."""

    model_config = ConfigDict(arbitrary_types_allowed=True, validate_assignment=True)

    name: str
    flow_name: str | None = None
    description: str | None = None
    version: str | None = None
    version_type: VersionType | None = None
    tags: list[str] = Field(default_factory=list)
    schedules: list[Any] | None = None
    concurrency_limit: int | None = None
    concurrency_options: ConcurrencyOptions | None = None
    paused: bool | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    entrypoint: str | None = None
    triggers: list[Any] = Field(default_factory=list)
    enforce_parameter_schema: bool = True
    storage: Any = None
    work_pool_name: str | None = None
    work_queue_name: str | None = None
    job_variables: dict[str, Any] = Field(default_factory=dict)

    _schema: dict[str, Any] | None = PrivateAttr(default=None)
    _version_from_flow: bool = PrivateAttr(default=False)
    _entrypoint_type: EntrypointType = PrivateAttr(default=EntrypointType.FILE_PATH)
    _path: str | None = PrivateAttr(default=None)
    _flow: Any = PrivateAttr(default=None)

    @field_validator("name")
    @classmethod
    def _without_suffix(cls, value: str) -> str:
        return Path(value).stem if value.endswith(".py") else value

    @model_validator(mode="before")
    @classmethod
    def _plain_schedules(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("schedules") is not None:
            schedules = chosen_schedules(schedules=values["schedules"])
            return {**values, "schedules": schedules}
        return values

    @property
    def full_name(self) -> str:
        return f"{self.flow_name}/{self.name}"

    @property
    def entrypoint_type(self) -> EntrypointType:
        return self._entrypoint_type

    # --- making one ------------------------------------------------------------------------------

    @classmethod
    def from_flow(
        cls,
        flow: Flow[..., Any],
        name: str,
        interval: Iterable[float | timedelta] | float | timedelta | None = None,
        cron: Iterable[str] | str | None = None,
        rrule: Iterable[str] | str | None = None,
        paused: bool | None = None,
        schedule: Any = None,
        schedules: FlexibleScheduleList | None = None,
        concurrency_limit: int | ConcurrencyLimitConfig | None = None,
        parameters: dict[str, Any] | None = None,
        triggers: list[Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        version_type: VersionType | str | None = None,
        enforce_parameter_schema: bool = True,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
        entrypoint_type: EntrypointType | str = EntrypointType.FILE_PATH,
        _sla: Any = None,
    ) -> Self:
        """A deployment of a flow that is loaded here. Raises `ValueError` for one that was made
        interactively, because no other process could load it."""
        if _sla is not None:
            raise ValueError("service level agreements are a feature of a hosted service only")
        limit, options = _concurrency(concurrency_limit)
        kind = EntrypointType(entrypoint_type)
        entrypoint, path = entrypoint_of(flow, kind)
        plain_parameters, schema = frozen_parameters(parameters or {}, parameter_schema(flow.fn))
        deployment = cls(
            name=name,
            flow_name=flow.name,
            description=description if description is not None else flow.description,
            version=version if version is not None else flow.version,
            version_type=VersionType(version_type) if version_type is not None else None,
            tags=list(tags or ()),
            schedules=chosen_schedules(
                interval=interval, cron=cron, rrule=rrule, schedule=schedule, schedules=schedules
            ),
            concurrency_limit=limit,
            concurrency_options=options,
            paused=paused,
            parameters=plain_parameters,
            entrypoint=entrypoint,
            triggers=list(triggers or ()),
            enforce_parameter_schema=enforce_parameter_schema,
            storage=flow._storage,
            work_pool_name=work_pool_name,
            work_queue_name=work_queue_name,
            job_variables=dict(job_variables or {}),
        )
        deployment._schema = schema
        deployment._version_from_flow = version is None
        deployment._entrypoint_type = kind
        deployment._path = path
        deployment._flow = flow
        return deployment

    @classmethod
    def from_entrypoint(
        cls, entrypoint: str, name: str, flow_name: str | None = None, **options: Any
    ) -> Self:
        """A deployment of the flow that an entrypoint names; its file is run. Takes the options
        of `from_flow`."""
        flow = load_flow_from_entrypoint(entrypoint)
        return cls._of_loaded(flow, entrypoint, name, flow_name, options)

    @classmethod
    def from_storage(
        cls,
        storage: Any,
        entrypoint: str,
        name: str,
        flow_name: str | None = None,
        **options: Any,
    ) -> Self:
        """A deployment of a flow whose code is in `storage`; it is pulled to look at the flow.
        Takes the options of `from_flow`."""
        flow = run_sync(flow_steps(storage, entrypoint))
        return cls._of_loaded(flow, entrypoint, name, flow_name, options)

    @classmethod
    async def afrom_storage(
        cls,
        storage: Any,
        entrypoint: str,
        name: str,
        flow_name: str | None = None,
        **options: Any,
    ) -> Self:
        """As `from_storage`, for coroutines."""
        flow = await run_aio(flow_steps(storage, entrypoint))
        return cls._of_loaded(flow, entrypoint, name, flow_name, options)

    @classmethod
    def _of_loaded(
        cls,
        flow: Flow[..., Any],
        entrypoint: str,
        name: str,
        flow_name: str | None,
        options: dict[str, Any],
    ) -> Self:
        deployment = cls.from_flow(flow, name, **options)
        deployment.entrypoint = entrypoint
        if flow_name is not None:
            deployment.flow_name = flow_name
        return deployment

    # --- sending it ------------------------------------------------------------------------------

    def _apply(
        self,
        schedules: list[dict[str, Any]] | None = None,
        work_pool_name: str | None = None,
        image: str | None = None,
        version_info: VersionInfo | None = None,
    ) -> Steps[UUID]:
        """Make the deployment, or change the one of this flow and name; returns its id.

        Raises `ValueError` for what needs a work pool without one, `DeploymentApplyError` when
        the server refuses it.
        """
        pool = work_pool_name or self.work_pool_name
        self._check_pool(pool, image)
        try:
            return (yield from self._sent(pool, schedules, image, version_info))
        except PenstockHTTPStatusError as error:
            raise DeploymentApplyError(
                f"the server refused deployment {self.full_name!r}: {error}"
            ) from error

    apply, aapply = dual(_apply)

    def _check_pool(self, pool: str | None, image: str | None) -> None:
        if pool:
            return
        for value, what in (
            (image, "an image"),
            (self.work_queue_name, "a work queue"),
            (self.job_variables, "job variables"),
        ):
            if value:
                raise ValueError(
                    f"deployment {self.name!r} has {what} and no work pool, which is what it "
                    "would be for; give work_pool_name"
                )

    def _sent(
        self,
        pool: str | None,
        schedules: list[dict[str, Any]] | None,
        image: str | None,
        version: VersionInfo | None,
    ) -> Steps[UUID]:
        if self.flow_name is None:
            raise ValueError(f"deployment {self.name!r} names no flow")
        flow = yield Request("create_flow", body=FlowCreate(name=self.flow_name))
        before = yield from self._existing()
        body = self._body(flow.id, pool, schedules, image, version or (yield from self._version()))
        if before is None:
            made: Deployment = yield Request("create_deployment", body=body)
            id = made.id
        else:
            id = before.id
            yield Request("update_deployment", id, body=_update_of(body, self._wanted(schedules)))
        yield from self._set_triggers(id)
        return id

    def _existing(self) -> Steps[Deployment | None]:
        try:
            return (yield Request("read_deployment_by_name", self.flow_name, self.name))
        except ObjectNotFound:
            return None

    def _version(self) -> Steps[VersionInfo | None]:
        """The commit replaces a version that only says which file the flow is in."""
        given = None if self._version_from_flow else self.version
        if given and self.version_type is None:
            return VersionInfo(type=VersionType.SIMPLE, version=given)
        return (yield Blocking(version_info, given or self.version, self.version_type))

    def _wanted(self, schedules: list[dict[str, Any]] | None) -> list[Any] | None:
        return chosen_schedules(schedules=schedules) if schedules is not None else self.schedules

    def _body(
        self,
        flow_id: UUID,
        pool: str | None,
        schedules: list[dict[str, Any]] | None,
        image: str | None,
        version: VersionInfo | None,
    ) -> DeploymentCreate:
        variables = {**self.job_variables, **({"image": image} if image else {})}
        stored = self.storage is not None and pool is not None
        here = self.storage is None and image is None
        chosen = [
            one
            for one in self._wanted(schedules) or ()
            if isinstance(one, DeploymentScheduleCreate)
        ]
        return DeploymentCreate(
            flow_id=flow_id,
            name=self.name,
            version=version.version if version is not None else (self.version or UNSET),
            version_info=version or UNSET,
            schedules=chosen,
            concurrency_limit=self.concurrency_limit,
            concurrency_options=self.concurrency_options or UNSET,
            parameters=self.parameters,
            description=self.description,
            tags=self.tags,
            path=self._path if here else None,
            entrypoint=self.entrypoint,
            parameter_openapi_schema=self._schema if self._schema is not None else UNSET,
            paused=UNSET if self.paused is None else self.paused,
            pull_steps=self._pull_steps() if stored else (None if pool else UNSET),
            enforce_parameter_schema=self.enforce_parameter_schema,
            work_pool_name=pool or UNSET,
            work_queue_name=self.work_queue_name or UNSET,
            job_variables=variables if pool else UNSET,
        )

    def _pull_steps(self) -> list[dict[str, Any]]:
        steps = self.storage.to_pull_step()
        return steps if isinstance(steps, list) else [steps]

    def _set_triggers(self, id: UUID) -> Steps[None]:
        """Make the automations anew that this deployment owns. A server without them is fine as
        long as there are none."""
        try:
            yield Request("delete_automations_owned_by_resource", f"prefect.deployment.{id}")
        except ObjectNotFound:
            if not self.triggers:
                return
        for index, trigger in enumerate(self.triggers):
            body = automation_of(_mapping(trigger), id, self.name, index)
            yield Request("create_automation", body=body)


def _mapping(trigger: Any) -> Mapping[str, Any]:
    """A trigger as a mapping, whichever way it was made."""
    if isinstance(trigger, Mapping):
        return trigger
    dump = getattr(trigger, "model_dump", None)
    return dump(mode="json", exclude_none=True) if dump is not None else to_builtins(trigger)


def _update_of(body: DeploymentCreate, schedules: list[Any] | None) -> DeploymentUpdate:
    """The same as a change of an existing deployment; no schedules given leaves those it has, an
    empty list removes them."""
    return DeploymentUpdate(
        **{
            name: getattr(body, name)
            for name in DeploymentUpdate.__struct_fields__
            if name != "schedules"
        },
        schedules=UNSET if schedules is None else [_schedule_update(one) for one in schedules],
    )


def _schedule_update(one: Any) -> DeploymentScheduleUpdate:
    if isinstance(one, DeploymentScheduleUpdate):
        return one
    return DeploymentScheduleUpdate(
        active=one.active,
        max_scheduled_runs=one.max_scheduled_runs,
        parameters=one.parameters,
        replaces=one.replaces if one.replaces is not None else UNSET,
        schedule=one.schedule,
        slug=one.slug if one.slug is not None else UNSET,
    )


def _concurrency(
    given: int | ConcurrencyLimitConfig | None,
) -> tuple[int | None, ConcurrencyOptions | None]:
    if given is None or isinstance(given, int):
        return given, None
    return given.limit, ConcurrencyOptions(
        collision_strategy=given.collision_strategy,
        grace_period_seconds=given.grace_period_seconds,
    )


# --- several -------------------------------------------------------------------------------------


def _deploy(
    *deployments: RunnerDeployment,
    work_pool_name: str | None = None,
    image: Any = None,
    build: bool = True,
    push: bool = True,
    print_next_steps_message: bool = True,
    ignore_warnings: bool = False,
) -> Steps[list[UUID]]:
    """Send deployments to a work pool; their ids.

    Each needs code that a worker elsewhere can get: an image, remote storage, or a module. One
    that the server refuses raises when it is the only one; of several, the others go on and a
    table says what became of each. Raises `ValueError` for what cannot work.
    """
    pool = yield from _pool(
        work_pool_name or get_current_settings().deployments.default_work_pool_name
    )
    _check_image(pool, image, build, push)
    for deployment in deployments:
        _check_code(deployment, pool, image)
    console = Console()
    if pool.type == "process" and not ignore_warnings:
        console.print(
            "Runs of a process work pool are processes of the machine its worker is on; to run "
            "them right here, `serve` is simpler.",
            style="yellow",
        )
    ids: list[UUID] = []
    outcomes: list[tuple[str, str, str]] = []
    for deployment in deployments:
        try:
            ids.append(
                (yield from deployment._apply(work_pool_name=pool.name, image=_image_name(image)))
            )
            outcomes.append((deployment.full_name, "applied", ""))
        except DeploymentApplyError as error:
            if len(deployments) == 1:
                raise
            outcomes.append((deployment.full_name, "failed", str(error)))
    _print_outcomes(console, outcomes)
    if print_next_steps_message and ids:
        console.print(
            f"Start a worker that runs them:\n  penstock worker start --pool {pool.name!r}"
        )
    return ids


deploy, adeploy = dual(_deploy)


def _pool(name: str | None) -> Steps[WorkPool]:
    if name is None:
        raise ValueError(
            "name the work pool: give work_pool_name, or set PENSTOCK_DEFAULT_WORK_POOL_NAME"
        )
    try:
        return (yield Request("read_work_pool", name))
    except ObjectNotFound as error:
        raise ValueError(
            f"work pool {name!r} does not exist; create it with `penstock work-pool create`"
        ) from error


def _check_image(pool: WorkPool, image: Any, build: bool, push: bool) -> None:
    if image is None:
        return
    properties = (pool.base_job_template.get("variables") or {}).get("properties") or {}
    if not {"image", "block"} & properties.keys():
        raise ValueError(
            f"work pool {pool.name!r} has no variable for an image, so one has no effect there"
        )
    if build and not pool.type.endswith(":managed"):
        raise ValueError(
            "images are not built here yet; build and push it yourself, then deploy with "
            "build=False and push=False"
        )
    _ = push


def _image_name(image: Any) -> str | None:
    if image is None or isinstance(image, str):
        return image
    return getattr(image, "reference", None) or str(image)


def _check_code(deployment: RunnerDeployment, pool: WorkPool, image: Any) -> None:
    module = deployment.entrypoint_type is EntrypointType.MODULE_PATH
    if image is not None or deployment.storage is not None or module or pool.type == "process":
        return
    raise ValueError(
        f"nothing says where a worker finds the code of {deployment.full_name!r}: give an image, "
        "load the flow with `flow.from_source`, or deploy it by its module "
        "(entrypoint_type=EntrypointType.MODULE_PATH)"
    )


def _print_outcomes(console: Console, outcomes: list[tuple[str, str, str]]) -> None:
    table = Table("Deployment", "Outcome", "Why")
    for name, outcome, why in outcomes:
        style = "green" if outcome == "applied" else "red"
        table.add_row(escape(name), f"[{style}]{outcome}[/{style}]", escape(why))
    console.print(table)
