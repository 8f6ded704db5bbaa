"""Block documents: data, secrets, nesting, encryption, what is told of them, who uses them."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.blocks import Kind, block_schema, data, read, ref, update
from tests.databases import World, wire

from penstock.base import json
from penstock.schemas.admin import ServerDefaultResultStorageUpdate
from penstock.schemas.automations import AutomationCreate
from penstock.schemas.blocks import (
    BlockDocumentCreate,
    BlockDocumentsFilterBody,
    BlockDocumentsFilterPage,
    BlockDocumentUpdate,
)
from penstock.schemas.deployments import DeploymentCreate
from penstock.schemas.errors import ObjectConflict, ObjectMissing, Refusal, RequestInvalid
from penstock.server.ops import admin, automations, block_documents, deployments
from penstock.server.ops.block_trees import DEPTH_MAXIMUM
from penstock.server.ops.context import Context

CANARY = "canary-4711"
HIDDEN = "********"


def kind(world: World, slug: str = "store", **fields: Any) -> Kind:
    return Kind(world, slug, secret_fields=["token", "auth.key", "headers.*"], **fields)


def listed(world: World, **body: Any) -> list[str]:
    page = json.decode(json.encode(body), BlockDocumentsFilterPage)
    found = world.read(block_documents.read_block_documents, body=page)
    count = json.decode(json.encode(body), BlockDocumentsFilterBody)
    if not {"limit", "offset"} & set(body):
        assert world.read(block_documents.count_block_documents, body=count) == len(found)
    return [wire(one)["name"] for one in found]


# --- one document ---------------------------------------------------------------------------------


def test_a_document_is_made_read_and_deleted(world: World) -> None:
    store = kind(world)
    id = store.save("one", host="h", token="t", auth={"key": "k", "x": 1}, headers={"a": "b"})
    shown = read(world, id, secrets=False)
    masked = {
        "host": "h",
        "token": HIDDEN,
        "auth": {"key": HIDDEN, "x": 1},
        "headers": {"a": HIDDEN},
    }
    assert shown["data"] == masked
    assert shown["block_type"]["slug"] == shown["block_schema"]["block_type"]["slug"] == "store"
    assert (shown["block_type_name"], shown["is_anonymous"]) == ("store", False)
    assert shown["block_document_references"] == {}
    clear = {"host": "h", "token": "t", "auth": {"key": "k", "x": 1}, "headers": {"a": "b"}}
    assert data(world, id) == clear
    by_name = block_documents.read_block_document_by_name_for_block_type
    assert wire(world.read(by_name, "store", "one"))["data"] == masked
    assert wire(world.read(by_name, "store", "one", include_secrets=True))["data"] == clear
    world.write(block_documents.delete_block_document, id)
    with pytest.raises(ObjectMissing, match=id):
        world.read(block_documents.read_block_document_by_id, id)
    with pytest.raises(ObjectMissing, match="store/one"):
        world.read(by_name, "store", "one")
    with pytest.raises(ObjectMissing):
        world.write(block_documents.delete_block_document, id)


def test_what_is_refused(world: World) -> None:
    store, other = kind(world), kind(world, "other")
    store.save("one")
    with pytest.raises(ObjectConflict, match="store/one exists already"):
        store.save("one")
    with pytest.raises(RequestInvalid, match="needs a name"):
        store.save(None)

    def create(**ids: str) -> None:
        fields: dict[str, Any] = {
            "block_type_id": store.type_id,
            "block_schema_id": store.schema_id,
        }
        body = json.decode(json.encode({"name": "x", **fields, **ids}), BlockDocumentCreate)
        world.write(block_documents.create_block_document, body=body)

    with pytest.raises(ObjectMissing, match="block schema"):
        create(block_schema_id=str(uuid4()))
    with pytest.raises(ObjectMissing, match="block type"):
        create(block_type_id=str(uuid4()))
    with pytest.raises(Refusal, match="belongs to block type 'other'"):
        create(block_schema_id=other.schema_id)
    assert listed(world) == ["one"]


def test_anonymous_documents_have_a_name_and_are_hidden(world: World) -> None:
    store = kind(world)
    store.save("named")
    id = store.save(None, anonymous=True)
    name = read(world, id)["name"]
    assert name.startswith("anonymous-")
    assert listed(world) == ["named"]
    assert listed(world, block_documents={"name": {"like_": "anon"}}) == []
    assert listed(world, block_documents={"is_anonymous": {"eq_": True}}) == [name]
    assert listed(world, block_documents={"is_anonymous": None}) == [name, "named"]
    update(world, id, {"x": 1})
    world.write(block_documents.delete_block_document, id)
    assert len(world.events("prefect.block-document")) == 1
    rows = world.rows("SELECT action FROM audit WHERE kind = 'block-document' ORDER BY seq")
    assert [row["action"] for row in rows] == ["created", "created", "updated", "deleted"]


def test_filters_and_sorts(world: World) -> None:
    a = Kind(world, "alpha")
    b = Kind(world, "beta")
    b_writing = block_schema(world, b.type_id, title="w", capabilities=["write-path"])
    one = a.save("one")
    b.save("Two")
    b.schema_id = b_writing
    b.save("a%c")
    assert listed(world) == ["Two", "a%c", "one"]
    assert listed(world, sort=None) == ["Two", "a%c", "one"]
    assert listed(world, sort="NAME_DESC") == ["one", "a%c", "Two"]
    assert listed(world, sort="BLOCK_TYPE_AND_NAME_ASC") == ["one", "Two", "a%c"]
    assert listed(world, limit=1, offset=1) == ["a%c"]
    assert listed(world, limit=0) == []
    assert listed(world, block_documents={"id": {"any_": [one]}}) == ["one"]
    assert listed(world, block_documents={"name": {"any_": ["one", "no"]}}) == ["one"]
    assert listed(world, block_documents={"name": {"like_": "%"}}) == ["a%c"]
    assert listed(world, block_documents={"block_type_id": {"any_": [a.type_id]}}) == ["one"]
    assert listed(world, block_types={"slug": {"any_": ["beta"]}}) == ["Two", "a%c"]
    writing = {"block_capabilities": {"all_": ["write-path"]}}
    assert listed(world, block_schemas=writing) == ["a%c"]
    assert listed(world, block_schemas=writing, block_types={"name": {"like_": "alp"}}) == []
    either = {"id": {"any_": [one]}, "name": {"any_": ["Two"]}, "operator": "or_"}
    assert listed(world, block_documents={**either, "is_anonymous": None}) == ["Two", "one"]
    of_type = world.read(block_documents.read_block_documents_for_block_type, "beta")
    assert [wire(one)["name"] for one in of_type] == ["Two", "a%c"]


# --- updates --------------------------------------------------------------------------------------


def test_an_update_merges_and_masked_secrets_stay(world: World) -> None:
    id = kind(world).save("one", host="h", token="t", auth={"key": "k", "x": 1})
    update(world, id, {"port": 5})
    assert data(world, id) == {"host": "h", "token": "t", "auth": {"key": "k", "x": 1}, "port": 5}
    update(world, id, {"token": HIDDEN, "auth": {"key": HIDDEN, "x": 2}, "host": HIDDEN})
    assert data(world, id)["token"] == "t"
    assert data(world, id)["auth"] == {"key": "k", "x": 2}
    assert data(world, id)["host"] == HIDDEN  # not a secret: taken as it is
    update(world, id, {"token": HIDDEN, "host": "new"}, merge_existing_data=False)
    assert data(world, id) == {"token": "t", "host": "new"}
    update(world, id, {}, merge_existing_data=False)
    assert data(world, id) == {}


def test_reading_masked_and_writing_back_changes_nothing(world: World) -> None:
    inner = kind(world, "inner").save("in", token=CANARY)
    id = kind(world).save("one", token=CANARY, headers={"a": "b"}, child=ref(inner))
    count = len(world.events())
    update(world, id, data(world, id, secrets=False))
    update(world, id, data(world, id, secrets=True), merge_existing_data=False)
    world.write(block_documents.update_block_document_data, id, body=BlockDocumentUpdate())
    assert len(world.events()) == count
    assert read(world, id)["updated"] == read(world, id)["created"]
    assert list(read(world, id)["block_document_references"]) == ["child"]


def test_a_changed_copy_of_a_nested_document_becomes_own_data(world: World) -> None:
    inner = kind(world, "inner").save("in", token=CANARY, host="h")
    id = kind(world).save("one", child=ref(inner))
    update(world, id, {"child": {"token": HIDDEN, "host": "new"}})
    assert data(world, id) == {"child": {"token": CANARY, "host": "new"}}
    assert read(world, id)["block_document_references"] == {}
    assert data(world, inner)["host"] == "h"


def test_a_document_moves_to_another_schema_of_its_type(world: World) -> None:
    store, other = kind(world), kind(world, "other")
    id = store.save("one", password="p")
    newer = block_schema(world, store.type_id, secret_fields=["password"], title="2")
    body = BlockDocumentUpdate(block_schema_id=UUID(newer))
    world.write(block_documents.update_block_document_data, id, body=body)
    assert read(world, id)["block_schema"]["id"] == newer
    assert data(world, id, secrets=False) == {"password": HIDDEN}
    body = BlockDocumentUpdate(block_schema_id=UUID(other.schema_id))
    with pytest.raises(Refusal, match="belongs to block type 'other'"):
        world.write(block_documents.update_block_document_data, id, body=body)
    with pytest.raises(ObjectMissing):
        update(world, str(uuid4()), {})


# --- nesting --------------------------------------------------------------------------------------


def test_nested_documents_are_put_together(world: World) -> None:
    store = kind(world)
    a = store.save("a", token="ta")
    b = store.save("b", token="tb", a=ref(a))
    c = store.save("c", first=ref(b), second=ref(a))
    assert data(world, c) == {
        "first": {"token": "tb", "a": {"token": "ta"}},
        "second": {"token": "ta"},
    }
    assert CANARY not in str(read(world, c, secrets=False))
    assert data(world, c, secrets=False)["first"]["a"] == {"token": HIDDEN}
    references = read(world, c)["block_document_references"]
    inner = references["first"]["block_document"]
    assert (inner["id"], inner["name"], inner["is_anonymous"]) == (b, "b", False)
    assert inner["block_type"]["slug"] == "store"
    assert inner["block_document_references"]["a"]["block_document"]["id"] == a
    update(world, a, {"token": "new"})
    assert data(world, c)["first"]["a"] == {"token": "new"}
    update(world, c, {"first": 1})
    assert data(world, c) == {"first": 1, "second": {"token": "new"}}
    update(world, c, {"first": ref(a), "second": ref(b)})
    assert list(data(world, c)) == ["first", "second"]


def test_references_must_lead_somewhere(world: World) -> None:
    store = kind(world)
    for wrong in ({}, {"block_document_id": "x"}, {"block_document_id": None}, 5):
        with pytest.raises(Refusal, match="'child' refers to no block document"):
            store.save("x", child={"$ref": wrong})
    with pytest.raises(ObjectMissing):
        store.save("x", child=ref(str(uuid4())))
    assert listed(world) == []


def test_cycles_are_refused(world: World) -> None:
    store = kind(world)
    a = store.save("a")
    b = store.save("b", a=ref(a))
    c = store.save("c", b=ref(b))
    for target in (a, b, c):
        with pytest.raises(Refusal) as error:
            update(world, a, {"back": ref(target)})
        assert error.value.status == 400
    assert data(world, c) == {"b": {"a": {}}}


def test_nesting_has_an_end(world: World) -> None:
    store = kind(world)
    id = store.save("0")
    for level in range(1, DEPTH_MAXIMUM + 1):
        id = store.save(str(level), inner=ref(id))
    assert data(world, id)["inner"]["inner"]
    with pytest.raises(Refusal, match="nested deeper"):
        store.save("too deep", inner=ref(id))


def test_documents_that_would_be_repeated_without_end_are_refused(world: World) -> None:
    store = kind(world)
    id = store.save("0")
    with pytest.raises(Refusal, match="at most 10000"):
        for level in range(1, 20):
            id = store.save(str(level), left=ref(id), right=ref(id))
    assert len(listed(world)) == 13


# --- users ----------------------------------------------------------------------------------------


def deployment(world: World, **fields: Any) -> str:
    body = DeploymentCreate(name="nightly", flow_id=UUID(world.flow()), **fields)
    return world.write(deployments.create_deployment, body=body).value.id


def test_a_document_in_use_stays_and_its_users_are_named(world: World) -> None:
    store = kind(world)
    a = store.save("a")
    b = store.save("b", a=ref(a))
    deployment(world, storage_document_id=UUID(a))
    with pytest.raises(ObjectConflict, match="'store/b', deployment 'etl/nightly'"):
        world.write(block_documents.delete_block_document, a)
    assert listed(world) == ["a", "b"]
    assert "prefect.block-document.deleted" not in world.events()
    world.write(block_documents.delete_block_document, b)
    with pytest.raises(ObjectConflict, match="deployment"):
        world.write(block_documents.delete_block_document, a)
    assert len(world.rows("SELECT id FROM deployment")) == 1


def test_a_document_that_an_automation_sends_with_stays(world: World) -> None:
    id = kind(world).save("channel")
    body = json.decode(
        json.encode(
            {
                "name": "tell",
                "trigger": {
                    "type": "event",
                    "expect": ["it.happened"],
                    "posture": "Reactive",
                    "threshold": 1,
                },
                "actions": [
                    {
                        "type": "send-notification",
                        "block_document_id": id,
                        "subject": "it",
                        "body": "happened",
                    }
                ],
            }
        ),
        AutomationCreate,
    )
    made = world.write(automations.create_automation, body=body)
    with pytest.raises(ObjectConflict, match="automation 'tell'"):
        world.write(block_documents.delete_block_document, id)
    world.write(automations.delete_automation, str(wire(made)["id"]))
    world.write(block_documents.delete_block_document, id)


def test_the_default_result_storage(world: World) -> None:
    store = Kind(world, "fs")
    plain = store.save("plain")
    writing = block_schema(world, store.type_id, title="w", capabilities=["write-path"])
    store.schema_id = writing
    id = store.save("files")

    def put(document: str) -> Any:
        body = ServerDefaultResultStorageUpdate(default_result_storage_block_id=UUID(document))
        return wire(world.write(admin.update_server_default_result_storage, body=body))

    with pytest.raises(RequestInvalid, match=r"fs/plain cannot keep results.*'write-path'"):
        put(plain)
    assert put(id) == put(id) == {"default_result_storage_block_id": id}
    assert wire(world.read(admin.read_server_default_result_storage)) == put(id)
    with pytest.raises(ObjectConflict, match="default result storage"):
        world.write(block_documents.delete_block_document, id)
    world.write(admin.clear_server_default_result_storage)
    world.write(admin.clear_server_default_result_storage)
    world.write(block_documents.delete_block_document, id)
    events = world.rows(
        "SELECT * FROM event WHERE event LIKE 'penstock.configuration%' ORDER BY seq"
    )
    assert [wire(event["payload"]) for event in events] == [
        {"default_result_storage_block_id": id},
        {"default_result_storage_block_id": None},
    ]


# --- what is told ---------------------------------------------------------------------------------


def test_events_and_audit_rows_of_a_document(world: World) -> None:
    store = kind(world)
    id = store.save("one", host="h", port=5, token=CANARY, auth={"key": CANARY})
    update(world, id, {"token": CANARY + "2", "host": "new"})
    world.write(block_documents.delete_block_document, id)
    events = world.rows(
        "SELECT * FROM event WHERE event LIKE 'prefect.block-document.%' ORDER BY seq"
    )
    actions = ["created", "updated", "deleted"]
    assert [event["event"].rpartition(".")[2] for event in events] == actions
    for event, host in zip(events, ["h", "new", "new"], strict=True):
        assert wire(event["resource"]) == {
            "prefect.resource.id": f"prefect.block-document.{id}",
            "prefect.resource.name": "one",
        }
        assert wire(event["payload"]) == {
            "name": "one",
            "data": {"host": host},
            "block_schema": {
                "capabilities": [],
                "block_type": {"id": store.type_id, "name": "store"},
            },
        }
        assert wire(event["related"])[:2] == [
            {
                "prefect.resource.id": f"prefect.block-type.{store.type_id}",
                "prefect.resource.role": "block-type",
                "prefect.resource.name": "store",
            },
            {
                "prefect.resource.id": f"prefect.block-schema.{store.schema_id}",
                "prefect.resource.role": "block-schema",
            },
        ]
    rows = world.rows("SELECT * FROM audit WHERE kind = 'block-document' ORDER BY seq")
    assert [(row["id"], row["action"]) for row in rows] == [
        (event["id"], action) for event, action in zip(events, actions, strict=True)
    ]
    changes = {change["path"] for change in wire(rows[1]["changes"])}
    assert "/data/host" in changes
    assert any(path.startswith("/data/token") for path in changes)
    assert not any(path.startswith("/data/auth") for path in changes)
    assert wire(rows[0]["after"])["data"]["auth"]["key"]["value"] == HIDDEN
    assert (rows[0]["before"], rows[2]["after"]) == (None, None)


def test_no_secret_is_anywhere_in_the_database(world: World) -> None:
    store = Kind(world, "vault", secret_fields=["value", "more.*", "deep.er"])
    id = store.save("one", value={"value": CANARY, "fingerprint": CANARY}, more={"a": CANARY})
    update(world, id, {"deep": [{"er": CANARY}], "value": CANARY, "password": CANARY})
    outer = kind(world, "outer").save("two", child=ref(id), token=CANARY)
    update(world, outer, {"child": data(world, id, secrets=False), "host": "h"})
    world.write(block_documents.delete_block_document, outer)
    world.write(block_documents.delete_block_document, id)
    for table in ("event", "audit", "block_document", "configuration"):
        assert CANARY not in str([dict(row) for row in world.rows(f"SELECT * FROM {table}")])


# --- encryption -----------------------------------------------------------------------------------


def sealed(world: World, id: str) -> str:
    (row,) = world.rows("SELECT sealed_data FROM block_document WHERE id = ?", id)
    return row["sealed_data"]


def test_data_is_encrypted_with_a_key_that_is_made_once(world: World) -> None:
    store = kind(world)
    assert world.rows("SELECT key FROM configuration WHERE key = 'encryption_key'") == []
    one, two = store.save("one", token=CANARY), store.save("two", token=CANARY)
    assert len(world.rows("SELECT key FROM configuration WHERE key = 'encryption_key'")) == 1
    assert sealed(world, one).split(".")[1] == sealed(world, two).split(".")[1]
    assert sealed(world, one) != sealed(world, two)


def test_keys_rotate(world: World) -> None:
    store = kind(world)
    old = store.save("old", token="from the database's key")
    first, second = b"1" * 32, b"2" * 32
    world.context = Context(encryption_keys=(first,))
    middle = store.save("middle", token="from the first key")
    world.context = Context(encryption_keys=(second, first))
    assert data(world, old) == {"token": "from the database's key"}
    assert data(world, middle) == {"token": "from the first key"}
    update(world, old, {"x": 1})
    world.context = Context(encryption_keys=(second,))
    assert data(world, old) == {"token": "from the database's key", "x": 1}
    with pytest.raises(ObjectConflict, match="PENSTOCK_API_ENCRYPTION_KEY"):
        data(world, middle)


def test_sealed_data_cannot_be_moved_to_another_document(world: World) -> None:
    store = kind(world)
    one, two = store.save("one", token="a"), store.save("two", token="b")
    text = sealed(world, one)

    def move(tx: Any) -> None:
        tx.run(
            "block_document.update",
            id=two,
            sealed_data=text,
            block_schema_id=store.schema_id,
            now=tx.now,
        )

    world.store.write_sync(move)
    with pytest.raises(ObjectConflict, match="changed outside of the server"):
        data(world, two)


def test_what_operations_cost(world: World) -> None:
    store = kind(world)
    inner = store.save("inner", token="t")

    def cost(act: Any, *args: Any, **kwargs: Any) -> int:
        before = world.store.statistics.snapshot()[1]
        act(*args, **kwargs)
        return world.store.statistics.snapshot()[1] - before

    assert cost(store.save, "one", token="t") <= 8
    id = store.save("two", child=ref(inner))
    assert cost(data, world, inner) <= 3
    assert cost(data, world, id) <= 4
    assert cost(update, world, inner, {"x": 1}) <= 7
    for number in range(20):
        store.save(f"many {number}", child=ref(inner))
    assert cost(lambda: world.read(block_documents.read_block_documents)) <= 4
