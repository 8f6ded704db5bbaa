"""The worker's side of the channel in tests: frames as raw JSON, in process or over a socket."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import uuid4

from tests.unit.server.api.asgi import Application, WebSocket

BASIC = ["worker_heartbeat.v1", "work_pool_snapshot.v1"]
CLEANUP = "cleanup_delivery.v1"
KIND = "cancelling_timeout_teardown.v1"


def path(pool: str = "local") -> str:
    return f"/api/work_pools/{pool}/workers/connect"


def frame(type: str, payload: Any, ahead: float = 0.0) -> dict[str, Any]:
    """A frame of a worker whose clock is `ahead` by this many seconds."""
    sent = datetime.now(UTC) + timedelta(seconds=ahead)
    return {"type": type, "id": str(uuid4()), "sent_at": sent.isoformat(), "payload": payload}


def hello(ahead: float = 0.0, **fields: Any) -> dict[str, Any]:
    """A hello that is right, but for `fields`; a field that is `...` is left out."""
    payload: dict[str, Any] = {
        "consumer_id": str(uuid4()),
        "worker_name": "w",
        "worker_type": "process",
        "heartbeat_interval_seconds": 30,
        "supported_channel_versions": ["work_pool_worker_channel.v1"],
        "requested_capabilities": BASIC,
        **fields,
    }
    kept = {name: value for name, value in payload.items() if value is not ...}
    return frame("worker.hello.v1", kept, ahead)


def cleaning(limit: int = 1, **fields: Any) -> dict[str, Any]:
    """Fields of a hello that asks for cleanups."""
    return {
        "requested_capabilities": [*BASIC, CLEANUP],
        "handled_cleanup_kinds": [KIND],
        "max_cleanup_concurrency": limit,
        **fields,
    }


def heartbeat(said: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A heartbeat of the worker that said this hello."""
    names = ("consumer_id", "worker_name", "heartbeat_interval_seconds")
    return frame(
        "worker.heartbeat.v1", {**{name: said["payload"][name] for name in names}, **fields}
    )


def operation(name: str, message_id: str, token: str, **fields: Any) -> dict[str, Any]:
    return frame(
        f"cleanup.{name}.v1", {"message_id": message_id, "reservation_token": token, **fields}
    )


class Worker(WebSocket):
    """A worker on a channel of an application in this process."""

    def __init__(
        self, app: Application, pool: str = "local", said: dict[str, Any] | None = None
    ) -> None:
        super().__init__(app, path(pool), subprotocols=["prefect"])
        self.said = said or hello()
        self.ready: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.login()
        self.send(self.said)
        answer = await self.receive()
        assert answer["type"] == "worker.ready.v1", answer
        self.ready = answer["payload"]
        return self

    def vanish(self) -> None:
        """Lose the connection without a word."""
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1006})

    def stall(self) -> None:
        """Take nothing any more that the application sends."""

        async def never(message: dict[str, Any]) -> None:
            await asyncio.Event().wait()

        self._from_app.put = never  # type: ignore[method-assign]
