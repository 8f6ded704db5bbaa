"""The user interface: static files, the index for every other path, its settings document."""

import mimetypes
from pathlib import Path
from typing import Any

from penstock.server.api.answers import NOT_FOUND, Answer
from penstock.server.config import ServerConfig

STATIC = Path(__file__).parent / "static"
_PLACEHOLDER = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Penstock</title>"
    "<h1>Penstock</h1><p>The server runs. This installation holds no user interface; "
    'the API is described at <a href="{base}/docs">{base}/docs</a>.</p></html>'
)


class UserInterface:
    """Answers every path outside the API. Needs no credentials: it holds no data."""

    def __init__(self, config: ServerConfig, static: Path = STATIC) -> None:
        self._config = config
        self._static = static.resolve()

    def settings(self, origin: str) -> dict[str, Any]:
        """What the UI reads first. `origin` is scheme and host as the browser sees them."""
        config = self._config
        return {
            "api_url": config.ui_api_url or f"{origin}{config.base_path}",
            "csrf_enabled": config.csrf_enabled,
            "auth": "BASIC" if config.auth_string else None,
            "flags": [],
            "default_ui": "v2",
            "available_uis": ["v2"],
            "v1_base_url": None,
            "v2_base_url": "/",
        }

    def answer(self, method: str, path: str, origin: str) -> Answer:
        """A static file, the index, or the settings."""
        if method != "GET":
            return Answer({"detail": "Method Not Allowed"}, 405, headers=[(b"allow", b"GET")])
        if path == "/ui-settings":
            return Answer(self.settings(origin))
        if not self._config.ui_enabled:
            return NOT_FOUND
        file = self._file(path)
        if file is None:
            index = self._static / "index.html"
            if not index.is_file():
                page = _PLACEHOLDER.format(base=self._config.base_path)
                return Answer(page.encode(), media_type=b"text/html; charset=utf-8")
            file = index
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        cache = b"no-cache" if file.suffix == ".html" else b"public, max-age=31536000, immutable"
        return Answer(
            file.read_bytes(),
            media_type=kind.encode(),
            headers=[(b"cache-control", cache), (b"x-content-type-options", b"nosniff")],
        )

    def _file(self, path: str) -> Path | None:
        """The file a path names inside the static folder, never outside of it."""
        if "\0" in path or path.endswith("/"):
            return None
        try:
            file = (self._static / path.lstrip("/")).resolve()
            inside = file.is_relative_to(self._static) and file.is_file()
        except OSError:
            return None
        return file if inside else None
