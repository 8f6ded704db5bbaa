"""Tasks in a process pool: results, logs and events come back; a dying child is noticed."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock import flow, get_run_logger, tags, task
from penstock.schemas.errors import UpstreamTaskError
from penstock.task_runners import ProcessPoolTaskRunner


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path_factory.mktemp("home")) as api:
        yield api


class Drop:
    """A processor that drops logs."""

    def __call__(self, kind: str, payload: Any) -> tuple[str, Any] | None:
        return None if kind == "log" else (kind, payload)


def test_tasks_of_a_flow_run_in_other_processes(api: EmbeddedApi) -> None:
    @task
    def where(x: int) -> tuple[int, int]:
        get_run_logger().info("said in a child")
        return x + 1, os.getpid()

    @task
    async def where_async(x: tuple[int, int]) -> tuple[int, int]:
        return x[0] + 1, os.getpid()

    @task
    def bad() -> None:
        raise ValueError("boom")

    @flow(name="processes", task_runner=ProcessPoolTaskRunner(max_workers=1))
    def processes() -> Any:
        with tags("t"):
            first = where.submit(1)
        second = where_async.submit(first)
        failed = bad.submit()
        with pytest.raises(ValueError, match="boom"):
            failed.result()
        with pytest.raises(UpstreamTaskError):
            where.submit(failed).result()
        return first.result(), second.result(), where.map([1, 2]).result()

    (a, pid), (b, other_pid), mapped = processes()
    assert (a, b) == (2, 3)
    assert pid == other_pid != os.getpid()
    assert [value for value, _ in mapped] == [2, 3]
    assert "said in a child" in api.logs()
    runs = api.task_runs(api.flow_run("processes"))
    first = next(run for run in runs if run.tags == ["t"])
    assert api.task_states(first) == ["Pending", "Running", "Completed"]
    second = next(run for run in runs if run.name.startswith("where_async"))
    assert [origin.id for origin in second.task_inputs["x"]] == [first.id]  # type: ignore[union-attr]


def test_a_dying_process_is_a_crash_of_its_task(api: EmbeddedApi) -> None:
    @task
    def die() -> None:
        os._exit(3)

    @flow(name="dying", task_runner=ProcessPoolTaskRunner(max_workers=1))
    def dying() -> str:
        return die.submit(return_state=True).name

    assert dying() == "Crashed"
    (run,) = api.task_runs(api.flow_run("dying"))
    assert run.state_name == "Crashed"


def test_what_cannot_travel_is_a_crash_with_the_reason(api: EmbeddedApi) -> None:
    import threading

    @task
    def takes(lock: Any) -> None: ...

    @flow(name="unpicklable", task_runner=ProcessPoolTaskRunner(max_workers=1))
    def passing() -> str:
        return takes.submit(threading.Lock(), return_state=True).message

    assert "pickle" in passing()


def test_processors_see_every_message_of_a_child(api: EmbeddedApi) -> None:
    @task
    def talk() -> None:
        get_run_logger().info("never seen")

    runner = ProcessPoolTaskRunner(1, subprocess_message_processor_factories=[Drop])

    @flow(name="processed", task_runner=runner)
    def processed() -> None:
        talk.submit().result()

    processed()
    assert "never seen" not in api.logs()
    (run,) = api.task_runs(api.flow_run("processed"))
    assert run.state_name == "Completed"
