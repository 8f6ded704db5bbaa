"""Events: emit them, hear them.

`emit_event` is loaded at once; what needs the client is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.events.schemas.events import (
    Event,
    ReceivedEvent,
    RelatedResource,
    Resource,
    ResourceSpecification,
)
from penstock.events.utilities import emit_event

if TYPE_CHECKING:
    from penstock.events.actions import (
        Action,
        ActionTypes,
        CallWebhook,
        CancelFlowRun,
        ChangeFlowRunState,
        DeclareIncident,
        DeleteFlowRun,
        DoNothing,
        PauseAutomation,
        PauseDeployment,
        PauseWorkPool,
        PauseWorkQueue,
        ResumeAutomation,
        ResumeDeployment,
        ResumeWorkPool,
        ResumeWorkQueue,
        RunDeployment,
        SendNotification,
        SuspendFlowRun,
    )
    from penstock.events.clients import get_events_client, get_events_subscriber
    from penstock.events.schemas.automations import (
        Automation,
        AutomationCore,
        CompositeTrigger,
        CompoundTrigger,
        EventTrigger,
        MetricTrigger,
        MetricTriggerOperator,
        MetricTriggerQuery,
        Posture,
        ResourceTrigger,
        SequenceTrigger,
        Trigger,
        TriggerTypes,
    )
    from penstock.events.schemas.deployment_triggers import (
        DeploymentCompoundTrigger,
        DeploymentEventTrigger,
        DeploymentMetricTrigger,
        DeploymentSequenceTrigger,
        DeploymentTriggerTypes,
    )
    from penstock.events.subscribers import FlowRunSubscriber

__all__ = [
    "Action",
    "ActionTypes",
    "Automation",
    "AutomationCore",
    "CallWebhook",
    "CancelFlowRun",
    "ChangeFlowRunState",
    "CompositeTrigger",
    "CompoundTrigger",
    "DeclareIncident",
    "DeleteFlowRun",
    "DeploymentCompoundTrigger",
    "DeploymentEventTrigger",
    "DeploymentMetricTrigger",
    "DeploymentSequenceTrigger",
    "DeploymentTriggerTypes",
    "DoNothing",
    "Event",
    "EventTrigger",
    "FlowRunSubscriber",
    "MetricTrigger",
    "MetricTriggerOperator",
    "MetricTriggerQuery",
    "PauseAutomation",
    "PauseDeployment",
    "PauseWorkPool",
    "PauseWorkQueue",
    "Posture",
    "ReceivedEvent",
    "RelatedResource",
    "Resource",
    "ResourceSpecification",
    "ResourceTrigger",
    "ResumeAutomation",
    "ResumeDeployment",
    "ResumeWorkPool",
    "ResumeWorkQueue",
    "RunDeployment",
    "SendNotification",
    "SequenceTrigger",
    "SuspendFlowRun",
    "Trigger",
    "TriggerTypes",
    "emit_event",
    "get_events_client",
    "get_events_subscriber",
]

_LATER = {
    "Action": "penstock.events.actions",
    "ActionTypes": "penstock.events.actions",
    "CallWebhook": "penstock.events.actions",
    "CancelFlowRun": "penstock.events.actions",
    "ChangeFlowRunState": "penstock.events.actions",
    "DeclareIncident": "penstock.events.actions",
    "DeleteFlowRun": "penstock.events.actions",
    "DoNothing": "penstock.events.actions",
    "PauseAutomation": "penstock.events.actions",
    "PauseDeployment": "penstock.events.actions",
    "PauseWorkPool": "penstock.events.actions",
    "PauseWorkQueue": "penstock.events.actions",
    "ResumeAutomation": "penstock.events.actions",
    "ResumeDeployment": "penstock.events.actions",
    "ResumeWorkPool": "penstock.events.actions",
    "ResumeWorkQueue": "penstock.events.actions",
    "RunDeployment": "penstock.events.actions",
    "SendNotification": "penstock.events.actions",
    "SuspendFlowRun": "penstock.events.actions",
    "Automation": "penstock.events.schemas.automations",
    "AutomationCore": "penstock.events.schemas.automations",
    "CompositeTrigger": "penstock.events.schemas.automations",
    "CompoundTrigger": "penstock.events.schemas.automations",
    "EventTrigger": "penstock.events.schemas.automations",
    "MetricTrigger": "penstock.events.schemas.automations",
    "MetricTriggerOperator": "penstock.events.schemas.automations",
    "MetricTriggerQuery": "penstock.events.schemas.automations",
    "Posture": "penstock.events.schemas.automations",
    "ResourceTrigger": "penstock.events.schemas.automations",
    "SequenceTrigger": "penstock.events.schemas.automations",
    "Trigger": "penstock.events.schemas.automations",
    "TriggerTypes": "penstock.events.schemas.automations",
    "DeploymentCompoundTrigger": "penstock.events.schemas.deployment_triggers",
    "DeploymentEventTrigger": "penstock.events.schemas.deployment_triggers",
    "DeploymentMetricTrigger": "penstock.events.schemas.deployment_triggers",
    "DeploymentSequenceTrigger": "penstock.events.schemas.deployment_triggers",
    "DeploymentTriggerTypes": "penstock.events.schemas.deployment_triggers",
    "FlowRunSubscriber": "penstock.events.subscribers",
    "get_events_client": "penstock.events.clients",
    "get_events_subscriber": "penstock.events.clients",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
