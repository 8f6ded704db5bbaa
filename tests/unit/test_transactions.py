"""Groups of work that are kept together or undone together."""

import asyncio
import functools
import logging
import threading
from contextvars import copy_context
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.filesystems import LocalFileSystem, NullFileSystem
from penstock.locking.filesystem import FileSystemLockManager
from penstock.locking.memory import MemoryLockManager
from penstock.results import ResultStore
from penstock.schemas.errors import ConfigurationError
from penstock.transactions import (
    AsyncTransaction,
    BaseTransaction,
    CommitMode,
    IsolationLevel,
    Transaction,
    TransactionState,
    atransaction,
    get_transaction,
    transaction,
)


@pytest.fixture
def store(tmp_path):
    return ResultStore(result_storage=LocalFileSystem(tmp_path))


class Boom(Exception):
    pass


# The package's own loggers do not propagate once they are set up, so `caplog` may not see them.
LOGGER = logging.getLogger("tests.transactions")


def _result(txn):
    """The value of the record that a transaction reads."""
    return _awaited(txn.read())


def _awaited(record):
    assert record is not None
    return record.result


def hooks(log, name):
    """A commit hook and a rollback hook that write into `log`."""
    return {
        "on_commit_hooks": [lambda txn: log.append(f"commit {name}")],
        "on_rollback_hooks": [lambda txn: log.append(f"rollback {name}")],
    }


# --- a model of nested transactions --------------------------------------------------------------


@dataclass
class Node:
    """A transaction to be run, with those inside it; `raises` at the end of its body, where the
    enclosing body catches it, and `breaks` in its commit hook."""

    name: int
    mode: CommitMode | None
    raises: bool
    breaks: bool
    children: list["Node"] = field(default_factory=list)
    state: str = "open"


def nodes(max_depth=3):
    names = iter(range(10_000))

    def build(mode, raises, breaks, children):
        return Node(next(names), mode, raises, breaks, children)

    leaf = st.builds(
        build,
        st.sampled_from([None, None, *CommitMode]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([False, False, False, False, True]),
        st.just([]),
    )
    return st.recursive(
        leaf,
        lambda inner: st.builds(
            build,
            st.sampled_from([None, None, None, *CommitMode]),
            st.sampled_from([False, False, False, True]),
            st.sampled_from([False, False, False, False, True]),
            st.lists(inner, max_size=3),
        ),
        max_leaves=8,
    )


class Model:
    """What is to happen, written down as plainly as possible."""

    def __init__(self):
        self.log = []

    def run(self, node, parent=None, inherited=CommitMode.LAZY):
        mode = node.mode or inherited
        node.ended = []
        for child in node.children:
            self.run(child, node, mode)
        if node.raises or mode == CommitMode.OFF:
            self.rollback(node)
        elif mode == CommitMode.EAGER or parent is None:
            self.commit(node)
        if parent is not None:
            parent.ended.append(node)
            if node.state == "rolled back":
                self.rollback(parent)
            elif parent.state == "rolled back":
                self.rollback(node)

    def commit(self, node):
        if node.state != "open":
            return
        for child in node.ended:
            self.commit(child)
            if child.state == "rolled back":
                self.rollback(node)
                return
        self.log.append(f"commit {node.name}")
        if node.breaks:
            self.rollback(node)
        else:
            node.state = "committed"

    def rollback(self, node):
        if node.state != "open":
            return
        self.log.append(f"rollback {node.name}")
        node.state = "rolled back"
        for child in reversed(node.ended):
            self.rollback(child)


def states_of(node):
    return {node.name: node.state, **{k: v for c in node.children for k, v in states_of(c).items()}}


def arm(txn, node, log, opened):
    def commit(txn):
        log.append(f"commit {node.name}")
        if node.breaks:
            raise Boom

    opened[node.name] = txn
    txn.stage(
        node.name,
        on_commit_hooks=[commit],
        on_rollback_hooks=[lambda txn: log.append(f"rollback {node.name}")],
    )


def run_sync(node, log, opened):
    try:
        with transaction(commit_mode=node.mode) as txn:
            arm(txn, node, log, opened)
            for child in node.children:
                run_sync(child, log, opened)
            if node.raises:
                raise Boom
    except Boom:
        pass


async def run_aio(node, log, opened):
    try:
        async with atransaction(commit_mode=node.mode) as txn:
            arm(txn, node, log, opened)
            for child in node.children:
                await run_aio(child, log, opened)
            if node.raises:
                raise Boom
    except Boom:
        pass


NAMES = {"committed": TransactionState.COMMITTED, "rolled back": TransactionState.ROLLED_BACK}


@settings(deadline=None, max_examples=300)
@given(nodes())
def test_commit_and_rollback_follow_the_model_in_both_colours(node):
    logging.disable(logging.CRITICAL)
    try:
        model = Model()
        model.run(node)
        expected = {name: NAMES[state] for name, state in states_of(node).items()}
        sync_log, sync_opened = [], {}
        run_sync(node, sync_log, sync_opened)
        assert sync_log == model.log
        assert {name: txn.state for name, txn in sync_opened.items()} == expected
        aio_log, aio_opened = [], {}
        asyncio.run(run_aio(node, aio_log, aio_opened))
        assert aio_log == model.log
        assert {name: txn.state for name, txn in aio_opened.items()} == expected
        assert get_transaction() is None
    finally:
        logging.disable(logging.NOTSET)


# --- modes and order -----------------------------------------------------------------------------


def test_children_commit_first_in_order_then_own_hooks():
    log = []
    with transaction() as outer:
        outer.stage(None, **hooks(log, "outer"))
        for name in ("one", "two"):
            with transaction() as inner:
                inner.stage(None, **hooks(log, name))
            assert inner.is_staged()
        assert log == []
    assert log == ["commit one", "commit two", "commit outer"]


def test_an_exception_rolls_back_own_hooks_then_children_in_reverse():
    log = []
    with pytest.raises(Boom), transaction() as outer:
        outer.stage(None, **hooks(log, "outer first"))
        outer.stage(None, **hooks(log, "outer second"))
        for name in ("one", "two"):
            with transaction() as inner:
                inner.stage(None, **hooks(log, name))
        raise Boom
    assert log == ["rollback outer second", "rollback outer first", "rollback two", "rollback one"]
    assert outer.is_rolled_back()


def test_eager_commits_at_its_own_end_and_stays_committed():
    log = []
    with pytest.raises(Boom), transaction():
        with transaction(commit_mode=CommitMode.EAGER) as inner:
            inner.stage(None, **hooks(log, "inner"))
        assert inner.is_committed()
        raise Boom
    assert log == ["commit inner"]


def test_off_never_commits():
    log = []
    with transaction(commit_mode=CommitMode.OFF) as txn:
        txn.stage(None, **hooks(log, "it"))
    assert log == ["rollback it"]
    assert txn.is_rolled_back()


def test_the_mode_is_inherited():
    with transaction(commit_mode=CommitMode.EAGER) as outer, transaction() as inner:
        assert inner.commit_mode == outer.commit_mode == CommitMode.EAGER
    with transaction() as txn:
        assert txn.commit_mode == CommitMode.LAZY


def test_a_rolled_back_child_rolls_back_its_parent_at_once():
    log = []
    with transaction() as outer:
        outer.stage(None, **hooks(log, "outer"))
        with pytest.raises(Boom), transaction() as inner:
            inner.stage(None, **hooks(log, "inner"))
            raise Boom
        assert log == ["rollback inner", "rollback outer"]
    assert outer.is_rolled_back()


def test_a_child_that_ends_after_its_parent_was_undone_is_undone():
    log = []
    with transaction():
        with pytest.raises(Boom), transaction():
            raise Boom
        with transaction() as late:
            late.stage(None, **hooks(log, "late"))
        assert log == ["rollback late"]


def test_a_child_that_outlives_its_parent_commits_by_itself():
    """Work on another thread may end after the transaction it was started in."""
    log, outer_ended = [], threading.Event()

    def work():
        with transaction() as inner:
            inner.stage(None, **hooks(log, "inner"))
            outer_ended.wait()

    with transaction():
        thread = threading.Thread(target=copy_context().run, args=(work,))
        thread.start()
    assert log == []
    outer_ended.set()
    thread.join()
    assert log == ["commit inner"]


def test_hooks_get_the_transaction_and_may_be_coroutines():
    seen = []

    async def awaited(txn):
        await asyncio.sleep(0)
        seen.append(txn)

    with transaction() as plain_txn:
        plain_txn.stage(None, on_commit_hooks=[awaited, seen.append])

    async def main():
        async with atransaction() as txn:
            txn.stage(None, on_commit_hooks=[awaited, seen.append])
        return txn

    async_txn = asyncio.run(main())
    assert seen == [plain_txn, plain_txn, async_txn, async_txn]


def test_hooks_are_logged_by_name(caplog):
    def named(txn):
        pass

    class Callable:
        def __call__(self, txn):
            pass

    with caplog.at_level(logging.INFO), transaction(logger=LOGGER) as txn:
        txn.stage(None, on_commit_hooks=[named, functools.partial(named), Callable()])
    assert caplog.messages == [
        f"{text} 'named'{rest}" if name == "named" else f"{text} 'Callable'{rest}"
        for name in ("named", "named", "Callable")
        for text, rest in (
            ("Running commit hook", ""),
            ("Commit hook", " finished running successfully"),
        )
    ]


def test_an_error_in_a_commit_hook_rolls_back_and_is_not_raised(caplog, store):
    log = []

    def fail(txn):
        raise Boom("hook")

    with transaction(key="k", store=store, logger=LOGGER) as txn:
        txn.stage(1, on_commit_hooks=[fail], on_rollback_hooks=[lambda txn: log.append("undone")])
    assert txn.is_rolled_back()
    assert log == ["undone"]
    assert not store.exists("k")
    assert "hook" in caplog.text


def test_an_error_in_a_rollback_hook_is_logged_and_stops_the_undoing(caplog):
    log = []

    def fail(txn):
        raise Boom("cannot undo")

    with pytest.raises(ValueError, match="the cause"), transaction(logger=LOGGER) as txn:
        with transaction() as inner:
            inner.stage(None, **hooks(log, "inner"))
        txn.stage(None, on_rollback_hooks=[lambda txn: log.append("first"), fail])
        raise ValueError("the cause")
    assert log == []
    assert txn.is_rolled_back()
    assert "cannot undo" in caplog.text


# --- values --------------------------------------------------------------------------------------


def test_values_are_found_in_transactions_around_and_copied():
    with transaction() as outer:
        outer.set("a", {"list": [1]})
        with transaction() as inner:
            inner.set("b", 2)
            got = inner.get("a")
            got["list"].append(2)
            assert inner.get("a") == {"list": [1]}
            assert inner.get("b") == 2
            assert outer.get("b", None) is None
            with pytest.raises(ValueError, match="'nothing'"):
                inner.get("nothing")
            assert inner.get("nothing", 5) == 5
        inner.set("a", "own")
        assert inner.get("a") == "own"


def test_the_current_transaction_is_known():
    assert get_transaction() is None
    with transaction() as outer:
        assert get_transaction() is outer
        with transaction() as inner:
            assert BaseTransaction.get_active() is inner
            assert inner.get_parent() is outer
        assert get_transaction() is outer
    assert get_transaction() is None


def test_a_transaction_is_entered_once():
    txn = Transaction()
    with txn, pytest.raises(RuntimeError, match="entered once"):
        txn.__enter__()
    with pytest.raises(RuntimeError, match="entered once"):
        txn.__enter__()


def test_an_asynchronous_transaction_refuses_plain_with():
    with pytest.raises(NotImplementedError, match="async with"), AsyncTransaction():
        pass


# --- keys and records ----------------------------------------------------------------------------


def test_the_staged_value_is_written_at_the_commit(store):
    with transaction(key="k", store=store) as txn:
        txn.stage({"a": 1})
        assert not store.exists("k")
    assert store.read("k").result == {"a": 1}


def test_a_staged_record_is_written_as_it_is(store):
    record = store.create_result_record(5, key="k")
    with transaction(key="k", store=store) as txn:
        txn.stage(record)
    assert record.persisted
    assert _result(txn) == 5


def test_a_key_that_has_a_record_is_committed_from_the_start(store):
    store.write(1, key="k")
    with transaction(key="k", store=store) as txn:
        assert txn.is_committed()
        assert _result(txn) == 1
        txn.stage(2)
    assert store.read("k").result == 1
    with transaction(key="k", store=store, overwrite=True) as txn:
        assert not txn.is_committed()
        txn.stage(2)
    assert store.read("k").result == 2


def test_a_hit_reads_the_storage_once(tmp_path):
    reads = []

    class Counting(LocalFileSystem):
        def _read(self, path):
            reads.append(path)
            return super()._read(path)

    store = ResultStore(result_storage=Counting(tmp_path), cache_result_in_memory=False)
    store.write(1, key="k")
    with transaction(key="k", store=store) as txn:
        assert _result(txn) == 1
    assert len(reads) == 1


def test_nothing_is_written_without_a_key_a_stage_or_the_wish(store, tmp_path):
    with transaction(store=store) as txn:
        txn.stage(1)
    with transaction(key="k", store=store):
        pass
    with transaction(key="k", store=store, write_on_commit=False) as txn:
        txn.stage(1)
    assert txn.is_committed()
    assert list(tmp_path.iterdir()) == []


def test_a_rolled_back_value_is_not_written(store):
    with pytest.raises(Boom), transaction(key="k", store=store) as txn:
        txn.stage(1)
        raise Boom
    assert not store.exists("k")


def test_a_value_that_cannot_be_written_warns_and_the_code_goes_on(store, caplog):
    log = []
    with transaction(key="k", store=store, logger=LOGGER) as txn:
        txn.stage(threading.Lock(), **hooks(log, "it"))
    assert txn.is_rolled_back()
    assert log == ["commit it", "rollback it"]
    assert [r.levelname for r in caplog.records if r.levelno > logging.INFO] == ["WARNING"]


def test_a_null_metadata_storage_is_not_inherited(store):
    flow_store = store.model_copy(update={"metadata_storage": NullFileSystem()})
    with transaction(key="k", store=flow_store) as txn:
        assert txn.store is not None
        assert txn.store.metadata_storage is None


def test_asynchronous_transactions_keep_records_too(store):
    async def main():
        async with atransaction(key="k", store=store) as txn:
            txn.stage(5)
        async with atransaction(key="k", store=store) as txn:
            assert txn.is_committed()
            record = await txn.read()
        async with atransaction(key="other", store=store) as other:
            assert await other.read() is None
            assert await other.rollback()
            assert not await other.commit()
        return _awaited(record)

    assert asyncio.run(main()) == 5


def test_it_can_be_ended_by_hand(store):
    with transaction(key="k", store=store) as txn:
        txn.stage(1)
        assert txn.commit()
        assert not txn.commit()
        assert not txn.rollback()
    assert store.read("k").result == 1


# --- isolation -----------------------------------------------------------------------------------


def test_serializable_needs_a_lock_manager(store):
    for options in ({"store": store}, {}):
        with (
            pytest.raises(ConfigurationError, match="lock manager"),
            transaction(key="k", isolation_level=IsolationLevel.SERIALIZABLE, **options),
        ):
            pass
    assert get_transaction() is None


@pytest.fixture(params=["memory", "files"])
def locking(request, store, tmp_path):
    manager = (
        MemoryLockManager()
        if request.param == "memory"
        else FileSystemLockManager(tmp_path / "locks")
    )
    return store.model_copy(update={"lock_manager": manager})


def serializable(store, **options):
    return transaction(key="k", store=store, isolation_level=IsolationLevel.SERIALIZABLE, **options)


def test_the_lock_is_held_from_begin_to_commit(locking):
    with serializable(locking) as txn:
        assert locking.is_locked("k")
        txn.stage(1)
    assert not locking.is_locked("k")
    assert locking.read("k").result == 1


def test_the_lock_is_held_until_the_outermost_commit(locking):
    with transaction(), serializable(locking) as txn:
        txn.stage(1)
    assert not locking.is_locked("k")
    with transaction():
        with serializable(locking, overwrite=True) as txn:
            txn.stage(2)
        assert locking.is_locked("k")
    assert locking.read("k").result == 2


def test_a_rollback_frees_the_lock(locking):
    with pytest.raises(Boom), serializable(locking):
        raise Boom
    assert not locking.is_locked("k")


def test_a_hit_frees_the_lock_at_once(locking):
    locking.write(1, key="k")
    with serializable(locking) as txn:
        assert txn.is_committed()
        assert not locking.is_locked("k")


def test_a_storage_that_breaks_frees_the_lock(locking, monkeypatch):
    def broken(key):
        raise KeyboardInterrupt

    monkeypatch.setattr(locking, "find", broken)
    with pytest.raises(KeyboardInterrupt), serializable(locking):
        pass
    assert not locking.is_locked("k")


def test_of_many_threads_one_computes_and_the_others_read(locking):
    computed, results = [], []

    def work(number):
        with serializable(locking) as txn:
            if txn.is_committed():
                results.append(_result(txn))
                return
            computed.append(number)
            txn.stage(number)
        results.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(computed) == 1
    assert results == computed * 6


def test_of_many_coroutines_one_computes_and_the_others_read(locking):
    computed = []

    async def work(number):
        async with atransaction(
            key="k", store=locking, isolation_level=IsolationLevel.SERIALIZABLE
        ) as txn:
            if txn.is_committed():
                return _awaited(await txn.read())
            await asyncio.sleep(0)
            computed.append(number)
            txn.stage(number)
        return number

    async def main():
        return await asyncio.gather(*(work(i) for i in range(6)))

    results = asyncio.run(main())
    assert len(computed) == 1
    assert results == computed * 6
