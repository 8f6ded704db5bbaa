"""Groups of work that are kept together or undone together.

A transaction collects hooks and, under a key, a result. When it ends well it commits: first its
children in order, then its own commit hooks, then its result is written. When it ends badly it
rolls back: its own rollback hooks in reverse order, then its children in reverse order, and the
transaction around it rolls back too. `transaction` is for plain code, `atransaction` for
coroutines; both run the same bodies.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar, Token
from copy import deepcopy
from enum import StrEnum
from functools import partial
from typing import Any, NoReturn, Self

from penstock.annotations import NotSet
from penstock.base.dual import Call, Invoke, Steps, run_aio, run_sync
from penstock.filesystems import NullFileSystem
from penstock.result_records import ResultRecord
from penstock.results import ResultStore, get_result_store
from penstock.schemas.errors import ConfigurationError, SerializationError

Hook = Callable[[Any], Any]
Logger = logging.Logger | logging.LoggerAdapter[Any]

_current: ContextVar["BaseTransaction | None"] = ContextVar("penstock_transaction", default=None)


class IsolationLevel(StrEnum):
    READ_COMMITTED = "READ_COMMITTED"
    SERIALIZABLE = "SERIALIZABLE"


class CommitMode(StrEnum):
    EAGER = "EAGER"
    """Commits at its own end."""
    LAZY = "LAZY"
    """Commits when the outermost transaction commits."""
    OFF = "OFF"
    """Never commits: rolls back at its end."""


class TransactionState(StrEnum):
    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    STAGED = "STAGED"
    COMMITTED = "COMMITTED"
    ROLLED_BACK = "ROLLED_BACK"


class BaseTransaction:
    """What both colours share: the values, the hooks, and the bodies that end a transaction.

    With a key whose record exists already (and is not to be overwritten) a transaction is
    committed from the start and `read` gives that record. SERIALIZABLE holds the lock of the key
    from the start to the commit or rollback and needs a lock manager.
    """

    def __init__(
        self,
        *,
        store: ResultStore | None = None,
        key: str | None = None,
        children: list[Any] | None = None,
        commit_mode: CommitMode | None = None,
        isolation_level: IsolationLevel | str | None = None,
        state: TransactionState = TransactionState.PENDING,
        on_commit_hooks: list[Hook] | None = None,
        on_rollback_hooks: list[Hook] | None = None,
        overwrite: bool = False,
        logger: Logger | None = None,
        write_on_commit: bool = True,
    ) -> None:
        self.store = store
        self.key = key
        self.children: list[Any] = list(children or ())
        self.commit_mode = commit_mode
        self.isolation_level = IsolationLevel(isolation_level) if isolation_level else None
        self.state = state
        self.on_commit_hooks: list[Hook] = list(on_commit_hooks or ())
        self.on_rollback_hooks: list[Hook] = list(on_rollback_hooks or ())
        self.overwrite = overwrite
        self.logger: Logger = logger or logging.getLogger("penstock.transactions")
        self.write_on_commit = write_on_commit
        self._values: dict[str, Any] = {}
        self._staged_value: Any = None
        self._found: ResultRecord[Any] | None = None
        self._parent: Any = None
        self._holder: str | None = None
        self._token: Token[BaseTransaction | None] | None = None

    # --- values ----------------------------------------------------------------------------------

    def set(self, name: str, value: Any) -> None:
        """Keeps `value` under `name` for this transaction and those inside it."""
        self._values[name] = value

    def get(self, name: str, default: Any = NotSet) -> Any:
        """A copy of the value kept under `name` here or in a transaction around this one.

        Raises `ValueError` when there is none and no default.
        """
        if name in self._values:
            return deepcopy(self._values[name])
        if self._parent is not None:
            return self._parent.get(name, default)
        if default is NotSet:
            raise ValueError(
                f"the transaction has no value {name!r}; set it first or give a default"
            )
        return default

    # --- state -----------------------------------------------------------------------------------

    def is_pending(self) -> bool:
        return self.state == TransactionState.PENDING

    def is_active(self) -> bool:
        return self.state == TransactionState.ACTIVE

    def is_staged(self) -> bool:
        return self.state == TransactionState.STAGED

    def is_committed(self) -> bool:
        return self.state == TransactionState.COMMITTED

    def is_rolled_back(self) -> bool:
        return self.state == TransactionState.ROLLED_BACK

    @classmethod
    def get_active(cls) -> Any:
        """The innermost transaction that is open here, or None."""
        return _current.get()

    def get_parent(self) -> Any:
        """The transaction around this one, or None."""
        return self._parent

    def add_child(self, transaction: Any) -> None:
        """Makes this transaction answer for `transaction`."""
        self.children.append(transaction)

    def stage(
        self,
        value: Any,
        on_rollback_hooks: list[Hook] | None = None,
        on_commit_hooks: list[Hook] | None = None,
    ) -> None:
        """Gives the value (or record) to write at the commit, and adds hooks.

        Does nothing in a transaction that is committed already.
        """
        self.on_commit_hooks += on_commit_hooks or []
        self.on_rollback_hooks += on_rollback_hooks or []
        if self.state != TransactionState.COMMITTED:
            self._staged_value = value
            self.state = TransactionState.STAGED

    def prepare_transaction(self) -> None:
        """Fills in what was not given from the transaction around this one, and checks it.

        Raises `ConfigurationError` when the isolation level cannot be had.
        """
        parent = self._parent
        if self.commit_mode is None:
            self.commit_mode = parent.commit_mode if parent is not None else CommitMode.LAZY
        if self.isolation_level is None:
            inherited = parent.isolation_level if parent is not None else None
            self.isolation_level = inherited or IsolationLevel.READ_COMMITTED
        if self.key is not None and self.store is None:
            self.store = get_result_store()
        if self._locks() and (
            self.store is None or not self.store.supports_isolation_level(self.isolation_level)
        ):
            raise ConfigurationError(
                f"the isolation level {self.isolation_level} needs a lock manager; configure the "
                "cache policy or the result store with one"
            )

    # --- bodies ----------------------------------------------------------------------------------

    def _locks(self) -> bool:
        return self.key is not None and self.isolation_level == IsolationLevel.SERIALIZABLE

    def _enter(self) -> Steps[None]:
        if self._token is not None or not self.is_pending():
            raise RuntimeError("a transaction is entered once; make a new one")
        self._parent = _current.get()
        self.prepare_transaction()
        yield from self._begin()
        if self.is_pending():
            self.state = TransactionState.ACTIVE
        self._token = _current.set(self)

    def _begin(self) -> Steps[None]:
        store, key = self.store, self.key
        if store is None or key is None:
            return
        if self._locks():
            self._holder = store.generate_default_holder()
            yield Call(store.acquire_lock, store.aacquire_lock, key, self._holder)
        if self.overwrite:
            return
        try:
            self._found = yield Call(store.find, store.afind, key)
        except BaseException:
            self._release()
            raise
        if self._found is not None:
            self.state = TransactionState.COMMITTED
            # There is nothing left to protect; those who wait for the key may read it.
            self._release()

    def _exit(self, error: BaseException | None) -> Steps[None]:
        try:
            if error is not None or self.commit_mode == CommitMode.OFF:
                yield from self._roll_back()
            elif self.commit_mode == CommitMode.EAGER or self._stands_alone():
                yield from self._commit()
        finally:
            yield from self._reset()

    def _stands_alone(self) -> bool:
        # A transaction that outlives the one around it (work on a thread) ends by itself.
        return self._parent is None or self._parent.is_committed()

    def _reset(self) -> Steps[None]:
        if self._token is not None:
            # A generator may be closed in another context, where there is nothing to restore.
            with suppress(ValueError):
                _current.reset(self._token)
            self._token = None
        parent = self._parent
        if parent is None:
            return
        parent.add_child(self)
        if self.is_rolled_back():
            yield from parent._roll_back()
        elif parent.is_rolled_back():
            # Nobody will come back to a child that ends after its parent was undone.
            yield from self._roll_back()

    def _commit(self) -> Steps[bool]:
        """Children, own hooks, own result. A child that rolls back instead takes this one and
        what is not yet committed along. True when all of it is committed."""
        if self.state in (TransactionState.COMMITTED, TransactionState.ROLLED_BACK):
            self._release()
            return False
        try:
            for child in self.children:
                yield from child._commit()
                if child.is_rolled_back():
                    yield from self._roll_back()
                    return False
            for hook in self.on_commit_hooks:
                yield from self._run_hook(hook, "commit")
            yield from self._write()
        except SerializationError as error:
            self.logger.warning("%s The transaction is rolled back; the run goes on.", error)
            yield from self._roll_back()
            return False
        except Exception:
            # A hook or storage is the user's code: what it raises undoes the transaction only.
            self.logger.exception("An error was raised while committing; rolling back.")
            yield from self._roll_back()
            return False
        self.state = TransactionState.COMMITTED
        self._release()
        return True

    def _write(self) -> Steps[None]:
        store, key, value = self.store, self.key, self._staged_value
        if store is None or key is None or not self.write_on_commit or not self.is_staged():
            return
        record = value
        if not isinstance(value, ResultRecord):
            record = store.create_result_record(value, key)
        yield Call(store.persist_result_record, store.apersist_result_record, record, self._holder)

    def _roll_back(self) -> Steps[bool]:
        """Own hooks last to first, then children last to first. True when all of it was undone;
        a hook that raises ends the undoing."""
        if self.state in (TransactionState.COMMITTED, TransactionState.ROLLED_BACK):
            return False
        try:
            for hook in reversed(self.on_rollback_hooks):
                yield from self._run_hook(hook, "rollback")
            self.state = TransactionState.ROLLED_BACK
            for child in reversed(self.children):
                yield from child._roll_back()
        except Exception:
            self.logger.exception("An error was raised while rolling back; stopped there.")
            return False
        finally:
            # The state is final even after a hook that raised: nothing may commit any more.
            self.state = TransactionState.ROLLED_BACK
            self._release()
        return True

    def _run_hook(self, hook: Hook, hook_type: str) -> Steps[None]:
        name = _hook_name(hook)
        self.logger.info("Running %s hook %r", hook_type, name)
        yield Invoke(hook, self)
        self.logger.info("%s hook %r finished running successfully", hook_type.capitalize(), name)

    def _read(self) -> Steps[ResultRecord[Any] | None]:
        if self._found is not None:
            return self._found
        store = self.store
        if store is None or self.key is None:
            return None
        return (yield Call(store.find, store.afind, self.key))

    def _release(self) -> None:
        if self._holder is None or self.store is None or self.key is None:
            return
        if self.store.is_lock_holder(self.key, self._holder):
            self.store.release_lock(self.key, self._holder)
        self._holder = None


class Transaction(BaseTransaction):
    """A transaction of plain code. Coroutine hooks are run to their end."""

    def __enter__(self) -> Self:
        run_sync(self._enter())
        return self

    def __exit__(self, *exc_info: object) -> None:
        run_sync(self._exit(_raised(exc_info)))

    def begin(self) -> None:
        """Takes the lock, where there is one, and looks for the key's record."""
        run_sync(self._begin())

    def read(self) -> ResultRecord[Any] | None:
        """The record under the key, or None."""
        return run_sync(self._read())

    def reset(self) -> None:
        """Ends being the current transaction and hands over to the one around it."""
        run_sync(self._reset())

    def commit(self) -> bool:
        """Commits now. False when it is committed or rolled back already, or had to roll back."""
        return run_sync(self._commit())

    def rollback(self) -> bool:
        """Rolls back now. False when it is committed or rolled back already, or a hook raised."""
        return run_sync(self._roll_back())

    def run_hook(self, hook: Hook, hook_type: str) -> None:
        """Calls one hook with this transaction and logs its start and end."""
        run_sync(self._run_hook(hook, hook_type))


class AsyncTransaction(BaseTransaction):
    """A transaction of coroutines; its hooks may be plain or coroutine functions."""

    def __enter__(self) -> NoReturn:
        raise NotImplementedError("an AsyncTransaction is entered with `async with`")

    def __exit__(self, *exc_info: object) -> NoReturn:
        raise NotImplementedError("an AsyncTransaction is left with `async with`")

    async def __aenter__(self) -> Self:
        await run_aio(self._enter())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await run_aio(self._exit(_raised(exc_info)))

    async def begin(self) -> None:
        """Takes the lock, where there is one, and looks for the key's record."""
        await run_aio(self._begin())

    async def read(self) -> ResultRecord[Any] | None:
        """The record under the key, or None."""
        return await run_aio(self._read())

    async def reset(self) -> None:
        """Ends being the current transaction and hands over to the one around it."""
        await run_aio(self._reset())

    async def commit(self) -> bool:
        """Commits now. False when it is committed or rolled back already, or had to roll back."""
        return await run_aio(self._commit())

    async def rollback(self) -> bool:
        """Rolls back now. False when it is committed or rolled back already, or a hook raised."""
        return await run_aio(self._roll_back())

    async def run_hook(self, hook: Hook, hook_type: str) -> None:
        """Calls one hook with this transaction and logs its start and end."""
        await run_aio(self._run_hook(hook, hook_type))


def get_transaction() -> BaseTransaction | None:
    """The innermost transaction that is open here, or None."""
    return _current.get()


@contextmanager
def transaction(
    key: str | None = None,
    store: ResultStore | None = None,
    commit_mode: CommitMode | None = None,
    isolation_level: IsolationLevel | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Logger | None = None,
) -> Iterator[Transaction]:
    """Opens a transaction for the body of a `with`.

    `commit_mode` is by default that of the transaction around it, LAZY at the top. Without a
    store, the key's record is kept in the current run's.
    """
    with Transaction(
        key=key,
        store=_keyed_store(key, store),
        commit_mode=commit_mode,
        isolation_level=isolation_level,
        overwrite=overwrite,
        write_on_commit=write_on_commit,
        logger=logger,
    ) as opened:
        yield opened


@asynccontextmanager
async def atransaction(
    key: str | None = None,
    store: ResultStore | None = None,
    commit_mode: CommitMode | None = None,
    isolation_level: IsolationLevel | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Logger | None = None,
) -> AsyncIterator[AsyncTransaction]:
    """Opens a transaction for the body of an `async with` (see `transaction`)."""
    async with AsyncTransaction(
        key=key,
        store=_keyed_store(key, store),
        commit_mode=commit_mode,
        isolation_level=isolation_level,
        overwrite=overwrite,
        write_on_commit=write_on_commit,
        logger=logger,
    ) as opened:
        yield opened


def _keyed_store(key: str | None, store: ResultStore | None) -> ResultStore | None:
    if key is not None and store is None:
        store = get_result_store()
    if store is not None and isinstance(store.metadata_storage, NullFileSystem):
        return store.model_copy(update={"metadata_storage": None})
    return store


def _hook_name(hook: Hook) -> str:
    if isinstance(hook, partial):
        hook = hook.func
    return getattr(hook, "__name__", type(hook).__name__)


def _raised(exc_info: tuple[object, ...]) -> BaseException | None:
    error = exc_info[1]
    return error if isinstance(error, BaseException) else None
