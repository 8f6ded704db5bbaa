"""The concurrency limit of a deployment: its own, or one that it shares and may lose."""

from typing import Any
from uuid import UUID

from msgspec import UNSET

from penstock.base.ids import uuid7
from penstock.schemas.deployments import DeploymentCreate, DeploymentUpdate
from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.server.ops.context import Context
from penstock.server.ops.deployment_rows import record_deployment
from penstock.server.ops.limits import change_limit, delete_limit, found_limit, insert_limit
from penstock.server.store.transaction import Row, Tx


def owned_name(deployment_id: str) -> str:
    """The name of the limit that a deployment owns."""
    return f"deployment:{deployment_id}"


def limit_changes(
    tx: Tx,
    context: Context,
    id: str,
    row: Row | None,
    body: DeploymentCreate | DeploymentUpdate,
    *,
    event_id: UUID,
) -> dict[str, Any]:
    """The limit that `body` wants for deployment `id`, with the owned one made or changed.

    Empty when `body` says nothing about it. Refuses two limits (422) and an unknown one (404).
    `event_id` is that of the deployment's own event, which causes that of a limit made for it.
    """
    own, shared = body.concurrency_limit, body.global_concurrency_limit_id
    if isinstance(own, int) and shared is not UNSET and shared is not None:
        raise RequestInvalid(
            "concurrency_limit and global_concurrency_limit_id exclude each other; give one: a "
            "number for this deployment alone, or the limit that it shares"
        )
    if isinstance(own, int):
        return {"concurrency_limit_id": _owned(tx, context, id, own, event_id)}
    if shared is not UNSET and shared is not None:
        if tx.one("concurrency.get", id=shared) is None:
            raise ObjectMissing(
                f"concurrency limit {shared} does not exist; create it, or list limits to find it"
            )
        return {"concurrency_limit_id": str(shared)}
    if own is UNSET and shared is UNSET:
        return {}
    if row is None or own is None:
        return {"concurrency_limit_id": None}
    owned = tx.one("concurrency.get_by_name", name=owned_name(id))
    if owned is not None and owned["id"] == row["concurrency_limit_id"]:
        # Only a shared limit was asked to be given up, and there is none.
        return {}
    return {"concurrency_limit_id": None}


def _owned(tx: Tx, context: Context, id: str, slots: int, event_id: UUID) -> str:
    found = tx.one("concurrency.get_by_name", name=owned_name(id))
    locked = found and tx.one("concurrency.lock", id=found["id"])
    if locked is None:
        return insert_limit(tx, context, owned_name(id), slots, caused_by=event_id)["id"]
    # The deployment keeps its limit, so there need not be an event of it that causes this one.
    return change_limit(tx, context, locked, {"slot_limit": slots})["id"]


def drop_owned_limit(
    tx: Tx, context: Context, id: str, limit_id: str | None, *, caused_by: UUID
) -> None:
    """Delete the limit that deployment `id` had, if it was its own and nobody else uses it."""
    if limit_id is None:
        return
    limit = tx.one("concurrency.get", id=limit_id)
    if limit is None or limit["name"] != owned_name(id):
        return
    if tx.one("deployment.limit_users", limit_id=limit_id, id=id) is None:
        delete_limit(tx, context, limit, caused_by=caused_by)


def delete_concurrency_limit_v2(tx: Tx, context: Context, id_or_name: str) -> None:
    """Delete the limit. Deployments that have it stay and are limited no more."""
    delete_shared_limit(tx, context, found_limit(tx, id_or_name))


def delete_shared_limit(tx: Tx, context: Context, row: Row) -> None:
    """Delete the limit in `row` after taking it from all deployments."""
    event_id = uuid7()
    tx.one("concurrency.lock_whole", id=row["id"])
    users = tx.all("deployment.of_limit", limit_id=row["id"])
    tx.run("deployment.detach_limit", limit_id=row["id"], now=tx.now)
    for before in users:
        after = {**before, "concurrency_limit_id": None, "updated": tx.now}
        record_deployment(
            tx, context, "updated", after, before=before, after=after, caused_by=event_id
        )
    delete_limit(tx, context, row, event_id=event_id)
