"""When a run installs what its project needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.runner.dependencies import INSTALLED, install_command, project_root
from penstock.settings import temporary_settings

WANTED = '[project]\nname = "p"\ndependencies = ["Penstock[postgres]>=0.1", "pandas"]\n'


@pytest.fixture(autouse=True)
def asked_for() -> Iterator[None]:
    with temporary_settings({"runner.auto_install_dependencies": True}):
        yield


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with a uv on it."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "uv").write_text("#!/bin/sh\n")
    (tools / "uv").chmod(0o755)
    return str(tools)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "flows").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(WANTED)
    return folder


def test_all_conditions_hold(project: Path, path: str) -> None:
    command, missing = install_command(project / "flows", "f.py:f", environment={"PATH": path})
    assert missing == ""
    assert command is not None
    assert command[1:] == [
        *("run", "--no-default-groups", "--project", str(project)),
        *("-m", "penstock.flow_engine", "f.py:f"),
    ]


def test_nothing_happens_unasked(project: Path, path: str) -> None:
    with temporary_settings({"runner.auto_install_dependencies": False}):
        assert install_command(project, "f.py:f", environment={"PATH": path}) == (None, "")
    environment = {"PATH": path, INSTALLED: "true"}
    assert install_command(project, "f.py:f", environment=environment) == (None, "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[project]\ndependencies = ['pandas']\n", "do not name penstock"),
        ("[tool.x]\n", "do not name penstock"),
        ("[project\n", "cannot be read"),
        (None, "there is no pyproject.toml"),
    ],
)
def test_the_condition_that_fails_is_named(
    project: Path, path: str, text: str | None, told: str
) -> None:
    file = project / "pyproject.toml"
    file.unlink() if text is None else file.write_text(text)
    command, missing = install_command(
        project, "f.py:f", workspace=project, environment={"PATH": path}
    )
    assert command is None
    assert told in missing


def test_uv_must_be_there(project: Path, tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path / "nothing")}
    assert install_command(project, "f.py:f", environment=environment)[1] == (
        "there is no uv on the PATH"
    )


def test_the_root_is_not_looked_for_above_the_workspace(project: Path) -> None:
    assert project_root(project / "flows") == project
    assert project_root(project / "flows", project / "flows") is None
    assert project_root(project / "flows", project) == project
