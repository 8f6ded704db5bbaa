"""Flows run against the server in this process, from the call to what the server remembers."""

# Flows are called here with what they have to refuse or coerce, and as methods.
# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportGeneralTypeIssues=false

import asyncio
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock import flow, get_run_logger, tags, task
from penstock.annotations import allow_failure, quote
from penstock.context import FlowRunContext, get_run_context
from penstock.futures import PenstockFlowRunFuture
from penstock.schemas.errors import (
    FailedRun,
    MissingContextError,
    ParameterBindError,
    ParameterTypeError,
    UpstreamTaskError,
)
from penstock.schemas.states import State, StateType
from penstock.states import Cancelled, Completed, Failed


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path_factory.mktemp("home")) as api:
        yield api


def test_a_flow_run_is_recorded_with_its_parameters_tags_and_states(api: EmbeddedApi) -> None:
    @flow(name="recorded", retries=2)
    def recorded(n: int, other: Any = "x") -> int:
        return n + 1

    with tags("outer"), tags("inner"):
        assert recorded("4", other=object()) == 5
    run = api.flow_run("recorded")
    assert run.parameters == {"n": 4, "other": "<object>"}
    assert run.tags == ["inner", "outer"]
    assert api.states(run) == ["Pending", "Running", "Completed"]
    assert run.run_count == 1
    assert run.empirical_policy.retries == 2
    assert run.flow_version == recorded.version


def test_a_coroutine_flow_gives_a_coroutine(api: EmbeddedApi) -> None:
    @flow(name="awaited")
    async def awaited(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    assert asyncio.run(awaited(1)) == 2
    assert api.states(api.flow_run("awaited")) == ["Pending", "Running", "Completed"]


def test_arguments_that_do_not_bind_make_no_run(api: EmbeddedApi) -> None:
    @flow(name="strict")
    def strict(n: int) -> None: ...

    strict(1)
    before = len(api.flow_runs("strict"))
    with pytest.raises(ParameterBindError):
        strict()
    with pytest.raises(ParameterBindError):
        strict(1, 2)
    assert len(api.flow_runs("strict")) == before


class Point(pydantic.BaseModel):
    x: int


def test_parameters_are_coerced_and_refused_ones_fail_the_run(api: EmbeddedApi) -> None:
    called: list[Any] = []

    @flow(name="typed", flow_run_name="typed-{point.x}")
    def typed(point: Point, items: list[int]) -> None:
        called.append((point, items))

    typed({"x": "3"}, ("1", 2))
    assert called == [(Point(x=3), [1, 2])]
    assert api.flow_run("typed").name == "typed-3"
    with pytest.raises(ParameterTypeError, match="point"):
        typed(3, [])
    run = api.flow_run("typed")
    assert run.state is not None
    assert run.state.is_failed()
    assert "parameters failed" in str(run.state.message).lower() or "Validation" in str(
        run.state.message
    )
    assert run.name != "typed-3"
    assert len(called) == 1


def test_a_failure_is_raised_and_recorded(api: EmbeddedApi) -> None:
    @flow(name="failing")
    def failing() -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        failing()
    run = api.flow_run("failing")
    assert run.state is not None
    assert run.state.type == StateType.FAILED
    assert run.state.message == "Flow run encountered an exception: ValueError: boom"
    state = failing(return_state=True)
    assert isinstance(state, State)
    with pytest.raises(ValueError, match="boom"):
        state.result()


def test_retries_are_decided_by_the_server_in_both_colours(api: EmbeddedApi) -> None:
    counts: list[int] = []

    def work() -> str:
        counts.append(get_run_context().flow_run.run_count)
        if len(counts) < 3:
            raise ValueError("not yet")
        return "done"

    @flow(name="retried", retries=2)
    def retried() -> str:
        return work()

    @flow(name="retried-async", retries=2)
    async def retried_async() -> str:
        return work()

    for name, call in (
        ("retried", retried),
        ("retried-async", lambda: asyncio.run(retried_async())),
    ):
        counts.clear()
        assert call() == "done"
        assert counts == [1, 2, 3]
        assert api.states(api.flow_run(name)) == [
            "Pending",
            *["Running", "AwaitingRetry"] * 2,
            "Running",
            "Completed",
        ]


def test_used_up_retries_raise_the_last_error(api: EmbeddedApi) -> None:
    tries: list[int] = []

    @flow(name="hopeless", retries=1)
    def hopeless() -> None:
        tries.append(1)
        raise ValueError(len(tries))

    with pytest.raises(ValueError, match="2"):
        hopeless()


@task
def good(x: int = 1) -> int:
    return x


@task
def bad() -> None:
    raise ValueError("bad task")


@pytest.mark.parametrize(
    ("body", "type", "text"),
    [
        (lambda: Completed(name="X"), StateType.COMPLETED, None),
        (lambda: [good.submit(), good.submit()], StateType.COMPLETED, "All states"),
        (lambda: [good.submit(), bad.submit()], StateType.FAILED, "1/2"),
        (lambda: (bad.submit(), Cancelled()), StateType.CANCELLED, "1/2"),
        (lambda: {"a": bad.submit()}, StateType.COMPLETED, None),
        (lambda: [bad.submit(), 3], StateType.COMPLETED, None),
        (list, StateType.COMPLETED, None),
        (lambda: bad.submit(), StateType.FAILED, None),
        (lambda: bad(return_state=True) and None, StateType.COMPLETED, None),
        (lambda: quote(bad.submit()) and 1, StateType.COMPLETED, None),
        (lambda: [good.submit(bad.submit())], StateType.FAILED, "not final"),
    ],
)
def test_what_a_flow_returns_decides_its_state(
    api: EmbeddedApi, body: Any, type: StateType, text: str | None
) -> None:
    @flow(name="returning")
    def returning() -> Any:
        return body()

    state = returning(return_state=True)
    assert state.type == type
    if text is not None:
        assert text in state.message
    recorded = api.flow_run("returning").state
    assert recorded is not None
    assert recorded.type == type
    assert recorded.name == state.name


def test_a_generator_is_read_where_it_is_returned(api: EmbeddedApi) -> None:
    @flow
    def returning_generator() -> Any:
        return (n for n in range(3))

    assert returning_generator() == [0, 1, 2]


def test_generator_flows_hand_out_items_and_link_them(api: EmbeddedApi) -> None:
    seen: list[Any] = []

    @flow(name="giving")
    def giving(n: int) -> Any:
        for number in range(n):
            seen.append(FlowRunContext.get() is not None)
            yield number
        return "end"

    items = giving(3)
    assert next(items) == 0
    assert FlowRunContext.get() is None, "the consumer is not part of the run"
    assert list(items) == [1, 2]
    assert seen == [True] * 3
    assert api.states(api.flow_run("giving"))[-1] == "Completed"
    with pytest.raises(ValueError, match="return_state"):
        giving(1, return_state=True)


def test_a_generator_closed_early_completed_its_run(api: EmbeddedApi) -> None:
    ended: list[str] = []

    @flow(name="closed")
    def closed() -> Any:
        try:
            yield 1
            yield 2
        finally:
            ended.append("closed")

    items = closed()
    next(items)
    items.close()
    assert ended == ["closed"]
    assert api.states(api.flow_run("closed"))[-1] == "Completed"


def test_async_generators_work_alike(api: EmbeddedApi) -> None:
    @flow(name="giving-async")
    async def giving(n: int) -> Any:
        for number in range(n):
            yield number

    async def main() -> list[int]:
        first = giving(5)
        assert await anext(first) == 0
        assert FlowRunContext.get() is None
        await first.aclose()
        return [item async for item in giving(3)]

    assert asyncio.run(main()) == [0, 1, 2]
    runs = api.flow_runs("giving-async")
    assert [run.state_name for run in runs] == ["Completed", "Completed"]


def test_a_failing_generator_fails_its_run(api: EmbeddedApi) -> None:
    @flow(name="broken-generator")
    def broken() -> Any:
        yield 1
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        list(broken())
    assert api.states(api.flow_run("broken-generator"))[-1] == "Failed"


def test_timeouts_interrupt_both_colours(api: EmbeddedApi) -> None:
    import threading

    @flow(name="slow", timeout_seconds=0.1)
    def slow() -> None:
        threading.Event().wait(20)

    @flow(name="slow-async", timeout_seconds=0.1)
    async def slow_async() -> None:
        await asyncio.sleep(20)

    with pytest.raises(TimeoutError):
        slow()
    with pytest.raises(TimeoutError):
        asyncio.run(slow_async())
    for name in ("slow", "slow-async"):
        state = api.flow_run(name).state
        assert state is not None
        assert state.name == "TimedOut"
        assert "0.1" in str(state.message)


def test_hooks_of_flows(api: EmbeddedApi) -> None:
    seen: list[str] = []

    @flow(name="hooked", retries=1)
    def hooked() -> None:
        raise ValueError("x")

    @hooked.on_failure
    def failed(flow: Any, flow_run: Any, state: State) -> None:
        seen.append(f"failure:{flow.name}:{flow_run.state_name}:{state.name}")

    @hooked.on_running
    async def running(flow: Any, flow_run: Any, state: State) -> None:
        seen.append("running")
        raise RuntimeError("a hook may fail")

    with pytest.raises(ValueError, match="x"):
        hooked()
    assert seen == ["running", "running", "failure:hooked:Failed:Failed"]


def test_a_crash_is_forced_and_raised(api: EmbeddedApi) -> None:
    seen: list[str] = []

    @flow(name="crashing", on_crashed=[lambda flow, run, state: seen.append(state.name)])
    def crashing() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        crashing()
    assert api.states(api.flow_run("crashing")) == ["Pending", "Running", "Crashed"]
    assert seen == ["Crashed"]


def test_a_cancelled_coroutine_crashes_its_run(api: EmbeddedApi) -> None:
    started = asyncio.Event()

    @flow(name="cancelled-task")
    async def waiting() -> None:
        started.set()
        await asyncio.sleep(30)

    async def main() -> None:
        running = asyncio.create_task(waiting())
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert api.states(api.flow_run("cancelled-task")) == ["Pending", "Running", "Crashed"]


def test_subflows_have_a_task_run_in_their_parent(api: EmbeddedApi) -> None:
    @flow(name="child")
    def child(x: int) -> int:
        return x * 2

    @flow(name="parent")
    def parent() -> int:
        return child(good.submit(3))

    assert parent() == 6
    parent_run, child_run = api.flow_run("parent"), api.flow_run("child")
    assert child_run.parameters == {"x": 3} or child_run.parameters == {
        "x": "<PenstockConcurrentFuture>"
    }
    dummy = api.task_run(child_run.parent_task_run_id)
    assert dummy.flow_run_id == parent_run.id
    assert dummy.name == "child-0"
    assert dummy.state_name == "Completed"
    assert [origin.id for origin in dummy.task_inputs["x"]] == [
        run.id for run in api.task_runs(parent_run) if run.name.startswith("good")
    ]


def test_a_completed_subflow_is_not_run_again_with_its_parent(api: EmbeddedApi) -> None:
    calls: list[str] = []

    @flow(name="kept-child", persist_result=True)
    def kept() -> str:
        calls.append("kept")
        return "value"

    @flow(name="failed-child")
    def fails_once() -> str:
        calls.append("fails")
        if calls.count("fails") == 1:
            raise ValueError("first")
        return "second"

    @flow(name="rerun-parent", retries=1)
    def parent() -> list[str]:
        return [kept(), fails_once()]

    assert parent() == ["value", "second"]
    assert calls == ["kept", "fails", "fails"]
    assert len(api.flow_runs("kept-child")) == 1
    assert len(api.flow_runs("failed-child")) == 2


def test_an_upstream_that_failed_keeps_a_subflow_from_running(api: EmbeddedApi) -> None:
    called: list[int] = []

    @flow(name="blocked-child")
    def child(x: Any) -> None:
        called.append(1)

    @flow(name="blocking-parent")
    def parent() -> State:
        state = child(bad.submit(), return_state=True)
        assert state.name == "NotReady"
        with pytest.raises(UpstreamTaskError):
            child(bad.submit())
        child(allow_failure(bad.submit()))
        return Completed()

    parent()
    assert called == [1]


def test_submitted_work_is_finished_before_the_flow_ends(api: EmbeddedApi) -> None:
    import threading

    release = threading.Event()
    done: list[int] = []

    @task
    def slow() -> None:
        release.wait(10)
        done.append(1)

    @task
    def after(x: Any) -> None:
        done.append(2)

    @flow(name="leaving")
    def leaving() -> None:
        future = slow.submit()
        after.submit(future)
        threading.Timer(0.05, release.set).start()

    leaving()
    assert done == [1]
    runs = {run.name.split("-")[0]: run for run in api.task_runs(api.flow_run("leaving"))}
    assert runs["slow"].state_name == "Completed"
    assert runs["after"].state_name == "Cancelled"


def test_results_of_a_completed_flow_are_read_from_its_state(api: EmbeddedApi) -> None:
    @flow(name="persisted", persist_result=True)
    def persisted() -> dict[str, int]:
        return {"a": 1}

    assert persisted() == {"a": 1}
    state = api.flow_run("persisted").state
    assert state is not None
    assert state.result() == {"a": 1}

    @flow(name="unpersisted")
    def unpersisted() -> int:
        return 1

    assert unpersisted(return_state=True).result() == 1


def test_logs_of_a_run_reach_the_server(api: EmbeddedApi) -> None:
    @flow(name="talking", log_prints=True)
    def talking() -> None:
        get_run_logger().info("said in a flow")
        print("printed in a flow")

    talking()
    logs = api.logs()
    assert "said in a flow" in logs
    assert "printed in a flow" in logs
    assert any("Finished in state" in message for message in logs)


def test_outside_of_runs_there_is_no_context() -> None:
    with pytest.raises(MissingContextError):
        get_run_context()


def test_a_failed_state_without_data_gives_an_error_of_its_own(api: EmbeddedApi) -> None:
    @flow
    def returns_failed() -> State:
        return Failed(message="own message")

    with pytest.raises(FailedRun, match="own message"):
        returns_failed()


def test_subflows_side_by_side_and_of_the_other_colour(api: EmbeddedApi) -> None:
    @flow(name="plain-child", persist_result=True)
    def plain(n: int) -> int:
        return good.submit(n).result()

    @flow(name="async-child")
    async def child(n: int) -> int:
        await asyncio.sleep(0.01)
        return plain(n) + await child_task(n)

    @task
    async def child_task(n: int) -> int:
        context = FlowRunContext.get()
        assert context is not None
        assert context.parameters == {"n": n}
        return n

    @flow(name="async-parent")
    async def parent() -> list[int]:
        return list(await asyncio.gather(*(child(n) for n in range(4))))

    assert asyncio.run(parent()) == [0, 2, 4, 6]
    assert len(api.flow_runs("async-child")) == 4
    dummies = api.task_runs(api.flow_run("async-parent"))
    assert sorted(run.name for run in dummies) == [f"async-child-{n}" for n in range(4)]


def test_a_flow_may_be_called_by_a_submitted_task(api: EmbeddedApi) -> None:
    @flow(name="deep-child")
    def child() -> int:
        return good(5)

    @task
    def calls() -> int:
        return child()

    @flow(name="deep-parent")
    def parent() -> int:
        return calls.submit().result()

    assert parent() == 5
    runs = {run.name.split("-0")[0]: run for run in api.task_runs(api.flow_run("deep-parent"))}
    dummy = runs["deep-child"]
    caller = next(run for name, run in runs.items() if name.startswith("calls"))
    assert [origin.id for origin in dummy.task_inputs["__parents__"]] == [caller.id]


def test_runs_of_a_flow_do_not_share_counters(api: EmbeddedApi) -> None:
    """Flows called from several threads at once have contexts of their own."""
    import threading
    from contextvars import copy_context

    @flow(name="threaded")
    def threaded(n: int) -> int:
        return good.submit(n).result()

    results: list[int] = []
    threads = [
        threading.Thread(target=copy_context().run, args=(lambda n=n: results.append(threaded(n)),))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == list(range(6))
    assert {run.state_name for run in api.flow_runs("threaded")} == {"Completed"}


def test_text_that_utf8_cannot_say_stops_nothing(api: EmbeddedApi) -> None:
    strange = "name-\udc80"

    @task
    def fails(path: str) -> None:
        raise ValueError(path)

    @flow(name="strange-text")
    def fails_too(path: str) -> None:
        fails(path)

    with pytest.raises(ValueError, match="name-"):
        fails_too(strange)
    run = api.flow_run("strange-text")
    assert run.parameters == {"path": "name-\\udc80"}
    assert "name-\\udc80" in str(run.state and run.state.message)
    (task_run,) = api.task_runs(run)
    assert "name-\\udc80" in str(task_run.state and task_run.state.message)


def test_a_future_follows_a_flow_run_elsewhere(api: EmbeddedApi) -> None:
    @flow(persist_result=True)
    def elsewhere() -> str:
        return "value"

    state = elsewhere(return_state=True)
    future: PenstockFlowRunFuture[str] = PenstockFlowRunFuture(state.state_details.flow_run_id)
    assert future.result(timeout=10) == "value"
    assert asyncio.run(future.aresult()) == "value"
    assert future.is_done
    assert future == PenstockFlowRunFuture(future.flow_run_id)
    called: list[Any] = []
    future.add_done_callback(called.append)
    assert called == [future]


def test_the_last_line_of_a_run_has_the_same_level_in_both_colours(
    api: EmbeddedApi, caplog: pytest.LogCaptureFixture
) -> None:
    @flow(name="ends-badly")
    def plain() -> None:
        raise ValueError("as planned")

    @flow(name="ends-badly-too")
    async def coroutine() -> None:
        raise ValueError("as planned")

    with caplog.at_level("INFO", "penstock.flow_runs"):
        plain(return_state=True)
        asyncio.run(coroutine(return_state=True))
    last = [
        record.levelname for record in caplog.records if record.msg.startswith("Finished in state")
    ]
    assert last == ["ERROR", "ERROR"]
