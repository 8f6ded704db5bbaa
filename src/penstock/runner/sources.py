"""Where runs to start come from: claims of a Penstock server, or polls of the contract.

Both answer the same: the runs that are taken now, and when to ask again at the latest. A run that
is taken is Pending, and nobody else starts it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from penstock.base.clock import utc_now
from penstock.logging import get_logger
from penstock.schemas.claims import (
    ClaimBody,
    ClaimKey,
    Claims,
    EndClaimBody,
    EndedClaim,
    RenewClaimsBody,
)
from penstock.schemas.deployments import Deployment, ScheduledFlowRunsBody
from penstock.schemas.errors import ObjectNotFound
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.shapes import Labels
from penstock.schemas.states import (
    SetStateBody,
    SetStateStatus,
    StateCreate,
    StateType,
)
from penstock.schemas.work import PollBody

logger = get_logger("runner")

EXTENSION = "claims"


class Target(Struct, frozen=True, kw_only=True):
    """Whose runs are wanted: those of a pool's queues (all without names), or of deployments."""

    owner: str
    work_pool_name: str | None = None
    work_queue_names: Sequence[str] = ()
    deployment_ids: Sequence[UUID] = ()
    labels: Labels = {}


class Taken(Struct, frozen=True, kw_only=True):
    """A run that is ours to start. Without a `number` the server knows no claims."""

    flow_run: FlowRun
    number: int | None = None
    flow_name: str | None = None
    deployment: Deployment | None = None
    work_pool_id: UUID | None = None
    work_queue_id: UUID | None = None

    @property
    def id(self) -> UUID:
        return self.flow_run.id


class Round(Struct, frozen=True, kw_only=True):
    """What one question brought, and in how many seconds the next known run is due."""

    taken: list[Taken]
    next_due: float | None = None


class Source(Protocol):
    async def take(self, target: Target, limit: int) -> Round:
        """Take up to `limit` runs that are due now."""
        ...

    async def renew(self, runs: Sequence[Taken]) -> list[UUID]:
        """Keep what was taken; the runs that are ours no longer."""
        ...

    async def end(self, run: Taken, message: str | None) -> EndedClaim:
        """The run's process is gone, as `message` says; see that the run is not left without an
        end. None: it is no longer ours to look after, whatever its process does."""
        ...


async def open_source(client: Any, *, lease_seconds: float, ahead_seconds: float) -> Source:
    """The best that the server offers. Asks it when nothing was heard from it yet."""
    await client.read_version()
    if EXTENSION in client.extensions:
        return ClaimSource(client, lease_seconds)
    return PollSource(client, ahead_seconds)


class ClaimSource:
    """Claims: one request takes runs with all that is known of them, in one transaction."""

    def __init__(self, client: Any, lease_seconds: float) -> None:
        self._client = client
        self._lease = lease_seconds
        self._ended: set[UUID] = set()

    async def take(self, target: Target, limit: int) -> Round:
        body = ClaimBody(
            owner=target.owner,
            work_pool_name=target.work_pool_name,
            work_queue_names=list(target.work_queue_names),
            deployment_ids=list(target.deployment_ids),
            labels=dict(target.labels),
            limit=min(limit, 200),
            lease_seconds=self._lease,
        )
        claims: Claims = await self._client.call("claim_flow_runs", body=body)
        taken = [
            Taken(
                flow_run=run.flow_run,
                number=run.number,
                flow_name=run.flow_name,
                deployment=run.deployment,
                work_pool_id=run.work_pool_id,
                work_queue_id=run.work_queue_id,
            )
            for run in claims.runs
        ]
        self._ended.difference_update(run.id for run in taken)
        return Round(taken=taken, next_due=claims.next_due_seconds)

    async def renew(self, runs: Sequence[Taken]) -> list[UUID]:
        self._ended.intersection_update(run.id for run in runs)
        keys = [
            ClaimKey(flow_run_id=run.id, number=run.number or 0)
            for run in runs
            if run.id not in self._ended
        ]
        if not keys:
            return []
        body = RenewClaimsBody(claims=keys, lease_seconds=self._lease)
        return (await self._client.call("renew_claims", body=body)).lost

    async def end(self, run: Taken, message: str | None) -> EndedClaim:
        body = EndClaimBody(flow_run_id=run.id, number=run.number or 0, message=message)
        answer = await self._client.call("end_claim", body=body)
        # What is left to do for it, such as its hooks, needs no claim.
        self._ended.add(run.id)
        return answer


class PollSource:
    """Polls of the contract: a run is ours when the server lets us make it Pending.

    Runs are asked for ahead of their time, and taken when it has come.
    """

    def __init__(self, client: Any, ahead_seconds: float) -> None:
        self._client = client
        self._ahead = timedelta(seconds=ahead_seconds)

    async def take(self, target: Target, limit: int) -> Round:
        now = utc_now()
        found = await self._ask(target, now + self._ahead, limit)
        due = [run for run in found if _start(run.flow_run, now) <= now]
        upcoming = [_start(run.flow_run, now) for run in found]
        later = min((start for start in upcoming if start > now), default=None)
        taken = [run for run in due[:limit] if await self._take(run)]
        return Round(
            taken=[await self._complete(run) for run in taken],
            next_due=None if later is None else (later - now).total_seconds(),
        )

    async def _ask(self, target: Target, before: datetime, limit: int) -> list[Taken]:
        if target.work_pool_name is not None:
            body = PollBody(work_queue_names=list(target.work_queue_names), scheduled_before=before)
            answer = await self._client.call(
                "get_scheduled_flow_runs", target.work_pool_name, body=body
            )
            return [
                Taken(
                    flow_run=one.flow_run,
                    work_pool_id=one.work_pool_id,
                    work_queue_id=one.work_queue_id,
                )
                for one in answer
            ]
        wanted = ScheduledFlowRunsBody(
            deployment_ids=list(target.deployment_ids), scheduled_before=before
        )
        runs = await self._client.call("get_scheduled_flow_runs_for_deployments", body=wanted)
        return [Taken(flow_run=run) for run in runs]

    async def _take(self, run: Taken) -> bool:
        body = SetStateBody(state=StateCreate(type=StateType.PENDING))
        answer = await self._client.call("set_flow_run_state", run.id, body=body)
        if answer.status is SetStateStatus.ACCEPT:
            return True
        reason = getattr(answer.details, "reason", None) or "no reason was given"
        logger.info("Flow run %r was not taken: %s", run.flow_run.name, reason)
        return False

    async def _complete(self, run: Taken) -> Taken:
        """The run with the name of its flow and its deployment, if that is still there."""
        flow = await self._client.read_flow(run.flow_run.flow_id)
        deployment = None
        if run.flow_run.deployment_id is not None:
            try:
                deployment = await self._client.read_deployment(run.flow_run.deployment_id)
            except ObjectNotFound:
                logger.warning("The deployment of flow run %r was deleted", run.flow_run.name)
        return Taken(
            flow_run=run.flow_run,
            flow_name=flow.name,
            deployment=deployment,
            work_pool_id=run.work_pool_id,
            work_queue_id=run.work_queue_id,
        )

    async def renew(self, runs: Sequence[Taken]) -> list[UUID]:
        return []

    async def end(self, run: Taken, message: str | None) -> EndedClaim:
        if message is None:
            return EndedClaim()
        try:
            known = await self._client.read_flow_run(run.id)
        except ObjectNotFound:
            return EndedClaim(lost=True)
        state = known.state
        if state is None or state.is_final() or state.is_scheduled():
            return _ended(state)
        if state.is_paused() and state.state_details.pause_reschedule:
            return _ended(state)
        if state.is_cancelling():
            left = StateCreate(type=StateType.CANCELLED, message="The run's process was stopped.")
        else:
            left = StateCreate(type=StateType.CRASHED, message=message or "The process ended.")
        body = SetStateBody(state=left, force=True)
        answer = await self._client.call("set_flow_run_state", run.id, body=body)
        return EndedClaim(state_type=answer.state.type, state_name=answer.state.name, forced=True)


def _ended(state: Any) -> EndedClaim:
    return EndedClaim(
        state_type=state.type if state is not None else None,
        state_name=state.name if state is not None else None,
    )


def _start(run: FlowRun, now: datetime) -> datetime:
    return run.next_scheduled_start_time or now
