"""What is recorded of callers who were not let in."""

from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME
from penstock.server.ops.context import Context
from penstock.server.ops.emit import emit
from penstock.server.store.transaction import Tx


def record_refusal(tx: Tx, context: Context, *, reason: str, suppressed: int) -> None:
    """An event of a refused caller; `suppressed` counts those before it that got none.

    It names no credentials, nothing was changed, and so there is no audit row.
    """
    request = context.request
    emit(
        tx,
        event="penstock.auth.failed",
        resource={RESOURCE_ID: "penstock.server", RESOURCE_NAME: "penstock"},
        payload={
            "reason": reason,
            "suppressed": suppressed,
            "route": request.route if request else None,
            "ip": request.ip if request else None,
        },
        members={"actor": context.actor, "request": request},
    )
