"""`penstock profile`: named sets of settings."""

import os

import click

from penstock.cli.lazy import argument
from penstock.cli.output import Failure, confirm, may_ask, output_option, print_json, print_table
from penstock.settings.loading import chosen_profile_name, load_collection
from penstock.settings.profile_file import ProfileFile
from penstock.settings.profiles import BUILT_IN, Profile
from penstock.settings.secret import MASK
from penstock.settings.table import find


@click.group(context_settings={"help_option_names": ["--help"]})
def profile() -> None:
    """Choose and edit profiles."""


@profile.command()
@output_option
def ls(output: str | None) -> None:
    """List the profiles; the active one is marked."""
    profiles, _ = load_collection()
    active, origin = chosen_profile_name(os.environ, profiles)
    if output:
        print_json(
            [
                {"name": name, "active": name == active, "source": _place(profiles[name])}
                for name in sorted(profiles)
            ]
        )
        return
    print_table(
        ("Profile", "Active", "From"),
        (
            (name, f"* ({origin})" if name == active else "", _place(profiles[name]))
            for name in sorted(profiles)
        ),
        "There are no profiles.",
    )
    if active not in profiles.names:
        raise Failure(f"the active profile {active!r} ({origin}) does not exist")


def _place(entry: Profile) -> str:
    return str(entry.source) if entry.source else "built in"


@profile.command()
@argument("name")
@click.option("--from", "origin", metavar="PROFILE", help="Copy the settings of this profile.")
def create(name: str, origin: str | None) -> None:
    """Make a profile."""
    profiles, path = load_collection()
    if name in profiles.names:
        raise Failure(
            f"there already is a profile {name!r}; change it with "
            f"`penstock -p {name} config set`, or choose another name"
        )
    settings = (
        {key: str(value) for key, value in profiles[origin].settings.items()} if origin else {}
    )
    file = ProfileFile(path)
    file.create(name, settings)
    file.save()
    click.echo(f"Made profile {name!r} in {path}.")
    click.echo(f"Use it with `penstock profile use {name}`.")


@profile.command()
@argument("name")
def use(name: str) -> None:
    """Make a profile the active one."""
    profiles, path = load_collection()
    profiles[name]
    file = ProfileFile(path)
    file.set_active(name)
    file.save()
    click.echo(f"Profile {name!r} is active.")
    chosen, origin = chosen_profile_name(os.environ, profiles)
    if origin.startswith("environment") and chosen != name:
        click.echo(f"Note: the {origin} still chooses {chosen!r} in this shell.", err=True)


@profile.command()
@argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_context
def delete(ctx: click.Context, name: str, yes: bool) -> None:
    """Remove a profile."""
    profiles, path = load_collection()
    entry = profiles[name]
    if entry.source is None:
        raise Failure(f"profile {name!r} is built in and cannot be removed")
    if chosen_profile_name(os.environ, profiles)[0] == name and name not in BUILT_IN:
        raise Failure(
            f"profile {name!r} is active; choose another one first with `penstock profile use`"
        )
    confirm(ctx, f"Remove profile {name!r}?", yes=yes or not may_ask(ctx))
    file = ProfileFile(path)
    file.remove(name)
    file.save()
    click.echo(f"Removed profile {name!r}.")


@profile.command()
@argument("name")
@argument("new_name")
def rename(name: str, new_name: str) -> None:
    """Give a profile another name."""
    profiles, path = load_collection()
    if profiles[name].source is None:
        raise Failure(
            f"profile {name!r} is built in; `penstock profile create {new_name} --from {name}` "
            "makes a copy"
        )
    if new_name in profiles.names:
        raise Failure(f"there already is a profile {new_name!r}; choose another name")
    file = ProfileFile(path)
    file.rename(name, new_name)
    file.save()
    click.echo(f"Renamed profile {name!r} to {new_name!r}.")
    chosen, origin = chosen_profile_name(os.environ, profiles)
    if origin.startswith("environment") and chosen == name:
        click.echo(f"Note: the {origin} still names {name!r}.", err=True)


@profile.command()
@argument("name", required=False)
@output_option
def inspect(name: str | None, output: str | None) -> None:
    """Show the settings of a profile; of the active one without NAME."""
    profiles, _ = load_collection()
    entry = profiles[name or chosen_profile_name(os.environ, profiles)[0]]
    shown = {key: _masked(key, value) for key, value in entry.settings.items()}
    if output:
        print_json({"name": entry.name, "source": _place(entry), "settings": shown})
        return
    if not shown:
        click.echo(f"Profile {entry.name!r} sets nothing.")
    for key, value in shown.items():
        click.echo(f"{key}={value}")


def _masked(key: str, value: object) -> str:
    setting = find(key)
    return MASK if setting is not None and setting.is_secret and value else str(value)
