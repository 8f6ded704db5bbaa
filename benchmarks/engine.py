"""What the engine costs: CPU per task of one flow, latency of a trivial flow call.

    PENSTOCK_API_URL=http://127.0.0.1:4200/api python benchmarks/engine.py [tasks] [calls]

Without an API URL the server in this process is used, whose CPU is then counted too. Prints one
line of JSON per measurement.
"""

import json
import statistics
import sys
import time

from penstock import flow, task


@task
def add(x: int) -> int:
    return x + 1


@flow
def calling(n: int) -> None:
    for number in range(n):
        add(number)


@flow
def submitting(n: int) -> None:
    futures = [add.submit(number) for number in range(n)]
    for future in futures:
        future.result()


@flow
def mapping(n: int) -> None:
    add.map(range(n)).result()


@flow
def trivial() -> int:
    return 1


def main(tasks: int, calls: int) -> None:
    trivial()
    for subject in (calling, submitting, mapping):
        subject(10)
        wall, cpu = time.perf_counter(), time.process_time()
        subject(tasks)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        report = {
            "measured": subject.name,
            "tasks": tasks,
            "cpu_ms_per_task": round(cpu / tasks * 1000, 4),
            "wall_ms_per_task": round(wall / tasks * 1000, 4),
        }
        print(json.dumps(report))
    seconds = []
    for _ in range(calls):
        started = time.perf_counter()
        trivial()
        seconds.append(time.perf_counter() - started)
    report = {
        "measured": "flow call",
        "p50_ms": round(statistics.median(seconds) * 1000, 3),
        "p95_ms": round(statistics.quantiles(seconds, n=20)[-1] * 1000, 3),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*(int(argument) for argument in [*sys.argv[1:], "1000", "100"][:2]))
