"""Configuring, starting and copying task runners."""

import pickle

import pytest

from penstock.settings import temporary_settings
from penstock.task_runners import (
    ConcurrentTaskRunner,
    ProcessPoolTaskRunner,
    TaskRunner,
    ThreadPoolTaskRunner,
)


@pytest.mark.parametrize("kind", [ThreadPoolTaskRunner, ProcessPoolTaskRunner])
def test_a_duplicate_is_configured_alike_and_not_started(kind: type[TaskRunner]):
    runner = kind(max_workers=3)  # type: ignore[call-arg]
    with runner:
        other = runner.duplicate()
    assert other == runner
    assert other is not runner
    assert other.max_workers == 3  # type: ignore[attr-defined]
    with other:
        pass


@pytest.mark.parametrize("kind", [ThreadPoolTaskRunner, ProcessPoolTaskRunner])
def test_a_runner_travels_by_its_configuration(kind: type[TaskRunner]):
    assert pickle.loads(pickle.dumps(kind(max_workers=3))) == kind(max_workers=3)  # type: ignore[call-arg]


def test_names_and_aliases():
    assert ConcurrentTaskRunner is ThreadPoolTaskRunner
    assert ThreadPoolTaskRunner().name == "threadpool"


def test_workers_default_to_the_settings():
    with temporary_settings(
        {
            "PENSTOCK_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS": "5",
            "PENSTOCK_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS": "2",
        }
    ):
        assert ThreadPoolTaskRunner().max_workers == 5
        assert ProcessPoolTaskRunner().max_workers == 2
    assert ThreadPoolTaskRunner().max_workers is None


def test_a_runner_is_started_once():
    runner = ThreadPoolTaskRunner()
    with pytest.raises(RuntimeError, match="not started"):
        runner.submit(None, {})
    with runner, pytest.raises(RuntimeError, match="started already"):
        runner.__enter__()
