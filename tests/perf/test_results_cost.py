"""Cache keys, transactions and results stay within their processor budgets."""

import gc
from collections.abc import Callable
from pathlib import Path
from time import process_time
from types import SimpleNamespace
from uuid import UUID

import pytest

from penstock.cache_policies import DEFAULT
from penstock.filesystems import WritableFileSystem
from penstock.results import ResultStore
from penstock.states import Completed, state_to_wire, value_state
from penstock.transactions import Transaction

CALLS = 500


def cost(call: Callable[[], object]) -> float:
    """Microseconds of one call: the best of several batches, because others that use the machine
    only make it slower."""
    call()
    costs = []
    for _ in range(8):
        gc.collect()
        before = process_time()
        for _ in range(CALLS):
            call()
        costs.append((process_time() - before) / CALLS * 1_000_000)
    return min(costs)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(result_storage=tmp_path)


def test_the_default_key_of_a_small_task() -> None:
    context = SimpleNamespace(
        task=SimpleNamespace(source_code="def add(a, b):\n    return a + b\n", fn=None),
        task_run=SimpleNamespace(id=UUID(int=1), flow_run_id=UUID(int=2)),
    )
    assert cost(lambda: DEFAULT.compute_key(context, {"a": 1, "b": "two"}, {})) < 40


def test_a_transaction_that_keeps_nothing() -> None:
    def run() -> None:
        with Transaction() as txn:
            txn.stage(1)

    assert cost(run) < 20


def test_a_cache_hit_in_memory_and_on_disk(store: ResultStore) -> None:
    store.write({"a": 1}, key="k")

    def hit(of: ResultStore) -> None:
        with Transaction(key="k", store=of) as txn:
            record = txn.read()
            assert record is not None
            assert record.result == {"a": 1}

    assert cost(lambda: hit(store)) < 80
    cold = store.model_copy(update={"cache_result_in_memory": False})
    assert cost(lambda: hit(cold)) < 160


def test_the_state_of_a_value_that_is_not_kept(store: ResultStore) -> None:
    assert cost(lambda: value_state(1, store)) < 30
    state = Completed(data=value_state(1, store).data)
    assert cost(lambda: state_to_wire(state)) < 10


class Memory(WritableFileSystem):
    """Keeps files in memory: what a file system costs depends on the machine, not on us."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def read_path(self, path: str) -> bytes:
        return self.kept[path]

    def write_path(self, path: str, content: bytes) -> None:
        self.kept[path] = content


def test_keeping_a_small_result_beside_what_the_file_system_costs() -> None:
    store = ResultStore(result_storage=Memory())
    numbers = iter(range(1_000_000))
    assert cost(lambda: store.write(1, key=f"k{next(numbers)}")) < 150
