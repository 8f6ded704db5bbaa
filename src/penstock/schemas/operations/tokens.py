"""Named API tokens."""

from uuid import UUID

from penstock.schemas.operations.operation import Operation, table
from penstock.schemas.tokens import NewToken, Scope, Token, TokenCreate

OPERATIONS = table(
    Operation(
        name="create_token",
        method="POST",
        path="/tokens",
        body=TokenCreate,
        response=NewToken,
        status=201,
        errors=(403, 409),
        scope=Scope.ADMIN,
        extension=True,
    ),
    Operation(
        name="read_tokens",
        method="GET",
        path="/tokens",
        response=list[Token],
        errors=(403,),
        scope=Scope.ADMIN,
        repeatable=True,
        extension=True,
    ),
    Operation(
        name="revoke_token",
        method="DELETE",
        path="/tokens/{id}",
        params=(UUID,),
        status=204,
        errors=(403, 404, 409),
        scope=Scope.ADMIN,
        repeatable=True,
        extension=True,
    ),
)
