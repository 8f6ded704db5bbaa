"""The life of an owed teardown, decided without a clock, a database or chance.

A message is ready, leased to one worker, done, dead or cancelled. Whoever holds its newest token
may acknowledge, renew or release it; an acknowledgement counts even after the lease has lapsed, as
long as no newer token was issued. Every function takes the message as it is and says what becomes
of it; None, or an answer without a change, means that nothing does.
"""

import hmac
from datetime import datetime, timedelta
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from penstock.schemas.cleanup import (
    CleanupOutcome,
    CleanupPlacement,
    CleanupState,
    CleanupStatus,
)
from penstock.server.domain.cleanup_retries import (
    CONNECTION_LOST,
    LEASE_EXPIRED,
    MAX_AGE,
    MAX_ATTEMPTS,
    MAX_DELIVERIES,
    NO_ELIGIBLE_WORKER,
    PERMANENT,
    CleanupPolicy,
    ReasonClass,
    backoff,
    class_of,
)

READY, LEASED, DONE, DEAD, CANCELLED = CleanupState
UNFINISHED = frozenset({READY, LEASED})
FINISHED = frozenset({DONE, DEAD, CANCELLED})
LEDGER_STEP = 1 << 20
"""How far a change decided in the ledger alone raises the fence, so that it wins over changes of
the same moment in a working set elsewhere."""


class Message(Struct, frozen=True, kw_only=True):
    """One owed teardown with everything a decision about it needs."""

    id: str
    work_pool_id: str
    work_queue_id: str | None = None
    kind: str
    cause: str
    flow_run_id: str
    target: Any = None
    """The wire target, as a document or raw JSON."""
    data: Any = None
    idempotency_key: str
    state: CleanupState = READY
    attempts: int = 0
    deliveries: int = 0
    fence: int = 1
    available_at: datetime
    token_hash: str | None = None
    """Of the newest token, also after its lease ended."""
    lease_since: datetime | None = None
    lease_expires_at: datetime | None = None
    lease_consumer_id: str | None = None
    lease_worker_name: str | None = None
    lease_server_id: str | None = None
    lease_renewals: int = 0
    lease_lost: bool = False
    """Whether the holder's connection is known to be gone."""
    affinity_worker_name: str | None = None
    host_id: str | None = None
    placement: CleanupPlacement = CleanupPlacement.ANY
    tried_workers: tuple[str, ...] = ()
    last_reason: str | None = None
    dead_reason: str | None = None
    requeue_count: int = 0
    requeue_deliveries: int = 0
    """How many deliveries there had been at the last requeue."""
    alerted: bool = False
    created_at: datetime
    updated_at: datetime
    queued_at: datetime
    finished_at: datetime | None = None


class Holder(Struct, frozen=True, kw_only=True):
    """Who a message is delivered to, and through which server process."""

    consumer_id: str
    worker_name: str
    server_id: str


class Ending(Struct, frozen=True, kw_only=True):
    """How the newest delivery ended."""

    outcome: CleanupOutcome
    reason: str | None = None
    charged: bool = False


class Change(Struct, frozen=True, kw_only=True):
    """What becomes of a message: its next form, the name of the event, the delivery's end."""

    before: Message
    after: Message
    event: str
    ending: Ending | None = None

    @property
    def wakes(self) -> bool:
        """Whether somebody may be able to take the message who could not before."""
        return self.after.state is READY


class Answer(Struct, frozen=True, kw_only=True):
    """What a worker is told about its operation; other than accepted always with a reason."""

    status: CleanupStatus
    reason: str | None = None
    lease_expires_at: datetime | None = None


class Binding(Struct, frozen=True, kw_only=True):
    """What the flow run says now about a message's infrastructure."""

    infrastructure_pid: str | None = None
    active: bool = False
    """Whether an attempt of the run is at work again."""


ACCEPTED = Answer(status=CleanupStatus.ACCEPTED)
NOT_FOUND = Answer(status=CleanupStatus.NOT_FOUND, reason="message_not_found")
_NOT_ACTIVE = Answer(status=CleanupStatus.NOT_CURRENT, reason="no_active_reservation")
_OTHER_TOKEN = Answer(status=CleanupStatus.INVALID_TOKEN, reason="reservation_token_mismatch")
_CANCELLED = Answer(status=CleanupStatus.NOT_CURRENT, reason="message_cancelled")
_LAPSED = Answer(status=CleanupStatus.EXPIRED, reason=LEASE_EXPIRED)


# --- delivery ------------------------------------------------------------------------------------


def claim(
    message: Message, now: datetime, holder: Holder, token_hash: str, policy: CleanupPolicy
) -> Change | None:
    """Lease a ready message that is due to a holder (T2); its routing was decided before."""
    if message.state is not READY or message.available_at > now:
        return None
    after = replace(
        message,
        state=LEASED,
        deliveries=message.deliveries + 1,
        fence=message.fence + 1,
        token_hash=token_hash,
        lease_since=now,
        lease_expires_at=_after(now, policy.lease_seconds),
        lease_consumer_id=holder.consumer_id,
        lease_worker_name=holder.worker_name,
        lease_server_id=holder.server_id,
        lease_renewals=0,
        lease_lost=False,
        alerted=False,
        updated_at=now,
    )
    return Change(before=message, after=after, event="delivered")


def is_superseded(pid: str | None, binding: Binding | None) -> bool:
    """Whether a new attempt of the run owns what the message would tear down.

    Without a handle of its own the message could only hit the new attempt.
    """
    if binding is None or not binding.active:
        return False
    return pid is None or pid == binding.infrastructure_pid


def ack(
    message: Message, now: datetime, token_hash: str, others: frozenset[str] = frozenset()
) -> tuple[Answer, Change | None]:
    """End a message with success (T3, T3a).

    `others` are the other connected workers that could do it. Where the infrastructure is in the
    reach of one worker, not known which, success of one that did not launch it may mean "nothing
    here": the message then goes on to the others (a sweep).
    """
    if message.state is CANCELLED:
        return _CANCELLED, None
    newest = _same(message, token_hash)
    if message.state is DONE:
        return (ACCEPTED if newest else NOT_FOUND), None
    if not newest:
        return _refused(message), None
    late = message.state is not LEASED
    outcome = CleanupOutcome.LATE_ACKED if late else CleanupOutcome.ACKED
    if message.state is not DEAD and _sweeps_on(message, others):
        if _holder_of(message) in message.tried_workers and late:
            return ACCEPTED, None
        after = replace(
            _unleased(message, now, "not_the_launching_worker"),
            available_at=now,
            tried_workers=(*message.tried_workers, _holder_of(message)),
        )
        ending = Ending(outcome=outcome, reason="not_the_launching_worker")
        return ACCEPTED, Change(before=message, after=after, event="released", ending=ending)
    after = replace(
        message,
        state=DONE,
        fence=message.fence + 1,
        lease_expires_at=None,
        dead_reason=None,
        finished_at=now,
        updated_at=now,
    )
    event = "late-success" if late else "completed"
    return ACCEPTED, Change(
        before=message, after=after, event=event, ending=Ending(outcome=outcome)
    )


def renew(
    message: Message, now: datetime, token_hash: str, policy: CleanupPolicy
) -> tuple[Answer, Change | None]:
    """Extend the lease (T4), also an overdue one that nobody ended yet."""
    if message.state is CANCELLED:
        return _CANCELLED, None
    newest = _same(message, token_hash)
    if message.state is LEASED and newest:
        deadline = _after(now, policy.lease_seconds)
        after = replace(
            message,
            fence=message.fence + 1,
            lease_expires_at=deadline,
            lease_renewals=message.lease_renewals + 1,
            lease_lost=False,
            updated_at=now,
        )
        answer = Answer(status=CleanupStatus.ACCEPTED, lease_expires_at=deadline)
        return answer, Change(before=message, after=after, event="")
    if message.state is READY and newest:
        return _LAPSED, None
    return _refused(message, newest=newest), None


def release(
    message: Message,
    now: datetime,
    token_hash: str,
    reason: str,
    policy: CleanupPolicy,
    chance: float,
    binding: Binding | None = None,
) -> tuple[Answer, Change | None]:
    """Give a message back (T5). An empty reason is a programming error."""
    if not reason:
        raise ValueError("a release needs a reason; name why the teardown did not happen")
    if message.state is CANCELLED:
        return _CANCELLED, None
    newest = _same(message, token_hash)
    if message.state is not LEASED or not newest:
        return _refused(message, newest=newest), None
    outcome = CleanupOutcome.SEND_FAILED if reason == "delivery_failed" else CleanupOutcome.RELEASED
    change = _failed(message, now, reason, outcome, "released", policy, chance, binding)
    if change.after.state is DEAD:
        answer = Answer(status=CleanupStatus.DEAD_LETTERED, reason=change.after.dead_reason)
        return answer, change
    return ACCEPTED, change


def expire(
    message: Message, now: datetime, policy: CleanupPolicy, chance: float, *, lost: bool = False
) -> Change | None:
    """End an overdue lease (T6).

    Nothing is charged when the worker never answered and its connection, or the server process
    that held it (`lost`), is known to be gone: the message probably never arrived.
    """
    deadline = message.lease_expires_at
    if message.state is not LEASED or deadline is None or deadline > now:
        return None
    innocent = message.lease_renewals == 0 and (message.lease_lost or lost)
    reason = CONNECTION_LOST if innocent else LEASE_EXPIRED
    outcome = CleanupOutcome.EXPIRED
    return _failed(message, now, reason, outcome, "lease-expired", policy, chance, None)


def lose(message: Message, consumer_id: str, *, lost: bool) -> Message | None:
    """The message with the note that its holder's connection is gone, or is back."""
    if message.state is not LEASED or message.lease_consumer_id != consumer_id:
        return None
    if message.lease_lost == lost:
        return None
    return replace(message, lease_lost=lost, fence=message.fence + 1)


# --- decisions of people, producers and the reconciler -------------------------------------------


def cancel(message: Message, now: datetime, *, force: bool) -> Change | None:
    """Give a message up (T7); a leased one only with `force`, which kills the token (T7a)."""
    if message.state is not READY and not (force and message.state is LEASED):
        return None
    ending = None
    if message.state is LEASED:
        ending = Ending(outcome=CleanupOutcome.REVOKED, reason="cancelled")
    after = _finished(message, now, CANCELLED)
    return Change(before=message, after=after, event="cancelled", ending=ending)


def supersede(message: Message, now: datetime, reason: str = "superseded") -> Change | None:
    """Cancel a message that became pointless (T10)."""
    if message.state not in UNFINISHED:
        return None
    ending = None
    if message.state is LEASED:
        ending = Ending(outcome=CleanupOutcome.REVOKED, reason=reason)
    after = replace(_finished(message, now, CANCELLED), last_reason=reason)
    return Change(before=message, after=after, event="cancelled", ending=ending)


def requeue(
    message: Message,
    now: datetime,
    *,
    placement: CleanupPlacement | None = None,
    work_pool_id: str | None = None,
) -> Change | None:
    """Make a dead or cancelled message ready again with fresh budgets (T8).

    In another pool its queue and the worker that launched it mean nothing.
    """
    if message.state not in (DEAD, CANCELLED):
        return None
    moved = work_pool_id is not None and work_pool_id != message.work_pool_id
    after = replace(
        message,
        state=READY,
        attempts=0,
        tried_workers=(),
        requeue_count=message.requeue_count + 1,
        requeue_deliveries=message.deliveries,
        fence=message.fence + LEDGER_STEP,
        available_at=now,
        queued_at=now,
        updated_at=now,
        finished_at=None,
        dead_reason=None,
        alerted=False,
        placement=placement or message.placement,
    )
    if moved:
        after = replace(after, work_pool_id=work_pool_id, work_queue_id=None)
    return Change(before=message, after=after, event="requeued")


def bury(message: Message, now: datetime, reason: str) -> Change | None:
    """Declare an unfinished message dead, whoever holds it."""
    if message.state not in UNFINISHED:
        return None
    ending = None
    if message.state is LEASED:
        ending = Ending(outcome=CleanupOutcome.REVOKED, reason=reason)
    after = replace(_finished(message, now, DEAD), dead_reason=reason)
    return Change(before=message, after=after, event="dead-lettered", ending=ending)


def age(message: Message, now: datetime, policy: CleanupPolicy) -> Change | None:
    """Bury a message that waited too long, or raise the alarm about one nobody takes."""
    if message.state is not READY:
        return None
    if message.queued_at <= _after(now, -policy.max_age_seconds):
        bound = message.placement is CleanupPlacement.REQUIRE or message.tried_workers
        return bury(message, now, NO_ELIGIBLE_WORKER if bound else MAX_AGE)
    waiting = max(message.available_at, message.queued_at)
    if not message.alerted and waiting <= _after(now, -policy.unroutable_alert_seconds):
        after = replace(message, alerted=True, fence=message.fence + 1, updated_at=now)
        return Change(before=message, after=after, event="unroutable")
    return None


# --- parts ---------------------------------------------------------------------------------------


def _failed(
    message: Message,
    now: datetime,
    reason: str,
    outcome: CleanupOutcome,
    event: str,
    policy: CleanupPolicy,
    chance: float,
    binding: Binding | None,
) -> Change:
    kind = class_of(reason)
    charged = kind not in (ReasonClass.TRANSPORT, ReasonClass.PLACEMENT)
    attempts = message.attempts + charged
    pause, tried, pid = 0.0, message.tried_workers, None
    if kind is ReasonClass.TRANSPORT:
        pause = chance
    elif kind is ReasonClass.PLACEMENT:
        holder = _holder_of(message)
        tried = tried if holder in tried else (*tried, holder)
    elif kind is ReasonClass.REFRESH:
        pid = binding.infrastructure_pid if binding is not None else None
        pause = backoff(policy, 1, chance)
    else:
        pause = backoff(policy, attempts, chance)
    ending = Ending(outcome=outcome, reason=reason, charged=charged)
    after = replace(
        _unleased(message, now, reason),
        attempts=attempts,
        available_at=_after(now, pause),
        tried_workers=tried,
    )
    if kind is ReasonClass.REFRESH and pid is None:
        done = replace(after, state=DONE, finished_at=now, last_reason="nothing_to_do")
        return Change(before=message, after=done, event="completed", ending=ending)
    if pid is not None:
        after = replace(after, target={**_document(message.target), "infrastructure_pid": pid})
    dead = None
    if kind is ReasonClass.PERMANENT:
        dead = PERMANENT
    elif attempts >= policy.max_attempts and charged:
        dead = MAX_ATTEMPTS
    elif message.deliveries - message.requeue_deliveries >= policy.max_deliveries:
        dead = MAX_DELIVERIES
    if dead is not None:
        after = replace(after, state=DEAD, dead_reason=dead, finished_at=now)
        event = "dead-lettered"
    return Change(before=message, after=after, event=event, ending=ending)


def _refused(message: Message, *, newest: bool = False) -> Answer:
    """The answer to an operation whose token does not hold the message."""
    match message.state:
        case CleanupState.LEASED:
            return _OTHER_TOKEN
        case CleanupState.READY:
            return _NOT_ACTIVE
        case CleanupState.DEAD if newest:
            return Answer(status=CleanupStatus.DEAD_LETTERED, reason=message.dead_reason)
        case _:
            return NOT_FOUND


def _sweeps_on(message: Message, others: frozenset[str]) -> bool:
    if message.placement is not CleanupPlacement.PREFER:
        return False
    holder = _holder_of(message)
    if holder == message.affinity_worker_name:
        return False
    return bool(others - {holder, *message.tried_workers})


def _holder_of(message: Message) -> str:
    return message.lease_worker_name or ""


def _unleased(message: Message, now: datetime, reason: str) -> Message:
    return replace(
        message,
        state=READY,
        fence=message.fence + 1,
        lease_expires_at=None,
        last_reason=reason,
        updated_at=now,
    )


def _finished(message: Message, now: datetime, state: CleanupState) -> Message:
    return replace(
        message,
        state=state,
        fence=message.fence + LEDGER_STEP,
        lease_expires_at=None,
        finished_at=now,
        updated_at=now,
    )


def _same(message: Message, token_hash: str) -> bool:
    return message.token_hash is not None and hmac.compare_digest(message.token_hash, token_hash)


def _document(value: Any) -> dict[str, Any]:
    if isinstance(value, Raw):
        raise TypeError("a target must be decoded before it is changed")
    return dict(value or {})


def _after(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
