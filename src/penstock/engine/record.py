"""A task run as its own process keeps it, and the events that tell the server about it.

Task runs are decided here and only reported. An event is assembled from text that is the same for
every run of the task, every event of the flow run, or every event of the run, so that little is
left to encode per transition.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import json, structs

from penstock.engine.inputs import Inputs
from penstock.engine.text import readable
from penstock.schemas.states import State, StateDetails, StateType
from penstock.schemas.task_runs import (
    FlowRunResult,
    TaskRun,
    TaskRunPolicy,
    TaskRunResult,
)

MAXIMUM_MESSAGE = 100_000
FOLLOWS_WITHIN = timedelta(minutes=5)
_STEP = timedelta(microseconds=1)
_encode = json.Encoder().encode
_NO_DETAILS = StateDetails()


def quoted(text: str) -> str:
    """`text` as a JSON string; what UTF-8 cannot say is spelled out."""
    try:
        return _encode(text).decode()
    except UnicodeEncodeError:
        return _encode(readable(text)).decode()


def instant(moment: datetime) -> str:
    """`moment` (aware, UTC) as it is written on the wire, without quotes."""
    text = moment.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def related_resource(kind: str, id: Any, role: str, name: str | None = None) -> str:
    """One related resource as JSON."""
    label = f',"prefect.resource.name":{quoted(name)}' if name is not None else ""
    return (
        f'{{"prefect.resource.id":"prefect.{kind}.{id}","prefect.resource.role":"{role}"{label}}}'
    )


def related_tags(tags: Iterable[str]) -> list[str]:
    """Tags as related resources."""
    return [
        '{"prefect.resource.id":' + quoted(f"prefect.tag.{tag}") + ',"prefect.resource.role":"tag"}'
        for tag in sorted(tags)
    ]


class TaskShape:
    """What every run of one task with one set of tags has in common."""

    __slots__ = ("json", "policy", "tags", "tags_json", "task_key", "task_version")

    def __init__(
        self, task_key: str, version: str | None, policy: TaskRunPolicy, tags: Iterable[str]
    ) -> None:
        self.task_key = task_key
        self.task_version = version
        self.policy = policy
        self.tags = sorted(tags)
        self.tags_json = ",".join(related_tags(self.tags))
        body = _encode(
            {
                "task_key": task_key,
                "task_version": version,
                "empirical_policy": policy,
                "tags": self.tags,
            }
        )
        self.json = body.decode()[1:-1]


class TaskRecord:
    """One task run. `enter` moves it to a state and gives the event that says so."""

    __slots__ = (
        "_details",
        "_details_json",
        "_fixed",
        "_head",
        "_last",
        "_related",
        "_snapshot",
        "_start",
        "_validated",
        "dynamic_key",
        "end_time",
        "expected_start_time",
        "flow_run_id",
        "flow_run_run_count",
        "id",
        "inputs",
        "name",
        "run_count",
        "shape",
        "start_time",
        "state",
        "total_run_time",
    )

    def __init__(
        self,
        shape: TaskShape,
        *,
        id: UUID,
        name: str,
        dynamic_key: str,
        inputs: Inputs,
        flow_run_id: UUID | None = None,
        flow_run_run_count: int = 0,
        related: str = "",
    ) -> None:
        self.shape = shape
        self.id = id
        self.name = name
        self.dynamic_key = dynamic_key
        self.inputs = inputs
        self.flow_run_id = flow_run_id
        self.flow_run_run_count = flow_run_run_count
        self.run_count = 0
        self.state: State | None = None
        self.start_time: datetime | None = None
        self.end_time: datetime | None = None
        self.expected_start_time: datetime | None = None
        self.total_run_time = 0.0
        self._details = StateDetails(flow_run_id=flow_run_id, task_run_id=id)
        in_flow = f'"flow_run_id":"{flow_run_id}",' if flow_run_id is not None else ""
        self._details_json = f'{in_flow}"task_run_id":"{id}"'
        tags = shape.tags_json
        self._related = f"{tags},{related}" if tags and related else tags or related
        self._validated = "null"
        self._start = "null"
        self._last = ""
        self._snapshot: TaskRun | None = None
        self._fixed = ""
        self._head = ""

    @classmethod
    def adopted(cls, shape: TaskShape, run: TaskRun, inputs: Inputs, related: str) -> "TaskRecord":
        """The run that the server knows as `run`, to be gone on with in this process."""
        record = cls(
            shape,
            id=run.id,
            name=run.name,
            dynamic_key=run.dynamic_key,
            inputs=inputs,
            flow_run_id=run.flow_run_id,
            flow_run_run_count=run.flow_run_run_count or 0,
            related=related,
        )
        record.run_count = run.run_count or 0
        record.start_time = run.start_time
        record.expected_start_time = run.expected_start_time
        record.total_run_time = run.total_run_time or 0.0
        record.state = run.state
        if run.state is not None:
            told = {"type": run.state.type, "name": run.state.name, "message": ""}
            record._validated = _encode(told).decode()
            record._last = str(run.state.id)
        return record

    @property
    def as_related(self) -> str:
        """This run as a related resource of events of what runs inside it."""
        return related_resource("task-run", self.id, "task-run", self.name)

    def rename(self, name: str) -> None:
        """Give the run another name; it is used from the next event on."""
        self.name = name
        self._head = ""
        self._snapshot = None

    def enter(self, state: State, at: datetime, data: bytes | None = None) -> tuple[State, bytes]:
        """Move to `state` at the instant `at`.

        Returns the state as it was entered (with its own later timestamp if `at` is not after
        the last one, ids of the run in its details) and the event as JSON. `data` is the stored
        form of the state's data, when there is one.
        """
        before = self.state
        if before is not None and at <= before.timestamp:
            at = before.timestamp + _STEP
        details = state.state_details
        if details == _NO_DETAILS:
            details, details_json = self._details, self._details_json
        else:
            details = structs.replace(details, task_run_id=self.id, flow_run_id=self.flow_run_id)
            details_json = _without_defaults(details)
        message = state.message
        if message is not None and len(message) > MAXIMUM_MESSAGE:
            message = message[:MAXIMUM_MESSAGE]
        entered = State(
            type=state.type,
            id=state.id,
            name=state.name,
            timestamp=at,
            message=message,
            data=state.data,
            state_details=details,
        )
        self._count(before, entered)
        self.state = entered
        self._snapshot = None
        return entered, self._event(before, entered, details_json, data)

    def _count(self, before: State | None, entered: State) -> None:
        at = entered.timestamp
        kind = entered.type
        if before is None:
            self.expected_start_time = entered.state_details.scheduled_time or at
        elif before.type is StateType.RUNNING:
            self.total_run_time += (at - before.timestamp).total_seconds()
        if kind is StateType.RUNNING:
            self.run_count += 1
            self.end_time = None
            if self.start_time is None:
                self.start_time = at
        elif entered.is_final():
            self.end_time = at
            if self.start_time is None:
                self.start_time = at

    def _event(self, before: State | None, state: State, details: str, data: bytes | None) -> bytes:
        if not self._head:
            self._prepare()
        name = quoted(state.name or "")
        message = quoted(state.message or "")
        moment = instant(state.timestamp)
        kind = str(state.type)
        from_kind = f'"{before.type}"' if before is not None else "null"
        id = str(state.id)
        initial = self._validated
        stated = (
            f'{{"type":"{kind}","name":{name},"message":{message},"state_details":{{{details}}}'
        )
        self._validated = stated + "}"
        stored = f',"data":{data.decode()}}}' if data is not None else "}"
        follows = "null"
        if before is not None and state.timestamp - before.timestamp < FOLLOWS_WITHIN:
            follows = f'"{self._last}"'
        self._last = id
        if self._start == "null" and self.start_time is not None:
            self._start = f'"{instant(self.start_time)}"'
        end = f'"{instant(self.end_time)}"' if self.end_time is not None else "null"
        return (
            f'{{"occurred":"{moment}","event":"prefect.task-run.{name[1:-1]}","resource":{{'
            f'{self._head}"prefect.run-count":"{self.run_count}","prefect.state-message":{message},'
            f'"prefect.state-name":{name},"prefect.state-timestamp":"{moment}",'
            f'"prefect.state-type":"{kind}","prefect.orchestration":"client"}},'
            f'"related":[{self._related}],"payload":{{"intended":{{"from":{from_kind},"to":"{kind}"}},'
            f'"initial_state":{initial},"validated_state":{stated}{stored},"task_run":{{'
            f'{self._fixed}"run_count":{self.run_count},"start_time":{self._start},"end_time":{end},'
            f'"total_run_time":{self.total_run_time!r}}}}},"id":"{id}","follows":{follows}}}'
        ).encode()

    def _prepare(self) -> None:
        name = quoted(self.name)
        expected = self.expected_start_time
        inputs = "{}"
        if self.inputs.origins:
            inputs = _encode(
                {
                    parameter: [{"input_type": kind, "id": id} for kind, id in origins]
                    for parameter, origins in self.inputs.origins.items()
                }
            ).decode()
        self._head = (
            f'"prefect.resource.id":"prefect.task-run.{self.id}","prefect.resource.name":{name},'
        )
        self._fixed = (
            f'{self.shape.json},"name":{name},"dynamic_key":{quoted(self.dynamic_key)},'
            f'"task_inputs":{inputs},"flow_run_run_count":{self.flow_run_run_count},'
            + (f'"expected_start_time":"{instant(expected)}",' if expected is not None else "")
        )

    @property
    def snapshot(self) -> TaskRun:
        """The run as hooks, contexts and users see it."""
        if self._snapshot is None:
            state = self.state
            created = self.expected_start_time
            self._snapshot = TaskRun(
                id=self.id,
                created=created,
                updated=state.timestamp if state is not None else created,
                task_key=self.shape.task_key,
                dynamic_key=self.dynamic_key,
                name=self.name,
                empirical_policy=self.shape.policy,
                task_version=self.shape.task_version,
                tags=self.shape.tags,
                flow_run_id=self.flow_run_id,
                flow_run_run_count=self.flow_run_run_count,
                run_count=self.run_count,
                start_time=self.start_time,
                end_time=self.end_time,
                expected_start_time=self.expected_start_time,
                total_run_time=self.total_run_time,
                task_inputs=_input_structs(self.inputs.origins),
                state=state,
                state_id=state.id if state is not None else None,
                state_name=state.name if state is not None else None,
                state_type=state.type if state is not None else None,
            )
        return self._snapshot


def _input_structs(origins: Mapping[str, Iterable[tuple[str, UUID]]]) -> dict[str, list[Any]]:
    return {
        name: [
            TaskRunResult(id=id) if kind == "task_run" else FlowRunResult(id=id)
            for kind, id in found
        ]
        for name, found in origins.items()
    }


def _without_defaults(details: StateDetails) -> str:
    stated = {
        name: value
        for name in details.__struct_fields__
        if (value := getattr(details, name)) != getattr(_NO_DETAILS, name)
    }
    return _encode(stated).decode()[1:-1]
