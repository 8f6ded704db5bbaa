"""The root command, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli_process import Cli

from penstock.base.version import VERSION

SCRIPT = """
import json, sys
from penstock.cli.main import main
sys.argv = ["penstock", "--help"]
sys.stdout, stdout = open("/dev/null", "w"), sys.stdout
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=stdout)
"""
HEAVY = ("rich", "pydantic", "msgspec", "urllib3", "asyncio", "starlette", "uvicorn", "tomllib")
OWN_MODULES = 12
"""Modules of Penstock that showing the help may load."""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home", tmp_path)


def test_help_lists_every_command(cli: Cli) -> None:
    done = cli("--help")
    assert done.status == 0
    for name in ("config", "flow", "flow-run", "profile", "server", "task-run", "version"):
        assert f"\n  {name} " in done.out


def test_help_loads_no_command_and_little_else(cli: Cli) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=cli.environment({}), check=True, capture_output=True
    )
    loaded = set(json.loads(done.stdout))
    assert not loaded & set(HEAVY)
    own = {name for name in loaded if name.startswith("penstock")}
    assert not [m for m in own if m.startswith(("penstock.server", "penstock.client"))]
    assert len(own) <= OWN_MODULES


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_the_bare_version(cli: Cli, flag: str) -> None:
    assert cli(flag) == (0, f"{VERSION}\n", "")


def test_versions(cli: Cli) -> None:
    facts = cli("version", "-o", "json").json
    assert facts["version"] == VERSION
    assert facts["server"]["database"] == "sqlite"
    assert "integrations" in facts
    assert "integrations" not in cli("version", "--omit-integrations", "-o", "json").json
    text = cli("version").out
    assert f"Version:             {VERSION}" in text
    assert "Profile:             ephemeral" in text


def test_an_unknown_command_is_wrong_usage_and_lists_the_known(cli: Cli) -> None:
    done = cli("flowrun")
    assert done.status == 2
    assert done.out == ""
    assert "there is no command 'flowrun'; there are: " in done.err
    assert "config" in done.err and "flow-run" in done.err


def test_a_plural_is_understood(cli: Cli) -> None:
    assert cli("profiles", "ls").out == cli("profile", "ls").out


@pytest.mark.parametrize(
    "arguments", [("profile", "use"), ("config", "set"), ("flow-run", "inspect", "no-uuid")]
)
def test_wrong_usage_ends_with_status_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments)
    assert done.status == 2
    assert "Usage: penstock" in done.err


def test_the_profile_option_names_a_profile(cli: Cli) -> None:
    assert "http://127.0.0.1:4200/api" in cli("-p", "local", "config", "view").out
    done = cli("--profile", "gone", "config", "view")
    assert done.status == 1
    assert "there is no profile 'gone'" in done.err


def test_a_wrong_setting_is_one_line_not_a_traceback(cli: Cli) -> None:
    done = cli("version", PENSTOCK_SERVER_API_PORT="many")
    assert done.status == 1
    assert done.err.startswith("Error: setting server.api.port has the value 'many'")
    assert done.err.count("\n") == 1


def test_a_reader_that_leaves_is_not_bothered(cli: Cli) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "penstock", "config", "view", "--show-defaults"],
            env=cli.environment({"PYTHONUNBUFFERED": "1"}),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert done.stderr == ""
