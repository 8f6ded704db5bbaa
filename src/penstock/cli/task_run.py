"""`penstock task-run`: look at task runs."""

from uuid import UUID

import click

from penstock.cli.lazy import argument
from penstock.cli.output import output_option, print_json, print_table
from penstock.cli.runs import (
    api,
    found,
    inspect,
    moment_of,
    print_logs,
    state_cell,
    state_types,
)
from penstock.schemas.filters import (
    AnyStateTypeFilter,
    AnyTextFilter,
    NameFilter,
    TaskRunFilter,
    TaskRunFilterState,
)
from penstock.schemas.logs import LogFilter, LogFilterTaskRunId
from penstock.schemas.task_runs import TaskRunsFilterPage, TaskRunSort


@click.group()
def task_run() -> None:
    """Look at task runs."""


@task_run.command()
@click.option("--task-run-name", multiple=True, help="Only runs of this name; repeatable.")
@click.option("--limit", type=click.IntRange(1), default=15, show_default=True, help="Most rows.")
@click.option("--state", multiple=True, help="Only runs in a state of this name; repeatable.")
@click.option("--state-type", multiple=True, help="Only runs of this state type; repeatable.")
@output_option
def ls(
    task_run_name: tuple[str, ...],
    limit: int,
    state: tuple[str, ...],
    state_type: tuple[str, ...],
    output: str | None,
) -> None:
    """List task runs, the latest first."""
    states = TaskRunFilterState(
        name=AnyTextFilter(any_=list(state)) if state else None,
        type=AnyStateTypeFilter(any_=state_types(state_type)) if state_type else None,
    )
    body = TaskRunsFilterPage(
        task_runs=TaskRunFilter(
            name=NameFilter(any_=list(task_run_name)) if task_run_name else None,
            state=states if state or state_type else None,
        ),
        sort=TaskRunSort.EXPECTED_START_TIME_DESC,
        limit=limit,
    )
    with api() as client:
        runs = client.call("read_task_runs", body=body)
    if output:
        print_json(runs)
        return
    print_table(
        ("ID", "Name", "State", "When"),
        ((str(run.id), run.name or "-", state_cell(run), moment_of(run)) for run in runs),
        "There are no such task runs.",
    )


@task_run.command("inspect")
@argument("id", type=click.UUID)
@click.option("--web", is_flag=True, help="Open the run's page in a browser.")
@output_option
def inspect_(id: UUID, web: bool, output: str | None) -> None:
    """Show one task run."""
    with api() as client:
        run = found(client, "read_task_run", "task run", id)
    inspect(run, output, f"runs/task-run/{id}", web)


@task_run.command()
@argument("id", type=click.UUID)
@click.option("--head", "-h", is_flag=True, help="Only the first records.")
@click.option("--num-logs", "-n", type=click.IntRange(1), default=None, help="How many records.")
@click.option("--reverse", "-r", is_flag=True, help="Newest first.")
@click.option("--tail", "-t", is_flag=True, help="Only the last records.")
@output_option
def logs(
    id: UUID, head: bool, num_logs: int | None, reverse: bool, tail: bool, output: str | None
) -> None:
    """Print the log records of one task run."""
    print_logs(
        "task",
        id,
        filter=LogFilter(task_run_id=LogFilterTaskRunId(any_=[id])),
        head=head,
        tail=tail,
        count=num_logs,
        reverse=reverse,
        output=output,
    )
