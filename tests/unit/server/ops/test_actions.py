"""What fired automations do: every kind of action, its targets, its outcome, its failures."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World
from tests.deployments import deploy
from tests.firing import Automations

from penstock.base import json
from penstock.schemas.blocks import BlockDocumentCreate
from penstock.schemas.logs import LogCreate
from penstock.schemas.states import StateType
from penstock.schemas.work import WorkPoolCreate
from penstock.server.ops import (
    automations,
    block_documents,
    bundled_blocks,
    logs,
    work_pools,
    work_queues,
)
from penstock.server.security.outbound import Outbound, OutboundPolicy, signature


@pytest.fixture
def run(world: World) -> Iterator[Automations]:
    yield Automations(world)


def fire(run: Automations, *actions: dict[str, Any], **event: Any) -> dict[str, Any]:
    """Fire an automation with these actions; the last outcome's event."""
    run.make({"expect": ["go"]}, *actions)
    run.emit("go", **event)
    run.turn()
    rows = run.told("prefect.automation.action.executed")
    rows += run.told("prefect.automation.action.failed")
    return rows[-1]


def related(kind: str, id: Any) -> list[dict[str, str]]:
    return [{"prefect.resource.id": f"prefect.{kind}.{id}", "prefect.resource.role": kind}]


def touched(row: dict[str, Any], role: str = "target") -> list[str]:
    return [
        one["prefect.resource.id"] for one in row["related"] if one["prefect.resource.role"] == role
    ]


def failure(row: dict[str, Any]) -> str:
    assert row["event"].endswith("failed")
    return row["payload"]["reason"]


# --- deployments ---------------------------------------------------------------------------------


def test_a_deployment_is_run_with_rendered_parameters(run: Automations):
    id = deploy(run.world, parameters={"kept": 1})
    told = fire(
        run,
        {
            "type": "run-deployment",
            "deployment_id": id,
            "parameters": {
                "n": "{{ event.payload.n }}",
                "text": "{{ event.payload.n }} of {{ automation.name }}",
                "raw": {"__prefect_kind": "json", "value": "[1, {{ event.payload.n }}]"},
            },
        },
        payload={"n": 7},
    )
    [row] = run.world.rows("SELECT * FROM flow_run")
    assert json.decode(row["parameters"]) == {
        "kept": 1,
        "n": 7,
        "text": "7 of watch",
        "raw": [1, 7],
    }
    assert row["state_name"] == "Scheduled"
    assert json.decode(row["created_by"])["type"] == "AUTOMATION"
    assert touched(told) == [f"prefect.deployment.{id}"]
    assert touched(told, "flow-run") == [f"prefect.flow-run.{row['id']}"]
    assert told["payload"]["status_code"] == 201
    [state] = run.told("prefect.flow-run.Scheduled")
    creator = f"prefect.automation.{run.firings()[0]['automation_id']}"
    assert creator in touched(state, "creator")


def test_an_inferred_deployment(run: Automations):
    id = deploy(run.world)
    fire(run, {"type": "run-deployment", "source": "inferred"}, related=related("deployment", id))
    assert [row["deployment_id"] for row in run.world.rows("SELECT * FROM flow_run")] == [id]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"type": "run-deployment", "deployment_id": str(UUID(int=1))}, "404"),
        ({"type": "run-deployment", "source": "inferred"}, "No deployment could be inferred"),
        ({"type": "cancel-flow-run"}, "No flow run could be inferred"),
        (
            {"type": "pause-work-pool", "work_pool_id": str(UUID(int=1))},
            "Work pool 00000000-0000-0000-0000-000000000001 not found",
        ),
        (
            {"type": "send-notification", "block_document_id": str(UUID(int=1)), "body": "b"},
            "does not exist",
        ),
    ],
)
def test_what_cannot_be_done_fails_at_once_and_hurts_no_neighbour(
    run: Automations, action: dict[str, Any], reason: str
):
    run.make({"expect": ["go"]}, action, {"type": "do-nothing"})
    run.emit("go")
    run.turn()
    assert [status for status, _ in run.outcomes()] == ["failed", "executed"]
    [told] = run.told("prefect.automation.action.failed")
    assert reason in failure(told)


def test_parameters_that_do_not_fit_are_told(run: Automations):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    id = deploy(run.world, parameter_openapi_schema=schema, enforce_parameter_schema=True)
    told = fire(run, {"type": "run-deployment", "deployment_id": id, "parameters": {"n": "x"}})
    assert failure(told).startswith("Validation error occurred for 'run-deployment' - ")
    assert told["payload"]["status_code"] == 409


def test_actions_of_a_firing_run_in_order(run: Automations):
    id = deploy(run.world)
    pause, resume = (
        {"type": f"{verb}-deployment", "deployment_id": id} for verb in ("pause", "resume")
    )
    run.make({"expect": ["go"]}, pause, resume, pause)
    run.emit("go")
    run.turn(rounds=10)
    changes = [
        row["payload"]["updates"]["paused"]["to"] for row in run.told("prefect.deployment.updated")
    ]
    assert changes == [True, False, True]
    assert run.outcomes() == [("executed", None)] * 3


# --- flow runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "action", "after"),
    [
        (StateType.RUNNING, {"type": "cancel-flow-run"}, ("Cancelling", "Cancelled by Auto")),
        (StateType.RUNNING, {"type": "suspend-flow-run"}, ("Suspended", "Suspended by Auto")),
        (
            StateType.RUNNING,
            {
                "type": "change-flow-run-state",
                "state": "FAILED",
                "name": "TimedOut",
                "message": "too long",
                "force": True,
            },
            ("TimedOut", "too long"),
        ),
        (
            StateType.PENDING,
            {"type": "change-flow-run-state", "state": "CRASHED"},
            ("Crashed", "State changed by Auto"),
        ),
    ],
)
def test_the_state_of_a_flow_run_is_changed(
    run: Automations, state: StateType, action: dict[str, Any], after: tuple[str, str]
):
    id = run.world.flow_run(state, deployment_id=UUID(deploy(run.world)))
    told = fire(run, action, related=related("flow-run", id))
    [row] = run.world.rows(
        "SELECT s.name, s.message FROM flow_run AS r JOIN flow_run_state AS s ON s.id = r.state_id"
    )
    assert (row["name"], row["message"][: len(after[1])]) == after
    assert touched(told) == [f"prefect.flow-run.{id}"]


def test_a_suspended_run_is_resumed(run: Automations):
    id = run.world.flow_run(StateType.RUNNING, deployment_id=UUID(deploy(run.world)))
    fire(run, {"type": "suspend-flow-run"}, related=related("flow-run", id))
    run.make({"expect": ["on"]}, {"type": "resume-flow-run"})
    run.emit("on", related=related("flow-run", id))
    run.turn()
    [row] = run.world.rows("SELECT state_type FROM flow_run")
    assert row["state_type"] == "SCHEDULED"


def test_a_run_that_is_not_paused_cannot_be_resumed(run: Automations):
    id = run.world.flow_run(StateType.RUNNING)
    told = fire(run, {"type": "resume-flow-run"}, related=related("flow-run", id))
    assert failure(told).startswith("Failed to resume flow run: ")


def test_a_flow_run_is_deleted(run: Automations):
    id = run.world.flow_run(StateType.COMPLETED)
    fire(run, {"type": "delete-flow-run"}, related=related("flow-run", id))
    assert run.world.rows("SELECT id FROM flow_run") == []


# --- pools, queues, automations ------------------------------------------------------------------


def test_pools_queues_and_automations_are_paused(run: Automations):
    pool = run.world.write(
        work_pools.create_work_pool, body=WorkPoolCreate(name="pool", type="process")
    )
    other = run.make({"expect": ["never"]}, name="other")
    run.make(
        {"expect": ["go"]},
        {"type": "pause-work-pool", "work_pool_id": str(pool.id)},
        {"type": "pause-work-queue", "work_queue_id": str(pool.default_queue_id)},
        {"type": "pause-automation", "automation_id": other},
        name="stop",
    )
    run.make(
        {"expect": ["on"]},
        {"type": "resume-work-pool", "source": "inferred"},
        {"type": "resume-work-queue", "source": "inferred"},
        {"type": "resume-automation", "source": "inferred"},
        name="start",
    )
    run.emit("go")
    run.turn(rounds=10)

    def paused() -> list[bool]:
        return [
            run.world.read(work_pools.read_work_pool, "pool").is_paused,
            run.world.read(work_queues.read_work_queue, str(pool.default_queue_id)).is_paused,
            not run.world.read(automations.read_automation, other).enabled,
        ]

    assert paused() == [True, True, True]
    run.emit(
        "on",
        related=[
            *related("work-pool", pool.id),
            *related("work-queue", pool.default_queue_id),
            *related("automation", other),
        ],
    )
    run.turn(rounds=10)
    assert paused() == [False, False, False]


def test_an_action_on_the_trigger_is_about_the_firing(run: Automations):
    id = run.make(
        {"expect": ["go"]}, actions_on_trigger=[{"type": "pause-automation", "source": "inferred"}]
    )
    run.emit("go")
    run.turn()
    assert not run.world.read(automations.read_automation, id).enabled


# --- calls to others -----------------------------------------------------------------------------


class Receiver:
    """An HTTP server that keeps what it was sent and answers what it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append((self.path, headers, body))
                status, more, text = (receiver.answers or [(200, {}, b"fine")])[0]
                if receiver.answers:
                    receiver.answers.pop(0)
                self.send_response(status)
                for name, value in {**more, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def block(run: Automations, slug: str, **data: Any) -> str:
    """The document of a block of a bundled type."""
    if not run.world.rows("SELECT id FROM block_type WHERE slug = ?", slug):
        run.world.store.write_sync(bundled_blocks.install)
    [row] = run.world.rows(
        "SELECT s.id, s.block_type_id FROM block_schema AS s JOIN block_type AS t"
        " ON t.id = s.block_type_id WHERE t.slug = ?",
        slug,
    )
    body = BlockDocumentCreate(
        name=f"b{uuid4().hex[:8]}",
        data=data,
        block_type_id=UUID(row["block_type_id"]),
        block_schema_id=UUID(row["id"]),
    )
    return str(run.world.write(block_documents.create_block_document, body=body).id)


def hook(run: Automations, receiver: Receiver, **fields: Any) -> dict[str, Any]:
    id = block(run, "webhook", url=f"{receiver.url}/hook", method="POST", **fields)
    return {"type": "call-webhook", "block_document_id": id}


def test_a_webhook_is_called_with_its_rendered_payload(run: Automations, receiver: Receiver):
    policy = OutboundPolicy(allow_private=True, signing_key="key")
    run.actions._outbound = Outbound(policy)
    action = {**hook(run, receiver), "payload": {"n": "{{ event.payload.n }}"}}
    told = fire(run, action, payload={"n": 7})
    [(path, headers, body)] = receiver.requests
    assert (path, json.decode(body)) == ("/hook", {"n": "7"})
    assert headers["idempotency-key"] == told["payload"]["invocation"]
    at = int(headers["penstock-signature"].split(",")[0].removeprefix("t="))
    assert headers["penstock-signature"] == signature("key", body, at)
    assert told["payload"]["status_code"] == 200
    assert told["payload"]["response_body"] == "fine"
    assert "set-cookie" not in told["payload"]["response_headers"]


def test_a_receiver_that_fails_is_called_again_with_the_same_key(
    run: Automations, receiver: Receiver
):
    receiver.answers = [(503, {}, b""), (429, {"Retry-After": "20"}, b""), (200, {}, b"")]
    run.make({"expect": ["go"]}, hook(run, receiver), {"type": "do-nothing"})
    run.emit("go")
    run.turn()
    assert run.outcomes()[1] == ("waiting", None)
    run.wait(2)
    assert len(receiver.requests) == 2
    run.wait(17)
    assert len(receiver.requests) == 2
    run.wait(4)
    assert [status for status, _ in run.outcomes()] == ["executed", "executed"]
    assert len({headers["idempotency-key"] for _, headers, _ in receiver.requests}) == 1
    assert len(run.told("prefect.automation.action.executed")) == 2
    assert not run.told("prefect.automation.action.failed")


def test_what_fails_for_ever_is_dead_after_the_last_try(run: Automations, receiver: Receiver):
    receiver.answers = [(500, {}, b"")] * 20
    run.make({"expect": ["go"]}, hook(run, receiver))
    run.emit("go")
    run.turn()
    for _ in range(40):
        run.world.clock.advance(30)
        run.turn()
    assert len(receiver.requests) == 6
    [(status, reason)] = run.outcomes()
    assert (status, reason) == (
        "dead",
        "Webhook call failed: the receiver answered with status 500",
    )
    [told] = run.told("prefect.automation.action.failed")
    assert told["payload"]["attempts"] == 6
    assert len(run.told("penstock.action.dead")) == 1


def test_a_refusal_is_final(run: Automations, receiver: Receiver):
    receiver.answers = [(403, {}, b"no")]
    told = fire(run, hook(run, receiver))
    assert failure(told) == "Webhook call failed: the receiver answered with status 403"
    run.wait(3)
    assert len(receiver.requests) == 1


def test_private_addresses_are_not_called(run: Automations, receiver: Receiver):
    run.actions._outbound = Outbound(OutboundPolicy())
    told = fire(run, hook(run, receiver))
    assert "private address 127.0.0.1" in failure(told)
    assert receiver.requests == []


def test_a_block_may_refuse_private_addresses(run: Automations, receiver: Receiver):
    told = fire(run, hook(run, receiver, allow_private_urls=False))
    assert "private address" in failure(told)
    assert receiver.requests == []


def test_a_notification_tells_of_the_run_and_its_log(run: Automations, receiver: Receiver):
    id = run.world.flow_run(StateType.RUNNING, name="odd-bird")
    entry = {"name": "flow", "timestamp": run.world.now, "flow_run_id": UUID(id)}
    records = [(20, "begun"), (40, "no such table\nmore"), (20, "ended")]
    run.world.write(
        logs.create_logs,
        body=[LogCreate(level=level, message=text, **entry) for level, text in records],
    )
    slack = block(run, "slack-webhook", url=f"{receiver.url}/slack")
    fire(
        run,
        {
            "type": "send-notification",
            "block_document_id": slack,
            "subject": "{{ flow.name }}/{{ flow_run.name }}",
            "body": "{{ flow_run | ui_url }}\n{{ flow_run_log_summary }}",
        },
        related=[*related("flow-run", id), *related("flow", flow_id(run))],
    )
    [(path, _, body)] = receiver.requests
    assert path == "/slack"
    lines = json.decode(body)["text"].splitlines()
    assert lines[0] == "*etl/odd-bird*"
    assert lines[1] == f"http://ui/runs/flow-run/{id}"
    assert lines[2:4] == ["Last error: no such table", "1 error, 2 info"]
    assert lines[-1].startswith("INFO: ")


def flow_id(run: Automations) -> str:
    return run.world.rows("SELECT id FROM flow")[0]["id"]


def test_a_template_that_cannot_be_rendered_is_told(run: Automations, receiver: Receiver):
    slack = block(run, "slack-webhook", url=receiver.url)
    told = fire(
        run,
        {"type": "send-notification", "block_document_id": slack, "body": "{{ 1 / 0 }}"},
    )
    assert failure(told) == "Template rendering failed: division by zero"
    assert told["payload"]["template_source"] == "{{ 1 / 0 }}"
    assert receiver.requests == []


def test_secrets_of_a_block_are_in_no_event(run: Automations, receiver: Receiver):
    receiver.answers = [(200, {}, b"thanks")]
    fire(run, hook(run, receiver, headers={"Authorization": "Bearer s3cr3t-value"}))
    assert receiver.requests[0][1]["authorization"] == "Bearer s3cr3t-value"
    rows = run.world.rows("SELECT * FROM event") + run.world.rows("SELECT * FROM automation_action")
    assert not [row for row in rows if "s3cr3t-value" in str(row)]
