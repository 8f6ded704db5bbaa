"""The audit trail as a stream of JSON lines."""

from collections.abc import AsyncIterator
from typing import Any

from penstock.server.api.adapter import Call, Handler
from penstock.server.api.answers import Answer, Stream
from penstock.server.ops import audit
from penstock.server.ops.audit import ExportPage


async def export_audit(call: Call) -> Any:
    """Changes behind `after_seq`, oldest first, each page read when it is sent."""
    limit = call.query.get("limit")
    first = await call.edge.store.read(audit.export_audit, call.context, **call.query)
    return Answer(
        Stream(_pages(call, first, limit)),
        media_type=b"application/x-ndjson",
        headers=[(b"content-disposition", b'attachment; filename="audit.ndjson"')],
    )


async def _pages(call: Call, page: ExportPage, limit: int | None) -> AsyncIterator[bytes]:
    yield page.lines
    while page.after is not None:
        if limit is not None:
            limit -= audit.EXPORTED_AT_ONCE
            if limit <= 0:
                return
        page = await call.edge.store.read(
            audit.export_audit, call.context, after_seq=page.after, limit=limit
        )
        yield page.lines


HANDLERS: dict[str, Handler] = {"export_audit": export_audit}
