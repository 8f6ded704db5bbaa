"""The function that carries out each operation, by the operation's name.

Health, version and settings are answered by the edge, which knows the process; they have no
function here.
"""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from penstock.schemas.operations import OPERATIONS
from penstock.server.ops import (
    admin,
    agent_queues,
    artifacts,
    audit,
    audit_seals,
    automation_history,
    automations,
    block_documents,
    block_schemas,
    block_types,
    claims,
    cleanup,
    cleanup_owed,
    deployment_limits,
    deployment_runs,
    deployment_schedules,
    deployments,
    events,
    flow_run_inputs,
    flow_run_lists,
    flow_runs,
    flows,
    graph,
    limits,
    logs,
    polling,
    resume,
    saved_searches,
    tag_limits,
    task_runs,
    task_workers,
    tokens,
    ui,
    variables,
    work_pools,
    work_queues,
    workers,
)

_MODULES: tuple[ModuleType, ...] = (
    admin,
    flows,
    flow_runs,
    flow_run_lists,
    flow_run_inputs,
    deployments,
    deployment_schedules,
    deployment_runs,
    deployment_limits,
    graph,
    resume,
    task_runs,
    logs,
    events,
    limits,
    tag_limits,
    work_pools,
    work_queues,
    agent_queues,
    workers,
    polling,
    claims,
    cleanup,
    cleanup_owed,
    block_types,
    block_schemas,
    block_documents,
    automations,
    automation_history,
    task_workers,
    artifacts,
    saved_searches,
    ui,
    variables,
    tokens,
    audit,
    audit_seals,
)


def _found(names: Iterable[str]) -> dict[str, Callable[..., Any]]:
    return {
        name: function
        for name in names
        for module in _MODULES
        if (function := getattr(module, name, None)) is not None
    }


OPS: dict[str, Callable[..., Any]] = _found(OPERATIONS)
