"""The code of the how-to guides does what the guides say."""

import importlib.util
import re
import sys
import threading
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from types import ModuleType

import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock import pause_flow_run, resume_flow_run
from penstock.locking.filesystem import FileSystemLockManager

GUIDES = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path_factory.mktemp("home")) as api:
        yield api


def code_of(guide: str, directory: Path, *, blocks: int) -> ModuleType:
    """The first `blocks` code blocks of a guide, imported as one module from `directory`."""
    found = re.findall(r"```python\n(.*?)```", (GUIDES / guide).read_text(), re.DOTALL)
    assert len(found) >= blocks
    path = directory / f"guide_{guide.replace('-', '_').removesuffix('.md')}.py"
    path.write_text("\n".join(found[:blocks]))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_results_and_caching(
    api: EmbeddedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    guide = code_of("results-and-caching.md", tmp_path, blocks=2)
    assert guide.report() == 2
    assert guide.report() == 2
    newest, first = api.flow_runs("report")[:2]
    assert [run.state_name for run in api.task_runs(first)] == ["Completed"]
    assert [run.state_name for run in api.task_runs(newest)] == ["Cached"]
    assert guide.policy.lock_manager == FileSystemLockManager(tmp_path / "locks")


def test_transactions(api: EmbeddedApi, tmp_path: Path) -> None:
    guide = code_of("transactions.md", tmp_path, blocks=1)
    with pytest.raises(ValueError, match="not finished"):
        guide.publish(tmp_path / "page")
    assert not (tmp_path / "page").exists()
    states = [run.state_name for run in api.task_runs(api.flow_run("publish"))]
    assert states == ["RolledBack", "Failed"]


def test_pauses(api: EmbeddedApi, tmp_path: Path) -> None:
    guide = code_of("pauses.md", tmp_path, blocks=1)
    vars(guide)["pause_flow_run"] = lambda **options: pause_flow_run(poll_interval=0.02, **options)
    results: list[str] = []
    thread = threading.Thread(
        target=copy_context().run, args=(lambda: results.append(guide.release()),)
    )
    thread.start()
    while not [run for run in api.flow_runs() if run.state_name == "Paused"]:
        threading.Event().wait(0.02)
    run = api.flow_run("release")
    description = api.client.call("read_flow_run_input", run.id, "paused-1-description")
    assert description == '"Release **v2**?"'
    resume_flow_run(run.id, run_input={"ok": True, "note": "fine"})
    thread.join(30)
    assert results == ["fine"]
