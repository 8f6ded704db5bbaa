"""The graph of a flow run: its task runs and subflow runs, and what depends on what."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from penstock.base import json
from penstock.schemas.errors import Refusal
from penstock.schemas.flow_runs import (
    DependencyResult,
    Edge,
    Graph,
    GraphArtifact,
    GraphState,
    Node,
)
from penstock.schemas.states import StateType
from penstock.schemas.task_runs import TaskRunResult
from penstock.server.ops import views
from penstock.server.ops.context import Context
from penstock.server.ops.flow_runs import existing_flow_run, require_flow_run
from penstock.server.store.transaction import Row, Tx

_PARENTS = "__parents__"


def read_flow_run_graph_v1(tx: Tx, context: Context, id: str) -> list[DependencyResult]:
    """Each task run of the flow run with the task runs whose results it took."""
    require_flow_run(tx, id)
    now = tx.now
    return [_dependencies(row, now) for row in tx.all("task_run.of_flow_run", id=id)]


def _dependencies(row: Row, now: datetime) -> DependencyResult:
    state = views.current_state(row)
    details: dict[str, Any] = json.decode(row["state_state_details"] or b"{}")
    upstream = {
        entry["id"]: TaskRunResult(id=entry["id"])
        for entries in json.decode(row["task_inputs"]).values()
        for entry in entries
        if entry.get("input_type") == "task_run"
    }
    return DependencyResult(
        id=row["id"],
        name=row["name"],
        upstream_dependencies=list(upstream.values()),
        state=state,
        expected_start_time=row["expected_start_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        total_run_time=row["total_run_time"],
        estimated_run_time=views.estimated_run_time(row, now),
        untrackable_result=bool(details.get("untrackable_result")),
    )


def read_flow_run_graph_v2(
    tx: Tx, context: Context, id: str, *, since: datetime | None = None
) -> Graph:
    """The started task runs of a flow run as nodes, ordered by start, with their edges.

    A task run that stands for a subflow run is shown as that run. `since` leaves out nodes that
    ended before it. Refuses (400) a run with more nodes than the server's limit.
    """
    run = existing_flow_run(tx, id)
    maximum = context.limits.graph_nodes
    rows = tx.all("task_run.for_graph", id=id, limit=maximum + 1)
    if len(rows) > maximum:
        raise Refusal(
            f"flow run {id} has more than {maximum} task runs, too many to draw; "
            "list them by filter instead"
        )
    children = {row["parent_task_run_id"]: row for row in tx.all("flow_run.children", id=id)}
    artifacts = _artifacts(tx, context, id)
    nodes = _Nodes(rows, children, artifacts).nodes(since)
    return Graph(
        start_time=run["start_time"],
        end_time=run["end_time"],
        root_node_ids=[node.id for node in nodes if not node.parents and not node.encapsulating],
        nodes=[(node.id, node) for node in nodes],
        artifacts=artifacts[None],
        states=[
            GraphState(id=row["id"], timestamp=row["timestamp"], type=row["type"], name=row["name"])
            for row in tx.all("flow_run.states", id=id)
        ],
    )


_Artifacts = defaultdict[str | None, list[GraphArtifact]]


def _artifacts(tx: Tx, context: Context, id: str) -> _Artifacts:
    """The artifacts of a flow run by the task run that made them (None: the flow itself).

    The first ones up to the server's limit, with the data of progress only.
    """
    found: _Artifacts = defaultdict(list)
    for row in tx.all("artifact.for_graph", id=id, limit=context.limits.graph_artifacts):
        found[row["task_run_id"]].append(
            GraphArtifact(
                id=row["id"],
                created=row["created"],
                key=row["key"],
                type=row["type"],
                is_latest=row["is_latest"],
                data=row["data"],
            )
        )
    return found


class _Nodes:
    """Nodes from rows: first who is who, then the edges in both directions."""

    def __init__(self, rows: list[Row], children: dict[str, Row], artifacts: _Artifacts) -> None:
        self._rows = rows
        self._artifacts = artifacts
        self._children = children
        # Edges name task runs; a subflow's node goes by the id of the subflow run.
        self._node_ids: dict[str, str] = {
            row["id"]: children[row["id"]]["id"] if row["id"] in children else row["id"]
            for row in rows
        }
        self._parents: dict[str, dict[str, None]] = defaultdict(dict)
        self._encapsulating: dict[str, dict[str, None]] = defaultdict(dict)
        self._children_of: dict[str, dict[str, None]] = defaultdict(dict)
        for row in rows:
            self._add_edges(row)

    def nodes(self, since: datetime | None) -> list[Node]:
        made = [self._node(row) for row in self._rows]
        kept = [
            node
            for node in made
            if since is None or node.end_time is None or node.end_time >= since
        ]
        return sorted(
            kept,
            key=lambda node: (
                node.start_time,
                node.end_time is None,
                node.end_time or node.start_time,
                str(node.id),
            ),
        )

    def _add_edges(self, row: Row) -> None:
        node_id = self._node_ids[row["id"]]
        for key, entries in json.decode(row["task_inputs"]).items():
            for entry in entries:
                source = self._node_ids.get(entry.get("id"), entry.get("id"))
                if source is None:
                    continue
                if key == _PARENTS:
                    self._encapsulating[node_id][source] = None
                else:
                    self._parents[node_id][source] = None
                    self._children_of[source][node_id] = None

    def _node(self, row: Row) -> Node:
        child = self._children.get(row["id"])
        node_id: Any = self._node_ids[row["id"]]
        end = (child["end_time"] if child else None) or row["end_time"]
        if end is None and row["state_type"] == StateType.COMPLETED:
            end = row["expected_start_time"]
        return Node(
            kind="flow-run" if child else "task-run",
            id=node_id,
            label=f"{child['flow_name']} / {child['name']}" if child else row["name"],
            state_type=(child["state_type"] if child else None) or row["state_type"],
            start_time=_start(row, child),
            end_time=end,
            parents=_edges(self._parents[node_id]),
            children=_edges(self._children_of[node_id]),
            encapsulating=_edges(self._encapsulating[node_id]),
            artifacts=self._artifacts[row["id"]],
        )


def _start(row: Row, child: Row | None) -> datetime:
    from_child = (child["start_time"] or child["expected_start_time"]) if child else None
    return from_child or row["start_time"] or row["expected_start_time"]


def _edges(ids: dict[str, None]) -> list[Edge]:
    edges: list[Any] = list(ids)
    return [Edge(id=id) for id in edges]
