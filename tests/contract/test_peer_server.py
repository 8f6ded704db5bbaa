"""A Penstock worker's channel to a server of the peer: it works with what that server knows.

Needs `PENSTOCK_TEST_PEER_PYTHON`, and a minute for that server to start: `pytest -m slow`.
"""

import asyncio
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.server_process import free_port

from penstock.client.target import Target
from penstock.schemas.channel import CANCELLING_TIMEOUT_TEARDOWN, CleanupMessage
from penstock.workers.channel import ChannelState, WorkerChannel, WorkerDescription
from penstock.workers.cleanup import CleanupExecutor

PEER = os.environ.get("PENSTOCK_TEST_PEER_PYTHON")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        PEER is None, reason="2026-11-25: set PENSTOCK_TEST_PEER_PYTHON to start the peer's server"
    ),
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home, port = tmp_path_factory.mktemp("peer"), free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "PYTHON"))
    } | {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [str(Path(str(PEER)).with_name("prefect")), "server", "start", "--port", str(port)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}/api"
    try:
        deadline = time.monotonic() + 150
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
                break
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.5)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_channel_is_healthy_and_extensions_are_left_alone(api: str):
    snapshots: list[dict[str, Any]] = []
    by_request: list[None] = []

    async def beat() -> None:
        by_request.append(None)

    async def handler(message: CleanupMessage) -> None:
        return None

    def limit_the_pool() -> None:
        request = urllib.request.Request(
            f"{api}/work_pools/mine",
            json.dumps({"concurrency_limit": 3}).encode(),
            {"Content-Type": "application/json"},
            method="PATCH",
        )
        urllib.request.urlopen(request).close()

    async def test() -> None:
        healthy = asyncio.Event()
        channel = WorkerChannel(
            Target(url=api),
            "mine",
            WorkerDescription(
                name="w", type="process", heartbeat_seconds=1, create_pool_if_not_found=True
            ),
            rest_heartbeat=beat,
            on_snapshot=snapshots.append,
            on_state=lambda state: healthy.set() if state is ChannelState.HEALTHY else None,
            cleanups=CleanupExecutor({CANCELLING_TIMEOUT_TEARDOWN: handler}),
        )
        await channel.start()
        async with asyncio.timeout(60):
            await healthy.wait()
        by_request.clear()
        await asyncio.to_thread(limit_the_pool)
        await asyncio.sleep(2.5)
        assert channel.healthy
        assert channel.ready is not None
        assert "cleanup_delivery.v1" in channel.ready.accepted_capabilities
        assert not any("penstock" in one for one in channel.ready.accepted_capabilities)
        await channel.stop(1)

    asyncio.run(test())
    assert snapshots[1]["concurrency_limit"] == 3
    assert by_request == []
