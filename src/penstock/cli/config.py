"""`penstock config`: settings of the active profile."""

import os
from collections.abc import Iterable
from typing import Any

import click

from penstock.cli.lazy import argument
from penstock.cli.output import Failure, confirm, output_option, print_json
from penstock.schemas.errors import SettingsError
from penstock.settings import get_current_settings, load_settings
from penstock.settings.declaration import Setting
from penstock.settings.loading import chosen_profile_name, load_collection, read_layers
from penstock.settings.model import Settings, complaint
from penstock.settings.profile_file import update_profile
from penstock.settings.secret import MASK
from penstock.settings.table import SETTINGS, find, retired


@click.group(context_settings={"help_option_names": ["--help"]})
def config() -> None:
    """View and change settings of the active profile."""


@config.command()
@click.option("--show-defaults/--hide-defaults", default=False, help="Also settings not given.")
@click.option("--show-sources/--hide-sources", default=True, help="Say where values come from.")
@click.option("--show-secrets/--hide-secrets", default=False, help="Show secrets in clear.")
@output_option
def view(show_defaults: bool, show_sources: bool, show_secrets: bool, output: str | None) -> None:
    """Show the settings in force."""
    settings = get_current_settings()
    rows = [
        (setting, _shown(settings, setting, show_secrets), _source(settings, setting))
        for setting in _listed(settings, show_defaults)
    ]
    if output:
        print_json(
            {
                setting.name: {"value": value, "source": source} if show_sources else value
                for setting, value, source in rows
            }
        )
        return
    click.echo(f"PENSTOCK_PROFILE={settings.profile_name or '(none: test mode)'}")
    for setting, value, source in rows:
        origin = f"  (from {source})" if show_sources else ""
        click.echo(f"{setting.name}={value}{origin}")


def _listed(settings: Settings, show_defaults: bool) -> Iterable[Setting]:
    return sorted(
        (s for s in SETTINGS.values() if show_defaults or settings.source(s) is not None),
        key=lambda setting: setting.name,
    )


def _shown(settings: Settings, setting: Setting, show_secrets: bool) -> str:
    value = settings.value(setting)
    if setting.is_secret and value and not show_secrets:
        return MASK
    return setting.kind.render(value)


def _source(settings: Settings, setting: Setting) -> str:
    source = settings.source(setting)
    if source is None:
        return "defaults"
    return {"environment variable": "env"}.get(source.kind, source.place)


@config.command("set")
@argument("settings", nargs=-1, metavar="NAME=VALUE...")
def set_(settings: tuple[str, ...]) -> None:
    """Set values in the active profile, e.g. PENSTOCK_API_URL=http://127.0.0.1:4200/api."""
    values: dict[str, str] = {}
    for item in settings:
        name, equals, value = item.partition("=")
        if not equals:
            raise Failure(f"{item!r} is not of the form NAME=VALUE; write {item}=VALUE")
        values[_known(name).name] = value
    for name in values:
        if name in ("PENSTOCK_HOME", "PENSTOCK_PROFILES_PATH"):
            raise Failure(
                f"{name} chooses the profiles file, so a profile cannot hold it; export it"
            )
    profile = active_profile()
    update_profile(profile, values)
    for name, value in values.items():
        shown = MASK if _known(name).is_secret else value
        click.echo(f"Set {name} to {shown!r} in profile {profile!r}.")
        _warn_overridden(name, profile)


@config.command()
@argument("setting_names", nargs=-1, metavar="NAME...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_context
def unset(ctx: click.Context, setting_names: tuple[str, ...], yes: bool) -> None:
    """Take settings out of the active profile."""
    profile = active_profile()
    present = load_collection()[0][profile].given()
    chosen = [_known(name) for name in setting_names]
    for setting in chosen:
        if setting.accessor not in present:
            raise Failure(f"{setting.name} is not set in profile {profile!r}; nothing was changed")
    names = ", ".join(setting.name for setting in chosen)
    confirm(ctx, f"Take {names} out of profile {profile!r}?", yes=yes)
    update_profile(profile, dict.fromkeys(setting.name for setting in chosen))
    for setting in chosen:
        click.echo(f"Took {setting.name} out of profile {profile!r}.")
        _warn_overridden(setting.name, profile)


@config.command()
def validate() -> None:
    """Check every source of settings for wrong values and unknown names."""
    problems: list[str] = []
    for given, known in read_layers():
        if known is None:
            reason = retired(given.key)
            note = f"has no effect: {reason}" if reason else "is no setting and is ignored"
            click.echo(f"Note: {given} {note}.", err=True)
            continue
        try:
            known.kind.parse(given.raw)
        except ValueError as error:
            problems.append(complaint(known, given, error))
    try:
        load_settings()
    except SettingsError as error:
        if not problems:
            problems.append(str(error))
    if problems:
        raise Failure("; ".join(problems))
    click.echo("All settings are valid.")


def _known(name: str) -> Setting:
    setting = find(name)
    if setting is not None:
        return setting
    reason = retired(name)
    if reason:
        raise Failure(f"{name} has no effect in Penstock: {reason}")
    raise Failure(
        f"there is no setting {name!r}; `penstock config view --show-defaults` lists them"
    )


def active_profile() -> str:
    profiles, _ = load_collection()
    name, _ = chosen_profile_name(os.environ, profiles)
    profiles[name]
    return name


def _warn_overridden(name: str, profile: str) -> None:
    setting: Any = find(name)
    for variable in os.environ:
        if variable.upper() in setting.names:
            click.echo(
                f"Note: the environment variable {variable} wins over profile {profile!r}.",
                err=True,
            )
