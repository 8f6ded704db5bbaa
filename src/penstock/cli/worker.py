"""`penstock worker`: start workers."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import click

from penstock.cli.output import Failure
from penstock.settings import get_current_settings, temporary_settings

DEFAULT_TYPE = "process"


@click.group()
def worker() -> None:
    """Start workers."""


@worker.command()
@click.option("--name", "-n", "worker_name", help="Name of the worker; unique by default.")
@click.option("--pool", "-p", "work_pool_name", help="The work pool whose runs are started.")
@click.option(
    "--work-queue", "-q", "work_queues", multiple=True, help="Only runs of this queue; repeatable."
)
@click.option("--type", "-t", "worker_type", help="Type of worker; by default the pool's.")
@click.option("--prefetch-seconds", type=int, help="How long before its time a run is looked for.")
@click.option("--run-once/--no-run-once", default=False, help="Start what is due, then stop.")
@click.option("--limit", "-l", type=click.IntRange(1), help="Most runs at the same time.")
@click.option(
    "--with-healthcheck/--no-with-healthcheck", default=False, help="Serve a health page."
)
@click.option(
    "--install-policy",
    type=click.Choice(["always", "if-not-present", "never", "prompt"]),
    default="prompt",
    show_default=True,
    help="Whether to install the package of a worker type that is not there.",
)
@click.option(
    "--base-job-template",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON file with the template of a pool that is created.",
)
@click.option(
    "--create-pool-if-not-found/--no-create-pool-if-not-found",
    default=True,
    show_default=True,
    help="Create the pool when there is none.",
)
def start(
    worker_name: str | None,
    work_pool_name: str | None,
    work_queues: tuple[str, ...],
    worker_type: str | None,
    prefetch_seconds: int | None,
    run_once: bool,
    limit: int | None,
    with_healthcheck: bool,
    install_policy: str,
    base_job_template: Path | None,
    create_pool_if_not_found: bool,
) -> None:
    """Take runs of a work pool and start them until Ctrl+C or SIGTERM.

    The first signal ends the runs in good order, the second one at once.
    """
    settings = get_current_settings()
    pool = work_pool_name or settings.deployments.default_work_pool_name
    if pool is None:
        raise click.UsageError("Name a work pool with --pool.")
    if settings.api.url is None:
        raise Failure(
            "a worker needs the URL of an API: start a server (`penstock server start`) and set "
            "PENSTOCK_API_URL"
        )
    template = _template(base_job_template)
    with temporary_settings(_debugging(settings)):
        kind = _class_of(worker_type or _type_of_pool(pool), install_policy)
        made = kind(
            pool,
            work_queues=list(work_queues),
            name=worker_name,
            prefetch_seconds=prefetch_seconds,
            limit=limit,
            create_pool_if_not_found=create_pool_if_not_found,
            base_job_template=template,
        )
        asyncio.run(_serve(made, run_once, with_healthcheck))


async def _serve(worker: Any, run_once: bool, with_healthcheck: bool) -> None:
    """Run the worker; SIGINT and SIGTERM stop it, whatever was done with them at the start."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, loop, worker)
    await worker.start(run_once=run_once, with_healthcheck=with_healthcheck, printer=click.echo)


def _stop(loop: asyncio.AbstractEventLoop, worker: Any) -> None:
    click.echo("Stopping; once more to stop at once.", err=True)
    worker.stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)


def _debugging(settings: Any) -> dict[str, Any]:
    return {"logging.level": "DEBUG"} if settings.worker.debug_mode else {}


def _template(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise Failure(f"{path} is no JSON file: {error}") from None
    if not isinstance(found, dict):
        raise Failure(f"{path} holds no object; a template has job_configuration and variables")
    return found


def _type_of_pool(name: str) -> str:
    """The type of the pool; that of process workers when there is none, or nobody to be asked."""
    from penstock.client import get_client
    from penstock.schemas.errors import ObjectNotFound, PenstockException

    try:
        with get_client(sync_client=True) as client:
            pool = client.read_work_pool(name)
    except ObjectNotFound:
        click.echo(f"Work pool {name!r} does not exist; the worker is of type {DEFAULT_TYPE!r}.")
        return DEFAULT_TYPE
    except PenstockException as error:
        click.echo(
            f"The API cannot be reached now ({error}); the worker is of type {DEFAULT_TYPE!r} and "
            "keeps trying.",
            err=True,
        )
        return DEFAULT_TYPE
    if pool.type.endswith(":push") or pool.type.endswith(":managed"):
        raise Failure(f"pools of type {pool.type!r} need no worker, so {name!r} has none")
    return pool.type


def _class_of(type: str, install_policy: str) -> Any:
    """The worker class. Raises `Failure` that says what there is and what to install."""
    from penstock.workers.base import BaseWorker

    found = BaseWorker.get_worker_class_from_type(type)
    if found is None:
        known = ", ".join(BaseWorker.get_all_available_worker_types())
        advice = ""
        if install_policy in ("always", "if-not-present"):
            advice = " (there is no package known to bring it, so nothing was installed)"
        raise Failure(
            f"there is no worker of type {type!r}{advice}; there are: {known}. Install the package "
            "that brings it, or choose another with --type"
        )
    return found
