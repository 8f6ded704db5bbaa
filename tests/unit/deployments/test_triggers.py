"""Triggers of a deployment as automations."""

from uuid import UUID

from penstock.deployments.triggers import automation_of

ID = UUID(int=7)


def test_an_event_trigger_runs_the_deployment() -> None:
    trigger = {
        "expect": "etl.done",
        "match": {"prefect.resource.id": "x.*"},
        "parameters": {"a": "{{ event.id }}"},
        "job_variables": {"env": {}},
        "schedule_after": 60,
    }
    assert automation_of(trigger, ID, "nightly", 0) == {
        "name": "nightly__automation_1",
        "description": "",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "expect": ["etl.done"],
            "match": {"prefect.resource.id": "x.*"},
        },
        "actions": [
            {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": str(ID),
                "parameters": {"a": "{{ event.id }}"},
                "job_variables": {"env": {}},
                "schedule_after": 60,
            }
        ],
        "owner_resource": f"prefect.deployment.{ID}",
    }


def test_the_members_tell_the_type_of_triggers_in_triggers() -> None:
    compound = automation_of(
        {"require": "any", "triggers": [{"expect": ["a"]}, {"triggers": []}]}, ID, "n", 1
    )
    assert compound["trigger"]["type"] == "compound"
    assert [child["type"] for child in compound["trigger"]["triggers"]] == ["event", "sequence"]


def test_names_and_states_are_taken_from_the_file() -> None:
    made = automation_of({"name": "mine", "enabled": False, "description": "d"}, ID, "n", 0)
    assert (made["name"], made["enabled"], made["description"]) == ("mine", False, "d")
