"""`penstock flow-run`: look at flow runs and control them."""

from uuid import UUID

import click

from penstock.cli.cleanup import print_history
from penstock.cli.lazy import argument
from penstock.cli.output import (
    Failure,
    confirm,
    may_ask,
    output_option,
    print_json,
    print_table,
)
from penstock.cli.runs import (
    Api,
    api,
    found,
    inspect,
    moment_of,
    print_logs,
    state_cell,
    state_types,
)
from penstock.cli.watching import watch_flow_run
from penstock.schemas.cleanup import FlowRunCleanupBody
from penstock.schemas.filters import (
    AnyIdFilter,
    FlowFilter,
    FlowRunFilter,
    FlowRunFilterState,
    IdFilter,
    NameFilter,
    StateTypeFilter,
    TextFilter,
)
from penstock.schemas.flow_runs import FlowRun, FlowRunsFilterPage, FlowRunSort
from penstock.schemas.flows import FlowsFilterPage
from penstock.schemas.logs import LogFilter
from penstock.schemas.states import (
    SetStateBody,
    SetStateStatus,
    StateCreate,
    StateType,
)


@click.group()
def flow_run() -> None:
    """Look at flow runs and control them."""


@flow_run.command()
@click.option("--flow-name", multiple=True, help="Only runs of this flow; repeatable.")
@click.option("--limit", type=click.IntRange(1), default=15, show_default=True, help="Most rows.")
@click.option("--state", multiple=True, help="Only runs in a state of this name; repeatable.")
@click.option("--state-type", multiple=True, help="Only runs of this state type; repeatable.")
@output_option
def ls(
    flow_name: tuple[str, ...],
    limit: int,
    state: tuple[str, ...],
    state_type: tuple[str, ...],
    output: str | None,
) -> None:
    """List flow runs, the latest first."""
    states = FlowRunFilterState(
        name=TextFilter(any_=list(state)) if state else None,
        type=StateTypeFilter(any_=state_types(state_type)) if state_type else None,
    )
    body = FlowRunsFilterPage(
        flows=FlowFilter(name=NameFilter(any_=list(flow_name))) if flow_name else None,
        flow_runs=FlowRunFilter(state=states) if state or state_type else None,
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=limit,
    )
    with api() as client:
        runs = client.call("read_flow_runs", body=body)
        names = {} if output else _flow_names(client, runs)
    if output:
        print_json(runs)
        return
    print_table(
        ("ID", "Flow", "Name", "State", "When"),
        (
            (str(run.id), names.get(run.flow_id, "-"), run.name, state_cell(run), moment_of(run))
            for run in runs
        ),
        "There are no such flow runs.",
    )


def _flow_names(client: Api, runs: list[FlowRun]) -> dict[UUID, str]:
    ids = list({run.flow_id for run in runs})
    if not ids:
        return {}
    body = FlowsFilterPage(flows=FlowFilter(id=IdFilter(any_=ids)), limit=min(len(ids), 200))
    return {entry.id: entry.name for entry in client.call("read_flows", body=body)}


@flow_run.command("inspect")
@argument("id", type=click.UUID)
@click.option("--web", is_flag=True, help="Open the run's page in a browser.")
@output_option
def inspect_(id: UUID, web: bool, output: str | None) -> None:
    """Show one flow run."""
    with api() as client:
        run = found(client, "read_flow_run", "flow run", id)
    inspect(run, output, f"runs/flow-run/{id}", web)


@flow_run.command()
@argument("id", type=click.UUID)
@click.option("--head", "-h", is_flag=True, help="Only the first records.")
@click.option("--num-logs", "-n", type=click.IntRange(1), help="How many records.")
@click.option("--reverse", "-r", is_flag=True, help="Newest first.")
@click.option("--tail", "-t", is_flag=True, help="Only the last records.")
@output_option
def logs(
    id: UUID, head: bool, num_logs: int | None, reverse: bool, tail: bool, output: str | None
) -> None:
    """Print the log records of one flow run and its tasks."""
    print_logs(
        "flow",
        id,
        filter=LogFilter(flow_run_id=AnyIdFilter(any_=[id])),
        head=head,
        tail=tail,
        count=num_logs,
        reverse=reverse,
        output=output,
    )


@flow_run.command()
@argument("id", type=click.UUID)
@click.option("--timeout", type=click.IntRange(1), help="Seconds after which watching ends.")
def watch(id: UUID, timeout: int | None) -> None:
    """Follow a flow run until it is final.

    Ends with status 0 when it completed, 1 when it did not, 1 when the timeout passed.
    """
    with api() as client:
        final = watch_flow_run(client, id, timeout)
    if final.state_type is not StateType.COMPLETED:
        raise click.exceptions.Exit(1)


@flow_run.command()
@argument("id", type=click.UUID)
def cancel(id: UUID) -> None:
    """Ask for a flow run to be cancelled."""
    with api() as client:
        run = found(client, "read_flow_run", "flow run", id)
        if run.state is not None and run.state.is_final():
            raise Failure(f"the flow run {id} is {run.state_name} already; nothing was changed")
        result = client.call(
            "set_flow_run_state",
            id,
            body=SetStateBody(state=StateCreate(type=StateType.CANCELLING)),
        )
    if result.status is not SetStateStatus.ACCEPT and not _is_cancelled(result):
        why = getattr(result.details, "reason", None) or "the server gave no reason"
        raise Failure(f"the flow run {id} cannot be cancelled: {why}")
    click.echo(f"Cancellation of the flow run {id} is under way.")
    click.echo(f"Follow it with `penstock flow-run watch {id}`.")


def _is_cancelled(result: object) -> bool:
    state = getattr(result, "state", None)
    return state is not None and state.type is StateType.CANCELLED


@flow_run.command()
@argument("id", type=click.UUID)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_context
def delete(ctx: click.Context, id: UUID, yes: bool) -> None:
    """Remove a flow run with its task runs."""
    with api() as client:
        run = found(client, "read_flow_run", "flow run", id)
        confirm(ctx, f"Remove the flow run {run.name!r} ({id})?", yes=yes or not may_ask(ctx))
        client.call("delete_flow_run", id)
    click.echo(f"Removed the flow run {id}.")


@flow_run.command()
@argument("id_or_name")
@click.option(
    "--entrypoint", "-e", help="Where the flow is, as path/to/file.py:flow; runs it here."
)
def retry(id_or_name: str, entrypoint: str | None) -> None:
    """Run a finished flow run again, under the same id.

    A run of a deployment is left to a worker, unless --entrypoint says where to find its flow;
    any other run needs --entrypoint. Run here, it ends with status 0 when it completed, else 1.
    """
    with api() as client:
        run = _run_by_id_or_name(client, id_or_name)
        if run.state is None or not run.state.is_final():
            raise Failure(
                f"the flow run {run.id} is {run.state_name or 'not started'}, and only finished "
                "runs can be retried; wait for it or cancel it"
            )
        if entrypoint is None and run.deployment_id is None:
            raise Failure(
                f"the flow run {run.id} belongs to no deployment, so no worker would run it; "
                "say with --entrypoint path/to/file.py:flow where its flow is"
            )
        # Loading flows and the engine takes a while and only this command needs it.
        from penstock.cli.retrying import run_here, schedule_again

        if entrypoint is None:
            schedule_again(client, run)
            click.echo(f"The flow run {run.name!r} ({run.id}) is scheduled to run again.")
            return
        state = run_here(client, run, entrypoint)
    click.echo(f"The flow run {run.name!r} ({run.id}) is {state.name}.")
    if not state.is_completed():
        raise click.exceptions.Exit(1)


def _run_by_id_or_name(client: Api, key: str) -> FlowRun:
    try:
        id = UUID(key)
    except ValueError:
        body = FlowRunsFilterPage(
            flow_runs=FlowRunFilter(name=NameFilter(any_=[key])),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=2,
        )
        runs = client.call("read_flow_runs", body=body)
        if not runs:
            raise Failure(
                f"there is no flow run named {key!r}; `penstock flow-run ls` lists them"
            ) from None
        if len(runs) > 1:
            raise Failure(
                f"several flow runs are named {key!r}; give the id of one: "
                + ", ".join(str(run.id) for run in runs)
            ) from None
        return runs[0]
    return found(client, "read_flow_run", "flow run", id)


@flow_run.command()
@argument("id", required=False, type=click.UUID)
def execute(id: UUID | None) -> None:
    """Run a flow run here, in a process of its own that is watched.

    The run is named by ID or by PENSTOCK__FLOW_RUN_ID. Its code comes from its deployment, or from
    PENSTOCK__FLOW_ENTRYPOINT.
    """
    import asyncio

    from penstock.runner.runner import execute as execute_run

    given = id or _named_by_environment()
    if given is None:
        raise click.UsageError("Give the id of the flow run, or set PENSTOCK__FLOW_RUN_ID.")
    raise click.exceptions.Exit(asyncio.run(execute_run(given)))


def _named_by_environment() -> UUID | None:
    import os

    for prefix in ("PENSTOCK", "PREFECT"):
        text = os.environ.get(f"{prefix}__FLOW_RUN_ID")
        if text:
            try:
                return UUID(text)
            except ValueError:
                raise Failure(f"{prefix}__FLOW_RUN_ID is {text!r}, which is no id") from None
    return None


@flow_run.command("cleanup")
@argument("id", type=click.UUID)
@click.option("--infrastructure", help="Tear this down instead of what the run reported.")
@output_option
def cleanup_(id: UUID, infrastructure: str | None, output: str | None) -> None:
    """Ask a worker to tear down what an ended run left behind."""
    body = FlowRunCleanupBody(infrastructure_pid=infrastructure)
    with api() as client:
        message = client.call("request_flow_run_cleanup", id, body=body)
    if output:
        print_json(message)
    else:
        click.echo(f"The cleanup message {message.id} is {message.state.value}.")


@flow_run.command("cleanup-history")
@argument("id", type=click.UUID)
@output_option
def cleanup_history(id: UUID, output: str | None) -> None:
    """Show what became of the infrastructure of a run: decisions, deliveries, answers."""
    with api() as client:
        history = found(client, "read_flow_run_cleanup", "flow run", id)
    if output:
        print_json(history)
    else:
        print_history(history)
