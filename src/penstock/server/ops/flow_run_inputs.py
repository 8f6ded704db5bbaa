"""Operations on the inputs of flow runs: texts that runs and people leave for a run, by key."""

import re

from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.flow_runs import FlowRunInput, FlowRunInputCreate, FlowRunInputFilter
from penstock.server.ops import views
from penstock.server.ops.context import Context
from penstock.server.ops.flow_runs import require_flow_run
from penstock.server.ops.paging import page_limit
from penstock.server.store.transaction import Tx

_KEY = re.compile(r"[a-z0-9-]+")


def create_flow_run_input(tx: Tx, context: Context, id: str, *, body: FlowRunInputCreate) -> None:
    """Store an input. Refuses an unknown run (404) and a key that is taken (409)."""
    check_key(body.key)
    require_flow_run(tx, id)
    if not put_input(tx, id, body.key, body.value, body.sender):
        raise ObjectConflict(
            f"flow run {id} has an input with key {body.key!r}; delete it or use another key"
        )


def put_input(tx: Tx, id: str, key: str, value: str, sender: str | None = None) -> bool:
    """Store an input of a run that is there; False when the key is taken."""
    return bool(
        tx.run(
            "flow_run_input.insert",
            id=uuid7(),
            flow_run_id=id,
            key=key,
            value=value,
            sender=sender,
            now=tx.now,
        )
    )


def filter_flow_run_input(
    tx: Tx, context: Context, id: str, *, body: FlowRunInputFilter
) -> list[FlowRunInput]:
    """Inputs whose key begins with `prefix`, oldest first; empty for an unknown run."""
    rows = tx.all(
        "flow_run_input.by_prefix",
        flow_run_id=id,
        prefix=body.prefix,
        exclude_keys=body.exclude_keys,
        limit=page_limit(context, body.limit),
    )
    return [views.flow_run_input(row) for row in rows]


def read_flow_run_input(tx: Tx, context: Context, id: str, key: str) -> str:
    """The value of the input, as it was sent."""
    check_key(key)
    row = tx.one("flow_run_input.get", flow_run_id=id, key=key)
    if row is None:
        raise _missing(id, key)
    return row["value"]


def delete_flow_run_input(tx: Tx, context: Context, id: str, key: str) -> None:
    check_key(key)
    if not tx.run("flow_run_input.delete", flow_run_id=id, key=key):
        raise _missing(id, key)


def check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise RequestInvalid(
            f"input key {key!r} may hold only lower-case letters, digits and hyphens"
        )


def _missing(id: str, key: str) -> ObjectMissing:
    return ObjectMissing(f"flow run {id} has no input {key!r}; list its inputs by prefix")
