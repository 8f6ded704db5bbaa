"""The store that writes and reads results."""

import os
import threading
from collections.abc import Callable
from copy import copy
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.base.clock import SYSTEM_CLOCK, Clock
from penstock.base.dual import (
    Blocking,
    Call,
    Steps,
    coroutine,
    dual,
    loop_is_running,
    plain,
    run_sync,
)
from penstock.base.lazy import LazyModule
from penstock.base.run_context import RunContext, current_run
from penstock.base.version import VERSION
from penstock.filesystems import LocalFileSystem, NullFileSystem, PathMissing, reading, writing
from penstock.result_records import (
    ResultRecord,
    ResultRecordMetadata,
    metadata_at_head,
    metadata_in,
)
from penstock.results.choices import get_default_result_serializer
from penstock.results.keys import DEFAULT_STORAGE_KEY_FN, format_storage_key
from penstock.results.memory import default_cache
from penstock.results.storages import (
    _get_default_result_storage,
    _load_block,
    _resolve_result_storage,
)
from penstock.schemas.errors import ConfigurationError, MissingResult
from penstock.serializers import Serializer, resolve_serializer

if TYPE_CHECKING:
    import asyncio
    import logging

    from penstock.locking.protocol import LockManager
else:
    asyncio = LazyModule("asyncio")
    logging = LazyModule("logging")

_HEAD_BYTES = 4096


class ResultStore:
    """Writes and reads results under keys.

    With a `metadata_storage` a record is two files, the value in the result storage and the
    metadata under the key; without, it is one document. A key is made absolute where the storage
    is local and not saved as a block, so that another process finds it. The storage is resolved
    when it is first needed; a store that keeps nothing costs nothing.
    """

    def __init__(
        self,
        *,
        result_storage: Any = None,
        metadata_storage: Any = None,
        lock_manager: "LockManager | None" = None,
        cache_result_in_memory: bool = True,
        serializer: Serializer | str | None = None,
        storage_key_fn: Callable[[], str] = DEFAULT_STORAGE_KEY_FN,
        cache: Any = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if isinstance(result_storage, Path):
            result_storage = LocalFileSystem(basepath=result_storage)
        if isinstance(metadata_storage, Path):
            metadata_storage = LocalFileSystem(basepath=metadata_storage)
        self.result_storage = result_storage
        self.metadata_storage = metadata_storage
        self.lock_manager = lock_manager
        self.cache_result_in_memory = cache_result_in_memory
        self._serializer = None if serializer is None else resolve_serializer(serializer)
        self.storage_key_fn = storage_key_fn
        self.cache = cache if cache is not None else default_cache()
        self._clock = clock

    @property
    def serializer(self) -> Serializer:
        if self._serializer is None:
            self._serializer = get_default_result_serializer()
        return self._serializer

    @property
    def result_storage_block_id(self) -> UUID | None:
        return getattr(self.result_storage, "_block_document_id", None)

    def model_copy(self, *, update: dict[str, Any] | None = None) -> "ResultStore":
        """A store with some fields changed; the records in memory are shared."""
        new = copy(self)
        for name, value in (update or {}).items():
            setattr(new, "_serializer" if name == "serializer" else name, value)
        return new

    def _update_for_flow(self, flow: Any) -> Steps["ResultStore"]:
        """The store for the runs of `flow`: its storage and serializer over this one's."""
        update: dict[str, Any] = {"metadata_storage": None}
        if flow.result_storage is not None:
            update["result_storage"] = yield from _resolve_result_storage(flow.result_storage)
        if flow.result_serializer is not None:
            update["serializer"] = resolve_serializer(flow.result_serializer)
        if getattr(flow, "cache_result_in_memory", None) is not None:
            update["cache_result_in_memory"] = flow.cache_result_in_memory
        return self.model_copy(update=update)

    def _update_for_task(self, task: Any) -> Steps["ResultStore"]:
        """The store for the runs of `task`: its storage, serializer, key template, and the key
        storage and lock manager of its cache policy over this one's."""
        update: dict[str, Any] = {}
        if task.result_storage is not None:
            update["result_storage"] = yield from _resolve_result_storage(task.result_storage)
        if task.result_serializer is not None:
            update["serializer"] = resolve_serializer(task.result_serializer)
        if task.result_storage_key is not None:
            template = task.result_storage_key
            update["storage_key_fn"] = lambda: format_storage_key(template)
        if getattr(task, "cache_result_in_memory", None) is not None:
            update["cache_result_in_memory"] = task.cache_result_in_memory
        policy = task.cache_policy
        key_storage = getattr(policy, "key_storage", None)
        if key_storage is not None:
            if isinstance(key_storage, str) and not _is_block_name(key_storage):
                key_storage = Path(key_storage)
            update["metadata_storage"] = yield from _resolve_result_storage(key_storage)
        if getattr(policy, "lock_manager", None) is not None:
            update["lock_manager"] = policy.lock_manager
        return self.model_copy(update=update)

    update_for_flow, aupdate_for_flow = dual(_update_for_flow)
    update_for_task, aupdate_for_task = dual(_update_for_task)

    # --- records ---------------------------------------------------------------------------------

    def create_result_record(
        self, obj: Any, key: str | None = None, expiration: datetime | None = None
    ) -> ResultRecord[Any]:
        """A record of `obj` that is not written yet. Does no input or output."""
        key = key or self.storage_key_fn()

        def metadata() -> ResultRecordMetadata:
            return ResultRecordMetadata(
                storage_key=self._storage_key(key),
                expiration=expiration,
                serializer=self.serializer.model_dump(),
                prefect_version=VERSION,
                storage_block_id=self.result_storage_block_id,
            )

        return ResultRecord(obj, make_metadata=metadata, serializer=self._serializer)

    def _find(self, key: str) -> Steps[ResultRecord[Any] | None]:
        """The record under `key`, or None when there is none or it has expired.

        Reads the storage once; the value is decoded only when it is asked for.
        """
        try:
            record = yield from self._load(key)
        except PathMissing:
            return None
        except Exception as error:
            # What a user's storage raises for a key it does not have is its own affair.
            _log().debug("No record %r could be read: %r", key, error)
            return None
        return None if record.is_expired(self._clock.now()) else record

    def _exists(self, key: str) -> Steps[bool]:
        """Whether a record under `key` exists and has not expired. Reads metadata only, where
        the storage allows it, and never decodes the value."""
        try:
            metadata = yield from self._load_metadata(key)
        except PathMissing:
            return False
        except Exception as error:
            _log().debug("No record %r could be read: %r", key, error)
            return False
        return not metadata.is_expired(self._clock.now())

    def _read(self, key: str, holder: str | None = None) -> Steps[ResultRecord[Any]]:
        """The record under `key`, expired or not. Waits while somebody else holds its lock.
        Raises what the storage raises when there is none."""
        if self.lock_manager is not None and not self.is_lock_holder(key, holder):
            manager = self.lock_manager
            yield Call(manager.wait_for_lock, manager.await_for_lock, key)
        return (yield from self._load(key))

    def _persist_result_record(
        self, result_record: ResultRecord[Any], holder: str | None = None
    ) -> Steps[None]:
        """Writes a record. Raises `RuntimeError` when somebody else holds the lock of its key and
        `SerializationError` when its value cannot be written."""
        storage = yield from self._storage()
        metadata = result_record.metadata
        key = metadata.storage_key
        if key is None:
            raise ValueError("the record has no storage key; make it with `create_result_record`")
        if self._locked_by_another(key, holder):
            raise RuntimeError(f"the record {key!r} is locked by another holder; wait for its lock")
        blob = result_record.serialize_result()
        if self._has_metadata_storage():
            # The value first: a key never leads to a value that is not there.
            yield writing(storage, key, blob)
            yield writing(self.metadata_storage, self._base_key(key), metadata.dump_bytes())
        else:
            yield writing(storage, key, result_record.document(blob))
        result_record.persisted = True
        if self.cache_result_in_memory:
            self.cache.put(key, result_record.stored(blob))

    def _write(
        self,
        obj: Any,
        key: str | None = None,
        expiration: datetime | None = None,
        holder: str | None = None,
    ) -> Steps[None]:
        """Makes a record of `obj` and writes it."""
        record = self.create_result_record(obj, key=key, expiration=expiration)
        yield from self._persist_result_record(record, holder)

    find = plain(_find)
    afind = coroutine(_find)
    exists = plain(_exists)
    aexists = coroutine(_exists)
    read = plain(_read)
    aread = coroutine(_read)
    write = plain(_write)
    awrite = coroutine(_write)
    persist_result_record = plain(_persist_result_record)
    apersist_result_record = coroutine(_persist_result_record)

    # --- locks -----------------------------------------------------------------------------------

    @staticmethod
    def generate_default_holder() -> str:
        """A name for the code that runs now: machine, process, thread and coroutine."""
        return f"{os.uname().nodename}:{os.getpid()}:{threading.get_ident()}{_current_task()}"

    def supports_isolation_level(self, level: Any) -> bool:
        """Whether a transaction of that level can be run: SERIALIZABLE needs a lock manager."""
        if level == "READ_COMMITTED":
            return True
        if level == "SERIALIZABLE":
            return self.lock_manager is not None
        raise ValueError(f"there is no isolation level {level!r}; see IsolationLevel")

    def acquire_lock(
        self, key: str, holder: str | None = None, timeout: float | None = None
    ) -> bool:
        """Whether the lock of `key` was taken within `timeout` seconds."""
        return self._locks().acquire_lock(key, holder or self.generate_default_holder(), timeout)

    async def aacquire_lock(
        self, key: str, holder: str | None = None, timeout: float | None = None
    ) -> bool:
        """Whether the lock of `key` was taken within `timeout` seconds."""
        holder = holder or self.generate_default_holder()
        return await self._locks().aacquire_lock(key, holder, timeout)

    def release_lock(self, key: str, holder: str | None = None) -> None:
        self._locks().release_lock(key, holder or self.generate_default_holder())

    def is_locked(self, key: str) -> bool:
        return self._locks().is_locked(key)

    def is_lock_holder(self, key: str, holder: str | None = None) -> bool:
        return self._locks().is_lock_holder(key, holder or self.generate_default_holder())

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return self._locks().wait_for_lock(key, timeout)

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return await self._locks().await_for_lock(key, timeout)

    def _locks(self) -> "LockManager":
        if self.lock_manager is None:
            raise ConfigurationError(
                "the result store has no lock manager; configure the cache policy or the store "
                "with one, for example MemoryLockManager()"
            )
        return self.lock_manager

    def _locked_by_another(self, key: str, holder: str | None) -> bool:
        if self.lock_manager is None:
            return False
        names = {key, self._base_key(key)}
        return any(self.is_locked(name) and not self.is_lock_holder(name, holder) for name in names)

    # --- keys and files --------------------------------------------------------------------------

    def _storage(self) -> Steps[Any]:
        if self.result_storage is None:
            self.result_storage = yield from _get_default_result_storage()
        return self.result_storage

    def _has_metadata_storage(self) -> bool:
        return self.metadata_storage is not None and not isinstance(
            self.metadata_storage, NullFileSystem
        )

    def _storage_key(self, key: str) -> str:
        """The key as it is written into metadata: absolute for local files."""
        if self.result_storage is None:
            run_sync(self._storage())
        resolve = getattr(self.result_storage, "_resolve_path", None)
        if resolve is None or self.result_storage_block_id is not None:
            return key
        return str(resolve(key))

    def _base_key(self, key: str) -> str:
        """The key as the caller gave it, from the key in a record's metadata."""
        resolve = getattr(self.result_storage, "_resolve_path", None)
        if resolve is None or self.result_storage_block_id is not None:
            return key
        base = str(resolve("."))
        return key[len(base) + 1 :] if key.startswith(base + os.sep) else key

    def _cached(self, key: str) -> ResultRecord[Any] | None:
        """The record in memory, with a value of its own: what one run does to its result must
        not be seen by the next."""
        if not self.cache_result_in_memory:
            return None
        record = self.cache.get(self._storage_key(key))
        return None if record is None else record.stored(record.serialize_result())

    def _load(self, key: str) -> Steps[ResultRecord[Any]]:
        storage = yield from self._storage()
        record = self._cached(key)
        if record is not None:
            return record
        if self._has_metadata_storage():
            document = yield reading(self.metadata_storage, self._base_key(key))
            metadata = ResultRecordMetadata.load_bytes(document)
            if metadata.storage_key is None:
                raise MissingResult(f"the metadata under {key!r} names no value; write it again")
            blob = yield reading(storage, metadata.storage_key)
            record = ResultRecord(metadata=metadata, blob=blob, persisted=True)
        else:
            record = ResultRecord.deserialize((yield reading(storage, key)))
        if self.cache_result_in_memory:
            self.cache.put(self._storage_key(key), record.stored(record.serialize_result()))
        return record

    def _load_metadata(self, key: str) -> Steps[ResultRecordMetadata]:
        storage = yield from self._storage()
        record = self._cached(key)
        if record is not None:
            return record.metadata
        if self._has_metadata_storage():
            document = yield reading(self.metadata_storage, self._base_key(key))
            return ResultRecordMetadata.load_bytes(document)
        if isinstance(storage, LocalFileSystem):
            head = yield Blocking(storage.read_prefix, key, _HEAD_BYTES)
            metadata = metadata_at_head(head)
            if metadata is not None:
                return metadata
        return metadata_in((yield reading(storage, key)))


def get_result_store() -> ResultStore:
    """The store of the current run; outside a run, one with the defaults."""
    run = current_run.get()
    store = _store_of(run) if run is not None else None
    return store if store is not None else ResultStore()


def _store_of(run: RunContext) -> ResultStore | None:
    if run.result_store is None and run.flow_context is not None:
        return run.flow_context.result_store
    return run.result_store


def read_from_metadata(metadata: ResultRecordMetadata) -> Steps[ResultRecord[Any]]:
    """The record that a state's metadata leads to, read from the storage it names."""
    if metadata.storage_key is None:
        raise MissingResult("the result was not persisted, so its value cannot be read here")
    if metadata.storage_block_id is None:
        storage: Any = LocalFileSystem()
    else:
        storage = yield from _load_block(metadata.storage_block_id)
    data = yield reading(storage, metadata.storage_key)
    if data.startswith(b'{"metadata":'):
        return ResultRecord.deserialize(data)
    # Written with a metadata storage: the file is the value alone.
    return ResultRecord(metadata=metadata, blob=data, persisted=True)


def _is_block_name(text: str) -> bool:
    """Whether `text` is `type/name` of a block; anything else a key storage is given is a path."""
    parts = text.split("/")
    return len(parts) == 2 and all(parts) and parts[0] not in (".", "..", "~")


def _current_task() -> str:
    from_loop = asyncio.current_task() if loop_is_running() else None
    return "" if from_loop is None else f":{id(from_loop)}"


def _log() -> "logging.Logger":
    return logging.getLogger("penstock.results")
