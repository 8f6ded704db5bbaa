import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.schemas.errors import MissingProfileError, SettingsError
from penstock.settings import Settings, SettingsWarning
from penstock.settings.loading import load_collection, load_settings, read_layers

Load = Callable[..., Settings]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Sources:
    """Gives `server.api.port` a different value in each chosen source."""

    ORDER = (
        "argument",
        "PENSTOCK_SERVER_API_PORT",
        "PREFECT_SERVER_API_PORT",
        ".env",
        "penstock.toml",
        "prefect.toml",
        "pyproject [tool.penstock]",
        "pyproject [tool.prefect]",
        "profile",
        "default",
    )

    def __init__(self, directory: Path, load: Load) -> None:
        self.directory = directory
        self.load = load

    def port_with(self, *names: str) -> int:
        port = {name: 5000 + number for number, name in enumerate(self.ORDER)}
        environ = {name: str(port[name]) for name in names if name.isupper()}
        tool = {"pyproject [tool.penstock]": "penstock", "pyproject [tool.prefect]": "prefect"}
        project = ""
        for name in names:
            line = f"port = {port[name]}\n"
            if name == ".env":
                write(self.directory / ".env", f"PENSTOCK_SERVER_API_PORT={port[name]}\n")
            elif name.endswith(".toml"):
                write(self.directory / name, f"[server.api]\n{line}")
            elif name in tool:
                project += f"[tool.{tool[name]}.server.api]\n{line}"
            elif name == "profile":
                write(
                    self.directory / "home" / "profiles.toml",
                    f'active = "mine"\n[profiles.mine]\nPENSTOCK_SERVER_API_PORT = {port[name]}\n',
                )
        if project:
            write(self.directory / "pyproject.toml", project)
        arguments = {"server.api.port": port["argument"]} if "argument" in names else None
        return self.load(environ, arguments=arguments).server.api.port - 5000


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [pair for pair in itertools.combinations(Sources.ORDER, 2) if pair[1] != "default"],
)
def test_the_stronger_source_wins(stronger: str, weaker: str, tmp_path: Path, load: Load) -> None:
    port = Sources(tmp_path, load).port_with(stronger, weaker)
    assert Sources.ORDER[port] == stronger


@pytest.mark.parametrize("source", Sources.ORDER[:-1])
def test_each_source_beats_the_default(source: str, tmp_path: Path, load: Load) -> None:
    assert Sources.ORDER[Sources(tmp_path, load).port_with(source)] == source


def test_the_default_is_used_without_any_source(load: Load) -> None:
    settings = load()
    assert settings.server.api.port == 4200
    assert settings.source("server.api.port") is None


def test_a_canonical_name_beats_an_alias_and_case_does_not_matter(load: Load) -> None:
    settings = load(
        {"PENSTOCK_API_DATABASE_HOST": "alias", "penstock_server_database_host": "canonical"}
    )
    assert settings.server.database.host == "canonical"
    assert load({"prefect_ui_enabled": "false"}).server.ui.enabled is False


def test_an_empty_variable_is_not_set_unless_nothing_is_a_value(load: Load) -> None:
    settings = load(
        {"PENSTOCK_SERVER_API_PORT": "", "PENSTOCK_API_URL": "", "PENSTOCK_SERVER_API_HOST": ""},
        profile="local",
    )
    assert settings.server.api.port == 4200
    assert settings.server.api.host == "127.0.0.1"
    assert settings.api.url is None, "an empty variable takes the profile's address away"


def test_an_env_file_may_have_comments_quotes_and_exports(tmp_path: Path, load: Load) -> None:
    write(
        tmp_path / ".env",
        "# comment\n"
        "export PENSTOCK_API_URL='http://a/api'  # the server\n"
        'PENSTOCK_API_KEY="k # y"\n'
        "PENSTOCK_LOGGING_LEVEL=WARNING # quieter\n"
        "OTHER=ignored\n"
        "no assignment\n",
    )
    settings = load()
    assert settings.api.url == "http://a/api"
    assert settings.api.key.get_secret_value() == "k # y"
    assert settings.logging.level == "WARNING"


@pytest.mark.parametrize("name", ["penstock.toml", "prefect.toml", "pyproject.toml"])
def test_a_broken_project_file_is_an_error_that_names_it(
    name: str, tmp_path: Path, load: Load
) -> None:
    write(tmp_path / name, "penstock = [")
    with pytest.raises(SettingsError, match=name):
        load()


def test_a_pyproject_without_the_tools_is_not_parsed(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "pyproject.toml", "not toml [")
    assert load().server.api.port == 4200


def test_unknown_names_are_ignored(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "penstock.toml", "[server]\nnonsense = 1\n[cloud]\napi_url = 'x'\n")
    load({"PREFECT_CLOUD_API_URL": "x", "PENSTOCK_NONSENSE": "y"})


def test_the_old_place_of_plugins_counts_less(tmp_path: Path, load: Load) -> None:
    write(
        tmp_path / "penstock.toml",
        "[experiments.plugins]\nenabled = true\nstrict = true\n[plugins]\nstrict = false\n",
    )
    assert load().plugins.enabled is True
    assert load().plugins.strict is False


def test_the_error_names_setting_source_value_and_what_is_allowed(load: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"PREFECT_SERVER_API_PORT": "many", "PENSTOCK_API_ENABLE_HTTP2": "perhaps"})
    message = str(caught.value)
    assert "setting server.api.port has the value 'many'" in message
    assert "environment variable PREFECT_SERVER_API_PORT" in message
    assert "allowed is a whole number of at least 0 and at most 65535" in message
    assert "api.enable_http2" in message, "every wrong value is named, not only the first"


def test_the_error_does_not_show_a_secret(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "penstock.toml", "[api]\nkey = ['s3cret']\n")
    with pytest.raises(SettingsError) as caught:
        load()
    assert "s3cret" not in str(caught.value)
    assert "penstock.toml" in str(caught.value)


# --- profiles ---


def test_the_built_in_profile_allows_the_embedded_server(load: Load) -> None:
    settings = load()
    assert settings.profile_name == "ephemeral"
    assert settings.server.ephemeral.enabled is True


def test_a_variable_chooses_the_profile(load: Load) -> None:
    assert load({"PENSTOCK_PROFILE": "local"}).api.url == "http://127.0.0.1:4200/api"
    both = load({"PREFECT_PROFILE": "local", "PENSTOCK_PROFILE": "test"})
    assert both.profile_name == "test"


def test_a_missing_profile_is_an_error_that_lists_the_others(load: Load) -> None:
    with pytest.raises(MissingProfileError, match=r"'gone'.*ephemeral, local, test"):
        load({"PENSTOCK_PROFILE": "gone"})


def test_a_missing_active_profile_is_only_a_warning(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "home" / "profiles.toml", 'active = "gone"\n')
    with pytest.warns(SettingsWarning, match="'gone' does not exist"):
        assert load().profile_name == "ephemeral"


def test_a_broken_profiles_file_is_only_a_warning(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "home" / "profiles.toml", "[")
    with pytest.warns(SettingsWarning, match=r"profiles\.toml"):
        assert load().profile_name == "ephemeral"


def test_the_profiles_file_can_be_elsewhere(tmp_path: Path, load: Load) -> None:
    text = '[profiles.local]\nPREFECT_API_URL = "http://other/api"\n'
    write(tmp_path / "elsewhere.toml", text)
    settings = load(
        {"PENSTOCK_PROFILES_PATH": str(tmp_path / "elsewhere.toml"), "PENSTOCK_PROFILE": "local"}
    )
    assert settings.api.url == "http://other/api"


def test_the_profiles_path_may_name_the_home(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "home" / "p.toml", "[profiles.x]\nPENSTOCK_SERVER_API_PORT = 1\n")
    settings = load({"PENSTOCK_PROFILES_PATH": "$PENSTOCK_HOME/p.toml", "PENSTOCK_PROFILE": "x"})
    assert settings.server.api.port == 1
    assert settings.profiles_path == tmp_path / "home" / "p.toml"


@pytest.mark.parametrize(
    "variable",
    [
        "PENSTOCK_TEST_MODE",
        "PREFECT_UNIT_TEST_MODE",
        "PENSTOCK_TESTING_TEST_MODE",
        "PREFECT_TESTING_UNIT_TEST_MODE",
    ],
)
def test_test_mode_ignores_profiles(variable: str, load: Load) -> None:
    settings = load({variable: "1", "PENSTOCK_PROFILE": "local"})
    assert settings.profile_name is None
    assert settings.api.url is None


# --- values that follow from others ---


def test_the_home_moves_every_default_path(load: Load) -> None:
    settings = load({"PENSTOCK_HOME": "/elsewhere"})
    assert settings.profiles_path == Path("/elsewhere/profiles.toml")
    assert settings.logging.config_path == Path("/elsewhere/logging.yml")
    assert settings.results.local_storage_path == Path("/elsewhere/storage")
    assert settings.server.memo_store_path == Path("/elsewhere/memo_store.toml")
    url = settings.server.database.connection_url.get_secret_value()
    assert url == "sqlite:////elsewhere/penstock.db"


def test_the_home_defaults_to_a_hidden_directory_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/users/u")
    assert load_settings(environ={}, directory=tmp_path).home == Path("/users/u/.penstock")


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        (
            {"PENSTOCK_SERVER_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:///x.db"},
            "sqlite+aiosqlite:///x.db",
        ),
        (
            {"PENSTOCK_API_DATABASE_CONNECTION_URL": "sqlite:///${PREFECT_HOME}/x.db"},
            "sqlite:////h/x.db",
        ),
        (
            {
                "PREFECT_API_DATABASE_CONNECTION_URL": (
                    "postgresql+asyncpg://u:${PREFECT_API_DATABASE_PASSWORD}@h/d"
                ),
                "PENSTOCK_SERVER_DATABASE_PASSWORD": "a/b@c",
            },
            "postgresql+asyncpg://u:a%2Fb%40c@h/d",
        ),
        ({"PENSTOCK_SERVER_DATABASE_NAME": "/data/p.db"}, "sqlite:////data/p.db"),
        (
            {
                "PENSTOCK_SERVER_DATABASE_DRIVER": "postgresql+asyncpg",
                "PENSTOCK_SERVER_DATABASE_HOST": "db",
                "PENSTOCK_SERVER_DATABASE_USER": "u@x",
                "PENSTOCK_SERVER_DATABASE_NAME": "n",
                "PENSTOCK_SERVER_DATABASE_PASSWORD": "p:w",
            },
            "postgresql+asyncpg://u%40x:p%3Aw@db:5432/n",
        ),
    ],
)
def test_the_database_url(environ: dict[str, str], url: str, load: Load) -> None:
    settings = load({"PENSTOCK_HOME": "/h", **environ})
    assert settings.server.database.connection_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"PENSTOCK_SERVER_DATABASE_DRIVER": "postgresql"}, r"host, server\.database\.user"),
        (
            {"PENSTOCK_SERVER_DATABASE_CONNECTION_URL": "mysql://u:s3cret@h/d"},
            "begins with 'mysql'",
        ),
        (
            {
                "PENSTOCK_SERVER_DATABASE_CONNECTION_URL": (
                    "postgresql://u:${PENSTOCK_SERVER_DATABASE_PASSWORD}@h/d"
                )
            },
            "no password is set",
        ),
    ],
)
def test_a_database_that_cannot_be_named(environ: dict[str, str], reason: str, load: Load) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        load(environ)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("variable", ["PENSTOCK_DEBUG_MODE", "PENSTOCK_TEST_MODE"])
def test_debug_and_test_mode_log_everything(variable: str, load: Load) -> None:
    settings = load({variable: "true", "PENSTOCK_LOGGING_LEVEL": "ERROR"})
    assert settings.logging.level == "DEBUG"
    assert settings.internal.logging_level == "DEBUG"


@pytest.mark.parametrize(
    ("api", "ui"),
    [
        ("http://h:4200/api", "http://h:4200"),
        ("https://h/base/api/", "https://h/base"),
        ("http://h/x", "http://h/x"),
    ],
)
def test_the_ui_address_follows_from_the_api_address(api: str, ui: str, load: Load) -> None:
    settings = load({"PENSTOCK_API_URL": api})
    assert settings.ui_url == ui
    assert load({"PENSTOCK_API_URL": api, "PENSTOCK_UI_URL": "http://u"}).ui_url == "http://u"


def test_the_ui_calls_the_servers_own_api_by_default(load: Load) -> None:
    settings = load({"PENSTOCK_SERVER_API_PORT": "1234", "PENSTOCK_SERVER_API_BASE_PATH": "/p"})
    assert settings.server.ui.api_url == "http://127.0.0.1:1234/p"


def test_certificates_come_from_the_usual_variable(load: Load) -> None:
    assert load({"SSL_CERT_FILE": "/c.pem"}).api.ssl_cert_file == "/c.pem"
    both = load({"SSL_CERT_FILE": "/c.pem", "PENSTOCK_API_SSL_CERT_FILE": "/d.pem"})
    assert both.api.ssl_cert_file == "/d.pem"


# --- arguments ---


def test_arguments_may_be_nested_named_or_dotted(load: Load) -> None:
    for arguments in (
        {"server": {"api": {"port": 1}}},
        {"server.api.port": 1},
        {"PENSTOCK_SERVER_API_PORT": "1"},
    ):
        assert load(arguments=arguments).server.api.port == 1
    with pytest.raises(SettingsError, match=r"no setting 'server\.nonsense'"):
        load(arguments={"server.nonsense": 1})


def test_a_vanished_working_directory_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load_settings(environ={"PENSTOCK_HOME": "/h"}).server.api.port == 4200
    monkeypatch.chdir(tmp_path)


def test_all_values_of_all_sources_can_be_listed(tmp_path: Path) -> None:
    write(tmp_path / ".env", "PENSTOCK_API_URL=x\n")
    write(tmp_path / "penstock.toml", "[server]\nnonsense = 1\n[server.api]\nport = 'p'\n")
    write(tmp_path / "home" / "profiles.toml", "[profiles.ephemeral]\nODD = 1\n")
    environ = {
        "PENSTOCK_HOME": str(tmp_path / "home"),
        "PREFECT_API_URL": "y",
        "PATH": "z",
        "PENSTOCK_PROFILE": "ephemeral",
        "PENSTOCK__FLOW_RUN_ID": "1",
        "PREFECT_LOGGING_LOGGERS_ROOT_LEVEL": "INFO",
        "PENSTOCK_API_URI": "typo",
        "PENSTOCK_SERVER_API_PORT": "",
    }
    layers = [(g.key, g.raw, s is not None) for g, s in read_layers(environ, tmp_path)]
    assert layers == [
        ("PENSTOCK_HOME", str(tmp_path / "home"), True),
        ("PREFECT_API_URL", "y", True),
        ("PENSTOCK_API_URI", "typo", False),
        ("PENSTOCK_API_URL", "x", True),
        ("server.nonsense", 1, False),
        ("server.api.port", "p", True),
        ("ODD", 1, False),
    ]


def test_the_profiles_file_is_known_before_it_exists(tmp_path: Path) -> None:
    profiles, path = load_collection({"PENSTOCK_HOME": str(tmp_path)}, tmp_path)
    assert path == tmp_path / "profiles.toml"
    assert profiles.names == {"ephemeral", "local", "test"}
    assert (
        load_collection({"PENSTOCK_HOME": str(tmp_path)}, tmp_path, built_in=False)[0].names
        == set()
    )


def test_files_that_cannot_be_read_are_named(tmp_path: Path, load: Load) -> None:
    (tmp_path / ".env").write_bytes(b"PENSTOCK_API_URL=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env cannot be read"):
        load()
    (tmp_path / ".env").unlink()
    (tmp_path / "penstock.toml").symlink_to(tmp_path / "penstock.toml")
    with pytest.raises(SettingsError, match=r"penstock\.toml cannot be read"):
        load()


def test_a_profiles_file_with_other_things_in_it(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "home" / "profiles.toml", "active = 1\nprofiles = 2\n")
    assert load().profile_name == "ephemeral"
    write(tmp_path / "home" / "profiles.toml", "[profiles]\nodd = 1\n[profiles.x]\n")
    assert load({"PENSTOCK_PROFILE": "x"}).profile_name == "x"


def test_directories_in_place_of_files_are_no_files(tmp_path: Path, load: Load) -> None:
    for name in (".env", "penstock.toml", "pyproject.toml"):
        (tmp_path / name).mkdir()
    assert load().server.api.port == 4200
