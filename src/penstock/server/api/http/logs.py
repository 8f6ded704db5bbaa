"""Taking log records: stored first, then handed to whoever follows them live."""

from typing import Any

from penstock.base import json
from penstock.server.api.adapter import Call, Handler
from penstock.server.ops import logs as ops

TOPIC = "logs"
"""Topic of the bus under which stored records are published."""


async def create_logs(call: Call) -> Any:
    result = await call.edge.store.write(ops.create_logs, call.context, body=call.body)
    if call.edge.config.logs_stream_enabled:
        for log in call.body:
            call.edge.bus.publish(TOPIC, json.encode(log))
    return result


HANDLERS: dict[str, Handler] = {"create_logs": create_logs}
