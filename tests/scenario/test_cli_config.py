"""Settings and profiles from the command line."""

import stat
from pathlib import Path

import pytest
from tests.cli_process import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    directory = tmp_path / "project"
    directory.mkdir()
    return Cli(tmp_path / "home", directory)


def test_a_value_is_set_seen_and_taken_out(cli: Cli) -> None:
    done = cli("config", "set", "PENSTOCK_API_URL=http://box/api", "PREFECT_UI_ENABLED=false")
    assert done.status == 0
    assert "Set PENSTOCK_API_URL to 'http://box/api' in profile 'ephemeral'." in done.out
    view = cli("config", "view").out
    assert "PENSTOCK_PROFILE=ephemeral\n" in view
    assert "PENSTOCK_API_URL=http://box/api  (from profile 'ephemeral')\n" in view
    assert "PENSTOCK_SERVER_UI_ENABLED=false" in view
    assert "PENSTOCK_SERVER_API_PORT" not in view
    done = cli("config", "unset", "api.url", "--yes")
    assert "Took PENSTOCK_API_URL out of profile 'ephemeral'." in done.out
    assert "PENSTOCK_API_URL" not in cli("config", "view").out


def test_several_views(cli: Cli) -> None:
    cli("config", "set", "PENSTOCK_API_KEY=s3cret")
    assert "PENSTOCK_API_KEY=********" in cli("config", "view").out
    assert "PENSTOCK_API_KEY=s3cret" in cli("config", "view", "--show-secrets").out
    document = cli("config", "view", "--show-defaults", "--output", "json").json
    assert document["PENSTOCK_SERVER_API_PORT"] == {"value": "4200", "source": "defaults"}
    assert document["PENSTOCK_API_KEY"]["value"] == "********"
    plain = cli("config", "view", "--hide-sources", "-o", "json").json
    assert plain["PENSTOCK_API_KEY"] == "********"
    assert "(from" not in cli("config", "view", "--hide-sources").out
    shown = cli("config", "view", PENSTOCK_SERVER_API_PORT="1").out
    assert "PENSTOCK_SERVER_API_PORT=1  (from env)" in shown


def test_the_environment_is_said_to_win(cli: Cli) -> None:
    done = cli("config", "set", "PENSTOCK_API_URL=x", PREFECT_API_URL="y")
    assert done.status == 0
    assert "environment variable PREFECT_API_URL wins over profile 'ephemeral'" in done.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("set", "PENSTOCK_SERVER_API_PORT=many"), "has the value 'many'"),
        (("set", "PENSTOCK_NONSENSE=1"), "there is no setting 'PENSTOCK_NONSENSE'"),
        (("set", "PREFECT_CLOUD_API_URL=1"), "has no effect in Penstock: there is no hosted"),
        (("set", "PENSTOCK_API_URL"), "is not of the form NAME=VALUE"),
        (("set", "PENSTOCK_HOME=/x"), "a profile cannot hold it"),
        (("unset", "PENSTOCK_API_URL", "-y"), "is not set in profile 'ephemeral'"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    cli: Cli, arguments: tuple[str, ...], reason: str
) -> None:
    done = cli("config", *arguments)
    assert done.status == 1
    assert done.out == ""
    assert reason in done.err
    assert not (cli.home / "profiles.toml").exists()


def test_nobody_is_asked_where_nobody_is(cli: Cli) -> None:
    cli("config", "set", "PENSTOCK_API_URL=x")
    done = cli("config", "unset", "PENSTOCK_API_URL")
    assert done.status == 1
    assert "Repeat with --yes." in done.err
    assert "PENSTOCK_API_URL" in cli("config", "view").out


def test_the_prompt_option_asks_anyway(cli: Cli) -> None:
    cli("config", "set", "PENSTOCK_API_URL=x")
    refused = cli("--prompt", "config", "unset", "PENSTOCK_API_URL", answer="n\n")
    assert (refused.status, refused.err) == (1, "Error: nothing was changed\n")
    assert cli("--prompt", "config", "unset", "PENSTOCK_API_URL", answer="y\n").status == 0
    assert "PENSTOCK_API_URL" not in cli("config", "view").out


def test_all_sources_are_checked(cli: Cli) -> None:
    assert cli("config", "validate").out == "All settings are valid.\n"
    (cli.directory / ".env").write_text("PENSTOCK_SERVER_API_PORT=many\n")
    (cli.directory / "penstock.toml").write_text("[server]\nnonsense = 1\n")
    done = cli("config", "validate", PREFECT_CLOUD_API_URL="x", PENSTOCK_SERVER_API_PORT="1")
    assert done.status == 1
    assert "PENSTOCK_SERVER_API_PORT in .env" in done.err, "an overridden value counts, too"
    assert "server.nonsense in penstock.toml is no setting and is ignored" in done.err
    assert "PREFECT_CLOUD_API_URL has no effect: there is no hosted service" in done.err


def test_profiles_from_birth_to_death(cli: Cli) -> None:
    assert [p["name"] for p in cli("profile", "ls", "-o", "json").json] == [
        "ephemeral",
        "local",
        "test",
    ]
    assert "Made profile 'work'" in cli("profile", "create", "work", "--from", "local").out
    assert cli("profile", "use", "work").out == "Profile 'work' is active.\n"
    assert cli("profile", "inspect").out == "PENSTOCK_API_URL=http://127.0.0.1:4200/api\n"
    assert (
        cli("config", "view", "-o", "json").json["PENSTOCK_API_URL"]["source"] == "profile 'work'"
    )
    refused = cli("profile", "delete", "work")
    assert refused.status == 1
    assert "is active" in refused.err
    assert "Renamed" in cli("profile", "rename", "--name", "work", "--new-name", "job").out
    active = [p["name"] for p in cli("profile", "ls", "-o", "json").json if p["active"]]
    assert active == ["job"]
    cli("profile", "use", "local")
    assert cli("profile", "delete", "job").out == "Removed profile 'job'.\n"
    assert cli("profile", "inspect", "job").status == 1
    mode = (cli.home / "profiles.toml").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("create", "local"), "already is a profile 'local'"),
        (("create", "new", "--from", "gone"), "there is no profile 'gone'"),
        (("use", "gone"), "there are: ephemeral, local, test"),
        (("delete", "local"), "built in"),
        (("rename", "local", "new"), "built in"),
        (("inspect", "gone"), "there is no profile 'gone'"),
    ],
)
def test_what_profiles_refuse(cli: Cli, arguments: tuple[str, ...], reason: str) -> None:
    done = cli("profile", *arguments)
    assert done.status == 1
    assert reason in done.err


def test_a_variable_that_still_chooses_is_told(cli: Cli) -> None:
    done = cli("profile", "use", "local", PENSTOCK_PROFILE="test")
    assert done.status == 0
    assert "environment variable PENSTOCK_PROFILE still chooses 'test'" in done.err


def test_secrets_of_a_profile_stay_hidden(cli: Cli) -> None:
    cli("config", "set", "PENSTOCK_API_AUTH_STRING=u:s3cret")
    assert "s3cret" not in cli("profile", "inspect").out
    assert "s3cret" not in cli("profile", "inspect", "-o", "json").out
    assert "u:s3cret" in (cli.home / "profiles.toml").read_text()


def test_a_broken_profiles_file_does_not_stop_everything(cli: Cli) -> None:
    cli.home.mkdir()
    (cli.home / "profiles.toml").write_text("[")
    viewed = cli("config", "view")
    assert viewed.status == 0
    assert "profiles are ignored" in viewed.err
    changed = cli("config", "set", "PENSTOCK_API_URL=x")
    assert changed.status == 1
    assert "repair or remove it" in changed.err
    assert (cli.home / "profiles.toml").read_text() == "["


def test_a_wrong_value_in_a_profile_can_be_put_right(cli: Cli) -> None:
    cli.home.mkdir()
    (cli.home / "profiles.toml").write_text(
        '[profiles.ephemeral]\nPENSTOCK_SERVER_API_PORT = "many"\n'
    )
    assert cli("config", "view").status == 1
    assert "profile 'ephemeral'" in cli("config", "validate").err
    assert cli("config", "unset", "PENSTOCK_SERVER_API_PORT", "--yes").status == 0
    assert cli("config", "view").status == 0
