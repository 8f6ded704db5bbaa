"""`penstock variable`: read and set variables."""

from typing import Any

import click
import msgspec

from penstock.base import json
from penstock.cli.lazy import argument
from penstock.cli.output import Failure, ago, ask_before, output_option, print_json, print_table
from penstock.cli.runs import PAGE, Api, api
from penstock.schemas.errors import ObjectAlreadyExists, ObjectNotFound
from penstock.schemas.variables import (
    Variable,
    VariableCreate,
    VariablesFilterPage,
    VariableUpdate,
)


@click.group()
def variable() -> None:
    """Read and set variables."""


@variable.command()
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Most rows.")
@output_option
def ls(limit: int, output: str | None) -> None:
    """List variables by name."""
    found: list[Variable] = []
    with api() as client:
        while len(found) < limit:
            size = min(limit - len(found), PAGE)
            body = VariablesFilterPage(limit=size, offset=len(found))
            page = client.call("read_variables", body=body)
            found += page
            if len(page) < size:
                break
    if output:
        print_json(found)
        return
    print_table(
        ("Name", "Value", "Tags", "Created", "Updated"),
        (
            (
                one.name,
                json.text(one.value),
                ", ".join(one.tags),
                ago(one.created),
                ago(one.updated),
            )
            for one in found
        ),
        "There are no variables; `penstock variable set NAME VALUE` makes one.",
    )


@variable.command()
@argument("name")
@output_option
def inspect(name: str, output: str | None) -> None:
    """Show a variable."""
    with api() as client:
        found = _existing(client, name)
    if output:
        print_json(found)
        return
    for label, text in (
        ("Name", found.name),
        ("Value", json.text(found.value)),
        ("Tags", ", ".join(found.tags) or "-"),
        ("ID", str(found.id)),
        ("Created", ago(found.created)),
        ("Updated", ago(found.updated)),
    ):
        click.echo(f"{label}: {text}")


@variable.command()
@argument("name")
def get(name: str) -> None:
    """Print the value of a variable: a text as it is, anything else as JSON."""
    with api() as client:
        value = _existing(client, name).value
    click.echo(value if isinstance(value, str) else json.text(value))


@variable.command("set")
@argument("name")
@argument("value")
@click.option(
    "--overwrite/--no-overwrite", default=False, help="Replace the value if there is one."
)
@click.option("--tag", multiple=True, help="A tag of the variable; repeatable.")
def set_(name: str, value: str, overwrite: bool, tag: tuple[str, ...]) -> None:
    """Set a variable. A value that is JSON is stored as what it says, any other as text."""
    meant = _meant(value)
    with api() as client:
        try:
            body = VariableCreate(name=name, value=meant, tags=list(tag))
            client.call("create_variable", body=body)
        except ObjectAlreadyExists:
            if not overwrite:
                raise Failure(
                    f"there is a variable {name!r} already; repeat with --overwrite to replace it"
                ) from None
            change = VariableUpdate(value=meant, tags=list(tag))
            client.call("update_variable_by_name", name, body=change)
    click.echo(f"The variable {name!r} is set.")


@click.command()
@argument("name")
@click.pass_context
def unset(ctx: click.Context, name: str) -> None:
    """Delete a variable."""
    with api() as client:
        _existing(client, name)
        ask_before(ctx, f"Delete the variable {name!r}?")
        client.call("delete_variable_by_name", name)
    click.echo(f"The variable {name!r} is deleted.")


variable.add_command(unset)
variable.add_command(unset, "delete")


def _existing(client: Api, name: str) -> Variable:
    try:
        return client.call("read_variable_by_name", name)
    except ObjectNotFound:
        raise Failure(f"there is no variable {name!r}; `penstock variable ls` lists them") from None


def _meant(text: str) -> Any:
    try:
        return json.decode(text)
    except msgspec.DecodeError:
        return text
