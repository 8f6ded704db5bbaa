"""Requests per second and server CPU per request of one operation, over raw sockets.

    python benchmarks/edge.py [--connections 16] [--seconds 5] [--database URL] [health|set_state]

Starts a server of its own on a fresh database. The client is one thread that writes prepared
requests and looks only for the end of each answer, so that it is not what is measured.
"""

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

SERVER = """
import sys
from pathlib import Path
from penstock.server.config import ServerConfig
from penstock.server.serve import serve
serve(
    ServerConfig(database_url=sys.argv[1], home=Path(sys.argv[2])),
    port=0,
    ready=lambda url: print(url, flush=True),
)
"""


def post(api: str, path: str, body: object) -> dict[str, object]:
    request = urllib.request.Request(
        f"{api}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def prepared(api: str, kind: str) -> bytes:
    """One request, as it goes over the wire."""
    host = api.split("/")[2]
    if kind == "health":
        return f"GET /api/health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    flow = post(api, "/flows/", {"name": "benchmark"})
    run = post(api, "/flow_runs/", {"flow_id": flow["id"], "state": {"type": "PENDING"}})
    body = json.dumps({"state": {"type": "RUNNING"}, "force": False}).encode()
    return (
        f"POST /api/flow_runs/{run['id']}/set_state HTTP/1.1\r\nHost: {host}\r\n"
        "User-Agent: prefect/3.7.4 (API 0.8.4)\r\nX-PREFECT-API-VERSION: 0.8.4\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def whole(answer: bytes) -> bool:
    head, mark, body = answer.partition(b"\r\n\r\n")
    if not mark:
        return False
    at = head.index(b"content-length: ") + 16
    return len(body) >= int(head[at : at + 12].split(b"\r")[0])


def load(api: str, requests: list[bytes], seconds: float) -> tuple[int, int, list[float]]:
    """Answers, refusals among them, and the latency of each."""
    host, _, port = api.split("/")[2].partition(":")
    selector = selectors.DefaultSelector()
    connections = []
    for request in requests:
        connection = socket.create_connection((host, int(port)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        state = [request, b"", time.perf_counter()]
        selector.register(connection, selectors.EVENT_READ, state)
        connections.append(connection)
        connection.sendall(request)
    answers = refusals = 0
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        for key, _ in selector.select(1):
            state, connection = key.data, key.fileobj
            assert isinstance(connection, socket.socket)
            state[1] += connection.recv(65536)
            if not whole(state[1]):
                continue
            answers += 1
            refusals += not state[1].startswith(b"HTTP/1.1 20")
            now = time.perf_counter()
            latencies.append(now - state[2])
            state[1], state[2] = b"", now
            connection.sendall(state[0])
    for connection in connections:
        connection.close()
    return answers, refusals, latencies


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--database")
    parser.add_argument("kind", choices=("health", "set_state"), nargs="?", default="set_state")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        database = options.database or f"sqlite:///{home}/penstock.db"
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, database, home], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            api = server.stdout.readline().strip()
            requests = [prepared(api, options.kind) for _ in range(options.connections)]
            load(api, requests, 0.5)
            before = cpu_seconds(server.pid)
            started = time.perf_counter()
            answers, refusals, latencies = load(api, requests, options.seconds)
            elapsed = time.perf_counter() - started
            cpu = cpu_seconds(server.pid) - before
        finally:
            server.terminate()
            server.wait()
    latencies.sort()
    print(
        json.dumps(
            {
                "operation": options.kind,
                "connections": options.connections,
                "requests_per_second": round(answers / elapsed),
                "server_cpu_us_per_request": round(cpu / answers * 1e6),
                "p50_ms": round(latencies[len(latencies) // 2] * 1000, 2),
                "p99_ms": round(latencies[len(latencies) * 99 // 100] * 1000, 2),
                "refused": refusals,
            }
        )
    )


if __name__ == "__main__":
    main()
