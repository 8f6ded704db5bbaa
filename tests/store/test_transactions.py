"""What one operation may rely on, whichever database it runs on."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import Raw

from penstock.base import json
from penstock.base.clock import ManualClock
from penstock.schemas.errors import ObjectConflict, ServiceUnavailable
from penstock.schemas.shapes import Entity
from penstock.server.store import Store
from penstock.server.store.statements import StatementError
from penstock.server.store.transaction import Tx


def set_timer(tx: Tx, key: str, payload: Any = None) -> str:
    tx.run("timer.set", kind="test", key=key, due=tx.now, payload=payload or {})
    tx.wake("timers")
    return key


def set_then_fail(tx: Tx, key: str) -> None:
    set_timer(tx, key)
    raise ValueError(key)


def keys(tx: Tx) -> list[str]:
    found = tx.fetch("SELECT key FROM timer WHERE kind = ? ORDER BY key", ("test",))
    return [row["key"] for row in found]


def add_flow(tx: Tx, name: str, id: str | None = None) -> str:
    sql = "INSERT INTO flow (id, name, created, updated) VALUES (?, ?, ?, ?) RETURNING id"
    return tx.fetch(sql, (id or str(uuid4()), name, tx.now, tx.now))[0]["id"]


def add_run(tx: Tx, flow_id: str) -> str:
    sql = (
        "INSERT INTO flow_run (id, flow_id, name, created, updated)"
        " VALUES (?, ?, 'run', ?, ?) RETURNING id"
    )
    return tx.fetch(sql, (str(uuid4()), flow_id, tx.now, tx.now))[0]["id"]


def flow_names(tx: Tx) -> list[str]:
    return [row["name"] for row in tx.fetch("SELECT name FROM flow ORDER BY name", ())]


# --- results and failures ------------------------------------------------------------------------


def test_a_result_comes_back_after_the_commit(store: Store) -> None:
    async def story() -> None:
        assert await store.write(set_timer, "a") == "a"
        assert await store.read(keys) == ["a"]

    asyncio.run(story())


def test_threads_use_the_store_without_a_loop(store: Store) -> None:
    assert store.write_sync(set_timer, "a") == "a"
    assert store.read_sync(keys) == ["a"]


def test_what_an_operation_raises_undoes_it_and_reaches_its_caller(store: Store) -> None:
    with pytest.raises(ValueError, match="lost"):
        store.write_sync(set_then_fail, "lost")
    assert store.read_sync(keys) == []


def test_operations_of_one_moment_fail_alone(store: Store) -> None:
    async def story() -> list[Any]:
        return await asyncio.gather(
            *(
                store.write(set_then_fail if number % 3 == 0 else set_timer, f"{number:02}")
                for number in range(30)
            ),
            return_exceptions=True,
        )

    outcomes = asyncio.run(story())
    for number, outcome in enumerate(outcomes):
        if number % 3 == 0:
            assert isinstance(outcome, ValueError)
            assert str(outcome) == f"{number:02}"
        else:
            assert outcome == f"{number:02}"
    assert store.read_sync(keys) == [f"{number:02}" for number in range(30) if number % 3]


def test_an_operation_that_raises_stop_iteration_does_not_leave_its_caller_waiting(
    store: Store,
) -> None:
    def exhausted(tx: Tx) -> None:
        next(iter(()))

    async def story() -> None:
        await store.write(exhausted)

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(story())


def test_an_operation_cannot_run_another_one(store: Store) -> None:
    def nested(tx: Tx) -> None:
        store.read_sync(keys)

    with pytest.raises(RuntimeError, match="own tx"):
        store.write_sync(nested)


def test_a_cancelled_caller_does_not_disturb_the_others(store: Store) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        entered.set()
        leave.wait(30)
        set_timer(tx, "slow")

    async def story() -> None:
        begun = asyncio.create_task(store.write(slow))
        await asyncio.to_thread(entered.wait, 30)
        begun.cancel()
        after = asyncio.create_task(store.write(set_timer, "after"))
        await asyncio.sleep(0)
        leave.set()
        with pytest.raises(asyncio.CancelledError):
            await begun
        assert await after == "after"

    asyncio.run(story())
    assert "after" in store.read_sync(keys)


def test_a_loop_that_ended_does_not_stop_the_database_threads(store: Store) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        entered.set()
        leave.wait(30)
        set_timer(tx, "slow")

    async def begin() -> None:
        task = asyncio.ensure_future(store.write(slow))
        await asyncio.to_thread(entered.wait, 30)
        task.cancel()

    asyncio.run(begin())
    leave.set()
    assert store.write_sync(set_timer, "b") == "b"
    assert "b" in store.read_sync(keys)


# --- errors --------------------------------------------------------------------------------------


def test_a_taken_name_is_a_conflict_that_names_it(store: Store) -> None:
    store.write_sync(add_flow, "daily")
    with pytest.raises(ObjectConflict, match=r"flow.*name.*choose another"):
        store.write_sync(add_flow, "daily")
    assert store.read_sync(flow_names) == ["daily"]


def test_every_kind_of_call_tells_a_conflict(store: Store) -> None:
    """A statement that breaks a rule is refused alike, whichever way it is run."""

    def add_input(tx: Tx, call: str) -> None:
        values: dict[str, Any] = {"id": str(uuid4()), "flow_run_id": str(uuid4()), "key": "k"}
        values |= {"value": "v", "sender": None, "created": tx.now, "now": tx.now}
        if call == "many":
            tx.many("flow_run_input.insert", [values])
        else:
            getattr(tx, call)("flow_run_input.insert", **values)

    for call in ("run", "many", "one", "all"):
        with pytest.raises(ObjectConflict, match="not there"):
            store.write_sync(add_input, call)


def test_an_unknown_parent_is_a_conflict(store: Store) -> None:
    with pytest.raises(ObjectConflict, match="not there"):
        store.write_sync(add_run, str(uuid4()))


def test_an_operation_cannot_go_on_after_a_refused_statement(store: Store) -> None:
    def stubborn(tx: Tx) -> None:
        add_flow(tx, "daily")
        try:
            add_flow(tx, "daily")
        except ObjectConflict:
            add_flow(tx, "weekly")

    with pytest.raises(ObjectConflict):
        store.write_sync(stubborn)
    assert store.read_sync(flow_names) == []


def test_a_hidden_refusal_still_undoes_the_operation(store: Store) -> None:
    def silent(tx: Tx) -> str:
        add_flow(tx, "daily")
        try:
            add_flow(tx, "daily")
        except ObjectConflict:
            return "all is well"
        return ""

    with pytest.raises(ObjectConflict):
        store.write_sync(silent)
    assert store.read_sync(flow_names) == []


def test_readers_cannot_write(store: Store) -> None:
    with pytest.raises(Exception, match=r"read.?only"):
        store.read_sync(set_timer, "a")
    assert store.read_sync(keys) == []


def test_a_missing_parameter_and_an_unknown_statement_are_named(store: Store) -> None:
    with pytest.raises(StatementError, match=r"timer\.set.*:payload"):
        store.write_sync(lambda tx: tx.run("timer.set", kind="k", key="a", due=tx.now))
    with pytest.raises(StatementError, match=r"timer\.sett"):
        store.write_sync(lambda tx: tx.run("timer.sett"))
    with pytest.raises(StatementError, match=r"timer\.delete.*object"):
        store.write_sync(lambda tx: tx.run("timer.delete", kind=object(), key="a"))


def test_a_stopped_store_refuses_at_once(store: Store) -> None:
    store.stop()
    with pytest.raises(ServiceUnavailable, match="start the store"):
        store.write_sync(set_timer, "a")
    with pytest.raises(ServiceUnavailable, match="start the store"):
        asyncio.run(store.read(keys))
    with pytest.raises(ServiceUnavailable):
        asyncio.run(store.ping())


# --- values --------------------------------------------------------------------------------------


class Colour(StrEnum):
    RED = "red"


class Paint(Entity, frozen=True):
    colour: Colour
    at: datetime


def test_values_come_back_as_what_their_columns_hold(store: Store, clock: ManualClock) -> None:
    moment = datetime(2031, 5, 6, 7, 8, 9, 123_457, tzinfo=UTC)
    paint = Paint(colour=Colour.RED, at=moment)

    def change(tx: Tx) -> dict[str, Any]:
        flow = add_flow(tx, "daily")
        run = add_run(tx, flow)
        tx.fetch(
            "UPDATE flow_run SET auto_scheduled = ?, tags = ?, context = ?, parameters = ?,"
            " start_time = ?, total_run_time = ?, run_count = ?, work_queue_name = ?"
            " WHERE id = ? RETURNING id",
            (
                True,
                ["a", "b"],
                paint,
                Raw(b'{"x":1}'),
                moment,
                timedelta(milliseconds=1500),
                7,
                Colour.RED,
                UUID(run),
            ),
        )
        return tx.fetch("SELECT * FROM flow_run WHERE id = ?", (UUID(run),))[0]

    row = store.write_sync(change)
    assert row["auto_scheduled"] is True
    assert isinstance(row["tags"], Raw)
    assert json.decode(row["tags"]) == ["a", "b"]
    assert json.decode(row["context"], Paint) == paint
    assert bytes(row["parameters"]) == b'{"x":1}'
    assert row["start_time"] == moment
    assert row["created"] == clock.now()
    assert row["end_time"] is None
    assert row["job_variables"] is None
    assert row["total_run_time"] == 1.5
    assert row["run_count"] == 7
    assert row["work_queue_name"] == "red"
    assert isinstance(row["flow_id"], str)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_every_instant_survives(store: Store, moment: datetime) -> None:
    def keep(tx: Tx) -> datetime:
        tx.run("timer.set", kind="test", key="a", due=moment, payload={})
        return tx.all("timer.due", now=moment, limit=1)[0]["due"]

    assert store.write_sync(keep) == moment


def test_nul_becomes_a_replacement_character(store: Store) -> None:
    def keep(tx: Tx) -> tuple[str, Any]:
        name = "a\0b"
        document = {"text": "x\0y", "escaped": "\\u0000", "both": "\\\0"}
        add_flow(tx, name)
        tx.fetch(
            "UPDATE flow SET labels = ? WHERE name = ? RETURNING id",
            (Raw(json.encode(document)), name),
        )
        row = tx.fetch("SELECT name, labels FROM flow", ())[0]
        return row["name"], json.decode(row["labels"])

    name, document = store.write_sync(keep)
    assert name == "a\N{REPLACEMENT CHARACTER}b"
    assert document == {
        "text": "x\N{REPLACEMENT CHARACTER}y",
        "escaped": "\\u0000",
        "both": "\\\N{REPLACEMENT CHARACTER}",
    }


def test_many_runs_a_statement_for_each_row(store: Store) -> None:
    def set_all(tx: Tx, count: int) -> int:
        return tx.many(
            "timer.set",
            [
                {"kind": "test", "key": f"{number:04}", "due": tx.now, "payload": {"n": number}}
                for number in range(count)
            ],
        )

    assert store.write_sync(set_all, 0) == 0
    assert store.write_sync(set_all, 2) == 2
    assert store.write_sync(set_all, 500) == 500
    assert store.read_sync(keys) == [f"{number:04}" for number in range(500)]


def test_changes_are_counted(store: Store) -> None:
    def count(tx: Tx) -> tuple[int, int, int]:
        set_timer(tx, "a")
        missed = tx.run("timer.delete", kind="test", key="b")
        return tx.run("timer.delete", kind="test", key="a"), missed, len(keys(tx))

    assert store.write_sync(count) == (1, 0, 0)


def test_one_gives_the_first_row_or_none(store: Store, clock: ManualClock) -> None:
    def look(tx: Tx) -> list[Any]:
        before = tx.one("lease.get", name="loop")
        made = tx.one("lease.acquire", name="loop", holder="me", expires=tx.now, now=tx.now)
        return [before, made, tx.one("lease.get", name="loop")]

    before, made, after = store.write_sync(look)
    assert before is None
    assert made == after == {"name": "loop", "holder": "me", "expires": clock.now(), "fence": 1}


# --- wake-ups, counting, snapshots ---------------------------------------------------------------


def test_topics_are_woken_after_the_commit_and_only_then(store: Store) -> None:
    seen: list[tuple[frozenset[str], list[str]]] = []

    def listen(topics: frozenset[str]) -> None:
        seen.append((topics, asyncio.run(store.read(keys))))

    store.on_wake = listen
    store.write_sync(set_timer, "a")
    with pytest.raises(ValueError, match="b"):
        store.write_sync(set_then_fail, "b")
    store.write_sync(keys)
    assert seen == [(frozenset({"timers"}), ["a"])]


def test_a_failing_listener_harms_nobody(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def fail(topics: frozenset[str]) -> None:
        raise RuntimeError("deaf")

    store.on_wake = fail
    assert store.write_sync(set_timer, "a") == "a"
    assert store.write_sync(set_timer, "b") == "b"
    assert store.read_sync(keys) == ["a", "b"]
    assert "deaf" in caplog.text


def test_transactions_and_statements_are_counted(store: Store) -> None:
    before = store.statistics.snapshot()
    store.write_sync(set_timer, "a")
    store.read_sync(lambda tx: (keys(tx), keys(tx)))
    with pytest.raises(ValueError, match="b"):
        store.write_sync(set_then_fail, "b")
    store.write_sync(
        lambda tx: tx.many(
            "timer.delete", [{"kind": "test", "key": str(number)} for number in range(9)]
        )
    )
    after = store.statistics.snapshot()
    assert (after[0] - before[0], after[1] - before[1]) == (4, 5)


def test_a_reader_sees_one_state_of_the_database(store: Store) -> None:
    looked, changed = threading.Event(), threading.Event()

    def look_twice(tx: Tx) -> tuple[list[str], list[str]]:
        first = keys(tx)
        looked.set()
        assert changed.wait(30)
        return first, keys(tx)

    async def story() -> None:
        reading = asyncio.create_task(store.read(look_twice))
        await asyncio.to_thread(looked.wait, 30)
        await store.write(set_timer, "b")
        changed.set()
        assert await reading == (["a"], ["a"])
        assert await store.read(keys) == ["a", "b"]

    store.write_sync(set_timer, "a")
    asyncio.run(story())


def test_now_is_one_instant_for_a_transaction(store: Store, clock: ManualClock) -> None:
    def turn(tx: Tx) -> bool:
        first = tx.now
        clock.advance(5)
        return tx.now == first

    assert store.write_sync(turn)
    assert store.write_sync(lambda tx: tx.now) == clock.now()
