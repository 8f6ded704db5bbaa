"""The clients' methods for automations, in both colours, against a server in the process."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.embedded_api import EmbeddedApi, embedded_api

from penstock.client import get_client
from penstock.schemas.automations import (
    AutomationCreate,
    AutomationFilter,
    AutomationSort,
    AutomationUpdate,
    CallWebhook,
    DoNothing,
    EventTrigger,
    RunDeployment,
)
from penstock.schemas.errors import PenstockHTTPStatusError
from penstock.schemas.filters import AnyTagsFilter

TRIGGER = EventTrigger(posture="Reactive", expect=["a.b"], within=30)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path) as api:
        yield api


def automation(name: str, **fields: object) -> AutomationCreate:
    given = {"trigger": TRIGGER, "actions": [DoNothing()], **fields}
    return AutomationCreate(name=name, **given)


def test_one_automation(api: EmbeddedApi) -> None:
    client = api.client
    id = client.create_automation(automation("one", tags=["x"]))
    found = client.read_automation(id)
    assert found is not None
    assert (found.id, found.name, found.tags, found.actions) == (id, "one", ["x"], [DoNothing()])
    assert isinstance(found.trigger, EventTrigger) and found.trigger.within == 30.0
    client.pause_automation(id)
    assert not client.read_automations_by_name("one")[0].enabled
    client.resume_automation(id)
    assert client.read_automations_by_name("one")[0].enabled
    call = CallWebhook(block_document_id=uuid4(), payload={"n": 1})
    client.update_automation(id, AutomationUpdate(name="two", trigger=TRIGGER, actions=[call]))
    changed = client.find_automation(id)
    assert changed is not None and changed.name == "two"
    assert changed.actions[0] == CallWebhook(
        block_document_id=call.block_document_id, payload='{\n  "n": 1\n}'
    )
    client.delete_automation(id)
    client.delete_automation(id)
    assert client.read_automation(id) is None


def test_finding_and_listing(api: EmbeddedApi) -> None:
    client = api.client
    ids = [client.create_automation(automation(f"a-{n}", tags=[f"t{n % 2}"])) for n in range(4)]
    by_name = client.find_automation("a-2")
    assert by_name is not None and by_name.id == ids[2]
    by_id = client.find_automation(str(ids[1]))
    assert by_id is not None and by_id.name == "a-1"
    assert client.find_automation("none") is None
    assert client.find_automation(uuid4()) is None
    even = AutomationFilter(tags=AnyTagsFilter(any_=["t0"]))
    page = client.read_automations(
        automations=even, sort=AutomationSort.NAME_DESC, limit=1, offset=1
    )
    assert [one.name for one in page] == ["a-0"]
    assert len(client.read_automations()) == 4
    assert client.count_automations() == 4


def test_a_name_that_looks_like_an_id_is_found(api: EmbeddedApi) -> None:
    name = str(uuid4())
    id = api.client.create_automation(automation(name))
    found = api.client.find_automation(name)
    assert found is not None and found.id == id


def test_automations_of_a_resource(api: EmbeddedApi) -> None:
    client = api.client
    run = RunDeployment(deployment_id=uuid4())
    owner = f"prefect.deployment.{run.deployment_id}"
    client.create_automation(automation("owned", actions=[run], owner_resource=owner))
    client.create_automation(automation("runs", actions=[run]))
    names = [one.name for one in client.read_resource_related_automations(owner)]
    assert names == ["owned", "runs"]
    client.delete_resource_owned_automations(owner)
    assert [one.name for one in client.read_resource_related_automations(owner)] == ["runs"]


def test_what_is_refused_says_why(api: EmbeddedApi) -> None:
    trigger = EventTrigger(posture="Proactive", within=1)
    with pytest.raises(PenstockHTTPStatusError, match="at least 10 s"):
        api.client.create_automation(automation("short", trigger=trigger))


def test_in_a_coroutine(api: EmbeddedApi) -> None:
    async def work() -> None:
        async with get_client() as client:
            id = await client.create_automation(automation("async"))
            await client.pause_automation(id)
            found = await client.find_automation("async")
            assert found is not None and not found.enabled
            await client.delete_automation(id)
            assert await client.read_automations() == []

    asyncio.run(work())
