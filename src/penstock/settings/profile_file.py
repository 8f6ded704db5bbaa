"""The profiles file, edited in place: comments and order stay as they are."""

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from penstock.schemas.errors import MissingProfileError, SettingsError
from penstock.settings.context import get_current_settings, refresh_settings
from penstock.settings.loading import load_collection
from penstock.settings.model import complaint
from penstock.settings.profiles import BUILT_IN, Profile, ProfilesCollection
from penstock.settings.sources import PROFILE, Given
from penstock.settings.table import find


class ProfileFile:
    """One profiles file. Changes are made in memory and written by `save`.

    `save` replaces the file in one step, with mode 0600, so that a reader never sees half of
    it. A built-in profile is copied into the file when it is first changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            self._document = tomlkit.parse(text)
        except (OSError, UnicodeDecodeError, TOMLKitError) as error:
            raise SettingsError(
                f"the profiles file {path} cannot be read: {error}; repair or remove it"
            ) from error

    @property
    def active(self) -> str | None:
        name = self._document.get("active")
        return str(name) if name is not None else None

    def names(self) -> list[str]:
        return list(self._profiles(create=False))

    def set_active(self, name: str | None) -> None:
        if name is None:
            self._document.pop("active", None)
        elif "active" in self._document or not self._document.body:
            self._document["active"] = name
        else:
            # A plain key must stand before the first table.
            old = self._document
            self._document = tomlkit.parse(f"active = {tomlkit.item(name).as_string()}\n\n")
            self._document = tomlkit.parse(self._document.as_string() + old.as_string())

    def update(self, profile: str, settings: Mapping[str, str | None]) -> None:
        """Set variables of a profile; `None` takes one out. The profile is made if needed."""
        table = self._table(profile)
        for key, value in settings.items():
            setting = find(key)
            names = setting.names if setting is not None else (key,)
            present = [name for name in table if name.upper() in names]
            for name in present[1:] if value is not None else present:
                del table[name]
            if value is not None:
                table[present[0] if present else names[0]] = value

    def create(self, name: str, settings: Mapping[str, str]) -> None:
        """Add a profile. Raises `SettingsError` when there is one of that name."""
        if name in self._profiles(create=False):
            raise SettingsError(f"there already is a profile {name!r}; choose another name")
        self._add(name, settings)

    def remove(self, name: str) -> None:
        """Take a profile out of the file. Raises `MissingProfileError`."""
        profiles = self._profiles(create=False)
        if name not in profiles:
            known = "it is built in" if name in BUILT_IN else "it does not exist"
            raise MissingProfileError(f"profile {name!r} cannot be removed: {known}")
        del profiles[name]
        if self.active == name:
            self.set_active(None)

    def rename(self, name: str, new_name: str) -> None:
        """Give a profile another name; the active one stays active."""
        table = dict(self._table(name).unwrap())
        was_active = self.active == name
        self.create(new_name, table)
        self.remove(name)
        if was_active:
            self.set_active(new_name)

    def save(self) -> None:
        directory = self.path.parent
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=directory, prefix=".profiles-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(self._document.as_string())
                Path(temporary).replace(self.path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise SettingsError(
                f"the profiles file {self.path} cannot be written: {error}; "
                "set PENSTOCK_PROFILES_PATH to a place that can"
            ) from error

    def _profiles(self, *, create: bool) -> Any:
        if "profiles" not in self._document:
            if not create:
                return {}
            self._document["profiles"] = tomlkit.table(is_super_table=True)
        return self._document["profiles"]

    def _table(self, name: str) -> Any:
        profiles = self._profiles(create=True)
        if name not in profiles:
            self._add(name, BUILT_IN.get(name, {}))
        return self._profiles(create=True)[name]

    def _add(self, name: str, settings: Mapping[str, str]) -> None:
        table = tomlkit.table()
        for key, value in settings.items():
            table[key] = value
        self._profiles(create=True)[name] = table


def load_profiles(include_defaults: bool = True) -> ProfilesCollection:
    """All profiles, with the built-in ones unless told otherwise."""
    return load_collection(built_in=include_defaults)[0]


def load_profile(name: str) -> Profile:
    """One profile. Raises `MissingProfileError`."""
    return load_profiles()[name]


def load_current_profile() -> Profile:
    """The profile the settings in force were loaded with."""
    name = get_current_settings().profile_name
    if name is None:
        raise MissingProfileError("profiles are ignored in test mode; unset PENSTOCK_TEST_MODE")
    return load_profile(name)


def save_profiles(profiles: ProfilesCollection) -> None:
    """Write all profiles that are not built in, and which is active."""
    file = ProfileFile(load_collection()[1])
    for name in set(file.names()) - profiles.names:
        file.remove(name)
    for name, profile in profiles.items():
        if profile.source is None and profile.settings == BUILT_IN.get(name):
            continue
        gone = dict.fromkeys(_settings_of(file, name) - set(profile.settings))
        file.update(name, {**gone, **{k: _text(k, v) for k, v in profile.settings.items()}})
    file.set_active(profiles.active_name)
    file.save()
    refresh_settings()


def update_current_profile(settings: Mapping[Any, Any]) -> Profile:
    """Change settings of the active profile, in the file; `None` takes one out.

    Raises `SettingsError` before anything is written when a value is not of its type.
    """
    name = load_current_profile().name
    update_profile(name, settings)
    refresh_settings()
    return load_profile(name)


def update_profile(name: str, settings: Mapping[Any, Any]) -> None:
    """Change settings of one profile, in the file."""
    texts = {}
    for key, value in settings.items():
        setting = find(key)
        if setting is None:
            raise SettingsError(f"there is no setting {key!r}; `penstock config view` lists them")
        texts[setting.name] = None if value is None else _text(setting.name, value)
    file = ProfileFile(load_collection()[1])
    file.update(name, texts)
    file.save()


def _settings_of(file: ProfileFile, name: str) -> set[str]:
    table: Iterable[str] = file._profiles(create=False).get(name, ())
    return set(table)


def _text(key: str, value: Any) -> str:
    setting = find(key)
    if setting is None:
        return str(value)
    try:
        parsed = setting.kind.parse(value)
    except ValueError as error:
        given = Given(value, PROFILE, "profile", setting.name)
        raise SettingsError(complaint(setting, given, error)) from error
    # Text is written as it was given: `~` and `$PENSTOCK_HOME` keep their meaning.
    return value if isinstance(value, str) else setting.kind.render(parsed)
