"""Which teardowns a type of worker takes."""

from typing import Any

from penstock.schemas.channel import CANCELLING_TIMEOUT_TEARDOWN, KINDS
from penstock.workers.base import BaseJobConfiguration, BaseWorker, BaseWorkerResult
from penstock.workers.process import ProcessWorker


class Result(BaseWorkerResult):
    pass


class Plain(BaseWorker[BaseJobConfiguration, Any, Result]):
    type = "teardown-test-plain"

    async def run(self, flow_run: Any, configuration: Any, task_status: Any = None) -> Result:
        return Result(identifier="x", status_code=0)


class Killing(Plain):
    type = "teardown-test-killing"
    cleanup_max_concurrency = 3

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: Any, grace_seconds: int = 30
    ) -> None:
        return None


def test_a_worker_that_cannot_kill_takes_none():
    worker = Plain("local")
    assert worker.teardown_handlers() == {}
    assert worker._cleanups() is None


def test_a_worker_that_can_kill_takes_those_of_cancellations():
    worker = Killing("local")
    assert list(worker.teardown_handlers()) == [CANCELLING_TIMEOUT_TEARDOWN]
    executor = worker._cleanups()
    assert executor is not None
    assert (executor.kinds, executor.limit) == ((CANCELLING_TIMEOUT_TEARDOWN,), 3)


def test_the_process_worker_takes_every_kind():
    executor = ProcessWorker("local")._cleanups()
    assert executor is not None
    assert set(executor.kinds) == set(KINDS)
    assert executor.limit > 1
