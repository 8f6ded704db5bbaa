"""`penstock dashboard`: the UI of the configured server."""

import click

from penstock.cli.output import Failure
from penstock.settings import get_current_settings


@click.group()
def dashboard() -> None:
    """Open the UI."""


@dashboard.command("open")
def open_() -> None:
    """Open the UI in a browser."""
    import webbrowser

    url = get_current_settings().ui_url
    if not url:
        raise Failure("there is no UI without a server; set PENSTOCK_API_URL, or PENSTOCK_UI_URL")
    click.echo(f"Opening {url}")
    if not webbrowser.open(str(url)):
        raise Failure(f"no browser could be started here; open {url} yourself")
