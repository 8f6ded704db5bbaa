"""What tears infrastructure down: by the worker's `kill_infrastructure`, or processes of this host.

A handler answers with `Ack` when the infrastructure is gone, whoever ended it, and with a reason
when it is not, or when this worker cannot tell.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from penstock.schemas.channel import CleanupMessage
from penstock.schemas.errors import (
    InfrastructureNotAvailable,
    InfrastructureNotFound,
    ObjectNotFound,
)
from penstock.workers.cleanup import Ack, Outcome, Release
from penstock.workers.identity import ProcessIdentity, alive, is_here, parsed, terminate

logger = logging.getLogger("penstock.workers.cleanup")

GRACE_SECONDS = 30.0
KILLED_SECONDS = 5.0
"""How long a killed process may take to be gone."""
LOOK_SECONDS = 0.1

ELSEWHERE = Release("infrastructure_elsewhere")
UNAVAILABLE = Release("infrastructure_not_available")
MISSING = Release("missing_infrastructure_handle")
INVALID = Release("invalid_payload")


class ProcessTeardown:
    """Ends the processes of a run on this host: asked first, killed after the grace period.

    Nothing is signalled that is not certainly the run's: host, start time, process group and the
    run's id in the environment are compared, again before each signal. A process that is gone,
    or whose number belongs to another one by now, counts as ended.
    """

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace = grace_seconds

    async def __call__(self, message: CleanupMessage) -> Outcome:
        handle, run = message.target.get("infrastructure_pid"), message.target.get("flow_run_id")
        if handle is None:
            return MISSING
        identity = parsed(str(handle))
        if identity is None or not isinstance(run, str):
            return INVALID
        here = is_here(identity)
        if here is None:
            return Ack()
        if not here:
            return ELSEWHERE
        try:
            return await self._end(identity, run)
        except PermissionError as error:
            logger.warning("the process of flow run %s cannot be ended: %s", run, error)
            return UNAVAILABLE

    async def _end(self, identity: ProcessIdentity, run: str) -> Outcome:
        for number, patience in (
            (signal.SIGTERM, self._grace),
            (signal.SIGKILL, KILLED_SECONDS),
        ):
            count = await asyncio.to_thread(terminate, identity, run, number)
            if not count or await self._gone(identity, run, patience):
                return Ack()
            logger.info("flow run %s has processes left after %s", run, number.name)
        return UNAVAILABLE

    async def _gone(self, identity: ProcessIdentity, run: str, patience: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while await asyncio.to_thread(alive, identity, run):
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True


class InfrastructureTeardown:
    """Calls a worker's `kill_infrastructure`, for every type of worker that has one.

    `configuration_of` gives the job configuration for a run that may be deleted (None): from the
    run and its deployment, else from the pool alone.
    """

    def __init__(
        self,
        kill: Callable[..., Awaitable[None]],
        read_flow_run: Callable[[UUID], Awaitable[Any]],
        configuration_of: Callable[[Any], Awaitable[Any]],
        grace_seconds: int = int(GRACE_SECONDS),
    ) -> None:
        self._kill = kill
        self._read_flow_run = read_flow_run
        self._configuration_of = configuration_of
        self._grace = grace_seconds

    async def __call__(self, message: CleanupMessage) -> Outcome:
        handle = message.target.get("infrastructure_pid")
        if handle is None:
            return MISSING
        try:
            configuration = await self._configuration(message)
        except Exception as error:
            # Templates and blocks are the user's: whatever is wrong there may be put right.
            logger.warning("no configuration to reach %s with: %s", handle, error)
            return Release("configuration_context_unavailable")
        try:
            await self._kill(str(handle), configuration, grace_seconds=self._grace)
        except InfrastructureNotFound:
            return Ack()
        except InfrastructureNotAvailable as error:
            logger.warning("%s cannot be reached: %s", handle, error)
            return UNAVAILABLE
        except NotImplementedError:
            return Release("unsupported_worker_type")
        return Ack()

    async def _configuration(self, message: CleanupMessage) -> Any:
        try:
            run = await self._read_flow_run(UUID(str(message.target["flow_run_id"])))
        except ObjectNotFound:
            run = None
        return await self._configuration_of(run)
