"""Operations: Variables: named JSON values."""

from uuid import UUID

from penstock.schemas.operations.operation import Operation, table
from penstock.schemas.variables import (
    Variable,
    VariableCreate,
    VariablesFilterBody,
    VariablesFilterPage,
    VariableUpdate,
)

OPERATIONS = table(
    Operation(
        name="create_variable",
        method="POST",
        path="/variables/",
        body=VariableCreate,
        response=Variable,
        status=201,
        errors=(409,),
    ),
    Operation(
        name="count_variables",
        method="POST",
        path="/variables/count",
        body=VariablesFilterBody,
        body_required=False,
        response=int,
        repeatable=True,
    ),
    Operation(
        name="read_variables",
        method="POST",
        path="/variables/filter",
        body=VariablesFilterPage,
        body_required=False,
        response=list[Variable],
        repeatable=True,
    ),
    Operation(
        name="delete_variable_by_name",
        method="DELETE",
        path="/variables/name/{name}",
        params=(str,),
        status=204,
        errors=(404,),
        repeatable=True,
    ),
    Operation(
        name="read_variable_by_name",
        method="GET",
        path="/variables/name/{name}",
        params=(str,),
        response=Variable,
        errors=(404,),
        repeatable=True,
    ),
    Operation(
        name="update_variable_by_name",
        method="PATCH",
        path="/variables/name/{name}",
        params=(str,),
        body=VariableUpdate,
        status=204,
        errors=(404, 409),
        repeatable=True,
    ),
    Operation(
        name="delete_variable",
        method="DELETE",
        path="/variables/{id}",
        params=(UUID,),
        status=204,
        errors=(404,),
        repeatable=True,
    ),
    Operation(
        name="read_variable",
        method="GET",
        path="/variables/{id}",
        params=(UUID,),
        response=Variable,
        errors=(404,),
        repeatable=True,
    ),
    Operation(
        name="update_variable",
        method="PATCH",
        path="/variables/{id}",
        params=(UUID,),
        body=VariableUpdate,
        status=204,
        errors=(404, 409),
        repeatable=True,
    ),
)
