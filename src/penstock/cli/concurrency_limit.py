"""`penstock concurrency-limit`: limits on the task runs of a tag."""

from typing import Any

import click

from penstock.cli.lazy import argument
from penstock.cli.output import Failure, ago, ask_before, output_option, print_json, print_table
from penstock.cli.runs import Api, api
from penstock.schemas.errors import ObjectNotFound
from penstock.schemas.limits import ConcurrencyLimitCreate, ConcurrencyLimitsPage


@click.group()
def concurrency_limit() -> None:
    """Limit how many task runs of a tag run at once."""


@concurrency_limit.command()
@argument("tag")
@argument("concurrency_limit", type=click.IntRange(0))
def create(tag: str, concurrency_limit: int) -> None:
    """Limit a tag, or change its limit."""
    body = ConcurrencyLimitCreate(tag=tag, concurrency_limit=concurrency_limit)
    with api() as client:
        client.call("create_concurrency_limit", body=body)
    click.echo(f"At most {concurrency_limit} task runs tagged {tag!r} run at once.")


@concurrency_limit.command()
@argument("tag")
@output_option
def inspect(tag: str, output: str | None) -> None:
    """Show a tag's limit and the task runs that hold its slots."""
    with api() as client:
        limit = _of_tag(client, "read_concurrency_limit_by_tag", tag)
    if output:
        print_json(limit)
        return
    print_table(
        ("ID", "Tag", "Limit", "Slots taken", "Created", "Updated"),
        [
            (
                str(limit.id),
                limit.tag,
                str(limit.concurrency_limit),
                str(len(limit.active_slots)),
                ago(limit.created),
                ago(limit.updated),
            )
        ],
        "",
    )
    for holder in limit.active_slots:
        click.echo(f"held by task run {holder}")


@concurrency_limit.command()
@click.option("--limit", type=click.IntRange(1), default=15, show_default=True, help="Most rows.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Rows to pass over.")
@output_option
def ls(limit: int, offset: int, output: str | None) -> None:
    """List the limits on tags."""
    with api() as client:
        limits = client.call(
            "read_concurrency_limits", body=ConcurrencyLimitsPage(limit=limit, offset=offset)
        )
    if output:
        print_json(limits)
        return
    print_table(
        ("Tag", "ID", "Limit", "Slots taken"),
        (
            (one.tag, str(one.id), str(one.concurrency_limit), str(len(one.active_slots)))
            for one in limits
        ),
        "No tag has a limit; `penstock concurrency-limit create TAG LIMIT` makes one.",
    )


@concurrency_limit.command()
@argument("tag")
def reset(tag: str) -> None:
    """Give all slots of a tag's limit back, whoever holds them."""
    with api() as client:
        _of_tag(client, "reset_concurrency_limit_by_tag", tag)
    click.echo(f"The slots of tag {tag!r} are free.")


@concurrency_limit.command()
@argument("tag")
@click.pass_context
def delete(ctx: click.Context, tag: str) -> None:
    """Remove the limit of a tag."""
    ask_before(ctx, f"Remove the concurrency limit of tag {tag!r}?")
    with api() as client:
        _of_tag(client, "delete_concurrency_limit_by_tag", tag)
    click.echo(f"Removed the concurrency limit of tag {tag!r}.")


def _of_tag(client: Api, operation: str, tag: str) -> Any:
    try:
        return client.call(operation, tag)
    except ObjectNotFound:
        raise Failure(
            f"the tag {tag!r} has no concurrency limit; `penstock concurrency-limit ls` lists them"
        ) from None
