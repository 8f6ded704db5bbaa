"""One run of a task: its facts so far, and the pure steps between effects."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from penstock.base import json
from penstock.base.clock import utc_now
from penstock.base.run_context import running
from penstock.engine.context import FlowRunContext, TaskRunContext
from penstock.engine.inputs import TASK_RUN, Inputs, resolve
from penstock.engine.outcomes import UNSET, failure, is_plain, keep, store_for_task
from penstock.engine.params import template_name
from penstock.engine.record import TaskRecord
from penstock.engine.retry import delays_of
from penstock.futures import resolve_futures_to_states, result_of
from penstock.result_records import ResultRecord
from penstock.results import ResultStore, get_result_store
from penstock.schemas.states import State, StateType
from penstock.settings import get_current_settings
from penstock.states import crashed_state, value_state, wire_data


class TaskLike(Protocol):
    """What a core uses of a task; `penstock.tasks.Task` is one."""

    name: str
    isasync: bool
    isgenerator: bool
    retries: int
    retry_delay_seconds: Any
    retry_jitter_factor: float | None
    retry_condition_fn: Callable[..., Any] | None
    timeout_seconds: float | None
    task_run_name: Any
    on_completion_hooks: list[Any]
    on_failure_hooks: list[Any]
    on_running_hooks: list[Any]
    on_commit_hooks: list[Any]
    on_rollback_hooks: list[Any]
    cache_policy: Any
    cache_expiration: timedelta | None
    refresh_cache: bool | None
    result_storage_key: str | None
    target: Callable[..., Any]

    @property
    def signature(self) -> Any: ...


class TaskExecution:
    """One run of a task."""

    __slots__ = (
        "_key",
        "_now",
        "chance",
        "context",
        "emit",
        "error",
        "flow_context",
        "inputs",
        "named",
        "parameters",
        "persisting",
        "record",
        "store",
        "task",
        "value",
        "wait_for",
    )

    def __init__(
        self,
        task: TaskLike,
        record: TaskRecord,
        context: TaskRunContext,
        *,
        emit: Callable[[bytes], None],
        wait_for: Any = None,
        chance: Callable[[], float] = random.random,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.task = task
        self.record = record
        self.context = context
        self.flow_context: FlowRunContext | None = context.flow_context
        self.inputs: Inputs = record.inputs
        self.parameters = context.parameters
        self.wait_for = wait_for
        self.emit = emit
        self.chance = chance
        self.persisting: bool = bool(context.persist_result)
        self.store: ResultStore | None = None
        self.value: Any = UNSET
        self.error: BaseException | None = None
        self.named = False
        self._key: str | None = None
        self._now = now

    # --- facts -----------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        assert self.record.state is not None
        return self.record.state

    @property
    def label(self) -> str:
        return f"Task run {self.record.name!r}"

    @property
    def logger(self) -> Any:
        return self.context.logger

    @property
    def target(self) -> Callable[..., Any]:
        return self.task.target

    @property
    def delays(self) -> float | list[float]:
        return delays_of(self.task.retry_delay_seconds, self.task.retries)

    @property
    def transactional(self) -> bool:
        """Whether the run needs a transaction: generators hand their items out at once."""
        return not self.task.isgenerator

    # --- before the call -------------------------------------------------------------------------

    def resolve_parameters(self) -> None:
        """Replace futures, states and annotations in the parameters by values."""
        self.parameters = {name: resolve(value) for name, value in self.parameters.items()}
        self.context.parameters = self.parameters

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return self.task.signature.call_arguments(self.parameters)

    def rename(self, name: Any) -> None:
        """Name the run. Raises `TypeError` for a name that is no text."""
        if not isinstance(name, str):
            raise TypeError(
                f"the function given as task_run_name of {self.task.name!r} returned {name!r}; "
                "it must return text"
            )
        self.record.rename(name)
        self.context.forget_logger()
        self.named = True

    def rename_by(self, template: str) -> None:
        self.rename(template_name(template, self.parameters))

    def transaction_options(self) -> dict[str, Any]:
        """Under what the result is kept. A key that cannot be computed turns persistence off."""
        if not self.persisting:
            return {"write_on_commit": False, "logger": self.logger}
        self.store = self.context.result_store = self._make_store()
        try:
            with running(self.context):
                key = self._compute_key(self.store)
        except Exception:  # the policy and what it hashes are the user's
            self.logger.error(
                "No cache key could be computed for %s; it runs without caching and its result "
                "is not persisted",
                self.label,
                exc_info=True,
            )
            self.persisting = self.context.persist_result = False
            return {"write_on_commit": False, "logger": self.logger}
        # A result without a cache key is kept all the same, under a key nobody has used before.
        self._key = key or uuid4().hex
        options = {
            "key": self._key,
            "store": self.store,
            "overwrite": key is None or self.refreshes,
            "logger": self.logger,
        }
        isolation = getattr(self.task.cache_policy, "isolation_level", None)
        if isolation is not None and key is not None:
            options["isolation_level"] = isolation
        return options

    def _compute_key(self, store: ResultStore) -> str | None:
        if self.task.result_storage_key is not None:
            return store.storage_key_fn()
        policy = self.task.cache_policy
        if policy is None or get_current_settings().tasks.disable_caching:
            return None
        flow = self.flow_context
        return policy.compute_key(
            self.context, self.parameters, flow.parameters if flow is not None else {}
        )

    @property
    def refreshes(self) -> bool:
        """Whether an existing result is ignored."""
        own = self.task.refresh_cache
        return bool(own if own is not None else get_current_settings().tasks.refresh_cache)

    def _make_store(self) -> ResultStore:
        flow = self.flow_context
        base = flow.result_store if flow is not None and flow.result_store else None
        store = base if base is not None else get_result_store()
        return store_for_task(store, self.task)

    # --- outcomes --------------------------------------------------------------------------------

    def plain_completion(self, value: Any) -> State | None:
        """The completed state of plain data that is not kept; None when there is more to it."""
        if self.persisting or not is_plain(value):
            return None
        self.value = value
        if self.flow_context is not None:
            self.flow_context.results.link(value, (TASK_RUN, self.record.id))
        return State(type=StateType.COMPLETED, data=ResultRecord(value))

    def completion(self, value: Any, transaction: Any) -> State:
        """The state a returned value leads to. Waits for futures in it."""
        value = resolve_futures_to_states(value)
        expiration = None
        if self.task.cache_expiration is not None:
            expiration = self._now() + self.task.cache_expiration
        store = self.store
        if store is None:
            store = self._make_store() if self.persisting else ResultStore()
        state = value_state(value, store, self._key, expiration)
        if self.persisting and transaction is None:
            # Items of a generator were handed out already; there is nothing to roll back.
            keep(state, store, self.logger)
        self._take(state)
        return state

    def _take(self, state: State) -> None:
        if state.is_completed() and isinstance(state.data, ResultRecord):
            value = state.data.result
            self.value = UNSET if isinstance(value, State) or not is_plain(value) else value
            if self.flow_context is not None and self.value is not UNSET:
                self.flow_context.results.link(self.value, (TASK_RUN, self.record.id))
        else:
            self.value = UNSET

    def cached(self, record: ResultRecord[Any]) -> State:
        """The state of a run whose result was there already."""
        self.value = record.result
        if self.flow_context is not None:
            self.flow_context.results.link(self.value, (TASK_RUN, self.record.id))
        return State(type=StateType.COMPLETED, name="Cached", data=record)

    def stage(self, transaction: Any, state: State) -> None:
        """Leave the result to the transaction."""
        task = self.task
        transaction.stage(
            state.data,
            on_rollback_hooks=[self.rolled_back, *task.on_rollback_hooks],
            on_commit_hooks=task.on_commit_hooks,
        )

    def rolled_back(self, transaction: Any) -> None:
        """The transaction around this run was undone after the run had completed."""
        if self.state.is_completed():
            state = State(
                type=StateType.COMPLETED,
                name="RolledBack",
                message="Task rolled back as part of transaction",
            )
            _, event = self.record.enter(state, self._now())
            self.emit(event)

    def failed(self, error: Exception) -> State:
        """The failed state of an exception, written to storage where results are kept."""
        self.error = error
        self.value = UNSET
        state = failure(error, "Task run", self.store)
        if self.persisting and self.store is not None:
            keep(state, self.store, self.logger)
        return state

    def crashed(self, error: BaseException) -> State:
        self.error = error
        self.value = UNSET
        return crashed_state(error)

    def enter(self, state: State, at: datetime) -> bytes:
        """Enter `state`; the event that says so."""
        data = state.data
        stored = None
        if data is not None:
            sent = wire_data(data, persisting=self.persisting and state.is_completed())
            stored = json.encode(sent) if sent is not None else None
        _, event = self.record.enter(state, at, stored)
        return event

    def link(self, item: Any) -> None:
        """Remember that a generator of this run made `item`."""
        if self.flow_context is not None:
            self.flow_context.results.link(item, (TASK_RUN, self.record.id))

    def outcome(self) -> Any:
        """What the call gives back. Raises what went wrong."""
        if self.error is not None:
            raise self.error
        if self.value is not UNSET:
            return self.value
        return result_of(self.state)

    # --- log -------------------------------------------------------------------------------------

    def log_finish(self) -> None:
        state = self.state
        if state.is_completed():
            self.logger.info("Finished in state %r", state)
        elif state.is_pending() and state.name != "NotReady":
            self.logger.error(
                "Finished in state %r; wait for futures with `.wait()` or `.result()` before the "
                "flow ends",
                state,
            )
        else:
            self.logger.error("Finished in state %r", state)

    def log_failure(self) -> None:
        error = self.error
        retries = self.task.retries
        tail = "; retries are used up" if retries else ""
        if error is not None:
            self.logger.error(
                "%s failed with an exception%s: %r", self.label, tail, error, exc_info=error
            )
        else:
            self.logger.error("%s failed%s", self.label, tail)

    def log_retry(self, delay: float) -> None:
        when = f"in {delay:g} seconds" if delay else "now"
        self.logger.info(
            "%s failed: %r; retry %s of %s starts %s",
            self.label,
            self.error if self.error is not None else "it returned a failed state",
            self.record.run_count,
            self.task.retries,
            when,
        )
