"""A process worker that kills itself at a named point of the way of a claim.

    python dying_worker.py POOL POINT

`taken`: the claim is committed, nothing else was done. `configured`: the run's process is about to
be started. `started`: it was started, the server does not know it. `noted`: the server knows it.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from penstock.workers.process import ProcessWorker

POINTS = ("taken", "configured", "started", "noted")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingWorker(ProcessWorker):
    point = ""

    async def _carry_out(self, taken: Any) -> None:
        if self.point == "taken":
            die()
        await super()._carry_out(taken)

    def _start_of(self, taken: Any, configuration: Any, directory: Any) -> Any:
        start = super()._start_of(taken, configuration, directory)
        if self.point == "configured":
            die()
        return start

    async def _note_identifier(self, taken: Any, status: Any) -> None:
        await status.future
        if self.point == "started":
            die()
        await super()._note_identifier(taken, status)
        if self.point == "noted":
            die()


async def main(pool: str, point: str) -> None:
    assert point in POINTS, f"there is no point {point!r}"
    DyingWorker.point = point
    await DyingWorker(pool, name=f"dies-when-{point}").start()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
