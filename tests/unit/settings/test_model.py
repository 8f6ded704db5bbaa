import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.schemas.errors import SettingsError
from penstock.settings import Secret, Settings, canonical_environment_prefix, load_settings, reveal
from penstock.settings.kinds import Boolean, Duration, Integer, Kind, Number, Text, TextSet
from penstock.settings.table import SETTINGS

Load = Callable[..., Settings]

WORDS = st.text("abcxyz019-_./: é", min_size=1, max_size=8).filter(lambda w: w == w.strip())
VALUES: dict[type[Kind], st.SearchStrategy[Any]] = {
    Boolean: st.booleans(),
    Integer: st.integers(30, 599),
    Number: st.floats(30, 3600),
    Duration: st.timedeltas(timedelta(seconds=3601), timedelta(days=999)),
    Text: WORDS,
    TextSet: st.frozensets(WORDS),
}
FREE = [
    s
    for s in SETTINGS.values()
    if type(s.kind) in VALUES
    and "protocol" not in s.accessor
    and s.accessor.split(".")[-1] not in ("test_mode", "unit_test_mode", "debug_mode", "db")
]
UPDATES = st.lists(st.sampled_from(FREE), unique=True, max_size=12).flatmap(
    lambda chosen: st.fixed_dictionaries({s.accessor: VALUES[type(s.kind)] for s in chosen})
)


def test_groups_are_read_by_attribute(load: Load) -> None:
    settings = load({"PENSTOCK_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "1m"})
    assert settings.server.services.late_runs.after_seconds == timedelta(minutes=1)
    assert settings.server is settings.server
    assert "port" in dir(settings.server.api)
    assert "api" in dir(settings)
    with pytest.raises(AttributeError, match=r"no setting 'server\.api\.prot'"):
        settings.server.api.prot  # noqa: B018


def test_settings_cannot_be_changed(load: Load) -> None:
    settings = load()
    for change in (
        lambda: setattr(settings, "home", Path("/x")),
        lambda: setattr(settings.server.api, "port", 1),
        lambda: delattr(settings.server, "api"),
    ):
        with pytest.raises(AttributeError, match="immutable"):
            change()
    assert settings.server.api.port == 4200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(UPDATES)
def test_variables_give_a_child_the_same_settings(tmp_path: Path, updates: dict[str, Any]) -> None:
    ours = Settings({}).copy_with_update({"home": tmp_path, **updates})
    variables = ours.to_environment_variables(exclude_unset=True)
    theirs = load_settings(environ={**variables, "PENSTOCK_PROFILE": "local"}, directory=tmp_path)
    for accessor in updates:
        assert theirs.value(accessor) == ours.value(accessor), accessor


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(UPDATES)
def test_pickles_are_equal_with_equal_keys(updates: dict[str, Any]) -> None:
    ours = Settings({}).copy_with_update(updates)
    theirs = pickle.loads(pickle.dumps(ours))
    assert theirs == ours
    assert theirs.hash_key() == ours.hash_key()
    assert hash(theirs) == hash(ours)


def test_the_key_tells_different_settings_apart(load: Load) -> None:
    settings = load()
    other = settings.copy_with_update({"api.url": "http://a/api"})
    assert other.hash_key() != settings.hash_key()
    assert other != settings
    assert other.copy_with_update(restore_defaults=["api.url"]).hash_key() == settings.hash_key()


def test_copies(load: Load) -> None:
    settings = load({"PENSTOCK_API_URL": "http://a/api"})
    copy = settings.copy_with_update(
        updates={"PREFECT_SERVER_API_PORT": 1},
        set_defaults={"api.url": "http://b/api", "server.api.host": "h"},
        restore_defaults=["PENSTOCK_HOME"],
    )
    assert copy.server.api.port == 1
    assert copy.api.url == "http://a/api", "a default does not replace what was given"
    assert copy.server.api.host == "h"
    assert copy.source("home") is None
    assert settings.server.api.port == 4200
    assert copy.profile_name == settings.profile_name
    with pytest.raises(SettingsError, match="no setting 'nonsense'"):
        settings.copy_with_update({"nonsense": 1})
    with pytest.raises(SettingsError, match="argument PENSTOCK_SERVER_API_PORT"):
        settings.copy_with_update({"server.api.port": "x"})


def test_variables_for_children(load: Load) -> None:
    settings = load({"PREFECT_API_KEY": "k", "PENSTOCK_UI_ENABLED": "no"})
    given = settings.to_environment_variables(exclude_unset=True)
    assert given["PENSTOCK_API_KEY"] == "k"
    assert given["PENSTOCK_SERVER_UI_ENABLED"] == "false"
    assert "PENSTOCK_SERVER_API_PORT" not in given
    everything = settings.to_environment_variables(include_secrets=False, include_aliases=True)
    assert everything["PENSTOCK_SERVER_API_PORT"] == "4200"
    assert everything["PREFECT_UI_ENABLED"] == "false"
    assert "k" not in everything.values()


def test_a_value_taken_away_stays_away_in_a_child(tmp_path: Path, load: Load) -> None:
    settings = load(profile="local").copy_with_update({"api.url": None})
    variables = settings.to_environment_variables(exclude_unset=True)
    child = load_settings(environ={**variables, "PENSTOCK_PROFILE": "local"}, directory=tmp_path)
    assert child.api.url is None


def test_secrets_do_not_show(load: Load) -> None:
    settings = load(
        {
            "PENSTOCK_API_AUTH_STRING": "u:s3cret",
            "PENSTOCK_SERVER_DATABASE_CONNECTION_URL": "postgresql://u:s3cret@h/d",
            "PENSTOCK_CLIENT_CUSTOM_HEADERS": '{"Authorization": "s3cret"}',
        }
    )
    shown = f"{settings!r} {settings.api.auth_string} {settings.api.auth_string!r} "
    shown += f"{settings.server.database.connection_url} {settings.document()}"
    assert "s3cret" not in shown
    assert settings.api.auth_string.get_secret_value() == "u:s3cret"


def test_the_document_is_nested_and_json(load: Load) -> None:
    import json

    document = load().document()
    assert document["server"]["api"]["port"] == 4200
    assert document["server"]["services"]["late_runs"]["after_seconds"] == 15.0
    assert document["server"]["services"]["db_vacuum"]["enabled"] == ["events"]
    assert json.loads(json.dumps(document)) == document


def test_secret() -> None:
    secret = Secret("abc")
    assert (str(secret), repr(secret)) == ("********", "Secret('********')")
    assert secret == Secret("abc") != Secret("abd")
    assert secret != "abc"
    assert len({secret, Secret("abc")}) == 1
    assert not Secret("")
    assert (reveal(secret), reveal("x"), reveal(None)) == ("abc", "x", None)


def test_the_prefix_of_a_groups_variables(load: Load) -> None:
    assert canonical_environment_prefix() == "PENSTOCK_"
    assert canonical_environment_prefix(load().server.api) == "PENSTOCK_SERVER_API_"
