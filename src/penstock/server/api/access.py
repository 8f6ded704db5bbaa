"""Who a caller is and how far it may go: the one check of all routes and sockets.

Callers are let in by the configured auth string, which makes an administrator, or by a named
token with scopes. Without an auth string and without any token everybody may do everything.
Tokens are kept in memory and read again when one was made or revoked, or after five seconds; so a
request costs no statement, and a token revoked through another server ends within that time.
"""

import asyncio
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from penstock.base.clock import Clock
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.tokens import Scope
from penstock.server.bus import Bus
from penstock.server.ops import tokens as ops
from penstock.server.ops.access import record_refusal
from penstock.server.ops.context import ANONYMOUS, Actor, Context
from penstock.server.security.credentials import Credentials

FRESH_SECONDS = 5.0
NOTE_USE_AFTER = timedelta(minutes=1)
_GONE = datetime.min.replace(tzinfo=UTC)
_RANK = {Scope.READ: 0, Scope.WRITE: 1, Scope.ADMIN: 2}


class Caller(Struct, frozen=True):
    """An accepted caller: who it is, and the widest scope it has."""

    actor: Actor
    scope: Scope

    def may(self, scope: Scope) -> bool:
        return _RANK[self.scope] >= _RANK[scope]

    def refusal(self, scope: Scope) -> str:
        """Why this caller may not do what needs `scope`."""
        return (
            f"The {self.actor.type} {self.actor.name!r} has the scope {self.scope} and this needs "
            f"{scope}."
        )


class Access:
    """Identifies callers. `identify` and `identify_token` answer None for wrong credentials."""

    def __init__(
        self, credentials: Credentials, user: Actor, store: Any, bus: Bus, clock: Clock
    ) -> None:
        self._credentials = credentials
        self._everybody = Caller(ANONYMOUS, Scope.ADMIN)
        self._user = Caller(user, Scope.ADMIN)
        self._store = store
        self._bus = bus
        self._clock = clock
        self._tokens: dict[str, tuple[ops.KnownToken, Caller]] = {}
        self._expirations: dict[str, datetime | None] = {}
        self._any_token = False
        self._fresh_until = float("-inf")
        self._version = -1
        self._reading = asyncio.Lock()
        self._used: dict[str, datetime] = {}
        self._noted: dict[str, datetime] = {}

    @property
    def guarded(self) -> bool:
        """Whether an auth string is configured."""
        return self._credentials.configured

    async def required(self) -> bool:
        """Whether callers must present credentials."""
        await self._refresh()
        return self._credentials.configured or self._any_token

    async def identify(self, authorization: bytes | None) -> Caller | None:
        """The caller with this `Authorization` header."""
        if not await self.required():
            return self._everybody
        if authorization is None:
            return None
        if self._credentials.configured and self._credentials.accepts_header(authorization):
            return self._user
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        return self._bearer(token.strip().decode("latin-1"))

    async def identify_token(self, token: Any) -> Caller | None:
        """The caller whose socket sent this in its first frame."""
        if not await self.required():
            return self._everybody
        if not isinstance(token, str) or not token:
            return None
        if self._credentials.configured and self._credentials.accepts_token(token):
            return self._user
        return self._bearer(token)

    async def holds(self, caller: Caller) -> bool:
        """Whether a caller that was accepted earlier would be accepted now.

        Costs a statement at most once in five seconds, for all callers together.
        """
        await self._refresh()
        if caller is self._everybody:
            return not (self._credentials.configured or self._any_token)
        if caller.actor.type != "token":
            return True
        expires = self._expirations.get(caller.actor.id, _GONE)
        return expires is None or expires > self._clock.now()

    def _bearer(self, token: str) -> Caller | None:
        digest = ops.hash_of(token)
        found = self._tokens.get(digest)
        if found is None or not hmac.compare_digest(found[0].hash, digest):
            return None
        known, caller = found
        now = self._clock.now()
        if known.expires is not None and known.expires <= now:
            return None
        self._used[known.id] = now
        return caller

    async def _refresh(self) -> None:
        if self._is_fresh():
            return
        async with self._reading:
            if self._is_fresh():
                return
            version = self._bus.version(ops.TOPIC)
            self._any_token, known = await self._store.read(ops.known_tokens)
            self._tokens = {token.hash: (token, _caller(token)) for token in known}
            self._expirations = {token.id: token.expires for token in known}
            self._version = version
            self._fresh_until = self._clock.monotonic() + FRESH_SECONDS
            await self._note_use()

    def _is_fresh(self) -> bool:
        return (
            self._clock.monotonic() < self._fresh_until
            and self._bus.version(ops.TOPIC) == self._version
        )

    async def _note_use(self) -> None:
        """Store the times of use, each token at most once a minute."""
        due = {
            id: at
            for id, at in self._used.items()
            if id not in self._noted or at - self._noted[id] >= NOTE_USE_AFTER
        }
        if due:
            await self._store.write(ops.note_use, due)
            self._noted |= due


def _caller(token: ops.KnownToken) -> Caller:
    actor = Actor(type="token", id=token.id, name=token.name, auth="bearer")
    return Caller(actor, max(token.scopes, key=_RANK.__getitem__))


EVENT_SECONDS = 60.0
ADDRESSES = 1_000


class Refusals:
    """Records refused callers as events: for each address the first, then one in a minute.

    An event says how many were left out since the one before. Addresses beyond a thousand share
    one count, so that neither memory nor the event log can be filled from outside.
    """

    def __init__(self, store: Any, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._quiet_until: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    async def note(self, context: Context, reason: str) -> None:
        address = (context.request.ip if context.request else None) or ""
        now = self._clock.monotonic()
        if address not in self._quiet_until and len(self._quiet_until) >= ADDRESSES:
            self._forget(now)
            if len(self._quiet_until) >= ADDRESSES:
                address = "*"
        if now < self._quiet_until.get(address, float("-inf")):
            self._suppressed[address] = self._suppressed.get(address, 0) + 1
            return
        self._quiet_until[address] = now + EVENT_SECONDS
        suppressed = self._suppressed.pop(address, 0)
        try:
            await self._store.write(record_refusal, context, reason=reason, suppressed=suppressed)
        except ServiceUnavailable:
            # The caller gets its refusal whether or not it can be recorded now.
            self._suppressed[address] = suppressed + 1

    def _forget(self, now: float) -> None:
        for address in [one for one, until in self._quiet_until.items() if until <= now]:
            del self._quiet_until[address]
            self._suppressed.pop(address, None)
