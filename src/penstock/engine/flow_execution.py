"""One run of a flow: its facts so far, and the steps between effects."""

import math
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from msgspec import UNSET as ABSENT
from msgspec.structs import replace

from penstock.base.clock import utc_now
from penstock.base.ids import uuid7
from penstock.base.lazy import LazyModule
from penstock.engine import signals
from penstock.engine.context import FlowRunContext, TaskRunContext
from penstock.engine.heartbeat import heartbeats
from penstock.engine.inputs import FLOW_RUN, TASK_RUN, Inputs, find_inputs, resolve
from penstock.engine.outcomes import (
    UNSET,
    failure,
    is_plain,
    keep,
    returned_futures,
    store_for_flow,
)
from penstock.engine.params import stored_form, template_name
from penstock.engine.text import readable
from penstock.futures import PenstockFuture, resolve_futures_to_states, result_of
from penstock.logging import flow_run_logger
from penstock.result_records import ResultRecord
from penstock.results import ResultStore, get_default_persist_setting, get_result_store
from penstock.schemas.filters import FlowRunFilter, OptionalIdFilter
from penstock.schemas.flow_runs import (
    FlowRun,
    FlowRunBegin,
    FlowRunCreate,
    FlowRunPolicy,
    FlowRunsFilterPage,
    FlowRunSort,
    FlowRunUpdate,
)
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import State, StateCreate, StateType
from penstock.schemas.task_runs import FlowRunResult, TaskRun, TaskRunCreate, TaskRunResult
from penstock.settings import get_current_settings
from penstock.states import crashed_state, state_to_wire, value_state

if TYPE_CHECKING:
    from penstock.client import leases
else:
    # Only runs of a deployment with a limit hold a slot.
    leases = LazyModule("penstock.client.leases")

_NO_FLOW = UUID(int=0)
SLOT_SECONDS = 300.0
"""For how long a lease on a deployment's slot is renewed each time."""
FIRST_BEAT_OF_CLAIMED = 5.0
"""Seconds after which a run that a worker looks after sends its first heartbeat."""


class FlowLike(Protocol):
    """What a core uses of a flow; `penstock.flows.Flow` is one."""

    name: str
    isasync: bool
    isgenerator: bool
    retries: int
    retry_delay_seconds: float
    timeout_seconds: float | None
    should_validate_parameters: bool
    flow_run_name: Any
    task_runner: Any
    persist_result: bool | None
    log_prints: bool | None
    on_completion_hooks: list[Any]
    on_failure_hooks: list[Any]
    on_cancellation_hooks: list[Any]
    on_crashed_hooks: list[Any]
    on_running_hooks: list[Any]
    target: Callable[..., Any]

    @property
    def signature(self) -> Any: ...

    @property
    def version(self) -> Any: ...

    @property
    def task_key_suffix(self) -> Any: ...


class FlowExecution:
    """One run of a flow."""

    def __init__(
        self,
        flow: FlowLike,
        parameters: dict[str, Any],
        *,
        emit: Callable[[bytes], None],
        client: Any = None,
        parent: FlowRunContext | None = None,
        within: TaskRunContext | None = None,
        wait_for: Any = None,
        tags: frozenset[str] = frozenset(),
        flow_run: FlowRun | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.flow = flow
        self.parameters = parameters
        self.emit = emit
        self.client = client
        self.parent = parent
        self.within = within
        self.wait_for = wait_for
        self.tags = tags
        self.flow_run = flow_run
        self.now = now
        self.context: FlowRunContext | None = None
        self.inputs = Inputs()
        self.parent_task_run: TaskRun | None = None
        self.finished_before = False
        self.checked = False
        self.invalid: Exception | None = None
        self.named = False
        self.name: str | None = None
        self.value: Any = UNSET
        self.error: BaseException | None = None
        self.state = State(type=StateType.PENDING)
        self.in_task_runner = False
        self._stack = ExitStack()
        self._alive = False
        self._subject = "Flow run"

    # --- facts -----------------------------------------------------------------------------------

    @property
    def flow_run_id(self) -> UUID:
        assert self.flow_run is not None
        return self.flow_run.id

    @property
    def label(self) -> str:
        kind = "Subflow run" if self.parent is not None else "Flow run"
        name = self.flow_run.name if self.flow_run is not None else self.flow.name
        return f"{kind} {name!r}"

    @property
    def logger(self) -> Any:
        assert self.context is not None
        return self.context.logger

    @property
    def target(self) -> Callable[..., Any]:
        return self.flow.target

    @property
    def persisting(self) -> bool:
        assert self.context is not None
        return bool(self.context.persist_result)

    @property
    def owns_final_hooks(self) -> bool:
        """Whether cancellation and crash hooks are run here and not by the process above."""
        if self.parent is not None:
            return True
        for prefix in ("PENSTOCK", "PREFECT"):
            value = os.environ.get(f"{prefix}__ENABLE_CANCELLATION_AND_CRASHED_HOOKS")
            if value is not None:
                return value.strip().lower() != "false"
        return True

    @property
    def reschedules(self) -> bool:
        """Whether SIGTERM means that the run goes on in another process."""
        if signals.intent() == "reschedule":
            return True
        for prefix in ("PENSTOCK", "PREFECT"):
            value = os.environ.get(f"{prefix}_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR")
            if value is not None:
                return value.strip().lower() == "reschedule"
        return False

    @property
    def is_terminated(self) -> bool:
        """Whether SIGTERM has come during this run."""
        return signals.caught()

    def intent(self) -> str | None:
        """What the process was told before it got SIGTERM."""
        return signals.intent()

    # --- arguments -------------------------------------------------------------------------------

    def look_at_arguments(self) -> None:
        """Find what the run depends on."""
        results = self.parent.results if self.parent is not None else None
        self.inputs = find_inputs(self.parameters, self.wait_for, results)

    def check_parameters(self) -> None:
        """Coerce the parameters. Raises `ParameterTypeError`."""
        self.checked = True
        if self.flow.should_validate_parameters:
            self.parameters = self.flow.signature.check(self.parameters)
            if self.context is not None:
                self.context.parameters = self.parameters

    def resolve_parameters(self) -> None:
        self.parameters = {name: resolve(value) for name, value in self.parameters.items()}
        if self.context is not None:
            self.context.parameters = self.parameters

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return self.flow.signature.call_arguments(self.parameters)

    def name_by_template(self) -> None:
        """Work out the name, where it is a template; a bad template is kept as `invalid`."""
        template = self.flow.flow_run_name
        if not isinstance(template, str) or self.named:
            return
        try:
            self.take_name(template_name(template, self.parameters))
        except (TypeError, ValueError, AttributeError) as error:
            self.invalid = error

    def take_name(self, name: Any) -> None:
        """Raises `TypeError` for a name that is no text."""
        if not isinstance(name, str):
            raise TypeError(
                f"the function given as flow_run_name of {self.flow.name!r} returned {name!r}; "
                "it must return text"
            )
        self.name = name
        self.named = True

    def naming(self) -> FlowRunUpdate:
        """The update that gives the run its name."""
        assert self.name is not None
        assert self.flow_run is not None
        self._set_run(replace(self.flow_run, name=self.name))
        assert self.context is not None
        self.context.relate()
        return FlowRunUpdate(name=self.name)

    # --- making the run --------------------------------------------------------------------------

    def creation(self, now: datetime) -> FlowRunBegin:
        """What makes the flow, where it is new, and the run."""
        flow = self.flow
        run = FlowRunCreate(
            flow_id=_NO_FLOW,
            id=uuid7(),
            name=self.name or "",
            parameters=stored_form(
                self.parameters, lambda value: isinstance(value, PenstockFuture | State)
            ),
            tags=sorted(self.tags),
            flow_version=flow.version,
            empirical_policy=self._policy(),
            parent_task_run_id=self.parent_task_run.id if self.parent_task_run else None,
            state=StateCreate(type=StateType.PENDING, id=uuid7(), timestamp=now),
        )
        return FlowRunBegin(flow=FlowCreate(name=flow.name), run=run)

    def _policy(self) -> FlowRunPolicy:
        delay = math.ceil(self.flow.retry_delay_seconds or 0)
        return FlowRunPolicy(retries=self.flow.retries, retry_delay=delay)

    def missing_policy(self) -> FlowRunUpdate | None:
        """What a run made elsewhere lacks: how often it is retried, its version; None: nothing."""
        assert self.flow_run is not None
        policy = self.flow_run.empirical_policy
        own = self._policy()
        complete = replace(
            policy,
            retries=policy.retries if policy.retries is not None else own.retries,
            retry_delay=policy.retry_delay if policy.retry_delay is not None else own.retry_delay,
        )
        version = self.flow.version
        if complete == policy and version in (None, self.flow_run.flow_version):
            return None
        return FlowRunUpdate(
            empirical_policy=complete,
            flow_version=version if version is not None else ABSENT,
        )

    def take_policy(self, update: FlowRunUpdate) -> None:
        assert self.flow_run is not None
        assert isinstance(update.empirical_policy, FlowRunPolicy)
        self.flow_run = replace(self.flow_run, empirical_policy=update.empirical_policy)

    def parent_task(self) -> TaskRunCreate:
        """The task run that stands for this run in its parent."""
        parent = self.parent
        assert parent is not None
        task_key = f"{self.flow.name}-{self.flow.task_key_suffix}"
        dynamic_key = parent.next_key(task_key)
        if self.within is not None:
            self.inputs.note("__parents__", (TASK_RUN, self.within.record.id))
        return TaskRunCreate(
            name=f"{self.flow.name}-{dynamic_key}",
            flow_run_id=parent.flow_run.id,
            task_key=task_key,
            dynamic_key=dynamic_key,
            tags=sorted(self.tags),
            task_inputs={
                name: [
                    TaskRunResult(id=id) if kind == TASK_RUN else FlowRunResult(id=id)
                    for kind, id in origins
                ]
                for name, origins in self.inputs.origins.items()
            },
            state=StateCreate(type=StateType.PENDING, id=uuid7()),
        )

    def earlier_runs(self) -> FlowRunsFilterPage:
        """The query for the newest run of this subflow in an earlier run of the parent."""
        assert self.parent_task_run is not None
        parent = OptionalIdFilter(any_=[self.parent_task_run.id])
        return FlowRunsFilterPage(
            flow_runs=FlowRunFilter(parent_task_run_id=parent),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=1,
        )

    def earlier_result(self) -> Any:
        """The result of a run that completed before; reads result storage."""
        return result_of(self.state)

    def begin(self, flow_run: FlowRun | None = None) -> None:
        """The run is there: make its context."""
        if flow_run is not None:
            self.flow_run = flow_run
        run = self.flow_run
        assert run is not None
        if self.name is not None and not run.name:
            run = self.flow_run = replace(run, name=self.name)
        self.state = run.state if run.state is not None else State(type=StateType.PENDING)
        settings = get_current_settings()
        flow, parent = self.flow, self.parent
        persist = flow.persist_result
        if persist is None:
            inherited = parent.persist_result if parent is not None else None
            persist = get_default_persist_setting() if inherited is None else inherited
        for_tasks = settings.tasks.default_persist_result
        prints = flow.log_prints
        if prints is None:
            prints = parent.log_prints if parent is not None else settings.logging.log_prints
        store = parent.result_store if parent is not None and parent.result_store else None
        store = store if store is not None else get_result_store()
        self.context = FlowRunContext(
            flow=flow,
            flow_run=run,
            parameters=self.parameters,
            client=self.client,
            tags=self.tags,
            result_store=store_for_flow(store, flow),
            persist_result=persist,
            tasks_persist=bool(persist if for_tasks is None else for_tasks),
            log_prints=bool(prints),
            start_time=self.now(),
            parent=self.within or parent,
            logger=flow_run_logger(run, flow),
        )
        if self.parent is None:
            self.logger.info("Beginning flow run %r for flow %r", run.name, flow.name)
        else:
            self.logger.info("Beginning subflow run %r for flow %r", run.name, flow.name)

    def _set_run(self, run: FlowRun) -> None:
        self.flow_run = run
        if self.context is not None:
            self.context.flow_run = run

    def close(self) -> None:
        """The run is over in this process: stop what lives as long as it."""
        self._stack.close()
        if self.parent is not None and self.context is not None and self.context.reported:
            self.parent.reported = True

    @property
    def must_flush(self) -> bool:
        """Whether the end of the call waits for events: those of tasks, by the outermost flow."""
        return self.parent is None and self.context is not None and self.context.reported

    # --- states ----------------------------------------------------------------------------------

    def proposal(self, state: State) -> StateCreate:
        """`state` as it is proposed to the server."""
        proposal = state_to_wire(state)
        if proposal.message is not None and not proposal.message.isascii():
            return replace(proposal, message=readable(proposal.message))
        return proposal

    def entered(self, proposed: State, answer: State | None) -> None:
        """The server accepted `proposed`; `answer` is what it stored."""
        state = proposed if answer is None else replace(answer, data=proposed.data)
        self.adopt(state)
        if state.is_running():
            self._count_run()
            if not self._alive:
                self._keep_alive()
                self._keep_slot(state)

    def _count_run(self) -> None:
        run = self.flow_run
        assert run is not None
        if run.empirical_policy.resuming:
            policy = replace(run.empirical_policy, resuming=False)
            self._set_run(replace(run, empirical_policy=policy))
        else:
            self._set_run(replace(run, run_count=run.run_count + 1))
        if run.start_time is None:
            assert self.flow_run is not None
            self._set_run(replace(self.flow_run, start_time=self.state.timestamp))

    def _keep_alive(self) -> None:
        assert self.context is not None
        self._alive = True
        seconds = get_current_settings().flows.heartbeat_frequency
        # The claim of its worker stands for the life of a run, so a short one needs no socket.
        first = FIRST_BEAT_OF_CLAIMED if os.environ.get("PENSTOCK__CLAIM") else 0.0
        self._stack.enter_context(
            heartbeats(
                self.flow_run, self.context.related_rest, seconds, self.emit, first_after=first
            )
        )

    def _keep_slot(self, state: State) -> None:
        """Renew the lease on the deployment's slot while the run goes on in this process.

        Without it another run would take the slot, so a lease that is lost cancels the run.
        """
        lease_id = state.state_details.deployment_concurrency_lease_id
        if lease_id is None:
            return

        def lost(error: Exception) -> None:
            self.logger.error(
                "%s is cancelled, because its slot of the deployment is lost: %s", self.label, error
            )
            signals.set_intent("cancel")
            os.kill(os.getpid(), signal.SIGTERM)

        hold = leases.keep_lease(lease_id, SLOT_SECONDS, lost)
        self._stack.callback(lambda: leases.KEEPER.stop(hold))

    def rejected(self, state: State, reason: str) -> None:
        """The server put the run in another state than the proposed one."""
        if not state.is_scheduled():
            self.logger.info("The server put the run in state %r instead: %s", state, reason)
        self.adopt(state)
        self.value = UNSET

    def adopt(self, state: State) -> None:
        """The run is in `state` now."""
        self.state = state
        assert self.flow_run is not None
        self._set_run(
            replace(
                self.flow_run,
                state=state,
                state_id=state.id,
                state_name=state.name,
                state_type=state.type,
            )
        )

    def hooks_of(self, state: State) -> list[Any]:
        """The hooks that run because the run entered `state`."""
        match state.type:
            case StateType.RUNNING:
                return self.flow.on_running_hooks
            case StateType.COMPLETED:
                return self.flow.on_completion_hooks
            case StateType.FAILED:
                return self.flow.on_failure_hooks
            case StateType.CANCELLING if self.owns_final_hooks:
                return self.flow.on_cancellation_hooks
            case StateType.CRASHED if self.owns_final_hooks:
                return self.flow.on_crashed_hooks
        return []

    # --- running ---------------------------------------------------------------------------------

    def enter_task_runner(self) -> None:
        assert self.context is not None
        # Counters start again with every try, so that a re-run finds what it did before.
        self.context.dynamic_keys.clear()
        self.context.observed_flow_pauses.clear()
        runner = self.flow.task_runner.duplicate()
        self.context.task_runner = runner.__enter__()
        self.in_task_runner = True

    def leave_task_runner(self, cancelled: bool) -> None:
        """Wait for running tasks; those that did not start never will."""
        assert self.context is not None
        self.in_task_runner = False
        runner, self.context.task_runner = self.context.task_runner, None
        if cancelled and hasattr(runner, "cancel_all"):
            runner.cancel_all()
        runner.__exit__(None, None, None)

    def link(self, item: Any) -> None:
        """Remember that a generator of this run made `item`."""
        if self.parent is not None:
            self.parent.results.link(item, (FLOW_RUN, self.flow_run_id))

    def futures_in(self, value: Any) -> list[PenstockFuture[Any]]:
        return returned_futures(value)

    def plain_completion(self, value: Any) -> State | None:
        """The completed state of plain data that is not kept; None when there is more to it."""
        if self.persisting or not is_plain(value):
            return None
        self.value = value
        self._link_result(value)
        return State(type=StateType.COMPLETED, data=ResultRecord(value))

    def completion(self, value: Any) -> State:
        """The state a returned value leads to, written to storage where results are kept."""
        value = resolve_futures_to_states(value)
        store = self._store()
        state = value_state(value, store)
        if self.persisting:
            keep(state, store, self.logger)
        kept = state.data.result if isinstance(state.data, ResultRecord) else None
        if state.is_completed() and is_plain(kept):
            self.value = kept
            self._link_result(kept)
        return state

    def _link_result(self, value: Any) -> None:
        if self.parent is not None:
            self.parent.results.link(value, (FLOW_RUN, self.flow_run_id))

    def failed(self, error: Exception) -> State:
        """The failed state of an exception, written to storage where results are kept."""
        self.value = UNSET
        store = self._store()
        state = failure(error, self._subject, store)
        if self.persisting:
            keep(state, store, self.logger)
        if isinstance(error, TimeoutError):
            self.logger.error("%s", state.message)
        else:
            self.logger.error("Encountered an exception during execution:", exc_info=error)
        return state

    def invalid_state(self, error: Exception) -> State:
        """The failed state of a run whose arguments or name were refused."""
        self.logger.error("%s", error)
        state = failure(error, self._subject, self._store())
        if error is self.invalid and type(error).__name__ == "ParameterTypeError":
            message = f"Validation of flow parameters failed with error: {error}"
            return state.model_copy(update={"message": message})
        return state

    def crashed(self, error: BaseException) -> State:
        self.value = UNSET
        return crashed_state(error)

    def _store(self) -> ResultStore:
        assert self.context is not None
        return self.context.result_store

    def outcome(self) -> Any:
        """What the call gives back. Raises what went wrong."""
        if self.error is not None and not self.state.is_completed():
            raise self.error
        if self.value is not UNSET:
            return self.value
        return result_of(self.state)

    # --- log -------------------------------------------------------------------------------------

    def log_finish(self) -> None:
        log = self.logger.info if self.state.is_completed() else self.logger.error
        log("Finished in state %r", self.state)

    def log_retry(self) -> None:
        due = self.state.state_details.scheduled_time
        when = f"at {due.isoformat()}" if due is not None else "now"
        self.logger.info("The run is in state %r and starts again %s", self.state.name, when)
