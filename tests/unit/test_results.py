"""Keeping results: decisions, records, the store."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from penstock.base.clock import ManualClock
from penstock.base.run_context import RunContext, running
from penstock.cache_policies import DEFAULT, INPUTS
from penstock.filesystems import LocalFileSystem, NullFileSystem, PathMissing, WritableFileSystem
from penstock.locking.memory import MemoryLockManager
from penstock.result_records import ResultRecord, ResultRecordMetadata, metadata_at_head
from penstock.results import (
    ResultStore,
    aget_default_result_storage,
    aresolve_result_storage,
    choices,
    choose_persistence,
    choose_storage,
    get_default_persist_setting,
    get_default_persist_setting_for_tasks,
    get_default_result_serializer,
    get_default_result_storage,
    get_or_create_default_task_scheduling_storage,
    get_result_store,
    install_storage_loader,
    resolve_result_storage,
    should_persist_result,
    storages,
)
from penstock.results.memory import CACHED_RECORDS, RecordCache
from penstock.schemas.admin import ServerDefaultResultStorage
from penstock.schemas.errors import ConfigurationError, MissingResult, SerializationError
from penstock.serializers import JSONSerializer, PickleSerializer
from penstock.settings import temporary_settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Counting(LocalFileSystem):
    """A local storage that counts what is read and written."""

    def __init__(self, basepath):
        super().__init__(basepath)
        self.reads = []
        self.writes = []

    def _read(self, path):
        self.reads.append(path)
        return super()._read(path)

    def read_prefix(self, path, size):
        self.reads.append(f"head of {path}")
        return super().read_prefix(path, size)

    def _write(self, path, content):
        self.writes.append(path)
        return super()._write(path, content)


def _any(value: Any) -> Any:
    """`value`, hidden from the type checker, which would refuse what the test passes."""
    return value


@pytest.fixture
def storage(tmp_path):
    return Counting(tmp_path / "results")


@pytest.fixture
def store(storage):
    return ResultStore(result_storage=storage, clock=ManualClock(NOW))


# --- decisions -----------------------------------------------------------------------------------


def test_the_nearest_storage_wins():
    block, path = UUID(int=1), Path("/results")
    given = {
        "task": Path("/task"),
        "flow": Path("/flow"),
        "block_setting": "s3/mine",
        "server_block_id": block,
    }
    expected = [Path("/task"), Path("/flow"), "s3/mine", block]
    for name, value in zip(list(given), expected, strict=True):
        assert choose_storage(**given, local_path=path) == value
        del given[name]
    assert choose_storage(local_path=path) == LocalFileSystem(basepath=path)


@pytest.mark.parametrize("expected", [True, False])
def test_the_nearest_decision_to_persist_wins(expected):
    other = not expected
    assert choose_persistence(task=expected, tasks_setting=other, flow=other) is expected
    assert choose_persistence(tasks_setting=expected, flow=other, setting=other) is expected
    assert choose_persistence(flow=expected, setting=other, default_block=other) is expected
    assert choose_persistence(setting=expected) is expected


def test_a_default_block_turns_persistence_on_but_not_against_a_decision():
    assert choose_persistence(default_block=True) is True
    assert choose_persistence(flow=False, default_block=True) is False
    assert choose_persistence() is False


def test_the_settings_decide_where_nothing_was_said(tmp_path, monkeypatch):
    monkeypatch.setattr(storages, "_loader", None)
    with temporary_settings(
        {
            "PENSTOCK_RESULTS_PERSIST_BY_DEFAULT": "true",
            "PENSTOCK_RESULTS_DEFAULT_SERIALIZER": "json",
            "PENSTOCK_TASKS_DEFAULT_PERSIST_RESULT": "false",
            "PENSTOCK_RESULTS_LOCAL_STORAGE_PATH": str(tmp_path),
        }
    ):
        assert get_default_persist_setting() is True
        assert get_default_persist_setting_for_tasks() is False
        assert get_default_result_serializer() == JSONSerializer()
        assert get_default_result_storage() == LocalFileSystem(basepath=tmp_path)
        assert asyncio.run(aget_default_result_storage()) == LocalFileSystem(basepath=tmp_path)


@pytest.mark.parametrize("block", [None, "s3/mine"])
def test_a_named_default_block_keeps_results(block):
    with temporary_settings(
        {
            "PENSTOCK_RESULTS_PERSIST_BY_DEFAULT": "false",
            "PENSTOCK_RESULTS_DEFAULT_STORAGE_BLOCK": block,
        }
    ):
        assert get_default_persist_setting() is (block is not None)


def test_the_home_moves_the_default_path(tmp_path):
    """Regression: the peer keeps results below the user's home whatever its home setting says."""
    with temporary_settings({"PENSTOCK_HOME": str(tmp_path)}):
        ResultStore().write(1, key="k")
        assert (tmp_path / "storage" / "k").exists()


def test_the_current_run_says_whether_it_persists():
    with temporary_settings({"PENSTOCK_RESULTS_PERSIST_BY_DEFAULT": "false"}):
        assert should_persist_result() is False
        flow = RunContext(flow="f", flow_run="r", persist_result=True)
        with running(flow):
            assert should_persist_result() is True
            with running(RunContext(task="t", task_run="r", flow_context=flow)):
                assert should_persist_result() is True
            with running(
                RunContext(task="t", task_run="r", flow_context=flow, persist_result=False)
            ):
                assert should_persist_result() is False


def test_the_store_of_the_current_run_is_used(store):
    assert get_result_store() is not store
    flow = RunContext(flow="f", flow_run="r", result_store=store)
    with running(flow):
        assert get_result_store() is store
        with running(RunContext(task="t", task_run="r", flow_context=flow)):
            assert get_result_store() is store


# --- storages ------------------------------------------------------------------------------------


def test_a_path_is_a_local_storage_and_an_object_is_itself(storage, tmp_path):
    assert resolve_result_storage(tmp_path) == LocalFileSystem(basepath=tmp_path)
    assert resolve_result_storage(storage) is storage
    assert asyncio.run(aresolve_result_storage(storage)) is storage
    with pytest.raises(TypeError, match="cannot keep results"):
        resolve_result_storage(_any(3))


def missing_block(reference):
    yield from ()
    raise ConfigurationError(f"{reference} is no block")


def test_a_block_is_loaded_once_through_the_installed_loader(storage, monkeypatch):
    monkeypatch.setattr("penstock.blocks.storage.load_storage", missing_block)
    monkeypatch.setattr(storages, "_loader", None)
    monkeypatch.setattr(storages, "_loaded", {})
    with pytest.raises(ConfigurationError, match="s3/mine is no block"):
        resolve_result_storage("s3/mine")
    loads = []

    def load(reference):
        loads.append(reference)
        yield from ()
        return storage

    install_storage_loader(load)
    assert resolve_result_storage("s3/mine") is storage
    assert resolve_result_storage("s3/mine") is storage
    assert asyncio.run(aresolve_result_storage(UUID(int=3))) is storage
    assert loads == ["s3/mine", UUID(int=3)]
    with temporary_settings({"PENSTOCK_RESULTS_DEFAULT_STORAGE_BLOCK": "s3/mine"}):
        assert get_default_result_storage() is storage
    with temporary_settings({"PENSTOCK_TASKS_SCHEDULING_DEFAULT_STORAGE_BLOCK": "s3/mine"}):
        assert get_or_create_default_task_scheduling_storage() is storage


def test_parameters_of_background_tasks_are_kept_with_results_by_default(tmp_path):
    with temporary_settings({"PENSTOCK_RESULTS_LOCAL_STORAGE_PATH": str(tmp_path)}):
        assert get_or_create_default_task_scheduling_storage() == LocalFileSystem(tmp_path)


@pytest.mark.parametrize("block_id", [UUID(int=3), None])
def test_the_servers_default_block_is_asked_for_once(block_id, storage, monkeypatch, tmp_path):
    monkeypatch.setattr(storages, "_loader", None)
    monkeypatch.setattr(storages, "_loaded", {})
    monkeypatch.setattr(storages, "_server_blocks", {})
    asked = []

    def answer(request):
        asked.append(request.operation)
        return ServerDefaultResultStorage(default_result_storage_block_id=block_id)

    monkeypatch.setattr(storages.Request, "sync", answer)
    with temporary_settings({"PENSTOCK_RESULTS_LOCAL_STORAGE_PATH": str(tmp_path)}):
        assert get_default_result_storage() == LocalFileSystem(tmp_path)
        assert asked == []

        def load(reference):
            yield from ()
            return storage

        install_storage_loader(load)
        expected = storage if block_id else LocalFileSystem(tmp_path)
        assert get_default_result_storage() == expected
        assert get_default_result_storage() == expected
    assert asked == ["read_server_default_result_storage"]


# --- records -------------------------------------------------------------------------------------


def test_the_document_has_metadata_first_and_text_inside(store, storage):
    store.write({"a": 1}, key="k", expiration=NOW + timedelta(days=1))
    document = json.loads(storage._read("k"))
    assert list(document) == ["metadata", "result"]
    metadata = document["metadata"]
    assert metadata.keys() == {
        "storage_key",
        "expiration",
        "serializer",
        "prefect_version",
        "storage_block_id",
    }
    assert metadata["storage_key"] == str(storage._resolve_path("k"))
    assert metadata["expiration"] == "2026-01-02T00:00:00Z"
    assert metadata["serializer"]["type"] == "pickle"
    assert PickleSerializer().loads(document["result"].encode()) == {"a": 1}


def test_a_record_is_read_back_whole():
    metadata = ResultRecordMetadata(
        storage_key="k", expiration=NOW, serializer={"type": "json"}, storage_block_id=UUID(int=1)
    )
    record = ResultRecord([1, 2], metadata)
    again = ResultRecord.deserialize(record.serialize())
    assert again == record
    assert again.persisted
    assert not record.persisted
    assert again.storage_key == "k"
    parts = ResultRecord.deserialize_from_result_and_metadata(
        record.serialize_result(), record.serialize_metadata()
    )
    assert parts == record


def test_bytes_that_are_no_text_are_kept_too():
    class Raw(PickleSerializer):
        type: str = "test/raw"

        def dumps(self, obj):
            return b"\xff" + obj

        def loads(self, blob):
            return blob[1:]

    record = ResultRecord(b"\x00\x80", ResultRecordMetadata(serializer=Raw().model_dump()))
    assert ResultRecord.deserialize(record.serialize()).result == b"\x00\x80"


def test_the_value_is_decoded_when_it_is_asked_for():
    document = b'{"metadata":{"storage_key":"k","serializer":{"type":"json"}},"result":"not json"}'
    record = ResultRecord.deserialize(document)
    assert record.storage_key == "k"
    with pytest.raises(json.JSONDecodeError):
        _ = record.result


def test_a_record_expires_at_its_instant():
    record = ResultRecord(1, ResultRecordMetadata(expiration=NOW))
    assert record.is_expired(NOW)
    assert not record.is_expired(NOW - timedelta(microseconds=1))
    assert not ResultRecord(1, ResultRecordMetadata()).is_expired(NOW)


def test_metadata_is_found_in_a_document_that_is_cut_off():
    metadata = ResultRecordMetadata(storage_key='"result":"', serializer={"type": "json"})
    document = ResultRecord("x" * 10_000, metadata).serialize()
    assert metadata_at_head(document[:300]) == metadata
    assert metadata_at_head(document[:20]) is None
    assert metadata_at_head(b'{"result":"","metadata":{}}') is None
    assert metadata_at_head(b'{"metadata":[],"result":""}') is None


def test_a_value_that_cannot_be_written_is_a_clear_error(store):
    record = store.create_result_record((i for i in ()), key="k")
    with pytest.raises(SerializationError, match="persist_result=False"):
        store.persist_result_record(record)
    assert not record.persisted
    assert not store.exists("k")


# --- the store -----------------------------------------------------------------------------------


def test_making_a_record_touches_nothing(storage, monkeypatch):
    store = ResultStore()
    monkeypatch.setattr(choices, "get_current_settings", lambda: pytest.fail("settings were read"))
    record = store.create_result_record(5)
    assert record.result == 5
    assert not record.persisted


def test_what_is_written_is_found(store):
    assert not store.exists("k")
    assert store.find("k") is None
    with pytest.raises(PathMissing):
        store.read("k")
    store.write({"a": 1}, key="k")
    assert store.exists("k")
    assert store.read("k").result == {"a": 1}
    assert store.find("k").result == {"a": 1}


def test_coroutines_do_the_same(store):
    async def main():
        assert not await store.aexists("k")
        assert await store.afind("k") is None
        await store.awrite(5, key="k")
        record = store.create_result_record(6, key="l")
        await store.apersist_result_record(record)
        return (
            await store.aexists("k"),
            (await store.aread("k")).result,
            (await store.afind("l")).result,
        )

    assert asyncio.run(main()) == (True, 5, 6)


def test_another_store_finds_it_under_the_absolute_key(store, storage):
    record = store.create_result_record([1], key="k")
    store.persist_result_record(record)
    assert record.storage_key == str(storage._resolve_path("k"))
    other = ResultStore(result_storage=LocalFileSystem(storage.basepath))
    assert other.read(record.storage_key).result == [1]
    assert other.read("k").result == [1]


def test_the_key_of_a_saved_block_stays_as_it_is(storage):
    storage._block_document_id = UUID(int=5)
    store = ResultStore(result_storage=storage)
    record = store.create_result_record(1, key="k")
    assert record.storage_key == "k"
    assert record.metadata.storage_block_id == UUID(int=5)
    store.persist_result_record(record)
    assert store.read("k").result == 1


def test_an_expired_record_does_not_exist_but_can_be_read(storage):
    clock = ManualClock(NOW)
    store = ResultStore(result_storage=storage, clock=clock)
    store.write(1, key="k", expiration=NOW + timedelta(seconds=10))
    assert store.exists("k")
    clock.advance(10)
    assert not store.exists("k")
    assert store.find("k") is None
    assert store.read("k").result == 1


def cold(store, storage):
    """The same storage, nothing in memory, counters at zero."""
    storage.reads.clear()
    return store.model_copy(update={"cache": RecordCache()})


def test_the_existence_check_reads_metadata_only(store, storage):
    """Regression: the peer downloads and unpickles the whole result to see if it is there."""

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the value was unpickled",))

    store.write(Bomb(), key="k")
    other = cold(store, storage)
    assert other.exists("k")
    assert storage.reads == ["head of k"]


def test_a_hit_reads_the_storage_once(store, storage):
    """Regression: the peer reads the result a second time after the existence check."""
    store.write("x" * 10_000, key="k")
    other = cold(store, storage)
    record = other.find("k")
    assert record.result == "x" * 10_000
    assert other.read("k").result == "x" * 10_000
    assert storage.reads == ["k"]


def test_metadata_that_is_longer_than_the_head_is_found_as_well(store, storage):
    class Verbose(JSONSerializer):
        type: str = "test/verbose"
        padding: str = ""

    verbose = store.model_copy(update={"serializer": Verbose(padding="y" * 10_000)})
    verbose.write(1, key="k")
    assert cold(store, storage).exists("k")
    assert storage.reads == ["head of k", "k"]


def test_records_in_memory_are_not_read_again(store, storage):
    store.write(1, key="k")
    storage.reads.clear()
    assert store.read("k").result == 1
    assert store.exists("k")
    assert storage.reads == []
    forgetful = store.model_copy(update={"cache_result_in_memory": False})
    assert forgetful.read("k").result == 1
    assert storage.reads == ["k"]


def test_runs_do_not_share_a_result_that_one_of_them_changes(store):
    """Regression: the peer hands the same object to every hit in a process."""
    value: dict[str, list[Any]] = {"list": [1]}
    record = store.create_result_record(value, key="k")
    store.persist_result_record(record)
    value["list"].append("changed by the run that made it")
    store.read("k").result["list"].append("changed by a hit")
    assert store.find("k").result == {"list": [1]}
    assert record.result is value
    other = cold(store, store.result_storage)
    other.read("k").result["list"].append("changed by a hit of another process")
    assert other.read("k").result == {"list": [1]}


def test_storages_may_be_given_as_paths(tmp_path):
    store = ResultStore(result_storage=tmp_path / "r", metadata_storage=tmp_path / "m")
    store.write(1, key="k")
    assert (tmp_path / "m" / "k").exists()
    assert (tmp_path / "r" / "k").exists()


def test_a_record_without_a_key_is_not_written(store):
    with pytest.raises(ValueError, match="no storage key"):
        store.persist_result_record(ResultRecord(1))


def test_a_storage_that_breaks_is_a_miss_and_not_an_error(tmp_path):
    class Broken(LocalFileSystem):
        def _read(self, path):
            raise PermissionError(path)

        def read_prefix(self, path, size):
            raise PermissionError(path)

    store = ResultStore(result_storage=Broken(tmp_path))
    assert not store.exists("k")
    assert store.find("k") is None
    with pytest.raises(PermissionError):
        store.read("k")


def test_memory_keeps_the_records_used_last():
    cache = RecordCache(size=2)
    a, b, c = (ResultRecord(i) for i in range(3))
    cache.put("a", a)
    cache.put("b", b)
    assert cache.get("a") is a
    cache.put("c", c)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (a, None, c)
    assert len(cache) == 2
    assert CACHED_RECORDS == 1000


@pytest.fixture
def apart(storage, tmp_path):
    keys = Counting(tmp_path / "keys")
    return ResultStore(result_storage=storage, metadata_storage=keys, clock=ManualClock(NOW)), keys


def test_value_and_metadata_can_be_kept_apart(apart, storage):
    store, keys = apart
    store.write([1, 2], key="k")
    assert keys.writes == ["k"]
    metadata = json.loads(keys._read("k"))
    assert metadata["storage_key"] == str(storage._resolve_path("k"))
    assert PickleSerializer().loads(storage._read("k")) == [1, 2]
    assert store.read("k").result == [1, 2]


def test_with_metadata_apart_the_existence_check_never_touches_the_value(apart, storage):
    store, keys = apart
    store.write([1, 2], key="k")
    other = cold(store, storage)
    keys.reads.clear()
    assert other.exists("k")
    assert (storage.reads, keys.reads) == ([], ["k"])
    assert other.read("k").result == [1, 2]
    assert not other.exists("other")


def test_a_null_metadata_storage_is_none(storage):
    store = ResultStore(result_storage=storage, metadata_storage=NullFileSystem())
    store.write(1, key="k")
    assert json.loads(storage._read("k"))["metadata"]


class Remote(WritableFileSystem):
    """A user's storage, with coroutine methods and an error of its own."""

    class Gone(Exception):
        pass

    def __init__(self):
        self.kept = {}
        self.reads = 0

    async def read_path(self, path):
        self.reads += 1
        if path not in self.kept:
            raise self.Gone(path)
        return self.kept[path]

    async def write_path(self, path, content):
        self.kept[path] = content


def test_a_users_storage_is_used_from_either_colour():
    remote = Remote()
    store = ResultStore(result_storage=remote, cache_result_in_memory=False)
    assert not store.exists("k")
    assert store.find("k") is None
    store.write(1, key="k")
    assert store.exists("k")
    assert store.read("k").result == 1

    async def main():
        return await store.aexists("k"), _any(await store.afind("k")).result

    assert asyncio.run(main()) == (True, 1)
    with pytest.raises(Remote.Gone):
        store.read("nothing")


# --- of flows and tasks --------------------------------------------------------------------------


def options(**given):
    return SimpleNamespace(
        **{
            "result_storage": None,
            "result_serializer": None,
            "result_storage_key": None,
            "cache_policy": None,
            "cache_result_in_memory": True,
            **given,
        }
    )


def test_a_flow_or_task_overrides_what_it_names(store, storage, tmp_path):
    flow = store.update_for_flow(options(result_serializer="json"))
    assert flow.serializer == JSONSerializer()
    assert flow.result_storage is storage
    task = flow.update_for_task(
        options(result_storage=tmp_path / "task", cache_result_in_memory=False)
    )
    assert task.serializer == JSONSerializer()
    assert task.result_storage == LocalFileSystem(tmp_path / "task")
    assert not task.cache_result_in_memory
    assert store.serializer == PickleSerializer()


def test_a_tasks_policy_brings_key_storage_and_lock_manager(store, tmp_path, monkeypatch):
    monkeypatch.setattr("penstock.blocks.storage.load_storage", missing_block)
    monkeypatch.setattr(storages, "_loader", None)
    monkeypatch.setattr(storages, "_loaded", {})
    manager = MemoryLockManager()
    policy = DEFAULT.configure(key_storage=tmp_path / "keys", lock_manager=manager)
    task = store.update_for_task(options(cache_policy=policy))
    assert task.metadata_storage == LocalFileSystem(tmp_path / "keys")
    assert task.lock_manager is manager
    for path in ("/keys", "keys", "~/keys", "./keys", "a/b/c"):
        named = store.update_for_task(options(cache_policy=INPUTS.configure(key_storage=path)))
        assert named.metadata_storage == LocalFileSystem(Path(path))
    with pytest.raises(ConfigurationError, match="is no block"):
        store.update_for_task(options(cache_policy=INPUTS.configure(key_storage="s3/mine")))
    assert asyncio.run(store.aupdate_for_task(options())).metadata_storage is None
    assert task.update_for_flow(options()).metadata_storage is None


def test_a_storage_key_can_be_a_template(store):
    task = store.update_for_task(
        options(result_storage_key="{flow_run.name}/{parameters[x]}/{task_run.task_name}")
    )
    run = RunContext(
        task=SimpleNamespace(name="clean"),
        task_run=SimpleNamespace(),
        flow_run=SimpleNamespace(name="quick-fox"),
        parameters={"x": 3},
    )
    with running(run):
        record = task.create_result_record(1)
    assert record.storage_key.endswith("/quick-fox/3/clean")
    plain = store.update_for_task(options(result_storage_key="fixed"))
    assert plain.create_result_record(1).storage_key.endswith("/fixed")


# --- locks ---------------------------------------------------------------------------------------


def test_isolation_needs_a_lock_manager(store):
    assert store.supports_isolation_level("READ_COMMITTED")
    assert not store.supports_isolation_level("SERIALIZABLE")
    with pytest.raises(ValueError, match="no isolation level"):
        store.supports_isolation_level("SNAPSHOT")
    with pytest.raises(ConfigurationError, match="no lock manager"):
        store.acquire_lock("k")
    locking = store.model_copy(update={"lock_manager": MemoryLockManager()})
    assert locking.supports_isolation_level("SERIALIZABLE")


@pytest.fixture
def locking(store):
    return store.model_copy(update={"lock_manager": MemoryLockManager()})


def test_somebody_elses_lock_refuses_the_write(locking):
    assert locking.acquire_lock("k", "other")
    try:
        assert locking.is_locked("k")
        with pytest.raises(RuntimeError, match="locked by another holder"):
            locking.write(1, key="k")
        locking.write(1, key="k", holder="other")
    finally:
        locking.release_lock("k", "other")
    assert locking.wait_for_lock("k", timeout=0)
    locking.write(2, key="k")


def test_the_default_holder_is_this_thread_or_coroutine(locking):
    assert locking.acquire_lock("k")
    assert locking.is_lock_holder("k")
    locking.release_lock("k")

    async def hold():
        assert await locking.aacquire_lock("k")
        other = asyncio.create_task(locking.aacquire_lock("k", timeout=0))
        assert not await other
        waiting = asyncio.create_task(locking.await_for_lock("k"))
        locking.release_lock("k")
        assert await waiting

    asyncio.run(hold())


def test_reading_waits_for_somebody_elses_lock(locking):
    locking.write(1, key="k")

    async def main():
        assert await locking.aacquire_lock("k", "other")
        reading = asyncio.create_task(locking.aread("k"))
        await asyncio.sleep(0)
        assert not reading.done()
        locking.release_lock("k", "other")
        return (await reading).result

    assert asyncio.run(main()) == 1


def test_metadata_without_a_key_leads_nowhere(apart):
    store, keys = apart
    keys._write("k", b'{"serializer":{"type":"json"}}')
    with pytest.raises(MissingResult, match="names no value"):
        store.read("k")
