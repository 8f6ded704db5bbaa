"""Named API tokens: who may call the API, and how far."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from penstock.schemas.shapes import Entity, Strict


class Scope(StrEnum):
    """What a caller may do; each scope includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


class TokenCreate(Strict):
    """A token to be made. `name` says whose it is and stays taken after it was revoked."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[\w.@+-]+$")]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=3)]
    expires: datetime | None = None


class Token(Entity):
    """A token as it is listed; the secret is not kept anywhere."""

    id: UUID
    name: str
    scopes: list[Scope]
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None
    revoked: datetime | None = None


class NewToken(Token, kw_only=True):
    """The answer to the request that made a token, and the only one with its secret."""

    token: str
