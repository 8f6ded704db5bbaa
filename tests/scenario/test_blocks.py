"""Blocks from Python and from the command line, against a server process."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.cli_process import Cli
from tests.server_process import ServerProcess

from penstock.blocks.core import Block
from penstock.blocks.system import Secret
from penstock.client import get_client
from penstock.filesystems import LocalFileSystem
from penstock.results import resolve_result_storage
from penstock.schemas.blocks import BlockDocumentCreate, BlockSchemasFilterPage
from penstock.settings import temporary_settings


class Login(Block):
    """Who we are.

    Not part of the description.
    """

    user: str
    password: SecretStr


class Depot(Block):
    _block_type_name = "Story Depot"
    _block_schema_capabilities = ["write-path"]

    login: Login
    keys: dict[str, SecretStr] = {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as process:
        yield process


@pytest.fixture
def api(server: ServerProcess, tmp_path: Path) -> Iterator[Any]:
    chosen = {"PENSTOCK_API_URL": server.api, "PENSTOCK_HOME": str(tmp_path)}
    with temporary_settings(chosen), get_client(sync_client=True) as client:
        yield client


def test_a_secret_is_saved_loaded_and_deleted(api: Any) -> None:
    Secret(value={"a": [1]}).save("plain")
    assert Secret.load("plain").get() == {"a": [1]}
    with pytest.raises(ValueError, match="overwrite=True"):
        Secret(value=2).save("plain")
    Secret(value=2).save("plain", overwrite=True)
    assert asyncio.run(Secret.aload("plain")).get() == 2
    read = api.call("read_block_document_by_name_for_block_type", "secret", "plain")
    assert read.data == {"value": "********"}
    assert "2" not in repr(Secret.load("plain"))
    Secret.delete("plain")
    with pytest.raises(ValueError, match="secret/plain"):
        Secret.load("plain")


def test_nested_blocks_refer_to_their_documents(api: Any) -> None:
    login = Login(user="u", password=SecretStr("p"))
    login.save("me")
    Depot(login=login, keys={"a": SecretStr("k")}).save("main")
    loaded = Block.load("story-depot/main")
    assert type(loaded) is Depot
    assert loaded.login.password.get_secret_value() == "p"
    assert loaded.keys["a"].get_secret_value() == "k"
    assert loaded.login._block_document_name == "me"
    masked = api.call("read_block_document_by_name_for_block_type", "story-depot", "main").data
    assert masked["login"]["password"] == masked["keys"]["a"] == "********"
    assert masked["login"]["user"] == "u"
    login.user = "other"
    login.save("me", overwrite=True)
    assert Depot.load("main").login.user == "other"
    assert loaded.get_block_placeholder() == "prefect.blocks.story-depot.main"
    registered = api.call("read_block_type_by_slug", "login")
    assert registered.description == "Who we are."
    assert loaded._block_document_id is not None
    assert Depot.load_from_ref(loaded._block_document_id).keys == loaded.keys


def test_a_files_block_keeps_results(api: Any, tmp_path: Path) -> None:
    files = api.call("read_block_type_by_slug", "local-file-system")
    schemas = api.call("read_block_schemas", body=BlockSchemasFilterPage())
    (schema,) = [one for one in schemas if one.block_type_id == files.id]
    body = BlockDocumentCreate(
        name="files",
        data={"basepath": str(tmp_path)},
        block_type_id=files.id,
        block_schema_id=schema.id,
    )
    document = api.call("create_block_document", body=body)
    storage = resolve_result_storage("local-file-system/files")
    assert isinstance(storage, LocalFileSystem)
    assert (storage.basepath, storage._block_document_id) == (str(tmp_path), document.id)


def test_the_commands(server: ServerProcess, api: Any, tmp_path: Path) -> None:
    cli = Cli(tmp_path, tmp_path, PENSTOCK_API_URL=server.api)
    Secret(value="hidden-4711").save("shown")
    listed = cli("block", "ls", "--output", "json").json
    assert "shown" in [one["name"] for one in listed]
    shown = cli("block", "inspect", "secret/shown")
    assert "********" in shown.out
    assert "hidden-4711" not in shown.out
    assert "secret" in cli("block", "type", "ls").out
    refused = cli("block", "types", "delete", "secret")
    assert (refused.status, "is protected" in refused.err) == (1, True)
    assert cli("block", "delete", "secret/shown").status == 0
    assert cli("block", "inspect", "secret/shown").status == 1
    file = tmp_path / "own.py"
    file.write_text(
        "from penstock.blocks.core import Block\n\n\nclass OwnThing(Block):\n    size: int = 3\n"
    )
    assert "ownthing" in cli("block", "register", "--file", str(file)).out
    assert cli("block", "type", "delete", "ownthing").status == 0
