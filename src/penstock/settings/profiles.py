"""Profiles: named sets of settings in one file. Reading only; `profile_file` edits.

The file is `profiles.toml`: `active = "name"` and a table `[profiles.name]` of variable names
for each profile. Built-in profiles are there without a file; a profile of the same name in the
file replaces one.
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock.schemas.errors import MissingProfileError, SettingsError
from penstock.settings.sources import PROFILE, Given, from_variables, read_toml
from penstock.settings.table import by_variable, find

BUILT_IN: dict[str, dict[str, str]] = {
    "ephemeral": {"PENSTOCK_SERVER_ALLOW_EPHEMERAL_MODE": "true"},
    "local": {"PENSTOCK_API_URL": "http://127.0.0.1:4200/api"},
    "test": {
        "PENSTOCK_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PENSTOCK_API_DATABASE_CONNECTION_URL": "sqlite:///:memory:",
    },
}
DEFAULT_PROFILE = "ephemeral"


class SettingsWarning(UserWarning):
    """Something about the settings that does not stop anything but should be put right."""


class Profile:
    """A named set of settings: variable name to text. `source` is the file, `None` if built in."""

    def __init__(
        self, name: str, settings: Mapping[Any, Any] | None = None, source: Path | None = None
    ) -> None:
        self.name = name
        self.settings = {_variable(key): value for key, value in (settings or {}).items()}
        self.source = source

    def given(self) -> dict[str, Given]:
        """What the profile gives, by accessor."""
        return from_variables(self.settings, PROFILE, f"profile {self.name!r}")

    def to_environment_variables(self) -> dict[str, str]:
        """The profile's settings as canonical variables and text."""
        variables = {}
        for name, value in self.settings.items():
            setting = find(name)
            if setting is not None and value is not None:
                variables[setting.name] = setting.kind.render(setting.kind.parse(value))
        return variables

    def validate_settings(self) -> None:
        """Raises `SettingsError` when a value is not of its setting's type."""
        for accessor, given in self.given().items():
            setting = find(accessor)
            assert setting is not None
            try:
                setting.kind.parse(given.raw)
            except ValueError as error:
                raise SettingsError(
                    f"{given}: {error}; allowed is {setting.kind.description}"
                ) from error

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Profile)
            and (other.name, other.settings, other.source)
            == (self.name, self.settings, self.source)
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<profile {self.name!r}>"


def _variable(key: Any) -> str:
    if isinstance(key, str) and by_variable(key) is not None:
        return key
    setting = find(key)
    return setting.name if setting is not None else str(key)


class ProfilesCollection:
    """The profiles there are, and which is active."""

    def __init__(self, profiles: Iterable[Profile], active: str | None = None) -> None:
        self.profiles_by_name = {profile.name: profile for profile in profiles}
        self.active_name = active

    @property
    def names(self) -> set[str]:
        return set(self.profiles_by_name)

    @property
    def active_profile(self) -> Profile | None:
        return self.profiles_by_name.get(self.active_name or "")

    def set_active(self, name: str | None, check: bool = True) -> None:
        """Make a profile the active one. Raises `MissingProfileError` for an unknown name."""
        if check and name is not None:
            self[name]
        self.active_name = name

    def add_profile(self, profile: Profile) -> None:
        if profile.name in self.profiles_by_name:
            raise SettingsError(f"there already is a profile {profile.name!r}; choose another name")
        self.profiles_by_name[profile.name] = profile

    def update_profile(
        self, name: str, settings: Mapping[Any, Any], source: Path | None = None
    ) -> Profile:
        """Add `settings` to a profile; a value of `None` takes the setting out."""
        old = self.profiles_by_name.get(name) or Profile(name, source=source)
        merged = dict(old.settings)
        for key, value in settings.items():
            setting = find(key)
            names = setting.names if setting is not None else (str(key),)
            for variable in [known for known in merged if known.upper() in names]:
                del merged[variable]
            if value is not None:
                merged[names[0]] = value
        self.profiles_by_name[name] = Profile(name, merged, source or old.source)
        return self.profiles_by_name[name]

    def remove_profile(self, name: str) -> None:
        self[name]
        del self.profiles_by_name[name]

    def without_profile_source(self, path: Path | None) -> "ProfilesCollection":
        """The profiles that do not come from `path`."""
        kept = [profile for profile in self.profiles_by_name.values() if profile.source != path]
        return ProfilesCollection(kept, self.active_name)

    def to_dict(self) -> dict[str, Any]:
        return {
            "active": self.active_name,
            "profiles": {p.name: dict(p.settings) for p in self.profiles_by_name.values()},
        }

    def items(self) -> list[tuple[str, Profile]]:
        return list(self.profiles_by_name.items())

    def __getitem__(self, name: str) -> Profile:
        try:
            return self.profiles_by_name[name]
        except KeyError:
            known = ", ".join(sorted(self.profiles_by_name)) or "none"
            raise MissingProfileError(
                f"there is no profile {name!r}; there are: {known}. "
                f"`penstock profile create {name}` makes one"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.profiles_by_name)

    def __len__(self) -> int:
        return len(self.profiles_by_name)


def built_in_profiles() -> ProfilesCollection:
    return ProfilesCollection(
        (Profile(name, settings) for name, settings in BUILT_IN.items()), DEFAULT_PROFILE
    )


def read_profiles(path: str | os.PathLike[str], *, built_in: bool = True) -> ProfilesCollection:
    """The profiles of the file at `path` and the built-in ones.

    A file that cannot be read or is no TOML is left aside with a `SettingsWarning`, because
    otherwise no command that could repair it would run.
    """
    collection = built_in_profiles() if built_in else ProfilesCollection(())
    try:
        document = read_toml(os.fspath(path))
    except SettingsError as error:
        warnings.warn(f"profiles are ignored: {error}", SettingsWarning, stacklevel=2)
        return collection
    tables = document.get("profiles", {})
    if not isinstance(tables, Mapping):
        tables = {}
    for name, settings in tables.items():
        if isinstance(settings, Mapping):
            collection.profiles_by_name[name] = Profile(name, settings, Path(path))
    active = document.get("active")
    if isinstance(active, str):
        collection.active_name = active
    return collection
