"""Contexts of runs, and carrying them elsewhere."""

import threading
from datetime import UTC, datetime
from uuid import uuid4

import cloudpickle
import pytest

from penstock import flow, tags, task
from penstock.base.run_context import current_run, running
from penstock.context import (
    FlowRunContext,
    TagsContext,
    TaskRunContext,
    get_run_context,
    hydrated_context,
    serialize_context,
    with_context,
)
from penstock.engine.inputs import Inputs
from penstock.engine.record import TaskRecord
from penstock.schemas.errors import MissingContextError
from penstock.schemas.flow_runs import FlowRun

START = datetime(2026, 1, 1, tzinfo=UTC)


@flow
def some_flow(): ...


@task
def some_task(): ...


def flow_context() -> FlowRunContext:
    run = FlowRun(id=uuid4(), flow_id=uuid4(), created=START, updated=START, name="run", tags=["t"])
    return FlowRunContext(flow=some_flow, flow_run=run, parameters={"n": 1}, start_time=START)


def task_context(outer: FlowRunContext | None) -> TaskRunContext:
    record = TaskRecord(
        some_task.shape(frozenset()), id=uuid4(), name="t-abc", dynamic_key="0", inputs=Inputs()
    )
    return TaskRunContext(
        task=some_task,
        record=record,
        parameters={},
        tags=frozenset(),
        start_time=START,
        flow_context=outer,
        parent=outer,
    )


def test_outside_of_runs_there_is_nothing():
    assert FlowRunContext.get() is None
    assert TaskRunContext.get() is None
    with pytest.raises(MissingContextError):
        get_run_context()


def test_inside_a_task_both_runs_are_known():
    outer = flow_context()
    with running(outer):
        assert get_run_context() is FlowRunContext.get() is outer
        assert TaskRunContext.get() is None
        inner = task_context(outer)
        with running(inner):
            assert get_run_context() is TaskRunContext.get() is inner
            assert FlowRunContext.get() is outer
            assert inner.flow_run is outer.flow_run
    with running(task_context(None)):
        assert FlowRunContext.get() is None


def test_tags_add_up_and_end_with_their_block():
    with tags("a") as outer, tags("b", "a") as inner:
        assert (outer, inner) == ({"a"}, {"a", "b"})
        assert TagsContext.get().current_tags == {"a", "b"}
    assert TagsContext.get().current_tags == frozenset()


def test_keys_of_subflows_count_per_task():
    context = flow_context()
    keys = [context.next_key("a"), context.next_key("a"), context.next_key("b")]
    assert keys == ["0", "1", "0"]


def test_a_context_survives_pickling():
    outer = flow_context()
    inner = task_context(outer)
    with running(inner), tags("x"):
        packed = cloudpickle.dumps(serialize_context())
    with hydrated_context(cloudpickle.loads(packed)):
        context = get_run_context()
        assert isinstance(context, TaskRunContext)
        assert context.task_run.id == inner.task_run.id
        assert context.flow_run is not None
        assert context.flow_run.id == outer.flow_run.id
        assert TagsContext.get().current_tags == {"x"}
    assert current_run.get() is None


def test_a_function_takes_its_context_to_another_thread():
    outer = flow_context()
    found: list[tuple[int, object]] = []
    with running(outer):
        wrapped = with_context(lambda n: found.append((n, FlowRunContext.get())))
    thread = threading.Thread(target=wrapped, args=(3,))
    thread.start()
    thread.join(5)
    ((number, context),) = found
    assert number == 3
    assert isinstance(context, FlowRunContext)
    assert context.flow_run.id == outer.flow_run.id


def test_no_context_is_restored_from_none():
    with hydrated_context(None):
        assert current_run.get() is None
