"""Joining the operation table with what carries its operations out.

Most operations are one call of the function of the same name in `ops`. The few that
are more than that have a handler in `api/http`. An operation with neither, or a handler without
an operation, stops the server from being built.
"""

from penstock.schemas.operations import OPERATIONS
from penstock.server.api.adapter import Handler, Route, mechanical
from penstock.server.api.http import (
    admin,
    audit,
    automations,
    collections,
    deployments,
    events,
    flow_runs,
    limits,
    logs,
    tokens,
    work,
)
from penstock.server.api.router import Router
from penstock.server.ops.catalogue import OPS

HANDLERS: dict[str, Handler] = {
    **admin.HANDLERS,
    **automations.HANDLERS,
    **events.HANDLERS,
    **flow_runs.HANDLERS,
    **deployments.HANDLERS,
    **limits.HANDLERS,
    **logs.HANDLERS,
    **work.HANDLERS,
    **collections.HANDLERS,
    **tokens.HANDLERS,
    **audit.HANDLERS,
}


def build_routes() -> Router[Route]:
    """A router over all operations of the table. Raises `LookupError` for one left over."""
    router: Router[Route] = Router()
    unused = dict(HANDLERS)
    for operation in OPERATIONS.values():
        handler = unused.pop(operation.name, None)
        if handler is None:
            if operation.name not in OPS:
                raise LookupError(f"the operation {operation.name!r} has no function; write one")
            handler = mechanical(operation, OPS[operation.name])
        router.add(operation.method, operation.path, operation.params, Route(operation, handler))
    if unused:
        raise LookupError(f"handlers without an operation: {sorted(unused)}; remove them")
    return router
