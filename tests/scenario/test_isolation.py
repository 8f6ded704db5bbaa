"""Tasks that must not compute the same thing twice at the same time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock import flow, task
from penstock.cache_policies import INPUTS
from penstock.locking.filesystem import FileSystemLockManager
from penstock.locking.memory import MemoryLockManager
from penstock.schemas.errors import ConfigurationError
from penstock.transactions import IsolationLevel


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path_factory.mktemp("home")) as api:
        yield api


@pytest.fixture(params=["memory", "files"])
def policy(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    manager = (
        MemoryLockManager()
        if request.param == "memory"
        else FileSystemLockManager(tmp_path / "locks")
    )
    return INPUTS.configure(
        isolation_level=IsolationLevel.SERIALIZABLE,
        lock_manager=manager,
        key_storage=tmp_path / "keys",
    )


def test_of_several_task_runs_one_computes_and_the_others_wait(
    api: EmbeddedApi, policy: Any, tmp_path: Path
) -> None:
    computed: list[int] = []

    @task(cache_policy=policy, result_storage=tmp_path / "results")
    def slow(x: int) -> list[int]:
        computed.append(x)
        return [x]

    @flow(name="isolated")
    def isolated() -> tuple[list[Any], list[str]]:
        futures = [slow.submit(1) for _ in range(4)]
        results = [future.result() for future in futures]
        return results, sorted(str(future.state.name) for future in futures)

    @flow(name="isolated-awaited")
    async def isolated_awaited() -> Any:
        await asyncio.sleep(0)
        return slow(1)

    results, names = isolated()
    assert results == [[1]] * 4
    assert names == ["Cached", "Cached", "Cached", "Completed"]
    assert asyncio.run(isolated_awaited()) == [1]
    assert computed == [1]
    assert len(list((tmp_path / "keys").iterdir())) == 1


def test_a_failed_computation_lets_the_next_one_try(api: EmbeddedApi, policy: Any) -> None:
    tries: list[int] = []

    @task(cache_policy=policy)
    def flaky(x: int) -> int:
        tries.append(x)
        if len(tries) == 1:
            raise ValueError("the first one fails")
        return x

    @flow(name="second-try")
    def second_try() -> int:
        with pytest.raises(ValueError, match="the first one fails"):
            flaky(1)
        return flaky(1)

    assert second_try() == 1
    assert tries == [1, 1]


def test_isolation_without_a_lock_manager_is_refused(api: EmbeddedApi) -> None:
    @task(cache_policy=INPUTS.configure(isolation_level=IsolationLevel.SERIALIZABLE))
    def unlocked(x: int) -> int:
        return x

    @flow(name="unlocked")
    def run() -> int:
        return unlocked(1)

    with pytest.raises(ConfigurationError, match="lock manager"):
        run()
