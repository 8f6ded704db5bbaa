"""Operations on many flow runs: lists, counts, history, lateness, bulk changes."""

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.flow_runs import (
    FlowRun,
    FlowRunBulkDeleteResponse,
    FlowRunBulkSetStateResponse,
    FlowRunHistoryBody,
    FlowRunOrchestrationResult,
    FlowRunPaginationResponse,
    FlowRunsBulkDeleteBody,
    FlowRunsBulkSetStateBody,
    FlowRunsFilterBody,
    FlowRunsFilterPage,
    FlowRunsPaginateBody,
    HistoryResponse,
)
from penstock.schemas.states import SetStateBody, SetStateStatus, StateAbortDetails
from penstock.server.ops import views
from penstock.server.ops.conditions import require_condition
from penstock.server.ops.context import Context
from penstock.server.ops.deletion import delete_flow_run_row
from penstock.server.ops.history import history
from penstock.server.ops.paging import page_count, page_limit
from penstock.server.ops.transition import set_flow_run_state
from penstock.server.store.aggregation import average_lateness
from penstock.server.store.selection import count, select
from penstock.server.store.transaction import Row, Tx

_ENTITIES = {
    "flows": "flow",
    "flow_runs": "flow_run",
    "task_runs": "task_run",
    "deployments": "deployment",
    "work_pools": "work_pool",
    "work_pool_queues": "work_queue",
    # The same filter under the name that the history request gives it.
    "work_queues": "work_queue",
}


def filters_of(body: FlowRunsFilterBody | FlowRunHistoryBody) -> dict[str, Any]:
    """The filters that `body` gives, by the entity each is about."""
    given = {entity: getattr(body, name, None) for name, entity in _ENTITIES.items()}
    if isinstance(body, FlowRunsFilterBody):
        given["work_queue"] = body.work_pool_queues
    return {entity: filter for entity, filter in given.items() if filter is not None}


def read_flow_runs(
    tx: Tx, context: Context, *, body: FlowRunsFilterPage | None = None
) -> list[FlowRun]:
    body = body or FlowRunsFilterPage()
    limit = page_limit(context, body.limit)
    return _page(tx, body, sort=body.sort, limit=limit, offset=body.offset)


def count_flow_runs(tx: Tx, context: Context, *, body: FlowRunsFilterBody | None = None) -> int:
    return _count(tx, body or FlowRunsFilterBody())


def paginate_flow_runs(
    tx: Tx, context: Context, *, body: FlowRunsPaginateBody | None = None
) -> FlowRunPaginationResponse:
    body = body or FlowRunsPaginateBody()
    limit = page_limit(context, body.limit)
    total = _count(tx, body)
    return FlowRunPaginationResponse(
        results=_page(tx, body, sort=body.sort, limit=limit, offset=(body.page - 1) * limit),
        count=total,
        limit=limit,
        page=body.page,
        pages=page_count(total, limit),
    )


def flow_run_history(
    tx: Tx, context: Context, *, body: FlowRunHistoryBody
) -> list[HistoryResponse]:
    """Runs by state in intervals of their expected start; see `history`."""
    return history(tx, "flow_run", filters_of(body), body)


def average_flow_run_lateness(
    tx: Tx, context: Context, *, body: FlowRunsFilterBody | None = None
) -> float | None:
    """Average `estimated_start_time_delta` in seconds, None when no run matches."""
    return average_lateness(tx, filters_of(body or FlowRunsFilterBody()))


def bulk_delete_flow_runs(
    tx: Tx, context: Context, *, body: FlowRunsBulkDeleteBody | None = None
) -> FlowRunBulkDeleteResponse:
    """Delete up to `limit` runs that match. Refuses a filter without any condition."""
    body = body or FlowRunsBulkDeleteBody()
    rows = _chosen(tx, body)
    for row in rows:
        delete_flow_run_row(tx, context, row)
    return FlowRunBulkDeleteResponse(deleted=[row["id"] for row in rows])


def bulk_set_flow_run_state(
    tx: Tx, context: Context, *, body: FlowRunsBulkSetStateBody
) -> FlowRunBulkSetStateResponse:
    """Propose one state for up to `limit` runs that match; each run is decided for itself.

    A run whose proposal is refused gets an ABORT entry with the reason, and the others go on.
    """
    # A state id is for one run only, so each run's state gets its own.
    proposal = SetStateBody(state=replace(body.state, id=UNSET), force=body.force)
    results = [_result_of(tx, context, row["id"], proposal) for row in _chosen(tx, body)]
    return FlowRunBulkSetStateResponse(results=results)


def _result_of(
    tx: Tx, context: Context, id: str, proposal: SetStateBody
) -> FlowRunOrchestrationResult:
    flow_run_id: Any = id
    # Only what is refused before anything is written; whatever else is wrong undoes the request.
    try:
        result = set_flow_run_state(tx, context, id, body=proposal).value
    except (ObjectMissing, RequestInvalid) as refusal:
        return FlowRunOrchestrationResult(
            flow_run_id=flow_run_id,
            status=SetStateStatus.ABORT,
            details=StateAbortDetails(reason=refusal.detail),
        )
    return FlowRunOrchestrationResult(
        flow_run_id=flow_run_id, status=result.status, state=result.state, details=result.details
    )


def _chosen(tx: Tx, body: FlowRunsBulkDeleteBody | FlowRunsBulkSetStateBody) -> list[Row]:
    require_condition(body.flow_runs, "flow_runs")
    sql, params = select(
        "flow_run",
        {"flow_run": body.flow_runs},
        sort="ID_DESC",
        limit=body.limit,
        offset=0,
        dialect=tx.dialect,
    )
    return tx.fetch(sql, params)


def _page(tx: Tx, body: FlowRunsFilterBody, *, sort: str, limit: int, offset: int) -> list[FlowRun]:
    if not limit:
        return []
    sql, params = select(
        "flow_run", filters_of(body), sort=sort, limit=limit, offset=offset, dialect=tx.dialect
    )
    columns, rows = tx.fetch_values(sql, params)
    return views.flow_runs(columns, rows, tx.now)


def _count(tx: Tx, body: FlowRunsFilterBody) -> int:
    sql, params = count("flow_run", filters_of(body), dialect=tx.dialect)
    return tx.fetch(sql, params)[0]["count"]
