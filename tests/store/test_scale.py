"""No documented filter or sort reads a whole table of those that grow with use.

The plans of both databases are asked for, over a small store with the shape of a large one. A
list may walk along an index in the order it is asked for, because it stops when its page is full;
it may not sort such a walk. A count may not walk at all.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest
from benchmarks import scale_data
from tests.store.test_run_selection import TYPES

from penstock.schemas.events import EventFilter
from penstock.schemas.flow_runs import FlowRunSort
from penstock.schemas.logs import LogSort
from penstock.schemas.task_runs import TaskRunSort
from penstock.server.store import Store, open_store
from penstock.server.store.selection import count, select
from penstock.server.store.selection.relations import TABLES
from penstock.server.store.transaction import Tx

GROWING = frozenset(
    {"flow_run", "flow_run_state", "task_run", "task_run_state", "log", "event", "event_resource"}
)
SORTS: dict[str, Any] = {"flow_run": FlowRunSort, "task_run": TaskRunSort, "log": LogSort}
DEFAULT = {"flow_run": "ID_DESC", "task_run": "ID_DESC", "log": "TIMESTAMP_ASC"}
RELATED = {
    "flow_run": ("flow", "deployment", "work_pool", "work_queue", "task_run"),
    "task_run": ("flow", "deployment", "flow_run"),
}
COUNTS_THAT_READ_ALL = {
    # 2026-11-25: what a filter leaves out is the smaller part, if it asks for no value.
    "flow_run": {
        "id.not_any_", "state.type.not_any_", "state.name.not_any_", "idempotency_key.not_any_",
        "tags.is_null_", "deployment_id.is_null_", "work_queue_name.is_null_",
        "start_time.is_null_", "parent_task_run_id.is_null_", "created_by.is_null_",
        # Parts of texts and members of documents are in no index.
        "name.like_", "tags.all_", "tags.any_", "created_by.id_", "created_by.type_",
        # Each would cost every run another index.
        "work_queue_name.any_", "flow_version.any_",
    },
    "task_run": {
        "name.like_", "tags.all_", "tags.is_null_", "start_time.is_null_", "subflow_runs.exists_",
    },
    "log": {"level.ge_", "level.le_", "text.query"},
}  # fmt: skip
EVENT_FILTERS: list[dict[str, Any]] = [
    {},
    {"event": {"name": ["prefect.flow-run.Running"]}},
    {"event": {"prefix": ["prefect.flow-run."]}},
    {"id": {"id": ["00000000-0000-7000-8000-000000000000"]}},
    {"resource": {"id": ["prefect.flow-run.one"]}},
    {"resource": {"id": ["prefect.flow-run.one", "prefect.flow-run.two"]}},
    {"resource": {"labels": {"prefect.resource.name": "run"}}},
    {"related": {"id": ["prefect.flow.one"], "role": ["flow"]}},
    {"any_resource": {"id": ["prefect.flow.one"]}},
    {"any_resource": {"id_prefix": ["prefect.flow."]}},
    {"text": {"query": "disk"}},
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('scale')}/store.db"
    else:
        url = request.getfixturevalue("postgres_schema")
    scale_data.fill(url, 1_000, report=lambda line: None)
    store = open_store(url)
    store.start()
    yield store
    store.stop()


@pytest.fixture(scope="module")
def postgres_schema(postgres_database: str | None) -> Iterator[str]:
    if postgres_database is None:
        pytest.skip("2026-11-25: no PostgreSQL server answers at PENSTOCK_TEST_POSTGRES")
    schema = f"scale_{uuid4().hex}"
    with closing(psycopg.connect(postgres_database, autocommit=True)) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        separator = "&" if "?" in postgres_database else "?"
        yield f"{postgres_database}{separator}options=-c%20search_path%3D{schema}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


def test_a_list_is_read_in_its_order_or_through_a_filter(filled: Store) -> None:
    found = [
        (entity, sort.value, bad)
        for entity, sorts in SORTS.items()
        for sort in sorts
        if (bad := sorted_walks(filled, entity, {}, sort))
    ]
    found += [
        (entity, path, bad)
        for entity, default in DEFAULT.items()
        for path in TABLES[entity]
        if (bad := sorted_walks(filled, entity, {entity: filter_at(entity, path)}, default))
    ]
    assert found == []


def test_a_list_is_so_too_when_a_filter_is_on_something_else(filled: Store) -> None:
    found = [
        (entity, other, path, bad)
        for entity, others in RELATED.items()
        for other in others
        for path in TABLES[other]
        if (bad := sorted_walks(filled, entity, {other: filter_at(other, path)}, DEFAULT[entity]))
    ]
    assert found == []


def test_a_count_reads_what_it_counts(filled: Store) -> None:
    dialect = filled.dialect
    found = {
        entity: {
            path
            for path in TABLES[entity]
            if walks(filled, *count(entity, {entity: filter_at(entity, path)}, dialect=dialect))
        }
        for entity in DEFAULT
    }
    assert {entity: paths - COUNTS_THAT_READ_ALL[entity] for entity, paths in found.items()} == {
        entity: set() for entity in DEFAULT
    }


def test_events_are_found_by_time_name_and_resource(filled: Store) -> None:
    found = []
    for body in EVENT_FILTERS:
        given = msgspec.convert(body, EventFilter)
        page = select("event", {"event": given}, limit=50, dialect=filled.dialect)
        bad = {
            **walks(filled, *page),
            **walks(filled, *count("event", {"event": given}, dialect=filled.dialect)),
        }
        if bad:
            found.append((body, bad))
    assert found == []


def sorted_walks(store: Store, entity: str, filters: dict[str, Any], sort: Any) -> dict[str, bool]:
    page = select(entity, filters, sort=sort, limit=200, dialect=store.dialect)
    return {table: bad for table, bad in walks(store, *page).items() if bad}


# --- filters -------------------------------------------------------------------------------------


def value(path: str) -> Any:
    """Something that the member of a filter at `path` may ask for."""
    member = path.rpartition(".")[2]
    if member in ("is_null_", "exists_", "eq_"):
        return True
    if member == "after_":
        return datetime.now(UTC)
    if member == "before_":
        return datetime.now(UTC) - scale_data.SPAN + timedelta(days=1)
    if member in ("like_", "query"):
        return "run-9"
    if member in ("ge_", "le_"):
        return 20
    if path.startswith("state.type."):
        return ["FAILED"]
    if path.startswith("created_by.type_"):
        return ["SCHEDULE"]
    return ["name"] if "id" not in path else [str(uuid4())]


def filter_at(entity: str, path: str) -> msgspec.Struct:
    nested: Any = value(path)
    for member in reversed(path.split(".")):
        nested = {member: nested}
    return msgspec.convert(nested, TYPES[entity], str_keys=True)


# --- plans ---------------------------------------------------------------------------------------


def walks(store: Store, sql: str, params: list[Any]) -> dict[str, bool]:
    """The growing tables that the plan reads from one end, and whether it sorts them then."""
    if store.dialect == "sqlite":
        return store.read_sync(lambda tx: _walks_of_sqlite(tx, sql, params))
    return store.write_sync(lambda tx: _walks_of_postgresql(tx, sql, params))


def _walks_of_sqlite(tx: Tx, sql: str, params: list[Any]) -> dict[str, bool]:
    steps = [row["detail"] for row in tx.fetch(f"EXPLAIN QUERY PLAN {sql}", params)]
    sorts = any("TEMP B-TREE FOR ORDER BY" in step for step in steps)
    found = {}
    for step in steps:
        verb, _, rest = step.partition(" ")
        table = rest.split(" ")[0]
        if verb == "SCAN" and table in GROWING:
            found[table] = sorts or "INDEX" not in rest
    return found


def _walks_of_postgresql(tx: Tx, sql: str, params: list[Any]) -> dict[str, bool]:
    # At this size it reads and sorts a whole table even where an index has what is asked for.
    for way in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"):
        tx.fetch(f"SELECT set_config('enable_{way}', 'off', true)", [])
    (row,) = tx.fetch(f"EXPLAIN (FORMAT JSON) {sql}", params)
    plan = row["QUERY PLAN"]
    found: dict[str, bool] = {}
    _visit((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"], False, found)
    return found


def _visit(node: dict[str, Any], sorted_: bool, found: dict[str, bool]) -> None:
    kind = node["Node Type"]
    reads = node.get("Relation Name") in GROWING and kind != "Bitmap Heap Scan"
    if reads and "Index Cond" not in node:
        found[node["Relation Name"]] = sorted_ or kind == "Seq Scan"
    if kind == "Limit":
        sorted_ = False
    for inner in node.get("Plans", ()):
        # An incremental sort reads on only as far as it needs.
        _visit(inner, sorted_ or kind in ("Sort", "Hash"), found)
