"""The server disappears while a client runs: the program goes on and nothing is lost."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server_process import ServerProcess

from penstock.base import json
from penstock.base.clock import utc_now
from penstock.base.ids import uuid7
from penstock.client import SyncPenstockClient
from penstock.client.endpoint import reset
from penstock.client.outbox import Bounds
from penstock.client.sockets import EventStream
from penstock.client.target import Target
from penstock.schemas.events import Event, EventFilter, EventNameFilter

LONG = 60.0


@pytest.fixture(autouse=True)
def _fresh_endpoints() -> Iterator[None]:
    reset()
    yield
    reset()


def event(number: int) -> bytes:
    resource = {"prefect.resource.id": "demo.1"}
    payload = {"number": number}
    return json.encode(
        Event(id=uuid7(), occurred=utc_now(), event="demo.lost", resource=resource, payload=payload)
    )


def test_events_survive_a_killed_server(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    server = ServerProcess(tmp_path)
    server.start()
    stream = EventStream(Target(url=server.api), bounds=Bounds(interval=0.0))
    try:
        for number in range(100):
            stream.send(event(number))
        assert stream.flush(LONG) == 0
        server.kill()
        before = time.perf_counter()
        for number in range(100, 600):
            stream.send(event(number))
        assert time.perf_counter() - before < 1.0, "emitting does not wait for a dead server"
        assert stream.flush(0.5) == 500, "nothing is thrown away"
        server.start()
        assert stream.flush(LONG) == 0
        page = SyncPenstockClient(server.api).read_events(
            EventFilter(event=EventNameFilter(name=["demo.lost"]))
        )
        assert page.total == 600, "each event once"
        told = [record.getMessage() for record in caplog.records if "penstock" in record.name]
        assert sum("cannot deliver now" in text for text in told) == 1, "said once"
        assert sum("delivering again" in text for text in told) == 1
    finally:
        stream.close()
        server.stop()


PROGRAM = """
import sys
from penstock.events import emit_event
from penstock.logging import flow_run_logger
from uuid import UUID

emit_event("demo.first", {"prefect.resource.id": "demo.1"})
from penstock.events.worker import EventsWorker
assert EventsWorker.instance().wait_until_empty(30) == 0
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    emit_event("demo.unsent", {"prefect.resource.id": "demo.1"})
flow_run_logger(flow_run_id=UUID(int=7)).info("a record")
print("the user's code has finished", flush=True)
"""


def test_a_program_ends_in_bounded_time_and_names_what_it_could_not_deliver(tmp_path: Path):
    server = ServerProcess(tmp_path)
    server.start()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=server.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    server.kill()
    before = time.perf_counter()
    out, err = program.communicate("go\n", timeout=LONG)
    assert time.perf_counter() - before < 15
    assert program.returncode == 0, err
    assert "the user's code has finished" in out
    assert "not delivered at exit: events for" in err
    assert "3 events (demo.unsent x 3)" in err
    assert "1 log records of the flow runs 00000000-0000-0000-0000-000000000007" in err
