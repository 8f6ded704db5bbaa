"""Requests generated from our OpenAPI document against a real server: no answer breaks its word.

No 5xx, no status and no media type that is not documented, every body as its schema says. Half of
the requests are of the documented shape, half deliberately are not; ids are those of objects that
are there as often as not. `pytest -m slow tests/fuzz` sends 20,000 to each database.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.databases import DATABASES, database_url
from tests.server_process import ServerProcess

from penstock.server import openapi

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
USER = ("fuzz", "er")
OPERATIONS = 150
"""At least so many there are; a document that has lost some is noticed."""


@pytest.fixture(scope="module", params=DATABASES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("fuzzed")
    with (
        database_url(request.param, home) as url,
        # Made tokens must not lock the next request out.
        ServerProcess(
            home, database_url=url, PENSTOCK_SERVER_API_AUTH_STRING=":".join(USER)
        ) as running,
    ):
        yield running


class Objects:
    """Ids and names of objects that are there, by what paths call them."""

    def __init__(self, session: requests.Session, api: str) -> None:
        self._session = session
        self._api = api
        self._numbers = itertools.count()
        self.known: dict[str, str] = {}

    def _post(self, path: str, body: Any) -> Any:
        answer = self._session.post(f"{self._api}{path}", json=body)
        assert answer.status_code in (200, 201, 204), (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def renew(self) -> None:
        """New objects; those before may have been deleted by a request."""
        n = f"{os.getpid()}-{next(self._numbers)}"
        flow = self._post("/flows/", {"name": f"f-{n}"})["id"]
        pool = f"p-{n}"
        self._post("/work_pools/", {"name": pool, "type": "process"})
        deployment = self._post(
            "/deployments/", {"name": f"d-{n}", "flow_id": flow, "work_pool_name": pool}
        )
        schedule = {"schedule": {"cron": "0 0 1 1 *"}, "active": True}
        [made] = self._post(f"/deployments/{deployment['id']}/schedules", [schedule])
        run = self._post("/flow_runs/", {"flow_id": flow})["id"]
        self._post(f"/work_pools/{pool}/workers/heartbeat", {"name": "w"})
        queue = self._post(f"/work_pools/{pool}/queues", {"name": "q"})["id"]
        kind = self._post("/block_types/", {"name": f"B-{n}", "slug": f"b-{n}"})["id"]
        schema = self._post("/block_schemas/", {"block_type_id": kind, "fields": {"title": n}})[
            "id"
        ]
        document = {
            "name": f"n-{n}",
            "data": {},
            "block_type_id": kind,
            "block_schema_id": schema,
        }
        task = {"flow_run_id": run, "task_key": "t", "dynamic_key": "0"}
        trigger = {"type": "event", "posture": "Reactive", "threshold": 1}
        automation = {"name": n, "trigger": trigger, "actions": [{"type": "do-nothing"}]}
        limit = self._post("/v2/concurrency_limits/", {"name": f"l-{n}", "limit": 3})
        variable = {"name": f"v_{n}".replace("-", "_"), "value": 1}
        self.known = {
            "/flows/{id}": flow,
            "/flow_runs/{id}": run,
            "/task_runs/{id}": self._post("/task_runs/", task)["id"],
            "/ui/task_runs/{id}": self._post("/task_runs/", {**task, "dynamic_key": "1"})["id"],
            "/deployments/{id}": deployment["id"],
            "{schedule_id}": made["id"],
            "/work_pools/{name}": pool,
            "{work_pool_name}": pool,
            "/queues/{name}": "q",
            "/workers/{name}": "w",
            "/work_queues/{id}": queue,
            "/block_types/{id}": kind,
            "/block_schemas/{id}": schema,
            "/block_documents/{id}": self._post("/block_documents/", {**document, "data": {}})[
                "id"
            ],
            "{slug}": f"b-{n}",
            "{block_document_name}": f"n-{n}",
            "/automations/{id}": self._post("/automations/", automation)["id"],
            "/variables/{id}": self._post("/variables/", variable)["id"],
            "{id_or_name}": limit["name"],
            "/concurrency_limits/{id}": self._post(
                "/concurrency_limits/", {"tag": f"t-{n}", "concurrency_limit": 2}
            )["id"],
            "{tag}": f"t-{n}",
            "/artifacts/{id}": self._post("/artifacts/", {"key": f"k-{n}", "data": 1})["id"],
            "{key}": f"k-{n}",
        }

    def of(self, path: str, parameter: str) -> str | None:
        """What stands for `parameter` in `path`: by the steps before it, else by its name."""
        before = path[: path.index("{" + parameter + "}")].rstrip("/")
        here = f"/{before.rpartition('/')[2]}/{{{parameter}}}"
        return self.known.get(here) or self.known.get("{" + parameter + "}")


def sender(operation: Any, mode: GenerationMode, count: int) -> Any:
    """A function that sends up to `count` requests of an operation and notes what is wrong."""

    def send(
        objects: Objects,
        session: requests.Session,
        api: str,
        statuses: Counter[int],
        problems: list[str],
    ) -> None:
        @seed(4711)
        @settings(
            max_examples=count,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.filter_too_much,
                HealthCheck.large_base_example,
            ],
        )
        @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
        def one(case: Any, known: bool) -> None:
            for name in (case.path_parameters or {}) if known else ():
                value = objects.of(operation.path, name)
                if value is not None:
                    case.path_parameters[name] = value
            answer = case.call(base_url=api, session=session, timeout=30)
            statuses[answer.status_code] += 1
            # To say that the server is not ready is what this one is for.
            ready = operation.path == "/ready" and answer.status_code == 503
            try:
                case.validate_response(answer, checks=CHECKS[1:] if ready else CHECKS)
            except (Failure, FailureGroup) as failure:
                shown = [str(one) for one in getattr(failure, "exceptions", [failure])]
                problems.append(f"{operation.label} {answer.status_code}: {' '.join(shown)}")

        one()

    return send


def fuzz(server: ServerProcess, count: int, every: int = 1) -> Counter[int]:
    """About `count` requests, as many of each operation; how often each status came.

    `every` leaves operations out: building what a request is generated from takes its time.
    """
    session = requests.Session()
    session.auth = USER
    objects = Objects(session, server.api)
    objects.renew()
    schema = schemathesis.openapi.from_dict(openapi.document())
    found: list[Any] = list(schema.get_all_operations())
    operations = [result.ok() for result in found]
    assert len(operations) > OPERATIONS
    operations = operations[::every]
    statuses: Counter[int] = Counter()
    problems: list[str] = []
    share = max(1, count // len(operations) // 2)
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            send = sender(operation, mode, share)
            try:
                send(objects, session, server.api, statuses, problems)
            except Unsatisfiable:
                continue  # nothing in such a request can be wrong
            except Exception as error:
                inner = " ".join(repr(one) for one in getattr(error, "exceptions", ()))
                problems.append(f"{operation.label}: {type(error).__name__}: {error} {inner}")
        if operation.method == "delete" or "bulk" in operation.path:
            objects.renew()
    assert not problems, f"{len(problems)} problems, the first:\n" + "\n\n".join(
        list(dict.fromkeys(problem[:1500] for problem in problems))[:20]
    )
    return statuses


@pytest.mark.slow
def test_some_requests(server: ServerProcess) -> None:
    statuses = fuzz(server, 60, every=12)
    assert statuses[200] and statuses[404] and statuses[422]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_thousand_requests(server: ServerProcess) -> None:
    statuses = fuzz(server, 20_000)
    total = sum(statuses.values())
    print(f"{total} requests: {dict(sorted(statuses.items()))}")
    assert total >= 18_000, "operations without parameters have few different requests"
