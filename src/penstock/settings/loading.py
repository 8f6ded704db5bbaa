"""Settings from all their sources, in order of strength.

argument > environment (`PENSTOCK_X`, then `PREFECT_X`) > `.env` > `penstock.toml` >
`prefect.toml` > `pyproject.toml` > profile > default
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock.schemas.errors import SettingsError
from penstock.settings.declaration import PREFIXES, Setting
from penstock.settings.derived import with_home
from penstock.settings.kinds import FilePath
from penstock.settings.model import Settings
from penstock.settings.profiles import (
    DEFAULT_PROFILE,
    Profile,
    ProfilesCollection,
    SettingsWarning,
    built_in_profiles,
    read_profiles,
)
from penstock.settings.sources import (
    ARGUMENT,
    DOTENV,
    ENVIRONMENT,
    PROFILE,
    Given,
    flatten,
    from_variables,
    project_layers,
    project_values,
    read_dotenv,
)
from penstock.settings.table import SETTINGS, find

_OTHER_VARIABLES = (
    "PROFILE",
    "API_ENCRYPTION_KEY",
    "SERVER_ENCRYPTION_KEY",
    "FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR",
)
"""Variables, without prefix, that are read elsewhere and are no settings."""
_OTHER_FAMILIES = ("_", "TEST_", "LOGGING_", "INTEGRATIONS_", "KUBERNETES_", "DOCKER_")
"""How families of them begin: what processes hand to children, logging keys, integrations."""
_TEST_MODES = ("testing.test_mode", "testing.unit_test_mode")


def load_settings(
    arguments: Mapping[str, Any] | None = None,
    *,
    profile: str | Profile | None = None,
    environ: Mapping[str, str] | None = None,
    directory: str | os.PathLike[str] | None = None,
    profile_first: bool = False,
) -> Settings:
    """The settings in force.

    `arguments` (accessors, variable names or nested groups) win over everything. `profile`
    chooses a profile instead of the environment or the file; with `profile_first` it wins over
    the environment. `environ` and `directory` replace the process's own. Raises `SettingsError`
    or `MissingProfileError`; costs well under a millisecond where no file exists.
    """
    environ = os.environ if environ is None else environ
    given = _arguments(arguments or {})
    outer = _outer_layers(environ, _working_directory(directory))
    _merge(given, outer)
    if profile is None and _is_test(given):
        return Settings(given)
    chosen = _chosen(profile, environ, given)
    layer = chosen.given()
    if profile_first:
        given = {**given, **layer, **_arguments(arguments or {})}
    else:
        _merge(given, layer)
    return Settings(given, chosen.name)


def load_collection(
    environ: Mapping[str, str] | None = None,
    directory: str | os.PathLike[str] | None = None,
    *,
    built_in: bool = True,
) -> tuple[ProfilesCollection, Path]:
    """The profiles in force and the file they are kept in, whether it exists or not."""
    given = _outer_layers(os.environ if environ is None else environ, _working_directory(directory))
    path = _profiles_path(given)
    return read_profiles(path, built_in=built_in), path


def read_layers(
    environ: Mapping[str, str] | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> Iterator[tuple[Given, Setting | None]]:
    """Every value of every source, strongest source first, overridden ones too.

    Names below Penstock's prefixes that are no setting come with `None`.
    """
    environ = os.environ if environ is None else environ
    place = _working_directory(directory)
    yield from _all_variables(environ, ENVIRONMENT, "environment")
    if place is not None:
        dotenv = os.path.join(place, ".env")  # noqa: PTH118  (path objects cost more here)
        yield from _all_variables(read_dotenv(dotenv), DOTENV, ".env")
        for given in project_values(place):
            yield given, find(given.key)
    profiles, _ = load_collection(environ, directory)
    name, _ = chosen_profile_name(environ, profiles)
    if name in profiles.names:
        yield from _all_variables(profiles[name].settings, PROFILE, f"profile {name!r}")


def _all_variables(
    variables: Mapping[str, Any], kind: str, place: str
) -> Iterator[tuple[Given, Setting | None]]:
    for name, raw in variables.items():
        setting = find(name)
        if setting is None and kind != PROFILE and not _is_claimed(name.upper()):
            continue
        if raw != "" or setting is None or kind == PROFILE:
            yield Given(raw, kind, place, name), setting


def _is_claimed(name: str) -> bool:
    """Whether a variable looks like a setting, and is nothing else that is known."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            stem = name[len(prefix) :]
            return stem not in _OTHER_VARIABLES and not stem.startswith(_OTHER_FAMILIES)
    return False


def chosen_profile_name(
    environ: Mapping[str, str], profiles: ProfilesCollection
) -> tuple[str, str]:
    """The name of the active profile, and what chose it."""
    for prefix in PREFIXES:
        if name := environ.get(f"{prefix}PROFILE"):
            return name, f"environment variable {prefix}PROFILE"
    if profiles.active_name:
        return profiles.active_name, "profiles file"
    return DEFAULT_PROFILE, "default"


def _chosen(
    profile: str | Profile | None, environ: Mapping[str, str], given: Mapping[str, Given]
) -> Profile:
    if isinstance(profile, Profile):
        return profile
    profiles = read_profiles(_profiles_path(given))
    if profile is not None:
        return profiles[profile]
    name, origin = chosen_profile_name(environ, profiles)
    if origin == "profiles file" and name not in profiles.names:
        warnings.warn(
            f"the active profile {name!r} does not exist, so {DEFAULT_PROFILE!r} is used; "
            "choose one with `penstock profile use`",
            SettingsWarning,
            stacklevel=4,
        )
        return built_in_profiles()[DEFAULT_PROFILE]
    return profiles[name]


def _outer_layers(environ: Mapping[str, str], directory: str | None) -> dict[str, Given]:
    """Everything but arguments and profiles."""
    given = from_variables(environ, ENVIRONMENT, "environment")
    if directory is not None:
        dotenv = os.path.join(directory, ".env")  # noqa: PTH118  (path objects cost more here)
        _merge(given, from_variables(read_dotenv(dotenv), DOTENV, ".env"))
        for layer in project_layers(directory):
            _merge(given, layer)
    certificates = environ.get("SSL_CERT_FILE")
    if certificates and "api.ssl_cert_file" not in given:
        given["api.ssl_cert_file"] = Given(
            certificates, ENVIRONMENT, "environment", "SSL_CERT_FILE"
        )
    return given


def _merge(given: dict[str, Given], weaker: Mapping[str, Given]) -> None:
    for accessor, source in weaker.items():
        given.setdefault(accessor, source)


def _arguments(arguments: Mapping[str, Any]) -> dict[str, Given]:
    given = {}
    for key, value in arguments.items():
        setting = find(key)
        if setting is not None:
            given[setting.accessor] = Given(value, ARGUMENT, "", key)
        elif isinstance(value, Mapping):
            for accessor, inner in flatten({key: value}):
                given[accessor] = Given(inner, ARGUMENT, "", accessor)
        else:
            raise SettingsError(f"there is no setting {key!r}; `penstock config view` lists them")
    return given


def _working_directory(directory: str | os.PathLike[str] | None) -> str | None:
    if directory is not None:
        return os.fspath(directory)
    try:
        return os.getcwd()  # noqa: PTH109  (path objects cost more here)
    except FileNotFoundError:
        # A process may outlive its working directory; there are no project files then.
        return None


def _is_test(given: Mapping[str, Given]) -> bool:
    for accessor in _TEST_MODES:
        source = given.get(accessor)
        if source is not None and str(source.raw).lower() in ("1", "true", "yes", "on"):
            return True
    return False


def _profiles_path(given: Mapping[str, Given]) -> Path:
    home = _path(given.get("home"), None) or _path_of(SETTINGS["home"].default)
    return _path(given.get("profiles_path"), home) or home / "profiles.toml"


def _path(source: Given | None, home: Path | None) -> Path | None:
    if source is None or not isinstance(source.raw, str | Path):
        return None
    return _path_of(with_home(str(source.raw), home) if home else source.raw)


def _path_of(raw: Any) -> Path:
    return FilePath().parse(raw)
