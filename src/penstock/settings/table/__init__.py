"""Every setting, and the names it goes by."""

from typing import Any

from penstock.settings.declaration import PREFIXES, Setting
from penstock.settings.table import redis, sdk, server, services

SETTINGS: dict[str, Setting] = {
    setting.accessor: setting
    for setting in (*sdk.SETTINGS, *server.SETTINGS, *services.SETTINGS, *redis.SETTINGS)
}

RETIRED: dict[str, str] = {
    "cloud.api_url": "there is no hosted service",
    "cloud.enable_orchestration_telemetry": "nothing is reported to anyone",
    "cloud.max_log_size": "there is no hosted service",
    "cloud.ui_url": "there is no hosted service",
    "server.analytics_enabled": "nothing is reported to anyone",
    "server.concurrency.lease_storage": "leases are always rows of the database",
    "server.docket.name": "background loops need no queue name",
    "server.events.causal_ordering": "events are ordered by the database",
    "server.events.messaging_cache": "events are told apart by the database",
    "server.ui.show_promotional_content": "there is no promotional content",
    "telemetry.enable_resource_metrics": "nothing is reported to anyone",
    "telemetry.resource_metrics_interval_seconds": "nothing is reported to anyone",
}
"""Settings of the peer that are accepted and have no effect, with the reason."""

_RETIRED_ALIASES = {"MESSAGING_CACHE": "server.events.messaging_cache"}


def _stems() -> dict[str, tuple[Setting, int]]:
    stems = {}
    for setting in SETTINGS.values():
        stems[setting.name.removeprefix(PREFIXES[0])] = (setting, 0)
        for alias in setting.aliases:
            stems[alias] = (setting, 1)
    return stems


_BY_STEM = _stems()


def by_variable(name: str) -> tuple[Setting, int] | None:
    """The setting an environment variable names, and how weak that name is (0 is strongest).

    Case does not matter. `None` for a variable that is no setting.
    """
    upper = name.upper()
    for order, prefix in enumerate(PREFIXES):
        if upper.startswith(prefix):
            found = _BY_STEM.get(upper[len(prefix) :])
            return (found[0], found[1] + 2 * order) if found else None
    return None


def find(key: Any) -> Setting | None:
    """The setting that `key` means: an accessor, a variable name, or an object that has an
    `accessor`."""
    if not isinstance(key, str):
        key = getattr(key, "accessor", "")
    named = SETTINGS.get(key)
    if named is None and (found := by_variable(key)):
        named = found[0]
    return named


def retired(key: str) -> str | None:
    """Why a setting of the peer has no effect here; `None` when `key` is none of those."""
    if key in RETIRED:
        return RETIRED[key]
    for prefix in PREFIXES:
        stem = key.upper().removeprefix(prefix)
        if stem == key.upper():
            continue
        if stem in _RETIRED_ALIASES:
            return RETIRED[_RETIRED_ALIASES[stem]]
        for accessor, reason in RETIRED.items():
            if accessor.replace(".", "_").upper() == stem:
                return reason
    return None
