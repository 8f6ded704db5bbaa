"""Where a call comes from, as far as its headers and its connection tell.

Headers are what the caller says of itself. They become the request's id and claims that are
recorded as claims; who the caller is follows from its credentials alone.
"""

import re
from collections.abc import Mapping
from typing import Any

from penstock.base.ids import uuid7
from penstock.schemas.claims import CLAIM_HEADER
from penstock.server.ops.context import RequestInfo

MAXIMUM_CLAIM = 100
_REQUEST_ID = re.compile(rb"[\w.:-]{1,64}", re.ASCII)
_CLAIMED = ("worker", "flow", "deployment", "flow-run")
_CLAIMS = tuple(
    (f"x-prefect-{kind}-{part}".encode(), kind if part == "id" else f"{kind}-name")
    for kind in _CLAIMED
    for part in ("id", "name")
)
_RUN_CLAIM = CLAIM_HEADER.lower().encode()


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The id a proxy or client gave the request, else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return str(uuid7())


def request_info(
    scope: Mapping[str, Any], headers: Mapping[bytes, bytes], *, id: str, route: str
) -> RequestInfo:
    client = scope.get("client")
    return RequestInfo(
        id=id,
        route=route,
        ip=client[0] if client else None,
        user_agent=headers.get(b"user-agent", b"").decode("latin-1")[:200] or None,
    )


def claims(headers: Mapping[bytes, bytes]) -> tuple[tuple[str, str], ...]:
    """What the caller says it works for: kinds with ids, and `<kind>-name` with names."""
    return tuple(
        (kind, headers[name].decode("latin-1")[:MAXIMUM_CLAIM])
        for name, kind in _CLAIMS
        if headers.get(name)
    )


def run_claim(headers: Mapping[bytes, bytes]) -> tuple[str, int] | None:
    """The flow run and the number of the claim under which the caller writes about it."""
    given = headers.get(_RUN_CLAIM)
    if given is None:
        return None
    id, _, number = given.decode("latin-1").rpartition(":")
    return (id, int(number)) if id and number.isdecimal() and len(number) < 19 else None
