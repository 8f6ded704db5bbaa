"""What a deployment's request must be made of: parameters, job variables, a work queue."""

from collections.abc import Callable
from typing import Any

from msgspec import UNSET, Raw

from penstock.base import json
from penstock.base.lazy import LazyModule
from penstock.schemas.deployments import DeploymentCreate, DeploymentUpdate
from penstock.schemas.errors import ObjectConflict, Refusal, RequestInvalid
from penstock.server.domain.hydration import HydrationError, Sources, hydrate, variable_names
from penstock.server.domain.json_schema import SchemaInvalid, misfit
from penstock.server.ops.context import Context
from penstock.server.ops.work_queues import queue_of_pool
from penstock.server.store.transaction import Row, Tx

rendering: Any = LazyModule("penstock.server.security.rendering")

JOINED = ("queue_name", "work_pool_id", "work_pool_name", "work_pool_type")
"""What a deployment's row has from its queue and pool."""
_NO_QUEUE: dict[str, Any] = dict.fromkeys(JOINED) | {"base_job_template": None}


def hydrated(tx: Tx, context: Context, parameters: dict[str, Any]) -> dict[str, Any]:
    """`parameters` with the templates in them replaced; refused (400) where one is wrong."""
    if b'"__prefect_kind"' not in json.encode(parameters):
        return parameters
    names = sorted(set(variable_names(parameters)))
    found = tx.all("deployment.variables", names=names) if names else ()
    values = {row["name"]: json.decode(row["value"]) for row in found}
    try:
        return hydrate(parameters, sources=Sources(variables=values, render=_renderer(tx)))
    except HydrationError as error:
        raise Refusal(f"the parameters cannot be worked out: {error}") from None


def _renderer(tx: Tx) -> Callable[[str], str]:
    """Renders texts that know nothing but the time; in the sandbox of all templates."""
    return lambda text: rendering.Renderer({}, tx.now, rendering.Links("")).text(text)


def hold_documents(tx: Tx, values: dict[str, Any]) -> None:
    """Refuse (409) a block document that does not exist; one that does stays until the commit."""
    for name in ("storage_document_id", "infrastructure_document_id"):
        id = values.get(name)
        if id is not None and tx.one("block_document.lock", id=str(id)) is None:
            raise ObjectConflict(
                f"{name}: block document {id} does not exist; save the block first, or leave it out"
            )


def check_defaults(row: Row, *, conflict: bool) -> None:
    """Refuse parameters of a deployment that do not fit its schema; some may still be missing."""
    if row["enforce_parameter_schema"]:
        problem = _misfit(row["parameters"], row["parameter_openapi_schema"], required=False)
        if problem is not None:
            kind = ObjectConflict if conflict else RequestInvalid
            raise kind(
                f"the parameters of deployment {row['name']!r} do not fit its schema: {problem}"
            )


def check_parameters_fit(row: Row, parameters: dict[str, Any]) -> None:
    """Refuse (409) parameters of a run that do not fit the schema of the deployment in `row`."""
    problem = _misfit(parameters, row["parameter_openapi_schema"], required=True)
    if problem is not None:
        raise ObjectConflict(
            f"the parameters do not fit the schema of deployment {row['name']!r}: {problem}"
        )


def _misfit(value: Any, schema: Any, *, required: bool) -> str | None:
    text = bytes(schema) if isinstance(schema, Raw) else json.encode(schema)
    if text in (b"{}", b"null"):
        return None
    try:
        return misfit(_plain(value), text, required=required)
    except SchemaInvalid as error:
        raise RequestInvalid(f"parameter_openapi_schema is not a JSON schema: {error}") from None


def _plain(value: Any) -> Any:
    return json.decode(value) if isinstance(value, Raw) else value


def check_job_variables(pool: Row, *job_variables: Any, required: bool = False) -> None:
    """Refuse (422) job variables that do not fit those of the work pool.

    Several are merged, the later over the earlier. With `required`, one without a default must be
    there. Values with placeholders are worked out by the worker and not looked at.
    """
    template = pool["base_job_template"]
    schema = _plain(template).get("variables") if template is not None else None
    if not schema:
        return
    merged: dict[str, Any] = {}
    if required:
        merged = {
            name: inner["default"]
            for name, inner in schema.get("properties", {}).items()
            if isinstance(inner, dict) and "default" in inner
        }
    for one in job_variables:
        merged |= _plain(one) or {}
    unknowable = {name for name, value in merged.items() if b"{{" in json.encode(value)}
    checked = {name: value for name, value in merged.items() if name not in unknowable}
    needed = [name for name in schema.get("required", ()) if name not in unknowable]
    text = json.encode({**schema, "required": needed})
    try:
        problem = misfit(checked, text, required=required)
    except SchemaInvalid as error:
        raise RequestInvalid(
            f"the variables of work pool {pool['work_pool_name']!r} are not a JSON schema: {error}"
        ) from None
    if problem is not None:
        raise RequestInvalid(
            f"the job variables do not fit those of work pool {pool['work_pool_name']!r}: {problem}"
        )


def resolve_queue(
    tx: Tx, context: Context, body: DeploymentCreate | DeploymentUpdate, row: Row | None
) -> tuple[dict[str, Any], Row]:
    """The queue columns that `body` wants, and what is joined with them.

    Without a queue's name it is the pool's default queue; null for the pool clears the queue.
    """
    queue = body.work_queue_name if body.work_queue_name is not UNSET else None
    pool = body.work_pool_name
    if pool is UNSET:
        pool = row["work_pool_name"] if row is not None else None
    if pool is None:
        return {"work_queue_id": None, "work_queue_name": queue}, _NO_QUEUE
    found = queue_of_pool(tx, context, pool, queue)
    values = {"work_queue_id": found["work_queue_id"], "work_queue_name": found["queue_name"]}
    return values, {name: found[name] for name in (*JOINED, "base_job_template")}
