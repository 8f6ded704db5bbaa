"""API tokens: the operations know whether an auth string lets administrators in as well."""

from typing import Any

from penstock.server.api.adapter import Call, Handler
from penstock.server.ops import tokens as ops


async def create_token(call: Call) -> Any:
    return await call.edge.store.write(
        ops.create_token, call.context, body=call.body, guarded=call.edge.access.guarded
    )


async def revoke_token(call: Call) -> Any:
    return await call.edge.store.write(
        ops.revoke_token, call.context, *call.params, guarded=call.edge.access.guarded
    )


HANDLERS: dict[str, Handler] = {"create_token": create_token, "revoke_token": revoke_token}
