"""Declaring tasks."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock import task
from penstock.cache_policies import DEFAULT, INPUTS, NO_CACHE, CacheKeyFnPolicy
from penstock.schemas.errors import ReservedArgumentError
from penstock.settings import temporary_settings
from penstock.tasks import Task, exponential_backoff


def plain_function(n: int = 1) -> int:
    """Adds one."""
    return n + 1


def hook(*_: Any) -> None: ...


def test_defaults_come_from_the_function():
    declared = task(plain_function)
    assert declared.name == "plain_function"
    assert declared.description == "Adds one."
    assert declared.tags == set()
    assert declared.cache_policy is DEFAULT
    assert declared.persist_result is None
    name, _, digest = declared.task_key.rpartition("-")
    assert name == "plain_function"
    assert len(digest) == 8
    assert "Adds one." in (declared.source_code or "")


def test_task_keys_change_with_the_code_and_not_with_the_place():
    def one():
        return 1

    def other():
        return len("2")

    other.__qualname__ = one.__qualname__
    assert task(one).task_key != task(other).task_key
    assert task(one).task_key == task(one).task_key
    assert task(one).task_key.startswith("one-")
    assert task(other).task_key.startswith("one-")

    class Adder:
        def __call__(self):
            return 1

    assert task(Adder()).task_key.startswith("Adder-")


def test_the_code_of_a_key_includes_its_constants():
    def make_one():
        def fn():
            return 1

        return fn

    def make_two():
        def fn():
            return 2

        return fn

    assert task(make_one()).task_key != task(make_two()).task_key


def test_wrong_options_are_refused():
    for options in (
        {"name": 3},
        {"tags": "one"},
        {"on_completion": [3]},
        {"retry_condition_fn": 3},
        {"task_run_name": 3},
        {"retry_delay_seconds": "3"},
    ):
        with pytest.raises(TypeError):
            task(**options)(plain_function)
    for options in ({"retry_jitter_factor": -1}, {"retry_delay_seconds": [1] * 51}):
        with pytest.raises(ValueError, match="retry"):
            task(**options)(plain_function)
    with pytest.raises(ReservedArgumentError):
        task(lambda wait_for: 0)


def test_retries_default_to_the_settings():
    with temporary_settings({"PENSTOCK_TASKS_DEFAULT_RETRIES": "4"}):
        assert task(plain_function).retries == 4
    assert task(retries=3, retry_delay_seconds=exponential_backoff(2))(
        plain_function
    ).retry_delay_seconds == [2, 4, 8]


@pytest.mark.parametrize(
    ("options", "persist"),
    [
        ({}, None),
        ({"cache_policy": INPUTS}, True),
        ({"cache_policy": NO_CACHE}, None),
        ({"cache_key_fn": lambda context, parameters: "k"}, True),
        ({"result_storage_key": "k"}, True),
        ({"result_storage": Path("/tmp")}, True),
        ({"result_serializer": "json"}, True),
        ({"persist_result": False}, False),
    ],
)
def test_what_turns_persistence_on(options: dict[str, Any], persist: bool | None):
    assert task(**options)(plain_function).persist_result is persist


def test_which_cache_policy_holds():
    assert task(persist_result=False)(plain_function).cache_policy is NO_CACHE
    assert task(result_storage_key="k")(plain_function).cache_policy is None
    with pytest.warns(UserWarning, match="persist_result=False"):
        assert (
            task(cache_policy=INPUTS, persist_result=False)(plain_function).cache_policy is NO_CACHE
        )
    with pytest.warns(UserWarning, match="cache_key_fn"):
        both = task(cache_policy=INPUTS, cache_key_fn=lambda c, p: "k")(plain_function)
    assert isinstance(both.cache_policy, CacheKeyFnPolicy)
    with temporary_settings({"PENSTOCK_TASKS_DEFAULT_NO_CACHE": "true"}):
        assert task(plain_function).cache_policy is NO_CACHE


def test_options_left_out_stay_hooks_and_version_included():
    first: Task[..., Any] = task(
        name="one",
        version="v",
        tags=["a"],
        retries=2,
        cache_expiration=timedelta(days=1),
        on_rollback=[hook],
        on_commit=[hook],
        on_completion=[hook],
    )(plain_function)
    second = first.with_options(name="two", retries=0)
    assert (second.name, second.retries, second.version) == ("two", 0, "v")
    assert second.tags == {"a"}
    assert second.cache_expiration == timedelta(days=1)
    assert second.on_rollback_hooks == second.on_commit_hooks == [hook]
    assert second.on_completion_hooks == [hook]
    assert first.with_options(tags=["b"]).tags == {"b"}
    assert first.with_options(on_rollback=[]).on_rollback_hooks == []
    assert first.name == "one"
    with pytest.raises(TypeError, match="wrong"):
        first.with_options(wrong=1)


def test_hooks_are_also_decorators():
    declared = task(plain_function)
    for kind in ("completion", "failure", "running", "commit", "rollback"):
        assert getattr(declared, f"on_{kind}")(hook) is hook
        assert getattr(declared, f"on_{kind}_hooks") == [hook]


def test_hooks_added_to_one_task_are_not_those_of_another():
    first = task(plain_function)
    second = first.with_options(name="two")
    second.on_failure(hook)
    assert first.on_failure_hooks == []
