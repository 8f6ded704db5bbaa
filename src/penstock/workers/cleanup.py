"""Teardowns on the worker: each is run beside the renewal of its lease, and answered for sure.

A lease is measured from the arrival of its message by this machine's monotonic clock, so it does
not matter what time anybody thinks it is. What a handler has come to is said again until the
server has heard it, over as many connections as it takes.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from msgspec import Struct

from penstock.base.ids import uuid7
from penstock.schemas.channel import (
    CleanupMessage,
    CleanupMessageFrame,
    OperationResult,
    OperationResultFrame,
)
from penstock.schemas.cleanup import CleanupOperation, CleanupStatus

logger = logging.getLogger("penstock.workers.cleanup")

RESULT_SECONDS = 30.0
AGAIN_SECONDS = 1.0
SHORTEST_RENEWAL = 0.2
GRACE_SECONDS = 30.0
HANDING_BACK_SECONDS = 1.0

LOST = frozenset(
    {
        CleanupStatus.NOT_CURRENT,
        CleanupStatus.EXPIRED,
        CleanupStatus.INVALID_TOKEN,
        CleanupStatus.UNAUTHORIZED,
        CleanupStatus.DEAD_LETTERED,
        CleanupStatus.NOT_FOUND,
    }
)
"""Answers that say that the message is not this worker's any more."""


class Ack(Struct, frozen=True):
    """The infrastructure is gone."""


class Release(Struct, frozen=True):
    """It is not, or this worker cannot tell; the reason decides what the server does."""

    reason: str


Outcome = Ack | Release
Handler = Callable[[CleanupMessage], Awaitable[Outcome | None]]
"""Tears down what a message names and says how it went; None stands for `Ack`.

It may be run again for the same message, on this worker or another, also after it was done. It
proposes no states and goes by the identifiers in the message.
"""
Send = Callable[[str, Any, UUID], Awaitable[None]]
"""Sends a frame of a type with a payload and an id; `ConnectionError` without a connection."""


class _Teardown:
    """One message being worked on."""

    def __init__(self, message: CleanupMessage) -> None:
        self.message = message
        self.token = message.reservation_token
        self.until = 0.0
        self.lease = 0.0
        self.task: asyncio.Task[None] | None = None
        self.handler: asyncio.Task[Outcome | None] | None = None
        self.lost = False


class CleanupExecutor:
    """Runs the handlers of one worker, at most `limit` at once.

    It is the `cleanups` of a `WorkerChannel`. `stop` gives running handlers their grace period
    and hands back what they did not finish.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        *,
        limit: int = 1,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.kinds = tuple(handlers)
        self.limit = limit
        self._handlers = dict(handlers)
        self._clock = clock
        self._chance = chance
        self._active: dict[UUID, _Teardown] = {}
        self._answers: dict[UUID, asyncio.Future[OperationResultFrame]] = {}
        self._refusals: set[asyncio.Task[None]] = set()
        self._send: Send | None = None
        self._connected = asyncio.Event()
        self._stopping = False

    @property
    def active(self) -> int:
        """How many teardowns are being worked on."""
        return len(self._active)

    # --- what the channel says -------------------------------------------------------------------

    def connected(self, send: Send, *, accepted: bool) -> None:
        """The channel is up; without `accepted` the server takes no answers from this worker."""
        if not accepted:
            for teardown in self._active.values():
                self._lose(teardown)
            return
        self._send = send
        self._connected.set()

    def disconnected(self) -> None:
        self._send = None
        self._connected.clear()
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            answer.cancel()

    def take(self, frame: CleanupMessageFrame) -> None:
        """Begin with a message, or hand it back. Returns at once."""
        message = frame.payload
        lease = (message.lease_expires_at - frame.sent_at).total_seconds()
        teardown = self._active.get(message.message_id)
        if teardown is not None:
            # The same work under a new lease: it goes on, and answers with the new token.
            teardown.token = message.reservation_token
            teardown.lease, teardown.until = lease, self._clock() + lease
            return
        handler = self._handlers.get(message.kind)
        if handler is None:
            self._refuse(message, "unsupported_cleanup_kind")
        elif self._stopping:
            self._refuse(message, "worker_shutting_down")
        elif len(self._active) >= self.limit:
            self._refuse(message, "concurrency_limit_reached")
        else:
            teardown = self._active[message.message_id] = _Teardown(message)
            teardown.lease, teardown.until = lease, self._clock() + lease
            teardown.task = asyncio.create_task(
                self._work(teardown, handler), name=f"cleanup-{message.message_id}"
            )

    def resolve(self, frame: OperationResultFrame) -> None:
        """Take an answer. What is over gives its place free at once: the server counts it so, and
        the next message may be the very next frame."""
        result = frame.payload
        renewed = result.operation is CleanupOperation.RENEW
        if not renewed and result.status is not CleanupStatus.ERROR:
            self._active.pop(result.message_id, None)
        answer = self._answers.pop(frame.payload.request_frame_id, None)
        if answer is not None and not answer.done():
            answer.set_result(frame)

    async def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Finish what is being worked on within `grace` seconds and hand back the rest."""
        self._stopping = True
        tasks = [one.task for one in self._active.values() if one.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for teardown in list(self._active.values()):
            if teardown.handler is not None and not teardown.handler.done():
                # Where this fails the server finds out by itself when the lease ends.
                with contextlib.suppress(TimeoutError, ConnectionError):
                    async with asyncio.timeout(HANDING_BACK_SECONDS):
                        await self._said(teardown, Release("worker_shutting_down"))
            if teardown.task is not None:
                teardown.task.cancel()
        await asyncio.gather(*tasks, *self._refusals, return_exceptions=True)

    # --- one teardown ----------------------------------------------------------------------------

    async def _work(self, teardown: _Teardown, handler: Handler) -> None:
        message = teardown.message
        logger.info(
            "tearing down %s of flow run %s (delivery %d)",
            message.target.get("infrastructure_pid") or "nothing known",
            message.target.get("flow_run_id"),
            message.delivery_count,
        )
        renewal = asyncio.create_task(self._renew(teardown), name="cleanup-renewal")
        try:
            outcome = await self._outcome(teardown, handler)
            renewal.cancel()
            if not teardown.lost:
                await self._answer(teardown, outcome)
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)
            if self._active.get(message.message_id) is teardown:
                del self._active[message.message_id]

    async def _outcome(self, teardown: _Teardown, handler: Handler) -> Outcome:
        teardown.handler = asyncio.ensure_future(handler(teardown.message))
        try:
            return await teardown.handler or Ack()
        except asyncio.CancelledError:
            if teardown.lost:
                return Release("handler_released")
            teardown.handler.cancel()
            raise
        except Exception:
            # A handler is what somebody wrote for their infrastructure: the server must hear.
            logger.exception("the teardown of %s failed", teardown.message.message_id)
            return Release("handler_failed")

    async def _answer(self, teardown: _Teardown, outcome: Outcome) -> None:
        """Say it until it is heard; an error is said again after a second."""
        while True:
            with contextlib.suppress(asyncio.CancelledError, TimeoutError, ConnectionError):
                result = await self._said(teardown, outcome)
                if result.status is not CleanupStatus.ERROR:
                    level = logging.INFO if _is_heard(result) else logging.WARNING
                    logger.log(
                        level,
                        "teardown of flow run %s: %s %s %s",
                        teardown.message.target.get("flow_run_id"),
                        "done" if isinstance(outcome, Ack) else outcome.reason,
                        result.status,
                        result.reason or "",
                    )
                    return
            if _is_cancelled():
                raise asyncio.CancelledError
            await asyncio.sleep(AGAIN_SECONDS)

    async def _said(self, teardown: _Teardown, outcome: Outcome) -> OperationResult:
        if isinstance(outcome, Ack):
            return (await self._operate(teardown, CleanupOperation.ACK)).payload
        more = {"reason": outcome.reason}
        return (await self._operate(teardown, CleanupOperation.RELEASE, **more)).payload

    async def _renew(self, teardown: _Teardown) -> None:
        """Renew at a third of each lease, sooner or later by some chance."""
        while True:
            pause = teardown.lease / 3 * (0.8 + 0.4 * self._chance())
            await asyncio.sleep(max(pause, SHORTEST_RENEWAL))
            left = max(teardown.until - self._clock(), SHORTEST_RENEWAL)
            try:
                async with asyncio.timeout(left):
                    frame = await self._operate(teardown, CleanupOperation.RENEW)
            except (TimeoutError, ConnectionError):
                continue
            result = frame.payload
            if result.status is CleanupStatus.ACCEPTED and result.lease_expires_at is not None:
                teardown.lease = (result.lease_expires_at - frame.sent_at).total_seconds()
                teardown.until = self._clock() + teardown.lease
            elif result.status in LOST:
                logger.warning(
                    "the teardown of flow run %s is not this worker's any more: %s",
                    teardown.message.target.get("flow_run_id"),
                    result.reason,
                )
                self._lose(teardown)
                return

    def _lose(self, teardown: _Teardown) -> None:
        teardown.lost = True
        if teardown.handler is not None:
            teardown.handler.cancel()

    def _refuse(self, message: CleanupMessage, reason: str) -> None:
        async def refuse() -> None:
            with contextlib.suppress(TimeoutError, ConnectionError, asyncio.CancelledError):
                await self._said(_Teardown(message), Release(reason))

        task = asyncio.create_task(refuse(), name="cleanup-refusal")
        self._refusals.add(task)
        task.add_done_callback(self._refusals.discard)

    async def _operate(
        self, teardown: _Teardown, operation: CleanupOperation, **more: Any
    ) -> OperationResultFrame:
        """Send an operation when there is a connection, and wait for its answer on it.

        Raises `TimeoutError`, or `ConnectionError` when the connection was lost.
        """
        await self._connected.wait()
        send = self._send
        assert send is not None
        payload = {
            "message_id": teardown.message.message_id,
            "reservation_token": teardown.token,
            **more,
        }
        id = uuid7()
        answer: asyncio.Future[OperationResultFrame] = asyncio.get_running_loop().create_future()
        self._answers[id] = answer
        try:
            await send(f"cleanup.{operation}.v1", payload, id)
            async with asyncio.timeout(RESULT_SECONDS):
                return await answer
        except asyncio.CancelledError:
            if answer.cancelled() and not _is_cancelled():
                raise ConnectionError("the connection was lost before the answer came") from None
            raise
        finally:
            self._answers.pop(id, None)


def _is_cancelled() -> bool:
    """Whether somebody asked the running task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_heard(result: OperationResult) -> bool:
    resolved = result.operation is CleanupOperation.ACK and result.status is CleanupStatus.NOT_FOUND
    return resolved or result.status is CleanupStatus.ACCEPTED
