"""Resuming a paused or suspended flow run, with the input it asked for."""

from typing import Any

from penstock.base import json
from penstock.schemas.flow_runs import FlowRunResumeBody
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateBody,
    SetStateStatus,
    StateAbortDetails,
    StateCreate,
    StateDetails,
    StateType,
)
from penstock.server.domain.hydration import HydrationError, hydrate
from penstock.server.domain.json_schema import SchemaInvalid, misfit
from penstock.server.ops import views
from penstock.server.ops.context import Context, Made
from penstock.server.ops.flow_run_inputs import put_input
from penstock.server.ops.flow_runs import existing_flow_run
from penstock.server.ops.transition import set_flow_run_state
from penstock.server.store.transaction import Row, Tx


class InputRefused(Exception):
    """The run input does not fit what the run asked for; the message says why."""


def resume_flow_run(
    tx: Tx, context: Context, id: str, *, body: FlowRunResumeBody | None = None
) -> Made[OrchestrationResult]:
    """Let a paused run go on: Scheduled when it was suspended, else Running.

    A run that is not paused gets ABORT without a state; an input that does not fit the schema
    the run left gets REJECT and the run stays paused. The rules of the normal policy apply.
    """
    row = existing_flow_run(tx, id)
    if row["state_type"] != StateType.PAUSED:
        reason = f"flow run {id} is {row['state_name'] or 'without a state'}, not paused"
        return Made(_answer(SetStateStatus.ABORT, None, reason), False)
    details = json.decode(row["state_state_details"] or b"{}", StateDetails)
    run_input = body.run_input if body is not None else None
    try:
        accepted = _accepted_input(tx, id, details.run_input_keyset, run_input)
    except InputRefused as refused:
        return Made(_answer(SetStateStatus.REJECT, row, str(refused)), False)
    made = set_flow_run_state(tx, context, id, body=SetStateBody(state=_next_state(tx, details)))
    if made.value.status == SetStateStatus.ACCEPT and details.run_input_keyset:
        _store_response(tx, id, details.run_input_keyset, accepted)
    return made


def _next_state(tx: Tx, details: StateDetails) -> StateCreate:
    if not details.pause_reschedule:
        return StateCreate(type=StateType.RUNNING)
    return StateCreate(
        type=StateType.SCHEDULED,
        name="Resuming",
        state_details=StateDetails(scheduled_time=tx.now),
    )


def _answer(status: SetStateStatus, row: Row | None, reason: str) -> OrchestrationResult:
    state = views.current_state(row) if row is not None else None
    # The contract answers abort details for a rejected input, too.
    return OrchestrationResult(status=status, state=state, details=StateAbortDetails(reason=reason))


def _accepted_input(
    tx: Tx, id: str, keyset: dict[str, str] | None, run_input: dict[str, Any] | None
) -> dict[str, Any]:
    try:
        hydrated = hydrate(run_input or {})
    except HydrationError as error:
        raise InputRefused(f"the run input is not readable: {error}") from None
    if not keyset:
        if hydrated:
            raise InputRefused(f"flow run {id} waits for no input; resume it without one")
        return {}
    schema_key = keyset.get("schema", "")
    stored = tx.one("flow_run_input.get", flow_run_id=id, key=schema_key)
    if stored is None:
        raise InputRefused(
            f"the schema that flow run {id} left under {schema_key!r} is gone; "
            "cancel the run and start it again"
        )
    _check_against_schema(hydrated, stored["value"])
    return hydrated


def _check_against_schema(value: dict[str, Any], schema: str) -> None:
    try:
        problem = misfit(value, schema)
    except SchemaInvalid as error:
        raise InputRefused(
            f"the schema the run left is not a JSON schema to use: {error}"
        ) from None
    if problem is not None:
        raise InputRefused(f"the run input does not fit: {problem}")


def _store_response(tx: Tx, id: str, keyset: dict[str, str], value: dict[str, Any]) -> None:
    key = keyset.get("response")
    if key:
        put_input(tx, id, key, json.text(value))
