"""Pausing and suspending a flow from inside."""

import threading
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock import flow, pause_flow_run, resume_flow_run, suspend_flow_run, task
from penstock.client.embedded import EmbeddedTransport
from penstock.context import FlowRunContext
from penstock.schemas.errors import Pause


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path_factory.mktemp("home")) as api:
        yield api


def test_a_paused_flow_goes_on_when_it_is_resumed(api: EmbeddedApi) -> None:
    steps: list[str] = []

    @flow(name="pausing")
    def pausing() -> str:
        steps.append("before")
        context = FlowRunContext.get()
        assert context is not None
        run_id = context.flow_run.id

        def resume() -> None:
            while api.client.read_flow_run(run_id).state_name != "Paused":
                threading.Event().wait(0.01)
            resume_flow_run(run_id)

        resumer = threading.Thread(target=copy_context().run, args=(resume,))
        resumer.start()
        pause_flow_run(timeout=30, poll_interval=0)
        resumer.join()
        steps.append("after")
        return "done"

    assert pausing() == "done"
    assert steps == ["before", "after"]
    states = api.states(api.flow_run("pausing"))
    assert states[:3] == ["Pending", "Running", "Paused"]
    assert states[-1] == "Completed"


def test_a_suspended_flow_leaves_its_process(api: EmbeddedApi) -> None:
    """Without a deployment the server refuses, which stops the run without another state."""
    from penstock.schemas.errors import Abort

    @flow(name="suspending")
    def suspending() -> None:
        suspend_flow_run(timeout=30)

    with pytest.raises((Pause, Abort, RuntimeError)):
        suspending()


def test_a_flow_that_is_asked_to_suspend_starts_no_more_tasks(api: EmbeddedApi) -> None:
    called: list[int] = []

    @task
    def work() -> None:
        called.append(1)

    @flow(name="asked")
    def asked() -> None:
        context = FlowRunContext.get()
        assert context is not None
        work()
        context.requested = "suspend"
        work()

    with pytest.raises(Pause):
        asked()
    assert called == [1]


def test_requests_of_a_flow_run_do_not_grow_with_its_tasks(
    api: EmbeddedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    send = EmbeddedTransport.send

    def counting(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        sent.append(request.path)
        return send(self, request, *args, **kwargs)

    monkeypatch.setattr(EmbeddedTransport, "send", counting)

    @task
    def work(n: int) -> int:
        return n

    @flow(name="counted", flow_run_name="n={n}")
    def counted(n: int) -> None:
        for number in range(n):
            work(number)
        work.map(range(n)).result()

    counted(0)  # asks once per process which server this is
    for tasks in (0, 40):
        sent.clear()
        counted(tasks)
        of_run = [path for path in sent if not path.startswith(("/events", "/logs"))]
        assert len(of_run) == 3, of_run
