"""Handlers of teardowns: real processes, and workers with a `kill_infrastructure`."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from penstock.schemas.channel import CANCELLING_TIMEOUT_TEARDOWN, CleanupMessage
from penstock.schemas.errors import (
    InfrastructureNotAvailable,
    InfrastructureNotFound,
)
from penstock.workers.cleanup import Ack, Outcome, Release
from penstock.workers.identity import ProcessIdentity, alive, host_id, identity_of
from penstock.workers.teardown import InfrastructureTeardown, ProcessTeardown

RUN = str(uuid4())
OBEDIENT = "import time; print(flush=True); time.sleep(60)"
STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
    "print(flush=True)\n"
    "time.sleep(60)"
)


def message(pid: Any, run: Any = RUN) -> CleanupMessage:
    return CleanupMessage(
        message_id=uuid4(),
        kind=CANCELLING_TIMEOUT_TEARDOWN,
        reservation_token="t",
        lease_expires_at=datetime.now(UTC),
        delivery_count=1,
        target={"flow_run_id": run, "infrastructure_pid": pid},
    )


def torn_down(pid: Any, run: Any = RUN, grace: float = 0.3) -> Outcome:
    return asyncio.run(ProcessTeardown(grace)(message(pid, run)))


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[subprocess.Popen[str], ProcessIdentity]]]:
    started: list[subprocess.Popen[str]] = []

    def begin(code: str, run: str = RUN) -> tuple[subprocess.Popen[str], ProcessIdentity]:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", code],
            env={**os.environ, "PENSTOCK__FLOW_RUN_ID": run},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        identity = identity_of(process.pid)
        assert identity is not None
        return process, identity

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


Start = Callable[..., tuple[subprocess.Popen[str], ProcessIdentity]]


def test_a_process_that_obeys_is_asked_and_not_killed(start: Start):
    process, identity = start(OBEDIENT)
    assert torn_down(str(identity), grace=10) == Ack()
    assert process.wait(5) == -signal.SIGTERM


def test_a_stubborn_process_is_killed_with_what_it_started(start: Start):
    process, identity = start(STUBBORN)
    assert len(alive(identity, RUN)) == 2
    began = time.monotonic()
    assert torn_down(str(identity), grace=0.4) == Ack()
    assert 0.4 <= time.monotonic() - began < 3
    assert process.wait(5) == -signal.SIGKILL
    assert alive(identity, RUN) == []


def test_tearing_down_again_is_done_at_once(start: Start):
    _, identity = start(OBEDIENT)
    assert [torn_down(str(identity)) for _ in range(2)] == [Ack(), Ack()]


def test_a_number_that_somebody_else_has_by_now_is_left_alone(start: Start):
    process, identity = start(OBEDIENT)
    earlier = replace(identity, start=identity.start - 5)
    assert torn_down(str(earlier)) == Ack()
    assert process.poll() is None


def test_a_process_of_another_run_is_left_alone(start: Start):
    process, identity = start(OBEDIENT, run=str(uuid4()))
    assert torn_down(str(identity)) == Ack()
    assert process.poll() is None


def test_a_process_of_another_host_is_that_hosts_business(start: Start):
    process, identity = start(OBEDIENT)
    machine, boot, _ = host_id().split("-")
    for host in ("elsewhere-x-y", f"{machine}-{boot}-container"):
        assert torn_down(str(replace(identity, host=host))) == Release("infrastructure_elsewhere")
    assert process.poll() is None


def test_after_a_reboot_the_process_is_gone():
    machine, _, namespace = host_id().split("-")
    assert torn_down(f"{machine}-before-{namespace}:4711:1") == Ack()


def test_without_a_handle_the_server_must_look():
    assert torn_down(None) == Release("missing_infrastructure_handle")


@pytest.mark.parametrize(
    ("pid", "run"),
    [("host:7", RUN), ("nonsense", RUN), ("h:7:7", None)],
    ids=["no process", "nonsense", "no run"],
)
def test_what_cannot_be_understood_is_never_killed(pid: str, run: Any):
    assert torn_down(pid, run) == Release("invalid_payload")


# --- workers with `kill_infrastructure` ----------------------------------------------------------


class Worker:
    def __init__(self, raises: BaseException | None = None) -> None:
        self.raises = raises
        self.killed: list[tuple[str, Any, int]] = []
        self.missing = False
        self.misconfigured = False

    async def kill(self, pid: str, configuration: Any, grace_seconds: int = 30) -> None:
        self.killed.append((pid, configuration, grace_seconds))
        if self.raises is not None:
            raise self.raises

    async def read_flow_run(self, id: UUID) -> str:
        assert str(id) == RUN
        return "run"

    async def configuration_of(self, run: Any) -> str:
        if self.misconfigured:
            raise ValueError("a block is missing")
        return f"configuration of {run}"

    def tear_down(self, pid: str | None = "job-1") -> Outcome:
        handler = InfrastructureTeardown(
            self.kill, self.read_flow_run, self.configuration_of, grace_seconds=7
        )
        return asyncio.run(handler(message(pid)))


def test_the_worker_kills_what_the_message_names():
    worker = Worker()
    assert worker.tear_down() == Ack()
    assert worker.killed == [("job-1", "configuration of run", 7)]


@pytest.mark.parametrize(
    ("raises", "outcome"),
    [
        (InfrastructureNotFound("gone"), Ack()),
        (InfrastructureNotAvailable("away"), Release("infrastructure_not_available")),
        (NotImplementedError(), Release("unsupported_worker_type")),
    ],
)
def test_what_killing_may_come_to(raises: BaseException, outcome: Outcome):
    assert Worker(raises).tear_down() == outcome


def test_any_other_error_is_the_executors_business():
    with pytest.raises(RuntimeError):
        Worker(RuntimeError("broken")).tear_down()


def test_without_a_configuration_it_is_tried_again():
    worker = Worker()
    worker.misconfigured = True
    assert worker.tear_down() == Release("configuration_context_unavailable")
    assert worker.killed == []


def test_without_a_handle_nothing_is_killed():
    worker = Worker()
    assert worker.tear_down(None) == Release("missing_infrastructure_handle")
    assert worker.killed == []
