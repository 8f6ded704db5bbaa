"""Work pools, queues and workers, told by the peer's own SDK and commands, unmodified.

Run by the peer's Python against whatever `PREFECT_API_URL` names; prints one JSON line a story.
"""

import json
import os
import tempfile
import time
import traceback
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from peer_cli import prefect
from prefect import flow, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterType
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Scheduled

STORIES = []
FLOW = """
from prefect import flow

@flow(log_prints=True)
def greet(name: str = "nobody"):
    print(f"hello {name}")
    return name
"""


def story(function):
    STORIES.append(function)
    return function


def client():
    return get_client(sync_client=True)


def events(prefix):
    """Names of the stored events whose name begins with `prefix`, the newest first."""
    body = {"limit": 50, "filter": {"event": {"prefix": [prefix]}}}
    request = urllib.request.Request(
        os.environ["PREFECT_API_URL"] + "/events/filter",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["events"]


def pool(name, **fields):
    with client() as api:
        return api.create_work_pool(WorkPoolCreate(name=name, type="process", **fields))


@story
def a_pool_by_the_client():
    made = pool("by-client", description="first")
    assert (made.status.value, made.is_paused) == ("NOT_READY", False)
    with client() as api:
        try:
            api.create_work_pool(WorkPoolCreate(name="by-client", type="process"))
            raise AssertionError("a taken name was accepted")
        except ObjectAlreadyExists:
            pass
        api.create_work_pool(
            WorkPoolCreate(name="by-client", type="process", description="second"), overwrite=True
        )
        assert api.read_work_pool("by-client").description == "second"
        api.update_work_pool("by-client", WorkPoolUpdate(concurrency_limit=4))
        assert api.read_work_pool("by-client").concurrency_limit == 4
        found = api.read_work_pools(
            work_pool_filter=WorkPoolFilter(type=WorkPoolFilterType(any_=["process"]))
        )
        assert "by-client" in [one.name for one in found]
        assert [queue.name for queue in api.read_work_queues(work_pool_name="by-client")] == [
            "default"
        ]
        api.delete_work_pool("by-client")
        try:
            api.read_work_pool("by-client")
            raise AssertionError("a deleted pool was read")
        except ObjectNotFound:
            pass


@story
def a_template_with_an_undeclared_variable_is_refused():
    template = {"job_configuration": {"command": "{{ word }}"}, "variables": {"properties": {}}}
    try:
        pool("broken", base_job_template=template)
    except PrefectHTTPStatusError as error:
        assert error.response.status_code == 422 and "word" in error.response.text
    else:
        raise AssertionError("an undeclared variable was accepted")


@story
def queues_by_the_client():
    pool("queues")
    with client() as api:
        first = api.create_work_queue("first", priority=1, work_pool_name="queues")
        api.create_work_queue("second", work_pool_name="queues", concurrency_limit=2)
        listed = api.read_work_queues(work_pool_name="queues")
        assert [(one.name, one.priority) for one in listed] == [
            ("first", 1),
            ("default", 2),
            ("second", 3),
        ]
        api.update_work_queue(first.id, is_paused=True)
        assert api.read_work_queue(first.id).status.value == "PAUSED"
        assert [one.name for one in api.match_work_queues(["fi"], work_pool_name="queues")] == [
            "first"
        ]
        assert api.read_work_queue_by_name("second", work_pool_name="queues").concurrency_limit == 2
        assert api.read_work_queue_status(first.id).healthy is False
        api.delete_work_queue_by_id(first.id)
        try:
            api.read_work_queue(first.id)
            raise AssertionError("a deleted queue was read")
        except ObjectNotFound:
            pass
        default = api.read_work_queue_by_name("default", work_pool_name="queues")
        try:
            api.delete_work_queue_by_id(default.id)
            raise AssertionError("the default queue was deleted")
        except PrefectHTTPStatusError as error:
            assert error.response.status_code == 409


@story
def a_poll_obeys_priorities_and_limits():
    pool("polled", concurrency_limit=3)

    @flow
    def waiting():
        pass

    with client() as api:
        api.create_work_queue("urgent", priority=1, concurrency_limit=2, work_pool_name="polled")
        for queue in ("default", "urgent"):
            for _ in range(3):
                api.create_flow_run(
                    waiting,
                    state=Scheduled(),
                    work_pool_name="polled",
                    work_queue_name=queue,
                )
        soon = datetime.now(UTC) + timedelta(seconds=10)
        polled = api.get_scheduled_flow_runs_for_work_pool("polled", scheduled_before=soon)
        assert [one.flow_run.work_queue_name for one in polled] == ["urgent", "urgent", "default"]
        run = api.read_flow_run(polled[0].flow_run.id)
        assert (run.work_pool_name, run.work_queue_name) == ("polled", "urgent")
        statuses = {one.name: one.status.value for one in api.read_work_queues("polled")}
        assert statuses == {"urgent": "READY", "default": "READY"}
        api.update_work_pool("polled", WorkPoolUpdate(is_paused=True))
        assert api.get_scheduled_flow_runs_for_work_pool("polled", scheduled_before=soon) == []


@story
def a_heartbeat_makes_a_pool_ready():
    pool("beating")
    with client() as api:
        api.send_worker_heartbeat("beating", "w1", heartbeat_interval_seconds=30)
        (worker,) = api.read_workers_for_work_pool("beating")
        assert (worker.name, worker.status.value) == ("w1", "ONLINE")
        assert api.read_work_pool("beating").status.value == "READY"
    assert "prefect.work-pool.ready" in [one["event"] for one in events("prefect.work-pool.")]


@story
def commands_on_pools():
    assert "Created work pool" in prefect("work-pool", "create", "cli", "--type", "process")
    assert "cli" in prefect("work-pool", "ls")
    prefect("work-pool", "update", "cli", "--description", "told", "--concurrency-limit", "4")
    assert "told" in prefect("work-pool", "inspect", "cli")
    prefect("work-pool", "pause", "cli")
    with client() as api:
        assert api.read_work_pool("cli").status.value == "PAUSED"
    prefect("work-pool", "resume", "cli")
    prefect("work-pool", "set-concurrency-limit", "cli", "2")
    prefect("work-pool", "clear-concurrency-limit", "cli")
    with client() as api:
        assert api.read_work_pool("cli").concurrency_limit is None
    assert "0 active" in prefect("work-pool", "slots", "cli")
    prefect("work-pool", "preview", "cli")
    prefect("work-pool", "delete", "cli")
    prefect("work-pool", "inspect", "cli", code=1)


@story
def commands_on_queues():
    pool("cliq")
    of_pool = ("--pool", "cliq")
    prefect("work-queue", "create", "fast", "--priority", "1", "--limit", "3", *of_pool)
    assert "fast" in prefect("work-queue", "ls", *of_pool)
    prefect("work-queue", "set-concurrency-limit", "fast", "5", *of_pool)
    prefect("work-queue", "clear-concurrency-limit", "fast", *of_pool)
    prefect("work-queue", "pause", "fast", *of_pool)
    assert "PAUSED" in prefect("work-queue", "inspect", "fast", *of_pool)
    prefect("work-queue", "resume", "fast", *of_pool)
    prefect("work-queue", "preview", "fast", *of_pool)
    prefect("work-queue", "read-runs", "fast", *of_pool)
    assert "0 active" in prefect("work-queue", "slots", "fast", *of_pool)
    prefect("work-queue", "delete", "fast", *of_pool)
    prefect("work-queue", "create", "alone")
    assert "default-agent-pool" in prefect("work-queue", "inspect", "alone")


@story
def a_worker_runs_a_deployment():
    pool("working")
    with tempfile.TemporaryDirectory() as directory, client() as api:
        Path(directory, "greeting.py").write_text(FLOW)
        flow_id = api.create_flow_from_name("greet")
        deployment_id = api.create_deployment(
            flow_id,
            "worked",
            path=directory,
            entrypoint="greeting.py:greet",
            work_pool_name="working",
            parameters={"name": "worker"},
            enforce_parameter_schema=False,
        )
        run = api.create_flow_run_from_deployment(deployment_id)
        prefect(
            *("worker", "start", "--pool", "working", "--type", "process", "--name", "w"),
            "--run-once",
        )
        done = api.read_flow_run(run.id)
        assert done.state_type.value == "COMPLETED", done.state
        assert (done.work_pool_name, done.work_queue_name) == ("working", "default")
        assert api.read_work_pool("working").status.value == "READY"
        assert api.read_deployment(deployment_id).status.value == "READY"
        assert [one.name for one in api.read_workers_for_work_pool("working")] == ["w"]
    completed = next(
        one
        for one in events("prefect.flow-run.Completed")
        if one["resource"]["prefect.resource.id"].endswith(str(run.id))
    )
    roles = {one["prefect.resource.role"]: one for one in completed["related"]}
    assert roles["work-pool"]["prefect.resource.name"] == "working"
    assert roles["work-queue"]["prefect.resource.name"] == "default"


def main():
    for tell in STORIES:
        started = time.monotonic()
        try:
            tell()
            problem = None
        except BaseException:
            problem = traceback.format_exc()
        line = {"story": tell.__name__, "problem": problem, "seconds": time.monotonic() - started}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
