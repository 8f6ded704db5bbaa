"""The settings object: immutable, read by attribute, one attribute group per dot."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from penstock.schemas.errors import SettingsError
from penstock.settings.declaration import HomePath, Setting
from penstock.settings.derived import derive, with_home
from penstock.settings.kinds import FilePath
from penstock.settings.secret import MASK
from penstock.settings.sources import ARGUMENT, Given
from penstock.settings.table import SETTINGS, find

_GROUPS = frozenset(
    accessor.rsplit(".", depth)[0]
    for accessor in SETTINGS
    for depth in range(1, accessor.count(".") + 1)
)


class SettingsGroup:
    """The settings below one accessor prefix."""

    _values: Mapping[str, Any]
    _prefix: str

    def __init__(self, values: Mapping[str, Any], prefix: str) -> None:
        self.__dict__["_values"] = values
        self.__dict__["_prefix"] = prefix

    def __getattr__(self, name: str) -> Any:
        # Runs once per attribute: what it finds is kept in the instance.
        if name.startswith("_"):
            raise AttributeError(name)
        accessor = self._prefix + name
        if accessor in self._values:
            value = self._values[accessor]
        elif accessor in _GROUPS:
            value = SettingsGroup(self._values, f"{accessor}.")
        else:
            raise AttributeError(f"there is no setting {accessor!r}; see `penstock config view`")
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"settings are immutable; use temporary_settings to change {self._prefix}{name}"
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError("settings are immutable")

    def __dir__(self) -> list[str]:
        below = len(self._prefix)
        return sorted(
            {key[below:].split(".")[0] for key in self._values if key.startswith(self._prefix)}
        )

    def __repr__(self) -> str:
        return f"<settings {self._prefix}*>" if self._prefix else "<settings>"


class Settings(SettingsGroup):
    """All settings as they are in force: `settings.server.api.port`, `settings.home`, ...

    Made by `load_settings` or `get_current_settings`; changed only by making another one.
    """

    _given: Mapping[str, Given]
    _profile: str | None

    def __init__(self, given: Mapping[str, Given], profile: str | None = None) -> None:
        """Settings from what was given, strongest already chosen.

        Raises `SettingsError` that names every value that is not of its setting's type.
        """
        super().__init__(_resolve(given), "")
        self.__dict__["_given"] = dict(given)
        self.__dict__["_profile"] = profile

    @property
    def profile_name(self) -> str | None:
        """The profile these settings were loaded with; `None` when profiles were ignored."""
        return self._profile

    def value(self, key: str | Setting) -> Any:
        """The value of one setting, by accessor or variable name."""
        return self._values[_declared(key).accessor]

    def source(self, key: str | Setting) -> Given | None:
        """Where a setting's value was given; `None` when it is the default."""
        return self._given.get(_declared(key).accessor)

    def given(self) -> Iterator[tuple[Setting, Given]]:
        """The settings that are not left at their defaults."""
        for accessor, given in self._given.items():
            yield SETTINGS[accessor], given

    def copy_with_update(
        self,
        updates: Mapping[Any, Any] | None = None,
        set_defaults: Mapping[Any, Any] | None = None,
        restore_defaults: Iterable[Any] | None = None,
    ) -> "Settings":
        """Other settings: defaults restored, then `set_defaults` where nothing was given, then
        `updates`. Keys are accessors, variable names or declarations."""
        given = dict(self._given)
        for key in restore_defaults or ():
            given.pop(_declared(key).accessor, None)
        for setting, value in _arguments(set_defaults):
            if setting.accessor not in given:
                given[setting.accessor] = Given(value, ARGUMENT, "", setting.name)
        for setting, value in _arguments(updates):
            given[setting.accessor] = Given(value, ARGUMENT, "", setting.name)
        return Settings(given, self._profile)

    def to_environment_variables(
        self,
        exclude_unset: bool = False,
        include_secrets: bool = True,
        include_aliases: bool = False,
    ) -> dict[str, str]:
        """The settings as variables that give the same settings to a child process.

        With `exclude_unset`, only what was given. Settings without a value are left out, unless
        one was taken away on purpose.
        """
        variables = {}
        for accessor, setting in SETTINGS.items():
            given = accessor in self._given
            value = self._values[accessor]
            if (exclude_unset and not given) or (value is None and not given):
                continue
            text = setting.kind.render(value)
            if setting.is_secret and not include_secrets:
                text = MASK
            for name in setting.names if include_aliases else (setting.name,):
                variables[name] = text
        return variables

    def document(self) -> dict[str, Any]:
        """The settings as nested JSON values for display; secrets are masked."""
        document: dict[str, Any] = {}
        for accessor, setting in SETTINGS.items():
            *groups, name = accessor.split(".")
            table = document
            for group in groups:
                table = table.setdefault(group, {})
            table[name] = _displayed(setting, self._values[accessor])
        return document

    def hash_key(self) -> str:
        """A key that is equal for equal settings."""
        # Rarely needed, and the import costs as much as loading the settings.
        import hashlib

        text = "\n".join(f"{k}={v}" for k, v in sorted(self.to_environment_variables().items()))
        return hashlib.sha256(text.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and other._values == self._values

    def __hash__(self) -> int:
        return hash(tuple(self.to_environment_variables().items()))

    def __reduce__(self) -> tuple[Any, ...]:
        texts = {
            accessor: (
                SETTINGS[accessor].kind.render(self._values[accessor]),
                g.kind,
                g.place,
                g.key,
            )
            for accessor, g in self._given.items()
        }
        return _restore, (texts, self._profile)


def _displayed(setting: Setting, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if setting.is_secret:
        return MASK if value else None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, frozenset | tuple):
        return sorted(value) if isinstance(value, frozenset) else list(value)
    if isinstance(value, Mapping):
        return {key: _displayed(setting, inner) for key, inner in value.items()}
    return str(value)


def _restore(texts: Mapping[str, tuple[str, str, str, str]], profile: str | None) -> Settings:
    return Settings({accessor: Given(*parts) for accessor, parts in texts.items()}, profile)


def _declared(key: Any) -> Setting:
    setting = find(key)
    if setting is None:
        raise SettingsError(f"there is no setting {key!r}; `penstock config view` lists them")
    return setting


def _arguments(values: Mapping[Any, Any] | None) -> Iterator[tuple[Setting, Any]]:
    for key, value in (values or {}).items():
        yield _declared(key), value


def _resolve(given: Mapping[str, Given]) -> dict[str, Any]:
    problems: list[str] = []
    home = _home(given.get("home"), problems)
    values: dict[str, Any] = {"home": home}
    for accessor, setting in SETTINGS.items():
        if accessor == "home":
            continue
        source = given.get(accessor)
        if source is not None:
            values[accessor] = _parsed(setting, source, home, problems)
        else:
            default = setting.default
            values[accessor] = home / default.name if type(default) is HomePath else default
    if not problems:
        derive(values, given, problems)
    if problems:
        raise SettingsError("; ".join(problems))
    return values


def _home(source: Given | None, problems: list[str]) -> Path:
    setting = SETTINGS["home"]
    default: Path = setting.kind.parse(setting.default)
    if source is None:
        return default
    return _parsed(setting, source, default, problems) or default


def _parsed(setting: Setting, source: Given, home: Path, problems: list[str]) -> Any:
    raw = source.raw
    if isinstance(raw, str) and isinstance(setting.kind, FilePath):
        raw = with_home(raw, home)
    try:
        return setting.kind.parse(raw)
    except ValueError as error:
        problems.append(complaint(setting, source, error))
        return None


def complaint(setting: Setting, source: Given, error: ValueError) -> str:
    """What is wrong with a value, where it comes from, and what is allowed."""
    shown = MASK if setting.is_secret else repr(source.raw)
    return (
        f"setting {setting.accessor} has the value {shown} ({source}), but {error}; "
        f"allowed is {setting.kind.description}"
    )
