"""What one operation may rely on, whichever database it runs on."""

import asyncio
from typing import Any

from penstock.server.store import Store
from penstock.server.store.transaction import Tx


def set_timer(tx: Tx, key: str, payload: Any = None, *, fail: bool = False) -> str:
    tx.run("timer.set", kind="test", key=key, due=tx.now, payload=payload or {})
    tx.wake("timers")
    if fail:
        raise ValueError(key)
    return key


def keys(tx: Tx) -> list[str]:
    found = tx.fetch("SELECT key FROM timer WHERE kind = ? ORDER BY key", ("test",))
    return [row["key"] for row in found]


def test_a_result_comes_back_after_the_commit(store: Store) -> None:
    async def story() -> None:
        assert await store.write(set_timer, "a") == "a"
        assert await store.read(keys) == ["a"]

    asyncio.run(story())


def test_threads_use_the_store_without_a_loop(store: Store) -> None:
    assert store.write_sync(set_timer, "a") == "a"
    assert store.read_sync(keys) == ["a"]
