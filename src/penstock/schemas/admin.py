"""Server administration: storage default, CSRF token, readiness."""

from datetime import datetime
from uuid import UUID

from penstock.schemas.shapes import Entity


class ServerDefaultResultStorage(Entity):
    default_result_storage_block_id: UUID | None = None


class ServerDefaultResultStorageUpdate(Entity):
    default_result_storage_block_id: UUID


class ServiceState(Entity):
    """How one background loop has been doing."""

    name: str
    interval_seconds: float
    lag_seconds: float
    """Since its last success, in the process that answers."""
    last_started: datetime | None = None
    last_success: datetime | None = None
    last_error: str | None = None
    rounds: int = 0
    failures: int = 0
    here: bool = True
    """Whether the process that answers runs it."""
    holder: str | None = None
    """Id of the server process that runs it; null for one that every process runs."""
    lease_until: datetime | None = None


class CsrfToken(Entity):
    client: str
    created: datetime | None
    expiration: datetime
    id: UUID
    token: str
    updated: datetime | None
