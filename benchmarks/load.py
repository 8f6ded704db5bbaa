"""Load on an API over raw keep-alive connections, cheap enough not to be what is measured."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit


class Connection:
    """One HTTP/1.1 connection that sends JSON and reads whole answers."""

    def __init__(self, api: str) -> None:
        parts = urlsplit(api)
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, body: object) -> tuple[int, bytes]:
        """Status and body of the answer; repeated once if the server had closed the connection."""
        reused = self._writer is not None
        try:
            return await self._post(path, body)
        except (ConnectionResetError, asyncio.IncompleteReadError) as error:
            await self.close()
            if not reused or getattr(error, "partial", b""):
                raise
            return await self._post(path, body)

    async def _post(self, path: str, body: object) -> tuple[int, bytes]:
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        payload = json.dumps(body).encode()
        self._writer.write(
            f"POST {self._base}{path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n".encode()
            + payload
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            content = b""
            while size := int(await self._reader.readline(), 16):
                content += await self._reader.readexactly(size)
                await self._reader.readline()
            await self._reader.readline()
        else:
            mark = lower.find(b"content-length: ")
            length = int(lower[mark + 16 : lower.index(b"\r", mark)]) if mark >= 0 else 0
            content = await self._reader.readexactly(length)
        if b"connection: close" in lower:
            await self.close()
        return status, content

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def cycle(connection: Connection, flow_id: str) -> bool:
    """Create a run, set it RUNNING, set it COMPLETED; whether all three were accepted."""
    status, content = await connection.post(
        "/flow_runs/", {"flow_id": flow_id, "state": {"type": "PENDING"}}
    )
    if status != 201:
        return False
    run_id = json.loads(content)["id"]
    for state in ("RUNNING", "COMPLETED"):
        status, content = await connection.post(
            f"/flow_runs/{run_id}/set_state", {"state": {"type": state}}
        )
        if status != 201 or b"ACCEPT" not in content:
            return False
    return True


async def concurrently(
    api: str, connections: int, seconds: float, job: Callable[[Connection], Awaitable[bool]]
) -> tuple[int, int, float]:
    """Repeat `job` on every connection for `seconds`: done, failed, seconds it really took."""
    done = failed = 0
    started = time.perf_counter()

    async def worker() -> None:
        nonlocal done, failed
        connection = Connection(api)
        while time.perf_counter() - started < seconds:
            try:
                good = await job(connection)
            except (OSError, asyncio.IncompleteReadError):
                await connection.close()
                good = False
            done += good
            failed += not good
        await connection.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    return done, failed, time.perf_counter() - started


async def cycles(api: str, connections: int, seconds: float) -> tuple[float, int]:
    """Cycles per second at a concurrency, and how many failed."""
    connection = Connection(api)
    _, content = await connection.post("/flows/", {"name": "bench-cycles"})
    flow_id = json.loads(content)["id"]
    await connection.close()
    done, failed, took = await concurrently(
        api, connections, seconds, lambda one: cycle(one, flow_id)
    )
    return done / took, failed


async def pages(api: str, count: int) -> int:
    """Read `count` pages of 200 flow runs one after another; the rows of the last one."""
    connection = Connection(api)
    rows: list[object] = []
    for _ in range(count):
        status, content = await connection.post("/flow_runs/filter", {"limit": 200})
        if status != 200:
            raise RuntimeError(f"a page of flow runs was answered {status}: {content[:200]!r}")
        rows = json.loads(content)
    await connection.close()
    return len(rows)


async def fill(api: str, count: int) -> None:
    """Create `count` flow runs."""
    connection = Connection(api)
    _, content = await connection.post("/flows/", {"name": "bench-fill"})
    flow_id = json.loads(content)["id"]
    for number in range(count):
        await connection.post(
            "/flow_runs/", {"flow_id": flow_id, "parameters": {"n": number}, "tags": ["bench"]}
        )
    await connection.close()
