"""What an operation knows about its caller and the server's limits.

Every operation is `op(tx, context, *path_parameters, body=..., **query)`, named as in the
operation table, and opens exactly one transaction: the one it is given.
"""

import os
from typing import Generic, Literal, TypeVar

from msgspec import Struct

from penstock.server.domain.redaction import REDACT_KEYS

T = TypeVar("T")
_PROCESS_KEY = os.urandom(32)

ActorType = Literal[
    "user", "token", "automation", "schedule", "service", "worker", "anonymous", "migration"
]


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds the server was configured with."""

    page: int = 200
    """Default and maximum number of objects in a list."""
    parameter_bytes: int = 524_288
    """Size of a run's parameters as JSON."""
    cache_key_length: int = 2_000
    cancelling_seconds: float = 300.0
    """How long a run may be cancelling before it is taken for cancelled."""
    slot_wait: float = 30.0
    """Longest time, in seconds, a client is told to wait before it asks for a slot again."""
    tag_slot_wait: float = 10.0
    """The same for the limits on task tags."""
    deployment_slot_wait: float = 30.0
    """Seconds until a run asks again for the slot of its deployment."""
    deployment_lease: float = 300.0
    """Seconds a deployment's slot is held before its run must renew it."""
    worker_interval: float = 30.0
    """Seconds between the heartbeats of a worker that does not say."""
    worker_heartbeats: int = 3
    """After how many missing heartbeats a worker counts as offline."""
    polled_within: float = 60.0
    """Seconds within which a queue must have been polled to be ready."""
    teardown_on_crash: bool = True
    """Whether a run that the server itself calls crashed owes the teardown of what it left."""
    graph_nodes: int = 10_000
    graph_artifacts: int = 10_000


class Actor(Struct, frozen=True, kw_only=True):
    """Who asked for a change, as the server established it; never taken from a claim."""

    type: ActorType
    id: str = ""
    name: str = ""
    auth: str = "none"
    """How it was established: `basic`, `bearer`, `internal`, `none`."""


ANONYMOUS = Actor(type="anonymous", id="anonymous", name="anonymous")


def service(name: str) -> Actor:
    """A background loop of the server."""
    return Actor(type="service", id=name, name=name, auth="internal")


class RequestInfo(Struct, frozen=True, kw_only=True):
    """The request a change came with."""

    id: str
    route: str = ""
    ip: str | None = None
    user_agent: str | None = None


class Context(Struct, frozen=True, kw_only=True):
    """One call of one operation."""

    limits: Limits = Limits()
    client_version: tuple[int, ...] | None = None
    """Version in the caller's User-Agent, None for callers that are not a flow SDK."""
    api_version: tuple[int, int, int] | None = None
    actor: Actor = ANONYMOUS
    request: RequestInfo | None = None
    claims: tuple[tuple[str, str], ...] = ()
    """Kind and id of whom the caller says it works for: recorded, not trusted. A kind that ends in
    `-name` gives the name that goes with the id."""
    run_claim: tuple[str, int] | None = None
    """The flow run, and the number of its claim, under which the caller writes."""
    redact_keys: tuple[str, ...] = REDACT_KEYS
    """Patterns of member names whose values audit rows and events hide."""
    fingerprint_key: bytes = _PROCESS_KEY
    """Key of the fingerprints that stand for secrets in audit rows; one per installation. Without
    it fingerprints can be compared within this process only, and guessed at by nobody."""
    encryption_keys: tuple[bytes, ...] = ()
    """Configured keys of block documents, the one that seals first; without, the database's own."""
    base_url: str = ""
    """Absolute URL of the API as the caller sees it, for links in answers."""


class Made(Struct, Generic[T], frozen=True):
    """What a creating operation returns: the object, and whether this call made it."""

    value: T
    created: bool
