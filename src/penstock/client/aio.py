"""Requests from coroutines: a small thread pool over the sync transport, or the embedded
application awaited directly."""

import asyncio

from penstock.client.endpoint import Endpoint, endpoint, known_endpoint, request_threads
from penstock.client.exchange import Request, Response
from penstock.client.target import Target


class AsyncCaller:
    """Performs requests against one target from any event loop, without blocking it."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def perform(self, request: Request) -> Response:
        return await (await self._endpoint()).aperform(request)

    async def extensions(self) -> frozenset[str]:
        return await (await self._endpoint()).aextensions()

    async def _endpoint(self) -> Endpoint:
        known = known_endpoint(self._target)
        if known is not None:
            return known
        # Making one may start a server, which takes too long for an event loop.
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(request_threads(), endpoint, self._target)
