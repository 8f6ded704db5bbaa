"""Real git repositories for tests: made on disk, served over HTTP by git itself."""

import base64
import os
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self


def git(directory: Path, *arguments: str) -> str:
    """Run git in `directory` as a user that every machine has."""
    names = {
        key: value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (
            (f"GIT_{role}_NAME", "Test"),
            (f"GIT_{role}_EMAIL", "test@example.invalid"),
        )
    }
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *arguments],
        cwd=directory,
        env={**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def make_repository(directory: Path, **files: str) -> Path:
    """A repository with one commit on `main`; `flows__a_py="..."` becomes `flows/a.py`."""
    directory.mkdir(parents=True)
    git(directory, "init", "-q", "-b", "main", ".")
    commit(directory, **files)
    return directory


def commit(repository: Path, **files: str) -> str:
    """Write files and commit them; the commit's name."""
    for name, text in files.items():
        path = repository / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "change")
    return git(repository, "rev-parse", "HEAD")


class GitServer:
    """Serves the repositories below `root` over HTTP, through `git http-backend`.

    With `login`, it asks for these credentials. `seen` are the authorisations that came;
    `while_asked` is called during each request, while the client's processes are alive.
    """

    def __init__(
        self,
        root: Path,
        *,
        login: tuple[str, str] | None = None,
        redirect: str | None = None,
        while_asked: Callable[[], None] = lambda: None,
    ) -> None:
        self.seen: list[str | None] = []
        handler = type(
            "Handler",
            (_Handler,),
            {
                "root": root,
                "login": login,
                "redirect": redirect,
                "while_asked": staticmethod(while_asked),
                "seen": self.seen,
            },
        )
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.port = self._server.server_address[1]

    def url(self, name: str, login: str = "") -> str:
        return f"http://{login + '@' if login else ''}127.0.0.1:{self.port}/{name}"

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
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    root: ClassVar[Path]
    login: ClassVar[tuple[str, str] | None]
    redirect: ClassVar[str | None]
    while_asked: ClassVar[Any]
    seen: ClassVar[list[str | None]]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `seen`."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append(self.headers.get("Authorization"))
        type(self).while_asked()
        if self.redirect is not None:
            self.send_response(302)
            self.send_header("Location", self.redirect + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.login is not None:
            wanted = base64.b64encode(":".join(self.login).encode()).decode()
            if self.headers.get("Authorization") != f"Basic {wanted}":
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        path, _, query = self.path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"],
            env={
                **os.environ,
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
                "REMOTE_ADDR": "127.0.0.1",
            },
            input=body,
            capture_output=True,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.partition(": ") for line in head.decode().splitlines()]
        status = next((int(v.split()[0]) for k, _, v in headers if k == "Status"), 200)
        self.send_response(status)
        for key, _, value in headers:
            if key not in ("Status", ""):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
