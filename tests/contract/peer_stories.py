"""Stories told by the peer's own SDK, unmodified, against whatever `PREFECT_API_URL` names.

Run by the peer's Python; prints one JSON line a story: its name, and what went wrong or null.
Each story asserts on what the API says afterwards, not only on what the SDK returned.
"""

import asyncio
import json
import sys
import threading
import time
import traceback

from prefect import flow, get_client, get_run_logger, pause_flow_run, tags, task
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import FailedRun
from prefect.flow_runs import resume_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run as running
from prefect.states import Cancelled, Cancelling, Completed, Pending, Running, Scheduled

STORIES = []


def story(function):
    STORIES.append(function)
    return function


def client():
    return get_client(sync_client=True)


def eventually(read, accept, seconds=20.0):
    """Read until accepted: task runs and logs are shipped in batches by the peer's SDK."""
    deadline = time.monotonic() + seconds
    while True:
        value = read()
        if accept(value):
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not accepted within {seconds} s: {value!r}")
        time.sleep(0.05)


def task_runs(flow_run_id):
    with client() as api:
        return api.read_task_runs(
            task_run_filter=TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[flow_run_id]))
        )


def completed_task_runs(flow_run_id, count):
    return eventually(
        lambda: [run for run in task_runs(flow_run_id) if run.state_type == StateType.COMPLETED],
        lambda runs: len(runs) == count,
    )


@task
def double(x: int) -> int:
    return x * 2


@story
def sync_flow_with_parameters():
    @flow(flow_run_name="add-{x}")
    def add(x: int, y: int = 2) -> int:
        return double(x) + y

    with tags("red"):
        state = add("3", return_state=True)
    assert state.result() == 8
    with client() as api:
        run = api.read_flow_run(state.state_details.flow_run_id)
    assert run.state_type == StateType.COMPLETED
    assert run.name == "add-3"
    assert run.parameters == {"x": "3", "y": 2} or run.parameters == {"x": 3, "y": 2}
    assert run.tags == ["red"]
    assert run.run_count == 1
    assert run.start_time <= run.end_time
    [only] = completed_task_runs(run.id, 1)
    assert only.name.startswith("double-")
    assert only.run_count == 1


@story
def async_flow():
    @task
    async def triple(x: int) -> int:
        await asyncio.sleep(0)
        return x * 3

    @flow
    async def product(x: int) -> str:
        assert await triple(x) == x * 3
        return str(running.id)

    run_id = asyncio.run(product(4))
    completed_task_runs(run_id, 1)


@story
def subflows():
    @flow
    def child(x: int) -> str:
        double(x)
        return str(running.id)

    @flow
    def parent() -> tuple[str, str]:
        return str(running.id), child(2)

    parent_id, child_id = parent()
    with client() as api:
        child_run = api.read_flow_run(child_id)
        stub = api.read_task_run(child_run.parent_task_run_id)
    assert str(stub.flow_run_id) == parent_id
    assert stub.state_type == StateType.COMPLETED
    assert str(stub.state.state_details.child_flow_run_id) == child_id


@story
def task_retries():
    attempts = []

    @task(retries=2)
    def flaky() -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError("not yet")
        return len(attempts)

    @flow
    def story_flow() -> str:
        assert flaky() == 3
        return str(running.id)

    [run] = completed_task_runs(story_flow(), 1)
    assert run.run_count == 3


@story
def flow_retries():
    attempts = []

    @flow(retries=1)
    def flaky() -> str:
        attempts.append(1)
        if len(attempts) < 2:
            raise ValueError("not yet")
        return str(running.id)

    run_id = flaky()
    with client() as api:
        run = api.read_flow_run(run_id)
        states = api._client.get("/flow_run_states/", params={"flow_run_id": run_id}).json()
    assert run.run_count == 2
    names = [state["name"] for state in states]
    assert names == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"] or names == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Running",
        "Completed",
    ], names


@story
def mapped_tasks():
    @flow
    def many() -> tuple[str, int]:
        futures = double.map(list(range(50)))
        return str(running.id), sum(futures.result())

    run_id, total = many()
    assert total == sum(range(50)) * 2
    completed_task_runs(run_id, 50)


@story
def dependencies_are_recorded():
    @flow
    def chain() -> str:
        first = double.submit(1)
        double.submit(first, wait_for=[first]).wait()
        return str(running.id)

    runs = completed_task_runs(chain(), 2)
    inputs = [run.task_inputs for run in runs]
    ids = {str(run.id) for run in runs}
    linked = [link for each in inputs for link in each.get("x", [])]
    assert any(str(getattr(link, "id", "")) in ids for link in linked), inputs


@story
def failing_flow():
    @flow
    def broken() -> None:
        raise ValueError("as planned")

    state = broken(return_state=True)
    with client() as api:
        run = api.read_flow_run(state.state_details.flow_run_id)
    assert run.state_type == StateType.FAILED
    assert "as planned" in run.state.message
    try:
        run.state.result()
    except (FailedRun, ValueError):
        pass
    else:
        raise AssertionError("the result of a failed run did not raise")


@story
def logs():
    @flow(log_prints=True)
    def talking() -> str:
        get_run_logger().warning("seen %s", "twice")
        print("printed")
        return str(running.id)

    run_id = talking()
    with client() as api:
        messages = eventually(
            lambda: [
                log.message
                for log in api.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
            ],
            lambda found: "seen twice" in found and "printed" in found,
        )
    assert messages.index("seen twice") < messages.index("printed")


@story
def pause_and_resume():
    def resume_when_paused(name):
        with client() as api:
            [run] = eventually(
                lambda: [
                    run
                    for run in api.read_flow_runs()
                    if run.name == name and run.state_type == StateType.PAUSED
                ],
                lambda runs: len(runs) == 1,
            )
        resume_flow_run(run.id)

    @flow(flow_run_name="pausing")
    def pausing() -> str:
        pause_flow_run(timeout=60, poll_interval=1)
        return str(running.id)

    other = threading.Thread(target=resume_when_paused, args=("pausing",))
    other.start()
    run_id = pausing()
    other.join()
    with client() as api:
        assert api.read_flow_run(run_id).state_type == StateType.COMPLETED


@story
def pause_for_input():
    class Answer(RunInput):
        number: int

    def answer(name):
        with client() as api:
            [run] = eventually(
                lambda: [
                    run
                    for run in api.read_flow_runs()
                    if run.name == name and run.state_type == StateType.PAUSED
                ],
                lambda runs: len(runs) == 1,
            )
        resume_flow_run(run.id, run_input={"number": 42})

    @flow(flow_run_name="asking")
    def asking() -> int:
        return pause_flow_run(wait_for_input=Answer, timeout=60, poll_interval=1).number

    other = threading.Thread(target=answer, args=("asking",))
    other.start()
    assert asking() == 42
    other.join()


@story
def cancellation_is_orchestrated():
    @flow
    def never_called() -> None: ...

    with client() as api:
        run = api.create_flow_run(never_called, state=Pending())
        assert api.set_flow_run_state(run.id, Running()).status.value == "ACCEPT"
        assert api.set_flow_run_state(run.id, Cancelling()).status.value == "ACCEPT"
        refused = api.set_flow_run_state(run.id, Completed())
        assert refused.status.value == "REJECT"
        assert refused.state.type == StateType.CANCELLING
        assert api.set_flow_run_state(run.id, Cancelled()).status.value == "ACCEPT"
        assert api.read_flow_run(run.id).end_time is not None

        waiting = api.create_flow_run(never_called, state=Scheduled())
        answer = api.set_flow_run_state(waiting.id, Cancelling())
        assert answer.status.value == "REJECT"
        assert answer.state.type == StateType.CANCELLED


@story
def persisted_results():
    @task(persist_result=True, result_storage_key="kept-{parameters[n]}")
    def keep(n: int) -> dict:
        return {"a": [n, 2]}

    @flow(persist_result=True)
    def keeping() -> str:
        assert keep(1) == {"a": [1, 2]}
        return "x" * 10

    state = keeping(return_state=True)
    with client() as api:
        run = api.read_flow_run(state.state_details.flow_run_id)
    assert run.state.data.storage_key
    assert run.state.result() == "x" * 10
    [kept] = completed_task_runs(run.id, 1)
    assert kept.state.result() == {"a": [1, 2]}


@story
def runs_can_be_counted_and_deleted():
    @flow
    def gone() -> str:
        return str(running.id)

    run_id = gone()
    with client() as api:
        found = api.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])))
        assert len(found) == 1
        api.delete_flow_run(found[0].id)
        again = api.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])))
    assert again == []


def main() -> int:
    failed = 0
    for each in STORIES:
        try:
            each()
            problem = None
        except BaseException:
            problem = traceback.format_exc()
            failed += 1
        print(json.dumps({"story": each.__name__, "problem": problem}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
