"""Health, readiness, versions, settings, CSRF tokens."""

import re
from datetime import timedelta
from typing import Any

from penstock.base.version import API_VERSION, PEER_VERSION, VERSION
from penstock.schemas.errors import RequestInvalid, ServiceUnavailable
from penstock.server.api import metrics
from penstock.server.api.adapter import Call, Handler
from penstock.server.api.answers import Answer
from penstock.server.api.csrf import DISABLED
from penstock.server.ops import admin, cleanup_ledger
from penstock.server.security.redaction import masked
from penstock.server.store.transaction import Tx

_PEER = re.compile(r"prefect/((\d+)\.(\d+)\.(\d+)\S*)")


async def health_check(call: Call) -> Any:
    """True while the process serves requests; asks nothing else."""
    return True


async def hello(call: Call) -> Any:
    return "👋"


def _ping(tx: Tx) -> None:
    tx.fetch("SELECT 1 AS one", ())


async def perform_readiness_check(call: Call) -> Any:
    """200 while the database answers and every background loop makes progress, else 503."""
    try:
        await call.edge.store.read(_ping)
    except ServiceUnavailable:
        return Answer({"message": "Database is not available"}, 503)
    stalled = call.edge.stalled()
    if stalled:
        return Answer({"message": "Services make no progress", "stalled": stalled}, 503)
    return {"message": "OK", "services": await _progress(call)}


async def _progress(call: Call) -> dict[str, Any]:
    return {
        state.name: {
            "last_success": state.last_success,
            "lag_seconds": state.lag_seconds,
            "holder": state.holder,
        }
        for state in await call.edge.services()
    }


async def read_services(call: Call) -> Any:
    """How every background loop has been doing, and which process runs it."""
    return await call.edge.services()


async def read_metrics(call: Call) -> Any:
    """The figures of this process and of the database, as Prometheus reads them."""
    text = metrics.text_of(
        await call.edge.store.read(cleanup_ledger.stats),
        await call.edge.store.read(cleanup_ledger.dead_by_kind),
        call.edge.queue.counters if call.edge.queue is not None else {},
        await call.edge.services(),
        call.edge.channels.count,
    )
    return Answer(text.encode(), media_type=b"text/plain; version=0.0.4; charset=utf-8")


async def server_version(call: Call) -> Any:
    return API_VERSION


async def read_version(call: Call) -> Any:
    """This package's version for this package's clients, one that the peer's accept for all else.

    Parts of the peer's client ask without naming themselves and compare all the same.
    """
    agent = call.headers.get(b"user-agent", b"").decode("latin-1")
    if agent.startswith("penstock/"):
        return VERSION
    match = _PEER.match(agent)
    if match is None:
        return PEER_VERSION
    theirs = tuple(int(number) for number in match.group(2, 3, 4))
    ours = tuple(int(number) for number in PEER_VERSION.split("."))
    return match[1] if theirs[0] == ours[0] and theirs > ours else PEER_VERSION


async def read_settings(call: Call) -> Any:
    return masked(call.edge.config.displayed_settings)


async def create_csrf_token(call: Call) -> Any:
    """A token for one client. 422 when protection is off; clients look for that text."""
    config = call.edge.config
    if not config.csrf_enabled:
        raise RequestInvalid(DISABLED)
    lifetime = timedelta(seconds=config.csrf_expiration)
    return await call.edge.store.write(
        admin.create_csrf_token, call.context, **call.query, lifetime=lifetime
    )


HANDLERS: dict[str, Handler] = {
    "health_check": health_check,
    "hello": hello,
    "perform_readiness_check": perform_readiness_check,
    "server_version": server_version,
    "read_version": read_version,
    "read_settings": read_settings,
    "read_services": read_services,
    "read_metrics": read_metrics,
    "create_csrf_token": create_csrf_token,
}
