"""The OpenAPI document, printed from the operation table."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.base.version import VERSION
from penstock.schemas.operations import OPERATIONS, Operation

_REFERENCE = "#/components/schemas/{name}"
_ERRORS = {
    400: "The request cannot be carried out.",
    401: "The credentials are missing or wrong.",
    403: "The request is refused.",
    404: "There is no such object.",
    409: "The change collides with what is stored.",
    410: "There is no such object any more.",
    413: "The request is too large.",
    422: "The request does not fit the operation.",
    423: "No slot is free; the header Retry-After says when to ask again.",
    503: "The database cannot be reached now.",
}
_VALIDATION_ERROR = {
    "type": "object",
    "title": "HTTPValidationError",
    "properties": {
        "exception_message": {"type": "string"},
        "exception_detail": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "loc": {
                        "type": "array",
                        "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                    },
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
                "required": ["loc", "msg", "type"],
            },
        },
        "request_body": {},
    },
}
_VERSION_HEADER = {
    "name": "x-prefect-api-version",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
}


def document(base_path: str = "/api") -> dict[str, Any]:
    """The document of all operations, with `base_path` as the server's URL."""
    operations = list(OPERATIONS.values())
    types = list(_types(operations))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_type = {id(type): schema for type, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        entry = paths.setdefault(operation.path, {})
        entry[operation.method.lower()] = _entry(operation, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Penstock API", "version": VERSION},
        "servers": [{"url": base_path or "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(
                sorted({**components, "HTTPValidationError": _VALIDATION_ERROR}.items())
            ),
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
        },
    }


def _types(operations: Iterable[Operation]) -> Iterable[Any]:
    for operation in operations:
        if operation.body is not None:
            yield operation.body
        if operation.response is not None:
            yield operation.response
        yield from operation.params
        for query in operation.query:
            yield query.type


def _entry(operation: Operation, schemas: dict[int, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.name.replace("_", " ").capitalize(),
        "tags": [_tag(operation.path)],
        "parameters": _parameters(operation, schemas),
        "responses": _responses(operation, schemas),
    }
    if operation.body is not None:
        entry["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": schemas[id(operation.body)]}},
        }
    if not operation.open:
        entry["security"] = [{"basic": []}, {}]
    if operation.extension:
        entry["x-penstock-extension"] = True
    return entry


def _tag(path: str) -> str:
    return re.split(r"[/{]", path.lstrip("/"), maxsplit=1)[0].replace("_", " ").capitalize()


def _parameters(operation: Operation, schemas: dict[int, Any]) -> list[dict[str, Any]]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schemas[id(type)]}
        for name, type in zip(operation.param_names, operation.params, strict=True)
    ]
    parameters += [
        {
            "name": query.name,
            "in": "query",
            "required": query.required,
            "schema": schemas[id(query.type)],
        }
        for query in operation.query
    ]
    parameters += [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
        for name in operation.headers
    ]
    if operation.versioned:
        parameters.append(_VERSION_HEADER)
    return parameters


def _responses(operation: Operation, schemas: dict[int, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done."}
    if operation.status != 204:
        schema = schemas[id(operation.response)] if operation.response is not None else {}
        success["content"] = {operation.media_type: {"schema": schema}}
    responses = {str(operation.status): success}
    if operation.created:
        responses["201"] = success | {"description": "Made by this request."}
    errors = {*operation.errors, 422, 503} | (set() if operation.open else {401, 403})
    if operation.versioned:
        errors.add(400)  # for an API version that the server does not speak
    if any(type is not str for type in operation.params):
        errors.add(404)  # for a path that holds no id
    if operation.body is not None:
        errors.add(413)
    for status in sorted(errors):
        responses[str(status)] = {"description": _ERRORS[status]}
    responses["422"]["content"] = {
        "application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}
    }
    return responses


def page(base_path: str) -> bytes:
    """A small page that shows the document; it loads nothing from anywhere else."""
    rows = "".join(
        f"<tr><td><code>{operation.method}</code><td><code>{base_path}{operation.path}</code>"
        f"<td>{operation.name}<td>{_shape(operation.body)}<td>{_shape(operation.response)}"
        for operation in sorted(OPERATIONS.values(), key=lambda one: (one.path, one.method))
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><title>Penstock API</title>"
        "<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#1b2a33}"
        "table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;text-align:left;"
        "border-bottom:1px solid #d5dde2;vertical-align:top}code{font-size:13px}</style>"
        f"<h1>Penstock API {VERSION}</h1><p>Machine-readable: "
        f"<a href='{base_path}/openapi.json'>{base_path}/openapi.json</a></p>"
        "<table><tr><th>Method<th>Path<th>Operation<th>Body<th>Answer"
        f"{rows}</table></html>"
    ).encode()


def _shape(type: Any) -> str:
    if type is None:
        return ""
    name = (
        type.__name__ if isinstance(type, _PLAIN) and not hasattr(type, "__args__") else str(type)
    )
    name = re.sub(r"\b(?:penstock\.[\w.]+\.|typing\.)", "", name)
    return f"<code>{name.replace('<', '&lt;')}</code>"


_PLAIN = type
