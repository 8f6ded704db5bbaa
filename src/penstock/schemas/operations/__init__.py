"""The operation table: every HTTP operation, by name."""

from penstock.schemas.operations import (
    admin,
    artifacts,
    audit,
    automations,
    blocks,
    cleanup,
    collections,
    deployments,
    events,
    flow_runs,
    flows,
    limits,
    logs,
    saved_searches,
    task_runs,
    task_workers,
    tokens,
    ui,
    variables,
    work,
)
from penstock.schemas.operations.operation import Operation, Query, table

OPERATIONS: dict[str, Operation] = table(
    *(
        operation
        for resource in (
            admin,
            flows,
            flow_runs,
            task_runs,
            logs,
            events,
            limits,
            deployments,
            work,
            cleanup,
            blocks,
            automations,
            task_workers,
            artifacts,
            collections,
            saved_searches,
            ui,
            variables,
            tokens,
            audit,
        )
        for operation in resource.OPERATIONS.values()
    )
)

__all__ = ["OPERATIONS", "Operation", "Query", "table"]
