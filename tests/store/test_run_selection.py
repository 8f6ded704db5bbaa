"""Filters and sorts of flows, flow runs, task runs and logs over a small known database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest

from penstock.schemas.artifacts import ArtifactCollectionFilter, ArtifactFilter
from penstock.schemas.automations import AutomationFilter
from penstock.schemas.blocks import BlockDocumentFilter, BlockSchemaFilter, BlockTypeFilter
from penstock.schemas.filters import (
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
    TaskRunFilter,
    WorkPoolFilter,
    WorkQueueFilter,
)
from penstock.schemas.flow_runs import FlowRunSort
from penstock.schemas.flows import FlowSort
from penstock.schemas.logs import LogFilter, LogSort
from penstock.schemas.task_runs import TaskRunSort
from penstock.schemas.variables import VariableFilter
from penstock.server.store import Store
from penstock.server.store.selection import count, matching, select
from penstock.server.store.selection.relations import TABLES
from penstock.server.store.transaction import Row, Tx

SPACE = UUID("5b4f6f3e-3f0b-4b52-9f0e-0d6f3a2c9c12")
TYPES: dict[str, type[msgspec.Struct]] = {
    "flow": FlowFilter,
    "flow_run": FlowRunFilter,
    "task_run": TaskRunFilter,
    "log": LogFilter,
    "deployment": DeploymentFilter,
    "work_pool": WorkPoolFilter,
    "work_queue": WorkQueueFilter,
    "variable": VariableFilter,
    "artifact": ArtifactFilter,
    "artifact_collection": ArtifactCollectionFilter,
    "automation": AutomationFilter,
    "block_type": BlockTypeFilter,
    "block_schema": BlockSchemaFilter,
    "block_document": BlockDocumentFilter,
}


def id_of(name: str) -> str:
    return str(uuid5(SPACE, name))


def hour(number: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)


FLOWS: list[Row] = [
    {"name": "etl", "tags": ["prod", "daily"], "created": hour(1)},
    {"name": "report_x", "tags": ["prod"], "created": hour(3)},
    {"name": "reportAx", "tags": [], "created": hour(2)},
]

POOLS: list[Row] = [
    {"name": "k8s", "type": "kubernetes"},
    {"name": "local", "type": "process"},
]

QUEUES: list[Row] = [
    {"name": "fast", "pool": "k8s"},
    {"name": "slow", "pool": "local"},
]

DEPLOYMENTS: list[Row] = [
    {"name": "nightly", "flow": "etl", "tags": ["d", "e"], "queue": "fast", "paused": False},
    {"name": "manual", "flow": "etl", "tags": ["d"], "queue": "slow", "paused": True},
    {"name": "weekly", "flow": "report_x", "tags": [], "paused": False},
]

RUNS: list[Row] = [
    {
        "name": "one",
        "flow": "etl",
        "tags": ["a", "b"],
        "type": "RUNNING",
        "state": "Running",
        "expected": 1,
        "start": 2,
        "deployment_id": id_of("nightly"),
        "work_queue_name": "fast",
        "work_queue_id": id_of("fast"),
        "flow_version": "v1",
        "idempotency_key": "k1",
        "created_by": {"id": id_of("automation"), "type": "AUTOMATION"},
    },
    {
        "name": "two",
        "flow": "etl",
        "tags": ["b"],
        "type": "COMPLETED",
        "state": "Completed",
        "expected": 3,
        "start": 3,
        "end": 5,
        "deployment_id": id_of("manual"),
        "work_queue_name": "slow",
        "work_queue_id": id_of("slow"),
        "idempotency_key": "k2",
        "created_by": {"type": "SCHEDULE"},
    },
    {
        "name": "three",
        "flow": "report_x",
        "tags": [],
        "type": "SCHEDULED",
        "state": "Late",
        "expected": 2,
        "next": 2,
        "flow_version": "v2",
    },
    {
        "name": "Child 50%",
        "flow": "reportAx",
        "tags": ["c_d"],
        "type": "FAILED",
        "state": "Failed",
        "expected": 4,
        "start": 4,
        "end": 4,
        "next": 1,
        "parent": "subflow",
    },
    {"name": "new", "flow": "etl", "tags": []},
]

TASKS: list[Row] = [
    {"name": "extract", "run": "one", "tags": ["io"], "type": "RUNNING", "state": "Running",
     "start": 2, "expected": 1},
    {"name": "load", "run": "one", "tags": [], "type": "COMPLETED", "state": "Cached",
     "start": 3, "end": 4, "expected": 2},
    {"name": "subflow", "run": "two", "tags": ["io", "net"], "type": "FAILED", "state": "Failed",
     "start": 1, "end": 2, "next": 5},
    {"name": "background", "run": None, "tags": [], "expected": 3},
]  # fmt: skip

LOGS: list[Row] = [
    {"message": "Disk is FULL", "level": 40, "at": 1, "run": "one"},
    {"message": "disk is fine", "level": 20, "at": 3, "run": "one", "task": "extract"},
    {"message": "100% done", "level": 10, "at": 2, "run": "two", "task": "subflow"},
    {"message": "hello \"world\"", "level": 20, "at": 4},
]  # fmt: skip


def insert(tx: Tx, table: str, values: dict[str, Any]) -> None:
    given = {name: value for name, value in values.items() if value is not None}
    marks = ", ".join("?" * len(given))
    sql = f"INSERT INTO {table} ({', '.join(given)}) VALUES ({marks}) RETURNING id"
    tx.fetch(sql, list(given.values()))


def at(row: Row, name: str) -> datetime | None:
    return hour(row[name]) if name in row else None


def run_columns(row: Row) -> Row:
    """What flow runs and task runs have in common."""
    typed = "type" in row
    return {
        "id": id_of(row["name"]),
        "name": row["name"],
        "tags": row["tags"],
        "state_id": id_of(f"state of {row['name']}") if typed else None,
        "state_type": row.get("type"),
        "state_name": row.get("state"),
        "state_timestamp": hour(0) if typed else None,
        "start_time": at(row, "start"),
        "end_time": at(row, "end"),
        "expected_start_time": at(row, "expected"),
        "next_scheduled_start_time": at(row, "next"),
        "created": hour(0),
        "updated": hour(0),
    }


def insert_state(tx: Tx, kind: str, row: Row) -> None:
    if "type" in row:
        insert(
            tx,
            f"{kind}_state",
            {
                "id": id_of(f"state of {row['name']}"),
                f"{kind}_id": id_of(row["name"]),
                "type": row["type"],
                "name": row["state"],
                "timestamp": hour(0),
                "message": f"message of {row['name']}",
                "state_details": {"deferred": False},
                "data": {"type": "unpersisted"},
            },
        )


def fill_work(tx: Tx) -> None:
    made = {"created": hour(0), "updated": hour(0)}
    for row in POOLS:
        insert(tx, "work_pool", {**row, **made, "id": id_of(row["name"])})
    for row in QUEUES:
        columns = {"id": id_of(row["name"]), "name": row["name"], **made}
        insert(tx, "work_queue", {**columns, "work_pool_id": id_of(row["pool"])})
    for row in DEPLOYMENTS:
        queue = row.get("queue")
        columns = {
            "id": id_of(row["name"]),
            "flow_id": id_of(row["flow"]),
            "name": row["name"],
            "tags": row["tags"],
            "paused": row["paused"],
            "work_queue_id": id_of(queue) if queue else None,
            "work_queue_name": queue,
        }
        insert(tx, "deployment", {**columns, **made})


def fill(tx: Tx) -> None:
    for row in FLOWS:
        insert(tx, "flow", {**row, "id": id_of(row["name"]), "updated": row["created"]})
    fill_work(tx)
    for row in RUNS:
        extra = ("deployment_id", "work_queue_name", "work_queue_id", "flow_version",
                 "idempotency_key", "created_by")  # fmt: skip
        columns = run_columns(row) | {name: row.get(name) for name in extra}
        columns["flow_id"] = id_of(row["flow"])
        columns["parent_task_run_id"] = id_of(row["parent"]) if "parent" in row else None
        insert(tx, "flow_run", columns)
        insert_state(tx, "flow_run", row)
    for row in TASKS:
        columns = run_columns(row) | {"task_key": row["name"], "dynamic_key": "0"}
        columns["flow_run_id"] = id_of(row["run"]) if row["run"] else None
        insert(tx, "task_run", columns)
        insert_state(tx, "task_run", row)
    for number, row in enumerate(LOGS):
        insert(
            tx,
            "log",
            {
                "id": id_of(f"log {number}"),
                "name": "penstock.flow_runs",
                "level": row["level"],
                "message": row["message"],
                "timestamp": hour(row["at"]),
                "flow_run_id": id_of(row["run"]) if "run" in row else None,
                "task_run_id": id_of(row["task"]) if "task" in row else None,
                "created": hour(0),
            },
        )


@pytest.fixture
def filled(store: Store) -> Store:
    store.write_sync(fill)
    return store


def decoded(filters: dict[str, Any]) -> dict[str, Any]:
    return {
        entity: msgspec.convert(content, TYPES[entity], strict=False)
        for entity, content in filters.items()
    }


def found(store: Store, entity: str, filters: dict[str, Any], **how: Any) -> list[str]:
    given = decoded(filters)
    column = "message" if entity == "log" else "name"

    def look(tx: Tx) -> tuple[list[str], int, int]:
        sql, params = select(entity, given, dialect=tx.dialect, **how)
        names = [row[column] for row in tx.fetch(sql, params)]
        sql, params = count(entity, given, dialect=tx.dialect)
        total = tx.fetch(sql, params)[0]["count"]
        sql, params = matching(entity, given, dialect=tx.dialect)
        return names, total, len(tx.fetch(sql, params))

    names, total, matched = store.read_sync(look)
    assert total == matched
    if not how:
        assert total == len(names)
    return names


EVERY_RUN = {"one", "two", "three", "Child 50%", "new"}
EVERY_TASK = {"extract", "load", "subflow", "background"}
EVERY_FLOW = {"etl", "report_x", "reportAx"}

FLOW_RUN_CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, EVERY_RUN),
    ({"id": {"any_": [id_of("one")]}}, {"one"}),
    ({"id": {"any_": [id_of("one"), id_of("two"), id_of("none")]}}, {"one", "two"}),
    ({"id": {"any_": []}}, set()),
    ({"id": {"not_any_": []}}, EVERY_RUN),
    ({"id": {"not_any_": [id_of("one"), id_of("new")]}}, EVERY_RUN - {"one", "new"}),
    ({"id": {"any_": [id_of("one"), id_of("two")], "not_any_": [id_of("two")]}}, {"one"}),
    ({"name": {"any_": ["one", "three"]}}, {"one", "three"}),
    ({"name": {"like_": "O"}}, {"one", "two"}),
    ({"name": {"like_": ""}}, EVERY_RUN),
    ({"name": {"like_": "%"}}, {"Child 50%"}),
    ({"name": {"like_": "_"}}, set()),
    ({"tags": {"all_": ["b"]}}, {"one", "two"}),
    ({"tags": {"all_": ["b", "a"]}}, {"one"}),
    ({"tags": {"all_": []}}, EVERY_RUN),
    ({"tags": {"any_": ["a", "c_d"]}}, {"one", "Child 50%"}),
    ({"tags": {"any_": []}}, set()),
    ({"tags": {"is_null_": True}}, {"three", "new"}),
    ({"tags": {"is_null_": False}}, {"one", "two", "Child 50%"}),
    ({"tags": {"operator": "or_", "all_": ["a"], "is_null_": True}}, {"one", "three", "new"}),
    ({"tags": {"all_": ["a"], "is_null_": True}}, set()),
    ({"deployment_id": {"any_": [id_of("nightly")]}}, {"one"}),
    ({"deployment_id": {"is_null_": True}}, {"three", "Child 50%", "new"}),
    ({"deployment_id": {"is_null_": False}}, {"one", "two"}),
    (
        {"deployment_id": {"operator": "or_", "any_": [id_of("nightly")], "is_null_": True}},
        EVERY_RUN - {"two"},
    ),
    ({"work_queue_name": {"any_": ["slow"]}}, {"two"}),
    ({"work_queue_name": {"is_null_": True}}, {"three", "Child 50%", "new"}),
    ({"state": {"type": {"any_": ["RUNNING", "FAILED"]}}}, {"one", "Child 50%"}),
    ({"state": {"type": {"not_any_": ["RUNNING"]}}}, {"two", "three", "Child 50%"}),
    ({"state": {"type": {"any_": ["RUNNING", "FAILED"], "not_any_": ["FAILED"]}}}, {"one"}),
    ({"state": {"name": {"any_": ["Late"]}}}, {"three"}),
    ({"state": {"name": {"not_any_": ["Late", "Failed"]}}}, {"one", "two"}),
    (
        {"state": {"operator": "or_", "name": {"any_": ["Late"]}, "type": {"any_": ["FAILED"]}}},
        {"three", "Child 50%"},
    ),
    ({"flow_version": {"any_": ["v2"]}}, {"three"}),
    ({"start_time": {"after_": hour(3)}}, {"two", "Child 50%"}),
    ({"start_time": {"before_": hour(2)}}, {"one", "three"}),
    ({"start_time": {"is_null_": True}}, {"three", "new"}),
    ({"start_time": {"is_null_": False, "after_": hour(3)}}, {"two", "Child 50%"}),
    ({"end_time": {"after_": hour(5)}}, {"two"}),
    ({"end_time": {"before_": hour(4)}}, {"Child 50%"}),
    ({"end_time": {"is_null_": True}}, {"one", "three", "new"}),
    ({"expected_start_time": {"after_": hour(2), "before_": hour(3)}}, {"two", "three"}),
    ({"next_scheduled_start_time": {"before_": hour(1)}}, {"Child 50%"}),
    ({"next_scheduled_start_time": {"after_": hour(2)}}, {"three"}),
    ({"parent_flow_run_id": {"any_": [id_of("two")]}}, {"Child 50%"}),
    ({"parent_flow_run_id": {"any_": []}}, set()),
    ({"parent_task_run_id": {"any_": [id_of("subflow")]}}, {"Child 50%"}),
    ({"parent_task_run_id": {"is_null_": True}}, EVERY_RUN - {"Child 50%"}),
    ({"idempotency_key": {"any_": ["k1"]}}, {"one"}),
    ({"idempotency_key": {"not_any_": ["k1"]}}, {"two"}),
    ({"created_by": {"id_": [id_of("automation")]}}, {"one"}),
    ({"created_by": {"type_": ["SCHEDULE", "AUTOMATION"]}}, {"one", "two"}),
    ({"created_by": {"is_null_": True}}, {"three", "Child 50%", "new"}),
    ({"operator": "or_", "name": {"any_": ["one"]}, "tags": {"all_": ["c_d"]}},
     {"one", "Child 50%"}),
    ({"operator": "or_", "name": {}}, EVERY_RUN),
    ({"operator": "or_", "name": {}, "tags": {"all_": ["c_d"]}}, EVERY_RUN),
    ({"operator": "or_"}, EVERY_RUN),
]  # fmt: skip

TASK_RUN_CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, EVERY_TASK),
    ({"id": {"any_": [id_of("load")]}}, {"load"}),
    ({"name": {"any_": ["load"]}}, {"load"}),
    ({"name": {"like_": "LO"}}, {"load", "subflow"}),
    ({"tags": {"all_": ["io"]}}, {"extract", "subflow"}),
    ({"tags": {"is_null_": True}}, {"load", "background"}),
    ({"state": {"type": {"any_": ["FAILED"]}}}, {"subflow"}),
    ({"state": {"name": {"any_": ["Cached"]}}}, {"load"}),
    ({"start_time": {"after_": hour(2)}}, {"extract", "load"}),
    ({"start_time": {"before_": hour(1)}}, {"subflow"}),
    ({"start_time": {"is_null_": True}}, {"background"}),
    ({"end_time": {"before_": hour(2)}}, {"subflow"}),
    ({"end_time": {"after_": hour(3)}}, {"load"}),
    ({"end_time": {"is_null_": True}}, {"extract", "background"}),
    ({"expected_start_time": {"after_": hour(2)}}, {"load", "background"}),
    ({"expected_start_time": {"before_": hour(2)}}, {"extract", "load"}),
    ({"subflow_runs": {"exists_": True}}, {"subflow"}),
    ({"subflow_runs": {"exists_": False}}, EVERY_TASK - {"subflow"}),
    ({"flow_run_id": {}}, EVERY_TASK - {"background"}),
    ({"flow_run_id": {"is_null_": True}}, {"background"}),
    ({"flow_run_id": {"is_null_": None}}, EVERY_TASK),
    ({"flow_run_id": {"any_": [id_of("one")]}}, {"extract", "load"}),
    (
        {"flow_run_id": {"operator": "or_", "any_": [id_of("two")], "is_null_": True}},
        {"subflow", "background"},
    ),
]

FLOW_CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, EVERY_FLOW),
    ({"id": {"any_": [id_of("etl")]}}, {"etl"}),
    ({"id": {"not_any_": [id_of("etl")]}}, EVERY_FLOW - {"etl"}),
    ({"name": {"any_": ["etl", "none"]}}, {"etl"}),
    ({"name": {"like_": "REPORT_X"}}, {"report_x"}),
    ({"tags": {"all_": ["prod"]}}, {"etl", "report_x"}),
    ({"tags": {"is_null_": True}}, {"reportAx"}),
    ({"deployment": {"is_null_": True}}, {"reportAx"}),
    ({"deployment": {"is_null_": False}}, {"etl", "report_x"}),
    ({"deployment": {}}, EVERY_FLOW),
]

MESSAGES = [row["message"] for row in LOGS]
LOG_CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, [MESSAGES[0], MESSAGES[2], MESSAGES[1], MESSAGES[3]]),
    ({"level": {"ge_": 20, "le_": 30}}, [MESSAGES[1], MESSAGES[3]]),
    ({"timestamp": {"after_": hour(2), "before_": hour(3)}}, [MESSAGES[2], MESSAGES[1]]),
    ({"flow_run_id": {"any_": [id_of("one")]}}, MESSAGES[:2]),
    ({"task_run_id": {"any_": [id_of("subflow")]}}, [MESSAGES[2]]),
    ({"task_run_id": {"is_null_": True}}, [MESSAGES[0], MESSAGES[3]]),
    ({"text": {"query": "DISK"}}, MESSAGES[:2]),
    ({"text": {"query": "disk -full"}}, [MESSAGES[1]]),
    ({"text": {"query": "+disk +full"}}, [MESSAGES[0]]),
    ({"text": {"query": '"is full" "100%"'}}, [MESSAGES[0], MESSAGES[2]]),
    ({"text": {"query": '"\\"world\\""'}}, [MESSAGES[3]]),
    ({"text": {"query": "_"}}, [MESSAGES[0], MESSAGES[2], MESSAGES[1], MESSAGES[3]]),
    ({"text": {"query": "%"}}, [MESSAGES[2]]),
    ({"text": {"query": "penstock.flow"}}, [MESSAGES[0], MESSAGES[2], MESSAGES[1], MESSAGES[3]]),
    ({"operator": "or_", "level": {"ge_": 40}, "text": {"query": "100"}},
     [MESSAGES[0], MESSAGES[2]]),
]  # fmt: skip


def test_flow_run_filters(filled: Store) -> None:
    for given, expected in FLOW_RUN_CASES:
        assert set(found(filled, "flow_run", {"flow_run": given})) == expected, given


def test_task_run_filters(filled: Store) -> None:
    for given, expected in TASK_RUN_CASES:
        assert set(found(filled, "task_run", {"task_run": given})) == expected, given


def test_flow_filters(filled: Store) -> None:
    for given, expected in FLOW_CASES:
        assert set(found(filled, "flow", {"flow": given})) == expected, given


def test_log_filters(filled: Store) -> None:
    for given, expected in LOG_CASES:
        names = found(filled, "log", {"log": given}, sort=LogSort.TIMESTAMP_ASC)
        assert names == expected, given


CROSS_CASES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("flow", {"flow_run": {"name": {"any_": ["two"]}}}, {"etl"}),
    ("flow", {"flow_run": {"state": {"type": {"any_": ["SCHEDULED"]}}}}, {"report_x"}),
    ("flow", {"task_run": {"name": {"any_": ["load", "background"]}}}, {"etl"}),
    (
        "flow",
        # The same run must have both.
        {"flow_run": {"name": {"any_": ["two"]}}, "task_run": {"name": {"any_": ["load"]}}},
        set(),
    ),
    ("flow", {"deployment": {"name": {"any_": ["weekly", "none"]}}}, {"report_x"}),
    ("flow", {"deployment": {}}, {"etl", "report_x"}),
    ("flow", {"work_pool": {"name": {"any_": ["k8s"]}}}, {"etl"}),
    ("flow", {"work_pool": {"name": {"any_": ["none"]}}}, set()),
    (
        "flow",
        # The same deployment must have both.
        {"deployment": {"name": {"any_": ["manual"]}}, "work_pool": {"name": {"any_": ["k8s"]}}},
        set(),
    ),
    ("flow", {"flow": {"tags": {"all_": ["daily"]}}, "flow_run": {}}, {"etl"}),
    ("flow_run", {"flow": {"name": {"like_": "report"}}}, {"three", "Child 50%"}),
    ("flow_run", {"task_run": {"state": {"type": {"any_": ["FAILED"]}}}}, {"two"}),
    (
        "flow_run",
        {"flow": {"name": {"any_": ["etl"]}}, "flow_run": {"tags": {"all_": ["a"]}}},
        {"one"},
    ),
    ("flow_run", {"deployment": {"id": {"any_": [id_of("manual")]}}}, {"two"}),
    ("flow_run", {"deployment": {"name": {"like_": "NIGHT"}}}, {"one"}),
    ("flow_run", {"deployment": {}}, {"one", "two"}),
    ("flow_run", {"work_queue": {"name": {"any_": ["fast", "slow"]}}}, {"one", "two"}),
    ("flow_run", {"work_queue": {"name": {"startswith_": ["sl", "x"]}}}, {"two"}),
    ("flow_run", {"work_queue": {}}, {"one", "two"}),
    ("flow_run", {"work_pool": {"type": {"any_": ["kubernetes"]}}}, {"one"}),
    (
        "flow_run",
        {"work_pool": {"name": {"any_": ["k8s"]}}, "work_queue": {"name": {"any_": ["slow"]}}},
        set(),
    ),
    ("deployment", {"flow": {"name": {"any_": ["report_x"]}}}, {"weekly"}),
    ("deployment", {"flow_run": {"name": {"any_": ["two"]}}}, {"manual"}),
    ("deployment", {"task_run": {"name": {"any_": ["load"]}}}, {"nightly"}),
    ("deployment", {"work_pool": {"name": {"any_": ["local"]}}}, {"manual"}),
    ("deployment", {"work_queue": {"name": {"any_": ["fast"]}}}, {"nightly"}),
    ("work_queue", {"work_pool": {"name": {"any_": ["local"]}}}, {"slow"}),
    ("task_run", {"work_pool": {"name": {"any_": ["local"]}}}, {"subflow"}),
    ("task_run", {"flow_run": {"name": {"any_": ["one"]}}}, {"extract", "load"}),
    ("task_run", {"flow_run": {}}, EVERY_TASK - {"background"}),
    ("task_run", {"flow": {"name": {"any_": ["etl"]}}}, EVERY_TASK - {"background"}),
    ("task_run", {"deployment": {"id": {"any_": [id_of("manual")]}}}, {"subflow"}),
    (
        "task_run",
        {"flow_run": {"parent_flow_run_id": {"any_": [id_of("two")]}}},
        set(),
    ),
]


DEPLOYMENT_CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"nightly", "manual", "weekly"}),
    ({"id": {"any_": [id_of("weekly")]}}, {"weekly"}),
    ({"id": {"not_any_": [id_of("weekly")]}}, {"nightly", "manual"}),
    ({"name": {"any_": ["weekly"]}}, {"weekly"}),
    ({"name": {"like_": "LY"}}, {"nightly", "weekly"}),
    ({"flow_or_deployment_name": {"like_": "Report"}}, {"weekly"}),
    ({"flow_or_deployment_name": {"like_": "l"}}, {"nightly", "manual", "weekly"}),
    ({"flow_or_deployment_name": {"like_": ""}}, {"nightly", "manual", "weekly"}),
    ({"paused": {"eq_": True}}, {"manual"}),
    ({"paused": {"eq_": False}}, {"nightly", "weekly"}),
    ({"tags": {"all_": ["d"]}}, {"nightly", "manual"}),
    ({"tags": {"any_": ["e", "x"]}}, {"nightly"}),
    ({"tags": {"is_null_": True}}, {"weekly"}),
    ({"work_queue_name": {"any_": ["slow"]}}, {"manual"}),
    ({"concurrency_limit": {"ge_": 1, "le_": 0, "is_null_": True}},
     {"nightly", "manual", "weekly"}),
]  # fmt: skip

WORK_POOL_CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"k8s", "local"}),
    ({"id": {"any_": [id_of("k8s")]}}, {"k8s"}),
    ({"name": {"any_": ["local"]}}, {"local"}),
    ({"type": {"any_": ["process", "x"]}}, {"local"}),
    ({"operator": "or_", "name": {"any_": ["local"]}, "type": {"any_": ["kubernetes"]}},
     {"k8s", "local"}),
]  # fmt: skip

WORK_QUEUE_CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"fast", "slow"}),
    ({"id": {"any_": [id_of("fast")]}}, {"fast"}),
    ({"name": {"any_": ["slow"]}}, {"slow"}),
    ({"name": {"startswith_": ["f"]}}, {"fast"}),
    ({"name": {"startswith_": []}}, set()),
]


@pytest.mark.parametrize(
    ("entity", "cases"),
    [
        ("deployment", DEPLOYMENT_CASES),
        ("work_pool", WORK_POOL_CASES),
        ("work_queue", WORK_QUEUE_CASES),
    ],
)
def test_filters_on_where_runs_come_from(filled: Store, entity: str, cases: list[Any]) -> None:
    for given, expected in cases:
        assert set(found(filled, entity, {entity: given})) == expected, given


def test_filters_on_other_entities(filled: Store) -> None:
    for entity, filters, expected in CROSS_CASES:
        assert set(found(filled, entity, filters)) == expected, (entity, filters)


def by_id(names: set[str], *, newest_first: bool = False) -> list[str]:
    return sorted(names, key=id_of, reverse=newest_first)


SORTS: list[tuple[str, Any, list[str]]] = [
    ("flow", FlowSort.NAME_ASC, ["etl", "reportAx", "report_x"]),
    ("flow", FlowSort.NAME_DESC, ["report_x", "reportAx", "etl"]),
    ("flow", FlowSort.CREATED_DESC, ["report_x", "reportAx", "etl"]),
    ("flow", FlowSort.UPDATED_DESC, ["report_x", "reportAx", "etl"]),
    ("flow_run", FlowRunSort.ID_DESC, by_id(EVERY_RUN, newest_first=True)),
    ("flow_run", FlowRunSort.START_TIME_ASC, ["new", *by_id({"one", "three"}), "two", "Child 50%"]),
    (
        "flow_run",
        FlowRunSort.START_TIME_DESC,
        ["Child 50%", "two", *by_id({"one", "three"}, newest_first=True), "new"],
    ),
    ("flow_run", FlowRunSort.EXPECTED_START_TIME_ASC, ["new", "one", "three", "two", "Child 50%"]),
    ("flow_run", FlowRunSort.EXPECTED_START_TIME_DESC, ["Child 50%", "two", "three", "one", "new"]),
    ("flow_run", FlowRunSort.NAME_ASC, ["Child 50%", "new", "one", "three", "two"]),
    ("flow_run", FlowRunSort.NAME_DESC, ["two", "three", "one", "new", "Child 50%"]),
    (
        "flow_run",
        FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC,
        ["Child 50%", "three", *by_id({"one", "two", "new"})],
    ),
    (
        "flow_run",
        FlowRunSort.END_TIME_DESC,
        ["two", "Child 50%", *by_id({"one", "three", "new"}, newest_first=True)],
    ),
    ("task_run", TaskRunSort.ID_DESC, by_id(EVERY_TASK, newest_first=True)),
    ("task_run", TaskRunSort.EXPECTED_START_TIME_ASC, ["subflow", "extract", "load", "background"]),
    (
        "task_run",
        TaskRunSort.EXPECTED_START_TIME_DESC,
        ["background", "load", "extract", "subflow"],
    ),
    ("task_run", TaskRunSort.NAME_ASC, ["background", "extract", "load", "subflow"]),
    ("task_run", TaskRunSort.NAME_DESC, ["subflow", "load", "extract", "background"]),
    (
        "task_run",
        TaskRunSort.NEXT_SCHEDULED_START_TIME_ASC,
        ["subflow", *by_id(EVERY_TASK - {"subflow"})],
    ),
    (
        "task_run",
        TaskRunSort.END_TIME_DESC,
        ["load", "subflow", *by_id({"extract", "background"}, newest_first=True)],
    ),
    ("log", LogSort.TIMESTAMP_DESC, [MESSAGES[3], MESSAGES[1], MESSAGES[2], MESSAGES[0]]),
]


def test_sorts(filled: Store) -> None:
    for entity, sort, expected in SORTS:
        assert found(filled, entity, {}, sort=sort) == expected, sort


def test_every_sort_of_the_contract_is_tried() -> None:
    tried = {(type(sort), sort) for _, sort, _ in SORTS} | {(LogSort, LogSort.TIMESTAMP_ASC)}
    known = {
        (kind, sort) for kind in (FlowSort, FlowRunSort, TaskRunSort, LogSort) for sort in kind
    }
    assert tried == known


def test_pages(filled: Store) -> None:
    everything = found(filled, "flow_run", {}, sort=FlowRunSort.ID_DESC)
    pages = [
        found(filled, "flow_run", {}, sort=FlowRunSort.ID_DESC, limit=2, offset=offset)
        for offset in (0, 2, 4, 6)
    ]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert [name for page in pages for name in page] == everything
    assert found(filled, "flow_run", {}, sort=FlowRunSort.ID_DESC, limit=0) == []
    assert found(filled, "flow_run", {}, sort=FlowRunSort.ID_DESC, offset=3) == everything[3:]


def test_a_run_comes_with_its_state(filled: Store) -> None:
    def rows(tx: Tx, entity: str) -> dict[str, Row]:
        sql, params = select(entity, {}, dialect=tx.dialect)
        return {row["name"]: row for row in tx.fetch(sql, params)}

    for entity, stated, stateless in (
        ("flow_run", "one", "new"),
        ("task_run", "load", "background"),
    ):
        found_rows = filled.read_sync(rows, entity)
        row = found_rows[stated]
        assert row["state_message"] == f"message of {stated}"
        assert bytes(row["state_state_details"]) == b'{"deferred":false}'
        assert bytes(row["state_data"]) == b'{"type":"unpersisted"}'
        assert row["created"] == hour(0)
        assert found_rows[stateless]["state_data"] is None


def paths(kind: Any, prefix: str = "") -> Iterator[str]:
    """Every member of a filter type that can hold a condition."""
    for field in msgspec.structs.fields(kind):
        if field.name == "operator":
            continue
        inner = [
            part
            for part in getattr(field.type, "__args__", (field.type,))
            if isinstance(part, type) and issubclass(part, msgspec.Struct)
        ]
        if inner:
            yield from paths(inner[0], f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def mentioned(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from mentioned(value, f"{prefix}{name}.")
        elif name != "operator":
            yield prefix + name


@pytest.mark.parametrize(
    ("kind", "cases"),
    [
        (FlowFilter, FLOW_CASES),
        (FlowRunFilter, FLOW_RUN_CASES),
        (TaskRunFilter, TASK_RUN_CASES),
        (LogFilter, LOG_CASES),
        (DeploymentFilter, DEPLOYMENT_CASES),
        (WorkPoolFilter, WORK_POOL_CASES),
        (WorkQueueFilter, WORK_QUEUE_CASES),
    ],
)
def test_every_condition_of_the_contract_is_tried(kind: Any, cases: list[Any]) -> None:
    tried = {path for given, _ in cases for path in mentioned(given)}
    assert tried == set(paths(kind))


def test_every_condition_is_known_to_the_compiler() -> None:
    assert set(TABLES) == set(TYPES)
    for entity, kind in TYPES.items():
        assert set(TABLES[entity]) == set(paths(kind)), entity
