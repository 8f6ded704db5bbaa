"""Filters on artifacts, the newest artifact of each key, and variables.

The result of a run is the data of its state. It is listed among the artifacts (type `result`, the
id of the state, no key) by reading the states beside the artifacts: setting a state costs nothing
for it. Lists that cannot hold results read the artifacts alone; a partial index on the states
with data (migration 0007) keeps the others short.
"""

from msgspec import Struct

from penstock.schemas.shapes import Operator
from penstock.server.store.selection.conditions import (
    Condition,
    Table,
    any_of,
    has_all_tags,
    has_no_tags,
    is_null,
    like,
    none_of,
)
from penstock.server.store.transaction import Dialect

RESULT = "result"
"""The type that the results of runs have as artifacts."""

_COLUMNS = "id, key, type, data, description, metadata_, flow_run_id, task_run_id, created, updated"
_RESULT = (
    "SELECT state.id, NULL, '" + RESULT + "', state.data, NULL, NULL, {flow_run_id}, {task_run_id},"
    " state.timestamp, state.timestamp FROM {states} AS state{join}"
    " WHERE state.data IS NOT NULL AND state.data <> 'null'"
    " AND coalesce({data} ->> 'type', '') NOT IN ('null', 'unpersisted')"
)


def _exists(column: str) -> Condition:
    null = is_null(column)
    return lambda wanted, dialect: null(not wanted, dialect)


def _table(name: str, id: str) -> Table:
    return {
        f"{id}.any_": any_of(f"{name}.{id}"),
        "key.any_": any_of(f"{name}.key"),
        "key.like_": like(f"{name}.key"),
        "key.exists_": _exists(f"{name}.key"),
        "flow_run_id.any_": any_of(f"{name}.flow_run_id"),
        "task_run_id.any_": any_of(f"{name}.task_run_id"),
        "type.any_": any_of(f"{name}.type"),
        "type.not_any_": none_of(f"{name}.type"),
    }


ARTIFACT = _table("artifact", "id")
ARTIFACT_COLLECTION = _table("artifact_collection", "latest_id")

VARIABLE: Table = {
    "id.any_": any_of("variable.id"),
    "name.any_": any_of("variable.name"),
    "name.like_": like("variable.name"),
    "tags.all_": has_all_tags("variable.tags"),
    "tags.is_null_": has_no_tags("variable.tags"),
}


def artifacts_and_results(filter: Struct | None, dialect: Dialect) -> str:
    """What to select artifacts from: the table alone when `filter` leaves no results."""
    if _without_results(filter):
        return "artifact"
    data = "state.data" if dialect == "sqlite" else "(state.data::json)"
    of_flow_runs = _RESULT.format(
        flow_run_id="state.flow_run_id",
        task_run_id="NULL",
        states="flow_run_state",
        join="",
        data=data,
    )
    of_task_runs = _RESULT.format(
        flow_run_id="run.flow_run_id",
        task_run_id="state.task_run_id",
        states="task_run_state",
        join=" JOIN task_run AS run ON run.id = state.task_run_id",
        data=data,
    )
    return (
        f"(SELECT {_COLUMNS} FROM artifact"
        f" UNION ALL {of_flow_runs} UNION ALL {of_task_runs}) AS artifact"
    )


def _without_results(filter: Struct | None) -> bool:
    """Whether a filter asks for something that no result has; results have no key."""
    if filter is None or getattr(filter, "operator", Operator.AND) is Operator.OR:
        return False
    type, key = getattr(filter, "type", None), getattr(filter, "key", None)
    if type is not None:
        if type.not_any_ and RESULT in type.not_any_:
            return True
        if type.any_ is not None and RESULT not in type.any_:
            return True
    return key is not None and (key.any_ is not None or bool(key.like_) or key.exists_ is True)
