"""Filters on deployments, work pools and work queues: what each condition is."""

from typing import Any

from penstock.schemas.shapes import Operator
from penstock.server.store.selection.conditions import (
    FALSE,
    Part,
    Table,
    any_of,
    begins_with,
    has_all_tags,
    has_any_tag,
    has_no_tags,
    joined,
    like,
    none_of,
)
from penstock.server.store.transaction import Dialect


def _ignored(value: Any, dialect: Dialect) -> None:
    """A member that the contract accepts and that says nothing."""
    return


def _named(wanted: str, dialect: Dialect) -> Part | None:
    """The deployment's name or its flow's holds the text."""
    own = like("deployment.name")(wanted, dialect)
    flow = like("named.name")(wanted, dialect)
    if own is None or flow is None:
        return None
    of_flow = Part(
        f"EXISTS (SELECT 1 FROM flow AS named WHERE named.id = deployment.flow_id AND {flow.sql})",
        flow.params,
    )
    return joined([own, of_flow], Operator.OR)


def _queue_begins(wanted: list[str], dialect: Dialect) -> Part:
    return begins_with("work_queue.name", wanted) if wanted else FALSE


DEPLOYMENT: Table = {
    "id.any_": any_of("deployment.id"),
    "id.not_any_": none_of("deployment.id"),
    "name.any_": any_of("deployment.name"),
    "name.like_": like("deployment.name"),
    "flow_or_deployment_name.like_": _named,
    "paused.eq_": lambda wanted, _: Part("deployment.paused = ?", (wanted,)),
    "tags.all_": has_all_tags("deployment.tags"),
    "tags.any_": has_any_tag("deployment.tags"),
    "tags.is_null_": has_no_tags("deployment.tags"),
    "work_queue_name.any_": any_of("deployment.work_queue_name"),
    "concurrency_limit.ge_": _ignored,
    "concurrency_limit.le_": _ignored,
    "concurrency_limit.is_null_": _ignored,
}

WORK_POOL: Table = {
    "id.any_": any_of("work_pool.id"),
    "name.any_": any_of("work_pool.name"),
    "type.any_": any_of("work_pool.type"),
}

WORK_QUEUE: Table = {
    "id.any_": any_of("work_queue.id"),
    "name.any_": any_of("work_queue.name"),
    "name.startswith_": _queue_begins,
}
