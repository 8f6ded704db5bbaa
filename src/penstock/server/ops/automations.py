"""Operations on automations: make, read, list, change, delete. Who fires them is elsewhere."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw, convert

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.automations import (
    Automation,
    AutomationCreate,
    AutomationPartialUpdate,
    AutomationsFilterPage,
    AutomationUpdate,
)
from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.server.domain.automations import (
    ACTION_LISTS,
    AutomationInvalid,
    Definition,
    check_no_loop,
    definition_of,
    deployment_runs,
    trigger_ids,
    with_ids,
)
from penstock.server.domain.redaction import redacted
from penstock.server.domain.templates import TemplateProblem, template_problem
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context
from penstock.server.ops.deletion import CASCADE_BATCH
from penstock.server.ops.deployment_values import check_job_variables
from penstock.server.ops.paging import page_limit
from penstock.server.store.selection import select
from penstock.server.store.transaction import Row, Tx

TOPIC = "automations"
"""Woken by every change, for whoever keeps the automations in memory."""


def create_automation(tx: Tx, context: Context, *, body: AutomationCreate) -> Automation:
    """A new automation; names may be taken. All ids in it are the server's own.

    Refuses (422) an automation that makes no sense, that would start runs without end, or whose
    job variables do not fit the work pool. Five statements, and one for each related resource.
    """
    definition = _checked(tx, "creating", body)
    definition = _with_ids(definition, None)
    row: Row = {
        "id": str(uuid7()),
        "name": body.name,
        "description": body.description,
        "enabled": body.enabled,
        "tags": Raw(json.encode(body.tags)),
        "definition": Raw(json.encode(definition)),
        "created": tx.now,
        "updated": tx.now,
    }
    stored = {name: value for name, value in row.items() if name not in ("created", "updated")}
    tx.run("automation.insert", now=tx.now, **stored)
    _mark(tx, row["id"], tx.now)
    if body.owner_resource is not None:
        _relate(tx, row["id"], [body.owner_resource], owned=True)
    _relate(tx, row["id"], _targets(definition), owned=False)
    _record(tx, context, "created", after=row)
    return view(row)


def update_automation(tx: Tx, context: Context, id: str, *, body: AutomationUpdate) -> None:
    """Replace everything but the owner. A trigger that stays the same keeps its id."""
    row = _locked(tx, id)
    definition = _checked(tx, "updating", body)
    definition = _with_ids(definition, stored_definition(row))
    changed = _change(
        tx,
        context,
        row,
        name=body.name,
        description=body.description,
        enabled=body.enabled,
        tags=Raw(json.encode(body.tags)),
        definition=Raw(json.encode(definition)),
    )
    if changed:
        tx.run("automation.unrelate", automation_id=id)
        _relate(tx, id, _targets(definition), owned=False)


def patch_automation(tx: Tx, context: Context, id: str, *, body: AutomationPartialUpdate) -> None:
    """Enable or disable. One that has become invalid meanwhile cannot be enabled (422)."""
    row = _locked(tx, id)
    if body.enabled is UNSET or body.enabled == row["enabled"]:
        return
    if body.enabled:
        stored = {"name": row["name"], "enabled": True, **json.decode(row["definition"])}
        _checked(tx, "enabling", convert(stored, AutomationUpdate))
    _change(tx, context, row, enabled=body.enabled)


def delete_automation(tx: Tx, context: Context, id: str) -> None:
    """Delete the automation with its links."""
    _delete(tx, context, _locked(tx, id), caused_by=None)


def delete_automations_owned_by_resource(tx: Tx, context: Context, resource_id: str) -> None:
    """Delete all automations of that owner; none is no error."""
    delete_owned_automations(tx, context, resource_id, caused_by=None)


def delete_owned_automations(
    tx: Tx, context: Context, resource_id: str, *, caused_by: UUID | None
) -> None:
    """Delete all automations of an owner; `caused_by` is the event of the owner's deletion."""
    while rows := tx.all("automation.owned_by", resource_id=resource_id, limit=CASCADE_BATCH):
        for row in rows:
            _delete(tx, context, row, caused_by=caused_by)


def read_automation(tx: Tx, context: Context, id: str) -> Automation:
    row = tx.one("automation.get", id=id)
    if row is None:
        raise _missing(id)
    return view(row)


def read_automations(
    tx: Tx, context: Context, *, body: AutomationsFilterPage | None = None
) -> list[Automation]:
    body = body or AutomationsFilterPage()
    limit = page_limit(context, body.limit)
    if not limit:
        return []
    sql, params = select(
        "automation",
        {"automation": body.automations},
        sort=body.sort,
        limit=limit,
        offset=body.offset,
        dialect=tx.dialect,
    )
    return [view(row) for row in tx.fetch(sql, params)]


def count_automations(tx: Tx, context: Context) -> int:
    row = tx.one("automation.count")
    assert row is not None, "a count is always one row"
    return row["count"]


def read_automations_related_to_resource(
    tx: Tx, context: Context, resource_id: str
) -> list[Automation]:
    """Those that the resource owns and those that run the deployment it is."""
    return [view(row) for row in tx.all("automation.related_to", resource_id=resource_id)]


def validate_template(tx: Tx, context: Context, *, body: str = "") -> TemplateProblem | None:
    """What keeps the text from being rendered, None when nothing does. Costs no statement."""
    return template_problem(body)


validate_automation_template = validate_template


# --- rows ----------------------------------------------------------------------------------------


def view(row: Mapping[str, Any]) -> Automation:
    """A row as the object of the contract, its documents as they are stored."""
    definition = json.decode(row["definition"], dict[str, Raw])
    return Automation(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        description=row["description"],
        enabled=row["enabled"],
        tags=row["tags"],
        trigger=definition["trigger"],
        **{name: definition[name] for name in ACTION_LISTS},
    )


def stored_definition(row: Mapping[str, Any]) -> Definition:
    """The definition of a stored automation."""
    return json.decode(row["definition"], Definition)


def _locked(tx: Tx, id: str) -> Row:
    row = tx.one("automation.lock", id=id)
    if row is None:
        raise _missing(id)
    return row


def _missing(id: str) -> ObjectMissing:
    return ObjectMissing(f"automation {id} does not exist; list automations to find its id")


# --- checks --------------------------------------------------------------------------------------


def _checked(tx: Tx, doing: str, body: AutomationCreate | AutomationUpdate) -> Definition:
    try:
        definition = definition_of(body)
        if body.enabled:
            check_no_loop(definition)
        _check_deployments(tx, definition)
    except (AutomationInvalid, RequestInvalid) as error:
        raise RequestInvalid(f"Error {doing} automation: {error}") from None
    return definition


def _check_deployments(tx: Tx, definition: Definition) -> None:
    for action in deployment_runs([*definition.actions, *definition.actions_on_trigger]):
        if action.deployment_id is None or not action.job_variables:
            continue
        deployment = tx.one("deployment.get", id=action.deployment_id)
        if deployment is None:
            raise AutomationInvalid(
                f"deployment {action.deployment_id} does not exist; choose another one"
            )
        queue_id = deployment["work_queue_id"]
        pool = tx.one("deployment.pool", queue_id=queue_id) if queue_id is not None else None
        if pool is not None:
            check_job_variables(pool, deployment["job_variables"], action.job_variables)


def _with_ids(definition: Definition, stored: Definition | None) -> Definition:
    trigger = with_ids(definition.trigger, stored and stored.trigger)
    return Definition(trigger=trigger, **{name: getattr(definition, name) for name in ACTION_LISTS})


# --- changes -------------------------------------------------------------------------------------


def _targets(definition: Definition) -> list[str]:
    """The deployments that are run; those of other lists of actions are not linked."""
    runs = deployment_runs(definition.actions)
    return [f"prefect.deployment.{run.deployment_id}" for run in runs if run.deployment_id]


def _relate(tx: Tx, id: str, resources: Iterable[str], *, owned: bool) -> None:
    for resource in dict.fromkeys(resources):
        tx.run("automation.relate", automation_id=id, resource_id=resource, owned=owned)


def _change(tx: Tx, context: Context, row: Row, **values: Any) -> bool:
    """Write what differs; whether something does."""
    after = {**row, **values, "updated": tx.now}
    if _snapshot(row) == _snapshot(after):
        return False
    tx.run(
        "automation.update",
        now=tx.now,
        **{name: after[name] for name in after if name not in ("created", "updated")},
    )
    trigger = stored_definition(after).trigger
    begins = after["enabled"] and not row["enabled"]
    anew = begins or trigger != stored_definition(row).trigger
    _mark(tx, row["id"], tx.now if anew else row["watched_since"])
    if anew:
        _forget(tx, row["id"], [] if begins else trigger_ids(trigger))
    _record(tx, context, "updated", before=row, after=after)
    return True


def _mark(tx: Tx, id: str, since: datetime) -> None:
    """Let all who keep automations in memory see this one anew; events before `since` are not
    for it."""
    tx.run("trigger.changed")
    tx.run("trigger.mark", id=id, since=since)


def _forget(tx: Tx, id: str, kept: list[str]) -> None:
    """Forget what was counted for other triggers than `kept`."""
    tx.run("trigger.forget_buckets", automation_id=id, kept=kept)
    tx.run("trigger.forget_held", automation_id=id, kept=kept)


def _delete(tx: Tx, context: Context, row: Row, *, caused_by: UUID | None) -> None:
    tx.run("automation.delete", id=row["id"])
    tx.run("trigger.changed")
    _forget(tx, row["id"], [])
    _record(tx, context, "deleted", before=row, caused_by=caused_by)


def _record(
    tx: Tx,
    context: Context,
    action: str,
    *,
    before: Row | None = None,
    after: Row | None = None,
    caused_by: UUID | None = None,
) -> None:
    """The event holds the whole automation, apart from what parameters name as secret."""
    row = after or before
    assert row is not None, "a change has an automation before or after it"
    payload = json.decode(json.encode(view(row)))
    change = Change(
        kind="automation",
        action=action,
        id=row["id"],
        name=row["name"],
        before=before and _snapshot(before),
        after=after and _snapshot(after),
        payload=redacted(payload, context.fingerprint_key),
        caused_by=str(caused_by) if caused_by else None,
    )
    record(tx, context, change)
    tx.wake(TOPIC)


def _snapshot(row: Row) -> dict[str, Any]:
    snapshot = json.decode(json.encode(view(row)))
    return {name: value for name, value in snapshot.items() if name not in ("created", "updated")}
