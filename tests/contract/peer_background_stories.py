"""Stories of background tasks, told by the peer's own SDK; see peer_stories.py."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import httpx
from prefect import get_client
from prefect.client.schemas.objects import StateType

STORIES = []
TASKS = """
import time
from pathlib import Path
from prefect import task

@task
def double(n: int) -> int:
    return 2 * n

@task
def mark(folder: str, n: int) -> int:
    (Path(folder) / f"{n}-{time.time_ns()}").touch()
    return n

@task(retries=1, retry_delay_seconds=0)
def second_time(folder: str) -> str:
    path = Path(folder) / "tried"
    if path.exists():
        return "done"
    path.touch()
    raise ValueError("the first time")
"""
WORKER = """
from prefect.task_worker import serve
from background import double, mark, second_time

serve(double, mark, second_time, limit=2)
"""

# Whoever delays a task and whoever serves it must import it from the same module.
FOLDER = Path(tempfile.mkdtemp())
(FOLDER / "background.py").write_text(TASKS)
SCRIPT = FOLDER / "serving.py"
SCRIPT.write_text(WORKER)
sys.path.insert(0, str(FOLDER))
from background import double, mark, second_time  # noqa: E402


def story(function):
    STORIES.append(function)
    return function


@contextmanager
def worker():
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        if "Traceback" in errors:
            print(errors[-2000:], file=sys.stderr)


def until(question, seconds=40):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{question.__name__} did not become true in {seconds} s")


def state_of(future):
    with get_client(sync_client=True) as api:
        return api.read_task_run(future.task_run_id).state


def ended(futures):
    def all_ended():
        return all(state_of(one).is_final() for one in futures)

    until(all_ended)


def workers(**body):
    answer = httpx.post(f"{os.environ['PREFECT_API_URL']}/task_workers/filter", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@story
def a_round_trip():
    futures = [double.delay(n) for n in range(5)]
    assert all(state_of(one).type is StateType.SCHEDULED for one in futures)
    with worker():
        ended(futures)
        results = [one.result(timeout=20) for one in futures]
        assert results == [0, 2, 4, 6, 8], results
        later = double.delay(21)
        ended([later])
        assert later.result(timeout=20) == 42


@story
def every_run_is_done_once_by_two_workers():
    with tempfile.TemporaryDirectory() as folder, worker(), worker():
        futures = [mark.delay(folder, n) for n in range(20)]
        ended(futures)
        done = sorted(int(path.name.partition("-")[0]) for path in Path(folder).iterdir())
        assert done == list(range(20)), done
        assert all(state_of(one).is_completed() for one in futures)


@story
def a_worker_that_is_killed_loses_nothing():
    with tempfile.TemporaryDirectory() as folder:
        with worker() as first:
            until(workers)
            first.send_signal(signal.SIGSTOP)
            futures = [mark.delay(folder, n) for n in range(5)]
            first.kill()
            first.wait(10)
        with worker():
            ended(futures)
        assert all(state_of(one).is_completed() for one in futures)


@story
def a_retry_is_the_worker_s():
    with tempfile.TemporaryDirectory() as folder, worker():
        future = second_time.delay(folder)
        ended([future])
        assert future.result(timeout=20) == "done"


@story
def workers_are_listed_while_they_are_connected():
    with worker() as process:
        (listed,) = until(workers)
        assert listed["identifier"].endswith(f"-{process.pid}"), listed
        assert double.task_key in listed["task_keys"], listed
        assert workers(task_worker_filter={"task_keys": [double.task_key]}) == [listed]
        assert workers(task_worker_filter={"task_keys": ["other"]}) == []

    def nobody():
        return not workers()

    until(nobody)


def main():
    for function in STORIES:
        problem = None
        try:
            function()
        except BaseException:
            problem = traceback.format_exc()
        print(json.dumps({"story": function.__name__, "problem": problem}), flush=True)


if __name__ == "__main__":
    main()
