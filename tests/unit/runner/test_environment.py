"""What a child process gets of its parent's environment."""

import os
import sys
import sysconfig
from pathlib import Path

import pytest

from penstock.runner.environment import (
    child_environment,
    filtered_python_path,
    is_standard_library,
    run_variables,
)

STDLIB = sysconfig.get_path("stdlib")
ARCHIVE = f"python{sys.version_info.major}{sys.version_info.minor}.zip"


@pytest.mark.parametrize(
    "path",
    [STDLIB, f"{STDLIB}/lib-dynload", f"{STDLIB}/json", str(Path(STDLIB).parent / ARCHIVE)],
)
def test_the_standard_library_is_left_out(path: str) -> None:
    assert is_standard_library(path)
    assert filtered_python_path([path]) == []


@pytest.mark.parametrize("key", ["purelib", "platlib"])
def test_installed_packages_stay_although_they_lie_below_it(key: str) -> None:
    path = sysconfig.get_path(key)
    assert filtered_python_path([path, f"{path}/inner"]) == [path, f"{path}/inner"]


def test_paths_become_absolute_and_come_once(tmp_path: Path) -> None:
    found = filtered_python_path(["", "lib", "../x", str(tmp_path / "lib"), "/a"], tmp_path)
    assert found == [str(tmp_path), str(tmp_path / "lib"), str(tmp_path.parent / "x"), "/a"]


def test_later_layers_win_and_null_removes() -> None:
    environment = child_environment(
        {"A": "layer", "B": None},
        {"C": "last", "A": "last"},
        parent={"A": "parent", "B": "parent", "D": "parent"},
        settings={"C": "setting", "E": "setting"},
    )
    assert environment == {"A": "last", "C": "last", "D": "parent", "E": "setting"}


def test_a_run_inside_a_run_does_not_take_its_parent_for_itself() -> None:
    parent = {"PREFECT__FLOW_RUN_ID": "outer", "PENSTOCK__CLAIM": "3", "HOME": "/h"}
    environment = child_environment(
        run_variables(flow_run_id="inner", worker_id=None), parent=parent, settings={}
    )
    assert environment == {
        "HOME": "/h",
        "PREFECT__FLOW_RUN_ID": "inner",
        "PENSTOCK__FLOW_RUN_ID": "inner",
    }


def test_the_python_path_of_a_child_is_clean(tmp_path: Path) -> None:
    parent = {"PYTHONPATH": os.pathsep.join([STDLIB, "own", "/other"])}
    environment = child_environment(parent=parent, settings={}, working_directory=tmp_path)
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(Path.cwd() / "own"), "/other"]
    asked_for = {"PYTHONPATH": os.pathsep.join(["own", STDLIB])}
    environment = child_environment(
        asked_for, parent=parent, settings={}, working_directory=tmp_path
    )
    assert environment["PYTHONPATH"] == str(tmp_path / "own")
    only_library = {"PYTHONPATH": STDLIB}
    assert "PYTHONPATH" not in child_environment(parent=only_library, settings={})
