"""The ledger when what several processes decided arrives in any order, and more than once."""

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest

from penstock.base.clock import utc_now
from penstock.schemas.cleanup import CleanupKind
from penstock.server.domain import cleanup
from penstock.server.domain.cleanup import Change, Holder, Message
from penstock.server.domain.cleanup_owed import id_of
from penstock.server.domain.cleanup_retries import CleanupPolicy
from penstock.server.ops import cleanup_ledger, cleanup_mirror
from penstock.server.ops.context import Context
from penstock.server.store import Store
from penstock.server.store.transaction import Row, Tx

KIND = CleanupKind.CANCELLING_TIMEOUT.value
POLICY = CleanupPolicy()


def history() -> tuple[Message, list[Change]]:
    """A message that was claimed, lapsed, was claimed again and acknowledged."""
    now, run = utc_now(), str(uuid4())
    key = f"{KIND}:{run}"
    message = Message(
        id=id_of(key),
        work_pool_id=str(uuid4()),
        kind=KIND,
        cause="manual",
        flow_run_id=run,
        target={"flow_run_id": run, "infrastructure_pid": "x"},
        data={},
        idempotency_key=key,
        available_at=now,
        created_at=now,
        updated_at=now,
        queued_at=now,
    )
    holder = Holder(consumer_id=str(uuid4()), worker_name="w", server_id=str(uuid4()))
    first = cleanup.claim(message, now, holder, "one", POLICY)
    assert first is not None
    now += timedelta(seconds=POLICY.lease_seconds + 1)
    lapsed = cleanup.expire(first.after, now, POLICY, 0.5)
    assert lapsed is not None
    now += timedelta(seconds=60)
    second = cleanup.claim(lapsed.after, now, holder, "two", POLICY)
    assert second is not None
    _, done = cleanup.ack(second.after, now + timedelta(seconds=1), "two")
    assert done is not None
    return message, [first, lapsed, second, done]


def read(tx: Tx, id: str) -> tuple[Row | None, list[Row], list[str]]:
    events = tx.fetch(
        "SELECT event FROM event WHERE resource_id = ? ORDER BY seq",
        [f"penstock.cleanup-message.{id}"],
    )
    return (
        tx.one("cleanup.get", id=id),
        tx.all("cleanup_delivery.of", message_id=id),
        sorted(row["event"].rpartition(".")[2] for row in events),
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_history_is_whole_in_whatever_order_it_arrives(
    stores: Callable[[str], Store], kind: str
):
    store = stores(kind)
    for order in permutations(range(4)):
        message, changes = history()
        store.write_sync(cleanup_ledger.enqueue, Context(), message)
        for at in order:
            store.write_sync(cleanup_mirror.mirror, [changes[at]])
        store.write_sync(cleanup_mirror.mirror, changes)
        row, deliveries, events = store.read_sync(read, message.id)
        assert row is not None
        assert row["state"] == 2
        assert [one["outcome"] for one in deliveries] == ["expired", "acked"], order
        assert all(one["ended_at"] is not None for one in deliveries)
        # A beginning that came behind its end is not told of any more.
        told = [event for event in events if event not in ("enqueued", "delivered")]
        assert told == ["completed", "lease-expired"], order
        assert events.count("delivered") <= 2
