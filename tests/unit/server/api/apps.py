"""Running a coroutine against a whole application in this process, on a database of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from penstock.server.app import App, create_app
from penstock.server.config import ServerConfig


def with_app(test: Callable[[App], Awaitable[Any]], **options: Any) -> Any:
    """Start an application with these options, run `test` on it, stop it. Returns its result."""

    async def whole() -> Any:
        app = create_app(ServerConfig(**{"services": False, **options}))
        await app.start()
        try:
            return await asyncio.wait_for(test(app), 60)
        finally:
            await app.stop()

    return asyncio.run(whole())
