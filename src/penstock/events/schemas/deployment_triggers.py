"""Triggers of deployments, given in code or in project files: each runs its deployment."""

from datetime import timedelta
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from penstock.events.actions import NonNegativeTimeDelta
from penstock.events.schemas.automations import (
    CompoundTrigger,
    EventTrigger,
    MetricTrigger,
    SequenceTrigger,
    TriggerTypes,
    trigger_discriminator,
)

__all__ = [
    "BaseDeploymentTrigger",
    "DeploymentCompoundTrigger",
    "DeploymentEventTrigger",
    "DeploymentMetricTrigger",
    "DeploymentSequenceTrigger",
    "DeploymentTriggerTypes",
    "NonNegativeTimeDelta",
    "TriggerTypes",
    "deployment_trigger_discriminator",
]


class BaseDeploymentTrigger(BaseModel):
    """How the automation of a trigger is called, and with what its deployment is run."""

    model_config = ConfigDict(extra="ignore", ser_json_timedelta="float")

    name: str | None = None
    description: str = ""
    enabled: bool = True
    parameters: dict[str, Any] | None = None
    job_variables: dict[str, Any] | None = None
    schedule_after: NonNegativeTimeDelta = Field(default_factory=timedelta)


class DeploymentEventTrigger(BaseDeploymentTrigger, EventTrigger):
    """Runs the deployment when events come, or do not."""


class DeploymentMetricTrigger(BaseDeploymentTrigger, MetricTrigger):
    """Known to the contract; servers refuse it."""


class DeploymentCompoundTrigger(BaseDeploymentTrigger, CompoundTrigger):
    """Runs the deployment when several triggers fired."""


class DeploymentSequenceTrigger(BaseDeploymentTrigger, SequenceTrigger):
    """Runs the deployment when several triggers fired in their order."""


deployment_trigger_discriminator = trigger_discriminator

DeploymentTriggerTypes: TypeAlias = Annotated[
    Annotated[DeploymentEventTrigger, Tag("event")]
    | Annotated[DeploymentMetricTrigger, Tag("metric")]
    | Annotated[DeploymentCompoundTrigger, Tag("compound")]
    | Annotated[DeploymentSequenceTrigger, Tag("sequence")],
    Discriminator(deployment_trigger_discriminator),
]
