"""Operations that take slots: a denial is counted, and answered with when to ask again."""

from collections.abc import Callable
from typing import Any

from penstock.server.api.adapter import Call, Handler
from penstock.server.api.answers import detail
from penstock.server.domain.limits import spread_wait
from penstock.server.ops import limits, tag_limits
from penstock.server.ops.limits import Denied


def taking(op: Callable[..., Any]) -> Handler:
    """A handler of an operation that may be `Denied`, which is status 423 with `Retry-After`.

    The wait is drawn anew for each answer, so that those who wait do not come back together.
    """

    async def handle(call: Call) -> Any:
        result = await call.edge.store.write(op, call.context, *call.params, body=call.body)
        if not isinstance(result, Denied):
            return result
        seconds = spread_wait(result.wait_seconds, call.edge.chance())
        return detail(423, result.detail, [(b"retry-after", f"{seconds:.3f}".encode())])

    return handle


HANDLERS: dict[str, Handler] = {
    "bulk_increment_active_slots": taking(limits.bulk_increment_active_slots),
    "bulk_increment_active_slots_with_lease": taking(limits.bulk_increment_active_slots_with_lease),
    "increment_concurrency_limits_v1": taking(tag_limits.increment_concurrency_limits_v1),
}
