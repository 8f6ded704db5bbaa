"""Operations on flow runs whose answers are not JSON: an input's value, the log as CSV."""

from collections.abc import AsyncIterator
from typing import Any

from penstock.server.api.adapter import Call, Handler
from penstock.server.api.answers import Answer, Stream
from penstock.server.ops import flow_run_inputs, logs
from penstock.server.ops.logs import CsvPage


async def read_flow_run_input(call: Call) -> Any:
    """The value as it was given, as plain text."""
    value = await call.edge.store.read(
        flow_run_inputs.read_flow_run_input, call.context, *call.params
    )
    text = value if isinstance(value, (str, bytes)) else value.value
    return Answer(
        text.encode() if isinstance(text, str) else text, media_type=b"text/plain; charset=utf-8"
    )


async def download_logs(call: Call) -> Any:
    """All log records of a run as a CSV attachment, each page read when it is sent."""
    (id,) = call.params
    first = await call.edge.store.read(logs.log_csv_page, call.context, id)
    return Answer(
        Stream(_pages(call, first)),
        media_type=b"text/csv; charset=utf-8",
        headers=[(b"content-disposition", f'attachment; filename="{id}-logs.csv"'.encode())],
    )


async def _pages(call: Call, page: CsvPage) -> AsyncIterator[bytes]:
    yield page.text.encode()
    while page.after is not None:
        page = await call.edge.store.read(
            logs.log_csv_page, call.context, call.params[0], after=page.after
        )
        yield page.text.encode()


HANDLERS: dict[str, Handler] = {
    "read_flow_run_input": read_flow_run_input,
    "download_logs": download_logs,
}
