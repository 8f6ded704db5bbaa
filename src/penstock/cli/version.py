"""`penstock version`."""

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, distributions
from importlib.metadata import version as installed
from typing import Any

import click

from penstock.base.version import API_VERSION, VERSION
from penstock.cli.output import output_option, print_json
from penstock.settings import get_current_settings


@click.command()
@click.option(
    "--omit-integrations", is_flag=True, help="Leave out the installed optional libraries."
)
@output_option
def version(omit_integrations: bool, output: str | None) -> None:
    """Say which versions of Penstock, Python and the database library are in use."""
    facts = _facts(omit_integrations)
    if output:
        print_json(facts)
        return
    _print(facts, "")


def _facts(omit_integrations: bool) -> dict[str, Any]:
    settings = get_current_settings()
    url = settings.server.database.connection_url.get_secret_value()
    facts: dict[str, Any] = {
        "version": VERSION,
        "api_version": API_VERSION,
        "python_version": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}".strip(),
        "profile": settings.profile_name,
        "server_type": "server" if settings.api.url else "embedded",
        "msgspec_version": installed("msgspec"),
        "server": {
            "database": url.split(":", 1)[0].split("+", 1)[0],
            "sqlite_version": sqlite3.sqlite_version,
        },
    }
    if not omit_integrations:
        facts["integrations"] = _integrations()
    return facts


def _integrations() -> dict[str, str]:
    found = {}
    for name in ("psycopg", "redis", "docker", "kubernetes", "distributed", "ray"):
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            continue
    for package in distributions():
        name = package.metadata["Name"] or ""
        if name.startswith(("penstock-", "prefect-")):
            found[name] = package.version
    return found


def _print(facts: dict[str, Any], indent: str) -> None:
    for key, value in facts.items():
        label = key.replace("_", " ").capitalize().replace("Api", "API").replace("Sqlite", "SQLite")
        if isinstance(value, dict):
            click.echo(f"{indent}{label}:")
            _print(value, indent + "  ")
        else:
            click.echo(f"{indent}{label + ':':<20} {value}")
