"""Triggers and automations as classes to build them with."""

import textwrap
from abc import abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    field_validator,
    model_validator,
)

from penstock.events.actions import ActionTypes, RunDeployment

Specification = dict[str, str | list[str]]
PROACTIVE_SECONDS = 10


class Posture(StrEnum):
    """Whether a trigger fires because events came, or because they did not."""

    Reactive = "Reactive"
    Proactive = "Proactive"
    Metric = "Metric"


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", ser_json_timedelta="float")


class Trigger(_Model):
    """When an automation fires. In code, a trigger of a deployment runs that deployment."""

    type: Any

    _deployment_id: UUID | None = PrivateAttr(None)

    @abstractmethod
    def describe_for_cli(self, indent: int = 0) -> str:
        """The trigger in a few lines."""

    def set_deployment_id(self, deployment_id: UUID) -> None:
        """Say which deployment the trigger is of."""
        self._deployment_id = deployment_id

    def owner_resource(self) -> str | None:
        return f"prefect.deployment.{self._deployment_id}" if self._deployment_id else None

    def actions(self) -> list[ActionTypes]:
        """Running the deployment. Raises `ValueError` before it is known."""
        if self._deployment_id is None:
            raise ValueError("the trigger is of no deployment yet; call set_deployment_id")
        return [
            RunDeployment(
                deployment_id=self._deployment_id,
                parameters=getattr(self, "parameters", None),
                job_variables=getattr(self, "job_variables", None),
                schedule_after=getattr(self, "schedule_after", timedelta()),
            )
        ]

    def as_automation(self) -> "AutomationCore":
        """The automation that runs the deployment when the trigger fires."""
        name = getattr(self, "name", None)
        if not name:
            raise ValueError("the trigger has no name; give it one")
        return AutomationCore(
            name=name,
            description=getattr(self, "description", ""),
            enabled=getattr(self, "enabled", True),
            trigger=_plain(self),
            actions=self.actions(),
            owner_resource=self.owner_resource(),
        )


class ResourceTrigger(Trigger):
    """A trigger that looks at resources by their labels."""

    match: Specification = Field(default_factory=dict)
    match_related: Specification | list[Specification] = Field(default_factory=dict)


class EventTrigger(ResourceTrigger):
    """Fires when `threshold` of the expected events came within a time, or did not come."""

    type: Literal["event"] = "event"
    after: set[str] = Field(default_factory=set)
    expect: set[str] = Field(default_factory=set)
    for_each: set[str] = Field(default_factory=set)
    posture: Literal[Posture.Reactive, Posture.Proactive] = Posture.Reactive
    threshold: int = 1
    within: timedelta = Field(default=timedelta(0), ge=timedelta(0))
    expect_none: set[str] | None = None
    """Names that are refused. Beyond the contract, as the next two."""
    match_none: Specification | None = None
    match_related_none: Specification | list[Specification] | None = None

    @model_validator(mode="before")
    @classmethod
    def _enough_time(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        if "within" in data and data["within"] is None:
            raise ValueError("`within` must be a time; leave it out for the default")
        if str(data.get("posture")) not in ("Proactive", "Posture.Proactive"):
            return data
        within = data.get("within") or 0
        seconds = within.total_seconds() if isinstance(within, timedelta) else within
        if seconds == 0:
            return {**data, "within": timedelta(seconds=PROACTIVE_SECONDS)}
        if isinstance(seconds, int | float) and seconds < PROACTIVE_SECONDS:
            raise ValueError(
                f"an absence is noticed in {PROACTIVE_SECONDS} seconds at the earliest; "
                "give a longer `within`"
            )
        return data

    def describe_for_cli(self, indent: int = 0) -> str:
        names = ", ".join(sorted(self.expect)) or "any event"
        if self.posture == Posture.Reactive:
            text = f"Reactive: expecting {self.threshold} of {names}"
        else:
            text = f"Proactive: expecting {self.threshold} of {names} within {self.within}"
        return textwrap.indent(text, " " * indent)


class MetricTriggerOperator(Enum):
    LT = "<"
    LTE = "<="
    GT = ">"
    GTE = ">="


class PrefectMetric(Enum):
    lateness = "lateness"
    duration = "duration"
    successes = "successes"


class MetricTriggerQuery(_Model):
    """Which metric is compared with which number, over what time."""

    name: PrefectMetric
    threshold: float
    operator: MetricTriggerOperator
    range: timedelta = timedelta(seconds=300)
    firing_for: timedelta = timedelta(seconds=300)

    @field_validator("range", "firing_for")
    @classmethod
    def _long_enough(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=300):
            raise ValueError("give at least 300 seconds")
        return value


class MetricTrigger(ResourceTrigger):
    """A trigger on a metric; servers refuse it."""

    type: Literal["metric"] = "metric"
    posture: Literal[Posture.Metric] = Posture.Metric
    metric: MetricTriggerQuery

    def describe_for_cli(self, indent: int = 0) -> str:
        query = self.metric
        text = f"Metric: {query.name.value} {query.operator.value} {query.threshold}"
        return textwrap.indent(text, " " * indent)


class CompositeTrigger(Trigger):
    """A trigger made of triggers."""

    type: Any
    triggers: list["TriggerTypes"]
    within: timedelta | None = None

    def _described(self, title: str, indent: int) -> str:
        inner = [child.describe_for_cli(indent + 2) for child in self.triggers]
        return "\n".join([" " * indent + title, *inner])


class CompoundTrigger(CompositeTrigger):
    """Fires when any, all, or a number of its triggers fired."""

    type: Literal["compound"] = "compound"
    require: int | Literal["any", "all"]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if isinstance(self.require, int) and not 1 <= self.require <= len(self.triggers):
            raise ValueError(
                f"{self.require} of {len(self.triggers)} triggers cannot be required; "
                f"give a number from 1 to {len(self.triggers)}, 'any' or 'all'"
            )
        return self

    def describe_for_cli(self, indent: int = 0) -> str:
        return self._described(f"{str(self.require).capitalize()} of:", indent)


class SequenceTrigger(CompositeTrigger):
    """Fires when its triggers fired in their order."""

    type: Literal["sequence"] = "sequence"

    def describe_for_cli(self, indent: int = 0) -> str:
        return self._described("In this order:", indent)


def trigger_discriminator(value: Any) -> str:
    """The type of a trigger that may not tell it."""
    if isinstance(value, BaseModel):
        return str(getattr(value, "type", "event"))
    if not isinstance(value, Mapping):
        return "event"
    if value.get("type"):
        return str(value["type"])
    if value.get("posture") == "Metric":
        return "metric"
    if "triggers" in value:
        return "compound" if "require" in value else "sequence"
    return "event"


TriggerTypes: TypeAlias = Annotated[
    Annotated[EventTrigger, Tag("event")]
    | Annotated[MetricTrigger, Tag("metric")]
    | Annotated[CompoundTrigger, Tag("compound")]
    | Annotated[SequenceTrigger, Tag("sequence")],
    Discriminator(trigger_discriminator),
]
CompositeTrigger.model_rebuild()
CompoundTrigger.model_rebuild()
SequenceTrigger.model_rebuild()


class AutomationCore(_Model):
    """What an automation is, without its id."""

    name: str
    description: str = ""
    enabled: bool = True
    tags: list[str] = Field(default_factory=list)
    trigger: TriggerTypes
    actions: list[ActionTypes]
    actions_on_trigger: list[ActionTypes] = Field(default_factory=list)
    actions_on_resolve: list[ActionTypes] = Field(default_factory=list)
    owner_resource: str | None = None


class Automation(AutomationCore):
    """A stored automation."""

    id: UUID


def _plain(trigger: Trigger) -> Any:
    """A trigger of a deployment as a trigger alone."""
    return trigger.model_dump(
        exclude={
            "name",
            "description",
            "enabled",
            "parameters",
            "job_variables",
            "schedule_after",
        }
    )
