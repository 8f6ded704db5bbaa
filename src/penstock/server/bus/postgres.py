"""The bus over LISTEN/NOTIFY, on one connection kept for it alone.

The connection belongs to a thread that sleeps until the server or this process has something to
say. When it breaks, the thread connects again and wakes every topic, since wake-ups may have been
missed in between.
"""

import asyncio
import logging
import os
import select
import threading
from collections import deque

import psycopg

from penstock.server.bus.relay import RelayBus

logger = logging.getLogger("penstock.server.bus")

CHANNEL = "penstock_bus"
LONGEST_PAUSE = 5.0


class PostgresBus(RelayBus):
    """Wake-ups and copies between all servers on one PostgreSQL database."""

    def __init__(self, database_url: str, channel: str = CHANNEL) -> None:
        super().__init__()
        self._url = database_url.replace("postgresql+asyncpg://", "postgresql://", 1)
        self._channel = channel
        self._outgoing: deque[str] = deque()
        self._ended = threading.Event()
        self._connected: asyncio.Event = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._pipe: tuple[int, int] | None = None

    async def start(self) -> None:
        """Connect and return when wake-ups from elsewhere arrive, or after five seconds."""
        if self._thread is not None:
            return
        await super().start()
        self._ended.clear()
        self._connected = asyncio.Event()
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self._thread = threading.Thread(target=self._run, name="penstock-bus", daemon=True)
        self._thread.start()
        try:
            await asyncio.wait_for(self._connected.wait(), 5)
        except TimeoutError:
            logger.warning("no connection for wake-ups yet; going on without, still trying")

    async def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._ended.set()
            self._nudge()
            await asyncio.to_thread(thread.join)
            assert self._pipe is not None
            with self._lock:
                pipe, self._pipe = self._pipe, None
            for end in pipe:
                os.close(end)
        await super().stop()

    def send_wake(self, topic: str) -> None:
        message = self.wake_message(topic)
        # A wake-up that still waits to be sent says the same thing.
        if message not in self._outgoing:
            self._outgoing.append(message)
            self._nudge()

    def send_copy(self, topic: str, copy: bytes) -> None:
        self._outgoing.extend(self.copy_messages(topic, copy))
        self._nudge()

    def _nudge(self) -> None:
        with self._lock:
            if self._pipe is not None:
                try:
                    os.write(self._pipe[1], b"x")
                except BlockingIOError:
                    return  # the pipe is full of nudges already

    def _run(self) -> None:
        pause = 0.1
        while not self._ended.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, application_name=f"penstock {self._channel}"
                ) as connection:
                    pause = 0.1
                    self._serve(connection)
            except (psycopg.Error, OSError) as error:
                logger.warning("the connection for wake-ups broke (%s); connecting again", error)
                self._ended.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _serve(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        connection.add_notify_handler(lambda notice: self.receive(notice.payload))
        connection.execute(f'LISTEN "{self._channel}"')  # type: ignore[arg-type]
        self.wake_everything()
        self._on_loop(self._connected.set)
        pipe = self._pipe
        assert pipe is not None
        while not self._ended.is_set():
            readable, _, _ = select.select([connection.fileno(), pipe[0]], [], [])
            if pipe[0] in readable:
                os.read(pipe[0], 4096)
            self._exchange(connection)

    def _exchange(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        messages: list[str] = []
        while self._outgoing and len(messages) < 500:
            messages.append(self._outgoing.popleft())
        if messages:
            # The statement also takes in the notices that arrived meanwhile, for the handler.
            connection.execute(
                "SELECT pg_notify(%s, message) FROM unnest(%s::text[]) AS message",
                (self._channel, messages),
            )
            if self._outgoing:
                self._nudge()
            return
        connection.pgconn.consume_input()
        while (notice := connection.pgconn.notifies()) is not None:
            self.receive(notice.extra.decode())
