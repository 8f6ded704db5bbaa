"""What calls to others need from the database: the block they go through, values for templates."""

from typing import Any

from msgspec import Struct

from penstock.base.outgoing import Call
from penstock.blocks.messages import NOTIFYING, BlockUnsuited, Mail, messages, webhook
from penstock.schemas.automations import CallWebhook, SendNotification
from penstock.schemas.errors import ObjectMissing
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, Resource
from penstock.server.ops.actions import ActionFailed, Task
from penstock.server.ops.block_documents import read_block_document_by_id
from penstock.server.ops.context import Context
from penstock.server.ops.template_values import EventLinks, template_values
from penstock.server.store.transaction import Tx


class LoadedBlock(Struct, frozen=True):
    """A block with its secrets; never written to events."""

    slug: str
    data: dict[str, Any]
    touched: list[Resource]

    @property
    def allow_private(self) -> bool:
        """Whether the block's owner allows private addresses; the server must, too."""
        return self.data.get("allow_private_urls", True) is not False


def block_of(tx: Tx, context: Context, task: Task) -> LoadedBlock:
    """The block that the action goes through. Raises `ActionFailed` when it is not there."""
    command = task.command
    assert isinstance(command, SendNotification | CallWebhook), "only these use blocks"
    id = str(command.block_document_id)
    try:
        document = read_block_document_by_id(tx, context, id, include_secrets=True)
    except ObjectMissing:
        raise ActionFailed(f"The block document {id} does not exist") from None
    slug = document.block_type.slug if document.block_type is not None else ""
    touched = [
        {
            RESOURCE_ID: f"prefect.block-document.{id}",
            RESOURCE_ROLE: "block",
            **({RESOURCE_NAME: str(document.name)} if document.name else {}),
        },
        {RESOURCE_ID: f"prefect.block-type.{slug}", RESOURCE_ROLE: "block-type"},
    ]
    return LoadedBlock(slug, document.data, touched)


def notification(block: LoadedBlock, subject: str, body: str) -> list[Call | Mail]:
    """What the block sends. Raises `BlockUnsuited`."""
    return messages(block.slug, block.data, subject, body)


def webhook_call(block: LoadedBlock, payload: str) -> Call:
    """The block's call. Raises `BlockUnsuited`."""
    if block.slug in NOTIFYING:
        raise BlockUnsuited("The referenced block was not a webhook block")
    return webhook(block.data, payload)


def values_of(
    tx: Tx, context: Context, task: Task, names: set[str], links: EventLinks
) -> dict[str, Any]:
    """The values for templates of the action."""
    return template_values(tx, context, task, names, links)
