"""A task worker runs in the background what `Task.delay` left on the server.

    from penstock.task_worker import serve
    serve(send_mail, resize_image, limit=10)

It holds a socket on which the server lends it one scheduled run after the other. A run is claimed
by proposing Pending before it is acknowledged, so that a worker that dies in between loses it to
another one, and the others' proposals are refused.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from contextlib import contextmanager
from contextvars import copy_context
from datetime import datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID

from msgspec import convert
from msgspec.structs import replace

from penstock.base import json
from penstock.base.clock import utc_now
from penstock.base.run_context import current_run
from penstock.cache_policies import DEFAULT, NO_CACHE
from penstock.client import get_client
from penstock.client.duplex import Duplex, SocketClosed, open_duplex
from penstock.client.target import current_target
from penstock.engine import run as runs
from penstock.engine.deferral import read_parameters, scheduling_store, store_parameters
from penstock.engine.portable import restored
from penstock.engine.runners.loop import run_on_thread_loop
from penstock.engine.runners.thread import ThreadPool
from penstock.engine.task import task_run as task_core
from penstock.engine.telemetry import flush
from penstock.schemas.errors import PenstockException
from penstock.schemas.states import SetStateStatus, StateCreate, StateDetails, StateType
from penstock.schemas.task_runs import TaskRun
from penstock.settings import get_current_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "StopTaskWorker",
    "TaskWorker",
    "aserve",
    "read_parameters",
    "serve",
    "should_try_to_read_parameters",
    "store_parameters",
]

PATH = "/task_runs/subscriptions/scheduled"
LOOK_SECONDS = 0.2
"""How soon a worker sees that it is to stop."""
RECONNECT_SECONDS = 1.0

logger = logging.getLogger("penstock.task_worker")


class StopTaskWorker(Exception):
    """Raised by a task, or what it calls, to end the worker that runs it."""


class TaskWorker:
    """Runs deferred runs of some tasks, at most `limit` at a time (None: as many as come).

    `start` blocks until `stop`, SIGTERM, or `timeout` seconds; runs under way are finished.
    """

    def __init__(self, *tasks: Any, limit: int | None = 10) -> None:
        if not tasks:
            raise ValueError("a task worker needs at least one task to serve")
        if limit is not None and limit < 1:
            raise ValueError(f"limit is {limit}; give at least 1, or None for no limit")
        self.tasks = [_served(task) for task in tasks]
        self.limit = limit
        self.started_at: datetime | None = None
        self.in_flight_task_runs: dict[UUID, TaskRun] = {}
        self._by_key = {task.task_key: task for task in self.tasks}
        self._slots = threading.Semaphore(limit) if limit is not None else None
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def client_id(self) -> str:
        return f"{socket.gethostname()}-{os.getpid()}"

    @property
    def started(self) -> bool:
        return self.started_at is not None and not self._stopping.is_set()

    @property
    def available_tasks(self) -> int | None:
        """How many more runs fit; None without a limit."""
        return None if self.limit is None else self.limit - len(self.in_flight_task_runs)

    @property
    def current_tasks(self) -> int:
        return len(self.in_flight_task_runs)

    def handle_sigterm(self, signum: int, frame: object) -> None:
        logger.info("SIGTERM received; the task worker stops when its runs are done")
        self.stop()

    def start(self, timeout: float | None = None) -> None:
        """Take runs and run them until told to stop.

        Raises `ValueError` without a configured API, `SocketRefused` when it refuses the worker.
        """
        if get_current_settings().api.url is None:
            raise ValueError(
                "a task worker needs a server: set PENSTOCK_API_URL to the API it is to serve"
            )
        self._stopping.clear()
        self.started_at = utc_now()
        deadline = None if timeout is None else time.monotonic() + timeout
        names = ", ".join(sorted(task.name for task in self.tasks))
        logger.info("Task worker %s serves: %s", self.client_id, names)
        pool = ThreadPool(self.limit, name="penstock-background-task")
        with _on_sigterm(self.handle_sigterm):
            try:
                while not self._is_over(deadline):
                    self._serve_connection(pool, deadline)
            finally:
                pool.stop()
                flush()
                self.started_at = None

    def stop(self) -> None:
        """End `start` as soon as the runs under way are done; can be called from any thread."""
        self._stopping.set()

    async def astart(self, timeout: float | None = None) -> None:
        """`start` for coroutines."""
        import asyncio

        await asyncio.to_thread(self.start, timeout)

    async def astop(self) -> None:
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # --- taking ----------------------------------------------------------------------------------

    def _is_over(self, deadline: float | None) -> bool:
        return self._stopping.is_set() or (deadline is not None and time.monotonic() >= deadline)

    def _serve_connection(self, pool: ThreadPool, deadline: float | None) -> None:
        try:
            duplex = open_duplex(current_target(), PATH)
        except (OSError, SocketClosed) as error:
            logger.warning("no connection to %s: %s", current_target().name, error)
            self._stopping.wait(RECONNECT_SECONDS)
            return
        try:
            keys = sorted(self._by_key)
            hello = {"type": "subscribe", "keys": keys, "client_id": self.client_id}
            duplex.send(json.encode(hello))
            while not self._is_over(deadline):
                self._serve_next(duplex, pool, deadline)
        except (OSError, SocketClosed, PenstockException) as error:
            if not self._stopping.is_set():
                logger.warning("the connection to %s ended: %s", current_target().name, error)
                self._stopping.wait(RECONNECT_SECONDS)
        finally:
            duplex.close()

    def _serve_next(self, duplex: Duplex, pool: ThreadPool, deadline: float | None) -> None:
        """Take one run when there is room for it."""
        if self._slots is not None and not self._slots.acquire(timeout=LOOK_SECONDS):
            return
        taken = False
        try:
            while not self._is_over(deadline):
                try:
                    frame = duplex.receive(LOOK_SECONDS)
                except TimeoutError:
                    continue
                run = convert(json.decode(frame), TaskRun, strict=False)
                claimed = self._claim(run)
                taken = claimed is not None
                duplex.send(b'{"type":"ack"}')
                if claimed is not None:
                    # With the settings that hold here.
                    pool.submit(partial(copy_context().run, partial(self._run, claimed)))
                return
        finally:
            if not taken and self._slots is not None:
                self._slots.release()

    def _claim(self, run: TaskRun) -> TaskRun | None:
        """The run as it is now, Pending, when it is this worker's."""
        details = run.state.state_details if run.state is not None else StateDetails()
        pending = StateCreate(type=StateType.PENDING, state_details=details)
        answer = get_client(sync_client=True).set_task_run_state(run.id, pending)
        if answer.status is not SetStateStatus.ACCEPT or answer.state is None:
            logger.info("Task run %s is taken on elsewhere or not due", run.name)
            return None
        claimed = replace(run, state=answer.state)
        with self._lock:
            self.in_flight_task_runs[run.id] = claimed
        return claimed

    # --- running ---------------------------------------------------------------------------------

    def _run(self, run: TaskRun) -> None:
        try:
            self.execute_task_run(run)
        except StopTaskWorker:
            self.stop()
        except Exception:  # the run has its state; the worker goes on with the others
            logger.exception("Task run %s ended with an exception", run.name)
        finally:
            with self._lock:
                self.in_flight_task_runs.pop(run.id, None)
            if self._slots is not None:
                self._slots.release()

    def execute_task_run(self, task_run: TaskRun) -> None:
        """Run one claimed run in this thread to its last state."""
        task = self._by_key.get(task_run.task_key)
        if task is None:
            self._give_up(task_run, f"this worker has no task with the key {task_run.task_key!r}")
            return
        given: dict[str, Any] = {}
        if should_try_to_read_parameters(task, task_run):
            identifier = cast("Any", task_run.state).state_details.task_parameters_id
            try:
                given = read_parameters(scheduling_store(), identifier)
            except Exception as error:  # storage of any kind, pickles of any age
                self._give_up(task_run, f"its arguments cannot be read: {error!r}")
                return
        token = current_run.set(restored(given.get("context")))
        try:
            x = runs.adopt_task(
                task,
                task_run,
                given.get("parameters") or {},
                wait_for=given.get("wait_for"),
            )
            if task.isasync:
                run_on_thread_loop(task_core(x), runs.task_services(x))
            else:
                runs.run_task(x)
            if isinstance(x.error, StopTaskWorker):
                raise x.error
        finally:
            current_run.reset(token)

    def _give_up(self, run: TaskRun, reason: str) -> None:
        logger.error("Task run %s cannot be run: %s", run.name, reason)
        if get_current_settings().tasks.scheduling.delete_failed_submissions:
            get_client(sync_client=True).delete_task_run(run.id)


def _served(task: Any) -> Any:
    """`task` with a result that others can read."""
    if not hasattr(task, "task_key"):
        raise TypeError(f"{task!r} is no task; declare it with @task to serve it")
    options: dict[str, Any] = {"persist_result": True}
    uncached = task.cache_policy is None or task.cache_policy is NO_CACHE
    if uncached and task.result_storage_key is None:
        options["cache_policy"] = DEFAULT
    return task.with_options(**options)


def should_try_to_read_parameters(task: Any, task_run: TaskRun) -> bool:
    """Whether the run was given arguments."""
    details = task_run.state.state_details if task_run.state is not None else None
    return details is not None and details.task_parameters_id is not None


@contextmanager
def _on_sigterm(handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- serving -------------------------------------------------------------------------------------


def serve(
    *tasks: Any,
    limit: int | None = 10,
    status_server_port: int | None = None,
    timeout: float | None = None,
) -> None:
    """Serve the tasks until SIGTERM, Ctrl-C or `timeout` seconds.

    `status_server_port`: answer `GET /status` on that port of 127.0.0.1 meanwhile.
    """
    worker = TaskWorker(*tasks, limit=limit)
    status = None
    if status_server_port is not None:
        status = create_status_server(worker, status_server_port)
        threading.Thread(target=status.serve_forever, daemon=True).start()
    try:
        worker.start(timeout)
    except KeyboardInterrupt:
        logger.info("The task worker stops")
    finally:
        if status is not None:
            status.shutdown()
            status.server_close()


async def aserve(
    *tasks: Any,
    limit: int | None = 10,
    status_server_port: int | None = None,
    timeout: float | None = None,
) -> None:
    """`serve` for coroutines."""
    import asyncio

    await asyncio.to_thread(
        serve, *tasks, limit=limit, status_server_port=status_server_port, timeout=timeout
    )


def create_status_server(task_worker: TaskWorker, port: int = 0) -> ThreadingHTTPServer:
    """A server on 127.0.0.1 that answers `GET /status` about the worker."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/status":
                self.send_error(404)
                return
            content = json.encode(_status(task_worker))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are not worth a line."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def _status(worker: TaskWorker) -> dict[str, Any]:
    return {
        "client_id": worker.client_id,
        "started_at": worker.started_at,
        "limit": worker.limit,
        "current_tasks": worker.current_tasks,
        "available_tasks": worker.available_tasks,
        "tasks": sorted(task.task_key for task in worker.tasks),
    }
