"""Keeping the ledger at what a working set elsewhere decided, and the set at the ledger."""

from collections.abc import Collection, Sequence

from penstock.server.domain.cleanup import LEASED, Change, Message
from penstock.server.ops.cleanup_rows import (
    delivery_of,
    ending_of,
    message_of,
    tell,
    values_of,
)
from penstock.server.store.transaction import Tx


def mirror(tx: Tx, changes: Sequence[Change]) -> int:
    """Write changes that were made elsewhere, with their deliveries and events.

    A form older than what the ledger has is left out, and repeating this does no harm. The delivery
    that such a change began or ended is noted all the same: the changes of several processes
    arrive here in any order, and the history has to be whole.
    """
    count = 0
    for change in changes:
        newer = tx.run("cleanup.mirror", **values_of(change.after))
        if not (_record(tx, change, late=not newer) or newer):
            continue
        count += 1
        if change.event:
            tell(tx, change)
    return count


def _record(tx: Tx, change: Change, *, late: bool) -> bool:
    """Note the delivery that a change began or ended; whether that was not noted yet.

    An end may come before the beginning, so the row is begun if it is missing. One that comes
    `late` leaves an end that is known already.
    """
    before, after = change.before, change.after
    if after.state is LEASED and after.deliveries > before.deliveries:
        return bool(tx.run("cleanup_delivery.insert", **delivery_of(after)))
    if change.ending is None or not after.deliveries:
        return False
    if before.lease_consumer_id is not None:
        tx.run("cleanup_delivery.insert", **delivery_of(before))
    statement = "cleanup_delivery.end_open" if late else "cleanup_delivery.end"
    return bool(tx.run(statement, **ending_of(change)))


def complete(tx: Tx, message: Message) -> bool:
    """Take over a newer form of a message whose changes were lost on their way here."""
    row = tx.one("cleanup.lock", id=message.id)
    if row is None or row["fence"] >= message.fence:
        return False
    before = message_of(row)
    tx.run("cleanup.mirror", **values_of(message))
    if message.deliveries > before.deliveries and message.lease_consumer_id is not None:
        tx.run("cleanup_delivery.insert", **delivery_of(message))
    return True


def unsynced(tx: Tx, limit: int) -> list[Message]:
    """Messages whose form in the ledger the working set lacks."""
    return [message_of(row) for row in tx.all("cleanup.unsynced", limit=limit)]


def mark_synced(tx: Tx, messages: Collection[Message]) -> None:
    tx.many(
        "cleanup.mark_synced",
        [{"id": message.id, "fence": message.fence} for message in messages],
    )


def forget_working_set(tx: Tx) -> int:
    """Everything unfinished has to be written into the working set anew; how much that is."""
    return tx.run("cleanup.forget_working_set")


def unfinished_after(tx: Tx, after: str, limit: int) -> list[Message]:
    return [message_of(row) for row in tx.all("cleanup.unfinished_after", after=after, limit=limit)]


def ledger_message(tx: Tx, id: str) -> Message | None:
    row = tx.one("cleanup.get", id=id)
    return None if row is None else message_of(row)
