"""What source tells of flows without being run."""

from pathlib import Path

import pytest

from penstock.deployments.project.source import (
    SourceMissing,
    flow_name_in,
    flows_below,
    function_in,
    locate,
)

SOURCE = """
import penstock, os
from penstock import flow
from elsewhere import imported
raise SystemExit("executed")

@flow
def plain_name(a, b=1, *, c, d=2): ...

@penstock.flow(name="Given", retries=2)
async def called(**anything): ...

@flow(name=os.environ["NAME"])
def computed(): ...

try:
    @flow
    def in_try(): ...
except ImportError:
    pass

class Group:
    @flow
    def method(self, x): ...
    @staticmethod
    @flow
    def static(x): ...

assigned = flow(print)
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "pack" / "flows.py"
    path.parent.mkdir()
    path.write_text(SOURCE)
    return path


def test_parameters_and_which_of_them_are_needed(module: Path) -> None:
    found = function_in(module, "plain_name")
    assert found is not None
    assert (found.name, found.parameters) == ("plain-name", ("a", "b", "c", "d"))
    assert found.required == ("a", "c")
    method = function_in(module, "Group.method")
    assert method is not None
    assert method.parameters == ("x",)
    static = function_in(module, "Group.static")
    assert static is not None
    assert static.parameters == ("x",)
    called = function_in(module, "called")
    assert called is not None
    assert called.parameters is None


def test_the_name_of_the_flow(module: Path) -> None:
    root = module.parents[1]
    assert flow_name_in(root, "pack/flows.py:plain_name") == "plain-name"
    assert flow_name_in(root, "pack.flows:called") == "Given"
    assert flow_name_in(root, "pack/flows.py:computed") is None
    assert flow_name_in(root, "pack/flows.py:gone") is None
    assert flow_name_in(root, "nonsense") is None
    assert flow_name_in(root, None) is None


def test_what_only_running_could_tell_is_not_decided(module: Path) -> None:
    assert function_in(module, "assigned") is None
    assert function_in(module, "imported") is None


def test_what_leads_nowhere_is_told(module: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="its flows are plain_name, called, computed, in_try"):
        function_in(module, "gone")
    with pytest.raises(SourceMissing, match="no class 'plain_name'"):
        function_in(module, "plain_name.x")
    with pytest.raises(SourceMissing, match=r"no file gone\.py"):
        locate(tmp_path, "gone.py:x")
    with pytest.raises(SourceMissing, match=r"no module gone\.away"):
        locate(tmp_path, "gone.away:x")
    module.write_text("def broken(:\n")
    with pytest.raises(SourceMissing, match="is no Python"):
        function_in(module, "x")


def test_the_flows_of_a_project_are_found(module: Path) -> None:
    root = module.parents[1]
    (root / ".hidden").mkdir()
    (root / ".hidden" / "a.py").write_text("@flow\ndef hidden(): ...\n")
    (root / "env-of-mine").mkdir()
    (root / "env-of-mine" / "pyvenv.cfg").write_text("")
    (root / "env-of-mine" / "b.py").write_text("@flow\ndef library(): ...\n")
    (root / "broken.py").write_text("def (")
    (root / "pack" / "loop").symlink_to(root)
    assert flows_below(root) == [
        "pack/flows.py:plain_name",
        "pack/flows.py:called",
        "pack/flows.py:computed",
    ]
