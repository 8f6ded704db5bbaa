"""Block types, schemas and documents; what the server keeps results in."""

from typing import Any

from tests.catalogue.harness import Api, Expected, case

TEXTS = ("name", "slug", "logo_url", "documentation_url", "description", "code_example")
SECRET = "canary-of-the-catalogue"


def block_type(api: Api, **fields: Any) -> dict[str, Any]:
    slug = api.name("kind")
    return api.post("/block_types/", {"name": slug.title(), "slug": slug, **fields})


def block_schema(
    api: Api, type: dict[str, Any], *capabilities: str, secret: list[str] | None = None
) -> dict[str, Any]:
    fields = {
        "title": type["name"],
        "type": "object",
        "properties": {"host": {"type": "string"}, "pin": {"type": "string"}},
        **({} if secret is None else {"secret_fields": secret}),
        "block_type_slug": type["slug"],
        "block_schema_references": {},
    }
    body = {"fields": fields, "block_type_id": type["id"], "capabilities": list(capabilities)}
    return api.post("/block_schemas/", body)


def document(api: Api, schema: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {
        "name": api.name("document"),
        "data": {"host": "h", "pin": SECRET, "port": 1},
        "block_type_id": schema["block_type_id"],
        "block_schema_id": schema["id"],
        **fields,
    }
    return api.post("/block_documents/", body)


def of_type(action: str, made: dict[str, Any], **fields: Any) -> Expected:
    payload = {name: made[name] for name in (*TEXTS, "is_protected")}
    kept = {"id": made["id"], **payload}
    return Expected(
        kind="block-type",
        action=action,
        id=made["id"],
        name=made["name"],
        payload=payload,
        before=kept if action == "deleted" else None,
        after=kept if action != "deleted" else None,
        **fields,
    )


def of_schema(action: str, made: dict[str, Any], type: dict[str, Any], **more: Any) -> Expected:
    names = ("id", "checksum", "fields", "capabilities", "block_type_id")
    kept = {name: made[name] for name in names}
    return Expected(
        kind="block-schema",
        action=action,
        event=f"penstock.block-schema.{action}",
        id=made["id"],
        name=type["name"],
        payload={name: made[name] for name in ("checksum", "version", "capabilities")},
        related=[related_type(type)],
        before=kept if action == "deleted" else None,
        after=kept if action == "created" else None,
        **more,
    )


def of_document(
    action: str,
    made: dict[str, Any],
    schema: dict[str, Any],
    type: dict[str, Any],
    host: str = "h",
    **more: Any,
) -> Expected:
    return Expected(
        kind="block-document",
        action=action,
        id=made["id"],
        name=made["name"],
        payload={
            "name": made["name"],
            "data": {"host": host},
            "block_schema": {
                "capabilities": schema["capabilities"],
                "block_type": {"id": type["id"], "name": type["name"]},
            },
        },
        related=[
            related_type(type),
            {
                "prefect.resource.id": f"prefect.block-schema.{schema['id']}",
                "prefect.resource.role": "block-schema",
            },
        ],
        **more,
    )


def related_type(type: dict[str, Any]) -> dict[str, str]:
    return {
        "prefect.resource.id": f"prefect.block-type.{type['id']}",
        "prefect.resource.role": "block-type",
        "prefect.resource.name": type["name"],
    }


# --- types ---------------------------------------------------------------------------------------


@case("prefect.block-type.created")
def block_type_created(api: Api) -> list[Expected]:
    made = block_type(api, description="a & b", code_example="x < y")
    assert made["description"] == "a &amp; b"
    api.refused(409, "POST", "/block_types/", {"name": "Other", "slug": made["slug"]})
    return [of_type("created", made)]


@case("prefect.block-type.updated")
def block_type_updated(api: Api) -> list[Expected]:
    made = block_type(api)
    path = f"/block_types/{made['id']}"
    api.settle()
    api.patch(path, {"description": "new"})
    api.patch(path, {"description": "new"})
    api.patch(path, {})
    changed = {**made, "description": "new"}
    return [of_type("updated", changed, changes={"/description": (None, "new")})]


@case(
    "prefect.block-document.deleted",
    "penstock.block-schema.deleted",
    "prefect.block-type.deleted",
)
def block_type_deleted_with_what_is_of_it(api: Api) -> list[Expected]:
    type = block_type(api)
    schema = block_schema(api, type)
    made = document(api, schema, data={"host": "h"})
    api.settle()
    api.delete(f"/block_types/{type['id']}")
    cause = of_type("deleted", type)
    return [
        of_document("deleted", made, schema, type, caused_by=cause),
        of_schema("deleted", schema, type, caused_by=cause),
        cause,
    ]


@case()
def protected_block_type_refused(api: Api) -> list[Expected]:
    secret = api.get("/block_types/slug/secret")
    api.settle()
    api.refused(403, "DELETE", f"/block_types/{secret['id']}")
    api.post("/block_types/install_system_block_types")
    return []


# --- schemas -------------------------------------------------------------------------------------


@case("penstock.block-schema.created")
def block_schema_created_once(api: Api) -> list[Expected]:
    type = block_type(api)
    api.settle()
    made = block_schema(api, type, "read")
    assert block_schema(api, type, "read")["id"] == made["id"]
    return [of_schema("created", made, type)]


@case("penstock.block-schema.deleted")
def block_schema_deleted(api: Api) -> list[Expected]:
    type = block_type(api)
    made = block_schema(api, type)
    api.settle()
    api.delete(f"/block_schemas/{made['id']}")
    return [of_schema("deleted", made, type)]


# --- documents -----------------------------------------------------------------------------------


@case("prefect.block-document.created")
def block_document_created(api: Api) -> list[Expected]:
    type = block_type(api)
    schema = block_schema(api, type, "read", secret=["pin"])
    api.settle()
    made = document(api, schema)
    taken = {
        "name": made["name"],
        "data": {},
        "block_type_id": type["id"],
        "block_schema_id": schema["id"],
    }
    api.refused(409, "POST", "/block_documents/", taken)
    [row] = api.audit()
    assert row["after"]["data"]["pin"]["fingerprint"]
    assert SECRET not in str([api.events(), api.audit()])
    return [of_document("created", made, schema, type)]


@case("prefect.block-document.updated")
def block_document_updated(api: Api) -> list[Expected]:
    type = block_type(api)
    schema = block_schema(api, type, secret=["pin"])
    made = document(api, schema)
    path = f"/block_documents/{made['id']}"
    api.settle()
    data = {"host": "other", "pin": SECRET, "port": 1}
    api.patch(path, {"data": data})
    api.patch(path, {"data": data})
    changes = {"/data/host": ("h", "other")}
    return [of_document("updated", made, schema, type, host="other", changes=changes)]


@case("prefect.block-document.deleted")
def block_document_deleted(api: Api) -> list[Expected]:
    type = block_type(api)
    schema = block_schema(api, type, secret=["pin"])
    made = document(api, schema)
    api.settle()
    api.delete(f"/block_documents/{made['id']}")
    return [of_document("deleted", made, schema, type)]


@case()
def anonymous_block_document_is_only_audited(api: Api) -> list[Expected]:
    schema = block_schema(api, block_type(api), secret=["pin"])
    api.settle()
    made = document(api, schema, name=None, is_anonymous=True)
    data = {"host": "other", "pin": SECRET, "port": 1}
    api.patch(f"/block_documents/{made['id']}", {"data": data})
    api.delete(f"/block_documents/{made['id']}")
    shared: dict[str, Any] = {
        "kind": "block-document",
        "event": None,
        "id": made["id"],
        "name": made["name"],
    }
    first, second, last = (
        Expected(action=action, **shared) for action in ("created", "updated", "deleted")
    )
    second.changes = {"/data/host": ("h", "other")}
    return [first, second, last]


# --- where results go ----------------------------------------------------------------------------


@case("penstock.configuration.updated")
def storage_of_results_chosen_and_cleared(api: Api) -> list[Expected]:
    type = block_type(api)
    made = document(api, block_schema(api, type, "write-path"))
    api.settle()
    body = {"default_result_storage_block_id": made["id"]}
    for _ in range(2):
        api.done("PUT", "/admin/storage", body)
    for _ in range(2):
        api.delete("/admin/storage")
    shared: dict[str, Any] = {
        "kind": "configuration",
        "action": "updated",
        "event": "penstock.configuration.updated",
        "id": "default_result_storage",
        "name": "default_result_storage",
    }
    path, none = "/default_result_storage_block_id", {"default_result_storage_block_id": None}
    return [
        Expected(**shared, payload=body, after=body, changes={path: (None, made["id"])}),
        Expected(**shared, payload=none, after=none, changes={path: (made["id"], None)}),
    ]
