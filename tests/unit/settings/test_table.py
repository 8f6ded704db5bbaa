from collections import Counter

import pytest

from penstock.settings.declaration import HomePath, Setting
from penstock.settings.table import RETIRED, SETTINGS, by_variable, find, retired


def test_every_variable_name_means_one_setting() -> None:
    names = Counter(name for setting in SETTINGS.values() for name in setting.names)
    assert [name for name, count in names.items() if count > 1] == []


def test_every_setting_has_a_line_that_says_what_it_does() -> None:
    assert [s.accessor for s in SETTINGS.values() if not s.doc.endswith(".")] == []


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda s: s.accessor)
def test_a_default_is_a_value_of_its_setting(setting: Setting) -> None:
    if isinstance(setting.default, HomePath) or setting.accessor == "home":
        return
    again = setting.kind.parse(setting.kind.render(setting.default))
    assert again == setting.default or (setting.default is None and setting.kind.optional)


def test_names_are_found_by_accessor_and_variable() -> None:
    expected = SETTINGS["server.api.port"]
    for key in ("server.api.port", "PENSTOCK_SERVER_API_PORT", "prefect_server_api_port"):
        assert find(key) is expected
    assert (
        find("PENSTOCK_API_DATABASE_CONNECTION_URL") is SETTINGS["server.database.connection_url"]
    )
    assert find("SERVER_API_PORT") is None
    assert find(object()) is None


def test_the_order_of_names_is_canonical_alias_peer_canonical_peer_alias() -> None:
    names = SETTINGS["server.database.host"].names
    assert names == (
        "PENSTOCK_SERVER_DATABASE_HOST",
        "PENSTOCK_API_DATABASE_HOST",
        "PREFECT_SERVER_DATABASE_HOST",
        "PREFECT_API_DATABASE_HOST",
    )
    ranks = [found[1] for name in names if (found := by_variable(name))]
    assert ranks == [0, 1, 2, 3]


def test_retired_settings_are_told_apart_from_unknown_ones() -> None:
    assert retired("PREFECT_CLOUD_API_URL") == "there is no hosted service"
    assert retired("PENSTOCK_SERVER_ANALYTICS_ENABLED") == "nothing is reported to anyone"
    assert retired("PREFECT_MESSAGING_CACHE") is not None
    assert retired("telemetry.enable_resource_metrics") is not None
    assert retired("PENSTOCK_NO_SUCH_THING") is None
    assert not set(RETIRED) & set(SETTINGS)


def test_secrets_are_those_that_hold_credentials() -> None:
    assert {s.accessor for s in SETTINGS.values() if s.is_secret} == {
        "api.auth_string",
        "api.key",
        "client.custom_headers",
        "redis.messaging.password",
        "redis.messaging.url",
        "redis.worker_cleanup_queue.password",
        "redis.worker_cleanup_queue.url",
        "server.api.auth_string",
        "server.database.connection_url",
        "server.database.password",
        "server.outbound.signing_key",
    }
