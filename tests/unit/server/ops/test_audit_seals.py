"""What is altered in a sealed audit trail is found, and deleting by age is not."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.databases import World, wire

from penstock.schemas.variables import VariableCreate, VariableUpdate
from penstock.server.ops import audit_seals, variables
from penstock.server.services.audit import AuditRetention, AuditSeals

KEY = b"k" * 32


def fill(world: World, count: int = 6) -> None:
    for number in range(count):
        body = VariableCreate(name=f"v{number}", value=number)
        world.write(variables.create_variable, body=body)


def seal(world: World, keys: tuple[bytes, ...] = (), rows: int = 4) -> int:
    """Seal all there is, also when transactions of somebody else hold some of it back at first."""
    service = AuditSeals(world.store, encryption_keys=keys, segment_rows=rows)
    done = 0
    for _ in range(1_000):
        done += asyncio.run(service.run_once(world.now))
        sealed = world.rows("SELECT coalesce(max(last_seq), -1) AS seq FROM audit_segment")
        if (seqs(world) or [-1])[-1] <= sealed[0]["seq"]:
            return done
        threading.Event().wait(0.01)
    pytest.fail("a transaction in the test database does not end")


def verified(world: World, **query: Any) -> dict[str, Any]:
    return wire(world.read(audit_seals.verify_audit, **query))


def found(world: World) -> list[tuple[str, int | None]]:
    return [(one["found"], one["seq"]) for one in verified(world)["problems"]]


def tamper(world: World, sql: str, *params: Any) -> None:
    world.store.write_sync(lambda tx: tx.fetch(f"{sql} RETURNING 1", params))


def seqs(world: World) -> list[int]:
    return [row["seq"] for row in world.rows("SELECT seq FROM audit ORDER BY seq")]


def test_an_honest_trail_is_found_in_order(world: World) -> None:
    fill(world)
    assert seal(world) == 6
    fill_more = VariableCreate(name="later", value=1)
    world.write(variables.create_variable, body=fill_more)
    answer = verified(world)
    assert answer["problems"] == []
    assert (answer["segments"], answer["rows"], answer["unsealed_rows"]) == (2, 6, 1)
    assert answer["database_key"] == 2
    assert answer["next"] is None
    assert seal(world) == 1
    assert seal(world) == 0
    assert verified(world)["unsealed_rows"] == 0


def test_an_empty_trail_is_in_order(world: World) -> None:
    assert seal(world) == 0
    answer = verified(world)
    assert (answer["problems"], answer["segments"], answer["head"]) == ([], 0, None)


def test_a_row_that_was_changed_is_named_whatever_was_changed(world: World) -> None:
    fill(world)
    seal(world)
    seq = seqs(world)[2]
    [row] = world.rows("SELECT * FROM audit WHERE seq = ?", seq)
    columns = row.keys() - {"seq"}
    assert {"at", "actor_id", "changes", "after", "claims"} < columns
    for column in columns:
        value = 5 if column == "at" else "forged"
        tamper(world, f"UPDATE audit SET {column} = ? WHERE seq = ?", value, seq)
        assert found(world) == [("altered", seq)], column
        tamper(world, f"UPDATE audit SET {column} = ? WHERE seq = ?", row[column], seq)
    assert found(world) == []


def test_a_row_that_was_removed_is_named(world: World) -> None:
    fill(world)
    seal(world)
    removed = [seqs(world)[0], seqs(world)[-1]]
    for seq in removed:
        tamper(world, "DELETE FROM audit WHERE seq = ?", seq)
    assert found(world) == [("missing", seq) for seq in removed]


def test_a_row_that_was_put_in_is_named(world: World) -> None:
    fill(world)
    gap = seqs(world)[3]
    tamper(world, "DELETE FROM audit WHERE seq = ?", gap)  # before it was sealed: leaves a gap
    seal(world, rows=3)
    for seq in (gap, 0):
        tamper(
            world,
            "INSERT INTO audit (seq, id, at, actor_type, action, kind, object_id, object_name)"
            " VALUES (?, ?, 1, 'user', 'created', 'flow', 'x', 'x')",
            seq,
            f"forged-{seq}",
        )
    assert sorted(found(world)) == [("inserted", 0), ("inserted", gap)]


def test_a_rewritten_segment_without_the_key_is_found(world: World) -> None:
    fill(world)
    seal(world)
    seq = seqs(world)[0]
    tamper(world, "UPDATE audit SET action = 'x' WHERE seq = ?", seq)
    own, world.context = world.context, replace(world.context, encryption_keys=(b"guess" * 7,))
    tamper(world, "DELETE FROM audit_segment WHERE number > ?", 0)
    tamper(world, "DELETE FROM configuration WHERE key = ?", "audit_seal_last")
    seal(world, (b"guess" * 7,))
    world.context = own
    assert {kind for kind, _ in found(world)} == {"unknown_key"}


def test_seals_that_were_changed_moved_or_removed_are_found(world: World) -> None:
    fill(world)
    seal(world, rows=2)
    assert found(world) == []
    tamper(world, "UPDATE audit_segment SET last_at = last_at + 1 WHERE number = ?", 2)
    assert ("seal", None) in found(world)
    tamper(world, "UPDATE audit_segment SET last_at = last_at - 1 WHERE number = ?", 2)
    assert found(world) == []
    digests = world.rows("SELECT digests FROM audit_segment WHERE number = 3")[0]["digests"]
    tamper(world, "UPDATE audit_segment SET digests = 'zz' WHERE number = ?", 3)
    assert ("seal", None) in found(world)
    tamper(world, "UPDATE audit_segment SET digests = ? WHERE number = 3", digests)
    tamper(world, "DELETE FROM audit_segment WHERE number = ?", 1)
    assert ("missing_seal", None) in found(world)


def test_the_newest_seals_cannot_be_cut_off_with_their_rows(world: World) -> None:
    fill(world)
    seal(world, rows=2)
    last = seqs(world)[-2:]
    tamper(world, "DELETE FROM audit_segment WHERE number = ?", 3)
    tamper(world, "DELETE FROM audit WHERE seq >= ?", last[0])
    assert found(world) == [("shortened", None)]


def test_the_whole_trail_cannot_be_emptied(world: World) -> None:
    fill(world)
    seal(world)
    tamper(world, "DELETE FROM audit_segment WHERE number > ?", 0)
    tamper(world, "DELETE FROM audit WHERE seq > ?", 0)
    assert found(world) == [("shortened", None)]


def test_rows_and_digests_replaced_together_still_do_not_fit(world: World) -> None:
    fill(world, 2)
    seal(world)
    tamper(world, "UPDATE audit SET action = 'x' WHERE seq = ?", seqs(world)[0])
    # What somebody writes who knows how seals are made and has no key.
    forged = replace_digests(world)
    tamper(
        world,
        "UPDATE audit_segment SET digests = ?, root = ? WHERE number = 1",
        forged.digests,
        forged.root,
    )
    assert found(world) == [("seal", None)]


def replace_digests(world: World) -> Any:
    tamper(world, "UPDATE audit_segment SET number = 0 - number WHERE number > ?", 0)
    world.context = replace(world.context, encryption_keys=(KEY,))

    def resealed(tx: Any) -> Any:
        rows = tx.all("audit.plain_after", seq=-1, horizon=2**62, limit=10)
        from penstock.server.domain import seals

        found = [seals.row_of(list(row.values())) for row in rows]
        return seals.sealed(found, number=1, previous="", key=KEY, key_id="x")

    forged = world.store.read_sync(resealed)
    tamper(world, "UPDATE audit_segment SET number = 0 - number WHERE number < ?", 0)
    world.context = replace(world.context, encryption_keys=())
    return forged


def test_a_configured_key_is_not_in_the_database(world: World) -> None:
    fill(world, 2)
    seal(world, (KEY,))
    assert verified(world)["problems"][0]["found"] == "unknown_key"
    world.context = replace(world.context, encryption_keys=(KEY,))
    answer = verified(world)
    assert (answer["problems"], answer["database_key"]) == ([], 0)
    world.write(variables.create_variable, body=VariableCreate(name="later", value=1))
    seal(world)
    assert found(world) == [("weaker_key", None)]


def test_a_rotated_key_still_verifies_what_it_sealed(world: World) -> None:
    fill(world, 2)
    seal(world, (KEY,))
    world.write(variables.create_variable, body=VariableCreate(name="later", value=1))
    rotated = (b"n" * 32, KEY)
    seal(world, rotated)
    world.context = replace(world.context, encryption_keys=rotated)
    assert found(world) == []


def test_verification_goes_on_where_it_stopped(world: World) -> None:
    fill(world)
    seal(world, rows=2)
    seq = seqs(world)[3]
    tamper(world, "UPDATE audit SET action = 'x' WHERE seq = ?", seq)
    whole, pages, after = verified(world), [], 0
    while after is not None:
        pages.append(verified(world, after=after, limit=1))
        after = pages[-1]["next"]
    assert [page["segment"] for page in pages] == [1, 2, 3]
    assert [one for page in pages for one in page["problems"]] == whole["problems"]
    assert pages[-1]["head"] == whole["head"]


def test_two_servers_seal_each_row_once(world: World) -> None:
    fill(world)
    late = world.read(audit_seals.next_segment)
    seal(world)
    assert world.write(audit_seals.seal, late) is False
    assert found(world) == []


# --- retention -----------------------------------------------------------------------------------

DAY = 86_400.0


def expire(world: World, days: int = 30, *, sealed: bool = True) -> int:
    service = AuditRetention(world.store, days=days, sealed=sealed, batch=2)
    return asyncio.run(service.run_once(world.now))


def test_whole_months_go_and_the_rest_can_be_verified(world: World) -> None:
    fill(world, 5)
    seal(world, rows=2)
    world.clock.advance(70 * DAY)
    update = VariableUpdate(value=9)
    world.write(variables.update_variable_by_name, "v0", body=update)
    seal(world)
    assert expire(world) == 5
    assert len(seqs(world)) == 1
    answer = verified(world)
    assert answer["problems"] == []
    assert (answer["segments"], answer["deleted_rows"], answer["rows"]) == (4, 5, 1)
    assert expire(world) == 0


def test_the_month_that_the_days_end_in_is_kept(world: World) -> None:
    fill(world, 2)
    seal(world)
    made = world.now
    first_of_next = (made.replace(day=1) + timedelta(days=32)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    world.clock.advance((first_of_next - made).total_seconds() + 30 * DAY - 1)
    assert expire(world) == 0
    world.clock.advance(1)
    assert expire(world) == 2


def test_rows_deleted_by_hand_do_not_pass_for_deleted_by_age(world: World) -> None:
    fill(world, 4)
    seal(world, rows=2)
    tamper(world, "DELETE FROM audit WHERE seq <= ?", seqs(world)[1])
    tamper(world, "UPDATE audit_segment SET digests = NULL WHERE number = ?", 1)
    assert found(world) == [("seal", None)]
    mark = "0" * 64
    tamper(world, "UPDATE audit_segment SET tombstone = ? WHERE number = 1", mark)
    assert found(world) == [("seal", None)]


def test_a_trail_without_seals_is_deleted_by_age_too(world: World) -> None:
    fill(world, 5)
    world.clock.advance(70 * DAY)
    assert expire(world, sealed=True) == 0
    assert expire(world, sealed=False) == 5
    assert seqs(world) == []
