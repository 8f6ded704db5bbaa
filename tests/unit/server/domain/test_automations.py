"""What an automation must be, and the one form it is stored in."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from penstock.schemas.automations import (
    AutomationCreate,
    CallWebhook,
    CompoundTrigger,
    EventTrigger,
    RunDeployment,
)
from penstock.schemas.errors import RequestInvalid
from penstock.server.domain.automations import (
    AutomationInvalid,
    check_no_loop,
    definition_of,
    event_triggers,
    with_ids,
)

EVENT = {"type": "event", "posture": "Reactive", "expect": ["a"]}
RUNNING = {**EVENT, "expect": ["prefect.flow-run.Running"]}
ID = str(uuid4())


def automation(trigger: Any = None, actions: Any = None, **fields: Any) -> AutomationCreate:
    body = {"name": "n", "trigger": trigger or EVENT, "actions": actions or [], **fields}
    return msgspec.convert(body, AutomationCreate, strict=False)


@pytest.mark.parametrize(
    ("trigger", "within"),
    [
        (EVENT, 0),
        ({**EVENT, "within": 2.5}, 2.5),
        ({**EVENT, "within": "PT1M30S"}, 90),
        ({**EVENT, "posture": "Proactive"}, 10),
        ({**EVENT, "posture": "Proactive", "within": 0}, 10),
        ({**EVENT, "posture": "Proactive", "within": 10}, 10),
        ({"type": "sequence", "triggers": [EVENT], "within": None}, None),
        ({"type": "compound", "triggers": [EVENT], "require": 1, "within": "PT5S"}, 5),
    ],
)
def test_the_time_of_a_trigger_in_seconds(trigger: dict[str, Any], within: float | None):
    assert definition_of(automation(trigger)).trigger.within == within


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        ({**EVENT, "within": -1}, "trigger.within: -1 s is no time"),
        ({**EVENT, "within": "soon"}, "trigger.within: 'soon' is no duration"),
        ({**EVENT, "posture": "Proactive", "within": 9.9}, "at least 10 s"),
        (
            {"type": "compound", "triggers": [EVENT], "require": 2, "within": 1},
            "trigger.require: 2 of 1",
        ),
        (
            {"type": "compound", "triggers": [EVENT], "require": 0, "within": 1},
            "trigger.require: 0 of 1",
        ),
        (
            {"type": "sequence", "triggers": [EVENT, {**EVENT, "within": -3}], "within": None},
            "trigger.triggers.1.within: -3 s",
        ),
    ],
)
def test_a_trigger_that_makes_no_sense(trigger: dict[str, Any], text: str):
    with pytest.raises(AutomationInvalid) as refused:
        definition_of(automation(trigger))
    assert text in str(refused.value)


def test_triggers_nested_without_end():
    trigger: dict[str, Any] = EVENT
    for _ in range(20):
        trigger = {"type": "sequence", "triggers": [trigger], "within": None}
    with pytest.raises(AutomationInvalid, match="nested deeper than 20"):
        definition_of(automation(trigger))


def test_sets_have_no_repetitions():
    trigger = definition_of(
        automation({**EVENT, "expect": ["b", "a", "b"], "for_each": ["x", "x"]})
    ).trigger
    assert isinstance(trigger, EventTrigger)
    assert (trigger.expect, trigger.for_each) == (["b", "a"], ["x"])


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ({"type": "run-deployment"}, "actions.0.deployment_id: a selected object needs its id"),
        (
            {"type": "pause-work-pool", "source": "inferred", "work_pool_id": ID},
            "actions.0.work_pool_id: an inferred object has no id",
        ),
        ({"type": "pause-work-queue"}, "work_queue_id"),
        ({"type": "resume-automation"}, "automation_id"),
        (
            {"type": "run-deployment", "deployment_id": ID, "schedule_after": -1},
            "actions.0.schedule_after",
        ),
        (
            {"type": "run-deployment", "deployment_id": ID, "parameters": {"a": ["{{ x"]}},
            "actions.0.parameters: the template",
        ),
        (
            {"type": "send-notification", "block_document_id": ID, "body": "{% x %}"},
            "actions.0.body: the template",
        ),
        (
            {"type": "send-notification", "block_document_id": ID, "body": "", "subject": "{{"},
            "actions.0.subject",
        ),
        (
            {"type": "call-webhook", "block_document_id": ID, "payload": {"a": "{{ b"}},
            "actions.0.payload",
        ),
    ],
)
def test_an_action_that_makes_no_sense(action: dict[str, Any], text: str):
    with pytest.raises(AutomationInvalid) as refused:
        definition_of(automation(actions=[action]))
    assert text in str(refused.value)


def test_actions_in_their_one_form():
    run = {"type": "run-deployment", "deployment_id": ID, "schedule_after": "PT1H"}
    call = {"type": "call-webhook", "block_document_id": ID, "payload": {"a": 1}}
    definition = definition_of(automation(actions=[run], actions_on_resolve=[call]))
    assert definition.actions == [RunDeployment(deployment_id=UUID(ID), schedule_after=3600.0)]
    assert definition.actions_on_resolve == [
        CallWebhook(block_document_id=UUID(ID), payload='{\n  "a": 1\n}')
    ]


INFERRED = {"type": "run-deployment", "source": "inferred"}
SELECTED = {"type": "run-deployment", "deployment_id": ID}
ANY_RUN = {"prefect.resource.id": "prefect.flow-run.*"}
ONE_FLOW = {"prefect.resource.id": "prefect.flow.1", "prefect.resource.role": "flow"}


@pytest.mark.parametrize(
    ("trigger", "fields", "loops"),
    [
        (RUNNING, {"actions": [INFERRED]}, True),
        (RUNNING, {"actions_on_trigger": [INFERRED]}, True),
        (RUNNING, {"actions": [SELECTED]}, True),
        ({**RUNNING, "expect": ["prefect.flow-run.*"]}, {"actions": [SELECTED]}, True),
        ({**RUNNING, "match": ANY_RUN}, {"actions": [SELECTED]}, True),
        ({**RUNNING, "match": ANY_RUN, "match_related": []}, {"actions": [SELECTED]}, True),
        ({**RUNNING, "match_related": [ONE_FLOW, {}]}, {"actions": [SELECTED]}, True),
        (
            {"type": "compound", "require": "any", "within": 1, "triggers": [EVENT, RUNNING]},
            {"actions": [SELECTED]},
            True,
        ),
        (EVENT, {"actions": [INFERRED]}, False),
        ({**RUNNING, "posture": "Proactive"}, {"actions": [INFERRED]}, False),
        ({**RUNNING, "match": {"prefect.resource.name": "x"}}, {"actions": [SELECTED]}, False),
        ({**RUNNING, "match_related": ONE_FLOW}, {"actions": [SELECTED]}, False),
        ({**RUNNING, "match_related": ONE_FLOW}, {"actions": [INFERRED]}, True),
        (RUNNING, {"actions": [{"type": "cancel-flow-run"}]}, False),
        (RUNNING, {"actions_on_resolve": [INFERRED]}, False),
    ],
)
def test_runs_that_start_runs_without_end(
    trigger: dict[str, Any], fields: dict[str, Any], loops: bool
):
    definition = definition_of(automation(trigger, **fields))
    if not loops:
        check_no_loop(definition)
        return
    with pytest.raises(AutomationInvalid, match="without end"):
        check_no_loop(definition)


def test_ids_are_the_server_s_and_stay_where_nothing_changed():
    given = {"type": "compound", "require": "all", "within": 1, "triggers": [EVENT, RUNNING]}
    sent = definition_of(automation({**given, "id": ID})).trigger
    first = with_ids(sent, None)
    assert isinstance(first, CompoundTrigger)
    assert str(first.id) != ID
    assert len({first.id, *(one.id for one in first.triggers)}) == 3
    assert with_ids(definition_of(automation(given)).trigger, first) == first

    other = {**given, "triggers": [EVENT, {**RUNNING, "threshold": 2}]}
    second = with_ids(definition_of(automation(other)).trigger, first)
    assert isinstance(second, CompoundTrigger)
    assert second.id != first.id
    assert second.triggers[0] == first.triggers[0]
    assert second.triggers[1].id != first.triggers[1].id
    assert [one.threshold for one in event_triggers(second)] == [1, 2]


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ({"trigger": {"posture": "Reactive"}}, {"trigger": {"type": "event"}}),
        ({"trigger": {"triggers": [{}]}}, {"trigger": {"type": "sequence"}}),
        ({"trigger": {"triggers": [], "require": "any"}}, {"trigger": {"type": "compound"}}),
        ({"actions": [{}]}, {"actions": [{"type": "do-nothing"}]}),
        (
            {"actions": [{"work_pool_id": ID, "type": "pause-work-pool"}]},
            {"actions": [{"type": "pause-work-pool"}]},
        ),
        (
            {"actions": [{"deployment_id": ID, "parameters": {}}]},
            {"actions": [{"type": "run-deployment"}]},
        ),
        (
            {"actions_on_trigger": [{"state": "FAILED"}]},
            {"actions_on_trigger": [{"type": "change-flow-run-state"}]},
        ),
        (
            {"actions": [{"block_document_id": ID, "body": ""}]},
            {"actions": [{"type": "send-notification"}]},
        ),
    ],
)
def test_a_type_that_is_not_told(given: dict[str, Any], completed: dict[str, Any]):
    found = AutomationCreate.completed(given)
    for name, value in completed.items():
        if isinstance(value, list):
            assert [one["type"] for one in found[name]] == [one["type"] for one in value]
        else:
            assert found[name]["type"] == value["type"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"trigger": {"type": "metric"}}, "metric triggers are not supported"),
        ({"trigger": {"posture": "Metric"}}, "metric triggers are not supported"),
        ({"trigger": {"triggers": [{"type": "metric"}]}}, "metric triggers are not supported"),
        ({"actions": [{"deployment_id": ID}]}, "run-deployment or pause-deployment"),
        ({"actions": [{"unknown": 1}]}, "no action"),
    ],
)
def test_what_cannot_be_told(given: dict[str, Any], text: str):
    with pytest.raises(RequestInvalid) as refused:
        AutomationCreate.completed(given)
    assert text in refused.value.detail
