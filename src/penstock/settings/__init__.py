"""Settings: one declaration table, the sources they come from, profiles.

`get_current_settings()` gives the settings in force, with one attribute per setting:
`get_current_settings().server.api.port`. Secrets are `Secret` objects that do not show
themselves. Importing this package and loading the settings costs a few milliseconds.
"""

from typing import TYPE_CHECKING, Any

from penstock.settings.context import (
    get_current_settings,
    refresh_settings,
    settings_context,
    temporary_settings,
    use_profile,
)
from penstock.settings.declaration import PREFIX
from penstock.settings.legacy import Setting, named
from penstock.settings.loading import load_settings
from penstock.settings.model import Settings, SettingsGroup
from penstock.settings.profiles import Profile, ProfilesCollection, SettingsWarning
from penstock.settings.secret import Secret, reveal

if TYPE_CHECKING:
    from penstock.settings.profile_file import (
        load_current_profile,
        load_profile,
        load_profiles,
        save_profiles,
        update_current_profile,
    )

__all__ = [
    "Profile",
    "ProfilesCollection",
    "Secret",
    "Setting",
    "Settings",
    "SettingsGroup",
    "SettingsWarning",
    "canonical_environment_prefix",
    "get_current_settings",
    "load_current_profile",
    "load_profile",
    "load_profiles",
    "load_settings",
    "refresh_settings",
    "reveal",
    "save_profiles",
    "settings_context",
    "temporary_settings",
    "update_current_profile",
    "use_profile",
]

_EDITING = frozenset(
    (
        "load_current_profile",
        "load_profile",
        "load_profiles",
        "save_profiles",
        "update_current_profile",
    )
)


def canonical_environment_prefix(settings: SettingsGroup | None = None) -> str:
    """The prefix of the variables of a settings group; of all settings without one."""
    prefix = "" if settings is None else settings._prefix
    return PREFIX + prefix.replace(".", "_").upper()


def __getattr__(name: str) -> Any:
    if name in _EDITING:
        # Editing keeps comments, which needs a TOML library that few processes need.
        from penstock.settings import profile_file

        return getattr(profile_file, name)
    setting = named(name)
    if setting is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return setting
