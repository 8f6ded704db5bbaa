"""Bundled collections of workers, blocks and flows."""

from typing import Any

from penstock.schemas.operations.operation import Operation, table

OPERATIONS = table(
    Operation(
        name="read_view_content",
        method="GET",
        path="/collections/views/{view}",
        params=(str,),
        response=dict[str, Any],
        errors=(404,),
        repeatable=True,
    ),
)
