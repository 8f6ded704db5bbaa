"""Filters on flows, flow runs, task runs and logs: what each condition is."""

from typing import Any

from penstock.server.store.selection.conditions import (
    Condition,
    Part,
    Table,
    among,
    any_name_of,
    any_of,
    at_least,
    at_most,
    has_all_tags,
    has_any_tag,
    has_no_tags,
    is_null,
    like,
    none_of,
    text_in,
)
from penstock.server.store.transaction import Dialect


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


def _has_no_deployment(wanted: bool, dialect: Dialect) -> Part:
    return Part(
        f"{'NOT ' if wanted else ''}EXISTS"
        " (SELECT 1 FROM deployment AS owned WHERE owned.flow_id = flow.id)"
    )


FLOW: Table = {
    "id.any_": any_of("flow.id"),
    "id.not_any_": none_of("flow.id"),
    "name.any_": any_of("flow.name"),
    "name.like_": like("flow.name"),
    "tags.all_": has_all_tags("flow.tags"),
    "tags.is_null_": has_no_tags("flow.tags"),
    "deployment.is_null_": _has_no_deployment,
}

_STARTED = "coalesce(flow_run.start_time, flow_run.expected_start_time)"

FLOW_RUN: Table = {
    "id.any_": any_of("flow_run.id"),
    "id.not_any_": none_of("flow_run.id"),
    "name.any_": any_name_of("flow_run.name"),
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
    "name.any_": any_name_of("task_run.name"),
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
