"""Operations: Answers that only a user interface asks for."""

from uuid import UUID

from penstock.schemas.operations.operation import Operation, table
from penstock.schemas.ui import (
    CountByState,
    DashboardCountsBody,
    FlowIdsBody,
    FlowRunIdsBody,
    SchemaValidationBody,
    SchemaValuesValidationResponse,
    SimpleFlowRun,
    SimpleFlowRunsPage,
    SimpleNextFlowRun,
    TaskRunCountsBody,
    UITaskRun,
)

OPERATIONS = table(
    Operation(
        name="count_task_runs_by_flow_run",
        method="POST",
        path="/ui/flow_runs/count-task-runs",
        body=FlowRunIdsBody,
        response=dict[str, int],
        repeatable=True,
    ),
    Operation(
        name="read_flow_run_history",
        method="POST",
        path="/ui/flow_runs/history",
        body=SimpleFlowRunsPage,
        body_required=False,
        response=list[SimpleFlowRun],
        repeatable=True,
    ),
    Operation(
        name="count_deployments_by_flow",
        method="POST",
        path="/ui/flows/count-deployments",
        body=FlowIdsBody,
        response=dict[str, int],
        repeatable=True,
    ),
    Operation(
        name="next_runs_by_flow",
        method="POST",
        path="/ui/flows/next-runs",
        body=FlowIdsBody,
        response=dict[str, SimpleNextFlowRun | None],
        repeatable=True,
    ),
    Operation(
        name="validate_obj",
        method="POST",
        path="/ui/schemas/validate",
        body=SchemaValidationBody,
        response=SchemaValuesValidationResponse,
        repeatable=True,
    ),
    Operation(
        name="read_task_run_counts_by_state",
        method="POST",
        path="/ui/task_runs/count",
        body=TaskRunCountsBody,
        body_required=False,
        response=CountByState,
        repeatable=True,
    ),
    Operation(
        name="read_dashboard_task_run_counts",
        method="POST",
        path="/ui/task_runs/dashboard/counts",
        body=DashboardCountsBody,
        response=list[dict[str, int]],
        repeatable=True,
    ),
    Operation(
        name="read_task_run_with_flow_run_name",
        method="GET",
        path="/ui/task_runs/{id}",
        params=(UUID,),
        response=UITaskRun,
        errors=(404,),
        repeatable=True,
    ),
)
