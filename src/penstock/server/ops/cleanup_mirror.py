"""Keeping the ledger at what a working set elsewhere decided, and the set at the ledger."""

from collections.abc import Collection, Sequence

from penstock.server.domain.cleanup import Change, Message
from penstock.server.ops.cleanup_rows import (
    delivery_of,
    message_of,
    record_delivery,
    tell,
    values_of,
)
from penstock.server.store.transaction import Tx


def mirror(tx: Tx, changes: Sequence[Change]) -> int:
    """Write changes that were made elsewhere, with their deliveries and events, in their order.

    A change older than what the ledger has is left out: repeating this does no harm.
    """
    count = 0
    for change in changes:
        if not tx.run("cleanup.mirror", **values_of(change.after)):
            continue
        count += 1
        record_delivery(tx, change)
        if change.event:
            tell(tx, change)
    return count


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
