"""What a failed teardown costs and when it is tried again.

A reason belongs to a class. Failures of transport are free, because nobody tried. A worker that
cannot reach the infrastructure is remembered and not asked again. Everything else is charged: one
attempt of the budget, and a pause that doubles with each.
"""

from enum import Enum

from msgspec import Struct

MAX_ATTEMPTS = "max_delivery_attempts_reached"
MAX_DELIVERIES = "max_deliveries_reached"
MAX_AGE = "max_age_exceeded"
NO_ELIGIBLE_WORKER = "no_eligible_worker"
PERMANENT = "permanent_failure"
POOL_DELETED = "work_pool_deleted"
LEASE_EXPIRED = "lease_expired"
CONNECTION_LOST = "connection_closed"


class ReasonClass(Enum):
    """What a release or expiry means."""

    TRANSPORT = "transport"
    PLACEMENT = "placement"
    TRANSIENT = "transient"
    REFRESH = "refresh"
    PERMANENT = "permanent"


_CLASSES = {
    "connection_unavailable": ReasonClass.TRANSPORT,
    "delivery_failed": ReasonClass.TRANSPORT,
    CONNECTION_LOST: ReasonClass.TRANSPORT,
    "concurrency_limit_reached": ReasonClass.TRANSPORT,
    "cleanup_delivery_unavailable": ReasonClass.TRANSPORT,
    "worker_shutting_down": ReasonClass.TRANSPORT,
    "infrastructure_elsewhere": ReasonClass.PLACEMENT,
    "unsupported_worker_type": ReasonClass.PLACEMENT,
    "unsupported_cleanup_kind": ReasonClass.PLACEMENT,
    "missing_infrastructure_handle": ReasonClass.REFRESH,
    "invalid_payload": ReasonClass.PERMANENT,
    "unexpected_payload_kind": ReasonClass.PERMANENT,
}


class CleanupPolicy(Struct, frozen=True, kw_only=True):
    """Budgets and times of cleanup delivery; durations are seconds."""

    lease_seconds: float = 30.0
    max_attempts: int = 10
    max_deliveries: int = 100
    retry_base_seconds: float = 5.0
    retry_max_seconds: float = 300.0
    retry_jitter: float = 0.2
    placement_wait_seconds: float = 60.0
    unroutable_alert_seconds: float = 900.0
    max_age_seconds: float = 604_800.0
    completed_retention_seconds: float | None = 604_800.0
    dead_retention_seconds: float | None = None
    max_concurrency_per_worker: int = 16


def class_of(reason: str) -> ReasonClass:
    """The class of a reason; one nobody knows is charged and tried again."""
    return _CLASSES.get(reason, ReasonClass.TRANSIENT)


def backoff(policy: CleanupPolicy, attempts: int, chance: float) -> float:
    """Seconds until a message with so many charged failures may be reserved again.

    `chance` lies in [0, 1) and spreads the pause by the policy's jitter to both sides.
    """
    doubled = policy.retry_base_seconds * 2.0 ** min(max(attempts, 1) - 1, 60)
    jitter = min(policy.retry_jitter, 1.0)
    spread = 1.0 - jitter + 2.0 * jitter * chance
    return min(policy.retry_max_seconds, doubled) * spread
