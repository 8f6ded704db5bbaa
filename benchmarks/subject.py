"""What is measured inside a client process, the same text for both systems.

    python benchmarks/subject.py penstock|prefect calls|tasks|event [count]

Prints one line of JSON. Needs `<SYSTEM>_API_URL`.
"""

import importlib
import json
import os
import statistics
import sys
import time
import urllib.request
from datetime import UTC, datetime
from uuid import uuid4

NAME = sys.argv[1]
API = os.environ[f"{NAME.upper()}_API_URL"]


def post(path: str, body: object) -> object:
    request = urllib.request.Request(
        f"{API}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def calls(count: int) -> dict[str, float]:
    system = importlib.import_module(NAME)

    @system.flow
    def trivial() -> int:
        return 1

    for _ in range(3):
        trivial()
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        trivial()
        seconds.append(time.perf_counter() - started)
    return {"flow_call_p50_ms": statistics.median(seconds) * 1000}


def tasks(count: int) -> dict[str, float]:
    """One flow of `count` tasks, a quarter each called, submitted, mapped; then gathered."""
    system = importlib.import_module(NAME)
    runtime = importlib.import_module(f"{NAME}.runtime")

    @system.task
    def add(x: int) -> int:
        return x + 1

    @system.flow
    def many(n: int) -> str:
        third = n // 3
        for number in range(third):
            add(number)
        futures = [add.submit(number) for number in range(third)]
        futures += add.map(list(range(n - 2 * third)))
        assert sum(future.result() for future in futures) > 0
        return str(runtime.flow_run.id)

    many(6)
    before = time.process_time()
    run_id = many(count)
    cpu = time.process_time() - before
    returned = time.perf_counter()
    query = {
        "task_runs": {
            "flow_run_id": {"any_": [run_id]},
            "state": {"type": {"any_": ["COMPLETED"]}},
        }
    }
    while post("/task_runs/count", query) != count:
        if time.perf_counter() - returned > 180:
            raise TimeoutError("task runs did not appear within 180 s")
        time.sleep(0.01)
    return {
        "task_client_ms": cpu / count * 1000,
        "visible_s": time.perf_counter() - returned,
    }


def event(count: int) -> dict[str, float]:
    """Seconds from sending an event over the socket until a query finds it."""
    from websockets.sync.client import connect

    url = API.replace("http", "ws", 1) + "/events/in"
    waits = []
    with connect(url, subprotocols=["prefect"]) as socket:
        socket.send(json.dumps({"type": "auth", "token": None}))
        assert json.loads(socket.recv())["type"] == "auth_success"
        for _ in range(count):
            identity = str(uuid4())
            body = {
                "id": identity,
                "occurred": datetime.now(UTC).isoformat(),
                "event": "bench.happened",
                "resource": {"prefect.resource.id": "bench.one"},
            }
            started = time.perf_counter()
            socket.send(json.dumps(body))
            while not post("/events/filter", {"filter": {"id": {"id": [identity]}}})["events"]:
                time.sleep(0.001)
            waits.append(time.perf_counter() - started)
    return {"event_ms": statistics.median(waits) * 1000}


if __name__ == "__main__":
    measure = {"calls": calls, "tasks": tasks, "event": event}[sys.argv[2]]
    print(json.dumps(measure(int(sys.argv[3]))))
