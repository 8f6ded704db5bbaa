"""Which settings are in force right now."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from penstock.settings.loading import load_settings
from penstock.settings.model import Settings
from penstock.settings.profiles import Profile

_override: ContextVar[Settings | None] = ContextVar("penstock_settings", default=None)
_lock = threading.Lock()
_root: Settings | None = None


def get_current_settings() -> Settings:
    """The settings of this context: the nearest `temporary_settings` or `use_profile`, else
    those of the process, which are loaded on the first call.

    Creates the home directory (mode 0700) when it is loaded for the first time.
    """
    return _override.get() or _root or _load_root()


def _load_root() -> Settings:
    global _root
    with _lock:
        if _root is None:
            settings = load_settings()
            _create_home(settings)
            _root = settings
        return _root


def _create_home(settings: Settings) -> None:
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        # A read-only home is fine until something has to be written there, which then says so.
        return


def refresh_settings() -> Settings:
    """Load the process's settings again, after its environment or a file changed."""
    global _root
    with _lock:
        _root = None
    return _load_root()


@contextmanager
def settings_context(settings: Settings) -> Iterator[Settings]:
    """Put `settings` in force for the block."""
    token = _override.set(settings)
    try:
        yield settings
    finally:
        _override.reset(token)


@contextmanager
def temporary_settings(
    updates: Mapping[Any, Any] | None = None,
    set_defaults: Mapping[Any, Any] | None = None,
    restore_defaults: Iterable[Any] | None = None,
) -> Iterator[Settings]:
    """Other settings for the block, in this thread and context only.

    Keys are accessors (`api.url`), variable names (`PENSTOCK_API_URL`) or declarations.
    """
    changed = get_current_settings().copy_with_update(updates, set_defaults, restore_defaults)
    with settings_context(changed):
        yield changed


@contextmanager
def use_profile(
    profile: str | Profile,
    override_environment_variables: bool = False,
    include_current_context: bool = True,
) -> Iterator[Settings]:
    """The settings of a profile for the block.

    The environment wins over the profile, unless `override_environment_variables`. With
    `include_current_context` the profile's own values lie on top of the settings in force;
    otherwise those are left out of account. Raises `MissingProfileError`.
    """
    settings = load_settings(profile=profile, profile_first=override_environment_variables)
    if include_current_context and (current := _override.get()) is not None:
        own = {
            setting.accessor: given.raw
            for setting, given in settings.given()
            if given.kind == "profile"
        }
        settings = current.copy_with_update(own)
    _create_home(settings)
    with settings_context(settings):
        yield settings
