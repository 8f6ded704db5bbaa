"""How a filter on one kind of object restricts another: as the existence of such an object."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from penstock.server.store.selection.artifacts import ARTIFACT, ARTIFACT_COLLECTION, VARIABLE
from penstock.server.store.selection.automations import AUTOMATION
from penstock.server.store.selection.blocks import BLOCK_DOCUMENT, BLOCK_SCHEMA, BLOCK_TYPE
from penstock.server.store.selection.conditions import TRUE, Part, Table, compiled, joined
from penstock.server.store.selection.deployments import DEPLOYMENT, WORK_POOL, WORK_QUEUE
from penstock.server.store.selection.runs import FLOW, FLOW_RUN, LOG, TASK_RUN
from penstock.server.store.transaction import Dialect

Filters = Mapping[str, Struct]

TABLES: dict[str, Table] = {
    "flow": FLOW,
    "flow_run": FLOW_RUN,
    "task_run": TASK_RUN,
    "log": LOG,
    "deployment": DEPLOYMENT,
    "work_pool": WORK_POOL,
    "work_queue": WORK_QUEUE,
    "block_type": BLOCK_TYPE,
    "block_schema": BLOCK_SCHEMA,
    "block_document": BLOCK_DOCUMENT,
    "automation": AUTOMATION,
    "variable": VARIABLE,
    "artifact": ARTIFACT,
    "artifact_collection": ARTIFACT_COLLECTION,
}


def conditions(entity: str, filters: Filters, dialect: Dialect) -> Part:
    """What `filters` ask of a row of `entity`."""
    own = _own(entity, filters, dialect)
    return joined([own, *_OTHERS.get(entity, _nothing)(filters, dialect)])


def _own(entity: str, filters: Filters, dialect: Dialect) -> Part:
    given = filters.get(entity)
    return TRUE if given is None else compiled(given, TABLES[entity], dialect)


def _nothing(filters: Filters, dialect: Dialect) -> Iterable[Part]:
    return ()


def _of_flow(filters: Filters, dialect: Dialect) -> Iterable[Part]:
    """A run that satisfies all filters on runs and tasks; a deployment, all the others."""
    if "flow_run" in filters or "task_run" in filters:
        parts = [_own("flow_run", filters, dialect), *_tasks(filters, dialect)]
        yield _exists("flow_run", "flow_run.flow_id = flow.id", parts)
    work = list(_work("deployment", filters, dialect))
    if "deployment" in filters or work:
        parts = [_own("deployment", filters, dialect), *work]
        yield _exists("deployment", "deployment.flow_id = flow.id", parts)


def _of_flow_run(filters: Filters, dialect: Dialect) -> Iterable[Part]:
    yield from _belongings(filters, dialect)
    yield from _tasks(filters, dialect)


def _of_task_run(filters: Filters, dialect: Dialect) -> Iterable[Part]:
    """All filters on other things need a flow run, and the same one."""
    belongings = list(_belongings(filters, dialect))
    if "flow_run" in filters or belongings:
        parts = [_own("flow_run", filters, dialect), *belongings]
        yield _exists("flow_run", "flow_run.id = task_run.flow_run_id", parts)


def _of_deployment(filters: Filters, dialect: Dialect) -> Iterable[Part]:
    if "flow" in filters:
        yield _exists("flow", "flow.id = deployment.flow_id", [_own("flow", filters, dialect)])
    if "flow_run" in filters or "task_run" in filters:
        parts = [_own("flow_run", filters, dialect), *_tasks(filters, dialect)]
        yield _exists("flow_run", "flow_run.deployment_id = deployment.id", parts)
    yield from _work("deployment", filters, dialect)


def _of_work_queue(filters: Filters, dialect: Dialect) -> Iterable[Part]:
    if "work_pool" in filters:
        yield _exists(
            "work_pool",
            "work_pool.id = work_queue.work_pool_id",
            [_own("work_pool", filters, dialect)],
        )


def _of_block_type(filters: Filters, dialect: Dialect) -> Iterable[Part]:
    if "block_schema" in filters:
        own = _own("block_schema", filters, dialect)
        yield _exists("block_schema", "block_schema.block_type_id = block_type.id", [own])


def _of_block_document(filters: Filters, dialect: Dialect) -> Iterable[Part]:
    for other in ("block_schema", "block_type"):
        if other in filters:
            link = f"{other}.id = block_document.{other}_id"
            yield _exists(other, link, [_own(other, filters, dialect)])


def _of_artifact(table: str) -> Callable[[Filters, Dialect], Iterable[Part]]:
    def others(filters: Filters, dialect: Dialect) -> Iterable[Part]:
        """The task run that made it, and the flow run, flow and deployment that was part of."""
        if "task_run" in filters:
            own = _own("task_run", filters, dialect)
            yield _exists("task_run", f"task_run.id = {table}.task_run_id", [own])
        belongings = list(_belongings(filters, dialect))
        if "flow_run" in filters or belongings:
            parts = [_own("flow_run", filters, dialect), *belongings]
            yield _exists("flow_run", f"flow_run.id = {table}.flow_run_id", parts)

    return others


def _belongings(filters: Filters, dialect: Dialect) -> Iterable[Part]:
    """What a flow run belongs to: its flow, its deployment, its queue and pool."""
    if "flow" in filters:
        yield _exists("flow", "flow.id = flow_run.flow_id", [_own("flow", filters, dialect)])
    if "deployment" in filters:
        own = _own("deployment", filters, dialect)
        yield _exists("deployment", "deployment.id = flow_run.deployment_id", [own])
    yield from _work("flow_run", filters, dialect)


def _tasks(filters: Filters, dialect: Dialect) -> Iterable[Part]:
    if "task_run" in filters:
        own = _own("task_run", filters, dialect)
        yield _exists("task_run", "task_run.flow_run_id = flow_run.id", [own])


def _work(owner: str, filters: Filters, dialect: Dialect) -> Iterable[Part]:
    """The queue of a run or deployment, which must also be in the pool asked for."""
    if "work_queue" in filters or "work_pool" in filters:
        parts = [_own("work_queue", filters, dialect), *_of_work_queue(filters, dialect)]
        yield _exists("work_queue", f"work_queue.id = {owner}.work_queue_id", parts)


def _exists(table: str, link: str, parts: Iterable[Part]) -> Part:
    inner = joined([Part(link), *parts])
    return Part(f"EXISTS (SELECT 1 FROM {table} WHERE {inner.sql})", inner.params)


_OTHERS: dict[str, Callable[[Filters, Dialect], Iterable[Part]]] = {
    "flow": _of_flow,
    "flow_run": _of_flow_run,
    "task_run": _of_task_run,
    "deployment": _of_deployment,
    "work_queue": _of_work_queue,
    "block_type": _of_block_type,
    "block_document": _of_block_document,
    "artifact": _of_artifact("artifact"),
    "artifact_collection": _of_artifact("artifact_collection"),
}
