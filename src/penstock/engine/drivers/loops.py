"""Crossing between coroutines and threads."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any


async def wait(futures: Sequence[Any]) -> None:
    """Return when each of `futures` is done; the loop goes on meanwhile."""
    loop = asyncio.get_running_loop()
    pending = [future for future in futures if not future.is_done]
    if not pending:
        return
    left = len(pending)
    done = asyncio.Event()

    def arrive() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    for future in pending:
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(arrive))
    await done.wait()


def complete(awaitable: Awaitable[Any]) -> Any:
    """Run `awaitable` to its end from synchronous code, on a loop of this thread or a new one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_awaited(awaitable))
    answer: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            answer.append(asyncio.run(_awaited(awaitable)))
        except BaseException as exc:  # handed over to the thread that waits
            failure.append(exc)

    thread = threading.Thread(target=work, name="penstock-awaiting")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return answer[0]


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def off_loop(action: Callable[[], Any]) -> Any:
    """Do a blocking `action` in a thread, to its end even when this task is cancelled."""
    return await asyncio.shield(asyncio.to_thread(action))
