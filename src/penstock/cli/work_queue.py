"""`penstock work-queue`: the queues of work pools."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click
from msgspec import structs

from penstock.cli.lazy import argument
from penstock.cli.output import Failure, ago, ask_before, output_option, print_json, print_table
from penstock.cli.runs import PAGE, Api, api
from penstock.cli.slots import print_holders
from penstock.schemas.errors import ObjectAlreadyExists, ObjectNotFound
from penstock.schemas.filters import WorkQueueFilter, WorkQueueFilterName
from penstock.schemas.work import (
    WorkQueue,
    WorkQueueConcurrencyStatusBody,
    WorkQueueCreate,
    WorkQueueRunsBody,
    WorkQueuesPage,
    WorkQueueUpdate,
)


def pool_option(command: Any) -> Any:
    return click.option("--pool", "-p", help="The pool of the queue.")(command)


@click.group()
def work_queue() -> None:
    """Look after work queues: in which order a pool's runs are started."""


@work_queue.command()
@argument("name")
@click.option("--limit", "-l", type=click.IntRange(0), help="Most runs at once.")
@pool_option
@click.option("--priority", "-q", type=click.IntRange(1), help="1 is served first.")
def create(name: str, limit: int | None, pool: str | None, priority: int | None) -> None:
    """Make a queue."""
    body = WorkQueueCreate(name=name, concurrency_limit=limit, priority=priority)
    with api() as client:
        try:
            if pool is None:
                made = client.call("create_work_queue", body=body)
            else:
                made = client.call("create_work_pool_queue", pool, body=body)
        except ObjectAlreadyExists:
            raise Failure(f"the work queue {name!r} exists; choose another name") from None
        except ObjectNotFound:
            raise _no_pool(pool) from None
    click.echo(
        f"Created the work queue {name!r} of pool {made.work_pool_name!r} "
        f"with priority {made.priority}."
    )


@work_queue.command("set-concurrency-limit")
@argument("name")
@argument("limit", type=click.IntRange(0))
@pool_option
def set_concurrency_limit(name: str, limit: int, pool: str | None) -> None:
    """Let no more than so many runs of a queue go at once."""
    _update(name, pool, "Updated", concurrency_limit=limit)


@work_queue.command("clear-concurrency-limit")
@argument("name")
@pool_option
def clear_concurrency_limit(name: str, pool: str | None) -> None:
    """Let any number of runs of a queue go at once."""
    _update(name, pool, "Updated", concurrency_limit=None)


@work_queue.command()
@argument("name")
@pool_option
def pause(name: str, pool: str | None) -> None:
    """Give no runs of a queue to workers."""
    _update(name, pool, "Paused", is_paused=True)


@work_queue.command()
@argument("name")
@pool_option
def resume(name: str, pool: str | None) -> None:
    """Give runs of a queue to workers again."""
    _update(name, pool, "Resumed", is_paused=False)


@work_queue.command()
@argument("name")
@pool_option
@output_option
def inspect(name: str, pool: str | None, output: str | None) -> None:
    """Show a queue and whether it is healthy."""
    with api() as client:
        queue = _queue(client, name, pool)
        status = client.call("read_work_queue_status", queue.id)
    print_json({**structs.asdict(queue), "status_details": status})


@work_queue.command()
@argument("name")
@pool_option
@output_option
def slots(name: str, pool: str | None, output: str | None) -> None:
    """Show which runs hold slots of a queue."""
    with api() as client:
        queue = _queue(client, name, pool)
        body = WorkQueueConcurrencyStatusBody(limit=PAGE)
        status = client.call("read_work_queue_concurrency_status", queue.id, body=body)
    if output:
        print_json(status)
        return
    limit = "no limit" if status.concurrency_limit is None else str(status.concurrency_limit)
    click.echo(f"Slots of work queue {name!r}: {status.active_slots} taken, {limit}.")
    print_holders((name, run) for run in status.flow_runs)


@work_queue.command()
@click.option("--verbose", "-v", is_flag=True, help="Show when each was polled, too.")
@click.option("--match", "-m", "prefix", help="Only queues whose name begins with this.")
@pool_option
@output_option
def ls(verbose: bool, prefix: str | None, pool: str | None, output: str | None) -> None:
    """List the queues of a pool by priority, or of all pools by name."""
    with api() as client:
        try:
            queues = _all(client, prefix, pool)
        except ObjectNotFound:
            raise _no_pool(pool) from None
    if output:
        print_json(queues)
        return
    columns = ("Name", "Pool", "ID", "Priority", "Status", "Concurrency limit")
    print_table(
        (*columns, "Last polled") if verbose else columns,
        ([*_cells(one), *([ago(one.last_polled)] if verbose else [])] for one in queues),
        "There are no such work queues.",
    )


@work_queue.command()
@argument("name")
@click.option(
    "--hours", "-h", type=click.IntRange(1), default=1, show_default=True, help="How far ahead."
)
@pool_option
@output_option
def preview(name: str, hours: int, pool: str | None, output: str | None) -> None:
    """Show which runs of a queue a worker would get within the next hours."""
    _print_runs(name, pool, datetime.now(UTC) + timedelta(hours=hours), output)


@work_queue.command("read-runs")
@argument("name")
@pool_option
def read_runs(name: str, pool: str | None) -> None:
    """Show which runs of a queue a worker would get."""
    _print_runs(name, pool, None, None)


@work_queue.command()
@argument("name")
@pool_option
@click.pass_context
def delete(ctx: click.Context, name: str, pool: str | None) -> None:
    """Delete a queue. Its deployments lose it."""
    with api() as client:
        queue = _queue(client, name, pool)
        ask_before(ctx, f"Delete the work queue {name!r} of pool {queue.work_pool_name!r}?")
        client.call("delete_work_queue", queue.id)
    click.echo(f"Deleted the work queue {name!r}.")


def _all(client: Api, prefix: str | None, pool: str | None) -> list[WorkQueue]:
    named = WorkQueueFilter(name=WorkQueueFilterName(startswith_=[prefix])) if prefix else None
    queues: list[WorkQueue] = []
    while True:
        body = WorkQueuesPage(work_queues=named, limit=PAGE, offset=len(queues))
        if pool is None:
            page = client.call("read_work_queues", body=body)
        else:
            page = client.call("read_work_pool_queues", pool, body=body)
        queues += page
        if len(page) < PAGE:
            return queues


def _cells(queue: WorkQueue) -> list[str]:
    return [
        queue.name,
        queue.work_pool_name or "-",
        str(queue.id),
        str(queue.priority),
        (queue.status or "-").lower().replace("_", " "),
        "-" if queue.concurrency_limit is None else str(queue.concurrency_limit),
    ]


def _print_runs(name: str, pool: str | None, until: datetime | None, output: str | None) -> None:
    with api() as client:
        queue = _queue(client, name, pool)
        body = WorkQueueRunsBody(scheduled_before=until)
        runs = client.call("read_work_queue_runs", queue.id, body=body)
    if output:
        print_json(runs)
        return
    print_table(
        ("Flow run", "Due", "Name"),
        ((str(run.id), ago(run.expected_start_time), run.name) for run in runs),
        "No runs are due in this time.",
    )


def _update(name: str, pool: str | None, word: str, **fields: Any) -> None:
    with api() as client:
        queue = _queue(client, name, pool)
        client.call("update_work_queue", queue.id, body=WorkQueueUpdate(**fields))
    click.echo(f"{word} the work queue {name!r} of pool {queue.work_pool_name!r}.")


def _queue(client: Api, name: str, pool: str | None) -> WorkQueue:
    try:
        if pool is None:
            return client.call("read_work_queue_by_name", name)
        return client.call("read_work_pool_queue", pool, name)
    except ObjectNotFound:
        where = "" if pool is None else f" in pool {pool!r}"
        raise Failure(
            f"there is no work queue {name!r}{where}; `penstock work-queue ls` lists all, and "
            "--pool names the pool of one"
        ) from None


def _no_pool(pool: str | None) -> Failure:
    return Failure(f"there is no work pool {pool!r}; `penstock work-pool ls` lists them")
