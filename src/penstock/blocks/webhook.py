"""A block that calls an HTTP address."""

import asyncio
from typing import Any, Literal

from pydantic import Field, SecretStr

from penstock.base.outgoing import Answer, send
from penstock.blocks.core import Block
from penstock.blocks.messages import webhook


class Webhook(Block):
    """An HTTP address that is called with a JSON body."""

    _block_type_name = "Webhook"

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: SecretStr
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    allow_private_urls: bool = True
    verify: bool = True

    async def call(self, payload: dict[str, Any] | str | None = None) -> Answer:
        """Call it; the answer, whatever its status.

        Raises `AddressRefused` for an address that may not be called, `CallFailed` without an
        answer.
        """
        call = webhook(self._document_data(), payload)
        return await asyncio.to_thread(send, call, allow_private=self.allow_private_urls)
