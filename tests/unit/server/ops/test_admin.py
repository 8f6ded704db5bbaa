"""The server's own tokens and settings."""

from datetime import timedelta
from uuid import uuid4

import pytest
from tests.databases import World, wire

from penstock.schemas.admin import ServerDefaultResultStorageUpdate
from penstock.schemas.errors import ObjectMissing
from penstock.server.ops import admin


def valid(world: World, client: str, token: str) -> bool:
    return world.store.read_sync(admin.is_csrf_token, client, token)


def test_a_client_has_one_token_at_a_time(world: World) -> None:
    first = world.write(admin.create_csrf_token, client="a")
    assert len(bytes.fromhex(first.token)) == 32
    assert first.expiration == world.now + timedelta(hours=1)
    assert valid(world, "a", first.token)
    assert not valid(world, "b", first.token)
    second = world.write(admin.create_csrf_token, client="a")
    assert not valid(world, "a", first.token)
    assert valid(world, "a", second.token)
    assert not valid(world, "a", "é")
    assert len(world.rows("SELECT id FROM csrf_token")) == 1


def test_expired_tokens_are_refused_and_removed(world: World) -> None:
    token = world.write(admin.create_csrf_token, client="a", lifetime=timedelta(seconds=10)).token
    world.clock.advance(11)
    assert not valid(world, "a", token)
    world.write(admin.create_csrf_token, client="b")
    assert [row["client"] for row in world.rows("SELECT client FROM csrf_token")] == ["b"]


def test_result_storage_is_unset_and_takes_no_unknown_block(world: World) -> None:
    unset = {"default_result_storage_block_id": None}
    assert wire(world.read(admin.read_server_default_result_storage)) == unset
    body = ServerDefaultResultStorageUpdate(default_result_storage_block_id=uuid4())
    with pytest.raises(ObjectMissing, match=str(body.default_result_storage_block_id)):
        world.write(admin.update_server_default_result_storage, body=body)
    world.write(admin.clear_server_default_result_storage)
    assert wire(world.read(admin.read_server_default_result_storage)) == unset
