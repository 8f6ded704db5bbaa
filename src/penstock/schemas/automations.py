"""Automations: triggers over events, and what is done when they fire."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import fields

from penstock.base.ids import uuid7
from penstock.schemas.errors import RequestInvalid
from penstock.schemas.events import Specification
from penstock.schemas.filters import AnyTagsFilter, AnyTextFilter
from penstock.schemas.shapes import Entity, Operator, Strict
from penstock.schemas.states import StateType

Source = Literal["selected", "inferred"]
Seconds = float | str
"""A number of seconds; requests may also give an ISO 8601 duration. Answers give the number."""


# --- actions -------------------------------------------------------------------------------------


class DoNothing(Entity, tag_field="type", tag="do-nothing"):
    """For trying out a trigger."""


class RunDeployment(Entity, tag_field="type", tag="run-deployment"):
    deployment_id: UUID | None = None
    job_variables: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    schedule_after: Seconds = 0.0
    source: Source = "selected"


class PauseDeployment(Entity, tag_field="type", tag="pause-deployment"):
    deployment_id: UUID | None = None
    source: Source = "selected"


class ResumeDeployment(Entity, tag_field="type", tag="resume-deployment"):
    deployment_id: UUID | None = None
    source: Source = "selected"


class CancelFlowRun(Entity, tag_field="type", tag="cancel-flow-run"):
    """Of the flow run of the event."""


class DeleteFlowRun(Entity, tag_field="type", tag="delete-flow-run"):
    """Of the flow run of the event."""


class SuspendFlowRun(Entity, tag_field="type", tag="suspend-flow-run"):
    """Of the flow run of the event."""


class ResumeFlowRun(Entity, tag_field="type", tag="resume-flow-run"):
    """Of the flow run of the event."""


class ChangeFlowRunState(Entity, tag_field="type", tag="change-flow-run-state"):
    state: StateType
    force: bool = False
    message: str | None = None
    name: str | None = None


class PauseWorkQueue(Entity, tag_field="type", tag="pause-work-queue"):
    source: Source = "selected"
    work_queue_id: UUID | None = None


class ResumeWorkQueue(Entity, tag_field="type", tag="resume-work-queue"):
    source: Source = "selected"
    work_queue_id: UUID | None = None


class PauseWorkPool(Entity, tag_field="type", tag="pause-work-pool"):
    source: Source = "selected"
    work_pool_id: UUID | None = None


class ResumeWorkPool(Entity, tag_field="type", tag="resume-work-pool"):
    source: Source = "selected"
    work_pool_id: UUID | None = None


class PauseAutomation(Entity, tag_field="type", tag="pause-automation"):
    automation_id: UUID | None = None
    source: Source = "selected"


class ResumeAutomation(Entity, tag_field="type", tag="resume-automation"):
    automation_id: UUID | None = None
    source: Source = "selected"


class SendNotification(Entity, tag_field="type", tag="send-notification"):
    """Through the notification block of that document; subject and body are templates."""

    block_document_id: UUID
    body: str
    subject: str = "Prefect automated notification"


class CallWebhook(Entity, tag_field="type", tag="call-webhook"):
    """Through the webhook block of that document. An object as payload becomes indented JSON."""

    block_document_id: UUID
    payload: str | dict[str, Any] = ""


Action = (
    DoNothing
    | RunDeployment
    | PauseDeployment
    | ResumeDeployment
    | CancelFlowRun
    | DeleteFlowRun
    | ChangeFlowRunState
    | PauseWorkQueue
    | ResumeWorkQueue
    | SendNotification
    | CallWebhook
    | PauseAutomation
    | ResumeAutomation
    | SuspendFlowRun
    | ResumeFlowRun
    | PauseWorkPool
    | ResumeWorkPool
)


# --- triggers ------------------------------------------------------------------------------------


class EventTrigger(Entity, tag_field="type", tag="event"):
    """Fires when `threshold` expected events came (Reactive) or did not come (Proactive) within
    so many seconds. `after`, `expect` and `for_each` are sets.

    A `!` before a value lets any other value match, so two of them exclude nothing. Use
    `match_none`, `match_related_none` and `expect_none` to refuse events.
    """

    posture: Literal["Reactive", "Proactive"]
    after: list[str] = field(default_factory=list)
    expect: list[str] = field(default_factory=list)
    for_each: list[str] = field(default_factory=list)
    id: UUID = field(default_factory=uuid7)
    match: Specification = field(default_factory=dict)
    match_related: Specification | list[Specification] = field(default_factory=dict)
    threshold: int = 1
    within: Seconds = 0.0
    # Beyond the contract: what an event must not be.
    expect_none: list[str] | UnsetType = UNSET
    match_none: Specification | UnsetType = UNSET
    match_related_none: Specification | list[Specification] | UnsetType = UNSET


class SequenceTrigger(Entity, tag_field="type", tag="sequence"):
    """Fires when its triggers fired in their order."""

    triggers: list["Trigger"]
    within: Seconds | None
    id: UUID = field(default_factory=uuid7)


class CompoundTrigger(Entity, tag_field="type", tag="compound"):
    """Fires when any, all, or a number of its triggers fired."""

    require: int | Literal["any", "all"]
    triggers: list["Trigger"]
    within: Seconds | None
    id: UUID = field(default_factory=uuid7)


Trigger = EventTrigger | SequenceTrigger | CompoundTrigger


# --- automations ---------------------------------------------------------------------------------


def completed(body: Any) -> Any:
    """A request with the type of every trigger and action that does not tell it.

    It is told by the other members. Refuses what could be several kinds of action, and metric
    triggers, which are a type of the contract's that no server evaluates.
    """
    if not isinstance(body, dict):
        return body
    done = dict(body)
    if "trigger" in done:
        done["trigger"] = _completed_trigger(done["trigger"])
    for name in ("actions", "actions_on_trigger", "actions_on_resolve"):
        if isinstance(done.get(name), list):
            done[name] = [
                _completed_action(action, f"{name}.{index}")
                for index, action in enumerate(done[name])
            ]
    return done


def _completed_trigger(trigger: Any) -> Any:
    if not isinstance(trigger, dict):
        return trigger
    if trigger.get("type") == "metric" or trigger.get("posture") == "Metric":
        raise RequestInvalid(
            "metric triggers are not supported by this server; use an event trigger"
        )
    if not isinstance(trigger.get("triggers"), list):
        return {"type": "event", **trigger}
    kind = "compound" if "require" in trigger else "sequence"
    children = [_completed_trigger(child) for child in trigger["triggers"]]
    return {"type": kind, **trigger, "triggers": children}


def _completed_action(action: Any, place: str) -> Any:
    if not isinstance(action, dict) or "type" in action:
        return action
    if not action:
        return {"type": "do-nothing"}
    possible = [
        str(kind.__struct_config__.tag)
        for kind in get_args(Action)
        if _required(kind) <= set(action) <= set(kind.__struct_fields__)
    ]
    if len(possible) != 1:
        raise RequestInvalid(
            f"{place} does not tell its type, and its members are those of "
            f"{' or '.join(possible) or 'no action'}; add the member 'type'"
        )
    return {"type": possible[0], **action}


def _required(kind: type[Struct]) -> set[str]:
    return {member.name for member in fields(kind) if member.required}


class AutomationCreate(Strict):
    """`owner_resource` is the resource with which the automation is deleted."""

    actions: list[Action]
    name: str
    trigger: Trigger
    actions_on_resolve: list[Action] = field(default_factory=list)
    actions_on_trigger: list[Action] = field(default_factory=list)
    description: str = ""
    enabled: bool = True
    owner_resource: str | None = None
    tags: list[str] = field(default_factory=list)

    completed = staticmethod(completed)


class AutomationUpdate(Strict):
    """Replaces everything: what is not given gets its default."""

    actions: list[Action]
    name: str
    trigger: Trigger
    actions_on_resolve: list[Action] = field(default_factory=list)
    actions_on_trigger: list[Action] = field(default_factory=list)
    description: str = ""
    enabled: bool = True
    tags: list[str] = field(default_factory=list)

    completed = staticmethod(completed)


class AutomationPartialUpdate(Strict):
    enabled: bool | UnsetType = UNSET


class Automation(Entity):
    actions: list[Action]
    created: datetime | None
    id: UUID
    name: str
    trigger: Trigger
    updated: datetime | None
    actions_on_resolve: list[Action] = field(default_factory=list)
    actions_on_trigger: list[Action] = field(default_factory=list)
    description: str = ""
    enabled: bool = True
    tags: list[str] = field(default_factory=list)


class AutomationFilterCreated(Strict):
    before_: datetime | None = None


class AutomationFilter(Strict):
    created: AutomationFilterCreated | None = None
    name: AnyTextFilter | None = None
    operator: Operator = Operator.AND
    tags: AnyTagsFilter | None = None


class AutomationSort(StrEnum):
    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"


class AutomationsFilterPage(Entity):
    automations: AutomationFilter | None = None
    limit: int | None = None
    offset: Annotated[int, Meta(ge=0)] = 0
    sort: AutomationSort = AutomationSort.NAME_ASC
