"""Stories of concurrency limits, told by the peer's own SDK and commands; see peer_stories.py."""

import asyncio
import json
import threading
import traceback
from uuid import uuid4

from peer_cli import prefect
from prefect import flow, get_client, task
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
)
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.concurrency.asyncio import concurrency as aconcurrency
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Pending, Running

STORIES = []


def story(function):
    STORIES.append(function)
    return function


def client():
    return get_client(sync_client=True)


def make(name, limit, **fields):
    with client() as api:
        return api.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=name, limit=limit, **fields)
        )


def taken(name):
    with client() as api:
        return api.read_global_concurrency_limit_by_name(name).active_slots


@story
def global_limits_by_the_client():
    id = make("client-made", 3, slot_decay_per_second=0.5)
    with client() as api:
        limit = api.read_global_concurrency_limit_by_name("client-made")
        assert (limit.id, limit.limit, limit.slot_decay_per_second) == (id, 3, 0.5)
        api.update_global_concurrency_limit(
            "client-made", GlobalConcurrencyLimitUpdate(limit=5, active=False)
        )
        limit = api.read_global_concurrency_limit_by_name("client-made")
        assert (limit.limit, limit.active) == (5, False)
        api.upsert_global_concurrency_limit_by_name("client-made", 7)
        api.upsert_global_concurrency_limit_by_name("upserted", 2)
        limits = {one.name: one.limit for one in api.read_global_concurrency_limits(limit=100)}
        assert limits["client-made"] == 7 and limits["upserted"] == 2
        api.delete_global_concurrency_limit_by_name("client-made")
        try:
            api.read_global_concurrency_limit_by_name("client-made")
        except ObjectNotFound:
            pass
        else:
            raise AssertionError("it is still there")


@story
def slots_in_ordinary_code():
    make("sync", 2)
    most = []
    lock = threading.Lock()

    def work():
        with concurrency("sync"), lock:
            most.append(taken("sync"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 4 and max(most) <= 2, most
    assert taken("sync") == 0


@story
def slots_in_coroutines():
    make("async", 1)

    async def work():
        async with aconcurrency("async", occupy=1, timeout_seconds=30):
            assert taken("async") == 1

    async def both():
        await asyncio.gather(work(), work())

    asyncio.run(both())
    assert taken("async") == 0


@story
def a_timeout_is_told():
    make("full", 1, active_slots=1)
    try:
        with concurrency("full", timeout_seconds=0.5):
            raise AssertionError("there was no slot")
    except TimeoutError:
        pass


@story
def rates():
    make("rate", 2, slot_decay_per_second=10)
    for _ in range(3):
        rate_limit("rate")
    assert taken("rate") <= 2


@story
def tags_of_tasks():
    with client() as api:
        api.create_concurrency_limit(tag="db", concurrency_limit=1)
    seen = []

    @task(tags=["db"])
    def query(n):
        seen.append(taken("tag:db"))
        return n

    @flow
    def etl():
        return [future.result() for future in query.map([1, 2, 3])]

    assert etl() == [1, 2, 3]
    assert seen == [1, 1, 1]
    assert taken("tag:db") == 0
    with client() as api:
        limit = api.read_concurrency_limit_by_tag("db")
        assert (limit.tag, limit.concurrency_limit, limit.active_slots) == ("db", 1, [])
        assert "db" in [one.tag for one in api.read_concurrency_limits(limit=100, offset=0)]
        run = uuid4()
        api.increment_v1_concurrency_slots(["db"], run)
        assert api.read_concurrency_limit_by_tag("db").active_slots == [run]
        api.decrement_v1_concurrency_slots(["db"], run, 1.0)
        assert api.read_concurrency_limit_by_tag("db").active_slots == []
        api.reset_concurrency_limit_by_tag("db", slot_override=[run])
        assert taken("tag:db") == 1
        api.reset_concurrency_limit_by_tag("db")
        assert taken("tag:db") == 0
        api.delete_concurrency_limit_by_tag("db")


@story
def a_task_run_that_the_server_decides():
    """The peer's own server blocks all writers for a minute here and then refuses."""
    with client() as api:
        api.create_concurrency_limit(tag="slow", concurrency_limit=1)

        @flow
        def parent():
            pass

        @task(tags=["slow"])
        def work():
            pass

        run = api.create_flow_run(parent, state=Pending())
        api.set_flow_run_state(run.id, Running())
        first = api.create_task_run(work, run.id, dynamic_key="0", state=Pending())
        second = api.create_task_run(work, run.id, dynamic_key="1", state=Pending())
        assert api.set_task_run_state(first.id, Running()).status.value == "ACCEPT"
        waits = api.set_task_run_state(second.id, Running())
        assert waits.status.value == "WAIT" and 1 <= waits.details.delay_seconds <= 10
        assert api.set_task_run_state(first.id, Completed()).status.value == "ACCEPT"
        assert api.set_task_run_state(second.id, Running()).status.value == "ACCEPT"
        assert taken("tag:slow") == 1


@story
def a_deployment_with_a_limit():
    with client() as api:

        @flow
        def deployed():
            pass

        flow_id = api.create_flow(deployed)
        deployment = api.create_deployment(flow_id, name="limited", concurrency_limit=1)
        first = api.create_flow_run_from_deployment(deployment)
        second = api.create_flow_run_from_deployment(deployment)
        assert api.set_flow_run_state(first.id, Pending()).status.value == "ACCEPT"
        waits = api.set_flow_run_state(second.id, Pending())
        assert waits.status.value == "REJECT"
        assert waits.state.name == "AwaitingConcurrencySlot"
        assert api.set_flow_run_state(first.id, Running()).status.value == "ACCEPT"
        assert api.read_deployment(deployment).global_concurrency_limit.active_slots == 1
        assert api.set_flow_run_state(first.id, Completed()).status.value == "ACCEPT"
        assert api.read_deployment(deployment).global_concurrency_limit.active_slots == 0
        assert api.set_flow_run_state(second.id, Pending()).status.value == "ACCEPT"
        runs = api.read_flow_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[second.id]))
        )
        assert runs[0].state.name == "Pending"


@story
def changes_are_told():
    make("told", 1)
    with client() as api:
        api.update_global_concurrency_limit("told", GlobalConcurrencyLimitUpdate(limit=2))
        api.delete_global_concurrency_limit_by_name("told")
        page = api.read_events(
            filter=EventFilter(event=EventNameFilter(prefix=["prefect.concurrency-limit."])),
            limit=50,
        )
    mine = [
        (event.event.rpartition(".")[2], event.payload["limit"])
        for event in page.events
        if event.resource.name == "told"
    ]
    assert sorted(mine) == [("created", 1), ("deleted", 2), ("updated", 2)], mine


@story
def commands():
    prefect("gcl", "create", "cli", "--limit", "4", "--slot-decay-per-second", "0.5")
    shown = json.loads(prefect("gcl", "inspect", "cli", "-o", "json"))
    assert (shown["limit"], shown["slot_decay_per_second"]) == (4, 0.5)
    prefect("gcl", "update", "cli", "--limit", "6")
    prefect("gcl", "disable", "cli")
    prefect("gcl", "enable", "cli")
    assert "cli" in prefect("gcl", "ls")
    assert json.loads(prefect("gcl", "inspect", "cli", "-o", "json"))["limit"] == 6
    prefect("gcl", "delete", "cli")
    prefect("concurrency-limit", "create", "cli-tag", "2")
    assert "cli-tag" in prefect("concurrency-limit", "ls")
    assert "cli-tag" in prefect("concurrency-limit", "inspect", "cli-tag")
    prefect("concurrency-limit", "reset", "cli-tag")
    prefect("concurrency-limit", "delete", "cli-tag")


def main():
    for function in STORIES:
        problem = None
        try:
            function()
        except BaseException:
            problem = traceback.format_exc()
        print(json.dumps({"story": function.__name__, "problem": problem}), flush=True)


if __name__ == "__main__":
    main()
