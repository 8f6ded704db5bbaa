"""Stories of blocks, told by the peer's own SDK and commands; see peer_stories.py."""

import json
import tempfile
import traceback
from pathlib import Path
from uuid import uuid4

from peer_cli import prefect
from prefect import flow, get_client
from prefect.blocks.core import Block
from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.system import Secret
from prefect.blocks.webhook import Webhook
from prefect.filesystems import LocalFileSystem
from prefect.types import SecretDict
from pydantic import SecretStr

STORIES = []


def story(function):
    STORIES.append(function)
    return function


class Login(Block):
    """Who we are somewhere."""

    user: str
    password: SecretStr


class Warehouse(Block):
    """Where the data is."""

    _block_type_name = "Story Warehouse"

    host: str
    login: Login
    options: SecretDict | None = None
    replica: Login | None = None


def name(prefix):
    return f"{prefix}-{uuid4().hex[:8]}"


def masked(type_slug, document):
    with get_client(sync_client=True) as client:
        path = f"/block_types/slug/{type_slug}/block_documents/name/{document}"
        return client._client.get(path).json()["data"]


@story
def a_secret_is_saved_and_loaded():
    one = name("secret")
    Secret(value="first").save(one)
    assert Secret.load(one).get() == "first"
    assert masked("secret", one) == {"value": "********"}
    try:
        Secret(value="second").save(one)
    except ValueError as error:
        assert "overwrite" in str(error)
    else:
        raise AssertionError("a name was taken twice")
    Secret(value={"a": [1, 2]}).save(one, overwrite=True)
    assert Secret.load(one).get() == {"a": [1, 2]}
    Secret.delete(one)
    try:
        Secret.load(one)
    except ValueError:
        pass
    else:
        raise AssertionError("a deleted document was loaded")


@story
def a_registered_schema_is_found_by_its_checksum():
    for block in (Secret, LocalFileSystem, Webhook, SlackWebhook, Login, Warehouse):
        block.register_type_and_schema()
        digest, version = block._calculate_schema_checksum(), block.get_block_schema_version()
        with get_client(sync_client=True) as client:
            answer = client._client.get(
                f"/block_schemas/checksum/{digest}", params={"version": version}
            ).json()
        assert answer["checksum"] == digest


@story
def nested_blocks_keep_their_own_documents():
    inner, outer = name("login"), name("warehouse")
    login = Login(user="u", password="p")
    login.save(inner)
    block = Warehouse(host="h", login=login, options={"a": "x"})
    block.save(outer)
    loaded = Warehouse.load(outer)
    assert loaded.login.password.get_secret_value() == "p"
    assert loaded.login._block_document_name == inner
    assert loaded.options.get_secret_value() == {"a": "x"}
    assert loaded.replica is None
    assert masked("story-warehouse", outer)["login"] == {"user": "u", "password": "********"}
    Login(user="u", password="new").save(inner, overwrite=True)
    assert Warehouse.load(outer).login.password.get_secret_value() == "new"
    loaded.host = "elsewhere"
    loaded.save(outer, overwrite=True)
    assert Warehouse.load(outer).host == "elsewhere"
    again = Block.load(f"story-warehouse/{outer}")
    assert isinstance(again, Warehouse)
    assert again.login._block_document_id == loaded.login._block_document_id


@story
def a_document_in_use_is_not_deleted():
    inner, outer = name("login"), name("warehouse")
    login = Login(user="u", password="p")
    login.save(inner)
    Warehouse(host="h", login=login).save(outer)
    try:
        Login.delete(inner)
    except Exception as error:
        assert "409" in str(error)
    else:
        raise AssertionError("a document in use was deleted")
    Warehouse.delete(outer)
    Login.delete(inner)


@story
def files_keep_results():
    with tempfile.TemporaryDirectory() as folder:
        storage = LocalFileSystem(basepath=folder)
        document = name("files")
        storage.save(document)

        @flow(persist_result=True, result_storage=f"local-file-system/{document}")
        def answer():
            return 42

        state = answer(return_state=True)
        assert state.result() == 42
        assert any(path.is_file() for path in Path(folder).rglob("*"))


@story
def the_server_has_a_default_for_results():
    with tempfile.TemporaryDirectory() as folder, get_client(sync_client=True) as client:
        document = LocalFileSystem(basepath=folder).save(name("default"))
        secret = Secret(value="x").save(name("no-storage"))
        storage = "/admin/storage"

        def put(id):
            return client._client.request(
                "PUT", storage, json={"default_result_storage_block_id": str(id)}
            )

        assert put(document).json()["default_result_storage_block_id"] == str(document)
        for id, status in ((secret, 422), (uuid4(), 404)):
            try:
                put(id)
            except Exception as error:
                assert str(status) in str(error), error
            else:
                raise AssertionError(f"{id} was accepted")
        found = client._client.get(storage).json()
        assert found["default_result_storage_block_id"] == str(document)
        client._client.delete(storage)
        assert client._client.get(storage).json()["default_result_storage_block_id"] is None


@story
def commands_show_and_delete_blocks():
    document = name("shown")
    id = Secret(value="hidden-value").save(document)
    types = prefect("block", "type", "ls")
    for slug in ("secret", "local-file-system", "webhook", "slack-webhook"):
        assert slug in types
    assert document in prefect("block", "ls")
    shown = prefect("block", "inspect", f"secret/{document}")
    assert str(id) in shown and "********" in shown and "hidden-value" not in shown
    assert "hidden-value" not in prefect("block", "inspect", "--id", str(id))
    assert "value" in prefect("block", "type", "inspect", "secret")
    prefect("block", "delete", f"secret/{document}")
    prefect("block", "inspect", f"secret/{document}", code=1)
    prefect("block", "type", "delete", "secret", code=1)


@story
def commands_register_and_delete_types():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "own_block.py"
        file.write_text(
            "from prefect.blocks.core import Block\n\n\n"
            "class StoryOwnBlock(Block):\n    size: int = 3\n"
        )
        assert "1 block" in prefect("block", "register", "--file", str(file))
    assert "storyownblock" in prefect("block", "type", "ls")
    prefect("block", "type", "delete", "storyownblock")
    assert "storyownblock" not in prefect("block", "type", "ls")


if __name__ == "__main__":
    for tell in STORIES:
        problem = None
        try:
            tell()
        except Exception:
            problem = traceback.format_exc()
        print(json.dumps({"story": tell.__name__, "problem": problem}), flush=True)
