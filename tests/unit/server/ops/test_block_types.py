"""Block types, schemas and capabilities; the bundled types."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.blocks import Kind, block_schema, block_type, ref
from tests.databases import World, wire

from penstock.base import json
from penstock.schemas.blocks import (
    BlockSchemaCreate,
    BlockSchemasFilterPage,
    BlockTypeCreate,
    BlockTypesFilterPage,
    BlockTypeUpdate,
)
from penstock.schemas.errors import Forbidden, ObjectConflict, ObjectMissing, RequestInvalid
from penstock.server.domain.block_schemas import checksum
from penstock.server.ops import block_documents, block_schemas, block_types, bundled_blocks


def test_a_type_is_made_read_listed_and_deleted(world: World) -> None:
    id = block_type(world, "zoo", description="a <b>", code_example="x > y")
    block_type(world, "ark")
    found = wire(world.read(block_types.read_block_type_by_slug, "zoo"))
    assert found == wire(world.read(block_types.read_block_type_by_id, id))
    assert (found["description"], found["code_example"]) == ("a &lt;b&gt;", "x &gt; y")
    assert [one["slug"] for one in wire(world.read(block_types.read_block_types))] == ["ark", "zoo"]
    world.write(block_types.delete_block_type, id)
    for op, key in (
        (block_types.read_block_type_by_id, id),
        (block_types.read_block_type_by_slug, "zoo"),
        (block_documents.read_block_documents_for_block_type, "zoo"),
    ):
        with pytest.raises(ObjectMissing, match=key):
            world.read(op, key)


def test_names_and_slugs_that_are_refused(world: World) -> None:
    with pytest.raises(Forbidden, match="reserved"):
        block_type(world, "mine", name="Prefect thing")
    block_type(world, "mine")
    with pytest.raises(ObjectConflict, match="'mine'"):
        block_type(world, "mine", name="other")
    assert world.events() == ["prefect.block-type.created"]


def test_what_is_told_of_a_type(world: World) -> None:
    id = block_type(world, "zoo", description="a & b")
    world.write(block_types.update_block_type, id, body=BlockTypeUpdate(description="a & b"))
    world.write(block_types.update_block_type, id, body=BlockTypeUpdate(description="a & b"))
    world.write(block_types.update_block_type, id, body=BlockTypeUpdate())
    world.write(block_types.delete_block_type, id)
    events = world.rows("SELECT * FROM event ORDER BY seq")
    assert [event["event"] for event in events] == [
        f"prefect.block-type.{action}" for action in ("created", "updated", "deleted")
    ]
    for event, description in zip(events, ["a &amp; b", "a & b", "a & b"], strict=True):
        assert wire(event["resource"]) == {
            "prefect.resource.id": f"prefect.block-type.{id}",
            "prefect.resource.name": "zoo",
        }
        assert wire(event["payload"]) == {
            "name": "zoo",
            "slug": "zoo",
            "logo_url": None,
            "documentation_url": None,
            "description": description,
            "code_example": None,
            "is_protected": False,
        }
    rows = world.rows("SELECT * FROM audit ORDER BY seq")
    assert [(row["id"], row["action"]) for row in rows] == [
        (event["id"], event["event"].rpartition(".")[2]) for event in events
    ]
    assert wire(rows[1]["changes"]) == [
        {"path": "/description", "from": "a &amp; b", "to": "a & b"}
    ]


def test_a_schema_is_the_same_by_checksum_and_version(world: World) -> None:
    id = block_type(world)

    def create(**fields: Any) -> Any:
        body = BlockSchemaCreate(block_type_id=UUID(id), fields={"title": "A"}, **fields)
        return world.write(block_schemas.create_block_schema, body=body)

    first = create(capabilities=["write-path"])
    again = create()
    other = create(version="2")
    assert [made.created for made in (first, again, other)] == [True, False, True]
    assert (first.value.id, first.value.id) == (again.value.id, wire(again.value)["id"])
    shown = wire(first.value)
    assert shown["checksum"] == checksum({"title": "A"})
    assert shown["fields"] == {"title": "A", "block_schema_references": {}}
    assert shown["block_type"]["slug"] == "store"

    def found(**query: Any) -> str:
        digest = shown["checksum"]
        return world.read(block_schemas.read_block_schema_by_checksum, digest, **query).id

    assert found(version="non-versioned") == first.value.id
    assert found() == found(version="2") == other.value.id
    with pytest.raises(ObjectMissing, match="version '3'"):
        found(version="3")
    with pytest.raises(ObjectMissing, match="register its block type"):
        world.read(block_schemas.read_block_schema_by_id, str(uuid4()))
    assert world.events("penstock") == ["penstock.block-schema.created"] * 2


def test_a_schema_needs_its_type_and_its_nested_types(world: World) -> None:
    id = block_type(world)
    with pytest.raises(ObjectMissing, match="register it first"):
        block_schema(world, str(uuid4()))
    nested = {"block_type_slug": "inner", "block_schema_checksum": "sha256:0"}
    with pytest.raises(ObjectConflict, match="'inner', which does not exist"):
        block_schema(world, id, block_schema_references={"x": nested})
    inner = block_type(world, "inner")
    with pytest.raises(ObjectConflict, match="schema sha256:0"):
        block_schema(world, id, block_schema_references={"x": nested})
    with pytest.raises(RequestInvalid, match="block_schema_references"):
        block_schema(world, id, block_schema_references={"x": {}})
    inner_schema = block_schema(world, inner)
    digest = world.read(block_schemas.read_block_schema_by_id, inner_schema).checksum
    nested["block_schema_checksum"] = digest
    outer_schema = block_schema(world, id, block_schema_references={"x": nested})
    with pytest.raises(ObjectConflict, match=f"block schema '{outer_schema}'"):
        world.write(block_schemas.delete_block_schema, inner_schema)
    with pytest.raises(ObjectConflict, match=outer_schema):
        world.write(block_types.delete_block_type, inner)
    world.write(block_types.delete_block_type, id)
    world.write(block_types.delete_block_type, inner)


def test_a_schema_in_use_stays(world: World) -> None:
    kind = Kind(world)
    id = kind.save("one")
    with pytest.raises(ObjectConflict, match="'store/one'"):
        world.write(block_schemas.delete_block_schema, kind.schema_id)
    world.write(block_documents.delete_block_document, id)
    world.write(block_schemas.delete_block_schema, kind.schema_id)
    assert world.events()[-1] == "penstock.block-schema.deleted"
    with pytest.raises(ObjectMissing):
        world.write(block_schemas.delete_block_schema, kind.schema_id)


def test_filters(world: World) -> None:
    one, two = block_type(world, "one"), block_type(world, "two")
    writing = block_schema(world, one, title="w", capabilities=["write-path", "read-path"])
    reading = block_schema(world, two, title="r", capabilities=["read-path"])

    def schemas(filter: dict[str, Any]) -> set[str]:
        body = json.decode(json.encode({"block_schemas": filter}), BlockSchemasFilterPage)
        return {schema.id for schema in world.read(block_schemas.read_block_schemas, body=body)}

    assert schemas({}) == {writing, reading}
    assert schemas({"block_capabilities": {"all_": ["write-path"]}}) == {writing}
    assert schemas({"block_capabilities": {"all_": []}}) == {writing, reading}
    assert schemas({"block_type_id": {"any_": [two]}}) == {reading}
    assert schemas({"id": {"any_": [writing]}, "version": {"any_": ["9"]}}) == set()
    either = {"id": {"any_": [writing]}, "block_type_id": {"any_": [two]}, "operator": "or_"}
    assert schemas(either) == {writing, reading}

    def types(**body: Any) -> list[str]:
        page = json.decode(json.encode(body), BlockTypesFilterPage)
        return [type.slug for type in world.read(block_types.read_block_types, body=page)]

    assert types(block_types={"slug": {"any_": ["two"]}}) == ["two"]
    assert types(block_types={"name": {"like_": "ON"}}) == ["one"]
    assert types(block_schemas={"block_capabilities": {"all_": ["write-path"]}}) == ["one"]
    assert types(limit=1, offset=1) == ["two"]
    assert types(limit=0) == []
    capabilities = world.read(block_schemas.read_available_block_capabilities)
    assert capabilities == ["read-path", "write-path"]


def test_deleting_a_type_tells_of_all_that_goes_with_it(world: World) -> None:
    inner = Kind(world, "inner")
    a = inner.save("a")
    inner.save("b", child=ref(a))
    inner.save(None, anonymous=True)
    world.write(block_types.delete_block_type, inner.type_id)
    events = world.rows("SELECT * FROM event ORDER BY seq")[-4:]
    assert [event["event"] for event in events] == [
        "prefect.block-document.deleted",
        "prefect.block-document.deleted",
        "penstock.block-schema.deleted",
        "prefect.block-type.deleted",
    ]
    causes = [wire(event["members"]).get("caused_by") for event in events]
    assert causes == [events[-1]["id"]] * 3 + [None]
    deleted = world.rows("SELECT kind FROM audit WHERE action = 'deleted'")
    assert len(deleted) == 5
    assert world.rows("SELECT id FROM block_document") == []


def test_a_type_that_others_refer_to_stays(world: World) -> None:
    inner, outer = Kind(world, "inner"), Kind(world, "outer")
    outer.save("top", child=ref(inner.save("a")))
    before = world.events()
    with pytest.raises(ObjectConflict, match="'outer/top'"):
        world.write(block_types.delete_block_type, inner.type_id)
    assert world.events() == before
    world.write(block_types.delete_block_type, outer.type_id)
    world.write(block_types.delete_block_type, inner.type_id)


# --- bundled types --------------------------------------------------------------------------------


def test_bundled_types_are_registered_once_and_silently(world: World) -> None:
    assert not world.store.read_sync(bundled_blocks.is_installed)
    world.store.write_sync(bundled_blocks.install)
    assert world.store.read_sync(bundled_blocks.is_installed)
    types = {one["slug"]: one for one in wire(world.read(block_types.read_block_types))}
    assert {"secret", "local-file-system", "webhook", "slack-webhook", "smb"} <= set(types)
    assert all(one["description"] for one in types.values())
    protected = {slug for slug, one in types.items() if one["is_protected"]}
    assert protected == {"secret", "local-file-system", "webhook"}
    storages = json.decode(
        json.encode({"block_schemas": {"block_capabilities": {"all_": ["write-path"]}}}),
        BlockSchemasFilterPage,
    )
    found = world.read(block_schemas.read_block_schemas, body=storages)
    slugs = {wire(schema)["block_type"]["slug"] for schema in found}
    assert slugs == {"local-file-system", "remote-file-system", "smb"}
    before = world.store.statistics.snapshot()[1]
    world.store.write_sync(bundled_blocks.install)
    assert world.store.statistics.snapshot()[1] - before == 1
    assert world.events() == []
    assert world.rows("SELECT id FROM audit") == []


def test_what_a_client_changed_of_a_bundled_type_stays(world: World) -> None:
    world.store.write_sync(bundled_blocks.install)
    secret = world.read(block_types.read_block_type_by_slug, "secret")
    body = BlockTypeUpdate(description="a client's words")
    world.write(block_types.update_block_type, secret.id, body=body)
    world.store.write_sync(bundled_blocks.install)
    again = world.read(block_types.read_block_type_by_slug, "secret")
    assert (again.id, again.description) == (secret.id, "a client's words")
    world.write(block_types.install_system_block_types)
    again = world.read(block_types.read_block_type_by_slug, "secret")
    assert (again.id, again.description) == (secret.id, secret.description)


def test_protected_types_and_their_schemas_cannot_be_deleted(world: World) -> None:
    world.store.write_sync(bundled_blocks.install)
    secret = world.read(block_types.read_block_type_by_slug, "secret")
    with pytest.raises(Forbidden, match="'secret' is protected"):
        world.write(block_types.delete_block_type, secret.id)
    schemas = json.decode(
        json.encode({"block_schemas": {"block_type_id": {"any_": [secret.id]}}}),
        BlockSchemasFilterPage,
    )
    (schema,) = world.read(block_schemas.read_block_schemas, body=schemas)
    with pytest.raises(Forbidden, match="protected type 'secret'"):
        world.write(block_schemas.delete_block_schema, schema.id)
    slack = world.read(block_types.read_block_type_by_slug, "slack-webhook")
    world.write(block_types.delete_block_type, slack.id)
    world.write(block_types.install_system_block_types)
    assert world.read(block_types.read_block_type_by_slug, "slack-webhook").id != slack.id


def test_a_new_type_with_the_slug_of_a_bundled_one_is_refused(world: World) -> None:
    world.store.write_sync(bundled_blocks.install)
    with pytest.raises(ObjectConflict):
        world.write(block_types.create_block_type, body=BlockTypeCreate(name="Mine", slug="secret"))
