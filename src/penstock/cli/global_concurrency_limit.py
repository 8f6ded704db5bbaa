"""`penstock global-concurrency-limit`: limits that any code can ask for slots of."""

from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import UNSET

from penstock.cli.lazy import argument
from penstock.cli.output import Failure, ago, ask_before, output_option, print_json, print_table
from penstock.cli.runs import PAGE, Api, api
from penstock.schemas.errors import ObjectAlreadyExists, ObjectNotFound
from penstock.schemas.limits import (
    ConcurrencyLimitsPage,
    ConcurrencyLimitV2Create,
    ConcurrencyLimitV2Update,
)

_SLOTS = click.IntRange(0)
_RATE = click.FloatRange(0)


@click.group()
def global_concurrency_limit() -> None:
    """Limit how many holders of slots there are at once."""


@global_concurrency_limit.command()
@output_option
def ls(output: str | None) -> None:
    """List all limits by name."""
    limits: list[Any] = []
    with api() as client:
        while True:
            body = ConcurrencyLimitsPage(limit=PAGE, offset=len(limits))
            page = client.call("read_all_concurrency_limits_v2", body=body)
            limits += page
            if len(page) < PAGE:
                break
    if output:
        print_json(limits)
        return
    print_table(
        ("Name", "ID", "Active", "Limit", "Slots taken", "Slot decay per second", "Updated"),
        (_cells(one) for one in limits),
        "There are no global concurrency limits; "
        "`penstock global-concurrency-limit create NAME --limit N` makes one.",
    )


@global_concurrency_limit.command()
@argument("name")
@output_option
@click.option(
    "--file",
    "-f",
    "file_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the limit to this file as JSON.",
)
def inspect(name: str, output: str | None, file_path: Path | None) -> None:
    """Show one limit."""
    with api() as client:
        limit = _named(client, "read_concurrency_limit_v2", name)
    if file_path is not None:
        file_path.write_bytes(msgspec.json.format(msgspec.json.encode(limit), indent=2))
        click.echo(f"Wrote the concurrency limit {name!r} to {file_path}.", err=bool(output))
    if output:
        print_json(limit)
    elif file_path is None:
        columns = ("Name", "ID", "Active", "Limit", "Slots taken", "Slot decay per second")
        print_table((*columns, "Updated"), [_cells(limit)], "")


@global_concurrency_limit.command()
@argument("name")
@click.pass_context
def delete(ctx: click.Context, name: str) -> None:
    """Delete a limit. What it limited goes on without."""
    ask_before(ctx, f"Delete the concurrency limit {name!r}?")
    with api() as client:
        _named(client, "delete_concurrency_limit_v2", name)
    click.echo(f"Deleted the concurrency limit {name!r}.")


@global_concurrency_limit.command()
@argument("name")
def enable(name: str) -> None:
    """Let a limit limit again."""
    _switch(name, True)


@global_concurrency_limit.command()
@argument("name")
def disable(name: str) -> None:
    """Let a limit limit nothing until it is enabled."""
    _switch(name, False)


@global_concurrency_limit.command()
@argument("name")
@click.option("--enable/--no-enable", default=None, help="Let it limit.")
@click.option("--disable/--no-disable", default=None, help="Let it limit nothing.")
@click.option("--limit", "-l", type=_SLOTS, help="How many slots it has.")
@click.option("--active-slots", type=_SLOTS, help="How many of them are taken.")
@click.option("--slot-decay-per-second", type=_RATE, help="How many come back in a second.")
def update(
    name: str,
    enable: bool | None,
    disable: bool | None,
    limit: int | None,
    active_slots: int | None,
    slot_decay_per_second: float | None,
) -> None:
    """Change a limit."""
    if enable is not None and disable is not None and enable == disable:
        raise click.UsageError("--enable and --disable contradict each other; give one of them")
    active = enable if disable is None else not disable
    if active is None and limit is None and active_slots is None and slot_decay_per_second is None:
        raise click.UsageError("nothing is to be changed; give at least one option")
    _update(
        name,
        active=active,
        limit=limit,
        active_slots=active_slots,
        slot_decay_per_second=slot_decay_per_second,
    )
    click.echo(f"Updated the concurrency limit {name!r}.")


@global_concurrency_limit.command()
@argument("name")
@click.option("--limit", "-l", type=_SLOTS, required=True, help="How many slots it has.")
@click.option("--disable/--no-disable", default=None, help="Make it without letting it limit.")
@click.option("--active-slots", type=_SLOTS, default=0, help="How many of them are taken.")
@click.option(
    "--slot-decay-per-second", type=_RATE, default=0.0, help="How many come back in a second."
)
def create(
    name: str,
    limit: int,
    disable: bool | None,
    active_slots: int,
    slot_decay_per_second: float,
) -> None:
    """Make a limit."""
    body = ConcurrencyLimitV2Create(
        name=name,
        limit=limit,
        active=not disable,
        active_slots=active_slots,
        slot_decay_per_second=slot_decay_per_second,
    )
    with api() as client:
        try:
            made = client.call("create_concurrency_limit_v2", body=body)
        except ObjectAlreadyExists:
            raise Failure(
                f"there is a concurrency limit {name!r} already; "
                f"`penstock global-concurrency-limit update {name}` changes it"
            ) from None
    click.echo(f"Created the concurrency limit {name!r} with the id {made.id}.")


def _switch(name: str, active: bool) -> None:
    with api() as client:
        limit = _named(client, "read_concurrency_limit_v2", name)
    word = "enabled" if active else "disabled"
    if limit.active == active:
        raise Failure(f"the concurrency limit {name!r} is {word} already")
    _update(name, active=active)
    click.echo(f"The concurrency limit {name!r} is {word}.")


def _update(name: str, **fields: Any) -> None:
    given = {key: UNSET if value is None else value for key, value in fields.items()}
    with api() as client:
        _named(client, "update_concurrency_limit_v2", name, body=ConcurrencyLimitV2Update(**given))


def _named(client: Api, operation: str, name: str, body: Any = None) -> Any:
    try:
        return client.call(operation, name, body=body)
    except ObjectNotFound:
        raise Failure(
            f"there is no concurrency limit {name!r}; "
            "`penstock global-concurrency-limit ls` lists them"
        ) from None


def _cells(limit: Any) -> tuple[str, ...]:
    return (
        limit.name,
        str(limit.id),
        "yes" if limit.active else "no",
        str(limit.limit),
        str(limit.active_slots),
        f"{limit.slot_decay_per_second:g}",
        ago(limit.updated),
    )
