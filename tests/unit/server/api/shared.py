"""One application for all tests of a module, on a loop of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from penstock.server.app import App, create_app
from penstock.server.config import ServerConfig


class SharedApp:
    """Runs coroutines against an application that is already there."""

    def __init__(self, runner: asyncio.Runner, app: App) -> None:
        self._runner = runner
        self.app = app

    def run(self, test: Callable[[App], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            async with asyncio.timeout(60):
                return await test(self.app)

        return self._runner.run(whole())


@contextmanager
def shared_app(**options: Any) -> Iterator[SharedApp]:
    """Start an application with these options, stop it at the end."""
    with asyncio.Runner() as runner:
        app = create_app(ServerConfig(**{"services": False, **options}))
        runner.run(app.start())
        try:
            yield SharedApp(runner, app)
        finally:
            runner.run(app.stop())
