"""Refusing what a process writes under a claim that is no longer the one of its run."""

from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Row, Tx


def record_stale_writer(tx: Tx, context: Context, row: Row, number: int, wanted: str) -> str:
    """Note that a process under an outdated claim wanted to change the run; the reason it gets."""
    reason = (
        f"claim {number} of this run was taken back or ended (the run is at claim "
        f"{row['claim_number']}), so this process no longer speaks for it"
    )
    record(
        tx,
        context,
        Change(
            kind="flow-run",
            action="stale-claim-refused",
            event="penstock.flow-run.stale-claim-refused",
            id=row["id"],
            name=row["name"],
            payload={"claim": number, "current": row["claim_number"], "proposed": wanted},
        ),
    )
    return reason
