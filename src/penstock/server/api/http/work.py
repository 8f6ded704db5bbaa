"""Polls: one transaction finds the runs, a second one notes, now and then, that somebody polls."""

from collections.abc import Callable
from typing import Any

from penstock.server.api.adapter import Call, Handler
from penstock.server.ops import polling
from penstock.server.ops.polling import Poll


def _polling(op: Callable[..., Poll]) -> Handler:
    async def handle(call: Call) -> Any:
        store = call.edge.store
        # PostgreSQL passes over locked runs, for which a transaction must be able to lock.
        run = store.write if store.dialect == "postgresql" else store.read
        poll = await run(op, call.context, *call.params, body=call.body)
        # A user interface that looks at a queue is no sign of a worker.
        if poll.unnoted and call.headers.get(b"x-prefect-ui", b"").lower() != b"true":
            await store.write(polling.note_poll, call.context, poll.unnoted)
        return poll.answer

    return handle


HANDLERS: dict[str, Handler] = {
    "get_scheduled_flow_runs": _polling(polling.get_scheduled_flow_runs),
    "read_work_queue_runs": _polling(polling.read_work_queue_runs),
}
