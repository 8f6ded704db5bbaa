"""A flow of a thousand mapped tasks that fail once each, in every place a flow can run.

The script is a process of its own; what it left behind is counted over REST and in the client.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from tests.server_process import ServerProcess

POSTGRES = os.environ.get("PENSTOCK_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
COUNT = 1000
SCRIPT = f"""
import threading
from penstock import flow, task
from penstock.runtime import flow_run

seen = set()
lock = threading.Lock()


@task(retries=1)
def flaky(n):
    with lock:
        first = n not in seen
        seen.add(n)
    if first:
        raise ValueError(n)
    return n


@flow
def many():
    return sum(flaky.map(list(range({COUNT}))).result()), str(flow_run.id)


total, run_id = many()
assert total == sum(range({COUNT}))
print(run_id)
"""


def run_script(environment: dict[str, str]) -> str:
    """The id of the flow run that the script made."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment | {"PENSTOCK_LOGGING_LEVEL": "CRITICAL"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()[-1]


def post(api: str, path: str, body: object) -> object:
    request = urllib.request.Request(
        f"{api}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def check_over_rest(api: str, run_id: str) -> None:
    ours = {"flow_run_id": {"any_": [run_id]}}
    completed = {**ours, "state": {"type": {"any_": ["COMPLETED"]}}}
    assert post(api, "/task_runs/count", {"task_runs": ours}) == COUNT
    assert post(api, "/task_runs/count", {"task_runs": completed}) == COUNT
    page = post(api, "/task_runs/filter", {"task_runs": ours, "limit": 200})
    assert isinstance(page, list)
    assert {run["run_count"] for run in page} == {2}
    runs = post(api, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
    assert isinstance(runs, list)
    assert [run["state_type"] for run in runs] == ["COMPLETED"]


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A schema of its own in the test database, gone after the test."""
    try:
        connection = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        pytest.skip("2026-11-25: no PostgreSQL server answers at PENSTOCK_TEST_POSTGRES")
    schema = f"scenario_{uuid4().hex}"
    with closing(connection):
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            yield f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}search_path={schema}"
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


def test_against_a_server_on_sqlite(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        check_over_rest(server.api, run_script(server.environment))


def test_against_a_server_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    with ServerProcess(tmp_path, database_url=postgres_url) as server:
        check_over_rest(server.api, run_script(server.environment))


def test_embedded(tmp_path: Path) -> None:
    """Runs without any server; a server started afterwards on the same database counts them."""
    server = ServerProcess(tmp_path)
    environment = server.environment
    del environment["PENSTOCK_API_URL"]
    run_id = run_script(environment)
    with server:
        check_over_rest(server.api, run_id)
