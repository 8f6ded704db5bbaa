"""`penstock cleanup`: owed teardowns, and the desk for those that nobody could do."""

from typing import Any
from uuid import UUID

import click

from penstock.cli.lazy import argument
from penstock.cli.output import Failure, ago, confirm, output_option, print_json, print_table
from penstock.cli.runs import api
from penstock.schemas.cleanup import (
    CleanupBulkBody,
    CleanupBulkCancelBody,
    CleanupBulkResult,
    CleanupCancelBody,
    CleanupCountBody,
    CleanupFilter,
    CleanupGroup,
    CleanupHistory,
    CleanupMessage,
    CleanupMessageDetail,
    CleanupPage,
    CleanupPlacement,
    CleanupRequeueBody,
    CleanupState,
)
from penstock.schemas.errors import ObjectMissing

_STATES = [state.value for state in CleanupState]


def filter_options(command: Any) -> Any:
    """The options that choose messages; each may be repeated and means one of its values."""
    for option in (
        click.option("--reason", multiple=True, help="Of this reason; repeatable."),
        click.option("--worker", multiple=True, help="Held last by this worker; repeatable."),
        click.option("--flow-run", type=click.UUID, multiple=True, help="Of this run; repeatable."),
        click.option("--pool", "-p", multiple=True, help="Of this work pool; repeatable."),
        click.option(
            "--state", type=click.Choice(_STATES), multiple=True, help="In this state; repeatable."
        ),
    ):
        command = option(command)
    return command


def _filter(
    state: tuple[str, ...],
    pool: tuple[str, ...],
    flow_run: tuple[UUID, ...],
    worker: tuple[str, ...],
    reason: tuple[str, ...],
) -> CleanupFilter:
    return CleanupFilter(
        state=[CleanupState(name) for name in state] or None,
        work_pool_name=list(pool) or None,
        flow_run_id=list(flow_run) or None,
        worker_name=list(worker) or None,
        reason=list(reason) or None,
    )


def bulk_options(command: Any) -> Any:
    """The options of a change of many messages."""
    for option in (
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--preview", is_flag=True, help="Only say which messages it would be."),
        click.option(
            "--limit",
            type=click.IntRange(1, 200),
            default=200,
            show_default=True,
            help="Most changed.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def cleanup() -> None:
    """Look at owed teardowns; find, explain and requeue dead letters."""


@cleanup.command()
@filter_options
@click.option(
    "--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Most rows."
)
@output_option
def ls(limit: int, output: str | None, **chosen: Any) -> None:
    """List messages, the newest first."""
    body = CleanupPage(cleanup_messages=_filter(**chosen), limit=limit)
    with api() as client:
        page = client.call("read_cleanup_messages", body=body)
    if output:
        print_json(page.results)
        return
    print_table(
        ("ID", "State", "Cause", "Flow run", "Worker", "Tried", "Reason", "Created"),
        (
            (
                str(message.id),
                message.state.value,
                message.cause,
                str(message.flow_run_id),
                message.lease_worker_name or "-",
                f"{message.attempts} of {message.deliveries}",
                message.dead_reason or message.last_reason or "-",
                ago(message.created_at),
            )
            for message in page.results
        ),
        "There are no such cleanup messages.",
    )
    if page.next is not None:
        click.echo(f"More than {limit} match; narrow the choice or raise --limit.", err=True)


@cleanup.command()
@argument("id", type=click.UUID)
@output_option
def inspect(id: UUID, output: str | None) -> None:
    """Show one message with all its deliveries."""
    with api() as client:
        try:
            found: CleanupMessageDetail = client.call("read_cleanup_message", id)
        except ObjectMissing as error:
            raise Failure(str(error)) from None
    if output:
        print_json(found)
        return
    for name, value in _facts(found.message):
        click.echo(f"{name:16} {value}")
    click.echo()
    print_table(
        ("Delivery", "Worker", "Reserved", "Ended", "Outcome", "Reason", "Counted", "Renewed"),
        (
            (
                str(row.number),
                row.worker_name,
                row.reserved_at.isoformat(timespec="seconds"),
                "-" if row.ended_at is None else row.ended_at.isoformat(timespec="seconds"),
                "-" if row.outcome is None else row.outcome.value,
                row.reason or "-",
                "yes" if row.charged else "no",
                str(row.renewals),
            )
            for row in found.history
        ),
        "It was never delivered.",
    )


def _facts(message: CleanupMessage) -> list[tuple[str, Any]]:
    return [
        ("ID", message.id),
        ("State", message.state.value),
        ("Why owed", message.cause),
        ("Flow run", message.flow_run_id),
        ("Infrastructure", message.target.get("infrastructure_pid") or "unknown"),
        ("Launched by", message.affinity_worker_name or "unknown"),
        ("Placement", message.placement.value),
        ("Reason", message.dead_reason or message.last_reason or "-"),
        ("Attempts", f"{message.attempts} counted, {message.deliveries} deliveries"),
        ("Tried by", ", ".join(message.tried_workers) or "-"),
        ("Requeued", f"{message.requeue_count} times"),
        ("Created", message.created_at.isoformat(timespec="seconds")),
    ]


@cleanup.command()
@argument("id", type=click.UUID, required=False)
@filter_options
@click.option("--infrastructure", help="Tear this down instead; with an ID only.")
@click.option(
    "--placement",
    type=click.Choice([placement.value for placement in CleanupPlacement]),
    help="Who may do it now; with an ID only.",
)
@click.option("--to-pool", help="Ask the workers of another pool; with an ID only.")
@bulk_options
@output_option
@click.pass_context
def requeue(
    ctx: click.Context,
    id: UUID | None,
    infrastructure: str | None,
    placement: str | None,
    to_pool: str | None,
    limit: int,
    preview: bool,
    yes: bool,
    output: str | None,
    **chosen: Any,
) -> None:
    """Make a dead or cancelled message ready again, or all that the options choose."""
    if id is None:
        if infrastructure or placement or to_pool:
            raise Failure("name the ID of the message that --infrastructure and the like change")
        body = CleanupBulkBody(
            cleanup_messages=_chosen(chosen), limit=limit, preview=preview or not yes
        )
        _bulk(ctx, "requeue_cleanup_messages", "requeued", body, preview, yes, output)
        return
    change = CleanupRequeueBody(
        infrastructure_pid=infrastructure,
        placement=CleanupPlacement(placement) if placement else None,
        work_pool_name=to_pool,
    )
    _one("requeue_cleanup_message", "requeued", id, change, output)


@cleanup.command()
@argument("id", type=click.UUID, required=False)
@filter_options
@click.option("--force", is_flag=True, help="Also what a worker holds now.")
@bulk_options
@output_option
@click.pass_context
def cancel(
    ctx: click.Context,
    id: UUID | None,
    force: bool,
    limit: int,
    preview: bool,
    yes: bool,
    output: str | None,
    **chosen: Any,
) -> None:
    """Give up a message, or all that the options choose: what it tears down stays."""
    if id is None:
        body = CleanupBulkCancelBody(
            cleanup_messages=_chosen(chosen), limit=limit, preview=preview or not yes, force=force
        )
        _bulk(ctx, "cancel_cleanup_messages", "cancelled", body, preview, yes, output)
        return
    _one("cancel_cleanup_message", "cancelled", id, CleanupCancelBody(force=force), output)


def _chosen(chosen: dict[str, Any]) -> CleanupFilter:
    if not any(chosen.values()):
        raise Failure("name the ID of a message, or choose some, with --pool or --reason say")
    return _filter(**chosen)


def _one(operation: str, done: str, id: UUID, body: Any, output: str | None) -> None:
    with api() as client:
        message = client.call(operation, id, body=body)
    if output:
        print_json(message)
    else:
        click.echo(f"The cleanup message {message.id} was {done}.")


def _bulk(
    ctx: click.Context,
    operation: str,
    done: str,
    body: CleanupBulkBody | CleanupBulkCancelBody,
    preview: bool,
    yes: bool,
    output: str | None,
) -> None:
    """Change many: say which they would be, ask, then do it."""
    with api() as client:
        result: CleanupBulkResult = client.call(operation, body=body)
        if result.preview and not preview:
            _say(result, done)
            if not result.ids:
                return
            confirm(ctx, f"Should these {len(result.ids)} be {done}?", yes=yes)
            again = {name: getattr(body, name) for name in body.__struct_fields__}
            result = client.call(operation, body=type(body)(**{**again, "preview": False}))
    if output:
        print_json(result)
    else:
        _say(result, done)


def _say(result: CleanupBulkResult, done: str) -> None:
    verb = "would be" if result.preview else "were"
    for id in result.ids:
        click.echo(str(id))
    click.echo(f"{len(result.ids)} of {result.matched} matching messages {verb} {done}.")


@cleanup.command()
@filter_options
@click.option("--by-reason", is_flag=True, help="Count by reason instead of by state.")
@output_option
def stats(by_reason: bool, output: str | None, **chosen: Any) -> None:
    """Count messages by state or by reason."""
    group = CleanupGroup.REASON if by_reason else CleanupGroup.STATE
    body = CleanupCountBody(cleanup_messages=_filter(**chosen), group_by=group)
    with api() as client:
        counts = client.call("count_cleanup_messages", body=body)
    if output:
        print_json(counts)
        return
    print_table(
        ("Reason" if by_reason else "State", "Messages"),
        ((name or "-", str(number)) for name, number in sorted(counts.items())),
        "There are no such cleanup messages.",
    )


def print_history(history: CleanupHistory) -> None:
    """The evidence of a run's cleanup, a line for each step."""
    click.echo(f"Flow run {history.flow_run_id}")
    click.echo(f"Infrastructure {history.infrastructure_pid or 'unknown'}")
    click.echo()
    print_table(
        ("When", "Step", "Worker", "What", "Message"),
        (
            (
                step.at.isoformat(timespec="milliseconds"),
                step.step,
                step.worker_name or "-",
                step.detail,
                "-" if step.message_id is None else str(step.message_id),
            )
            for step in history.evidence
        ),
        "Nothing is known about it.",
    )
