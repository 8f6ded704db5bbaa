"""`penstock work-pool`: pools of work, what they run, and who holds their slots."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from penstock.cli.config import active_profile
from penstock.cli.lazy import argument
from penstock.cli.output import Failure, ago, ask_before, output_option, print_json, print_table
from penstock.cli.runs import PAGE, Api, api
from penstock.cli.slots import print_holders
from penstock.schemas.errors import ObjectAlreadyExists, ObjectNotFound
from penstock.schemas.work import (
    PollBody,
    WorkPool,
    WorkPoolConcurrencyStatusBody,
    WorkPoolCreate,
    WorkPoolsPage,
    WorkPoolUpdate,
)
from penstock.schemas.worker_types import BASE_JOB_TEMPLATES
from penstock.settings.profile_file import update_profile

_TEMPLATE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def work_pool() -> None:
    """Look after work pools: what workers take runs from."""


@work_pool.command()
@argument("name")
@click.option("--base-job-template", type=_TEMPLATE, help="File with the template as JSON.")
@click.option("--paused/--no-paused", help="Make it paused.")
@click.option("--type", "-t", "kind", default="process", show_default=True, help="Of its workers.")
@click.option("--set-as-default/--no-set-as-default", help="Deploy to this pool from now on.")
@click.option("--overwrite/--no-overwrite", help="Change the pool when it is there.")
def create(
    name: str,
    base_job_template: Path | None,
    paused: bool,
    kind: str,
    set_as_default: bool,
    overwrite: bool,
) -> None:
    """Make a pool with its default queue."""
    template = _template(base_job_template, kind)
    body = WorkPoolCreate(name=name, type=kind, base_job_template=template, is_paused=paused)
    with api() as client:
        try:
            client.call("create_work_pool", body=body)
            word = "Created"
        except ObjectAlreadyExists:
            if not overwrite:
                raise Failure(
                    f"the work pool {name!r} exists; choose another name, or repeat with "
                    "--overwrite to change it"
                ) from None
            update = WorkPoolUpdate(base_job_template=template, is_paused=paused)
            client.call("update_work_pool", name, body=update)
            word = "Updated"
    click.echo(f"{word} the work pool {name!r}.")
    if set_as_default:
        profile = active_profile()
        update_profile(profile, {"PENSTOCK_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME": name})
        click.echo(f"It is the default work pool of profile {profile!r}.")


@work_pool.command()
@click.option("--verbose", "-v", is_flag=True, help="Show templates as well.")
@output_option
def ls(verbose: bool, output: str | None) -> None:
    """List pools by name."""
    pools: list[WorkPool] = []
    with api() as client:
        while True:
            body = WorkPoolsPage(limit=PAGE, offset=len(pools))
            page = client.call("read_work_pools", body=body)
            pools += page
            if len(page) < PAGE:
                break
    if output:
        print_json(pools)
        return
    columns = ("Name", "Type", "ID", "Status", "Concurrency limit", "Created")
    print_table(
        (*columns, "Base job template") if verbose else columns,
        ([*_cells(one), *([_json(one.base_job_template)] if verbose else [])] for one in pools),
        "There are no work pools; `penstock work-pool create NAME` makes one.",
    )


@work_pool.command()
@argument("name")
@output_option
def inspect(name: str, output: str | None) -> None:
    """Show a pool with its base job template."""
    with api() as client:
        print_json(_named(client, "read_work_pool", name))


@work_pool.command()
@argument("name")
@output_option
def slots(name: str, output: str | None) -> None:
    """Show which runs hold slots of a pool."""
    with api() as client:
        body = WorkPoolConcurrencyStatusBody(limit=PAGE)
        status = _named(client, "read_work_pool_concurrency_status", name, body=body)
    if output:
        print_json(status)
        return
    limit = "no limit" if status.concurrency_limit is None else str(status.concurrency_limit)
    click.echo(f"Slots of work pool {name!r}: {status.active_slots} taken, {limit}.")
    print_holders((queue.queue_name, run) for queue in status.queues for run in queue.flow_runs)


@work_pool.command()
@argument("name")
def pause(name: str) -> None:
    """Give no runs of a pool to workers."""
    _update(name, "Paused", is_paused=True)


@work_pool.command()
@argument("name")
def resume(name: str) -> None:
    """Give runs of a pool to workers again."""
    _update(name, "Resumed", is_paused=False)


@work_pool.command()
@argument("name")
@click.option("--base-job-template", type=_TEMPLATE, help="File with the template as JSON.")
@click.option("--concurrency-limit", type=click.IntRange(0), help="Most runs at once.")
@click.option("--description", help="What the pool is for.")
def update(
    name: str,
    base_job_template: Path | None,
    concurrency_limit: int | None,
    description: str | None,
) -> None:
    """Change a pool."""
    given: dict[str, Any] = {"concurrency_limit": concurrency_limit, "description": description}
    if base_job_template is not None:
        given["base_job_template"] = _template(base_job_template, "")
    given = {field: value for field, value in given.items() if value is not None}
    if not given:
        raise click.UsageError(
            "nothing to change; give --base-job-template, --concurrency-limit or --description"
        )
    _update(name, "Updated", **given)


@work_pool.command()
@argument("name")
@click.pass_context
def delete(ctx: click.Context, name: str) -> None:
    """Delete a pool with its queues. Its deployments lose their queue."""
    with api() as client:
        _named(client, "read_work_pool", name)
        ask_before(ctx, f"Delete the work pool {name!r} with its queues?")
        _named(client, "delete_work_pool", name)
    click.echo(f"Deleted the work pool {name!r}.")


@work_pool.command("set-concurrency-limit")
@argument("name")
@argument("concurrency_limit", type=click.IntRange(0))
def set_concurrency_limit(name: str, concurrency_limit: int) -> None:
    """Let no more than so many runs of a pool go at once."""
    _update(name, "Updated", concurrency_limit=concurrency_limit)


@work_pool.command("clear-concurrency-limit")
@argument("name")
def clear_concurrency_limit(name: str) -> None:
    """Let any number of runs of a pool go at once."""
    _update(name, "Updated", concurrency_limit=None)


@work_pool.command("get-default-base-job-template")
@click.option("--type", "-t", "kind", default="process", show_default=True, help="Of workers.")
@click.option("--file", "-f", type=click.Path(dir_okay=False, path_type=Path), help="Write it.")
def get_default_base_job_template(kind: str, file: Path | None) -> None:
    """Print the base job template that fits a type of workers."""
    template = _template(None, kind)
    if file is None:
        print_json(template)
        return
    file.write_bytes(msgspec.json.format(msgspec.json.encode(template), indent=2))
    click.echo(f"Wrote the base job template of {kind!r} workers to {file}.")


@work_pool.command()
@argument("name", required=False)
@click.option(
    "--hours", "-h", type=click.IntRange(1), default=1, show_default=True, help="How far ahead."
)
@output_option
def preview(name: str | None, hours: int, output: str | None) -> None:
    """Show which runs a worker of a pool would get within the next hours."""
    if name is None:
        raise click.UsageError("name a work pool; `penstock work-pool ls` lists them")
    until = datetime.now(UTC) + timedelta(hours=hours)
    with api() as client:
        body = PollBody(scheduled_before=until)
        found = _named(client, "get_scheduled_flow_runs", name, body=body)
    runs = [one.flow_run for one in found]
    if output:
        print_json(runs)
        return
    print_table(
        ("Flow run", "Due", "Name", "Deployment"),
        (
            (
                str(run.id),
                ago(run.expected_start_time),
                run.name,
                "-" if run.deployment_id is None else str(run.deployment_id),
            )
            for run in runs
        ),
        "No runs are due in this time; look further ahead with --hours.",
    )


def _cells(pool: WorkPool) -> list[str]:
    return [
        pool.name,
        pool.type,
        str(pool.id),
        (pool.status or "-").lower().replace("_", " "),
        "-" if pool.concurrency_limit is None else str(pool.concurrency_limit),
        ago(pool.created),
    ]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _template(file: Path | None, kind: str) -> dict[str, Any]:
    """The template in `file`, or the one that fits the type of workers."""
    if file is None:
        try:
            return BASE_JOB_TEMPLATES[kind]
        except KeyError:
            known = ", ".join(BASE_JOB_TEMPLATES)
            raise Failure(
                f"no base job template of {kind!r} workers comes with this release (only of "
                f"{known}); give one with --base-job-template"
            ) from None
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Failure(f"{file} holds no base job template: {error}; write a JSON object") from None


def _update(name: str, word: str, **fields: Any) -> None:
    with api() as client:
        _named(client, "update_work_pool", name, body=WorkPoolUpdate(**fields))
    click.echo(f"{word} the work pool {name!r}.")


def _named(client: Api, operation: str, name: str, body: Any = None) -> Any:
    try:
        return client.call(operation, name, body=body)
    except ObjectNotFound:
        raise Failure(
            f"there is no work pool {name!r}; `penstock work-pool ls` lists them"
        ) from None
