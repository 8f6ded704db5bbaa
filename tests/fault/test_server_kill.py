"""A server that dies at any moment has everything it acknowledged when it is back.

Clients create runs, change states, send logs and events while the process is killed: at random
moments, and at named points of the server around every commit and every answer. What a client
got an answer for must be there after the restart; what it did not get an answer for may be there
or not, but never in parts.
"""

import json
import os
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest
from tests.fault.forked_server import CRASH_POINTS, ForkedServers, quiet_port
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

RANDOM_KILLS = 136
KILLS_PER_POINT = 8
SEED = int(os.environ.get("PENSTOCK_TEST_SEED", "20261125"))


@dataclass
class Acknowledged:
    """What the server has promised since it was last checked."""

    life: str = field(default_factory=lambda: str(uuid4()))
    """Marks the log records of this life: the id of a run that they say they are of."""
    runs: dict[str, list[str]] = field(default_factory=dict)
    """Flow runs, with the ids of the states they were given."""
    logs: set[str] = field(default_factory=set)
    events: set[str] = field(default_factory=set)
    ends: dict[str, str] = field(default_factory=dict)
    """Why each client stopped."""
    count: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def total(self) -> int:
        states = sum(len(states) for states in self.runs.values())
        return len(self.runs) + states + len(self.logs) + len(self.events)


class Api:
    """One keep-alive connection."""

    def __init__(self, servers: ForkedServers) -> None:
        self._connection = HTTPConnection(servers.host, servers.port, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def post(self, path: str, body: object) -> Any:
        """The decoded answer. Raises `OSError` or `HTTPException` when the server dies."""
        return self.send("POST", path, body)

    def send(self, method: str, path: str, body: object = None) -> Any:
        self._connection.request(
            method, f"/api{path}", json.dumps(body), {"Content-Type": "application/json"}
        )
        with self._connection.getresponse() as answer:
            content = answer.read()
            assert answer.status < 300, (path, answer.status, content)
            return json.loads(content) if content else None


def make_runs(api: Api, flow: str, done: Acknowledged) -> Iterator[None]:
    while True:
        body = {"flow_id": flow, "state": {"type": "PENDING"}}
        run = api.post("/flow_runs/", body)["id"]
        done.runs[run] = []
        yield
        for type in ("RUNNING", "COMPLETED"):
            answer = api.post(f"/flow_runs/{run}/set_state", {"state": {"type": type}})
            assert answer["status"] == "ACCEPT"
            done.runs[run].append(answer["state"]["id"])
            yield


def send_logs(api: Api, flow: str, done: Acknowledged) -> Iterator[None]:
    while True:
        messages = [uuid4().hex for _ in range(5)]
        body = [
            {
                "level": 20,
                "name": "n",
                "message": one,
                "timestamp": "2026-11-25T00:00:00Z",
                "flow_run_id": done.life,
            }
            for one in messages
        ]
        api.post("/logs/", body)
        done.logs.update(messages)
        yield


def change_variables(api: Api, flow: str, done: Acknowledged) -> Iterator[None]:
    while True:
        name = f"v_{uuid4().hex}"
        id = api.send("POST", "/variables/", {"name": name, "value": 1})["id"]
        yield
        api.send("PATCH", f"/variables/{id}", {"value": 2})
        yield
        api.send("DELETE", f"/variables/{id}")
        yield


def event() -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "occurred": "2026-11-25T00:00:00Z",
        "event": "happened",
        "resource": {"prefect.resource.id": "thing.1"},
    }


def post_events(api: Api, flow: str, done: Acknowledged) -> Iterator[None]:
    while True:
        events = [event() for _ in range(3)]
        api.post("/events", events)
        done.events.update(one["id"] for one in events)
        yield


Work = Callable[[Api, str, Acknowledged], Iterator[None]]


def over_http(servers: ForkedServers, work: Work, flow: str, done: Acknowledged) -> None:
    """Do `work` until the server dies."""
    try:
        with Api(servers) as api:
            for _ in work(api, flow, done):
                done.count.release()
    except (OSError, HTTPException) as error:
        done.ends[work.__name__] = repr(error)


def over_socket(servers: ForkedServers, done: Acknowledged) -> None:
    """Send events and believe acks, until the server dies."""
    url = f"ws://{servers.host}:{servers.port}/api/events/in"
    sent: list[str] = []
    try:
        with connect(url, subprotocols=[Subprotocol("penstock.events.v1")]) as socket:
            socket.send(json.dumps({"type": "auth", "token": None}))
            assert json.loads(socket.recv(20))["type"] == "auth_success"
            while True:
                batch = [event() for _ in range(4)]
                sent += [one["id"] for one in batch]
                socket.send(json.dumps(batch))
                frame = json.loads(socket.recv(20))
                assert frame["type"] == "ack"
                done.events.update(sent[: frame["through"]])
                done.count.release()
    except (OSError, EOFError, WebSocketException) as error:
        done.ends["over_socket"] = repr(error)


def start_clients(servers: ForkedServers, flow: str, done: Acknowledged) -> list[threading.Thread]:
    works: list[Work] = [make_runs, make_runs, change_variables, send_logs, post_events]
    threads = [
        threading.Thread(
            target=over_http, args=(servers, work, flow, done), name=work.__name__, daemon=True
        )
        for work in works
    ]
    threads.append(
        threading.Thread(
            target=over_socket, args=(servers, done), name=over_socket.__name__, daemon=True
        )
    )
    for thread in threads:
        thread.start()
    return threads


def check(api: Api, done: Acknowledged) -> None:
    """Everything that was acknowledged is there, and the rest is whole."""
    runs = stored_runs(api, list(done.runs))
    assert {run["id"] for run in runs} == set(done.runs)
    wanted_states = {state for states in done.runs.values() for state in states}
    events = stored_events(api, [*wanted_states, *done.events])
    assert done.events <= events
    # A committed change of state and its event are one: the event has the id of the state.
    assert wanted_states <= events
    for run in runs:
        promised = done.runs[run["id"]]
        if promised and run["state_id"] != promised[-1]:
            # One more change was committed and its answer lost with the process.
            assert len(promised) == 1
            assert run["state_type"] == "COMPLETED"
    assert done.logs <= stored_logs(api, done)


def stored_runs(api: Api, ids: list[str]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(ids), 200):
        body = {"flow_runs": {"id": {"any_": ids[start : start + 200]}}, "limit": 200}
        found += api.post("/flow_runs/filter", body)
    return found


def stored_events(api: Api, ids: list[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(ids), 50):
        body = {"filter": {"id": {"id": ids[start : start + 50]}}, "limit": 50}
        found |= {one["id"] for one in api.post("/events/filter", body)["events"]}
    return found


def stored_logs(api: Api, done: Acknowledged) -> set[str]:
    found: set[str] = set()
    page: list[Any] = []
    while not found or len(page) == 200:
        body = {
            "logs": {"flow_run_id": {"any_": [done.life]}},
            "offset": len(found),
            "limit": 200,
        }
        page = api.post("/logs/filter", body)
        found |= {one["message"] for one in page}
        if not page:
            break
    return found


def check_history(path: Path) -> int:
    """Every committed change has exactly one event and one audit row; what was lost has neither.

    How many changes those are.
    """
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT id, kind, action, object_id, after FROM audit ORDER BY seq"
        ).fetchall()
        told = database.execute(
            "SELECT id FROM event WHERE event LIKE 'prefect.%' OR event LIKE 'penstock.%'"
        ).fetchall()
        states = database.execute("SELECT id FROM flow_run_state").fetchall()
        variables = dict(database.execute("SELECT id, value FROM variable").fetchall())
    assert sorted(id for (id,) in told) == sorted(row[0] for row in rows)
    of_runs = sorted(row[0] for row in rows if row[1] == "flow-run")
    assert of_runs == sorted(id for (id,) in states)
    histories: dict[str, list[tuple[str, str | None]]] = {}
    for _, kind, action, object_id, after in rows:
        if kind == "variable":
            histories.setdefault(object_id, []).append((action, after))
    for id, history in histories.items():
        actions = [action for action, _ in history]
        assert actions == ["created", "updated", "deleted"][: len(actions)]
        after = history[-1][1]
        assert (after is None) == (id not in variables)
        assert after is None or json.loads(after)["value"] == json.loads(variables[id])
    assert variables.keys() <= histories.keys()
    return len(rows)


def live(servers: ForkedServers, flow: str, point: str | None, number: int) -> Acknowledged:
    """Load the server until it dies: at its crash point, or after `number` acknowledgements."""
    done = Acknowledged()
    threads = start_clients(servers, flow, done)
    if point is None:
        for _ in range(number):
            assert done.count.acquire(timeout=20)
        servers.kill()
    elif not servers.wait():
        servers.kill()
        raise AssertionError(f"{point!r} was not reached: {done.ends}\n{servers.output()}")
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), f"{thread.name} waits for a server that is dead"
    return done


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_by_200_kills(tmp_path: Path):
    moments = random.Random(SEED)
    lives: list[tuple[str | None, int]] = [
        (point, moments.randint(1, 12)) for point in CRASH_POINTS for _ in range(KILLS_PER_POINT)
    ]
    lives += [(None, moments.randint(0, 25)) for _ in range(RANDOM_KILLS)]
    moments.shuffle(lives)
    assert len(lives) >= 200
    promised = 0
    with ForkedServers(tmp_path, quiet_port()) as servers:
        servers.start()
        with Api(servers) as api:
            flow = api.post("/flows/", {"name": "f"})["id"]
        servers.kill()
        done = Acknowledged()
        for point, number in lives:
            servers.start()
            with Api(servers) as api:
                check(api, done)
            servers.arm(point, number)
            done = live(servers, flow, point, number)
            promised += done.total
        servers.start()
        with Api(servers) as api:
            check(api, done)
        servers.kill()
    assert check_history(tmp_path / "penstock.db") > 1_000
    assert promised > 1_000, f"{promised} acknowledgements prove little; seed {SEED}"
