"""Server administration: storage default, CSRF token, readiness."""

from datetime import datetime
from uuid import UUID

from penstock.schemas.shapes import Entity


class ServerDefaultResultStorage(Entity):
    default_result_storage_block_id: UUID | None = None


class ServerDefaultResultStorageUpdate(Entity):
    default_result_storage_block_id: UUID


class CsrfToken(Entity):
    client: str
    created: datetime | None
    expiration: datetime
    id: UUID
    token: str
    updated: datetime | None
