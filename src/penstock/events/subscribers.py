"""Everything that happens to one flow run, as one stream."""

import asyncio
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from penstock.client.subscriptions import AsyncSubscription, subscribe_logs
from penstock.events.clients import PenstockEventSubscriber
from penstock.events.schemas.events import Event
from penstock.schemas.events import EventAnyResourceFilter, EventFilter
from penstock.schemas.filters import AnyIdFilter
from penstock.schemas.logs import Log, LogFilter
from penstock.schemas.states import TERMINAL_STATES

_TERMINAL = frozenset(state.value for state in TERMINAL_STATES)


class FlowRunSubscriber:
    """Logs and events of a flow run, until the run is over and `straggler_timeout` seconds have
    passed without a late one. Use with `async with` and `async for`."""

    def __init__(
        self, flow_run_id: UUID, straggler_timeout: int = 3, reconnection_attempts: int = 10
    ) -> None:
        self._flow_run_id = flow_run_id
        self._straggler_timeout = straggler_timeout
        resource = EventAnyResourceFilter(id=[f"prefect.flow-run.{flow_run_id}"])
        self._events = PenstockEventSubscriber(
            filter=EventFilter(any_resource=resource), reconnection_attempts=reconnection_attempts
        )
        self._logs: AsyncSubscription[Log] = AsyncSubscription(
            subscribe_logs(
                LogFilter(flow_run_id=AnyIdFilter(any_=[flow_run_id])),
                reconnection_attempts=reconnection_attempts,
            )
        )
        self._items: asyncio.Queue[Log | Event] = asyncio.Queue()
        self._over = False
        self._pumps: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._events.__aenter__()
        await self._logs.__aenter__()
        for source in (self._events, self._logs):
            self._pumps.append(asyncio.create_task(self._pump(source)))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await self._events.__aexit__(None, None, None)
        await self._logs.__aexit__(None, None, None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Log | Event:
        get = asyncio.ensure_future(self._items.get())
        waiting: set[asyncio.Future[Any]] = {get, *self._pumps}
        while True:
            timeout = self._straggler_timeout if self._over else None
            done, _ = await asyncio.wait(
                waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if get in done:
                return self._seen(get.result())
            waiting -= done
            if not done or waiting == {get}:
                get.cancel()
                raise StopAsyncIteration

    def _seen(self, item: Log | Event) -> Log | Event:
        if isinstance(item, Event) and self._is_end(item):
            self._over = True
        return item

    def _is_end(self, event: Event) -> bool:
        if event.resource.get("prefect.resource.id") != f"prefect.flow-run.{self._flow_run_id}":
            return False
        state = event.resource.get("prefect.state-type")
        if state is None:
            state = (event.payload.get("validated_state") or {}).get("type")
        return state in _TERMINAL

    async def _pump(self, source: Any) -> None:
        async for item in source:
            self._items.put_nowait(item)
