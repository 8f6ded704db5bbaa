"""Carrying out the actions of automations that fired."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from penstock.base.lazy import LazyModule
from penstock.base.outgoing import AddressRefused, Answer, Call, CallFailed, shown_headers
from penstock.blocks.messages import BlockUnsuited, Mail
from penstock.schemas.automations import CallWebhook, RunDeployment, SendNotification
from penstock.schemas.errors import Refusal, ServiceUnavailable
from penstock.server.ops import actions, external_actions, internal_actions
from penstock.server.ops.actions import ActionFailed, Outcome, Task
from penstock.server.ops.context import Context
from penstock.server.ops.firings import TOPIC
from penstock.server.security.outbound import Outbound, OutboundPolicy, retry_after
from penstock.server.store.store import Store

# Only automations with templates pay for the library behind it.
rendering: Any = LazyModule("penstock.server.security.rendering")

BATCH = 200
THREADS = 16
WAITING = 200
"""Outgoing calls that may be under way or wait for a thread."""
PATIENCE = timedelta(seconds=45)
"""How long after being taken a call may still begin; it must end within the lease."""


class Actions:
    """Takes the actions whose turn it is and carries them out; calls to others do not keep the
    rest waiting."""

    name = "automation-actions"
    topic = TOPIC

    def __init__(
        self,
        store: Store,
        *,
        interval_seconds: float = 1.0,
        outbound: Outbound | None = None,
        context: Context | None = None,
        ui_url: str = "",
    ) -> None:
        self.interval_seconds = interval_seconds
        self._store = store
        self._outbound = outbound or Outbound(OutboundPolicy())
        self._context = context or Context()
        self._ui_url = ui_url
        self._calls: set[asyncio.Task[None]] = set()
        self._threads: ThreadPoolExecutor | None = None

    async def run_once(self, now: datetime) -> int:
        """Carry out what is due; returns how many actions were begun."""
        begun = 0
        while True:
            if len(self._calls) >= WAITING:
                await asyncio.wait(self._calls, return_when=asyncio.FIRST_COMPLETED)
            taken = await self._store.write(actions.take, self._context, BATCH)
            tasks = taken.tasks
            inner = [task for task in tasks if not _is_external(task)]
            for task in tasks:
                if _is_external(task):
                    self._begin(task)
            await asyncio.gather(*(self._change(task) for task in inner))
            begun += taken.count
            if taken.count < BATCH:
                return begun

    async def finish(self) -> None:
        """Wait for the calls under way."""
        while self._calls:
            await asyncio.wait(self._calls)

    async def close(self) -> None:
        """Leave the calls under way to whoever takes them when their leases end."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    # --- the server's own objects ----------------------------------------------------------------

    async def _change(self, task: Task) -> None:
        try:
            parameters = None
            if isinstance(task.command, RunDeployment) and task.command.parameters:
                parameters = await self._rendered(task, _render_value, task.command.parameters)
            await self._store.write(internal_actions.carry_out, self._context, task, parameters)
        except (ActionFailed, Refusal) as error:
            if internal_actions.is_transient(error):
                await self._put_off(task, str(error))
            else:
                await self._store.write(internal_actions.fail, self._context, task, error)
        except Exception as error:
            # One action must not keep its neighbours waiting, whatever is wrong with it.
            await self._put_off(task, f"{type(error).__name__}: {error}")

    # --- calls to others -------------------------------------------------------------------------

    def _begin(self, task: Task) -> None:
        call = asyncio.create_task(self._send(task, self._store.clock.now()))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _send(self, task: Task, taken: datetime) -> None:
        touched: list[Any] = []
        try:
            block = await self._store.read(external_actions.block_of, self._context, task)
            touched = block.touched
            sent = await self._composed(task, block)
            outcome = await self._delivered(task, block, sent, taken)
            if outcome is not None:
                await self._store.write(actions.conclude, self._context, task, outcome)
        except (ActionFailed, Refusal, BlockUnsuited, AddressRefused) as error:
            if isinstance(error, ServiceUnavailable):
                return  # The lease ends, and another try follows.
            details = error.details if isinstance(error, ActionFailed) else {}
            failed = Outcome(status="failed", reason=str(error), details=details, touched=touched)
            await self._store.write(actions.conclude, self._context, task, failed)
        except Exception as error:
            # Nobody waits for this; what went wrong is kept with the action.
            await self._put_off(task, f"{type(error).__name__}: {error}", touched=touched)

    async def _composed(self, task: Task, block: external_actions.LoadedBlock) -> list[Call | Mail]:
        command = task.command
        if isinstance(command, SendNotification):
            texts = await self._rendered(task, _render_texts, [command.subject, command.body])
            return external_actions.notification(block, texts[0], texts[1])
        assert isinstance(command, CallWebhook), "what else goes out"
        [payload] = await self._rendered(task, _render_texts, [command.payload])
        return [external_actions.webhook_call(block, payload)]

    async def _delivered(
        self,
        task: Task,
        block: external_actions.LoadedBlock,
        sent: list[Call | Mail],
        taken: datetime,
    ) -> Outcome | None:
        """The outcome; None when there will be another try."""
        key, last = str(task.invocation), None
        for place, one in enumerate(sent):
            if self._store.clock.now() > taken + PATIENCE:
                await self._store.write(actions.give_back, task)
                return None
            one_key = key if len(sent) == 1 else f"{key}-{place}"
            try:
                last = await self._on_thread(self._deliver, one, one_key, block.allow_private)
            except CallFailed as error:
                await self._put_off(task, _failure(task, str(error)), touched=block.touched)
                return None
            if last is not None and last.status >= 300:
                return await self._refused(task, block, last)
        return Outcome(details=_details(task, last), touched=block.touched)

    async def _refused(
        self, task: Task, block: external_actions.LoadedBlock, answer: Answer
    ) -> Outcome | None:
        reason = _failure(task, f"the receiver answered with status {answer.status}")
        if answer.status == 429 or answer.status >= 500:
            after = retry_after(answer.headers)
            await self._put_off(task, reason, after, _details(task, answer), block.touched)
            return None
        return Outcome(
            status="failed", reason=reason, details=_details(task, answer), touched=block.touched
        )

    def _deliver(self, one: Call | Mail, key: str, allow_private: bool) -> Answer | None:
        if isinstance(one, Mail):
            self._outbound.mail(one, key=key)
            return None
        return self._outbound.call(one, key=key, allow_private=allow_private)

    async def _put_off(
        self,
        task: Task,
        reason: str,
        after: float | None = None,
        details: dict[str, Any] | None = None,
        touched: list[Any] | None = None,
    ) -> None:
        dead = Outcome(status="dead", reason=reason, details=details or {}, touched=touched or [])
        await self._store.write(actions.put_off, self._context, task, dead, after)

    # --- templates -------------------------------------------------------------------------------

    async def _rendered(self, task: Task, render: Callable[..., Any], given: Any) -> Any:
        """`given` with its templates rendered. Raises `ActionFailed`."""
        texts = list(_texts_in(given))
        if not any("{{" in text or "{%" in text or text in _FORMS for text in texts):
            return given
        links = rendering.Links(self._ui_url)
        names = rendering.names_in(texts)
        if "workspace_variable" in texts:
            names.add("variables")
        values = await self._store.read(
            external_actions.values_of, self._context, task, names, links
        )
        renderer = rendering.Renderer(values, self._store.clock.now(), links)
        try:
            return await self._on_thread(render, renderer, given)
        except rendering.RenderingFailed as error:
            raise ActionFailed(
                f"Template rendering failed: {error}",
                {"template_error": str(error), "template_source": error.source},
            ) from None

    async def _on_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "penstock-actions")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)


_FORMS = frozenset({"jinja", "json", "workspace_variable"})


def _is_external(task: Task) -> bool:
    return isinstance(task.command, SendNotification | CallWebhook)


def _render_texts(renderer: Any, texts: list[str]) -> list[str]:
    return [renderer.text(text) for text in texts]


def _render_value(renderer: Any, value: Any) -> Any:
    return renderer.value(value)


def _texts_in(given: Any) -> Any:
    if isinstance(given, str):
        yield given
    elif isinstance(given, dict):
        for one in given.values():
            yield from _texts_in(one)
    elif isinstance(given, list):
        for one in given:
            yield from _texts_in(one)


def _failure(task: Task, told: str) -> str:
    if isinstance(task.command, CallWebhook):
        return f"Webhook call failed: {told}"
    return f"Notification failed: {told}"


def _details(task: Task, answer: Answer | None) -> dict[str, Any]:
    if answer is None:
        return {}
    details: dict[str, Any] = {"status_code": answer.status}
    if isinstance(task.command, CallWebhook):
        details["response_body"] = _cut(answer.body.decode(errors="replace"))
        details["response_headers"] = shown_headers(answer.headers)
    return details


def _cut(text: str, longest: int = 1_000) -> str:
    """The two ends of a long text, with a mark of how much is missing between them."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}...{len(text) - 2 * half} characters...{text[-half:]}"
