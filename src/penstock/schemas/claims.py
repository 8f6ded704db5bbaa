"""Claims: a run taken by a worker or runner for as long as it renews it. Beyond the contract."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, field

from penstock.schemas.deployments import Deployment
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.shapes import Entity, Labels
from penstock.schemas.states import StateType

CLAIM_HEADER = "Penstock-Claim"
"""`<flow run id>:<number>`: under which claim a process writes about its run."""

LeaseSeconds = Annotated[float, Meta(ge=1, le=86_400)]
Text = Annotated[str, Meta(min_length=1, max_length=255)]


class ClaimBody(Entity):
    """Takes runs that are due: of a work pool, or of these deployments.

    `owner` names who takes them. `labels` are put on each run. No more than `limit` are taken.
    """

    owner: Text
    work_pool_name: str | None = None
    work_queue_names: list[str] = field(default_factory=list)
    deployment_ids: list[UUID] = field(default_factory=list)
    limit: Annotated[int, Meta(ge=0, le=200)] = 50
    lease_seconds: LeaseSeconds = 30.0
    labels: Labels = field(default_factory=dict)


class ClaimedRun(Entity):
    """A run that is Pending for its owner, until `expires` unless the claim is renewed."""

    flow_run: FlowRun
    number: int
    expires: datetime
    flow_name: str
    deployment: Deployment | None = None
    work_pool_id: UUID | None = None
    work_queue_id: UUID | None = None


class Claims(Entity):
    """What was taken, and in how many seconds the next run is due, if one is known."""

    runs: list[ClaimedRun]
    next_due_seconds: float | None = None


class ClaimKey(Entity):
    flow_run_id: UUID
    number: int


class RenewClaimsBody(Entity):
    claims: list[ClaimKey]
    lease_seconds: LeaseSeconds = 30.0


class RenewedClaims(Entity):
    """The runs whose claims were taken back; their processes must end."""

    lost: list[UUID] = field(default_factory=list)


class EndClaimBody(Entity):
    """The process of a claimed run is gone, as `message` says; without one, the owner just no
    longer looks after it."""

    flow_run_id: UUID
    number: int
    message: str | None = None


class EndedClaim(Entity):
    """The state of the run now; `forced` when the process had left it without a final one."""

    state_type: StateType | None = None
    state_name: str | None = None
    forced: bool = False
    lost: bool = False
