"""The steps that a public function with two colours takes: ask the API, wait, look at the clock.

See `penstock.base.dual` for what a step is. A test of such a function's body needs no server and
no clock: it reads the steps and gives the answers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penstock.base.clock import SYSTEM_CLOCK
from penstock.base.lazy import LazyModule

if TYPE_CHECKING:
    import asyncio
    import time

    from penstock import client
else:
    asyncio = LazyModule("asyncio")
    client = LazyModule("penstock.client")  # transports; loaded when something is asked
    time = LazyModule("time")


class Request:
    """One operation of the API. Answer: its decoded response.

    `client` is an asynchronous client to use instead of the one for the current settings.
    """

    __slots__ = ("body", "client", "operation", "path", "query")

    def __init__(
        self,
        operation: str,
        *path: Any,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        client: Any = None,
    ) -> None:
        self.operation = operation
        self.path = path
        self.body = body
        self.query = dict(query or {})
        self.client = client

    def sync(self) -> Any:
        api = client.get_client(sync_client=True)
        return api.call(self.operation, *self.path, body=self.body, **self.query)

    async def aio(self) -> Any:
        api = self.client if self.client is not None else client.get_client()
        return await api.call(self.operation, *self.path, body=self.body, **self.query)

    def __repr__(self) -> str:
        return f"Request({self.operation!r}, {self.path!r})"


class Sleep:
    """Let `seconds` pass. Answer: None."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def sync(self) -> None:
        time.sleep(self.seconds)

    async def aio(self) -> None:
        await asyncio.sleep(self.seconds)

    def __repr__(self) -> str:
        return f"Sleep({self.seconds})"


class Listen(Sleep):
    """Let `seconds` pass, or less when the bell rings. Answer: None."""

    __slots__ = ("bell",)

    def __init__(self, bell: Any, seconds: float) -> None:
        super().__init__(seconds)
        self.bell = bell

    def sync(self) -> None:
        self.bell.wait(self.seconds)

    async def aio(self) -> None:
        await asyncio.to_thread(self.bell.wait, self.seconds)


class Monotonic:
    """Answer: seconds of a clock that never runs backwards."""

    __slots__ = ()

    def sync(self) -> float:
        return SYSTEM_CLOCK.monotonic()

    async def aio(self) -> float:
        return SYSTEM_CLOCK.monotonic()
