"""A worker of the peer's package, unmodified but for what it runs: its infrastructure is a file.

Started with a work pool, a worker name and the file. `kill_infrastructure` writes a line when it
begins and one when it ends; a handle `name:seconds` says how long that takes.
"""

import asyncio
import json
import sys
import time

from prefect.workers.base import BaseJobConfiguration, BaseWorker, BaseWorkerResult

POOL, NAME, FILE = sys.argv[1:4]


def note(**fields):
    with open(FILE, "a") as file:
        file.write(json.dumps({"at": time.time(), "worker": NAME, **fields}) + "\n")


class Recorder(BaseWorker):
    type = "recorder"
    job_configuration = BaseJobConfiguration

    async def run(self, flow_run, configuration, task_status=None):
        return BaseWorkerResult(status_code=0, identifier="none")

    async def kill_infrastructure(self, infrastructure_pid, configuration, grace_seconds=30):
        note(step="begin", pid=infrastructure_pid)
        try:
            await asyncio.sleep(float(infrastructure_pid.partition(":")[2] or 0))
        except asyncio.CancelledError:
            note(step="cancelled", pid=infrastructure_pid)
            raise
        note(step="end", pid=infrastructure_pid)


if __name__ == "__main__":
    asyncio.run(Recorder(work_pool_name=POOL, name=NAME).start())
