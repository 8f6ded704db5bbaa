"""Carrying out what a decided transition asks about slots and leases, one statement each."""

from datetime import timedelta

from penstock.server.domain.orchestration.verdicts import (
    AcquireSlots,
    KeepLease,
    ReleaseHolder,
    ReleaseSlots,
    RenewLease,
)
from penstock.server.store.transaction import Tx

ENDLESS = timedelta(days=100 * 365)
"""How long a lease lasts that only its release ends."""


def acquire(tx: Tx, write: AcquireSlots) -> bool:
    """Take a slot of every limit, or of none when one of them has none free; which of both.

    Looks at each limit under its lock, so no two transitions take the same slot.
    """
    kind, _, id = write.holder.partition(":")
    taken = tx.many(
        "concurrency.take",
        [
            {
                "id": write.lease_id,
                "part": part,
                "limit_id": limit_id,
                "holder_type": kind,
                "holder_id": id,
                "expires": tx.now + timedelta(seconds=write.seconds),
                "now": tx.now,
            }
            for part, limit_id in enumerate(write.limit_ids)
        ],
    )
    if taken == len(write.limit_ids):
        return True
    tx.run("concurrency.delete_lease", id=write.lease_id)
    return False


def renew(tx: Tx, write: RenewLease) -> bool:
    """Whether the lease was still held; then it ends `write.seconds` from now."""
    end = tx.now + timedelta(seconds=write.seconds)
    return tx.run("concurrency.renew", id=write.lease_id, expires=end, now=tx.now) > 0


def keep(tx: Tx, write: KeepLease) -> None:
    """Let a lease last until it is released, if it has not ended."""
    tx.run("concurrency.renew", id=write.lease_id, expires=tx.now + ENDLESS, now=tx.now)


def release(tx: Tx, write: ReleaseSlots) -> None:
    tx.run("concurrency.delete_lease", id=write.lease_id)


def release_holder(tx: Tx, write: ReleaseHolder) -> None:
    kind, _, id = write.holder.partition(":")
    tx.run("concurrency.release_holder", holder_type=kind, holder_id=id)
