"""Tasks: functions whose every call is a run of its own, retried, cached and recorded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from penstock.annotations import NotSet
from penstock.base.lazy import LazyModule
from penstock.base.run_context import current_run, current_tracker
from penstock.engine.declaration import Declared, code_hash, description_of, own_name
from penstock.engine.hooks import check_hooks
from penstock.engine.retry import delays_of, exponential_backoff

if TYPE_CHECKING:
    from datetime import timedelta

    from penstock import cache_policies, hashing, settings, task_worker
    from penstock.cache_policies import DEFAULT, NO_CACHE, CachePolicy
    from penstock.engine import deferral, drawing, mapping, record, run
    from penstock.futures import PenstockDistributedFuture, PenstockFuture, PenstockFutureList
    from penstock.schemas import task_runs
else:
    # Declaring a task is to cost little; what runs it is loaded with the first run.
    cache_policies = LazyModule("penstock.cache_policies")
    deferral = LazyModule("penstock.engine.deferral")
    drawing = LazyModule("penstock.engine.drawing")
    hashing = LazyModule("penstock.hashing")
    mapping = LazyModule("penstock.engine.mapping")
    record = LazyModule("penstock.engine.record")
    run = LazyModule("penstock.engine.run")
    settings = LazyModule("penstock.settings")
    task_runs = LazyModule("penstock.schemas.task_runs")
    task_worker = LazyModule("penstock.task_worker")

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["DEFAULT", "NO_CACHE", "Task", "exponential_backoff", "task", "task_input_hash"]


def __getattr__(name: str) -> Any:
    if name in ("DEFAULT", "NO_CACHE"):
        return getattr(cache_policies, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def task_input_hash(context: Any, arguments: dict[str, Any]) -> str | None:
    """A cache key from the task and its arguments; None when they cannot be hashed."""
    task: Task[..., Any] = context.task
    return hashing.hash_objects(task.task_key, code_hash(task.fn), arguments)


class Task(Declared, Generic[P, R]):
    """A function that runs as a task.

    Calling it runs it here; `submit` and `map` give futures of runs in the task runner of the
    flow around. A declaration never changes; `with_options` makes another one.
    """

    kind = "task"

    def __init__(
        self,
        fn: Any,
        name: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        cache_policy: Any = NotSet,
        cache_key_fn: Callable[[Any, dict[str, Any]], str | None] | None = None,
        cache_expiration: timedelta | None = None,
        task_run_name: Any = None,
        retries: int | None = None,
        retry_delay_seconds: Any = None,
        retry_jitter_factor: float | None = None,
        persist_result: bool | None = None,
        result_storage: Any = None,
        result_serializer: Any = None,
        result_storage_key: str | None = None,
        cache_result_in_memory: bool = True,
        timeout_seconds: float | None = None,
        log_prints: bool | None = False,
        refresh_cache: bool | None = None,
        on_completion: list[Any] | None = None,
        on_failure: list[Any] | None = None,
        on_running: list[Any] | None = None,
        on_rollback: list[Any] | None = None,
        on_commit: list[Any] | None = None,
        retry_condition_fn: Callable[..., Any] | None = None,
        viz_return_value: Any = None,
        asset_deps: list[Any] | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            key: value for key, value in locals().items() if key not in ("self", "fn", "__class__")
        }
        self._declare(fn, name)
        self.name = name if name is not None else own_name(self.fn)
        self.description = description if description is not None else description_of(self.fn)
        self.tags = _tags(tags)
        self.version = version
        qualified = getattr(self.fn, "__qualname__", None) or type(self.fn).__qualname__
        self.task_key = f"{qualified.rpartition('.')[2]}-{code_hash(self.fn)}"
        _ = self.signature  # reserved names are refused when the task is declared
        self._take_name(task_run_name)
        self._take_retries(retries, retry_delay_seconds, retry_jitter_factor, retry_condition_fn)
        self._take_caching(
            cache_policy,
            cache_key_fn,
            persist_result,
            result_storage_key,
            result_storage,
            result_serializer,
        )
        self.cache_key_fn = cache_key_fn
        self.cache_expiration = cache_expiration
        self.refresh_cache = refresh_cache
        self.result_storage = result_storage
        self.result_serializer = result_serializer
        self.result_storage_key = result_storage_key
        self.cache_result_in_memory = cache_result_in_memory
        self.timeout_seconds = float(timeout_seconds) if timeout_seconds else None
        self.log_prints = log_prints
        self.viz_return_value = viz_return_value
        self.asset_deps = list(asset_deps or [])
        hooks = check_hooks(
            f"task {self.name!r}",
            on_completion=on_completion,
            on_failure=on_failure,
            on_running=on_running,
            on_rollback=on_rollback,
            on_commit=on_commit,
        )
        self.on_completion_hooks = hooks["on_completion"]
        self.on_failure_hooks = hooks["on_failure"]
        self.on_running_hooks = hooks["on_running"]
        self.on_rollback_hooks = hooks["on_rollback"]
        self.on_commit_hooks = hooks["on_commit"]
        self._shapes: dict[frozenset[str], record.TaskShape] = {}

    def __repr__(self) -> str:
        return f"<Task {self.name!r}>"

    # --- declaration -----------------------------------------------------------------------------

    def _take_name(self, task_run_name: Any) -> None:
        if not (task_run_name is None or isinstance(task_run_name, str) or callable(task_run_name)):
            raise TypeError(
                f"task_run_name of {self.name!r} is {task_run_name!r}; give a template or a "
                "function that returns text"
            )
        self.task_run_name = task_run_name

    def _take_retries(
        self,
        retries: int | None,
        delays: Any,
        jitter: float | None,
        condition: Callable[..., Any] | None,
    ) -> None:
        if retries is None or delays is None:
            defaults = settings.get_current_settings().tasks
            retries = defaults.default_retries if retries is None else retries
            delays = defaults.default_retry_delay_seconds if delays is None else delays
        self.retries: int = int(retries or 0)
        self.retry_delay_seconds = delays_of(delays, self.retries)
        if jitter is not None and jitter < 0:
            raise ValueError(f"retry_jitter_factor is {jitter}; give zero or a positive number")
        if condition is not None and not callable(condition):
            raise TypeError(f"retry_condition_fn is {condition!r}, which cannot be called")
        self.retry_jitter_factor = jitter
        self.retry_condition_fn = condition

    def _take_caching(
        self,
        policy: Any,
        key_fn: Any,
        persist: bool | None,
        storage_key: str | None,
        storage: Any,
        serializer: Any,
    ) -> None:
        unspecified = policy is NotSet or policy is None
        given = not unspecified and not isinstance(policy, cache_policies._None)
        if persist is None and (given or key_fn or storage_key or storage or serializer):
            persist = True
        self.persist_result = persist
        if persist is False:
            if given:
                warnings.warn(
                    f"task {self.name!r} has a cache policy and persist_result=False; without "
                    "persistence nothing is cached",
                    stacklevel=4,
                )
            self.cache_policy: CachePolicy | None = cache_policies.NO_CACHE
        elif key_fn is not None:
            if given:
                warnings.warn(
                    f"task {self.name!r} has both cache_policy and cache_key_fn; the policy is "
                    "not used",
                    stacklevel=4,
                )
            self.cache_policy = cache_policies.CachePolicy.from_cache_key_fn(key_fn)
        elif storage_key is not None:
            self.cache_policy = None
        elif policy is NotSet:
            off = settings.get_current_settings().tasks.default_no_cache
            self.cache_policy = cache_policies.NO_CACHE if off else cache_policies.DEFAULT
        else:
            chosen = cache_policies.NO_CACHE if policy is None else policy
            self.cache_policy = cast("CachePolicy", chosen)

    def with_options(self, **options: Any) -> Task[P, R]:
        """The same function as a task with other options; those left out stay."""
        unknown = options.keys() - self._options.keys()
        if unknown:
            raise TypeError(f"a task has no options {sorted(unknown)}")
        merged = dict(self._options)
        for name, value in options.items():
            if value is NotSet or (value is None and name not in _NONE_IS_A_VALUE):
                continue
            merged[name] = value
        if options.get("cache_key_fn") is not None and "cache_policy" not in options:
            merged["cache_policy"] = NotSet
        for hook in ("on_completion", "on_failure", "on_running", "on_rollback", "on_commit"):
            if options.get(hook) is None:
                merged[hook] = list(getattr(self, f"{hook}_hooks"))
        source = self._descriptor if self._descriptor is not None else self.fn
        new = type(self)(source, **merged)
        if self.target is not self.fn:
            new.target = self.target
            new.__dict__.pop("signature", None)
        return new

    def on_completion(self, fn: Any) -> Any:
        """Decorator: call `fn(task, task_run, state)` when a run completes."""
        return _added(self.on_completion_hooks, fn)

    def on_failure(self, fn: Any) -> Any:
        """Decorator: call `fn(task, task_run, state)` when a run fails for good."""
        return _added(self.on_failure_hooks, fn)

    def on_running(self, fn: Any) -> Any:
        """Decorator: call `fn(task, task_run, state)` whenever a run starts running."""
        return _added(self.on_running_hooks, fn)

    def on_commit(self, fn: Any) -> Any:
        """Decorator: call `fn(transaction)` when the run's transaction commits."""
        return _added(self.on_commit_hooks, fn)

    def on_rollback(self, fn: Any) -> Any:
        """Decorator: call `fn(transaction)` when the run's transaction is rolled back."""
        return _added(self.on_rollback_hooks, fn)

    def shape(self, extra_tags: frozenset[str]) -> record.TaskShape:
        """What runs of this task with these additional tags have in common."""
        shape = self._shapes.get(extra_tags)
        if shape is None:
            delays = self.retry_delay_seconds
            policy = task_runs.TaskRunPolicy(
                retries=self.retries,
                retry_delay=delays,
                retry_jitter_factor=self.retry_jitter_factor,
            )
            shape = record.TaskShape(self.task_key, self.version, policy, self.tags | extra_tags)
            self._shapes[extra_tags] = shape
        return shape

    # --- running ---------------------------------------------------------------------------------

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def __call__(
        self, *args: Any, return_state: bool, wait_for: Any = None, **kwargs: Any
    ) -> Any: ...

    def __call__(
        self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any
    ) -> Any:
        """Run the task here.

        Returns what the function returns: the value, a coroutine, a generator; the final state
        with `return_state`. Raises what the function raised, `UpstreamTaskError` when something
        it depends on did not complete, `ParameterBindError` for arguments that do not fit.
        """
        parameters = self.signature.bind(args, kwargs)
        tracker = current_tracker.get()
        if tracker is not None:
            return tracker.track(self, parameters)
        return run.call_task(self, parameters, wait_for=wait_for, return_state=return_state)

    def submit(
        self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any
    ) -> Any:
        """Start a run in the task runner of the flow around and return its future.

        With `return_state` waits and returns the final state. Raises `RuntimeError` outside of
        flows.
        """
        if current_tracker.get() is not None:
            drawing.refuse("submit")
        runner = self._task_runner("submit")
        parameters = self.signature.bind(args, kwargs)
        future: PenstockFuture[R] = runner.submit(self, parameters, wait_for=wait_for)
        if return_state:
            future.wait()
            return future.state
        return future

    def map(
        self,
        *args: Any,
        return_state: bool = False,
        wait_for: Any = None,
        deferred: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Start one run per element of the iterable arguments and return the list of futures.

        With `deferred` the runs are left to task workers, which is possible outside of flows.
        Raises `MappingMissingIterable`, `MappingLengthMismatch`, and `RuntimeError` outside of
        flows.
        """
        drawing.refuse("map")
        # Defaults are filled in per run: an iterable default is one value, not elements.
        parameters = self.signature.bind(args, kwargs, defaults=False)
        if deferred:
            elements = list(mapping.elements(self.signature, parameters))
            deferrals = deferral.defer_each(self, elements, wait_for)
            if return_state:
                return [future.state for future in deferrals]
            return deferrals
        runner = self._task_runner("map")
        futures: PenstockFutureList[Any] = runner.map(self, parameters, wait_for=wait_for)
        if return_state:
            futures.wait()
            return [future.state for future in futures]
        return futures

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> PenstockDistributedFuture[R]:
        """Leave a run to a task worker (see `serve`) and return its future at once.

        The arguments are pickled into storage that the worker must reach too.
        """
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        wait_for: Any = None,
        dependencies: dict[str, Any] | None = None,
    ) -> PenstockDistributedFuture[R]:
        """`delay` with `wait_for`: the run starts when those futures are done.

        Raises `ParameterBindError` for arguments that do not fit.
        """
        drawing.refuse("apply_async")
        parameters = self.signature.bind(args or (), kwargs or {})
        return deferral.defer(self, parameters, wait_for, dependencies)

    def serve(self) -> None:
        """Run what `delay` left on the server, until SIGTERM or Ctrl-C."""
        task_worker.serve(self)

    async def aserve(self) -> None:
        """`serve` for coroutines."""
        await task_worker.aserve(self)

    def _task_runner(self, method: str) -> Any:
        context = current_run.get()
        flow: Any = context.flow_context if context is not None else None
        if flow is None or flow.task_runner is None:
            raise RuntimeError(
                f"task {self.name!r} can be used with `.{method}` only inside a flow; call it "
                "directly, or use `.delay` to run it in the background"
            )
        return flow.task_runner


_NONE_IS_A_VALUE = frozenset(
    {
        "log_prints",
        "persist_result",
        "refresh_cache",
        "result_serializer",
        "result_storage",
        "result_storage_key",
        "retry_jitter_factor",
        "task_run_name",
    }
)


def _tags(tags: Iterable[str] | None) -> set[str]:
    if isinstance(tags, str):
        raise TypeError(f"tags are a collection of text, not the text {tags!r}; give [{tags!r}]")
    return set(tags or ())


def _added(hooks: list[Any], fn: Any) -> Any:
    hooks.append(fn)
    return fn


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(fn: None = None, /, **options: Any) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(fn: Any = None, /, *, log_prints: bool | None = None, **options: Any) -> Any:
    """Declare a function to be a task: `@task` or `@task(retries=3, ...)`.

    The options are those of `Task`.
    """
    if fn is None:
        return lambda wrapped: Task(wrapped, log_prints=log_prints, **options)
    return Task(fn, log_prints=log_prints, **options)
