"""Tasks run against the server in this process: what is returned, what is recorded."""

# Flows are called here with what they have to refuse or coerce, and as methods.
# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportGeneralTypeIssues=false

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock import flow, tags, task, unmapped
from penstock.annotations import allow_failure, quote
from penstock.cache_policies import INPUTS
from penstock.context import TaskRunContext
from penstock.futures import as_completed, wait
from penstock.logging import get_run_logger
from penstock.schemas.errors import (
    MappingLengthMismatch,
    MappingMissingIterable,
    UpstreamTaskError,
)
from penstock.schemas.states import State
from penstock.states import Failed
from penstock.task_runners import ThreadPoolTaskRunner
from penstock.transactions import get_transaction, transaction


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path_factory.mktemp("home")) as api:
        yield api


@task
def add(x: int, y: int = 1) -> int:
    return x + y


@task
def bad() -> None:
    raise ValueError("boom")


@task
async def add_async(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


def test_a_task_is_recorded_when_the_flow_call_returns(api: EmbeddedApi) -> None:
    @flow(name="one-task")
    def one() -> int:
        with tags("b", "a"):
            return add.with_options(tags=["own"], retries=3)(1)

    assert one() == 2
    (run,) = api.task_runs(api.flow_run("one-task"))
    assert run.name.startswith("add-")
    assert len(run.name) == len("add-") + 3
    assert run.task_key == add.task_key
    assert run.tags == ["a", "b", "own"]
    assert run.empirical_policy.retries == 3
    assert run.run_count == 1
    assert api.task_states(run) == ["Pending", "Running", "Completed"]
    assert run.start_time is not None
    assert run.end_time is not None
    assert run.total_run_time == pytest.approx((run.end_time - run.start_time).total_seconds())


def test_submit_and_map_in_sync_and_async_flows(api: EmbeddedApi) -> None:
    @flow(name="many")
    def many() -> Any:
        chain = add.submit(add.submit(1))
        mapped = add.map([1, 2, 3], unmapped(10))
        return chain.result(), mapped.result(), add_async.submit(chain).result()

    @flow(name="many-async")
    async def many_async() -> Any:
        chain = add.submit(add_async.submit(1))
        mapped = add.map([1, 2, 3], 10)
        return chain.result(), mapped.result(), await add_async(3), add(5)

    assert many() == (3, [11, 12, 13], 4)
    assert asyncio.run(many_async()) == (3, [11, 12, 13], 4, 6)
    assert len(api.task_runs(api.flow_run("many"))) == 6
    assert len(api.task_runs(api.flow_run("many-async"))) == 7


def test_dependencies_are_recorded_from_futures_results_and_enclosing_runs(
    api: EmbeddedApi,
) -> None:
    class Thing:
        pass

    @task
    def make() -> Any:
        return Thing()

    @task
    def use(x: Any) -> None:
        inner()

    @task
    def inner() -> None: ...

    @flow(name="linked")
    def linked() -> None:
        future = make.submit()
        thing = future.result()
        use({"k": [thing]}, wait_for=[future])

    linked()
    runs = {run.name.split("-")[0]: run for run in api.task_runs(api.flow_run("linked"))}
    made = [("task_run", runs["make"].id)]

    def origins(name: str, key: str) -> list[tuple[str, Any]]:
        return [("task_run", origin.id) for origin in runs[name].task_inputs.get(key, [])]

    assert origins("use", "x") == made
    assert origins("use", "wait_for") == made
    assert origins("inner", "__parents__") == [("task_run", runs["use"].id)]


def test_retries_are_recorded(api: EmbeddedApi) -> None:
    tries: list[int] = []

    @task(retries=2, retry_delay_seconds=[0.01, 0])
    def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")
        return "done"

    @flow(name="flaky-task")
    def run() -> str:
        return flaky()

    assert run() == "done"
    (recorded,) = api.task_runs(api.flow_run("flaky-task"))
    assert api.task_states(recorded) == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Retrying",
        "Retrying",
        "Completed",
    ]
    assert recorded.run_count == 3


def test_failures_are_raised_where_the_result_is_taken(api: EmbeddedApi) -> None:
    @flow
    def failing() -> None:
        with pytest.raises(ValueError, match="boom"):
            bad()
        future = bad.submit()
        with pytest.raises(ValueError, match="boom"):
            future.result()
        assert isinstance(future.result(raise_on_failure=False), ValueError)
        assert bad(return_state=True).is_failed()

    failing()


def test_a_failed_upstream_gives_the_same_error_however_the_task_is_called(
    api: EmbeddedApi,
) -> None:
    @flow(name="upstream")
    def upstream() -> None:
        failed = bad.submit()
        with pytest.raises(UpstreamTaskError):
            add(failed)
        with pytest.raises(UpstreamTaskError):
            add.submit(failed).result()
        assert add(failed, return_state=True).name == "NotReady"
        # A run that was not ready is no completed upstream either.
        with pytest.raises(UpstreamTaskError):
            add.submit(add.submit(failed)).result()

        @task
        def accept(x: Any) -> str:
            return type(x).__name__

        assert accept(allow_failure(failed)) == "ValueError"
        assert accept.submit(quote([failed])).result() == "list"

    upstream()


def test_as_completed_and_wait(api: EmbeddedApi) -> None:
    release = threading.Event()

    @task
    def hold() -> str:
        release.wait(10)
        return "held"

    @flow
    def waiting() -> None:
        quick, held = add.submit(1), hold.submit()
        first = next(as_completed([held, quick]))
        assert first is quick
        done, not_done = wait([quick, held], timeout=0.01)
        assert (done, not_done) == ({quick}, {held})
        with pytest.raises(TimeoutError):
            held.result(timeout=0.01)
        with pytest.raises(TimeoutError):
            list(as_completed([held], timeout=0.01))
        release.set()
        assert held.result(timeout=10) == "held"

    waiting()


def test_callbacks_of_futures_are_called_once_early_or_late(api: EmbeddedApi) -> None:
    called: list[Any] = []

    @flow
    def calling() -> None:
        future = add.submit(1)
        future.add_done_callback(called.append)
        future.wait()
        future.add_done_callback(called.append)
        assert called == [future, future]

    calling()


def test_map_refuses_what_it_cannot_pair(api: EmbeddedApi) -> None:
    @flow
    def mapping() -> None:
        with pytest.raises(MappingLengthMismatch):
            add.map([1, 2], [1])
        with pytest.raises(MappingMissingIterable):
            add.map(1)

    mapping()


def test_submit_needs_a_flow() -> None:
    with pytest.raises(RuntimeError, match=r"\.delay"):
        add.submit(1)


def test_tasks_work_outside_of_flows(api: EmbeddedApi) -> None:
    from penstock.client.sockets import flush_events

    ids: list[Any] = []

    @task
    def alone() -> None:
        context = TaskRunContext.get()
        assert context is not None
        ids.append(context.task_run.id)

    alone()
    assert flush_events(10) == 0
    run = api.task_run(ids[0])
    assert run.flow_run_id is None
    assert run.name == "alone"
    assert run.state_name == "Completed"


def test_the_timeout_of_a_task_in_a_thread_and_on_the_main_thread(api: EmbeddedApi) -> None:
    @task(timeout_seconds=0.05)
    def spin() -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            pass

    @task(timeout_seconds=0.05)
    async def doze() -> None:
        await asyncio.sleep(20)

    @flow
    def timing() -> None:
        for state in (
            spin(return_state=True),
            spin.submit(return_state=True),
            doze.submit(return_state=True),
        ):
            assert state.name == "TimedOut"
            assert "0.05 seconds" in state.message

    timing()


def test_persisted_results_are_cached_by_their_inputs(api: EmbeddedApi, tmp_path: Path) -> None:
    calls: list[int] = []

    @task(cache_policy=INPUTS, result_storage=tmp_path)
    def costly(x: int) -> int:
        calls.append(x)
        return x * 2

    @flow(name="caching")
    def caching() -> list[str]:
        states = [costly(1, return_state=True) for _ in range(2)]
        states.append(costly.with_options(refresh_cache=True)(1, return_state=True))
        states.append(costly(2, return_state=True))
        assert [state.result() for state in states] == [2, 2, 2, 4]
        return [state.name for state in states]

    assert caching() == ["Completed", "Cached", "Completed", "Completed"]
    assert calls == [1, 1, 2]
    first = api.task_runs(api.flow_run("caching"))[0]
    assert first.state is not None
    assert first.state.result() == 2


def test_cache_keys_expire(api: EmbeddedApi, tmp_path: Path) -> None:
    @task(cache_policy=INPUTS, cache_expiration=timedelta(microseconds=1), result_storage=tmp_path)
    def costly(x: int) -> int:
        return x

    @flow
    def caching() -> list[str]:
        return [costly(1, return_state=True).name for _ in range(2)]

    assert caching() == ["Completed", "Completed"]


def test_inputs_that_cannot_be_hashed_only_lose_the_cache(api: EmbeddedApi, tmp_path: Path) -> None:
    @task(cache_policy=INPUTS, result_storage=tmp_path)
    def takes(x: Any) -> str:
        return "ran"

    @flow
    def hashing() -> str:
        return takes(threading.Lock())

    assert hashing() == "ran"


def test_persisting_without_a_cache_key_writes_the_result(api: EmbeddedApi, tmp_path: Path) -> None:
    from penstock.cache_policies import NO_CACHE

    @task(persist_result=True, cache_policy=NO_CACHE, result_storage=tmp_path)
    def kept() -> str:
        return "value"

    @flow(name="kept-task")
    def keeping() -> None:
        kept()

    keeping()
    assert len(list(tmp_path.iterdir())) == 1
    state = api.task_runs(api.flow_run("kept-task"))[0].state
    assert state is not None
    assert state.result() == "value"


def test_result_storage_keys_are_templates(api: EmbeddedApi, tmp_path: Path) -> None:
    @task(result_storage=tmp_path, result_storage_key="sum-{parameters[x]}")
    def kept(x: int) -> int:
        return x

    @flow
    def keeping() -> str:
        kept(3)
        return kept(3, return_state=True).name

    assert keeping() == "Cached"
    assert (tmp_path / "sum-3").exists()


def test_results_that_cannot_be_written_are_only_warned_about(
    api: EmbeddedApi, tmp_path: Path
) -> None:
    @task(persist_result=True, result_storage=tmp_path, result_serializer="json")
    def unwritable() -> Any:
        return threading.Lock()

    @flow
    def keeping() -> bool:
        return unwritable(return_state=True).is_completed()

    assert keeping()


def test_exceptions_are_persisted_in_both_colours(api: EmbeddedApi, tmp_path: Path) -> None:
    options: dict[str, Any] = {"persist_result": True, "result_storage": tmp_path}

    @task(**options)
    def fails() -> None:
        raise ValueError("kept")

    @task(**options)
    async def fails_async() -> None:
        raise ValueError("kept")

    @flow(name="kept-errors")
    async def keeping() -> None:
        fails(return_state=True)
        await fails_async(return_state=True)

    asyncio.run(keeping())
    for run in api.task_runs(api.flow_run("kept-errors")):
        assert run.state is not None
        error = run.state.result(raise_on_failure=False)
        assert isinstance(error, ValueError)
        assert str(error) == "kept"


def test_generator_tasks_keep_their_items(api: EmbeddedApi, tmp_path: Path) -> None:
    @task(persist_result=True, result_storage=tmp_path)
    def giving() -> Any:
        yield from range(3)

    @flow(name="kept-items")
    def keeping() -> None:
        giving.submit().wait()

    keeping()
    state = api.task_runs(api.flow_run("kept-items"))[0].state
    assert state is not None
    assert state.result() == [0, 1, 2]


def test_a_failing_transaction_rolls_its_tasks_back(api: EmbeddedApi) -> None:
    seen: list[str] = []

    @task
    def first() -> None:
        open_transaction = get_transaction()
        assert open_transaction is not None
        open_transaction.set("path", "/tmp/x")

    @first.on_rollback
    def undo(transaction: Any) -> None:
        seen.append(f"undo {transaction.get('path')}")

    @first.on_commit
    def commit(transaction: Any) -> None:
        seen.append("commit")

    @flow(name="transacting")
    def transacting(fail: bool) -> None:
        with transaction():
            first()
            if fail:
                raise ValueError("later")

    transacting(False)
    assert seen == ["commit"]
    seen.clear()
    with pytest.raises(ValueError, match="later"):
        transacting(True)
    assert seen == ["undo /tmp/x"]
    (run,) = api.task_runs(api.flow_run("transacting"))
    assert api.task_states(run) == ["Pending", "Running", "Completed", "RolledBack"]


def test_generator_tasks(api: EmbeddedApi) -> None:
    @task
    def giving(n: int) -> Any:
        for number in range(n):
            yield number + 1000

    @task
    async def giving_async(n: int) -> Any:
        for number in range(n):
            yield number

    @flow(name="generating")
    def generating() -> Any:
        items = giving(3)
        first = next(items)
        add(first)
        assert TaskRunContext.get() is None
        assert list(items) == [1001, 1002]
        return giving.submit(2).result(), giving_async.submit(2).result()

    @flow
    async def generating_async() -> list[int]:
        return [item async for item in giving_async(3)]

    assert generating() == ([1000, 1001], [0, 1])
    assert asyncio.run(generating_async()) == [0, 1, 2]
    runs = {run.name.split("-")[0]: run for run in api.task_runs(api.flow_run("generating"))}
    assert [origin.id for origin in runs["add"].task_inputs["x"]] == [
        min(
            run.id
            for run in api.task_runs(api.flow_run("generating"))
            if run.name.startswith("giving")
        )
    ]


def test_tags_and_context_reach_worker_threads(api: EmbeddedApi) -> None:
    @task
    def look() -> list[str]:
        context = TaskRunContext.get()
        assert context is not None
        get_run_logger().info("from a thread")
        return context.task_run.tags

    @flow
    def looking() -> list[str]:
        with tags("t"):
            return look.submit().result()

    assert looking() == ["t"]
    assert "from a thread" in api.logs()


def test_unfinished_upstreams_take_no_threads(api: EmbeddedApi) -> None:
    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def chained() -> int:
        future = add.submit(0)
        for _ in range(50):
            future = add.submit(future)
        return future.result(timeout=20)

    assert chained() == 51


def test_nested_submissions(api: EmbeddedApi) -> None:
    @task
    def outer() -> int:
        return add.submit(1).result() + 1

    @flow
    def nesting() -> int:
        return outer.submit().result()

    assert nesting() == 3


def test_a_crash_in_a_worker_thread_is_a_crash_of_the_task(api: EmbeddedApi) -> None:
    @task
    def leaving() -> None:
        raise SystemExit(1)

    @flow(name="thread-crash")
    def crashing() -> str:
        return leaving.submit(return_state=True).name

    assert crashing() == "Crashed"
    (run,) = api.task_runs(api.flow_run("thread-crash"))
    assert run.state_name == "Crashed"


def test_a_task_run_name_is_recorded(api: EmbeddedApi) -> None:
    @flow(name="named-tasks")
    def naming() -> None:
        add.with_options(task_run_name="add-{x}-{y}")(1)
        add.with_options(task_run_name=lambda: "own").submit(1).wait()

    naming()
    assert [run.name for run in api.task_runs(api.flow_run("named-tasks"))] == ["add-1-1", "own"]


def test_states_returned_by_tasks(api: EmbeddedApi) -> None:
    @task
    def returning() -> State:
        return Failed(message="own", name="Own")

    @flow(name="own-state")
    def own() -> None:
        state = returning(return_state=True)
        assert (state.name, state.message) == ("Own", "own")

    own()
    (run,) = api.task_runs(api.flow_run("own-state"))
    assert run.state_name == "Own"


class Counter:
    """Flows and tasks as methods."""

    def __init__(self, start: int) -> None:
        self.start = start

    def __len__(self) -> int:
        return 0

    @task
    def plus(self, n: int) -> int:
        return self.start + n

    @flow
    def total(self, n: int) -> int:
        return self.plus(n) + self.plus.submit(n).result()

    @task
    @classmethod
    def named(cls, n: int) -> str:
        return f"{cls.__name__}{n}"

    @task
    @staticmethod
    def free(n: int) -> int:
        return n


def test_methods_keep_their_own_instance_even_a_falsy_one(api: EmbeddedApi) -> None:
    one, two = Counter(1), Counter(2)
    first, second = one.plus, two.plus
    assert (first(0), second(0)) == (1, 2)
    assert one.total(10) == 22
    run = api.flow_runs()[0]
    assert run.parameters == {"n": 10}
    assert Counter.named(1) == one.named(1) == "Counter1"
    assert Counter.free(2) == one.free(2) == 2


def test_callables_of_any_kind_are_tasks(api: EmbeddedApi) -> None:
    class Adder:
        def __call__(self, n: int) -> int:
            return n + 1

    assert task(Adder())(1) == 2
    assert task(partial(lambda a, b: a + b, 1), name="partial")(2) == 3
    assert task(sorted)([2, 1]) == [1, 2]
