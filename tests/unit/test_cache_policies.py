"""What makes two runs of a task the same."""

import operator
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    NONE,
    RUN_ID,
    STABLE_TRANSFORMS,
    TASK_SOURCE,
    CacheKeyFnPolicy,
    CachePolicy,
    CompoundCachePolicy,
    Inputs,
    RunId,
    TaskSource,
)
from penstock.filesystems import LocalFileSystem
from penstock.locking.memory import MemoryLockManager
from penstock.schemas.errors import HashError

RUN = UUID(int=1)


def context(source: str | None = "def f(): pass", flow_run_id=None, task_run_id=RUN, fn=None):
    return SimpleNamespace(
        task=SimpleNamespace(source_code=source, fn=fn),
        task_run=SimpleNamespace(id=task_run_id, flow_run_id=flow_run_id),
    )


def key(policy, inputs=None, ctx=None, flow_parameters=None):
    return policy.compute_key(ctx or context(), inputs or {}, flow_parameters or {})


def test_inputs_are_told_apart_by_name_and_value():
    assert key(INPUTS, {"x": 1}) == key(INPUTS, {"x": 1})
    assert key(INPUTS, {"x": 1}) != key(INPUTS, {"x": 2})
    assert key(INPUTS, {"x": 1}) != key(INPUTS, {"y": 1})
    assert key(INPUTS, {}) is None


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), st.integers(), min_size=1), st.integers())
def test_an_excluded_input_does_not_matter(inputs, other):
    policy = INPUTS - "a"
    assert key(policy, {**inputs, "a": other}) == key(policy, {**inputs, "a": other + 1})
    with_b = {**inputs, "b": other}
    assert key(policy, with_b) != key(policy, {**with_b, "b": other + 1})


def test_an_input_that_cannot_be_hashed_is_an_error():
    class Stubborn:
        def __reduce__(self):
            raise RuntimeError("no")

    with pytest.raises(HashError, match="cache_key_fn"):
        key(INPUTS, {"x": Stubborn()})
    assert key(INPUTS - "x", {"x": Stubborn(), "y": 1}) is not None


def test_the_source_or_else_the_bytecode_counts():
    assert key(TASK_SOURCE, ctx=context("a")) != key(TASK_SOURCE, ctx=context("b"))
    one, two = (lambda: 1), (lambda x: x)
    assert key(TASK_SOURCE, ctx=context(None, fn=one)) != key(
        TASK_SOURCE, ctx=context(None, fn=two)
    )
    assert key(TASK_SOURCE, ctx=context(None, fn=print)) is None
    assert TaskSource().compute_key(None, {}, {}) is None


def test_the_run_is_the_flow_run_or_else_the_task_run():
    assert key(RUN_ID, ctx=context(flow_run_id=UUID(int=9))) == str(UUID(int=9))
    assert key(RUN_ID, ctx=context(task_run_id=UUID(int=3))) == str(UUID(int=3))
    assert RunId().compute_key(None, {}, {}) is None


def test_flow_parameters_count():
    assert key(FLOW_PARAMETERS, flow_parameters={"a": 1}) != key(
        FLOW_PARAMETERS, flow_parameters={"a": 2}
    )
    assert key(FLOW_PARAMETERS) is None


def test_a_function_can_give_the_key():
    policy = CachePolicy.from_cache_key_fn(lambda ctx, parameters: f"k-{parameters['x']}")
    assert isinstance(policy, CacheKeyFnPolicy)
    assert key(policy, {"x": 3}) == "k-3"
    assert key(CacheKeyFnPolicy()) is None


def test_the_base_has_no_key():
    with pytest.raises(NotImplementedError, match="compute_key"):
        key(CachePolicy())


def test_a_sum_depends_on_each_part():
    policy = INPUTS + TASK_SOURCE
    base = key(policy, {"x": 1}, context("a"))
    assert base == key(policy, {"x": 1}, context("a"))
    assert base != key(policy, {"x": 2}, context("a"))
    assert base != key(policy, {"x": 1}, context("b"))


def test_the_parts_of_a_sum_are_kept_apart():
    def parts(*keys):
        return CompoundCachePolicy(
            policies=[CacheKeyFnPolicy(cache_key_fn=lambda *_, k=k: k) for k in keys]
        )

    assert key(parts("ab", "c")) != key(parts("a", "bc"))
    assert key(parts("a", None)) == key(parts(None, "a"))
    assert key(parts(None, None)) is None


def test_sums_are_flat_and_none_is_neutral():
    policy = (INPUTS + TASK_SOURCE) + (RUN_ID + NONE)
    assert isinstance(policy, CompoundCachePolicy)
    assert [type(part) for part in policy.policies] == [Inputs, TaskSource, RunId]
    assert INPUTS + NONE is INPUTS
    assert NONE + INPUTS is INPUTS
    assert key(NO_CACHE, {"x": 1}) is None
    assert NO_CACHE - "x" is NO_CACHE
    text: Any = "x"
    with pytest.raises(TypeError):
        operator.add(INPUTS, text)


def test_several_inputs_become_one_without_what_any_leaves_out():
    policy = (INPUTS - "a") + (INPUTS - "b") + TASK_SOURCE
    assert isinstance(policy, CompoundCachePolicy)
    inputs = [part for part in policy.policies if isinstance(part, Inputs)]
    assert [part.exclude for part in inputs] == [["a", "b"]]


def test_default_is_inputs_source_and_run():
    assert isinstance(DEFAULT, CompoundCachePolicy)
    assert [type(part) for part in DEFAULT.policies] == [Inputs, TaskSource, RunId]


def test_a_policy_is_never_changed():
    before = repr(INPUTS), repr(DEFAULT)
    _ = INPUTS - "x", DEFAULT - "x", DEFAULT.configure(key_storage="/keys"), INPUTS + RUN_ID
    assert (repr(INPUTS), repr(DEFAULT)) == before


def test_configure_gives_a_copy_and_keeps_what_is_not_given(tmp_path):
    storage = LocalFileSystem(basepath=tmp_path)
    policy = DEFAULT.configure(key_storage=storage).configure(isolation_level="SERIALIZABLE")
    assert policy.key_storage is storage
    assert policy.isolation_level == "SERIALIZABLE"
    assert policy.lock_manager is None
    assert key(policy, {"x": 1}) == key(DEFAULT, {"x": 1})


def test_subtracting_from_a_sum_keeps_its_configuration():
    """Regression: the peer loses storage, isolation level and lock manager here."""
    manager = MemoryLockManager()
    configured = DEFAULT.configure(
        key_storage="/keys", isolation_level="SERIALIZABLE", lock_manager=manager
    )
    policy = configured - "x"
    assert policy.key_storage == "/keys"
    assert policy.isolation_level == "SERIALIZABLE"
    assert policy.lock_manager is manager
    assert key(policy, {"x": 1, "y": 1}) == key(policy, {"x": 2, "y": 1})
    assert (RUN_ID.configure(key_storage="/keys") - "x").key_storage == "/keys"
    assert (INPUTS.configure(lock_manager=manager) - "x").lock_manager is manager


def test_adding_keeps_agreeing_configuration_and_refuses_a_conflict():
    one = INPUTS.configure(key_storage="/one")
    assert (one + TASK_SOURCE).key_storage == "/one"
    assert (TASK_SOURCE + one).key_storage == "/one"
    assert (one + RUN_ID.configure(key_storage="/one")).key_storage == "/one"
    for name, values in {
        "key_storage": ("/one", "/two"),
        "isolation_level": ("READ_COMMITTED", "SERIALIZABLE"),
        "lock_manager": (object(), object()),
    }.items():
        first, second = (INPUTS.configure(**{name: value}) for value in values)
        with pytest.raises(ValueError, match=name):
            operator.add(first, second)


def test_only_a_name_can_be_subtracted():
    number: Any = 1
    for policy in (INPUTS, DEFAULT, RUN_ID, NONE):
        with pytest.raises(TypeError, match="name of an input"):
            operator.sub(policy, number)


def test_a_type_can_be_given_a_stable_form(monkeypatch):
    class Bag:
        def __init__(self, *items):
            self.items = list(items)

    monkeypatch.setitem(STABLE_TRANSFORMS, Bag, lambda bag: sorted(bag.items))
    assert key(INPUTS, {"x": Bag(2, 1)}) == key(INPUTS, {"x": Bag(1, 2)})


@pytest.mark.parametrize("seed", ["0", "777"])
def test_a_key_is_the_same_in_every_process(seed):
    code = (
        "from types import SimpleNamespace as N\n"
        "from penstock.cache_policies import INPUTS, TASK_SOURCE\n"
        "context = N(task=N(source_code='def f(): pass', fn=None), task_run=N(id=1))\n"
        "print((INPUTS + TASK_SOURCE).compute_key(context, {'x': {'b', 'a'}, 'y': b'z'}, {}))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == key(INPUTS + TASK_SOURCE, {"x": {"a", "b"}, "y": b"z"})
