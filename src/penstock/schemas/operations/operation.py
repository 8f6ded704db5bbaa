"""What one HTTP operation is, as a value.

The server routes by it, the client builds requests from it, the OpenAPI document and the
reference are printed from it. Nothing about an operation is written down a second time.
"""

import re
from typing import Any, Literal

from msgspec import Struct

from penstock.schemas.tokens import Scope

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


_READING_SEGMENTS = frozenset(
    {
        "filter",
        "count",
        "count-by",
        "history",
        "lateness",
        "paginate",
        "next",
        "concurrency_status",
        "count-task-runs",
        "count-deployments",
        "next-runs",
        "validate",
        "counts",
    }
)


class Query(Struct, frozen=True):
    """One query parameter: its wire name and type, and whether it must be there."""

    name: str
    type: Any = str
    required: bool = False


class Operation(Struct, frozen=True, kw_only=True):
    """One HTTP operation of the contract.

    `path` is relative to the API base and names its parameters in braces; `params` gives their
    types in the order of the path. `created` says that the answer is 201 when the call made the
    row and 200 when it found it. `errors` are the statuses a caller must expect beside 401, 422
    and 503. `repeatable` says that sending the request twice changes nothing more.
    """

    name: str
    method: Method
    path: str
    params: tuple[Any, ...] = ()
    query: tuple[Query, ...] = ()
    headers: tuple[str, ...] = ()
    """Optional headers, of text, that this operation reads."""
    body: Any = None
    body_required: bool = True
    response: Any = None
    status: int = 200
    created: bool = False
    errors: tuple[int, ...] = ()
    media_type: str = "application/json"
    open: bool = False
    """Answered without credentials (the two health paths and nothing else)."""
    versioned: bool = True
    """Refuses clients that speak an API version the server no longer does."""
    repeatable: bool = False
    extension: bool = False
    """Beyond the contract: announced by the server, used only when announced."""
    announced_as: str = ""
    """Under which name beside its own and its resource's an extension may be announced."""
    scope: Scope | None = None
    """What a caller must be allowed; without it, what the method and the path say."""
    secret_members: tuple[str, ...] = ()
    """Members of the body that may hold secrets and are in no error message."""
    component: str = ""
    """Name of the response in the OpenAPI document where it differs from the type's."""

    @property
    def param_names(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def resource(self) -> str:
        """The first step of the path; a server may announce extensions by it, all at once."""
        return self.path.split("/")[1]

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, so that a reading transaction is enough."""
        if self.name == "create_csrf_token":
            return False
        if self.method == "GET":
            return True
        return self.method == "POST" and not _READING_SEGMENTS.isdisjoint(self.path.split("/"))

    @property
    def needed_scope(self) -> Scope:
        """The scope a caller must have. What is not known to only read needs `write`, and what
        changes the server itself needs `admin`."""
        if self.scope is not None:
            return self.scope
        if self.method == "GET" or self.reads:
            return Scope.READ
        return Scope.ADMIN if self.path.startswith("/admin/") else Scope.WRITE

    @property
    def changes(self) -> bool:
        """Whether the method is one that may change something (and so needs a CSRF token)."""
        return self.method != "GET"


def table(*operations: Operation) -> dict[str, Operation]:
    """Operations by name. Raises `ValueError` for a name given twice."""
    result: dict[str, Operation] = {}
    for operation in operations:
        if operation.name in result:
            raise ValueError(f"operation {operation.name!r} is declared twice; rename one")
        if len(operation.params) != len(operation.param_names):
            raise ValueError(f"operation {operation.name!r} does not type each path parameter")
        result[operation.name] = operation
    return result
