"""Doing many small writes so that one that fails keeps none of the others from being done."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from penstock.server.store.store import Store


class Round:
    """What one round of a service did, and what went wrong in it.

    A row whose write fails is passed over in this round and comes again in the next, because the
    condition that selected it still holds; the rows behind it are not kept waiting.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._errors: list[Exception] = []
        self.done = 0

    async def write_each(self, op: Callable[..., Any], *arguments: Iterable[Any]) -> None:
        """Run `op` in a transaction of its own for each set of arguments, and count truths."""
        results = await asyncio.gather(
            *(self._store.write(op, *each) for each in arguments), return_exceptions=True
        )
        for result in results:
            if isinstance(result, Exception):
                self._errors.append(result)
            elif isinstance(result, BaseException):
                raise result
            elif result:
                self.done += 1

    def close(self, service: str) -> int:
        """How many writes changed something. Raises what went wrong, after everything was tried."""
        if self._errors:
            raise ExceptionGroup(f"{service}: {len(self._errors)} rows failed", self._errors)
        return self.done
