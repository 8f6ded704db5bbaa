"""Performing operations over REST and seeing exactly which events and audit rows they leave."""

import asyncio
import threading
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from msgspec import Struct
from tests.unit.server.api.asgi import Reply, request

from penstock.base import json
from penstock.base.clock import ManualClock
from penstock.server.app import App
from penstock.server.config import ServerConfig
from penstock.server.ops.context import Context, service

AUTH_STRING = "catalogue:user"
AS_USER = {"authorization": f"Basic {b64encode(AUTH_STRING.encode()).decode()}"}
RESOURCE = ("prefect.resource.id", "prefect.resource.name")


class Expected(Struct, kw_only=True):
    """One event and its audit row, as they must be.

    `event` is `prefect.<kind>.<action>` unless given; None for an audit row without an event.
    Of an update `changes` are the differences between the audit row's `before` and `after`.
    `after` and `before` are whole snapshots; where they are not given, only that there is one.
    """

    kind: str
    action: str
    id: str
    name: str
    event: str | None = ""
    labels: Mapping[str, str] = {}
    related: Sequence[Mapping[str, str]] = ()
    payload: Mapping[str, Any] = {}
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    changes: Mapping[str, tuple[Any, Any]] = {}
    caused_by: "Expected | None" = None
    follows: bool = False
    audited: bool = True
    """False for an event of no change."""
    first: bool | None = None
    """Whether the object was not known before; without it, when it is `created`."""

    @property
    def resource(self) -> str:
        return f"prefect.{self.kind}.{self.id}" if self.audited else self.id

    @property
    def event_name(self) -> str | None:
        return f"prefect.{self.kind}.{self.action}" if self.event == "" else self.event


class Case(Struct, frozen=True):
    name: str
    perform: Callable[["Api"], list[Expected]]
    events: tuple[str, ...]


CASES: list[Case] = []


def case(*events: str) -> Callable[[Callable[["Api"], list[Expected]]], Any]:
    """Register a case of the table: it asserts these events, or that there is none."""

    def register(perform: Callable[["Api"], list[Expected]]) -> Any:
        CASES.append(Case(perform.__name__, perform, events))
        return perform

    return register


class Api:
    """One application, asked over REST; its clock stands still."""

    def __init__(self, app: App, clock: ManualClock, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.clock = clock
        self._loop = loop
        self._names = 0
        self._event = self._audit = 0

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def name(self, stem: str = "name") -> str:
        """A name that nothing else has."""
        self._names += 1
        return f"{stem}-{self._names}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        given = {**AS_USER, **headers}
        return self.run(request(self.app, method, f"/api{path}", body, headers=given))

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """What a request that succeeds is answered."""
        reply = self.ask(method, path, body)
        assert reply.status in (200, 201, 202, 204), (method, path, reply.status, reply.body)
        return reply.json if reply.body else None

    def refused(self, status: int, method: str, path: str, body: Any = None) -> None:
        reply = self.ask(method, path, body)
        assert reply.status == status, (reply.status, reply.body)

    def post(self, path: str, body: Any = None) -> Any:
        return self.done("POST", path, body)

    def get(self, path: str) -> Any:
        return self.done("GET", path)

    def patch(self, path: str, body: Any) -> None:
        self.done("PATCH", path, body)

    def delete(self, path: str) -> None:
        self.done("DELETE", path)

    def write(self, op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """An operation that only the server itself makes."""
        context = Context(base_url="http://server/api", actor=service("catalogue"))
        return self.app.store.write_sync(op, context, *args, **kwargs)

    def rows(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        return self.app.store.read_sync(lambda tx: tx.fetch(sql, params))

    # --- what is told -----------------------------------------------------------------------------

    def settle(self) -> None:
        """What was told until now belongs to the preparation."""
        self._event = self.rows("SELECT coalesce(max(seq), 0) AS seq FROM event")[0]["seq"]
        self._audit = self.rows("SELECT coalesce(max(seq), 0) AS seq FROM audit")[0]["seq"]

    def events(self) -> list[dict[str, Any]]:
        """Events since then as REST gives them, in the order of their commits."""
        rows = self.rows("SELECT id FROM event WHERE seq > ? ORDER BY seq", self._event)
        ids = [row["id"] for row in rows]
        if not ids:
            return []
        now = self.clock.now()
        body = {
            "filter": {
                "id": {"id": ids},
                "occurred": {
                    "since": (now - timedelta(days=1)).isoformat(),
                    "until": (now + timedelta(days=1)).isoformat(),
                },
            },
            "limit": 50,
        }
        page = self.post("/events/filter", body)
        assert page["total"] == len(ids) <= 50
        return sorted(page["events"], key=lambda event: ids.index(event["id"]))

    def audit(self) -> list[dict[str, Any]]:
        sql = "SELECT * FROM audit WHERE seq > ? ORDER BY seq"
        return decoded(self.rows(sql, self._audit))

    def history(self, id: str) -> list[dict[str, Any]]:
        """All audit rows of one object."""
        sql = "SELECT * FROM audit WHERE object_id = ? ORDER BY seq"
        return decoded(self.rows(sql, id))


def decoded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: plain(value) if name in _DOCUMENTS else value for name, value in row.items()}
        for row in rows
    ]


_DOCUMENTS = ("before", "after", "changes", "claims")


def plain(value: Any) -> Any:
    if value is None or isinstance(value, (dict, list)):
        return value
    return json.decode(value)


@contextmanager
def running(url: str) -> Iterator[Api]:
    """An application without background loops, on the database at `url`."""
    clock = ManualClock()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    app = App(ServerConfig(database_url=url, services=False, auth_string=AUTH_STRING), clock)
    api = Api(app, clock, loop)
    try:
        api.run(app.start())
        try:
            yield api
        finally:
            api.run(app.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
