"""Which process runs a background loop that must run in one of them only.

A lease is taken by a guarded change of its row, by the clock of the database. A holder that is
gone is replaced when its lease has lapsed.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from penstock.server.ops.cleanup_rows import moment
from penstock.server.store.transaction import Row, Tx


class Report(Struct, frozen=True, kw_only=True):
    """How a loop has been doing since the last report."""

    last_started: datetime | None
    last_succeeded: datetime | None
    last_error: str | None
    rounds: int


def take(tx: Tx, name: str, holder: str, seconds: float, report: Report | None = None) -> bool:
    """Take the lease on a loop, or renew it, and report; False when another process has it."""
    now = moment(tx)
    taken = tx.all(
        "service_lease.take",
        name=name,
        holder=holder,
        lease_until=now + timedelta(seconds=seconds),
        now=now,
    )
    if taken and report is not None:
        tx.run(
            "service_lease.report",
            name=name,
            holder=holder,
            last_started=report.last_started,
            last_succeeded=report.last_succeeded,
            last_error=report.last_error,
            rounds=report.rounds,
        )
    return bool(taken)


def release_all(tx: Tx, holder: str) -> int:
    """Give up every lease of a process that stops."""
    return tx.run("service_lease.release", holder=holder)


def all_leases(tx: Tx) -> list[Row]:
    return tx.all("service_lease.all")
