"""Automations: rules that act on events, made and kept on the server.

Automation(
    name="tell us",
    trigger=EventTrigger(expect={"prefect.flow-run.Failed"}),
    actions=[SendNotification(block_document_id=block_id, body="{{ flow_run.name }} failed")],
).create()
"""

from typing import Any, Self
from uuid import UUID

from pydantic import Field

from penstock.base import json
from penstock.base.dual import Steps, in_async_context, run_aio, run_sync
from penstock.events.actions import (
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
    ResumeFlowRun,
    ResumeWorkPool,
    ResumeWorkQueue,
    RunDeployment,
    SendNotification,
    SuspendFlowRun,
)
from penstock.events.schemas.automations import (
    AutomationCore,
    CompositeTrigger,
    CompoundTrigger,
    EventTrigger,
    MetricTrigger,
    MetricTriggerOperator,
    MetricTriggerQuery,
    Posture,
    PrefectMetric,
    ResourceTrigger,
    SequenceTrigger,
    Trigger,
)
from penstock.events.schemas.events import ResourceSpecification
from penstock.schemas.automations import (
    AutomationCreate,
    AutomationFilter,
    AutomationPartialUpdate,
    AutomationsFilterPage,
    AutomationSort,
    AutomationUpdate,
)
from penstock.schemas.errors import ObjectNotFound
from penstock.schemas.filters import AnyTextFilter
from penstock.steps import Request

__all__ = [
    "Automation",
    "AutomationCore",
    "CallWebhook",
    "CancelFlowRun",
    "ChangeFlowRunState",
    "CompositeTrigger",
    "CompoundTrigger",
    "DeclareIncident",
    "DeleteFlowRun",
    "DoNothing",
    "EventTrigger",
    "MetricTrigger",
    "MetricTriggerOperator",
    "MetricTriggerQuery",
    "PauseAutomation",
    "PauseDeployment",
    "PauseWorkPool",
    "PauseWorkQueue",
    "Posture",
    "PrefectMetric",
    "ResourceSpecification",
    "ResourceTrigger",
    "ResumeAutomation",
    "ResumeDeployment",
    "ResumeFlowRun",
    "ResumeWorkPool",
    "ResumeWorkQueue",
    "RunDeployment",
    "SendNotification",
    "SequenceTrigger",
    "SuspendFlowRun",
    "Trigger",
]


class Automation(AutomationCore):
    """An automation that can be made, read, changed and deleted.

    The methods that ask the server give a coroutine when called in an async context.
    """

    id: UUID | None = Field(None)

    def _create(self) -> Steps[Self]:
        made = yield Request("create_automation", body=_body(self, AutomationCreate))
        self.id = UUID(str(made.id))
        return self

    def _update(self) -> Steps[None]:
        id = self._known()
        yield Request("update_automation", id, body=_body(self, AutomationUpdate))

    @classmethod
    def _read(cls, id: UUID | None = None, name: str | None = None) -> Steps[Self]:
        if (id is None) == (name is None):
            raise ValueError("give either the id or the name of the automation")
        if id is not None:
            try:
                found = yield Request("read_automation", id)
            except ObjectNotFound:
                raise ValueError(f"there is no automation with the id {id}") from None
            return cls._of(found)
        wanted = AutomationFilter(name=AnyTextFilter(any_=[str(name)]))
        body = AutomationsFilterPage(automations=wanted, sort=AutomationSort.UPDATED_DESC, limit=1)
        named = yield Request("read_automations", body=body)
        if not named:
            raise ValueError(f"there is no automation named {name!r}")
        return cls._of(named[0])

    def _delete(self) -> Steps[bool]:
        return (yield from _tried(Request("delete_automation", self._known())))

    def _enable(self, enabled: bool) -> Steps[bool]:
        body = AutomationPartialUpdate(enabled=enabled)
        done = yield from _tried(Request("patch_automation", self._known(), body=body))
        if done:
            self.enabled = enabled
        return done

    def _known(self) -> UUID:
        if self.id is None:
            raise ValueError("the automation was not created yet; call create first")
        return self.id

    @classmethod
    def _of(cls, found: Any) -> Self:
        return cls.model_validate(json.decode(json.encode(found)))

    def create(self) -> Any:
        """Make it on the server; itself, with its id."""
        return _carried_out(self._create())

    async def acreate(self) -> Self:
        return await run_aio(self._create())

    def update(self) -> Any:
        """Store it as it is now. Raises `ValueError` before it was created."""
        return _carried_out(self._update())

    async def aupdate(self) -> None:
        await run_aio(self._update())

    @classmethod
    def read(cls, id: UUID | None = None, name: str | None = None) -> Any:
        """The automation of that id, or the one of that name that was changed last.

        Raises `ValueError` when there is none.
        """
        return _carried_out(cls._read(id, name))

    @classmethod
    async def aread(cls, id: UUID | None = None, name: str | None = None) -> Self:
        return await run_aio(cls._read(id, name))

    def delete(self) -> Any:
        """Delete it; whether it was there."""
        return _carried_out(self._delete())

    async def adelete(self) -> bool:
        return await run_aio(self._delete())

    def enable(self) -> Any:
        """Let it fire; whether it is there."""
        return _carried_out(self._enable(True))

    async def aenable(self) -> bool:
        return await run_aio(self._enable(True))

    def disable(self) -> Any:
        """Keep it from firing; whether it is there."""
        return _carried_out(self._enable(False))

    async def adisable(self) -> bool:
        return await run_aio(self._enable(False))


def _tried(request: Request) -> Steps[bool]:
    try:
        yield request
    except ObjectNotFound:
        return False
    return True


def _body(automation: AutomationCore, kind: Any) -> Any:
    """The automation as a request's body."""
    document = automation.model_dump(mode="json", exclude_none=True, exclude={"id"})
    _add_times(document["trigger"])
    members = {name: one for name, one in document.items() if name in kind.__struct_fields__}
    return json.decode(json.encode(kind.completed(members)), kind, strict=False)


def _add_times(trigger: dict[str, Any]) -> None:
    """A composite trigger says that it has no time; what is none was left out."""
    for child in trigger.get("triggers", ()):
        _add_times(child)
    if "triggers" in trigger:
        trigger.setdefault("within", None)


def _carried_out(steps: Steps[Any]) -> Any:
    return run_aio(steps) if in_async_context() else run_sync(steps)
