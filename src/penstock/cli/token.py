"""`penstock token`: named API tokens, which give every change a name."""

from datetime import datetime
from uuid import UUID

import click

from penstock.cli.lazy import argument
from penstock.cli.moments import duration, moment
from penstock.cli.output import Failure, ago, confirm, output_option, print_json, print_table
from penstock.cli.runs import Api, api
from penstock.schemas.tokens import Scope, Token, TokenCreate


@click.group()
def token() -> None:
    """Make, list and revoke named API tokens."""


@token.command()
@argument("name")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    default=Scope.WRITE.value,
    show_default=True,
    help="What the token may do; write includes read, admin everything.",
)
@click.option("--expires", help="When it ends: '90 days', '2027-01-31'. Never when left out.")
@output_option
def create(name: str, scope: str, expires: str | None, output: str | None) -> None:
    """Make a token and print its secret, which is not shown again.

    From the first token on every call needs credentials, so the first one must be of the scope
    admin where the server has no auth string.
    """
    body = TokenCreate(name=name, scopes=[Scope(scope)], expires=_end(expires))
    with api() as client:
        made = client.call("create_token", body=body)
    if output:
        print_json(made)
        return
    click.echo(f"The token {made.name!r} may {made.scopes[0].value}. Its secret, shown only now:")
    click.echo(made.token)
    click.echo("Clients send it when PENSTOCK_API_KEY is set to it.")


def _end(text: str | None) -> datetime | None:
    if text is None:
        return None
    now = datetime.now().astimezone()
    try:
        end = now + duration(text)
    except Failure:
        end = moment(text, now)
    if end <= now:
        raise Failure(f"{text!r} has passed already; give a moment to come")
    return end


@token.command()
@output_option
def ls(output: str | None) -> None:
    """List tokens, the revoked ones too; never their secrets."""
    with api() as client:
        found: list[Token] = client.call("read_tokens")
    if output:
        print_json(found)
        return
    print_table(
        ("ID", "Name", "Scope", "Created", "Last used", "Expires", "Revoked"),
        (
            (
                str(one.id),
                one.name,
                ", ".join(one.scopes),
                ago(one.created),
                ago(one.last_used),
                ago(one.expires),
                ago(one.revoked),
            )
            for one in found
        ),
        "There are no tokens; `penstock token create NAME --scope admin` makes the first.",
    )


@token.command()
@argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def revoke(ctx: click.Context, name: str, yes: bool) -> None:
    """Make a token useless, by its name or id. This cannot be undone."""
    with api() as client:
        found = _found(client, name)
        if found.revoked is not None:
            click.echo(f"The token {found.name!r} was revoked {ago(found.revoked)}.")
            return
        confirm(ctx, f"Revoke the token {found.name!r}?", yes=yes)
        client.call("revoke_token", found.id)
    click.echo(f"The token {found.name!r} is revoked.")


def _found(client: Api, reference: str) -> Token:
    tokens: list[Token] = client.call("read_tokens")
    for one in tokens:
        if one.name == reference or str(one.id) == _canonical(reference):
            return one
    raise Failure(f"there is no token {reference!r}; `penstock token ls` lists them")


def _canonical(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        return text
