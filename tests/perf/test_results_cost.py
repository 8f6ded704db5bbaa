"""Cache keys, transactions and results stay within their budgets of Python calls.

What they cost in time is measured by `benchmarks/costs.py`.
"""

from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from tests.perf.calls import python_calls

from penstock.cache_policies import DEFAULT
from penstock.results import ResultStore
from penstock.states import Completed, state_to_wire, value_state
from penstock.transactions import Transaction


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(result_storage=tmp_path)


def test_the_default_key_of_a_small_task() -> None:
    context = SimpleNamespace(
        task=SimpleNamespace(source_code="def add(a, b):\n    return a + b\n", fn=None),
        task_run=SimpleNamespace(id=UUID(int=1), flow_run_id=UUID(int=2)),
    )
    assert python_calls(lambda: DEFAULT.compute_key(context, {"a": 1, "b": "two"}, {})) <= 40


def test_a_transaction_that_keeps_nothing() -> None:
    def run() -> None:
        with Transaction() as txn:
            txn.stage(1)

    assert python_calls(run) <= 35


def test_a_cache_hit_in_memory_and_on_disk(store: ResultStore) -> None:
    store.write({"a": 1}, key="k")

    def hit(of: ResultStore) -> None:
        with Transaction(key="k", store=of) as txn:
            record = txn.read()
            assert record is not None
            assert record.result == {"a": 1}

    assert python_calls(lambda: hit(store)) <= 100
    cold = store.model_copy(update={"cache_result_in_memory": False})
    assert python_calls(lambda: hit(cold)) <= 100


def test_the_state_of_a_value_that_is_not_kept(store: ResultStore) -> None:
    assert python_calls(lambda: value_state(1, store)) <= 22
    state = Completed(data=value_state(1, store).data)
    assert python_calls(lambda: state_to_wire(state)) <= 5


def test_keeping_a_small_result(store: ResultStore) -> None:
    numbers = iter(range(1_000_000))
    assert python_calls(lambda: store.write(1, key=f"k{next(numbers)}")) <= 95
