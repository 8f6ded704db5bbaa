"""Events of task runs as an engine sends them."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from penstock.schemas.events import Event
from penstock.schemas.states import StateType

_NAMES = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


def task_event(
    run_id: str,
    type: StateType | str,
    occurred: datetime,
    *,
    flow_run_id: str | None = None,
    name: str | None = None,
    data: Any = None,
    details: dict[str, Any] | None = None,
    tags: tuple[str, ...] = (),
    **run: Any,
) -> Event:
    """One event. Its id is made from the run and the time, so that a repetition has the same."""
    state_name = name or StateType(type).value.capitalize()
    related = [
        {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}
        for tag in tags
    ]
    if flow_run_id is not None:
        related.append(
            {
                "prefect.resource.id": f"prefect.flow-run.{flow_run_id}",
                "prefect.resource.role": "flow-run",
            }
        )
    task_run = {
        "task_key": "add-1234",
        "dynamic_key": run_id,
        "name": "add-0",
        "tags": list(tags),
        "empirical_policy": {"retries": 0, "retry_delay": 0, "max_retries": 0},
        "task_inputs": {"x": [{"input_type": "constant", "type": "int"}]},
        **run,
    }
    return Event(
        id=uuid5(_NAMES, f"{run_id} {occurred.isoformat()}"),
        event=f"prefect.task-run.{state_name}",
        occurred=occurred,
        resource={
            "prefect.resource.id": f"prefect.task-run.{run_id}",
            "prefect.resource.name": "add-0",
            "prefect.orchestration": "client",
        },
        related=related,
        payload={
            "intended": {"from": None, "to": type},
            "initial_state": None,
            "validated_state": {
                "type": type,
                "name": state_name,
                "message": "",
                "data": data,
                "state_details": details or {},
            },
            "task_run": task_run,
        },
    )
