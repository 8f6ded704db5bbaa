"""Receiving the messages of a kind that are sent to a flow run."""

from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from penstock.base.dual import Steps, dual
from penstock.input.actions import _filter_flow_run_input, ensure_flow_run_id
from penstock.schemas.flow_runs import FlowRunInput
from penstock.steps import Monotonic, Sleep

R = TypeVar("R")


class GetInputHandler(Generic[R]):
    """The messages of one kind, one after the other, for `for` and `async for`.

    Looks for the next one at once and then every `poll_interval` seconds. When none comes for
    `timeout` seconds (None: never) the iteration ends, or raises `TimeoutError` with
    `raise_timeout_error`. `next` and `anext` always raise it.
    """

    def __init__(
        self,
        run_input_cls: Any,
        key_prefix: str,
        timeout: float | None = 3600,
        poll_interval: float = 10,
        raise_timeout_error: bool = False,
        exclude_keys: set[str] | None = None,
        flow_run_id: UUID | None = None,
    ) -> None:
        self.run_input_cls = run_input_cls
        self.key_prefix = key_prefix
        self.timeout = timeout
        self.poll_interval = poll_interval
        self.raise_timeout_error = raise_timeout_error
        self.exclude_keys: set[str] = set(exclude_keys or ())
        self.flow_run_id = ensure_flow_run_id(flow_run_id)

    def to_instance(self, flow_run_input: FlowRunInput) -> R:
        """The message of one stored input."""
        return self.run_input_cls.load_from_flow_run_input(flow_run_input)

    def _filter_for_inputs(self) -> Steps[list[FlowRunInput]]:
        return (
            yield from _filter_flow_run_input(
                self.key_prefix, 1, self.exclude_keys, self.flow_run_id
            )
        )

    def _next(self) -> Steps[R]:
        """The next message. Raises `TimeoutError` when none comes in time."""
        start = yield Monotonic()
        while True:
            found = yield from self._filter_for_inputs()
            if found:
                self.exclude_keys.add(found[0].key)
                return self.to_instance(found[0])
            left = None if self.timeout is None else start + self.timeout - (yield Monotonic())
            if left is not None and left <= 0:
                raise TimeoutError(
                    f"no input with a key of {self.key_prefix!r} came for {self.timeout} seconds"
                )
            yield Sleep(self.poll_interval if left is None else min(self.poll_interval, left))

    filter_for_inputs_sync, filter_for_inputs = dual(_filter_for_inputs)
    next, anext = dual(_next)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        try:
            return type(self).next(self, _sync=True)  # type: ignore[call-arg]
        except TimeoutError:
            if self.raise_timeout_error:
                raise
            raise StopIteration from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        try:
            return await self.anext()
        except TimeoutError:
            if self.raise_timeout_error:
                raise
            raise StopAsyncIteration from None


class GetAutomaticInputHandler(GetInputHandler[R]):
    """As `GetInputHandler`, for plain types: gives the bare values, or with `with_metadata` the
    messages that hold them and can be answered."""

    def __init__(
        self,
        run_input_cls: Any,
        key_prefix: str,
        timeout: float | None = 3600,
        poll_interval: float = 10,
        raise_timeout_error: bool = False,
        exclude_keys: set[str] | None = None,
        flow_run_id: UUID | None = None,
        with_metadata: bool = False,
    ) -> None:
        super().__init__(
            run_input_cls,
            key_prefix,
            timeout,
            poll_interval,
            raise_timeout_error,
            exclude_keys,
            flow_run_id,
        )
        self.with_metadata = with_metadata

    def to_instance(self, flow_run_input: FlowRunInput) -> Any:
        message = super().to_instance(flow_run_input)
        return message if self.with_metadata else message.value  # type: ignore[attr-defined]
