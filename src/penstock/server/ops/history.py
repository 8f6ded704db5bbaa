"""How many runs were in which state, in intervals of their expected start."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from penstock.schemas.errors import RequestInvalid
from penstock.schemas.flow_runs import FlowRunHistoryBody, HistoryResponse, HistoryResponseState
from penstock.schemas.task_runs import TaskRunHistoryBody
from penstock.server.store.aggregation import runs_by_interval
from penstock.server.store.transaction import Tx

MAXIMUM_INTERVALS = 500
_SHORTEST = timedelta(seconds=1)


def history(
    tx: Tx,
    entity: Literal["flow_run", "task_run"],
    filters: Mapping[str, Any],
    body: FlowRunHistoryBody | TaskRunHistoryBody,
) -> list[HistoryResponse]:
    """All intervals from `history_start` to `history_end`, the empty ones too.

    At most 500 are given, counted from the start. Refuses an interval shorter than one second.
    """
    seconds = body.history_interval_seconds
    # Longer than a year changes nothing and would leave the range of a time difference.
    length = timedelta(seconds=min(seconds, 3.2e9)) if seconds == seconds else timedelta()
    if length < _SHORTEST:
        raise RequestInvalid(
            f"history_interval_seconds is {seconds}; send at least 1, the shortest interval"
        )
    start, end = body.history_start, body.history_end
    amount = min(max(-((start - end) // length), 0), MAXIMUM_INTERVALS)
    by_interval: dict[int, list[HistoryResponseState]] = {}
    if amount:
        rows = runs_by_interval(
            tx, entity, filters, start=start, end=start + length * amount, length=length
        )
        for row in rows:
            by_interval.setdefault(row["bucket"], []).append(
                HistoryResponseState(
                    state_type=row["state_type"],
                    state_name=row["state_name"],
                    count_runs=row["runs"],
                    sum_estimated_run_time=row["sum_run_seconds"],
                    sum_estimated_lateness=row["sum_late_seconds"],
                )
            )
    return [
        HistoryResponse(
            interval_start=start + length * index,
            interval_end=start + length * (index + 1),
            states=by_interval.get(index, []),
        )
        for index in range(amount)
    ]
