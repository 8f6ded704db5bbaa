"""Operations on log records."""

from typing import Any

from penstock.schemas.logs import (
    Log,
    LogCreate,
    LogsFilterPage,
)
from penstock.schemas.operations.operation import Operation, table

OPERATIONS = table(
    Operation(
        name="create_logs",
        method="POST",
        path="/logs/",
        body=list[LogCreate],
        response=Any,
        status=201,
    ),
    Operation(
        name="read_logs",
        method="POST",
        path="/logs/filter",
        body=LogsFilterPage,
        body_required=False,
        response=list[Log],
        repeatable=True,
    ),
)
