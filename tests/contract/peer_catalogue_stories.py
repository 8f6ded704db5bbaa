"""The catalogue of events through the peer's own client: each operation, its event, its audit row.

Exact labels, payloads and rows are asserted over REST in tests/catalogue; here it is what the
peer's client does that makes them. The server's own loops may tell of other objects meanwhile, so
only what this client asked for is looked at.
"""

import json
import os
import traceback
import urllib.request
from uuid import uuid4

import prefect
from prefect import flow, get_client, task
from prefect.automations import Automation
from prefect.blocks.system import Secret
from prefect.client.schemas.actions import (
    ArtifactCreate,
    ArtifactUpdate,
    BlockDocumentCreate,
    BlockDocumentUpdate,
    BlockSchemaCreate,
    BlockTypeCreate,
    BlockTypeUpdate,
    DeploymentScheduleCreate,
    DeploymentUpdate,
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    VariableCreate,
    VariableUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.actions import DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.states import Cancelled, Completed, Paused, Pending, Running, Scheduled

STORIES = []


def story(function):
    STORIES.append(function)
    return function


def ask(path, body):
    request = urllib.request.Request(
        os.environ["PREFECT_API_URL"] + path,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


class Told:
    """What the server tells of the operations performed through `api`."""

    def __init__(self, api):
        self.api = api
        self._last = self._newest()

    def _newest(self):
        records = ask("/audit/filter", {"limit": 1})["records"]
        return records[0]["seq"] if records else -1

    def expect(self, *expected):
        """Exactly these since the last time: event names with the ids of their objects."""
        page = ask("/audit/filter", {"order": "ASC", "after": self._last})
        rows = [row for row in page["records"] if by_this_client(row)]
        body = {"limit": 50, "filter": {"id": {"id": [row["id"] for row in rows]}}}
        found = ask("/events/filter", body)["events"] if rows else []
        events = {event["id"]: event for event in found}
        told = [
            (events[row["id"]]["event"], row["object_id"]) for row in rows if row["id"] in events
        ]
        assert told == [(name, str(id)) for name, id in expected], told
        for row in rows:
            event = events[row["id"]]
            kind, name = row["kind"], row["object_name"]
            resource = event["resource"]
            assert resource["prefect.resource.id"] == f"prefect.{kind}.{row['object_id']}"
            assert resource["prefect.resource.name"] == name
            assert event["actor"]["type"] == row["actor"]["type"] == "anonymous"
            assert event["request"]["id"] == row["request"]["id"]
            assert event.get("changes", []) == row["changes"]
            assert event.get("caused_by") == row.get("caused_by")
            assert (row["after"] is None) == (row["action"] == "deleted")
        self._last = self._newest()


def by_this_client(row):
    agent = (row.get("request") or {}).get("user_agent") or ""
    return agent.startswith(f"prefect/{prefect.__version__}")


def every(kind, id):
    return [(f"prefect.{kind}.{action}", id) for action in ("created", "updated", "deleted")]


def name():
    return f"told-{uuid4()}"


@story
def variables():
    with get_client(sync_client=True) as api:
        told, key = Told(api), name().replace("-", "_")
        made = api.create_variable(VariableCreate(name=key, value={"a": 1}))
        for _ in range(2):
            api.update_variable(VariableUpdate(name=key, value=2))
        api.delete_variable_by_name(key)
        told.expect(*every("variable", made.id))


@story
def flows_and_deployments():
    @flow(name=name())
    def of():
        pass

    with get_client(sync_client=True) as api:
        told = Told(api)
        flow_id = api.create_flow(of)
        assert api.create_flow(of) == flow_id
        told.expect(("prefect.flow.created", flow_id))
        schedule = DeploymentScheduleCreate(
            schedule=CronSchedule(cron="0 0 1 1 *", timezone="UTC"), active=False
        )
        id = api.create_deployment(flow_id, "told", schedules=[schedule], concurrency_limit=1)
        [planned] = api.read_deployment_schedules(id)
        limit = api.read_global_concurrency_limit_by_name(f"deployment:{id}")
        told.expect(
            ("prefect.concurrency-limit.created", limit.id),
            ("prefect.deployment.created", id),
            ("penstock.deployment-schedule.created", planned.id),
        )
        for _ in range(2):
            api.update_deployment(id, DeploymentUpdate(description="words"))
            api.pause_deployment(id)
            api.pause_deployment(id)
            api.resume_deployment(id)
            api.update_deployment_schedule(id, planned.id, slug="yearly")
        told.expect(
            ("prefect.deployment.updated", id),
            ("prefect.deployment.updated", id),
            ("prefect.deployment.updated", id),
            ("penstock.deployment-schedule.updated", planned.id),
            ("prefect.deployment.updated", id),
            ("prefect.deployment.updated", id),
        )
        api.get_scheduled_flow_runs_for_deployments([id])
        told.expect(("prefect.deployment.ready", id))
        api.delete_deployment_schedule(id, planned.id)
        api.delete_deployment(id)
        api.delete_flow(flow_id)
        told.expect(
            ("penstock.deployment-schedule.deleted", planned.id),
            ("prefect.concurrency-limit.deleted", limit.id),
            ("prefect.deployment.deleted", id),
            ("prefect.flow.deleted", flow_id),
        )


@story
def blocks():
    with get_client(sync_client=True) as api:
        told, slug = Told(api), name()
        kind = api.create_block_type(BlockTypeCreate(name=slug, slug=slug))
        for _ in range(2):
            api.update_block_type(kind.id, BlockTypeUpdate(description="words"))
        fields = {"title": slug, "type": "object", "properties": {}, "secret_fields": ["key"]}
        schema = api.create_block_schema(
            BlockSchemaCreate(fields=fields, block_type_id=kind.id, capabilities=["write-path"])
        )
        made = api.create_block_document(
            BlockDocumentCreate(
                name="told",
                data={"key": "canary", "host": "h"},
                block_schema_id=schema.id,
                block_type_id=kind.id,
            )
        )
        for _ in range(2):
            api.update_block_document(
                made.id, BlockDocumentUpdate(data={"key": "canary", "host": "i"})
            )
        told.expect(
            ("prefect.block-type.created", kind.id),
            ("prefect.block-type.updated", kind.id),
            ("penstock.block-schema.created", schema.id),
            ("prefect.block-document.created", made.id),
            ("prefect.block-document.updated", made.id),
        )
        api.update_server_default_result_storage(made.id)
        told.expect(("penstock.configuration.updated", "default_result_storage"))
        api.clear_server_default_result_storage()
        told.expect(("penstock.configuration.updated", "default_result_storage"))
        api.delete_block_document(made.id)
        api.delete_block_type(kind.id)
        told.expect(
            ("prefect.block-document.deleted", made.id),
            ("penstock.block-schema.deleted", schema.id),
            ("prefect.block-type.deleted", kind.id),
        )


@story
def a_block_class():
    Secret(value="canary").save("told-secret")
    with get_client(sync_client=True) as api:
        told = Told(api)
        made = api.read_block_document_by_name("told-secret", "secret")
        Secret(value="canary-two").save("told-secret", overwrite=True)
        Secret.delete("told-secret")
        told.expect(
            ("prefect.block-document.updated", made.id),
            ("prefect.block-document.deleted", made.id),
        )


@story
def limits():
    with get_client(sync_client=True) as api:
        told, key = Told(api), name()
        id = api.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=key, limit=1))
        for _ in range(2):
            api.update_global_concurrency_limit(key, GlobalConcurrencyLimitUpdate(limit=2))
        api.increment_concurrency_slots([key], 1, "concurrency")
        api.release_concurrency_slots([key], 1, 1.0)
        api.delete_global_concurrency_limit_by_name(key)
        told.expect(*every("concurrency-limit", id))
        tag = api.create_concurrency_limit(key, 1)
        for _ in range(2):
            api.create_concurrency_limit(key, 2)
        api.reset_concurrency_limit_by_tag(key)
        api.delete_concurrency_limit_by_tag(key)
        told.expect(*every("concurrency-limit", tag))


@story
def artifacts():
    with get_client(sync_client=True) as api:
        told, key = Told(api), name()
        first = api.create_artifact(ArtifactCreate(key=key, type="markdown", data="one"))
        second = api.create_artifact(ArtifactCreate(key=key, type="markdown", data="two"))
        [latest] = ask("/artifacts/latest/filter", {"artifacts": {"key": {"any_": [key]}}})
        for _ in range(2):
            api.update_artifact(second.id, ArtifactUpdate(data="three"))
        api.delete_artifact(second.id)
        api.delete_artifact(first.id)
        told.expect(
            ("prefect.artifact-collection.created", latest["id"]),
            ("prefect.artifact-collection.updated", latest["id"]),
            ("penstock.artifact.updated", second.id),
            ("prefect.artifact-collection.updated", latest["id"]),
            ("penstock.artifact.deleted", second.id),
            ("prefect.artifact-collection.updated", latest["id"]),
            ("penstock.artifact.deleted", first.id),
            ("prefect.artifact-collection.deleted", latest["id"]),
        )


@story
def automations():
    trigger = EventTrigger(expect={"never"}, posture=Posture.Reactive, threshold=1)
    core = AutomationCore(name=name(), trigger=trigger, actions=[DoNothing()])
    with get_client(sync_client=True) as api:
        told = Told(api)
        id = api.create_automation(core)
        for _ in range(2):
            api.pause_automation(id)
        api.resume_automation(id)
        for _ in range(2):
            api.update_automation(id, core.model_copy(update={"description": "words"}))
        api.delete_automation(id)
        created, updated, deleted = every("automation", id)
        told.expect(created, updated, updated, updated, deleted)
    made = Automation(name=name(), trigger=trigger, actions=[DoNothing()]).create()
    made.delete()
    told.expect(
        ("prefect.automation.created", made.id),
        ("prefect.automation.deleted", made.id),
    )


@story
def work():
    with get_client(sync_client=True) as api:
        told, key = Told(api), name()
        pool = api.create_work_pool(WorkPoolCreate(name=key, type="process"))
        for _ in range(2):
            api.update_work_pool(key, WorkPoolUpdate(description="words"))
        for _ in range(2):
            api.update_work_pool(key, WorkPoolUpdate(is_paused=True))
        api.update_work_pool(key, WorkPoolUpdate(is_paused=False))
        told.expect(
            ("prefect.work-queue.created", pool.default_queue_id),
            ("prefect.work-pool.created", pool.id),
            ("prefect.work-pool.not-ready", pool.id),
            ("prefect.work-pool.updated", pool.id),
            ("prefect.work-pool.paused", pool.id),
            ("prefect.work-pool.not-ready", pool.id),
        )
        queue = api.create_work_queue("told", priority=1, work_pool_name=key)
        for _ in range(2):
            api.update_work_queue(queue.id, description="words")
        for _ in range(2):
            api.update_work_queue(queue.id, is_paused=True)
        api.update_work_queue(queue.id, is_paused=False)
        told.expect(
            ("prefect.work-queue.updated", pool.default_queue_id),
            ("prefect.work-queue.created", queue.id),
            ("prefect.work-queue.updated", queue.id),
            ("prefect.work-queue.paused", queue.id),
            ("prefect.work-queue.not-ready", queue.id),
        )
        for _ in range(2):
            api.send_worker_heartbeat(key, "told", 30)
        [worker] = api.read_workers_for_work_pool(key)
        told.expect(
            ("penstock.worker.online", worker.id),
            ("prefect.work-pool.ready", pool.id),
        )
        for _ in range(2):
            api.get_scheduled_flow_runs_for_work_pool(key, ["told"])
        told.expect(("prefect.work-queue.ready", queue.id))
        api.delete_work_queue_by_id(queue.id)
        api.delete_work_pool(key)
        told.expect(
            ("prefect.work-queue.deleted", queue.id),
            ("penstock.worker.deleted", worker.id),
            ("prefect.work-queue.deleted", pool.default_queue_id),
            ("prefect.work-pool.deleted", pool.id),
        )


@story
def runs():
    @flow(name=name())
    def of():
        pass

    @task
    def work():
        pass

    with get_client(sync_client=True) as api:
        api.create_flow(of)
        told = Told(api)
        run = api.create_flow_run(of, state=Scheduled())
        # The second Pending is refused, which is no transition.
        for state in (Pending(), Running(), Pending(), Paused(timeout_seconds=60)):
            api.set_flow_run_state(run.id, state)
        api.resume_flow_run(run.id)
        api.set_flow_run_state(run.id, Completed())
        api.set_flow_run_state(run.id, Cancelled(), force=True)
        told.expect(
            *(
                (f"prefect.flow-run.{state}", run.id)
                for state in (
                    "Scheduled",
                    "Pending",
                    "Running",
                    "Paused",
                    "Running",
                    "Completed",
                    "Cancelled",
                )
            )
        )
        for _ in range(2):
            api.set_flow_run_name(run.id, "renamed")
        api.update_flow_run_labels(run.id, {"team": "a"})
        api.create_flow_run_input(run.id, "key", "1")
        api.delete_flow_run_input(run.id, "key")
        told.expect(
            ("penstock.flow-run.updated", run.id),
            ("penstock.flow-run.updated", run.id),
        )
        task_run = api.create_task_run(work, run.id, "0")
        api.delete_task_run(task_run.id)
        api.delete_flow_run(run.id)
        told.expect(
            ("penstock.task-run.deleted", task_run.id),
            ("penstock.flow-run.deleted", run.id),
        )


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
