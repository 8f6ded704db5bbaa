"""An incident in miniature, for the guide docs/how-to/audit.md.

Three people and a bot change things on a server; then a flow fails and a backlog grows. Runs are
played, not executed: what matters here is what the audit trail says afterwards. Needs a server
with an auth string and the credentials of its administrator:

    python examples/incident.py [--pace SECONDS]
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from penstock.client import get_client
from penstock.schemas.automations import (
    AutomationCreate,
    AutomationUpdate,
    EventTrigger,
    SendNotification,
)
from penstock.schemas.deployments import DeploymentUpdate
from penstock.schemas.states import StateCreate, StateDetails, StateType
from penstock.schemas.tokens import Scope, TokenCreate
from penstock.schemas.work import WorkPoolCreate, WorkQueueUpdate
from penstock.settings import temporary_settings

MEMBERS = ("anna", "bob", "deploy-bot")
PATIENCE_SECONDS = 60


def main(pace: float) -> None:
    """Act by act, with `pace` seconds between two."""
    secrets = tokens()
    with acting(secrets["anna"]) as anna:
        deployment = prepare(anna)
        played(anna, deployment, "report-1", StateType.COMPLETED)
    time.sleep(pace)
    with acting(secrets["deploy-bot"]) as bot:
        change = DeploymentUpdate(parameters={"rows": None, "db_password": "rotated"})
        bot.update_deployment(deployment, change)
    time.sleep(pace)
    with acting(secrets["bob"]) as bob:
        automation = watch(bob)
        silence(bob, automation)
        bob.call(
            "update_work_pool_queue",
            "reports",
            "default",
            body=WorkQueueUpdate(concurrency_limit=1),
        )
    time.sleep(pace)
    with acting(secrets["anna"]) as anna:
        played(anna, deployment, "report-2", StateType.FAILED, "TypeError: rows must be a number")
        backlog(anna, deployment, ("report-3", "report-4"))


def tokens() -> dict[str, str]:
    """A token for each member of the team, so that each change has a name."""
    with get_client(sync_client=True) as client:
        return {
            name: client.call(
                "create_token", body=TokenCreate(name=name, scopes=[Scope.WRITE])
            ).token
            for name in MEMBERS
        }


@contextmanager
def acting(secret: str) -> Iterator[Any]:
    """A client with the token of one member."""
    settings = {"PENSTOCK_API_AUTH_STRING": None, "PENSTOCK_API_KEY": secret}
    with temporary_settings(settings), get_client(sync_client=True) as client:
        yield client


def prepare(client: Any) -> UUID:
    """A pool whose queue runs ten at once, and a deployment; its id."""
    client.create_work_pool(WorkPoolCreate(name="reports", type="process"))
    client.call(
        "update_work_pool_queue", "reports", "default", body=WorkQueueUpdate(concurrency_limit=10)
    )
    flow = client.create_flow_from_name("report")
    return client.create_deployment(
        flow, "nightly", work_pool_name="reports", parameters={"rows": 1000, "db_password": "first"}
    )


def watch(client: Any) -> UUID:
    """An automation that tells somebody about failed runs; its id."""
    return client.create_automation(AutomationCreate(**_automation(enabled=True)))


def silence(client: Any, automation: UUID) -> None:
    client.update_automation(automation, AutomationUpdate(**_automation(enabled=False)))


def _automation(*, enabled: bool) -> dict[str, Any]:
    return {
        "name": "page-on-call",
        "trigger": EventTrigger(
            expect=["prefect.flow-run.Failed"], id=UUID(int=1), posture="Reactive", threshold=1
        ),
        "actions": [
            SendNotification(block_document_id=UUID(int=7), subject="A run failed", body="")
        ],
        "enabled": enabled,
    }


def played(
    client: Any, deployment: UUID, name: str, end: StateType, message: str | None = None
) -> None:
    """A run of the deployment that starts and ends."""
    run = client.create_flow_run_from_deployment(deployment, name=name)
    for state in (StateType.PENDING, StateType.RUNNING):
        client.set_flow_run_state(run.id, StateCreate(type=state))
    client.set_flow_run_state(run.id, StateCreate(type=end, message=message))


def backlog(client: Any, deployment: UUID, names: tuple[str, ...]) -> None:
    """Runs that should have started a minute ago; returns when the server calls them late."""
    details = StateDetails(scheduled_time=datetime.now(UTC) - timedelta(minutes=1))
    due = StateCreate(type=StateType.SCHEDULED, state_details=details)
    waiting = [
        client.create_flow_run_from_deployment(deployment, name=name, state=due).id
        for name in names
    ]
    for _ in range(PATIENCE_SECONDS * 5):
        if all(client.read_flow_run(id).state_name == "Late" for id in waiting):
            return
        time.sleep(0.2)
    raise TimeoutError("the server did not call the runs late; does its loop `late-runs` run?")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between two acts")
    main(parser.parse_args().pace)
