"""Triggers of a deployment, as automations that run it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

_OF_THE_ACTION = ("parameters", "job_variables", "schedule_after")
_OF_THE_AUTOMATION = ("name", "description", "enabled", *_OF_THE_ACTION)


def automation_of(
    trigger: Mapping[str, Any], deployment_id: UUID, deployment_name: str, index: int
) -> dict[str, Any]:
    """The body that makes the automation of a deployment's trigger number `index`.

    The automation belongs to the deployment: it is deleted with it.
    """
    action: dict[str, Any] = {
        "type": "run-deployment",
        "source": "selected",
        "deployment_id": str(deployment_id),
    }
    for key in _OF_THE_ACTION:
        if trigger.get(key) is not None:
            action[key] = trigger[key]
    rest = {key: value for key, value in trigger.items() if key not in _OF_THE_AUTOMATION}
    enabled = trigger.get("enabled")
    return {
        "name": trigger.get("name") or f"{deployment_name}__automation_{index + 1}",
        "description": trigger.get("description") or "",
        "enabled": True if enabled is None else enabled,
        "trigger": _typed(rest),
        "actions": [action],
        "owner_resource": f"prefect.deployment.{deployment_id}",
    }


def _typed(trigger: Mapping[str, Any]) -> dict[str, Any]:
    """The trigger with its type, which its members tell when it does not say it itself."""
    made = dict(trigger)
    if "triggers" in made:
        made.setdefault("type", "compound" if "require" in made else "sequence")
        made["triggers"] = [_typed(child) for child in made["triggers"] or ()]
        made.setdefault("within", None)
        if made["type"] == "compound":
            made.setdefault("require", "all")
        return made
    made.setdefault("type", "metric" if "metric" in made else "event")
    if made["type"] == "event":
        made.setdefault("posture", "Reactive")
        for key in ("expect", "after", "for_each"):
            if isinstance(made.get(key), str):
                made[key] = [made[key]]
    return made
