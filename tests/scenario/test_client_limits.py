"""The clients' methods for concurrency limits, in both colours, against a server in the process."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock.client import get_client
from penstock.schemas.errors import ObjectNotFound, PenstockHTTPStatusError
from penstock.schemas.limits import (
    ConcurrencyLeaseHolder,
    ConcurrencyLimitV2Create,
    ConcurrencyLimitV2Update,
)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path) as api:
        yield api


def test_global_limits(api: EmbeddedApi) -> None:
    client = api.client
    id = client.create_global_concurrency_limit(ConcurrencyLimitV2Create(name="db", limit=2))
    assert client.read_global_concurrency_limit_by_name("db").id == id
    client.update_global_concurrency_limit("db", ConcurrencyLimitV2Update(limit=3))
    client.upsert_global_concurrency_limit_by_name("db", 4)
    client.upsert_global_concurrency_limit_by_name("rate", 1, slot_decay_per_second=0.5)
    limits = client.read_global_concurrency_limits()
    assert [(one.name, one.limit, one.slot_decay_per_second) for one in limits] == [
        ("db", 4, 0.0),
        ("rate", 1, 0.5),
    ]
    assert [one.name for one in client.read_global_concurrency_limits(1, 1)] == ["rate"]
    client.delete_global_concurrency_limit_by_name("db")
    with pytest.raises(ObjectNotFound):
        client.read_global_concurrency_limit_by_name("db")


def test_slots(api: EmbeddedApi) -> None:
    client = api.client
    client.upsert_global_concurrency_limit_by_name("db", 2)

    def taken() -> int:
        return client.read_global_concurrency_limit_by_name("db").active_slots

    (limit,) = client.increment_concurrency_slots(["db"], 1, "concurrency")
    assert limit.name == "db"
    holder = ConcurrencyLeaseHolder(type="flow_run", id=uuid4())
    lease = client.increment_concurrency_slots_with_lease(["db"], 1, "concurrency", 60, holder)
    assert taken() == 2
    with pytest.raises(PenstockHTTPStatusError) as denied:
        client.increment_concurrency_slots(["db"], 1, "concurrency")
    assert denied.value.status_code == 423 and denied.value.retry_after is not None
    assert 1.0 <= denied.value.retry_after <= 2.0
    client.renew_concurrency_lease(lease.lease_id, 90)
    client.release_concurrency_slots_with_lease(lease.lease_id)
    client.release_concurrency_slots(["db"], 1, 3.0)
    assert taken() == 0
    with pytest.raises(PenstockHTTPStatusError) as gone:
        client.renew_concurrency_lease(lease.lease_id, 90)
    assert gone.value.status_code == 410


def test_limits_of_tags_in_coroutines(api: EmbeddedApi) -> None:
    run = uuid4()

    async def story() -> None:
        async with get_client() as client:
            id = await client.create_concurrency_limit("db", 1)
            assert (await client.read_concurrency_limit_by_tag("db")).id == id
            assert [one.tag for one in await client.read_concurrency_limits(10, 0)] == ["db"]
            await client.increment_v1_concurrency_slots(["db"], run)
            assert (await client.read_concurrency_limit_by_tag("db")).active_slots == [run]
            await client.decrement_v1_concurrency_slots(["db"], run, 1.0)
            assert (await client.read_concurrency_limit_by_tag("db")).active_slots == []
            await client.reset_concurrency_limit_by_tag("db", [str(run)])
            assert (await client.read_concurrency_limit_by_tag("db")).active_slots == [run]
            await client.delete_concurrency_limit_by_tag("db")

    asyncio.run(story())
    assert api.client.read_concurrency_limits(10, 0) == []
