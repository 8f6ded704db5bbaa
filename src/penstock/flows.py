"""Flows: functions whose every call is a flow run, followed by the server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from penstock.annotations import NotSet
from penstock.base.lazy import LazyModule
from penstock.base.run_context import current_tracker
from penstock.deployable import Deployable
from penstock.engine.declaration import (
    Declared,
    code_hash,
    description_of,
    file_hash,
    own_name,
)
from penstock.engine.hooks import check_hooks
from penstock.engine.params import stored_form
from penstock.schemas.errors import (
    InvalidNameError,
    MissingFlowError,
    ScriptError,
    UnspecifiedFlowError,
)
from penstock.task_runners import TaskRunner, ThreadPoolTaskRunner

if TYPE_CHECKING:
    import pathlib
    from importlib import util

    from penstock import futures, settings
    from penstock.engine import drawing, run
    from penstock.schemas import states
    from penstock.schemas.flow_runs import FlowRun
else:
    # Declaring a flow is to cost little; what runs it is loaded with the first run.
    pathlib = LazyModule("pathlib")
    util = LazyModule("importlib.util")
    futures = LazyModule("penstock.futures")
    drawing = LazyModule("penstock.engine.drawing")
    run = LazyModule("penstock.engine.run")
    settings = LazyModule("penstock.settings")
    states = LazyModule("penstock.schemas.states")

P = ParamSpec("P")
R = TypeVar("R")

BANNED_CHARACTERS = ["/", "%", "&", ">", "<"]
WITHOUT_BANNED_CHARACTERS = "^[^/%&><]+$"


class Flow(Declared, Deployable, Generic[P, R]):
    """A function that runs as a flow.

    A declaration never changes; `with_options` makes another one. Declaring has no effect beside
    making the object.
    """

    kind = "flow"

    def __init__(
        self,
        fn: Any,
        name: str | None = None,
        version: str | None = None,
        flow_run_name: Callable[[], str] | str | None = None,
        retries: int | None = None,
        retry_delay_seconds: float | None = None,
        task_runner: type[TaskRunner[Any]] | TaskRunner[Any] | None = None,
        description: str | None = None,
        timeout_seconds: float | None = None,
        validate_parameters: bool = True,
        persist_result: bool | None = None,
        result_storage: Any = None,
        result_serializer: Any = None,
        cache_result_in_memory: bool = True,
        log_prints: bool | None = None,
        on_completion: list[Any] | None = None,
        on_failure: list[Any] | None = None,
        on_cancellation: list[Any] | None = None,
        on_crashed: list[Any] | None = None,
        on_running: list[Any] | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            key: value for key, value in locals().items() if key not in ("self", "fn", "__class__")
        }
        self._declare(fn, name)
        self.name = _checked_name(name) if name is not None else _default_name(self.fn)
        if version is not None:
            self.version = version
        self.description = description if description is not None else description_of(self.fn)
        _ = self.signature  # reserved names are refused when the flow is declared
        if not (flow_run_name is None or isinstance(flow_run_name, str) or callable(flow_run_name)):
            raise TypeError(
                f"flow_run_name of {self.name!r} is {flow_run_name!r}; give a template or a "
                "function that returns text"
            )
        self.flow_run_name = flow_run_name
        self._take_retries(retries, retry_delay_seconds)
        self.task_runner: TaskRunner[Any] = _task_runner(task_runner)
        self.timeout_seconds = float(timeout_seconds) if timeout_seconds else None
        self.should_validate_parameters = validate_parameters
        if persist_result is None and (result_storage is not None or result_serializer is not None):
            persist_result = True
        self.persist_result = persist_result
        self.result_storage = _checked_storage(self.name, result_storage)
        self.result_serializer = result_serializer
        self.cache_result_in_memory = cache_result_in_memory
        self.log_prints = log_prints
        hooks = check_hooks(
            f"flow {self.name!r}",
            on_completion=on_completion,
            on_failure=on_failure,
            on_cancellation=on_cancellation,
            on_crashed=on_crashed,
            on_running=on_running,
        )
        self.on_completion_hooks = hooks["on_completion"]
        self.on_failure_hooks = hooks["on_failure"]
        self.on_cancellation_hooks = hooks["on_cancellation"]
        self.on_crashed_hooks = hooks["on_crashed"]
        self.on_running_hooks = hooks["on_running"]
        self._storage: Any = None
        self._entrypoint: str | None = None

    def __repr__(self) -> str:
        return f"<Flow {self.name!r}>"

    # --- declaration -----------------------------------------------------------------------------

    @cached_property
    def version(self) -> str | None:
        """The given version, else a digest of the file that defines the function."""
        return file_hash(self.fn)

    @cached_property
    def task_key_suffix(self) -> str:
        """Ends the key of the task runs that stand for runs of this flow in a parent."""
        return code_hash(self.fn)

    def _take_retries(self, retries: int | None, delay: float | None) -> None:
        if retries is None or delay is None:
            defaults = settings.get_current_settings().flows
            retries = defaults.default_retries if retries is None else retries
            delay = defaults.default_retry_delay_seconds if delay is None else delay
        self.retries: int = int(retries or 0)
        self.retry_delay_seconds: float = delay or 0

    def with_options(self, **options: Any) -> Flow[P, R]:
        """The same function as a flow with other options; those left out stay."""
        unknown = options.keys() - self._options.keys()
        if unknown:
            raise TypeError(f"a flow has no options {sorted(unknown)}")
        merged = dict(self._options)
        for name, value in options.items():
            if value is NotSet:
                continue
            if (
                value
                or name in _NONE_IS_A_VALUE
                or (value is not None and name not in _FALSY_KEEPS)
            ):
                merged[name] = value
        for hook in _HOOKS:
            if not options.get(hook):
                merged[hook] = list(getattr(self, f"{hook}_hooks"))
        source = self._descriptor if self._descriptor is not None else self.fn
        new = type(self)(source, **merged)
        if self.target is not self.fn:
            new.target = self.target
            new.__dict__.pop("signature", None)
        new._storage = self._storage
        new._entrypoint = self._entrypoint
        return new

    def on_completion(self, fn: Any) -> Any:
        """Decorator: call `fn(flow, flow_run, state)` when a run completes."""
        return _added(self.on_completion_hooks, fn)

    def on_failure(self, fn: Any) -> Any:
        """Decorator: call `fn(flow, flow_run, state)` when a run fails for good."""
        return _added(self.on_failure_hooks, fn)

    def on_cancellation(self, fn: Any) -> Any:
        """Decorator: call `fn(flow, flow_run, state)` when a run is cancelled."""
        return _added(self.on_cancellation_hooks, fn)

    def on_crashed(self, fn: Any) -> Any:
        """Decorator: call `fn(flow, flow_run, state)` when a run crashes."""
        return _added(self.on_crashed_hooks, fn)

    def on_running(self, fn: Any) -> Any:
        """Decorator: call `fn(flow, flow_run, state)` whenever a run starts running."""
        return _added(self.on_running_hooks, fn)

    # --- parameters ------------------------------------------------------------------------------

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """`parameters` coerced to the annotations. Raises `ParameterTypeError`."""
        return self.signature.check(parameters)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """`parameters` as they are stored with a run."""
        of_run = (futures.PenstockFuture, states.State)
        return stored_form(parameters, lambda value: isinstance(value, of_run))

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
        """Run the flow here, as a subflow when a flow is running.

        Returns what the function returns: the value, a coroutine, a generator; the final state
        with `return_state`. Raises what the function raised, `ParameterBindError` before any run
        is made, `ParameterTypeError` for arguments that do not fit the annotations.
        """
        parameters = self.signature.bind(args, kwargs)
        tracker = current_tracker.get()
        if tracker is not None:
            return tracker.track(self, parameters)
        return run.call_flow(self, parameters, wait_for=wait_for, return_state=return_state)

    # --- drawing ---------------------------------------------------------------------------------

    def generate_mermaid_graph(self, *args: Any, **kwargs: Any) -> str:
        """The flow's tasks as a Mermaid flow chart, without running them; see `visualize`.

        Not for flows of coroutine functions.
        """
        return drawing.mermaid(self._tracked(args, kwargs))

    def visualize(self, *args: Any, **kwargs: Any) -> None:
        """Draw the flow's tasks into `<name>.png` and say where, without running them.

        The function is called with these arguments, tasks give their `viz_return_value`. Raises
        `FlowVisualizationError` for a function that cannot go on with that, and
        `VisualizationUnsupportedError` where tasks are submitted.
        """
        drawing.show(self._tracked(args, kwargs), self.name)

    async def avisualize(self, *args: Any, **kwargs: Any) -> None:
        """`visualize` for flows of any kind."""
        if not self.isasync:
            self.visualize(*args, **kwargs)
            return
        drawing.show(await drawing.atracked(self, self.signature.bind(args, kwargs)), self.name)

    def _tracked(self, args: Any, kwargs: Any) -> Any:
        if self.isasync:
            raise TypeError(f"{self.name!r} is a coroutine function; await `avisualize` instead")
        return drawing.tracked(self, self.signature.bind(args, kwargs))


_HOOKS = ("on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running")
_FALSY_KEEPS = frozenset({"name", "version", "description", "flow_run_name", *_HOOKS})
_NONE_IS_A_VALUE = frozenset(
    {"persist_result", "result_storage", "result_serializer", "log_prints"}
)


def _default_name(fn: Any) -> str:
    name = own_name(fn)
    return "unknown-lambda" if name == "<lambda>" else name.replace("_", "-")


def _checked_name(name: str) -> str:
    banned = [character for character in BANNED_CHARACTERS if character in name]
    if banned or not name:
        raise InvalidNameError(
            f"{name!r} is no name for a flow: it must not be empty or contain any of "
            f"{' '.join(BANNED_CHARACTERS)}"
        )
    return name


def _checked_storage(name: str, storage: Any) -> Any:
    unsaved = getattr(storage, "_block_document_id", "") is None
    if unsaved and hasattr(storage, "save"):
        raise TypeError(
            f"the result storage of flow {name!r} is a block that was never saved; save it first"
        )
    return storage


def _task_runner(given: Any) -> TaskRunner[Any]:
    if given is None:
        return ThreadPoolTaskRunner()
    if isinstance(given, type) and issubclass(given, TaskRunner):
        return given()
    if not isinstance(given, TaskRunner):
        raise TypeError(f"task_runner is {given!r}; give a task runner or its class")
    return given


def _added(hooks: list[Any], fn: Any) -> Any:
    hooks.append(fn)
    return fn


class FlowDecorator:
    """What `flow` is: `@flow` or `@flow(retries=3, ...)`. The options are those of `Flow`."""

    @overload
    def __call__(self, fn: Callable[P, R], /) -> Flow[P, R]: ...

    @overload
    def __call__(
        self, fn: None = None, /, **options: Any
    ) -> Callable[[Callable[P, R]], Flow[P, R]]: ...

    def __call__(self, fn: Any = None, /, **options: Any) -> Any:
        if fn is None:
            return lambda wrapped: Flow(wrapped, **options)
        return Flow(fn, **options)

    def from_source(self, source: Any, entrypoint: str) -> Any:
        """As `Flow.from_source`."""
        return Flow.from_source(source, entrypoint)

    async def afrom_source(self, source: Any, entrypoint: str) -> Any:
        """As `Flow.afrom_source`."""
        return await Flow.afrom_source(source, entrypoint)


flow = FlowDecorator()


# --- loading -------------------------------------------------------------------------------------


def select_flow(
    flows: Iterable[Flow[..., Any]], flow_name: str | None = None, from_message: str | None = None
) -> Flow[..., Any]:
    """The flow named `flow_name`, or the only one.

    Raises `MissingFlowError` when there is none and `UnspecifiedFlowError` when there are several.
    """
    by_name = {flow.name: flow for flow in flows}
    where = f" {from_message}" if from_message else ""
    if not by_name:
        raise MissingFlowError(f"no flow was found{where}; declare one with `@flow`")
    if flow_name is not None:
        if flow_name not in by_name:
            raise MissingFlowError(
                f"no flow named {flow_name!r} was found{where}; there are {sorted(by_name)}"
            )
        return by_name[flow_name]
    if len(by_name) > 1:
        raise UnspecifiedFlowError(
            f"several flows were found{where}: {sorted(by_name)}; say which with its name"
        )
    return next(iter(by_name.values()))


def load_flow_from_entrypoint(entrypoint: str, use_placeholder_flow: bool = True) -> Flow[..., Any]:
    """The flow that `path/to/file.py:name` or `package.module:name` points to.

    `name` may be dotted (`Class.method`). Runs the file. Raises `ScriptError` with what the file
    raised, `MissingFlowError` when there is no flow of that name.
    """
    location, _, attribute = entrypoint.rpartition(":")
    if not location or not attribute:
        raise ValueError(
            f"{entrypoint!r} is no entrypoint; write `path/to/file.py:flow` or `module:flow`"
        )
    module = _load_file(location) if location.endswith(".py") else _load_module(location)
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Flow):
        raise MissingFlowError(
            f"{location} has no flow named {attribute!r}; it is "
            f"{'not there' if found is None else type(found).__name__}"
        )
    found._entrypoint = entrypoint
    return found


def _load_file(location: str) -> Any:
    path = pathlib.Path(location).resolve()
    if not path.is_file():
        raise MissingFlowError(f"there is no file {location}; check the path of the entrypoint")
    name = f"__penstock_flow_{path.stem}_{abs(hash(str(path)))}__"
    spec = util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # code of the user
        sys.modules.pop(name, None)
        raise ScriptError(user_exc=error, path=location) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _load_module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # code of the user
        raise ScriptError(user_exc=error, path=name) from error


def run_flow(
    flow: Flow[P, R],
    flow_run: FlowRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Any = None,
    return_state: bool = False,
) -> Any:
    """Run `flow`; with `flow_run`, carry on that run with its stored parameters."""
    given = parameters if parameters is not None else (flow_run.parameters if flow_run else {})
    bound = flow.signature.accept(given)
    return run.call_flow(
        flow, bound, wait_for=wait_for, return_state=return_state, flow_run=flow_run
    )


# --- serving -------------------------------------------------------------------------------------


def serve(*args: Any, **kwargs: Any) -> None:
    """Serve deployments (`flow.to_deployment(...)`) from here until Ctrl+C or SIGTERM.

    Options: `pause_on_shutdown`, `print_starting_message`, `limit`. Raises `RuntimeError` where an
    event loop runs: await `aserve` there.
    """
    import_module("penstock.runner.serving").serve(*args, **kwargs)


async def aserve(*args: Any, **kwargs: Any) -> None:
    """As `serve`, for an event loop that runs already."""
    await import_module("penstock.runner.serving").aserve(*args, **kwargs)
