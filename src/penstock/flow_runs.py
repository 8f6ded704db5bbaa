"""Stopping and resuming flow runs: pause, suspend, resume, and waiting for one to finish.

A pause keeps the process and waits in it; a suspension ends the process, and resuming starts a
new one from the deployment. Each function has a coroutine under its `a` name.
"""

import logging
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

import msgspec

from penstock.base.dual import Steps, dual
from penstock.base.lazy import LazyModule
from penstock.base.run_context import RunContext, current_run
from penstock.schemas.errors import (
    APIUnreachable,
    FlowPauseTimeout,
    FlowRunWaitTimeout,
    MissingContextError,
    NotPausedError,
    Pause,
)
from penstock.schemas.flow_runs import FlowRun, FlowRunResumeBody
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateBody,
    SetStateStatus,
    State,
    StateWaitDetails,
)
from penstock.states import Paused, Suspended, state_to_wire
from penstock.steps import Listen, Monotonic, Request, Sleep

if TYPE_CHECKING:
    from pydantic import BaseModel

    from penstock.client import run_bell
    from penstock.input import keysets, run_input
else:
    run_bell = LazyModule("penstock.client.run_bell")  # sockets; loaded by those who wait
    # Models of user input need pydantic; most flows never wait for input.
    keysets = LazyModule("penstock.input.keysets")
    run_input = LazyModule("penstock.input.run_input")

T = TypeVar("T")

WAIT_SHORTEST = 0.05
WAIT_LONGEST = 5.0


def _pause_flow_run(
    wait_for_input: type[T] | None = None,
    timeout: float = 3600,
    poll_interval: float = 10,
    key: str | None = None,
) -> Steps[T | None]:
    """Pauses the current flow run until it is resumed, at most for `timeout` seconds.

    The process stays and asks every `poll_interval` seconds. With `wait_for_input` (a `RunInput`,
    a model or a plain type) the input given at the resume is returned. A pause that this run has
    passed already is passed again at once; `key` names the pause, by default its number in the
    run. Raises `FlowPauseTimeout` when it was not resumed in time, `RuntimeError` when the server
    does not allow the pause, or outside a flow.
    """
    context = _own_flow("paused")
    key = key or _next_pause_key(context)
    proposed = Paused(timeout_seconds=timeout, pause_key=key)
    expected = yield from _expect_input(context.flow_run.id, proposed, wait_for_input)
    state = yield from _propose(context.flow_run.id, expected.state, "paused")
    if state.is_running():
        return (yield from expected.load())
    if not state.is_paused():
        raise RuntimeError(
            f"The flow run cannot be paused: the server put it into state {state.name!r}."
        )
    start = yield Monotonic()
    yield Sleep(min(timeout / 2, poll_interval))
    while True:
        run = yield from _look(context.flow_run.id)
        if run is not None and run.state is not None and run.state.is_running():
            return (yield from expected.load())
        left = start + timeout - (yield Monotonic())
        if left <= 0:
            raise FlowPauseTimeout(
                f"The flow run was paused for {timeout} seconds and not resumed in that time."
            )
        yield Sleep(min(poll_interval, left))


def _suspend_flow_run(
    wait_for_input: type[T] | None = None,
    flow_run_id: UUID | None = None,
    timeout: float | None = None,
    key: str | None = None,
) -> Steps[T | None]:
    """Suspends a flow run, by default the current one: its process ends until it is resumed.

    Suspending the current run raises `Pause`, which stops it here; when it runs again, this call
    returns (the input, with `wait_for_input`). Only runs of a deployment can be resumed. Without
    a resume within `timeout` seconds the run fails. Raises `RuntimeError` when the server does
    not allow the suspension, or inside a task.
    """
    own = _own_flow("suspended") if flow_run_id is None else _flow_with_id(flow_run_id)
    if own is None:
        if wait_for_input is not None:
            raise RuntimeError(
                "Only a flow run that suspends itself can wait for input; leave out "
                "`wait_for_input` or `flow_run_id`."
            )
        run_id, key = flow_run_id, key or str(uuid4())
    else:
        run_id, key = own.flow_run.id, key or _next_pause_key(own)
    proposed = Suspended(timeout_seconds=timeout, pause_key=key)
    expected = yield from _expect_input(run_id, proposed, wait_for_input)
    state = yield from _propose(run_id, expected.state, "suspended")
    if state.is_running():
        return (yield from expected.load())
    if not state.is_paused():
        raise RuntimeError(
            f"The flow run cannot be suspended: the server put it into state {state.name!r}."
        )
    if own is not None:
        raise Pause(state=state)
    return None


def _resume_flow_run(
    flow_run_id: UUID, run_input: "dict[str, Any] | BaseModel | None" = None
) -> Steps[None]:
    """Resumes a paused or suspended flow run, with the input it waits for.

    Raises `NotPausedError` when it is neither, `FlowPauseTimeout` when it is too late, and
    `RuntimeError` when the server refuses, for example because of the input.
    """
    run = yield Request("read_flow_run", flow_run_id)
    if run.state is None or not run.state.is_paused():
        raise NotPausedError(
            f"The flow run {flow_run_id} is not paused but in state {run.state_name!r}, "
            "so it cannot be resumed."
        )
    if run_input is None or isinstance(run_input, dict):
        given = run_input
    else:
        given = run_input.model_dump(mode="json")
    body = FlowRunResumeBody(run_input=given)
    answer: OrchestrationResult = yield Request("resume_flow_run", flow_run_id, body=body)
    if answer.status == SetStateStatus.ACCEPT:
        return
    if answer.state is not None and answer.state.is_failed():
        raise FlowPauseTimeout(
            f"The flow run {flow_run_id} can no longer be resumed: it was paused too long."
        )
    reason = getattr(answer.details, "reason", None) or "no reason was given"
    raise RuntimeError(f"The flow run {flow_run_id} cannot be resumed: {reason}")


def _wait_for_flow_run(
    flow_run_id: UUID,
    timeout: float | None = 10800,
    poll_interval: float | None = None,
    client: Any = None,
    log_states: bool = False,
) -> Steps[FlowRun]:
    """The flow run once it is final. Raises `FlowRunWaitTimeout` after `timeout` seconds.

    Hears of its states as they change, and looks often at first and ever less often, at least
    every five seconds; with `poll_interval` it only looks, that often. `log_states` logs each new
    state.
    """
    start = yield Monotonic()
    pause = WAIT_SHORTEST if poll_interval is None else poll_interval
    bell = run_bell.RunBell(flow_run_id, client) if poll_interval is None else None
    seen: UUID | None = None
    try:
        while True:
            run = yield from _look(flow_run_id, client)
            state = run.state if run is not None else None
            if state is not None and state.id != seen:
                seen = state.id
                if log_states:
                    _log().info("Flow run is in state %r", state.name)
            if run is not None and state is not None and state.is_final():
                return run
            left = None if timeout is None else start + timeout - (yield Monotonic())
            if left is not None and left <= 0:
                raise FlowRunWaitTimeout(
                    f"The flow run {flow_run_id} was not finished after {timeout} seconds; "
                    + (f"it is in state {state.name!r}." if state else "its state is not known.")
                )
            wait = pause if left is None else min(pause, left)
            yield Sleep(wait) if bell is None else Listen(bell, wait)
            if bell is not None:
                pause = min(pause * 1.5, WAIT_LONGEST)
    finally:
        if bell is not None:
            bell.close()


pause_flow_run, apause_flow_run = dual(_pause_flow_run)
suspend_flow_run, asuspend_flow_run = dual(_suspend_flow_run)
resume_flow_run, aresume_flow_run = dual(_resume_flow_run)
wait_for_flow_run, await_for_flow_run = dual(_wait_for_flow_run)
wait_steps = _wait_for_flow_run
"""The body of `wait_for_flow_run`, for other bodies with two colours."""


class _Expected:
    """A proposed pause and the input that its resume is to bring."""

    def __init__(self, state: State, run_id: Any, model: Any = None) -> None:
        self.state = state
        self.run_id = run_id
        self.model = model

    def load(self) -> Steps[Any]:
        if self.model is None:
            return None
        return (yield from self.model._load(self.state.state_details.run_input_keyset, self.run_id))


def _expect_input(run_id: Any, proposed: State, wait_for_input: Any) -> Steps[_Expected]:
    """Stores what the input looks like before the pause is proposed, so that nobody can resume
    a run whose input cannot be checked yet."""
    if wait_for_input is None:
        return _Expected(proposed, run_id)
    model = run_input.run_input_subclass_from_type(wait_for_input)
    keyset = keysets.keyset_from_paused_state(proposed)
    yield from model._save(keyset, run_id)
    details = msgspec.structs.replace(proposed.state_details, run_input_keyset=keyset)
    return _Expected(proposed.model_copy(update={"state_details": details}), run_id, model)


def _propose(run_id: Any, state: State, what: str) -> Steps[State]:
    body = SetStateBody(state=state_to_wire(state))
    while True:
        answer: OrchestrationResult = yield Request("set_flow_run_state", run_id, body=body)
        if isinstance(answer.details, StateWaitDetails):
            yield Sleep(answer.details.delay_seconds)
            continue
        if answer.status == SetStateStatus.ABORT or answer.state is None:
            reason = getattr(answer.details, "reason", None) or "no reason was given"
            raise RuntimeError(f"The flow run cannot be {what}: {reason}")
        return answer.state


def _look(run_id: Any, client: Any = None) -> Steps[FlowRun | None]:
    """The run as it is now; None when the API cannot be reached. A server that is restarted must
    not end a run that only waits."""
    try:
        return (yield Request("read_flow_run", run_id, client=client))
    except APIUnreachable as error:
        _log().warning("The flow run cannot be read now, waiting goes on: %s", error)
        return None


def _own_flow(what: str) -> RunContext:
    run = current_run.get()
    if run is None or run.flow_run is None:
        raise MissingContextError(
            f"A flow run can only be {what} from inside of it, and no flow is running here."
        )
    if run.task_run is not None:
        raise RuntimeError(
            f"A flow run cannot be {what} from inside a task; do it in the flow, between tasks."
        )
    return run


def _flow_with_id(flow_run_id: UUID | str) -> RunContext | None:
    """The current run when it is the one named."""
    run = current_run.get()
    if run is None or run.flow_run is None or str(run.flow_run.id) != str(flow_run_id):
        return None
    return _own_flow("suspended")


def _next_pause_key(context: RunContext) -> str:
    """The number of this pause in the run: a second process that runs the same flow counts the
    same, and so passes the pauses that were resumed before it."""
    pauses = context.__dict__.setdefault("observed_flow_pauses", {})
    pauses["counter"] = pauses.get("counter", 0) + 1
    return str(pauses["counter"])


def _log() -> logging.Logger:
    return logging.getLogger("penstock.flow_runs")
