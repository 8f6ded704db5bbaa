"""What an operation knows about its caller and the server's limits.

Every operation is `op(tx, context, *path_parameters, body=..., **query)`, named as in the
operation table, and opens exactly one transaction: the one it is given.
"""

from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds the server was configured with."""

    page: int = 200
    """Default and maximum number of objects in a list."""
    parameter_bytes: int = 524_288
    """Size of a run's parameters as JSON."""
    cache_key_length: int = 2_000
    cancelling_seconds: float = 300.0
    """How long a run may be cancelling before it is taken for cancelled."""
    graph_nodes: int = 10_000
    graph_artifacts: int = 10_000


class Context(Struct, frozen=True, kw_only=True):
    """One call of one operation."""

    limits: Limits = Limits()
    client_version: tuple[int, ...] | None = None
    """Version in the caller's User-Agent, None for callers that are not a flow SDK."""
    api_version: tuple[int, int, int] | None = None
    actor: str | None = None
    request_id: str | None = None
    base_url: str = ""
    """Absolute URL of the API as the caller sees it, for links in answers."""


class Made(Struct, Generic[T], frozen=True):
    """What a creating operation returns: the object, and whether this call made it."""

    value: T
    created: bool
