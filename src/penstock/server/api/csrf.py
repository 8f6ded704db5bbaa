"""Tokens that a page of another site cannot know, asked for on every changing request."""

from collections.abc import Mapping
from typing import Any

from penstock.server.ops.admin import is_csrf_token

MISSING_TOKEN = "Missing CSRF token."  # noqa: S105 - a message
MISSING_CLIENT = "Missing client identifier."
INVALID = "Invalid CSRF token or client identifier."
DISABLED = "CSRF protection is disabled."


class CsrfProtection:
    """Checks the two CSRF headers of a changing request, in one reading transaction."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def refusal(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Why the request is refused, or None. Clients look for the text of `INVALID`."""
        token = headers.get(b"prefect-csrf-token")
        if not token:
            return MISSING_TOKEN
        client = headers.get(b"prefect-csrf-client")
        if not client:
            return MISSING_CLIENT
        valid = await self._store.read(
            is_csrf_token, client.decode("latin-1"), token.decode("latin-1")
        )
        return None if valid else INVALID
