"""A real HTTP server whose answers a test writes down beforehand."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self


class Heard(NamedTuple):
    """One request as the server got it; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Answer(NamedTuple):
    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}
    hang_up: bool = False
    """Close the connection instead of answering."""


class ScriptedApi:
    """Answers by `(method, path without query)`; a list is used up answer by answer, the last one
    stays. Unknown requests get 404. `heard` holds every request in order."""

    def __init__(self, answers: Mapping[tuple[str, str], Answer | list[Answer]]) -> None:
        self.answers = answers
        self.heard: list[Heard] = []
        self.connections = 0
        self._lock = threading.Lock()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with api._lock:
                    api.connections += 1

            def respond(self) -> None:
                answer = api._answer(self)
                if answer.hang_up:
                    self.close_connection = True
                    return
                raw = answer.body
                data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
                if answer.status == 204:
                    data = b""
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if "transfer-encoding" not in answer.headers:
                    self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/api"

    def paths(self) -> list[tuple[str, str]]:
        return [(one.method, one.path) for one in self.heard]

    def _answer(self, handler: BaseHTTPRequestHandler) -> Answer:
        length = int(handler.headers.get("content-length") or 0)
        raw = handler.rfile.read(length)
        path = handler.path.removeprefix("/api")
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.heard.append(
                Heard(handler.command, path, headers, json.loads(raw) if raw else None)
            )
            found = self.answers.get((handler.command, path.partition("?")[0]), Answer(404))
            if isinstance(found, list):
                return found.pop(0) if len(found) > 1 else found[0]
            return found

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Sleeps = list[float]


def recorded(sleeps: Sleeps) -> Callable[[float], None]:
    """A sleep that only notes how long it was asked to take."""
    return sleeps.append
