"""Filters on flows, flow runs, task runs and logs.

Deployments, work pools and work queues have no tables yet. A filter on them is answered from
what a run itself knows (its deployment, its queue) and otherwise matches nothing.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from penstock.server.store.selection.conditions import (
    FALSE,
    TRUE,
    Condition,
    Part,
    Table,
    among,
    any_of,
    at_least,
    at_most,
    begins_with,
    compiled,
    has_all_tags,
    has_any_tag,
    has_no_tags,
    is_null,
    joined,
    like,
    none_of,
    text_in,
)
from penstock.server.store.transaction import Dialect

Filters = Mapping[str, Struct | None]


def _never(value: Any, dialect: Dialect) -> Part:
    return FALSE


def _ignored(value: Any, dialect: Dialect) -> None:
    return None


def _author(member: str) -> Condition:
    """One of the texts at a member of the document that says who made a run."""

    def condition(wanted: list[Any], dialect: Dialect) -> Part:
        if dialect == "sqlite":
            column = f"json_extract(flow_run.created_by, '$.{member}')"
        else:
            column = f"(flow_run.created_by::json ->> '{member}')"
        return among(column, wanted, dialect)

    return condition


def _parents(wanted: list[Any], dialect: Dialect) -> Part:
    inner = among("parent.flow_run_id", wanted, dialect)
    return Part(
        "flow_run.parent_task_run_id IN"
        f" (SELECT parent.id FROM task_run AS parent WHERE {inner.sql})",
        inner.params,
    )


def _has_subflow(wanted: bool, dialect: Dialect) -> Part:
    return Part(
        f"{'' if wanted else 'NOT '}EXISTS"
        " (SELECT 1 FROM flow_run AS child WHERE child.parent_task_run_id = task_run.id)"
    )


def _queue_begins(wanted: list[str], dialect: Dialect) -> Part:
    return begins_with("flow_run.work_queue_name", wanted) if wanted else FALSE


FLOW: Table = {
    "id.any_": any_of("flow.id"),
    "id.not_any_": none_of("flow.id"),
    "name.any_": any_of("flow.name"),
    "name.like_": like("flow.name"),
    "tags.all_": has_all_tags("flow.tags"),
    "tags.is_null_": has_no_tags("flow.tags"),
    # No flow has a deployment as long as there are none.
    "deployment.is_null_": lambda wanted, _: TRUE if wanted else FALSE,
}

_STARTED = "coalesce(flow_run.start_time, flow_run.expected_start_time)"

FLOW_RUN: Table = {
    "id.any_": any_of("flow_run.id"),
    "id.not_any_": none_of("flow_run.id"),
    "name.any_": any_of("flow_run.name"),
    "name.like_": like("flow_run.name"),
    "tags.all_": has_all_tags("flow_run.tags"),
    "tags.any_": has_any_tag("flow_run.tags"),
    "tags.is_null_": has_no_tags("flow_run.tags"),
    "deployment_id.any_": any_of("flow_run.deployment_id"),
    "deployment_id.is_null_": is_null("flow_run.deployment_id"),
    "work_queue_name.any_": any_of("flow_run.work_queue_name"),
    "work_queue_name.is_null_": is_null("flow_run.work_queue_name"),
    "state.type.any_": any_of("flow_run.state_type"),
    "state.type.not_any_": none_of("flow_run.state_type"),
    "state.name.any_": any_of("flow_run.state_name"),
    "state.name.not_any_": none_of("flow_run.state_name"),
    "flow_version.any_": any_of("flow_run.flow_version"),
    "start_time.after_": at_least(_STARTED),
    "start_time.before_": at_most(_STARTED),
    "start_time.is_null_": is_null("flow_run.start_time"),
    "end_time.after_": at_least("flow_run.end_time"),
    "end_time.before_": at_most("flow_run.end_time"),
    "end_time.is_null_": is_null("flow_run.end_time"),
    "expected_start_time.after_": at_least("flow_run.expected_start_time"),
    "expected_start_time.before_": at_most("flow_run.expected_start_time"),
    "next_scheduled_start_time.after_": at_least("flow_run.next_scheduled_start_time"),
    "next_scheduled_start_time.before_": at_most("flow_run.next_scheduled_start_time"),
    "parent_flow_run_id.any_": _parents,
    "parent_task_run_id.any_": any_of("flow_run.parent_task_run_id"),
    "parent_task_run_id.is_null_": is_null("flow_run.parent_task_run_id"),
    "idempotency_key.any_": any_of("flow_run.idempotency_key"),
    "idempotency_key.not_any_": none_of("flow_run.idempotency_key"),
    "created_by.id_": _author("id"),
    "created_by.type_": _author("type"),
    "created_by.is_null_": is_null("flow_run.created_by"),
}

TASK_RUN: Table = {
    "id.any_": any_of("task_run.id"),
    "name.any_": any_of("task_run.name"),
    "name.like_": like("task_run.name"),
    "tags.all_": has_all_tags("task_run.tags"),
    "tags.is_null_": has_no_tags("task_run.tags"),
    "state.type.any_": any_of("task_run.state_type"),
    "state.name.any_": any_of("task_run.state_name"),
    "start_time.after_": at_least("task_run.start_time"),
    "start_time.before_": at_most("task_run.start_time"),
    "start_time.is_null_": is_null("task_run.start_time"),
    "end_time.after_": at_least("task_run.end_time"),
    "end_time.before_": at_most("task_run.end_time"),
    "end_time.is_null_": is_null("task_run.end_time"),
    "expected_start_time.after_": at_least("task_run.expected_start_time"),
    "expected_start_time.before_": at_most("task_run.expected_start_time"),
    "subflow_runs.exists_": _has_subflow,
    "flow_run_id.any_": any_of("task_run.flow_run_id"),
    "flow_run_id.is_null_": is_null("task_run.flow_run_id"),
}

LOG: Table = {
    "level.ge_": at_least("log.level"),
    "level.le_": at_most("log.level"),
    "timestamp.after_": at_least("log.timestamp"),
    "timestamp.before_": at_most("log.timestamp"),
    "flow_run_id.any_": any_of("log.flow_run_id"),
    "task_run_id.any_": any_of("log.task_run_id"),
    "task_run_id.is_null_": is_null("log.task_run_id"),
    "text.query": text_in("log.message", "log.name"),
}

DEPLOYMENT: Table = {
    "id.any_": any_of("flow_run.deployment_id"),
    "id.not_any_": none_of("flow_run.deployment_id"),
    "work_queue_name.any_": any_of("flow_run.work_queue_name"),
    "name.any_": _never,
    "name.like_": _never,
    "flow_or_deployment_name.like_": _never,
    "paused.eq_": _never,
    "tags.all_": _never,
    "tags.any_": _never,
    "tags.is_null_": _never,
    "concurrency_limit.ge_": _ignored,
    "concurrency_limit.le_": _ignored,
    "concurrency_limit.is_null_": _ignored,
}

WORK_POOL: Table = {"id.any_": _never, "name.any_": _never, "type.any_": _never}

WORK_QUEUE: Table = {
    "id.any_": any_of("flow_run.work_queue_id"),
    "name.any_": any_of("flow_run.work_queue_name"),
    "name.startswith_": _queue_begins,
}

_OF_RUNS: dict[str, Table] = {
    "deployment": DEPLOYMENT,
    "work_pool": WORK_POOL,
    "work_queue": WORK_QUEUE,
}
"""Filters on what a flow run belongs to, as conditions on the run."""


def flow_conditions(filters: Filters, dialect: Dialect) -> Part:
    """What `filters` ask of a row of `flow`."""
    parts = [_own(filters, "flow", FLOW, dialect)]
    run = _run_parts(filters, dialect)
    task = _task_part(filters, dialect)
    if "flow_run" in filters or task.sql or any(part.sql for part in run):
        parts.append(_exists("flow_run", "flow_run.flow_id = flow.id", [*run, task]))
    return joined(parts)


def flow_run_conditions(filters: Filters, dialect: Dialect) -> Part:
    """What `filters` ask of a row of `flow_run`."""
    return joined(
        [*_run_parts(filters, dialect), _flow_part(filters, dialect), _task_part(filters, dialect)]
    )


def task_run_conditions(filters: Filters, dialect: Dialect) -> Part:
    """What `filters` ask of a row of `task_run`; filters on flows or runs need a flow run."""
    parts = [_own(filters, "task_run", TASK_RUN, dialect)]
    run = [*_run_parts(filters, dialect), _flow_part(filters, dialect)]
    if "flow_run" in filters or any(part.sql for part in run):
        parts.append(_exists("flow_run", "flow_run.id = task_run.flow_run_id", run))
    return joined(parts)


def log_conditions(filters: Filters, dialect: Dialect) -> Part:
    """What `filters` ask of a row of `log`."""
    return _own(filters, "log", LOG, dialect)


def _own(filters: Filters, entity: str, table: Table, dialect: Dialect) -> Part:
    given = filters.get(entity)
    return TRUE if given is None else compiled(given, table, dialect)


def _run_parts(filters: Filters, dialect: Dialect) -> list[Part]:
    """Conditions that a row of `flow_run` decides alone."""
    return [
        _own(filters, "flow_run", FLOW_RUN, dialect),
        *(_own(filters, entity, table, dialect) for entity, table in _OF_RUNS.items()),
    ]


def _flow_part(filters: Filters, dialect: Dialect) -> Part:
    if "flow" not in filters:
        return TRUE
    return _exists("flow", "flow.id = flow_run.flow_id", [_own(filters, "flow", FLOW, dialect)])


def _task_part(filters: Filters, dialect: Dialect) -> Part:
    if "task_run" not in filters:
        return TRUE
    return _exists(
        "task_run",
        "task_run.flow_run_id = flow_run.id",
        [_own(filters, "task_run", TASK_RUN, dialect)],
    )


def _exists(table: str, link: str, parts: list[Part]) -> Part:
    inner = joined([Part(link), *parts])
    return Part(f"EXISTS (SELECT 1 FROM {table} WHERE {inner.sql})", inner.params)
