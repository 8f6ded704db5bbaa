"""What automations can do, as classes to build them with."""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from penstock.schemas.states import StateType


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("give a time of 0 seconds or more")
    return value


NonNegativeTimeDelta = Annotated[timedelta, AfterValidator(_not_negative)]


class Action(BaseModel):
    """What is done when an automation fires."""

    model_config = ConfigDict(extra="ignore", ser_json_timedelta="float")

    type: Any

    def describe_for_cli(self) -> str:
        """The action in a few words."""
        return self.type.replace("-", " ").capitalize()


class _Targeted(Action):
    source: Literal["selected", "inferred"] = "selected"

    @model_validator(mode="after")
    def _selected_has_id(self) -> Self:
        name = next(name for name in type(self).model_fields if name.endswith("_id"))
        given = getattr(self, name) is not None
        if self.source == "selected" and not given:
            raise ValueError(f"{name} is needed, or the source 'inferred'")
        if self.source == "inferred" and given:
            raise ValueError(f"{name} is inferred; leave it out, or give the source 'selected'")
        return self


class DeploymentAction(_Targeted):
    deployment_id: UUID | None = None


class WorkPoolAction(_Targeted):
    work_pool_id: UUID | None = None


class WorkQueueAction(_Targeted):
    work_queue_id: UUID | None = None


class AutomationAction(_Targeted):
    automation_id: UUID | None = None


class DoNothing(Action):
    """For trying out a trigger."""

    type: Literal["do-nothing"] = "do-nothing"


class RunDeployment(DeploymentAction):
    """Run a deployment; its parameters may be templates."""

    type: Literal["run-deployment"] = "run-deployment"
    parameters: dict[str, Any] | None = None
    job_variables: dict[str, Any] | None = None
    schedule_after: NonNegativeTimeDelta = Field(default_factory=timedelta)


class PauseDeployment(DeploymentAction):
    type: Literal["pause-deployment"] = "pause-deployment"


class ResumeDeployment(DeploymentAction):
    type: Literal["resume-deployment"] = "resume-deployment"


class CancelFlowRun(Action):
    """Cancel the flow run of the event."""

    type: Literal["cancel-flow-run"] = "cancel-flow-run"


class SuspendFlowRun(Action):
    """Suspend the flow run of the event."""

    type: Literal["suspend-flow-run"] = "suspend-flow-run"


class ResumeFlowRun(Action):
    """Resume the flow run of the event."""

    type: Literal["resume-flow-run"] = "resume-flow-run"


class DeleteFlowRun(Action):
    """Delete the flow run of the event."""

    type: Literal["delete-flow-run"] = "delete-flow-run"


class ChangeFlowRunState(Action):
    """Put the flow run of the event into a state."""

    type: Literal["change-flow-run-state"] = "change-flow-run-state"
    name: str | None = None
    state: StateType
    message: str | None = None
    force: bool = False


class PauseWorkPool(WorkPoolAction):
    type: Literal["pause-work-pool"] = "pause-work-pool"


class ResumeWorkPool(WorkPoolAction):
    type: Literal["resume-work-pool"] = "resume-work-pool"


class PauseWorkQueue(WorkQueueAction):
    type: Literal["pause-work-queue"] = "pause-work-queue"


class ResumeWorkQueue(WorkQueueAction):
    type: Literal["resume-work-queue"] = "resume-work-queue"


class PauseAutomation(AutomationAction):
    type: Literal["pause-automation"] = "pause-automation"


class ResumeAutomation(AutomationAction):
    type: Literal["resume-automation"] = "resume-automation"


class SendNotification(Action):
    """Send a message through a notification block; subject and body are templates."""

    type: Literal["send-notification"] = "send-notification"
    block_document_id: UUID
    subject: str = "Prefect automated notification"
    body: str


class CallWebhook(Action):
    """Call a webhook block; the payload is a template."""

    type: Literal["call-webhook"] = "call-webhook"
    block_document_id: UUID
    payload: str = ""


class DeclareIncident(Action):
    """Known to the hosted service of the contract only; the server refuses it."""

    type: Literal["declare-incident"] = "declare-incident"


ActionTypes: TypeAlias = (
    DoNothing
    | RunDeployment
    | PauseDeployment
    | ResumeDeployment
    | ResumeFlowRun
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
    | PauseWorkPool
    | ResumeWorkPool
    | DeclareIncident
)
