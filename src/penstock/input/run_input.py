"""What a flow run can wait for: models of input, and messages between runs."""

import inspect
from typing import Any, ClassVar, Generic, Self, TypeVar
from uuid import UUID, uuid4

import pydantic

from penstock.base import json
from penstock.base.dual import Steps, dual
from penstock.input.actions import (
    _create_flow_run_input,
    _create_flow_run_input_from_model,
    _read_flow_run_input,
    ensure_flow_run_id,
)
from penstock.input.keysets import Keyset, keyset_from_base_key, keyset_from_paused_state
from penstock.input.receiving import GetAutomaticInputHandler, GetInputHandler
from penstock.schemas.errors import ObjectAlreadyExists
from penstock.schemas.flow_runs import FlowRunInput

__all__ = [
    "AutomaticRunInput",
    "BaseRunInput",
    "GetAutomaticInputHandler",
    "GetInputHandler",
    "Keyset",
    "RunInput",
    "RunInputMetadata",
    "asend_input",
    "keyset_from_base_key",
    "keyset_from_paused_state",
    "receive_input",
    "run_input_subclass_from_type",
    "send_input",
]

T = TypeVar("T")
R = TypeVar("R", bound="RunInput")

_SENDER_PREFIX = "prefect.flow-run."


class RunInputMetadata(pydantic.BaseModel):
    """Where a message came from: its key, who sent it, who received it."""

    key: str
    sender: str | None = None
    receiver: UUID


class BaseRunInput(pydantic.BaseModel):
    """Base of all input models; unknown fields are refused."""

    model_config = pydantic.ConfigDict(extra="forbid")

    _description: ClassVar[str | None] = None
    _metadata: RunInputMetadata | None = pydantic.PrivateAttr(default=None)

    @property
    def metadata(self) -> RunInputMetadata:
        """Where this message came from. Raises `RuntimeError` for one that was not received."""
        if self._metadata is None:
            raise RuntimeError("the input was not received from a flow run, so it has no metadata")
        return self._metadata

    @classmethod
    def keyset_from_type(cls) -> Keyset:
        return keyset_from_base_key(cls.__name__.lower())

    @classmethod
    def _save(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> Steps[None]:
        """Stores the schema and the description of the input with a flow run; a run that comes
        by here again finds them stored."""
        stored: list[tuple[str, Any]] = [
            (keyset["schema"], cls.model_json_schema(by_alias=True)),
        ]
        if cls._description:
            stored.append((keyset["description"], cls._description))
        for key, value in stored:
            try:
                yield from _create_flow_run_input(key, value, flow_run_id)
            except ObjectAlreadyExists:
                continue

    @classmethod
    def _load(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> Steps[Any]:
        """The input given at the resume. Raises `pydantic.ValidationError` when it does not fit."""
        run_id = ensure_flow_run_id(flow_run_id)
        value = yield from _read_flow_run_input(keyset["response"], run_id)
        instance = cls(**value) if value else cls()
        instance._metadata = RunInputMetadata(key=keyset["response"], receiver=run_id)
        return instance

    @classmethod
    def load_from_flow_run_input(cls, flow_run_input: FlowRunInput) -> Self:
        """The message of one stored input."""
        instance = cls(**json.decode(flow_run_input.value))
        instance._metadata = RunInputMetadata(
            key=flow_run_input.key,
            sender=flow_run_input.sender,
            receiver=flow_run_input.flow_run_id,
        )
        return instance

    @classmethod
    def with_initial_data(cls, description: str | None = None, **kwargs: Any) -> type[Self]:
        """This input with defaults for some fields and a description, shown to who resumes."""
        fields: dict[str, Any] = {}
        for name, value in kwargs.items():
            known = cls.model_fields.get(name)
            fields[name] = (known.annotation if known is not None else type(value), value)
        made = pydantic.create_model(cls.__name__, __base__=cls, **fields)
        if description is not None:
            made._description = description
        return made

    def _respond(
        self, run_input: Any, sender: str | None = None, key_prefix: str | None = None
    ) -> Steps[None]:
        """Sends `run_input` to the flow run that sent this message."""
        to = self.metadata.sender
        if to is None or not to.startswith(_SENDER_PREFIX):
            raise RuntimeError(
                f"the message was sent by {to or 'nobody known'}, not by a flow run; there is no "
                "one to respond to"
            )
        yield from _send_input(run_input, UUID(to.removeprefix(_SENDER_PREFIX)), sender, key_prefix)

    def _send_to(
        self, flow_run_id: UUID, sender: str | None = None, key_prefix: str | None = None
    ) -> Steps[None]:
        """Sends this message to a flow run."""
        yield from _send_input(self, flow_run_id, sender, key_prefix)

    respond, arespond = dual(_respond)
    send_to, asend_to = dual(_send_to)

    @classmethod
    def save(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> Any:
        """Stores the schema and the description of the input with a flow run."""
        return _save(cls, keyset, flow_run_id)

    @classmethod
    async def asave(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> None:
        """`save` as a coroutine."""
        await _asave(cls, keyset, flow_run_id)

    @classmethod
    def load(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> Any:
        """The input given at the resume."""
        return _load(cls, keyset, flow_run_id)

    @classmethod
    async def aload(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> Any:
        """`load` as a coroutine."""
        return await _aload(cls, keyset, flow_run_id)


class RunInput(BaseRunInput):
    """Base of the user's own inputs: `class Approval(RunInput): approved: bool`."""

    @classmethod
    def receive(
        cls,
        timeout: float | None = 3600,
        poll_interval: float = 10,
        raise_timeout_error: bool = False,
        exclude_keys: set[str] | None = None,
        key_prefix: str | None = None,
        flow_run_id: UUID | None = None,
    ) -> GetInputHandler[Self]:
        """The messages of this kind that are sent to a flow run."""
        return GetInputHandler(
            run_input_cls=cls,
            key_prefix=key_prefix or f"{cls.__name__.lower()}-auto",
            timeout=timeout,
            poll_interval=poll_interval,
            raise_timeout_error=raise_timeout_error,
            exclude_keys=exclude_keys,
            flow_run_id=flow_run_id,
        )

    @classmethod
    def subclass_from_base_model_type(cls, model_cls: type[pydantic.BaseModel]) -> type["RunInput"]:
        """An input with the fields of a model."""
        return type(f"{model_cls.__name__}RunInput", (RunInput, model_cls), {})


class AutomaticRunInput(BaseRunInput, Generic[T]):
    """An input of a plain type, held in the field `value`."""

    value: T

    @classmethod
    def _load(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> Steps[Any]:
        """The value given at the resume."""
        instance = yield from super()._load(keyset, flow_run_id)
        return instance.value

    @classmethod
    def subclass_from_type(cls, _type: Any) -> type["AutomaticRunInput[Any]"]:
        """An input whose value is of `_type`."""
        name = getattr(_type, "__name__", None) or "Any"
        return pydantic.create_model(
            f"{name}AutomaticRunInput", __base__=AutomaticRunInput, value=(_type, ...)
        )

    @classmethod
    def receive(
        cls,
        timeout: float | None = 3600,
        poll_interval: float = 10,
        raise_timeout_error: bool = False,
        exclude_keys: set[str] | None = None,
        key_prefix: str | None = None,
        flow_run_id: UUID | None = None,
        with_metadata: bool = False,
    ) -> GetAutomaticInputHandler[Any]:
        """The values of this type that are sent to a flow run."""
        return GetAutomaticInputHandler(
            run_input_cls=cls,
            key_prefix=key_prefix or f"{cls.__name__.lower()}-auto",
            timeout=timeout,
            poll_interval=poll_interval,
            raise_timeout_error=raise_timeout_error,
            exclude_keys=exclude_keys,
            flow_run_id=flow_run_id,
            with_metadata=with_metadata,
        )


def run_input_subclass_from_type(_type: Any) -> Any:
    """The input model for a `RunInput`, for a model of another kind, or for any plain type."""
    if inspect.isclass(_type) and not hasattr(_type, "__origin__"):
        if issubclass(_type, BaseRunInput):
            return _type
        if issubclass(_type, pydantic.BaseModel):
            return RunInput.subclass_from_base_model_type(_type)
    return AutomaticRunInput.subclass_from_type(_type)


def _send_input(
    run_input: Any,
    flow_run_id: UUID,
    sender: str | None = None,
    key_prefix: str | None = None,
) -> Steps[None]:
    """Sends a value or a model to a flow run, which takes it with `receive_input`.

    The sender is by default the current flow run, and can be answered.
    """
    if isinstance(run_input, BaseRunInput):
        message = run_input
    else:
        model = run_input_subclass_from_type(type(run_input))
        if isinstance(run_input, pydantic.BaseModel):
            message = model(**run_input.model_dump())
        else:
            message = model(value=run_input)
    prefix = key_prefix or f"{type(message).__name__.lower()}-auto"
    yield from _create_flow_run_input_from_model(
        f"{prefix}-{uuid4()}", message, flow_run_id, sender
    )


def receive_input(
    input_type: Any,
    timeout: float | None = 3600,
    poll_interval: float = 10,
    raise_timeout_error: bool = False,
    exclude_keys: set[str] | None = None,
    key_prefix: str | None = None,
    flow_run_id: UUID | None = None,
    with_metadata: bool = False,
) -> GetInputHandler[Any]:
    """The messages of a type that are sent to a flow run, by default the current one.

    Gives models for a `RunInput` or model type and bare values for a plain type, or, with
    `with_metadata`, the messages around them.
    """
    options: dict[str, Any] = {
        "timeout": timeout,
        "poll_interval": poll_interval,
        "raise_timeout_error": raise_timeout_error,
        "exclude_keys": exclude_keys,
        "key_prefix": key_prefix,
        "flow_run_id": flow_run_id,
    }
    model = run_input_subclass_from_type(input_type)
    if issubclass(model, AutomaticRunInput):
        options["with_metadata"] = with_metadata
    return model.receive(**options)


def _save_input(cls: Any, keyset: Keyset, flow_run_id: UUID | None = None) -> Steps[None]:
    yield from cls._save(keyset, flow_run_id)


def _load_input(cls: Any, keyset: Keyset, flow_run_id: UUID | None = None) -> Steps[Any]:
    return (yield from cls._load(keyset, flow_run_id))


_save, _asave = dual(_save_input)
_load, _aload = dual(_load_input)
send_input, asend_input = dual(_send_input)
