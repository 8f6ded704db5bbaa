"""Connections to Redis, and exchanges of several commands in one write.

Whatever goes wrong on a connection closes it: replies that were not read would be taken for those
of the next exchange. A server that refuses writes (a replica, a full disk, one that is loading)
is treated as one that cannot be reached: every connection is made anew.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
import redis.exceptions

from penstock.schemas.errors import ServiceUnavailable

LINES = 32
Command = tuple[Any, ...]
FAILURES = (redis.exceptions.RedisError, OSError, TimeoutError)


class Aborted(Exception):
    """The watched key was changed by somebody else between reading and writing."""


class Lines:
    """At most `LINES` connections to one Redis, made when they are needed."""

    def __init__(self, url: str, **options: Any) -> None:
        self._maker = redis.asyncio.ConnectionPool.from_url(url, **options)
        self._idle: list[Any] = []
        self._places = asyncio.Semaphore(LINES)
        self._age = 0
        self.commands = 0
        """Commands sent since the start."""
        self.transactions = 0
        self.aborts = 0

    async def close(self) -> None:
        """Close what is idle now, and what is in use when it comes back."""
        self._age += 1
        idle, self._idle = self._idle, []
        for line in idle:
            await line.disconnect(nowait=True)

    @asynccontextmanager
    async def line(self) -> AsyncIterator["Line"]:
        """One connection for one exchange. Raises `ServiceUnavailable` when Redis fails."""
        async with self._places:
            age = self._age
            connection = self._idle.pop() if self._idle else self._maker.make_connection()
            kept = False
            try:
                yield Line(self, connection)
                kept = True
            except FAILURES as error:
                await self.close()
                raise ServiceUnavailable(
                    f"the cleanup queue's Redis cannot be used now ({error}); it is tried again"
                ) from error
            finally:
                if kept and age == self._age:
                    self._idle.append(connection)
                else:
                    await connection.disconnect(nowait=True)

    async def run(self, *commands: Command) -> list[Any]:
        """The replies to commands sent in one write."""
        async with self.line() as line:
            return await line.exchange(commands)


class Line:
    """One connection in use."""

    def __init__(self, owner: Lines, connection: Any) -> None:
        self._owner = owner
        self._connection = connection

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send all, then read all replies; the first refusal is raised after that."""
        connection = self._connection
        await connection.connect()
        self._owner.commands += len(commands)
        await connection.send_packed_command(connection.pack_commands(commands))
        replies: list[Any] = []
        refusal: Exception | None = None
        for _ in commands:
            try:
                replies.append(await connection.read_response())
            except redis.exceptions.ResponseError as error:
                refusal = refusal or error
                replies.append(None)
        if refusal is not None:
            raise refusal
        return replies

    async def transaction(self, commands: Sequence[Command]) -> None:
        """Write all of them or none. Raises `Aborted` when what was watched has changed."""
        self._owner.transactions += 1
        replies = await self.exchange([("MULTI",), *commands, ("EXEC",)])
        if replies[-1] is None:
            self._owner.aborts += 1
            raise Aborted
        for reply in replies[-1]:
            if isinstance(reply, Exception):
                raise reply
