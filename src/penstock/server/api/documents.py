"""The documents of the API: its OpenAPI description and a page that shows it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from penstock.base import json
from penstock.server import openapi
from penstock.server.api.answers import UNAUTHORIZED, Answer
from penstock.server.api.edge import Edge
from penstock.server.config import ServerConfig


class Documents:
    """Built when first asked for, since printing every type costs tens of milliseconds."""

    def __init__(self, config: ServerConfig) -> None:
        base_path = config.base_path
        self._openapi = cache(lambda: json.encode(openapi.document(base_path)))
        self._page = cache(lambda: openapi.page(base_path))

    async def answer(self, path: str, scope: Mapping[str, Any], edge: Edge) -> Answer | None:
        """The document at `path`, or None when there is none."""
        if path not in ("/openapi.json", "/docs"):
            return None
        authorization = dict(scope["headers"]).get(b"authorization")
        if await edge.access.identify(authorization) is None:
            return UNAUTHORIZED
        if path == "/docs":
            policy = b"default-src 'none'; style-src 'unsafe-inline'"
            return Answer(
                self._page(),
                media_type=b"text/html; charset=utf-8",
                headers=[(b"content-security-policy", policy)],
            )
        return Answer(self._openapi())
