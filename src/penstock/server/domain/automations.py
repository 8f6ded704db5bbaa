"""What an automation must be to be stored, and how it is brought into its one form.

In that form durations are seconds, sets have no repetitions, and the default of a proactive
trigger's time is filled in. Every trigger gets its id here.
"""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.base.ids import uuid7
from penstock.schemas.automations import (
    Action,
    CallWebhook,
    CompoundTrigger,
    EventTrigger,
    RunDeployment,
    Seconds,
    SendNotification,
    SequenceTrigger,
    Trigger,
)
from penstock.schemas.events import RESOURCE_ID
from penstock.server.domain.templates import first_problem

PROACTIVE_SECONDS = 10.0
"""The shortest time, and the default, in which the absence of an event is noticed."""
MAXIMUM_DEPTH = 20
LOOPING_EVENTS = frozenset(
    {
        "prefect.flow-run.Scheduled",
        "prefect.flow-run.Pending",
        "prefect.flow-run.Running",
        "prefect.flow-run.*",
    }
)
"""What every run of a deployment emits, so that starting one on it never ends."""
_ANY_FLOW_RUN = ("prefect.flow-run.*", ["prefect.flow-run.*"])


class AutomationInvalid(ValueError):
    """An automation that cannot be stored; the text names the member and what to change."""


class Definition(Struct, frozen=True, kw_only=True):
    """When an automation fires and what it does then."""

    trigger: Trigger
    actions: list[Action]
    actions_on_trigger: list[Action]
    actions_on_resolve: list[Action]


def definition_of(body: Any) -> Definition:
    """The definition in a request, in its one form. Raises `AutomationInvalid`."""
    lists = {name: _actions(name, getattr(body, name)) for name in ACTION_LISTS}
    return Definition(trigger=_trigger(body.trigger, "trigger", 1), **lists)


ACTION_LISTS = ("actions", "actions_on_trigger", "actions_on_resolve")


def deployment_runs(actions: list[Action]) -> Iterator[RunDeployment]:
    return (action for action in actions if isinstance(action, RunDeployment))


# --- triggers ------------------------------------------------------------------------------------


def _trigger(trigger: Trigger, place: str, depth: int) -> Trigger:
    if depth > MAXIMUM_DEPTH:
        raise AutomationInvalid(f"{place}: triggers are nested deeper than {MAXIMUM_DEPTH} levels")
    if isinstance(trigger, EventTrigger):
        return _event_trigger(trigger, place)
    within = None if trigger.within is None else seconds(trigger.within, f"{place}.within")
    if isinstance(trigger, CompoundTrigger) and isinstance(trigger.require, int):
        count = len(trigger.triggers)
        if not 1 <= trigger.require <= count:
            raise AutomationInvalid(
                f"{place}.require: {trigger.require} of {count} triggers cannot be required; "
                f"give a number from 1 to {count}, 'any' or 'all'"
            )
    children = [
        _trigger(child, f"{place}.triggers.{index}", depth + 1)
        for index, child in enumerate(trigger.triggers)
    ]
    return replace(trigger, within=within, triggers=children)


def _event_trigger(trigger: EventTrigger, place: str) -> EventTrigger:
    within = seconds(trigger.within, f"{place}.within")
    if trigger.posture == "Proactive":
        if within == 0:
            within = PROACTIVE_SECONDS
        elif within < PROACTIVE_SECONDS:
            raise AutomationInvalid(
                f"{place}.within: {within:g} s is too short to notice an absence; "
                f"give at least {PROACTIVE_SECONDS:g} s"
            )
    return replace(
        trigger,
        within=within,
        after=list(dict.fromkeys(trigger.after)),
        expect=list(dict.fromkeys(trigger.expect)),
        for_each=list(dict.fromkeys(trigger.for_each)),
    )


def seconds(given: Seconds, place: str) -> float:
    """A duration as a number of seconds. Raises `AutomationInvalid`."""
    if isinstance(given, str):
        try:
            value = msgspec.convert(given, timedelta, strict=False).total_seconds()
        except (msgspec.ValidationError, OverflowError):
            raise AutomationInvalid(
                f"{place}: {given!r} is no duration; give a number of seconds"
            ) from None
    else:
        value = float(given)
    if not 0 <= value < math.inf:
        raise AutomationInvalid(f"{place}: {value:g} s is no time to wait; give 0 or more seconds")
    return value


def with_ids(trigger: Trigger, stored: Trigger | None) -> Trigger:
    """`trigger` with ids of the server's own.

    A trigger that says the same as the stored one in its place keeps the id of that one, and so
    what was counted for it; every other one is new.
    """
    if stored is not None and _without_ids(trigger) == _without_ids(stored):
        return stored
    id = uuid7()
    if isinstance(trigger, EventTrigger):
        return replace(trigger, id=id)
    before: list[Trigger] = []
    if isinstance(stored, SequenceTrigger | CompoundTrigger):
        before = stored.triggers
    children = [
        with_ids(child, before[index] if index < len(before) else None)
        for index, child in enumerate(trigger.triggers)
    ]
    return replace(trigger, id=id, triggers=children)


def trigger_ids(trigger: Trigger) -> list[str]:
    """The ids of a trigger and of all that it is made of."""
    if isinstance(trigger, EventTrigger):
        return [str(trigger.id)]
    inner = [id for child in trigger.triggers for id in trigger_ids(child)]
    return [str(trigger.id), *inner]


def _without_ids(trigger: Trigger) -> Trigger:
    bare = replace(trigger, id=UUID(int=0))
    if isinstance(bare, EventTrigger):
        return bare
    return replace(bare, triggers=[_without_ids(child) for child in bare.triggers])


def event_triggers(trigger: Trigger) -> Iterator[EventTrigger]:
    """All event triggers in a trigger, itself included."""
    if isinstance(trigger, EventTrigger):
        yield trigger
        return
    for child in trigger.triggers:
        yield from event_triggers(child)


# --- actions -------------------------------------------------------------------------------------


def _actions(name: str, actions: list[Action]) -> list[Action]:
    return [_action(action, f"{name}.{index}") for index, action in enumerate(actions)]


def _action(action: Action, place: str) -> Action:
    _check_source(action, place)
    if isinstance(action, RunDeployment):
        action = replace(
            action, schedule_after=seconds(action.schedule_after, f"{place}.schedule_after")
        )
    elif isinstance(action, CallWebhook) and isinstance(action.payload, dict):
        payload = msgspec.json.format(msgspec.json.encode(action.payload), indent=2).decode()
        action = replace(action, payload=payload)
    for member, value in _templates(action):
        problem = first_problem(value)
        if problem is not None:
            raise AutomationInvalid(
                f"{place}.{member}: the template cannot be rendered: line {problem.line}: "
                f"{problem.message}"
            )
    return action


_SELECTED = ("deployment_id", "work_queue_id", "work_pool_id", "automation_id")


def _check_source(action: Action, place: str) -> None:
    """Which object is meant: named exactly when the source says that it is."""
    source = getattr(action, "source", None)
    if source is None:
        return
    member = next(name for name in _SELECTED if hasattr(action, name))
    given = getattr(action, member) is not None
    if source == "selected" and not given:
        raise AutomationInvalid(
            f"{place}.{member}: a selected object needs its id; give it, or the source 'inferred'"
        )
    if source == "inferred" and given:
        raise AutomationInvalid(
            f"{place}.{member}: an inferred object has no id; leave it out, "
            "or give the source 'selected'"
        )


def _templates(action: Action) -> Iterator[tuple[str, Any]]:
    if isinstance(action, SendNotification):
        yield "subject", action.subject
        yield "body", action.body
    elif isinstance(action, CallWebhook):
        yield "payload", action.payload
    elif isinstance(action, RunDeployment):
        yield "parameters", action.parameters


# --- loops ---------------------------------------------------------------------------------------


def check_no_loop(definition: Definition) -> None:
    """Refuse an automation that starts runs because of runs it starts."""
    runs = [
        *deployment_runs(definition.actions),
        *deployment_runs(definition.actions_on_trigger),
    ]
    if not runs or not any(map(_of_any_run, event_triggers(definition.trigger))):
        return
    inferred = any(run.source == "inferred" for run in runs)
    unbounded = any(map(_matches_any_run, event_triggers(definition.trigger)))
    if inferred or unbounded:
        raise AutomationInvalid(
            "running a deployment whenever a flow run is scheduled, pending or running starts "
            "runs without end; expect another event, or match other resources than all flow runs"
        )


def _of_any_run(trigger: EventTrigger) -> bool:
    return trigger.posture == "Reactive" and not LOOPING_EVENTS.isdisjoint(trigger.expect)


def _matches_any_run(trigger: EventTrigger) -> bool:
    if not _of_any_run(trigger) or not _is_open(trigger.match):
        return False
    related = trigger.match_related
    return any(map(_is_open, related if isinstance(related, list) and related else [related]))


def _is_open(specification: Any) -> bool:
    return not specification or (
        set(specification) == {RESOURCE_ID} and specification[RESOURCE_ID] in _ANY_FLOW_RUN
    )
