"""Answers that only a user interface asks for."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import structs

from penstock.base import json
from penstock.schemas.errors import RequestInvalid
from penstock.schemas.ui import (
    CountByState,
    DashboardCountsBody,
    FlowIdsBody,
    FlowRunIdsBody,
    SchemaValidationBody,
    SchemaValueError,
    SchemaValuesValidationResponse,
    SimpleFlowRun,
    SimpleFlowRunsPage,
    SimpleNextFlowRun,
    TaskRunCountsBody,
    UITaskRun,
)
from penstock.server.domain.hydration import HydrationError, Sources, hydrate, variable_names
from penstock.server.domain.json_schema import SchemaInvalid, misfits
from penstock.server.domain.misfit_tree import as_tree
from penstock.server.domain.templates import template_problem
from penstock.server.ops import views
from penstock.server.ops.conditions import has_condition
from penstock.server.ops.context import Context
from penstock.server.ops.task_runs import existing_task_run
from penstock.server.store.aggregation import runs_by_outcome, runs_by_state
from penstock.server.store.selection import select
from penstock.server.store.transaction import Row, Tx

DASHBOARD_INTERVALS = 20

_ENTITIES = {
    "flows": "flow",
    "flow_runs": "flow_run",
    "task_runs": "task_run",
    "deployments": "deployment",
    "work_pools": "work_pool",
    "work_queues": "work_queue",
}


def count_task_runs_by_flow_run(
    tx: Tx, context: Context, *, body: FlowRunIdsBody
) -> dict[str, int]:
    """For each id how many task runs that flow run has; an unknown one has none."""
    return _amounts(tx, "ui.task_runs_of_flow_runs", body.flow_run_ids)


def count_deployments_by_flow(tx: Tx, context: Context, *, body: FlowIdsBody) -> dict[str, int]:
    """For each id how many deployments that flow has; an unknown one has none."""
    return _amounts(tx, "ui.deployments_of_flows", body.flow_ids)


def next_runs_by_flow(
    tx: Tx, context: Context, *, body: FlowIdsBody
) -> dict[str, SimpleNextFlowRun | None]:
    """For each id the scheduled run of that flow that comes first, if there is one."""
    ids = [str(id) for id in body.flow_ids]
    found = {row["flow_id"]: row for row in tx.all("ui.next_runs_of_flows", ids=ids)}
    return {id: SimpleNextFlowRun(**found[id]) if id in found else None for id in ids}


def read_flow_run_history(
    tx: Tx, context: Context, *, body: SimpleFlowRunsPage | None = None
) -> list[SimpleFlowRun]:
    """A page of flow runs, of each only what a chart of them needs."""
    body = body or SimpleFlowRunsPage()
    if not body.limit:
        return []
    sql, params = select(
        "flow_run",
        _filters_of(body),
        sort=body.sort,
        limit=body.limit,
        offset=body.offset,
        dialect=tx.dialect,
    )
    return [
        SimpleFlowRun(
            id=row["id"],
            state_type=row["state_type"],
            timestamp=row["start_time"] or row["expected_start_time"],
            duration=views.estimated_run_time(row, tx.now),
            lateness=views.estimated_start_time_delta(row, tx.now),
        )
        for row in tx.fetch(sql, params)
        if row["state_type"] is not None
        and (row["start_time"] is not None or row["expected_start_time"] is not None)
    ]


def read_task_run_counts_by_state(
    tx: Tx, context: Context, *, body: TaskRunCountsBody | None = None
) -> CountByState:
    """How many task runs are in each type of state."""
    rows = runs_by_state(tx, "task_run", _filters_of(body or TaskRunCountsBody()))
    return CountByState(**{row["state_type"]: row["runs"] for row in rows})


def read_dashboard_task_run_counts(
    tx: Tx, context: Context, *, body: DashboardCountsBody
) -> list[dict[str, int]]:
    """Task runs that completed and that failed, in 20 equal intervals of their start.

    From the filter's `start_time.after_`, which must be given, to its `before_` or the present.
    A crashed run counts as failed.
    """
    bounds = body.task_runs.start_time
    if bounds is None or bounds.after_ is None:
        raise RequestInvalid(
            "task_runs.start_time.after_ is required; send the instant that the first interval"
            " begins at"
        )
    rows = runs_by_outcome(
        tx,
        _filters_of(body),
        start=bounds.after_,
        end=bounds.before_ or tx.now,
        intervals=DASHBOARD_INTERVALS,
    )
    counts = [{"completed": 0, "failed": 0} for _ in range(DASHBOARD_INTERVALS)]
    for row in rows:
        counts[row["bucket"]] = {"completed": row["completed"], "failed": row["failed"]}
    return counts


def read_task_run_with_flow_run_name(tx: Tx, context: Context, id: str) -> UITaskRun:
    run = views.task_run(existing_task_run(tx, id), tx.now)
    parent = None
    if run.flow_run_id is not None:
        parent = tx.one("flow_run.get", id=str(run.flow_run_id))
    fields = structs.asdict(run)
    known = {name: fields[name] for name in UITaskRun.__struct_fields__ if name in fields}
    return UITaskRun(**known, flow_run_name=None if parent is None else parent["name"])


def validate_obj(
    tx: Tx, context: Context, *, body: SchemaValidationBody
) -> SchemaValuesValidationResponse:
    """Whether values fit a schema once the templates among them are replaced.

    A member whose template cannot be replaced is an error of its own; one that is text yet to be
    rendered is passed over. Refuses (422) a schema that is none.
    """
    values, unusable, unknown = _hydrated(tx, body.values)
    passed_over = unusable.keys() | unknown
    try:
        found = [
            (path, text)
            for path, text in misfits(values, json.encode(body.schema))
            if not path or path[0] not in passed_over
        ]
    except SchemaInvalid as error:
        raise RequestInvalid(f"Invalid schema: {error}") from None
    errors = [
        *as_tree(found),
        *(SchemaValueError(property=name, errors=[unusable[name]]) for name in unusable),
    ]
    return SchemaValuesValidationResponse(errors=errors, valid=not errors)


def _hydrated(
    tx: Tx, values: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str], frozenset[str]]:
    """The values without templates; what is wrong with a template; which are yet to be rendered."""
    if b'"__prefect_kind"' not in json.encode(values):
        return values, {}, frozenset()
    names = sorted(set(variable_names(values)))
    rows = tx.all("deployment.variables", names=names) if names else ()
    rendered: list[str] = []
    sources = Sources(
        variables={row["name"]: json.decode(row["value"]) for row in rows},
        render=lambda text: _unrendered(text, rendered),
    )
    ready: dict[str, Any] = {}
    unusable: dict[str, str] = {}
    unknown: set[str] = set()
    for name, value in values.items():
        rendered.clear()
        try:
            ready[name] = hydrate(value, f"$.{name}", sources)
        except HydrationError as error:
            unusable[name] = str(error)
        else:
            if rendered:
                unknown.add(name)
    return ready, unusable, frozenset(unknown)


def _unrendered(text: str, rendered: list[str]) -> str:
    """Notes that the value is not known before it is used. Raises `ValueError` for no template."""
    problem = template_problem(text)
    if problem is not None:
        raise ValueError(f"line {problem.line}: {problem.message}")
    rendered.append(text)
    return ""


def _amounts(tx: Tx, statement: str, ids: Sequence[UUID]) -> dict[str, int]:
    texts = [str(id) for id in ids]
    found = {row["id"]: row["amount"] for row in tx.all(statement, ids=texts)}
    return {id: found.get(id, 0) for id in texts}


def _filters_of(body: Any) -> Row:
    """The filters of `body` that ask for something, by the entity each is about."""
    given = {entity: getattr(body, name, None) for name, entity in _ENTITIES.items()}
    return {entity: filter for entity, filter in given.items() if has_condition(filter)}
