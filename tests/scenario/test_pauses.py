"""Runs that wait: for a person, for another run, for nobody."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock import flow, pause_flow_run, resume_flow_run, task
from penstock.flow_runs import (
    apause_flow_run,
    aresume_flow_run,
    await_for_flow_run,
    suspend_flow_run,
    wait_for_flow_run,
)
from penstock.input import RunInput, receive_input, send_input
from penstock.input.run_input import asend_input
from penstock.runtime import flow_run, task_run
from penstock.schemas.errors import FlowPauseTimeout, NotPausedError


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path_factory.mktemp("home")) as api:
        yield api


class Approval(RunInput):
    ok: bool
    note: str = "none"


class Person:
    """Works on another thread: waits until a run of the flow is paused, then does something."""

    def __init__(self, api: EmbeddedApi, flow_name: str, act: Callable[[UUID], Any]) -> None:
        self._api = api
        self._flow_name = flow_name
        self._act = act
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=copy_context().run, args=(self._work,))

    def _work(self) -> None:
        try:
            while True:
                runs = [
                    run
                    for run in self._api.flow_runs()
                    if run.state is not None and run.state.is_paused()
                ]
                if runs:
                    break
                threading.Event().wait(0.02)
            self._act(runs[0].id)
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


def test_a_paused_flow_goes_on_with_what_a_person_gave(api: EmbeddedApi) -> None:
    @flow(name="asks")
    def asks() -> tuple[bool, str, int]:
        approval: Any = pause_flow_run(wait_for_input=Approval, timeout=30, poll_interval=0.02)
        count: Any = pause_flow_run(wait_for_input=int, timeout=30, poll_interval=0.02)
        return approval.ok, approval.note, count

    def answer(run_id: UUID) -> None:
        with pytest.raises(RuntimeError, match="ok"):
            resume_flow_run(run_id, {"note": "no decision"})
        resume_flow_run(run_id, {"ok": True, "note": "fine"})
        with Person(api, "asks", lambda same: resume_flow_run(same, {"value": 3})):
            pass

    with Person(api, "asks", answer):
        assert asks() == (True, "fine", 3)
    states = api.states(api.flow_run("asks"))
    assert states == ["Pending", "Running", "Paused", "Running", "Paused", "Running", "Completed"]


def test_a_coroutine_flow_pauses_without_blocking_its_loop(api: EmbeddedApi) -> None:
    turns = []

    @flow(name="asks-awaited")
    async def asks_awaited() -> Any:
        async def turn() -> None:
            while True:
                turns.append(1)
                await asyncio.sleep(0.01)

        turning = asyncio.create_task(turn())
        try:
            return await apause_flow_run(wait_for_input=str, timeout=30, poll_interval=0.05)
        finally:
            turning.cancel()

    def answer(run_id: UUID) -> None:
        asyncio.run(aresume_flow_run(run_id, {"value": "given"}))

    with Person(api, "asks-awaited", answer):
        assert asyncio.run(asks_awaited()) == "given"
    assert len(turns) > 2


def test_a_pause_that_nobody_ends_fails_the_run(api: EmbeddedApi) -> None:
    @flow(name="forgotten")
    def forgotten() -> None:
        pause_flow_run(timeout=0.05, poll_interval=0.02)

    with pytest.raises(FlowPauseTimeout):
        forgotten()
    run = api.flow_run("forgotten")
    assert run.state is not None
    assert run.state.is_failed()
    with pytest.raises(NotPausedError):
        resume_flow_run(run.id)


def test_only_a_run_of_a_deployment_can_be_suspended(api: EmbeddedApi) -> None:
    @flow(name="alone")
    def alone() -> None:
        suspend_flow_run(timeout=10)

    with pytest.raises(RuntimeError, match="deployment"):
        alone()


def test_a_task_cannot_pause_its_flow(api: EmbeddedApi) -> None:
    @task
    def pausing() -> None:
        pause_flow_run(timeout=1)

    @flow(name="delegates")
    def delegates() -> None:
        pausing()

    with pytest.raises(RuntimeError, match="inside a task"):
        delegates()


def test_runs_send_each_other_messages_and_answer(api: EmbeddedApi) -> None:
    @flow(name="talker")
    def talker() -> list[Any]:
        own = UUID(str(flow_run.id))
        send_input("hello", own)
        send_input("world", own)
        send_input(Approval(ok=False), own)
        words = list(receive_input(str, timeout=0, poll_interval=0.01))
        asked = next(receive_input(Approval, timeout=5, poll_interval=0.01))
        asked.respond(41)
        answer = receive_input(int, timeout=5, poll_interval=0.01, with_metadata=True).next()
        return [words, asked.ok, answer.value, answer.metadata.sender == f"prefect.flow-run.{own}"]

    words, ok, answer, sender = talker()
    assert sorted(words) == ["hello", "world"]
    assert (ok, answer, sender) == (False, 41, True)


def test_messages_are_received_in_a_coroutine(api: EmbeddedApi) -> None:
    @flow(name="listener")
    async def listener() -> list[int]:
        own = UUID(str(flow_run.id))
        for number in range(3):
            await asend_input(number, own)
        return [n async for n in receive_input(int, timeout=0, poll_interval=0.01)]

    assert sorted(asyncio.run(listener())) == [0, 1, 2]


def test_a_run_is_waited_for(api: EmbeddedApi) -> None:
    started, go = threading.Event(), threading.Event()

    @flow(name="slow")
    def slow() -> None:
        started.set()
        go.wait(30)

    thread = threading.Thread(target=copy_context().run, args=(slow,))
    thread.start()
    assert started.wait(30)
    run_id = api.flow_run("slow").id

    async def both() -> Any:
        waiting = asyncio.create_task(await_for_flow_run(run_id, timeout=30))
        await asyncio.sleep(0)
        go.set()
        return await waiting

    assert asyncio.run(both()).state.is_completed()
    thread.join(30)
    assert wait_for_flow_run(run_id, timeout=0).id == run_id


def test_the_runtime_knows_flow_task_and_subflow(api: EmbeddedApi, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    @task(name="inner-task", tags={"t"})
    def inner(y: int) -> None:
        seen["task"] = (
            task_run.task_name,
            task_run.parameters,
            task_run.tags,
            task_run.run_count,
            flow_run.id,
        )

    @flow(name="child")
    def child(x: int) -> None:
        seen["child"] = (
            flow_run.flow_name,
            flow_run.parameters,
            flow_run.parent_flow_run_id,
            flow_run.root_flow_run_id,
        )
        inner(2)
        seen["child id"] = flow_run.id

    @flow(name="parent")
    def parent() -> None:
        seen["parent id"] = flow_run.id
        child(1)

    parent()
    assert seen["child"] == ("child", {"x": 1}, seen["parent id"], seen["parent id"])
    assert seen["task"] == ("inner-task", {"y": 2}, ["t"], 1, seen["child id"])
