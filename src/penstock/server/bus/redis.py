"""The bus over Redis or Valkey publish/subscribe.

One connection listens, one sends. When either breaks it is made again; after the listening one
was away every topic is woken, since wake-ups may have been missed.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio
import redis.exceptions

from penstock.server.bus.relay import RelayBus

logger = logging.getLogger("penstock.server.bus")

CHANNEL = "penstock:bus"
LONGEST_PAUSE = 5.0
OUTGOING_HELD = 100_000


class RedisBus(RelayBus):
    """Wake-ups and copies between all servers on one Redis."""

    def __init__(self, url: str, channel: str = CHANNEL) -> None:
        super().__init__()
        self._url = url
        self._channel = channel
        self._tasks: list[asyncio.Task[None]] = []
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._listening = asyncio.Event()

    async def start(self) -> None:
        """Connect and return when wake-ups from elsewhere arrive, or after five seconds."""
        if self._tasks:
            return
        await super().start()
        self._outgoing = asyncio.Queue(OUTGOING_HELD)
        self._listening = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._persist(self._listen), name="penstock-bus-listen"),
            asyncio.create_task(self._persist(self._send), name="penstock-bus-send"),
        ]
        try:
            await asyncio.wait_for(self._listening.wait(), 5)
        except TimeoutError:
            logger.warning("no connection to Redis yet; going on without wake-ups, still trying")

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        pending = set(tasks)
        # The driver swallows a cancellation that meets it in the middle of a command.
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=0.2)
        await super().stop()

    def send_wake(self, topic: str) -> None:
        self._on_loop(self._enqueue, self.wake_message(topic))

    def send_copy(self, topic: str, copy: bytes) -> None:
        for message in self.copy_messages(topic, copy):
            self._on_loop(self._enqueue, message)

    def _enqueue(self, message: str) -> None:
        # With Redis away for long, losing wake-ups costs time only; memory stays bounded.
        with contextlib.suppress(asyncio.QueueFull):
            self._outgoing.put_nowait(message)

    async def _persist(self, work: Callable[[Any], Awaitable[None]]) -> None:
        pause = 0.1
        while True:
            try:
                async with redis.asyncio.from_url(self._url) as client:
                    await work(client)
            except (redis.exceptions.RedisError, OSError) as error:
                logger.warning("the connection to Redis broke (%s); connecting again", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _listen(self, client: "redis.asyncio.Redis") -> None:
        async with client.pubsub(ignore_subscribe_messages=False) as pubsub:
            await pubsub.subscribe(self._channel)
            async for message in pubsub.listen():
                if message["type"] == "subscribe":
                    self._listening.set()
                    self.wake_everything()
                elif message["type"] == "message":
                    self.receive(message["data"].decode())

    async def _send(self, client: "redis.asyncio.Redis") -> None:
        while True:
            message = await self._outgoing.get()
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.publish(self._channel, message)
                while not self._outgoing.empty() and len(pipeline) < 500:
                    pipeline.publish(self._channel, self._outgoing.get_nowait())
                await pipeline.execute()
