"""`penstock deployment`: look at deployments, run and pause them, keep their schedules."""

import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click

from penstock.base import json
from penstock.cli.deployed import by_name, chosen_deployment, every_deployment, flow_names
from penstock.cli.deployment_schedule import schedule
from penstock.cli.lazy import argument
from penstock.cli.moments import duration, moment
from penstock.cli.output import Failure, ago, confirm, output_option, print_json, print_table
from penstock.cli.runs import Api, api, inspect
from penstock.cli.watching import watch_flow_run
from penstock.schemas.deployments import (
    Deployment,
    DeploymentFlowRunCreate,
    DeploymentSort,
    DeploymentUpdate,
)
from penstock.schemas.errors import PenstockHTTPStatusError
from penstock.schemas.filters import FlowFilter, NameFilter
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.states import StateCreate, StateDetails, StateType


@click.group()
def deployment() -> None:
    """Look at deployments, run and pause them, keep their schedules."""


deployment.add_command(schedule)


@deployment.command()
@argument("flow_name", nargs=-1, required=False)
@click.option("--by-created/--no-by-created", help="The newest first, instead of by name.")
@output_option
def ls(flow_name: tuple[str, ...], by_created: bool, output: str | None) -> None:
    """List deployments, of all flows or of those named."""
    flows = FlowFilter(name=NameFilter(any_=list(flow_name))) if flow_name else None
    sort = DeploymentSort.CREATED_DESC if by_created else DeploymentSort.NAME_ASC
    with api() as client:
        deployments = list(every_deployment(client, flows, sort))
        names = flow_names(client, deployments)
    if output:
        print_json(deployments)
        return
    print_table(
        ("Name", "ID", "Work pool", "Status", "Schedules", "Created"),
        (
            (
                f"{names.get(one.flow_id, '?')}/{one.name}",
                str(one.id),
                one.work_pool_name or "-",
                "paused" if one.paused else (one.status or "-").lower().replace("_", " "),
                str(sum(1 for entry in one.schedules if entry.active)),
                ago(one.created),
            )
            for one in deployments
        ),
        "There are no such deployments.",
    )


@deployment.command("inspect")
@argument("name")
@output_option
def inspect_(name: str, output: str | None) -> None:
    """Show one deployment, named as <flow>/<deployment>."""
    with api() as client:
        inspect(by_name(client, name), output, "", False)


@deployment.command()
@argument("name", required=False)
@click.option("--id", "deployment_id", type=click.UUID, help="The deployment's id.")
@click.option(
    "--param", "-p", "params", multiple=True, help="KEY=VALUE; the value is JSON, or text."
)
@click.option("--params", "multiparams", help="All parameters as a JSON object; - reads stdin.")
@click.option("--job-variable", "job_variables", multiple=True, help="KEY=VALUE; repeatable.")
@click.option("--start-in", help="How long to wait, such as '10 minutes'.")
@click.option("--start-at", help="When to start, such as '9am' or '2026-01-31 09:00'.")
@click.option("--tag", "tags", multiple=True, help="A tag of the run; repeatable.")
@click.option("--flow-run-name", help="A name for the run.")
@click.option("--watch", is_flag=True, help="Follow the run until it is final.")
@click.option("--watch-interval", type=click.IntRange(1), hidden=True)
@click.option("--watch-timeout", type=click.IntRange(1), help="Seconds after which watching ends.")
def run(
    name: str | None,
    deployment_id: UUID | None,
    params: tuple[str, ...],
    multiparams: str | None,
    job_variables: tuple[str, ...],
    start_in: str | None,
    start_at: str | None,
    tags: tuple[str, ...],
    flow_run_name: str | None,
    watch: bool,
    watch_interval: int | None,
    watch_timeout: int | None,
) -> None:
    """Make a run of a deployment, named as <flow>/<deployment> or by --id.

    With --watch it ends with status 0 when the run completed, else 1.
    """
    start = _start(start_in, start_at)
    parameters = _parameters(params, multiparams)
    with api() as client:
        chosen = chosen_deployment(client, name, deployment_id)
        _check_known(chosen, parameters)
        made = _made(
            client,
            chosen,
            DeploymentFlowRunCreate(
                parameters=parameters,
                job_variables=_pairs(job_variables, "--job-variable") or None,
                tags=list(tags),
                name=flow_run_name,
                state=StateCreate(
                    type=StateType.SCHEDULED, state_details=StateDetails(scheduled_time=start)
                ),
            ),
        )
        click.echo(f"Created the flow run {made.name!r} ({made.id}), to start {ago(start)}.")
        if not watch:
            click.echo(f"Follow it with `penstock flow-run watch {made.id}`.")
            return
        final = watch_flow_run(client, made.id, watch_timeout)
    if final.state_type is not StateType.COMPLETED:
        raise click.exceptions.Exit(1)


@deployment.command()
@argument("name", required=False)
@click.option("--id", "deployment_id", type=click.UUID, help="The deployment's id.")
@click.option("--all", "all_", is_flag=True, help="Remove every deployment.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_context
def delete(
    ctx: click.Context, name: str | None, deployment_id: UUID | None, all_: bool, yes: bool
) -> None:
    """Remove a deployment with its schedules and planned runs, or all of them."""
    if all_ and (name or deployment_id):
        raise click.UsageError("--all excludes a name and --id; choose one.")
    with api() as client:
        if not all_:
            chosen = chosen_deployment(client, name, deployment_id)
            client.call("delete_deployment", chosen.id)
            click.echo(f"Removed the deployment {name or chosen.name!r}.")
            return
        deployments = list(every_deployment(client, None, DeploymentSort.NAME_ASC))
        confirm(ctx, f"Remove all {len(deployments)} deployments?", yes=yes)
        for one in deployments:
            client.call("delete_deployment", one.id)
    click.echo(f"Removed {len(deployments)} deployments.")


@deployment.command()
@argument("name")
def pause(name: str) -> None:
    """Plan no more runs of a deployment, and take back those that are planned."""
    _set_paused(name, True)
    click.echo(f"Paused the deployment {name!r}; resume it with `penstock deployment resume`.")


@deployment.command()
@argument("name")
def resume(name: str) -> None:
    """Plan runs of a paused deployment again, from now on."""
    _set_paused(name, False)
    click.echo(f"Resumed the deployment {name!r}.")


def _set_paused(name: str, paused: bool) -> None:
    with api() as client:
        chosen = by_name(client, name)
        client.call("update_deployment", chosen.id, body=DeploymentUpdate(paused=paused))


# --- what a run is made of -----------------------------------------------------------------------


def _made(client: Api, chosen: Deployment, body: DeploymentFlowRunCreate) -> FlowRun:
    try:
        return client.call("create_flow_run_from_deployment", chosen.id, body=body)
    except PenstockHTTPStatusError as error:
        raise Failure(f"no run was made: {error.detail or error}") from None


def _start(start_in: str | None, start_at: str | None) -> datetime:
    if start_in and start_at:
        raise click.UsageError("--start-in and --start-at exclude each other; choose one.")
    now = datetime.now(UTC)
    if start_in:
        return now + duration(start_in)
    return moment(start_at, now.astimezone()).astimezone(UTC) if start_at else now


def _parameters(params: tuple[str, ...], multiparams: str | None) -> dict[str, Any]:
    if params and multiparams:
        raise click.UsageError("--param and --params exclude each other; choose one.")
    if multiparams is None:
        return _pairs(params, "--param")
    text = sys.stdin.read() if multiparams == "-" else multiparams
    try:
        value = json.decode(text)
    except ValueError as error:
        raise Failure(f"--params is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Failure("--params is a JSON object of all parameters by name")
    return value


def _pairs(given: tuple[str, ...], option: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not (key and equals):
            raise Failure(f"{option} {one!r} has no key; write KEY=VALUE")
        values[key] = _value(text)
    return values


def _value(text: str) -> Any:
    try:
        return json.decode(text)
    except ValueError:
        return text


def _check_known(chosen: Deployment, parameters: dict[str, Any]) -> None:
    schema = chosen.parameter_openapi_schema or {}
    known = schema.get("properties")
    if known is None or schema.get("additionalProperties"):
        return
    unknown = sorted(parameters.keys() - known.keys())
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise Failure(
            f"the deployment has no parameter {', '.join(unknown)}; its parameters are: {names}"
        )
