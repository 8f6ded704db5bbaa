"""Stories of the peer's commands that no other file tells; see peer_stories.py."""

import json
import signal
import threading
import time
import traceback
from uuid import uuid4

from peer_cli import prefect
from prefect import flow, get_client, get_run_logger, task
from prefect.client.schemas.objects import StateType
from prefect.states import Scheduled

STORIES = []


def story(function):
    STORIES.append(function)
    return function


def client():
    return get_client(sync_client=True)


@task(task_run_name="the-task")
def shout(word):
    get_run_logger().info("heard %s", word)
    return word.upper()


@flow(name="commanded")
def commanded(word="hey"):
    return shout(word)


def a_run():
    """A completed run whose task run and logs can be read."""
    state = commanded(return_state=True)
    id = str(state.state_details.flow_run_id)
    end = time.monotonic() + 20
    with client() as api:
        while not api.read_task_runs() or "heard hey" not in prefect("flow-run", "logs", id):
            assert time.monotonic() < end, "the run's task run and logs did not arrive"
    return id


@story
def flows_and_their_runs():
    id = a_run()
    assert "commanded" in prefect("flow", "ls")
    assert id in prefect("flow-run", "ls", "--flow-name", "commanded")
    assert id not in prefect("flow-run", "ls", "--state", "Crashed")
    shown = prefect("flow-run", "inspect", id)
    assert id in shown and "Completed" in shown
    assert json.loads(prefect("flow-run", "inspect", id, "-o", "json"))["id"] == id
    logs = prefect("flow-run", "logs", id, "--head", "--num-logs", "1")
    assert len([line for line in logs.splitlines() if line.strip()]) == 1
    assert "Completed" in prefect("flow-run", "watch", id)
    prefect("flow-run", "inspect", str(uuid4()), code=1)
    prefect("flow-run", "delete", id)
    prefect("flow-run", "inspect", id, code=1)


@story
def task_runs():
    id = a_run()
    with client() as api:
        [task_run] = [one for one in api.read_task_runs() if str(one.flow_run_id) == id]
    assert str(task_run.id) in prefect("task-run", "ls")
    assert str(task_run.id) not in prefect("task-run", "ls", "--state-type", "FAILED")
    assert "the-task" in prefect("task-run", "inspect", str(task_run.id))
    assert "heard hey" in prefect("task-run", "logs", str(task_run.id))
    prefect("task-run", "inspect", str(uuid4()), code=1)


@story
def runs_are_cancelled_retried_and_executed():
    with client() as api:
        waiting = api.create_flow_run(commanded, state=Scheduled())
        prefect("flow-run", "cancel", str(waiting.id))
        assert api.read_flow_run(waiting.id).state_type in (
            StateType.CANCELLED,
            StateType.CANCELLING,
        )
        prefect("flow-run", "cancel", str(uuid4()), code=1)


@story
def events_are_streamed():
    """The command listens until it is stopped; it prints what is told meanwhile."""
    name, over = f"streamed-{uuid4()}", threading.Event()

    def make_flows():
        with client() as api:
            while not over.wait(0.2):
                api.request("POST", "/flows/", json={"name": f"{name}-{time.monotonic()}"})

    busy = threading.Thread(target=make_flows)
    busy.start()
    try:
        printed = prefect("event", "stream", seconds=6, code=-signal.SIGALRM)
    finally:
        over.set()
        busy.join()
    events = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    told = [one for one in events if one["payload"].get("name", "").startswith(name)]
    assert told, "the command printed no event of a flow made while it listened"
    assert {one["event"] for one in told} == {"prefect.flow.created"}


@story
def the_api_is_called():
    name = f"called-{uuid4()}"
    made = json.loads(prefect("api", "POST", "/flows/", "--data", json.dumps({"name": name})))
    assert json.loads(prefect("api", "GET", f"/flows/{made['id']}"))["name"] == name
    prefect("api", "PATCH", f"/flows/{made['id']}", "--data", '{"tags": ["called"]}')
    assert json.loads(prefect("api", "GET", f"/flows/name/{name}"))["tags"] == ["called"]
    found = prefect("api", "POST", "/flows/filter", "--data", "{}")
    assert name in found
    prefect("api", "DELETE", f"/flows/{made['id']}")
    prefect("api", "GET", f"/flows/{made['id']}", code=4)
    # A program may tell by the code what went wrong: 4 for a refusal.
    prefect("api", "POST", "/flows/", "--data", "{}", code=4)


def main() -> None:
    for tell in STORIES:
        try:
            tell()
            problem = None
        except BaseException:
            problem = traceback.format_exc()
        print(json.dumps({"story": tell.__name__, "problem": problem}), flush=True)


if __name__ == "__main__":
    main()
