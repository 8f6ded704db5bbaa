"""The typed facade is what the operation table and the methods module say."""

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

from penstock.client.generated import AsyncMethods, SyncMethods
from penstock.schemas.operations import OPERATIONS

ROOT = Path(__file__).resolve().parents[3]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts/generate_client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_up_to_date():
    written = (ROOT / "src/penstock/client/generated.py").read_text()
    assert script().generated() == written, "run python scripts/generate_client.py"


def test_every_operation_has_a_method_in_both_clients():
    # These are reached under the names that the peer's client gives them.
    renamed = {"update_task_run"}
    for name in OPERATIONS.keys() - renamed:
        assert hasattr(SyncMethods, name), name
        assert inspect.iscoroutinefunction(getattr(AsyncMethods, name)), name


def test_both_clients_have_the_same_signatures():
    for name, method in inspect.getmembers(SyncMethods, inspect.isfunction):
        assert inspect.signature(method) == inspect.signature(getattr(AsyncMethods, name)), name
