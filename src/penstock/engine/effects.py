"""The closed set of effects: everything a core may ask of the outside.

A core is a generator. It yields one of these, and the driver sends back the answer named in its
docstring, or throws what went wrong into the core. Nothing here does anything by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.base.run_context import RunContext


class RunTimeoutError(TimeoutError):
    """A run took longer than its own `timeout_seconds` (and not: the user raised TimeoutError)."""


class Call:
    """Call code of the user. Answer: what it returned; thrown: what it raised.

    `context` is the current run while the code runs. `awaits` says that the call gives an
    awaitable to be finished first, `yields` that it gives a generator whose items go to the
    caller, each shown to `on_item` before. After `timeout` seconds `RunTimeoutError` is raised
    inside the code.
    """

    __slots__ = ("args", "awaits", "context", "fn", "kwargs", "on_item", "timeout", "yields")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        context: RunContext | None = None,
        timeout: float | None = None,
        awaits: bool = False,
        yields: bool = False,
        on_item: Callable[[Any], None] | None = None,
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs if kwargs is not None else {}
        self.context = context
        self.timeout = timeout
        self.awaits = awaits
        self.yields = yields
        self.on_item = on_item


class Request:
    """Send one operation of the API. Answer: its decoded response; thrown: the client's error."""

    __slots__ = ("body", "operation", "path", "query")

    def __init__(
        self, operation: str, *path: Any, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> None:
        self.operation = operation
        self.path = path
        self.body = body
        self.query = query if query is not None else {}


class Emit:
    """Queue one event, already JSON. Answer: None, at once, whatever the network does."""

    __slots__ = ("event",)

    def __init__(self, event: bytes) -> None:
        self.event = event


class Sleep:
    """Let `seconds` pass. Answer: None."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Read:
    """Begin the transaction a result is kept under. Answer: the open transaction.

    `options` are those of `penstock.transactions.transaction`. If a usable result is already
    under the key, the answer's `is_committed()` is true.
    """

    __slots__ = ("options",)

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options


class Write:
    """Put a result away. Answer: what the action returned.

    With `action`: call it; it may block on result storage. With `transaction`: leave that
    transaction, which commits what was staged or rolls back because of `error`. What either
    raises is thrown.
    """

    __slots__ = ("action", "error", "transaction")

    def __init__(
        self,
        action: Callable[[], Any] | None = None,
        *,
        transaction: Any = None,
        error: BaseException | None = None,
    ) -> None:
        self.action = action
        self.transaction = transaction
        self.error = error


class Submit:
    """Enter or leave a task runner: call `action`, which may block on running tasks.

    Answer: what it returned.
    """

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], Any]) -> None:
        self.action = action


class Wait:
    """Wait until each of `futures` is done. Answer: None."""

    __slots__ = ("futures",)

    def __init__(self, futures: Sequence[Any]) -> None:
        self.futures = futures


class Now:
    """Answer: the present instant, aware, UTC."""

    __slots__ = ()


class Check:
    """Is something asked of this run from outside? Answer: None, "suspend" or "cancel"."""

    __slots__ = ("context",)

    def __init__(self, context: Any) -> None:
        self.context = context


NOW = Now()

Effect = Call | Request | Emit | Sleep | Read | Write | Submit | Wait | Now | Check
