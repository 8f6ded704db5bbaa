"""Operations on log records."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from penstock.base.ids import uuid7
from penstock.schemas.logs import Log, LogCreate, LogsFilterPage
from penstock.server.ops import views
from penstock.server.ops.context import Context
from penstock.server.ops.flow_runs import require_flow_run
from penstock.server.ops.paging import page_limit
from penstock.server.store.selection import select
from penstock.server.store.transaction import Tx

CSV_HEADER = ("timestamp", "level", "flow_run_id", "task_run_id", "message")
CSV_PAGE = 1_000
_BEFORE_ALL = (datetime(1, 1, 1, tzinfo=UTC), "")


def create_logs(tx: Tx, context: Context, *, body: Sequence[LogCreate]) -> None:
    """Store log records, of runs the server knows or does not know yet."""
    if not body:
        return
    now = tx.now
    tx.many(
        "log.insert",
        [
            {
                "id": str(uuid7()),
                "name": record.name,
                "level": record.level,
                "message": record.message,
                "timestamp": record.timestamp,
                "flow_run_id": record.flow_run_id,
                "task_run_id": record.task_run_id,
                "now": now,
            }
            for record in body
        ],
    )
    tx.wake("logs")


def read_logs(tx: Tx, context: Context, *, body: LogsFilterPage | None = None) -> list[Log]:
    body = body or LogsFilterPage()
    limit = page_limit(context, body.limit)
    if not limit:
        return []
    filters = {} if body.logs is None else {"log": body.logs}
    sql, params = select(
        "log", filters, sort=body.sort, limit=limit, offset=body.offset, dialect=tx.dialect
    )
    return [views.log(row) for row in tx.fetch(sql, params)]


class CsvPage(Struct, frozen=True):
    """A part of a CSV file, and where the next part goes on (None after the last)."""

    text: str
    after: tuple[datetime, str] | None


def log_csv_page(
    tx: Tx, context: Context, id: str, *, after: tuple[datetime, str] | None = None
) -> CsvPage:
    """Up to 1000 log records of a flow run as CSV, the header first, in order of time.

    For an edge that streams: each page is a transaction of its own, continued by key, so that a
    long file holds no snapshot open and records that arrive meanwhile shift nothing.
    Refuses an unknown run (404) on the first page.
    """
    if after is None:
        require_flow_run(tx, id)
    time, last = after or _BEFORE_ALL
    rows = tx.all("log.of_flow_run", id=id, after_time=time, after_id=last, limit=CSV_PAGE)
    page = io.StringIO()
    writer = csv.writer(page)
    if after is None:
        writer.writerow(CSV_HEADER)
    writer.writerows(
        (
            row["timestamp"].isoformat(),
            row["level"],
            row["flow_run_id"],
            row["task_run_id"],
            row["message"],
        )
        for row in rows
    )
    following = (rows[-1]["timestamp"], rows[-1]["id"]) if len(rows) == CSV_PAGE else None
    return CsvPage(page.getvalue(), following)


def download_logs(tx: Tx, context: Context, id: str) -> Iterator[str]:
    """All log records of a flow run as the pages of a CSV file, read as they are asked for.

    Must be consumed inside the transaction; an edge that streams calls `log_csv_page` instead.
    """
    page = log_csv_page(tx, context, id)
    return _pages(tx, context, id, page)


def _pages(tx: Tx, context: Context, id: str, page: CsvPage) -> Iterator[str]:
    yield page.text
    while page.after is not None:
        page = log_csv_page(tx, context, id, after=page.after)
        yield page.text
