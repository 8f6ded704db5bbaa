"""Deploying one entry of a project file: steps, placeholders, and the deployment itself."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import UnsetType

from penstock.base.dual import Steps, run_sync
from penstock.deployments.parameters import parameter_schema
from penstock.deployments.project.resolve import (
    fields_of,
    left_over,
    schedules_of,
    schedules_to_send,
    unknown_parameters,
)
from penstock.deployments.project.shape import Fault, deployment
from penstock.deployments.steps.core import run_steps
from penstock.deployments.templating import apply_values, resolved_blocks, resolved_variables
from penstock.deployments.triggers import automation_of
from penstock.deployments.versions import VersionType, version_info
from penstock.flows import load_flow_from_entrypoint
from penstock.schemas.deployments import DeploymentCreate, DeploymentUpdate, VersionInfo
from penstock.schemas.errors import ObjectNotFound, PenstockException
from penstock.schemas.flows import FlowCreate

STEP_KINDS = ("build", "push", "pull")
# These keep their placeholders of blocks and variables, which the worker fills in for each run,
# so that no secret is readable in the deployment.
_LATER = ("build", "push", "pull", "triggers")


class NotDeployed(PenstockException):
    """A deployment could not be made; the message says why and what to do."""

    code = "not_deployed"


class InvalidEntry(NotDeployed):
    """What an entry became when its placeholders were filled in is not right."""

    code = "entry_invalid"

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__(
            "; ".join(
                f"`{'.'.join(str(part) for part in one.path)}` {one.message}"
                + (f" (allowed: {one.allowed})" if one.allowed else "")
                for one in faults
            )
        )


class Deployed(NamedTuple):
    """What was made or changed."""

    id: UUID
    full_name: str
    created: bool
    pool: str | None
    warnings: list[str]


def deploy_entry(
    client: Any,
    entry: Mapping[str, Any],
    steps: Mapping[str, list[dict[str, Any]]],
    say: Callable[[str], Any],
) -> Deployed:
    """Makes or changes the deployment that an entry describes.

    Its placeholders are filled in, its flow is imported, the build and push steps run, then the
    deployment and its triggers are written. `steps` are those of the three kinds. Raises
    `NotDeployed`, `StepExecutionError`, and what importing the flow raises. The working directory
    is afterwards what it was, whatever steps made of it.
    """
    with chdir(Path.cwd()):
        return _deploy(client, entry, steps, say, Path.cwd())


def _deploy(
    client: Any,
    entry: Mapping[str, Any],
    steps: Mapping[str, list[dict[str, Any]]],
    say: Callable[[str], Any],
    directory: Path,
) -> Deployed:
    filled = run_sync(_filled(entry))
    _checked(filled)
    flow = _flow(_required(filled, "entrypoint"))
    name = str(_required(filled, "name"))
    schema = parameter_schema(flow)
    pool = _check_pool(client, filled)
    say(f"Deploying {flow.name}/{name} ...")
    outputs = _run(steps["build"], {}, say)
    outputs = _run(steps["push"], outputs, say)
    filled = {
        **apply_values(
            {k: v for k, v in filled.items() if k not in _LATER}, outputs, warn_on_notset=True
        ),
        "triggers": _outputs_in_triggers(filled.get("triggers"), outputs),
    }
    _checked(filled)
    unknown = unknown_parameters(filled, schema)
    if unknown:
        known = ", ".join(schema["properties"]) or "none"
        raise NotDeployed(
            f"the flow {flow.name!r} takes no parameter {', '.join(unknown)}; it takes {known}"
        )
    pull = apply_values(
        steps["pull"] or default_pull(directory), outputs, remove_notset=False, skip_prefixes=["$"]
    )
    fields = fields_of(filled, flow, schema, pull, _version(filled, flow))
    id, created = _written(client, flow.name, name, filled, fields)
    warnings = _written_triggers(client, id, name, filled.get("triggers") or [])
    return Deployed(id, f"{flow.name}/{name}", created, pool, warnings)


def _flow(entrypoint: str) -> Any:
    try:
        return load_flow_from_entrypoint(entrypoint)
    except SystemExit as leave:
        raise NotDeployed(
            f"the code at {entrypoint!r} ended the program (with {leave.code!r}) while it was "
            "imported; put what runs under `if __name__ == '__main__':`"
        ) from None


def default_pull(directory: Path) -> list[dict[str, Any]]:
    """The pull steps of a project that has none: the code stays in `directory`."""
    return [{"prefect.deployments.steps.set_working_directory": {"directory": str(directory)}}]


def _filled(entry: Mapping[str, Any]) -> Steps[dict[str, Any]]:
    """The entry with blocks, variables and environment; outputs of steps are not known yet."""
    now = {key: value for key, value in entry.items() if key not in _LATER}
    pool = now.pop("work_pool", None)
    filled = yield from resolved_blocks(now)
    filled = yield from resolved_variables(filled)
    if pool is not None:
        named = {key: value for key, value in pool.items() if key != "job_variables"}
        named = yield from resolved_variables(named)
        later = {k: v for k, v in pool.items() if k == "job_variables"}
        filled["work_pool"] = {**named, **later}
    filled = apply_values(filled, {}, remove_notset=False)
    return {**filled, **{key: entry[key] for key in _LATER if key in entry}}


def _outputs_in_triggers(triggers: Any, outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            key: value if key == "parameters" else apply_values(value, outputs)
            for key, value in trigger.items()
        }
        for trigger in triggers or ()
    ]


def _checked(entry: Mapping[str, Any]) -> None:
    faults = [one for one in deployment((), entry) if not one.warning]
    if faults:
        raise InvalidEntry(faults)


def _required(entry: Mapping[str, Any], key: str) -> Any:
    if not entry.get(key):
        raise NotDeployed(f"the deployment has no {key}; add `{key}` to its entry")
    return entry[key]


def _check_pool(client: Any, entry: Mapping[str, Any]) -> str | None:
    name = (entry.get("work_pool") or {}).get("name")
    if not name:
        raise NotDeployed(
            "the deployment has no work pool; add `work_pool: {name: ...}` to its entry, give "
            "--pool, or set PENSTOCK_DEFAULT_WORK_POOL_NAME"
        )
    try:
        pool = client.call("read_work_pool", name)
    except ObjectNotFound:
        raise NotDeployed(
            f"there is no work pool {name!r}; create it with `penstock work-pool create {name} "
            "--type process`, or name another one"
        ) from None
    if pool.type == "prefect-agent":
        raise NotDeployed(
            f"the work pool {name!r} is for agents, which are no more; choose a pool for workers"
        )
    return pool.name


def _version(entry: Mapping[str, Any], flow: Any) -> VersionInfo | None:
    """The version the entry gives; without one the commit of the code, else the flow's own."""
    given, kind = entry.get("version"), entry.get("version_type")
    if given and kind is None:
        return VersionInfo(type=VersionType.SIMPLE, version=given)
    try:
        return version_info(given or flow.version, kind)
    except ValueError as error:
        raise NotDeployed(str(error)) from None


def _run(
    steps: list[dict[str, Any]], outputs: dict[str, Any], say: Callable[[str], Any]
) -> dict[str, Any]:
    if not steps:
        return outputs
    return asyncio.run(run_steps(steps, outputs, print_function=say))


def _written(
    client: Any, flow_name: str, name: str, entry: Mapping[str, Any], fields: dict[str, Any]
) -> tuple[UUID, bool]:
    """Writes the deployment; its id, and whether it is new."""
    try:
        schedules = schedules_of(entry)
    except ValueError as error:
        raise NotDeployed(f"a schedule of {name!r} is wrong: {error}") from None
    flow = client.call("create_flow", body=FlowCreate(name=flow_name))
    try:
        stored = client.call("read_deployment_by_name", flow_name, name)
    except ObjectNotFound:
        made = client.call(
            "create_deployment",
            body=DeploymentCreate(
                flow_id=flow.id,
                name=name,
                schedules=[] if isinstance(schedules, UnsetType) else schedules,
                **{key: value for key, value in fields.items() if value is not None},
            ),
        )
        return made.id, True
    sent = schedules_to_send(schedules, stored.schedules)
    change = DeploymentUpdate(**fields, schedules=sent)
    client.call("update_deployment", stored.id, body=change)
    for schedule in left_over(schedules, stored.schedules):
        client.call("delete_deployment_schedule", stored.id, schedule.id)
    return stored.id, False


def _written_triggers(
    client: Any, id: UUID, name: str, triggers: list[dict[str, Any]]
) -> list[str]:
    """Replaces the deployment's automations; what could not be done."""
    with suppress(ObjectNotFound):  # a server without automations has none of them
        client.call("delete_automations_owned_by_resource", f"prefect.deployment.{id}")
    warnings = []
    for index, trigger in enumerate(triggers):
        body = automation_of(trigger, id, name, index)
        try:
            client.call("create_automation", body=body)
        except PenstockException as error:
            detail = getattr(error, "detail", None) or error
            warnings.append(f"the trigger {body['name']!r} was not made: {detail}")
    return warnings
