"""What a flow can do about deployments: be one, be served, be sent to a work pool, be loaded from
elsewhere. The parts that do it lie above flows and are loaded on use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from penstock.base.lazy import LazyModule

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable
    from datetime import timedelta
    from uuid import UUID

    from penstock.base import dual

    deploying: Any
    loading: Any
    serving: Any
else:
    dual = LazyModule("penstock.base.dual")
    pathlib = LazyModule("pathlib")
    deploying = LazyModule("penstock.deployments.runner")
    loading = LazyModule("penstock.deployments.loading")
    serving = LazyModule("penstock.runner.serving")


class DeployOptions(TypedDict, total=False):
    """What a deployment is made with, see `RunnerDeployment.from_flow`."""

    interval: Iterable[float | timedelta] | float | timedelta | None
    cron: Iterable[str] | str | None
    rrule: Iterable[str] | str | None
    paused: bool | None
    schedule: Any
    schedules: Any
    concurrency_limit: Any
    parameters: dict[str, Any] | None
    triggers: list[Any] | None
    description: str | None
    tags: list[str] | None
    version: str | None
    version_type: Any
    enforce_parameter_schema: bool
    work_queue_name: str | None
    job_variables: dict[str, Any] | None
    entrypoint_type: Any
    _sla: Any


class DeploymentOptions(DeployOptions, total=False):
    """The same, with the work pool."""

    work_pool_name: str | None


class ServeOptions(TypedDict, total=False):
    """What a served deployment is made with."""

    interval: Iterable[float | timedelta] | float | timedelta | None
    cron: Iterable[str] | str | None
    rrule: Iterable[str] | str | None
    paused: bool | None
    schedule: Any
    schedules: Any
    parameters: dict[str, Any] | None
    triggers: list[Any] | None
    description: str | None
    tags: list[str] | None
    version: str | None
    enforce_parameter_schema: bool
    entrypoint_type: Any


class Deployable:
    """The part of `Flow` that is about deployments."""

    name: str

    def to_deployment(self, name: str, **options: Unpack[DeploymentOptions]) -> Any:
        """A deployment of this flow, for `serve` and `deploy`. Nothing is sent yet.

        In an async context a coroutine that gives it; `ato_deployment` always is one.
        """
        if dual.in_async_context():
            return self.ato_deployment(name, **options)
        return self._deployment(name, options)

    async def ato_deployment(self, name: str, **options: Unpack[DeploymentOptions]) -> Any:
        return self._deployment(name, options)

    def serve(
        self,
        name: str | None = None,
        *,
        global_limit: Any = None,
        pause_on_shutdown: bool = True,
        print_starting_message: bool = True,
        limit: int | None = None,
        webserver: bool = False,
        **options: Unpack[ServeOptions],
    ) -> None:
        """Serve this flow from here until Ctrl+C or SIGTERM: its runs are processes of this
        machine. `limit` is the most runs at once, `global_limit` the deployment's own limit.
        """
        if name is None:
            name = self.name
        elif pathlib.Path(name).is_file():
            name = pathlib.Path(name).stem
        made = self._deployment(name, {**options, "concurrency_limit": global_limit})
        serving.serve(
            made,
            pause_on_shutdown=pause_on_shutdown,
            print_starting_message=print_starting_message,
            limit=limit,
            webserver=webserver,
        )

    def deploy(
        self,
        name: str,
        work_pool_name: str | None = None,
        image: Any = None,
        build: bool = True,
        push: bool = True,
        *,
        print_next_steps: bool = True,
        ignore_warnings: bool = False,
        **options: Unpack[DeployOptions],
    ) -> UUID:
        """Send a deployment of this flow to a work pool; its id."""
        made = self._deployment(name, options)
        arguments: dict[str, Any] = {
            "work_pool_name": work_pool_name,
            "image": image,
            "build": build,
            "push": push,
            "print_next_steps_message": print_next_steps,
            "ignore_warnings": ignore_warnings,
        }
        if dual.in_async_context():
            return _only(deploying.adeploy(made, **arguments))  # type: ignore[return-value]
        return deploying.deploy(made, **arguments)[0]

    async def adeploy(
        self,
        name: str,
        work_pool_name: str | None = None,
        image: Any = None,
        build: bool = True,
        push: bool = True,
        *,
        print_next_steps: bool = True,
        ignore_warnings: bool = False,
        **options: Unpack[DeployOptions],
    ) -> UUID:
        """As `deploy`, for coroutines."""
        made = self._deployment(name, options)
        return await _only(
            deploying.adeploy(
                made,
                work_pool_name=work_pool_name,
                image=image,
                build=build,
                push=push,
                print_next_steps_message=print_next_steps,
                ignore_warnings=ignore_warnings,
            )
        )

    @classmethod
    def from_source(cls, source: Any, entrypoint: str) -> Any:
        """The flow that `entrypoint` names in the code that `source` holds: a URL, a path, a
        storage, or a block with `get_directory`. Its deployments pull the code from there.

        In an async context a coroutine that gives it; `afrom_source` always is one.
        """
        return loading.flow_from_source(source, entrypoint)

    @classmethod
    async def afrom_source(cls, source: Any, entrypoint: str) -> Any:
        return await loading.aflow_from_source(source, entrypoint)

    def _deployment(self: Self, name: str, options: Any) -> Any:
        return deploying.RunnerDeployment.from_flow(self, name, **options)


async def _only(ids: Any) -> Any:
    return (await ids)[0]
