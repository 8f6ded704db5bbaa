"""`penstock server database`: build, bring up to date, empty."""

import click

from penstock.cli.output import Failure, confirm, waiting
from penstock.cli.server import refuse_while_running, shown_database
from penstock.server.store import open_store
from penstock.settings import get_current_settings


@click.group()
def database() -> None:
    """Look after the server's database."""


@database.command()
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_context
def reset(ctx: click.Context, yes: bool) -> None:
    """Delete everything in the database and build an empty schema."""
    settings = get_current_settings()
    refuse_while_running(settings, "reset")
    url = settings.server.database.connection_url.get_secret_value()
    shown = shown_database(url)
    confirm(ctx, f"Delete everything in {shown}?", yes=yes)
    with waiting(f"Emptying {shown} ..."):
        open_store(url).reset()
    click.echo(f"The database {shown} is empty.")


@database.command()
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--revision", "-r", default="head", help="Only `head`, the newest, is possible.")
@click.pass_context
def upgrade(ctx: click.Context, yes: bool, revision: str) -> None:
    """Bring the schema of the database up to date; creates it when it is new."""
    if revision != "head":
        raise Failure("a schema can only be brought to the newest state; leave --revision out")
    url = get_current_settings().server.database.connection_url.get_secret_value()
    shown = shown_database(url)
    confirm(ctx, f"Bring the schema of {shown} up to date?", yes=yes)
    store = open_store(url)
    with waiting(f"Changing the schema of {shown} ..."):
        store.start()
        store.stop()
    click.echo(f"The schema of {shown} is up to date.")


@database.command(hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def downgrade(arguments: tuple[str, ...]) -> None:
    """Refused: schema changes only go forward."""
    raise Failure("schema changes only go forward; restore a backup of the database instead")
