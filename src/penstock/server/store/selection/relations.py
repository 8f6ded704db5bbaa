"""How a filter on one kind of object restricts another: there is such an object."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from penstock.schemas.shapes import Operator
from penstock.server.store.selection.access import (
    Lead,
    Term,
    best,
    counted,
    held_back,
    terms,
    whole,
)
from penstock.server.store.selection.artifacts import ARTIFACT, ARTIFACT_COLLECTION, VARIABLE
from penstock.server.store.selection.automations import AUTOMATION
from penstock.server.store.selection.blocks import BLOCK_DOCUMENT, BLOCK_SCHEMA, BLOCK_TYPE
from penstock.server.store.selection.conditions import Part, Table, joined, where_clause
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


def asked(entity: str, filters: Filters, dialect: Dialect) -> list[Term]:
    """What `filters` ask of a row of `entity`."""
    return [*_own(entity, filters, dialect), *_OTHERS.get(entity, _nothing)(filters, dialect)]


def _own(entity: str, filters: Filters, dialect: Dialect) -> list[Term]:
    given = filters.get(entity)
    return [] if given is None else terms(entity, given, TABLES[entity], dialect)


def _nothing(filters: Filters, dialect: Dialect) -> Iterable[Term]:
    return ()


def _of_flow(filters: Filters, dialect: Dialect) -> Iterable[Term]:
    """A run that satisfies all filters on runs and tasks; a deployment, all the others."""
    if "flow_run" in filters or "task_run" in filters:
        inner = [*_own("flow_run", filters, dialect), *_tasks(filters, dialect)]
        yield _related("flow.id", "flow_run", "flow_id", inner, dialect)
    work = list(_work("deployment", filters, dialect))
    if "deployment" in filters or work:
        inner = [*_own("deployment", filters, dialect), *work]
        yield _related("flow.id", "deployment", "flow_id", inner, dialect)


def _of_flow_run(filters: Filters, dialect: Dialect) -> Iterable[Term]:
    yield from _belongings(filters, dialect)
    yield from _tasks(filters, dialect)


def _of_task_run(filters: Filters, dialect: Dialect) -> Iterable[Term]:
    """All filters on other things need a flow run, and the same one."""
    belongings = list(_belongings(filters, dialect))
    if "flow_run" in filters or belongings:
        inner = [*_own("flow_run", filters, dialect), *belongings]
        yield _related("task_run.flow_run_id", "flow_run", "id", inner, dialect)


def _of_deployment(filters: Filters, dialect: Dialect) -> Iterable[Term]:
    if "flow" in filters:
        inner = _own("flow", filters, dialect)
        yield _related("deployment.flow_id", "flow", "id", inner, dialect, _only(filters, "flow"))
    if "flow_run" in filters or "task_run" in filters:
        inner = [*_own("flow_run", filters, dialect), *_tasks(filters, dialect)]
        yield _related("deployment.id", "flow_run", "deployment_id", inner, dialect)
    yield from _work("deployment", filters, dialect)


def _of_work_queue(filters: Filters, dialect: Dialect) -> Iterable[Term]:
    if "work_pool" in filters:
        inner, one = _own("work_pool", filters, dialect), _only(filters, "work_pool")
        yield _related("work_queue.work_pool_id", "work_pool", "id", inner, dialect, one)


def _of_block_type(filters: Filters, dialect: Dialect) -> Iterable[Term]:
    if "block_schema" in filters:
        inner = _own("block_schema", filters, dialect)
        yield _related("block_type.id", "block_schema", "block_type_id", inner, dialect)


def _of_block_document(filters: Filters, dialect: Dialect) -> Iterable[Term]:
    for other in ("block_schema", "block_type"):
        if other in filters:
            inner = _own(other, filters, dialect)
            yield _related(f"block_document.{other}_id", other, "id", inner, dialect)


def _of_artifact(table: str) -> Callable[[Filters, Dialect], Iterable[Term]]:
    def others(filters: Filters, dialect: Dialect) -> Iterable[Term]:
        """The task run that made it, and the flow run, flow and deployment that was part of."""
        if "task_run" in filters:
            inner = _own("task_run", filters, dialect)
            yield _related(f"{table}.task_run_id", "task_run", "id", inner, dialect)
        belongings = list(_belongings(filters, dialect))
        if "flow_run" in filters or belongings:
            inner = [*_own("flow_run", filters, dialect), *belongings]
            yield _related(f"{table}.flow_run_id", "flow_run", "id", inner, dialect)

    return others


def _belongings(filters: Filters, dialect: Dialect) -> Iterable[Term]:
    """What a flow run belongs to: its flow, its deployment, its queue and pool."""
    for other in ("flow", "deployment"):
        if other in filters:
            inner, one = _own(other, filters, dialect), _only(filters, other)
            yield _related(f"flow_run.{other}_id", other, "id", inner, dialect, one)
    yield from _work("flow_run", filters, dialect)


def _tasks(filters: Filters, dialect: Dialect) -> Iterable[Term]:
    if "task_run" in filters:
        inner = _own("task_run", filters, dialect)
        yield _related("flow_run.id", "task_run", "flow_run_id", inner, dialect)


def _work(owner: str, filters: Filters, dialect: Dialect) -> Iterable[Term]:
    """The queue of a run or deployment, which must also be in the pool asked for."""
    if "work_queue" in filters or "work_pool" in filters:
        inner = [*_own("work_queue", filters, dialect), *_of_work_queue(filters, dialect)]
        one = _only(filters, "work_queue") and "work_pool" not in filters
        if _names_one(filters, "work_queue") and _only(filters, "work_pool"):
            one = True
        yield _related(f"{owner}.work_queue_id", "work_queue", "id", inner, dialect, one)


# --- one relation --------------------------------------------------------------------------------

_FEW = frozenset({"flow", "deployment", "work_pool", "work_queue", "block_schema", "block_type"})
"""What people make by hand: asking once for all that match costs less than asking for each row."""
_UNIQUE = {
    "flow": ("id", "name"),
    "work_pool": ("id", "name"),
    "deployment": ("id",),
    "work_queue": ("id",),
}


def _only(filters: Filters, entity: str) -> bool:
    """Whether the filter gives one value of what is different for every object."""
    return any(_single(filters.get(entity), member) for member in _UNIQUE[entity])


def _names_one(filters: Filters, entity: str) -> bool:
    return _single(filters.get(entity), "name")


def _single(given: Struct | None, member: str) -> bool:
    if given is None or getattr(given, "operator", Operator.AND) is not Operator.AND:
        return False
    wanted = getattr(getattr(given, member, None), "any_", None)
    return wanted is not None and len(wanted) == 1


def _related(
    mine: str, other: str, its: str, inner: list[Term], dialect: Dialect, one: bool = False
) -> Term:
    """Some row of `other` whose column `its` is my column, and that satisfies `inner`.

    `one`: there is at most one such row, so that its column is a value like any other.
    """
    rows = counted(other, inner, dialect)
    found = Part(f"SELECT {other}.{its} FROM {other}" + where_clause(rows), rows.params)
    if one:
        return Term(Part(f"{mine} = ({found.sql})", found.params), Lead.OWNER)
    lead = best(inner)
    listed = Part(f"{mine} IN ({found.sql})", found.params)
    if other in _FEW:
        return Term(listed, Lead.OWNER if lead is Lead.KEY else Lead.MANY)
    looked_up = joined([Part(f"{other}.{its} = {mine}"), held_back(other, whole(inner))])
    if dialect == "postgresql":
        looked_up = joined([Part(f"{other}.{its} = {mine}"), whole(inner)])
    exists = Part(f"EXISTS (SELECT 1 FROM {other} WHERE {looked_up.sql})", looked_up.params)
    if lead in (Lead.COMMON, Lead.NONE):
        return Term(exists)
    return Term(exists, max(lead, Lead.OWNER), listed)


_OTHERS: dict[str, Callable[[Filters, Dialect], Iterable[Term]]] = {
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
