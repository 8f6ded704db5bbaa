"""Operations on API tokens.

A token is 256 random bits, so its plain SHA-256 says nothing about it; only that is stored.
From the first token on every call needs credentials, also after all tokens were revoked: a server
must not fall open because somebody took a token away. So that nobody locks themselves out, the
first token of a server without an auth string must be one of an administrator, and the last such
token cannot be revoked.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectConflict, ObjectMissing
from penstock.schemas.tokens import NewToken, Scope, Token, TokenCreate
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Row, Tx

PREFIX = "pst_"
TOPIC = "tokens"


class KnownToken(Struct, frozen=True):
    """What the edge keeps in memory of a token that may be used."""

    id: str
    name: str
    hash: str
    scopes: frozenset[Scope]
    expires: datetime | None


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def known_tokens(tx: Tx) -> tuple[bool, list[KnownToken]]:
    """Whether any token was ever made, and those that are not revoked."""
    rows = tx.all("api_token.all")
    return bool(rows), [
        KnownToken(
            row["id"],
            row["name"],
            row["hash"],
            frozenset(json.decode(row["scopes"], list[Scope])),
            row["expires"],
        )
        for row in rows
        if row["revoked"] is None
    ]


def note_use(tx: Tx, used: Mapping[str, datetime]) -> None:
    """Keep when tokens were last used; not a change that anybody made, so nothing is recorded."""
    tx.many("api_token.note_use", [{"id": id, "at": at} for id, at in used.items()])


def create_token(tx: Tx, context: Context, *, body: TokenCreate, guarded: bool) -> NewToken:
    """Make a token. `guarded` says that an auth string lets administrators in without one.

    Raises `ObjectConflict` for a name that was ever used, and for a first token that would lock
    everybody out.
    """
    rows = tx.all("api_token.all")
    if any(row["name"] == body.name for row in rows):
        raise ObjectConflict(
            f"there is or was a token named {body.name!r}; choose another name, so that the audit "
            "trail stays unambiguous"
        )
    if not guarded and not rows and (Scope.ADMIN not in body.scopes or body.expires is not None):
        raise ObjectConflict(
            "the first token must have the scope admin and no end: from then on every call needs "
            "credentials, and without an auth string nobody could make another one"
        )
    secret = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    id = uuid7()
    scopes = sorted(set(body.scopes))
    tx.run(
        "api_token.insert",
        id=id,
        name=body.name,
        hash=hash_of(secret),
        scopes=scopes,
        expires=body.expires,
        now=tx.now,
    )
    row = tx.one("api_token.get", id=str(id))
    assert row is not None, "the row was inserted a moment ago"
    record(tx, context, _change("created", after=row))
    tx.wake(TOPIC)
    return NewToken(
        id=id,
        name=body.name,
        scopes=scopes,
        created=row["created"],
        expires=body.expires,
        token=secret,
    )


def read_tokens(tx: Tx, context: Context) -> list[Token]:
    """All tokens by name, the revoked ones too."""
    return [
        Token(
            id=UUID(row["id"]),
            name=row["name"],
            scopes=json.decode(row["scopes"], list[Scope]),
            created=row["created"],
            expires=row["expires"],
            last_used=row["last_used"],
            revoked=row["revoked"],
        )
        for row in tx.all("api_token.all")
    ]


def revoke_token(tx: Tx, context: Context, id: str, *, guarded: bool) -> None:
    """Make a token useless. Raises `ObjectMissing`, and `ObjectConflict` for the last one of an
    administrator on a server without an auth string."""
    row = tx.one("api_token.get", id=id)
    if row is None:
        raise ObjectMissing(f"there is no token {id}; `penstock token ls` lists them")
    if row["revoked"] is not None:
        return
    if not guarded and _administrates(row) and not _others_administrate(tx, id):
        raise ObjectConflict(
            f"{row['name']!r} is the last token with the scope admin and without an end; make "
            "another one first, or start the server with an auth string"
        )
    tx.run("api_token.revoke", id=id, now=tx.now)
    after = tx.one("api_token.get", id=id)
    record(tx, context, _change("deleted", before=row, after=after))
    tx.wake(TOPIC)


def _administrates(row: Row) -> bool:
    return (
        row["revoked"] is None
        and row["expires"] is None
        and Scope.ADMIN in json.decode(row["scopes"], list[Scope])
    )


def _others_administrate(tx: Tx, id: str) -> bool:
    return any(_administrates(row) for row in tx.all("api_token.all") if row["id"] != id)


def _change(action: str, *, before: Row | None = None, after: Row | None = None) -> Change:
    row = before or after
    assert row is not None, "a change has a row"
    return Change(
        kind="token",
        action=action,
        event=f"penstock.token.{action}",
        id=row["id"],
        name=row["name"],
        before=_shown(before),
        after=_shown(after) if action != "deleted" else None,
        payload={"name": row["name"], "scopes": row["scopes"]},
    )


def _shown(row: Row | None) -> Row | None:
    if row is None:
        return None
    return {name: row[name] for name in ("id", "name", "scopes", "expires")}
