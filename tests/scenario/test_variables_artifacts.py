"""Variables and artifacts through the SDK and the command line."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError
from tests.cli_process import Cli
from tests.embedded_api import EmbeddedApi, embedded_api
from tests.server_process import ServerProcess

from penstock import flow, task
from penstock.artifacts import (
    Artifact,
    MarkdownArtifact,
    acreate_table_artifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from penstock.base import json
from penstock.client import get_client
from penstock.client.sockets import flush_events
from penstock.schemas.artifacts import ArtifactCreate, ArtifactsFilterPage
from penstock.schemas.errors import ObjectNotFound, PenstockHTTPStatusError
from penstock.schemas.events import EventFilter, EventsFilterBody
from penstock.settings import temporary_settings
from penstock.variables import Variable


@pytest.fixture
def api(tmp_path: Path) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path) as api:
        yield api


def told(api: EmbeddedApi, prefix: str) -> list[Any]:
    """The stored events whose name begins with `prefix`, oldest first."""
    assert flush_events(10) == 0
    page = api.client.call("read_events", body=EventsFilterBody(filter=EventFilter(), limit=50))
    return [one for one in reversed(page.events) if one.event.startswith(prefix)]


# --- variables -----------------------------------------------------------------------------------


def test_a_variable_is_set_read_and_unset(api: EmbeddedApi) -> None:
    assert Variable.get("bound") is None
    assert Variable.get("bound", default=3) == 3
    made = Variable.set("bound", {"a": [1]}, tags=["x"])
    assert made == Variable(name="bound", value={"a": [1]}, tags=["x"])
    with pytest.raises(ValueError, match="'bound' already exists"):
        Variable.set("bound", 2)
    assert Variable.get("bound") == {"a": [1]}
    Variable.set("bound", 2, overwrite=True)
    assert api.client.call("read_variable_by_name", "bound").tags == []
    assert Variable.get("bound") == 2
    assert Variable.unset("bound") is True
    assert Variable.unset("bound") is False
    assert api.client.read_variable_by_name("bound") is None


def test_a_variable_in_a_coroutine(api: EmbeddedApi) -> None:
    async def both() -> tuple[Any, Any, Any]:
        await Variable.aset("later", 1)
        return await Variable.aget("later"), await Variable.get("later"), await Variable.aunset("x")

    assert asyncio.run(both()) == (1, 1, False)


def test_a_wrong_variable_is_refused(api: EmbeddedApi) -> None:
    with pytest.raises(PenstockHTTPStatusError, match="name"):
        Variable.set("Wrong", 1)
    with pytest.raises(ValidationError):
        Variable.set("x" * 256, 1)
    assert api.client.read_variables() == []


# --- artifacts -----------------------------------------------------------------------------------


def test_artifacts_belong_to_the_run_that_makes_them(api: EmbeddedApi) -> None:
    @task
    def loading() -> None:
        create_table_artifact([{"a": 1, "b": float("nan")}], key="rows", description="d")

    @flow
    def showing() -> None:
        create_link_artifact("https://example.invalid", link_text="there", key="link")
        create_markdown_artifact("# done", key="notes")
        create_image_artifact("https://example.invalid/i.png", key="picture")
        id = create_progress_artifact(10.0, key="percent")
        assert update_progress_artifact(id, 60.0, description="more") == id
        loading()

    showing()
    run = api.flow_run("showing")
    made = {one.key: one for one in api.client.read_artifacts() if one.key}
    assert {one.flow_run_id for one in made.values()} == {run.id}
    assert made["link"].data == "[there](https://example.invalid)"
    assert (made["notes"].type, made["notes"].data) == ("markdown", "# done")
    assert made["picture"].type == "image"
    assert (made["percent"].data, made["percent"].description) == (60.0, "more")
    assert json.decode(made["rows"].data) == [{"a": 1, "b": None}]
    assert made["rows"].task_run_id is not None
    assert made["notes"].task_run_id is None
    created = told(api, "prefect.artifact.created")
    assert [one.payload["key"] for one in created] == [
        "link",
        "notes",
        "picture",
        "percent",
        "rows",
    ]
    assert created[4].payload == {"key": "rows", "type": "table", "description": "d"}
    assert created[4].resource["prefect.resource.name"] == "rows"
    roles = {one["prefect.resource.role"] for one in created[4].related}
    assert {"flow-run", "task-run", "flow"} <= roles
    [updated] = told(api, "prefect.artifact.updated")
    assert updated.payload == {"data": 60.0, "description": "more"}


def test_an_artifact_in_a_coroutine(api: EmbeddedApi) -> None:
    @flow
    async def showing() -> Any:
        return await acreate_table_artifact({"a": [1, 2]}, key="columns")

    id = asyncio.run(showing())
    assert json.decode(api.client.call("read_artifact", id).data) == {"a": [1, 2]}


def test_an_artifact_outside_of_a_run_belongs_to_none(api: EmbeddedApi) -> None:
    with pytest.warns(FutureWarning, match="outside of a run"):
        id = create_markdown_artifact("text")
    made = api.client.call("read_artifact", id)
    assert (made.flow_run_id, made.task_run_id, made.data) == (None, None, "text")


@pytest.mark.parametrize(("given", "shown"), [(-1.0, 0.0), (101.0, 100.0)])
def test_progress_stays_between_nothing_and_all(
    api: EmbeddedApi, given: float, shown: float
) -> None:
    @flow
    def showing() -> None:
        with pytest.warns(UserWarning, match="between 0 and 100"):
            create_progress_artifact(given, key="percent")

    showing()
    assert Artifact.get("percent").data == shown


def test_the_newest_of_a_key(api: EmbeddedApi) -> None:
    @flow
    def showing() -> tuple[Any, Any]:
        assert Artifact.get("notes") is None
        first, made = MarkdownArtifact.get_or_create(key="notes", markdown="one")
        assert made
        second, made = Artifact.get_or_create(key="notes")
        assert not made
        create_markdown_artifact("two", key="notes")
        return first, second

    first, second = showing()
    assert (first.id, first.data) == (second.id, second.data)
    assert Artifact.get("notes").data == "two"
    [newest] = api.client.read_latest_artifacts()
    assert newest.latest_id == Artifact.get("notes").id


def test_a_class_of_ones_own_may_format_in_a_coroutine(api: EmbeddedApi) -> None:
    class Counted(Artifact):
        words: list[str]

        async def format(self) -> Any:
            return {"count": len(self.words)}

    @flow
    def showing() -> Any:
        return Counted(key="words", type="table", words=["a", "b"]).create().id

    assert api.client.call("read_artifact", showing()).data == {"count": 2}


def test_a_wrong_key_is_refused() -> None:
    for key in ("Wrong", "a_b", "a\n", ""):
        with pytest.raises(ValidationError, match="key"):
            MarkdownArtifact(key=key, markdown="x")


def test_progress_of_nothing_is_an_error(api: EmbeddedApi) -> None:
    with pytest.raises(ObjectNotFound):
        update_progress_artifact(uuid4(), 1.0)


# --- commands ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as server:
        home = tmp_path_factory.mktemp("home")
        yield Cli(home, home, PENSTOCK_API_URL=server.api)


def test_commands_on_variables(cli: Cli) -> None:
    assert "no variables" in cli("variable", "ls").out
    assert cli("variable", "set", "colour", "red", "--tag", "a").status == 0
    assert cli("variable", "get", "colour").out == "red\n"
    refused = cli("variable", "set", "colour", "blue")
    assert (refused.status, "--overwrite" in refused.err) == (1, True)
    assert cli("variable", "set", "colour", '{"n": 1}', "--overwrite").status == 0
    assert cli("variable", "get", "colour").out == '{"n":1}\n'
    assert cli("variable", "inspect", "colour", "--output", "json").json["value"] == {"n": 1}
    assert 'Value: {"n":1}' in cli("variable", "inspect", "colour").out
    [listed] = cli("variables", "ls", "-o", "json").json
    assert (listed["name"], listed["tags"]) == ("colour", [])
    assert cli("variable", "delete", "colour").status == 0
    for command in ("get", "inspect", "unset"):
        missing = cli("variable", command, "colour")
        assert (missing.status, "'colour'" in missing.err) == (1, True)


def test_commands_on_artifacts(cli: Cli) -> None:
    with (
        temporary_settings({"PENSTOCK_API_URL": cli.environ["PENSTOCK_API_URL"]}),
        get_client(sync_client=True) as client,
    ):
        ids = [
            str(client.create_artifact(ArtifactCreate(key="notes", data=text, type="markdown")).id)
            for text in ("one", "two", "three")
        ]
        assert "notes" in cli("artifact", "ls").out
        assert len(cli("artifact", "ls", "--output", "json").json) == 1
        assert [one["id"] for one in cli("artifact", "ls", "--all", "-o", "json").json] == ids[::-1]
        shown = cli("artifact", "inspect", "notes", "--limit", "2", "-o", "json").json
        assert [one["data"] for one in shown] == ["three", "two"]
        assert "data: three" in cli("artifact", "inspect", "notes").out
        assert cli("artifact", "delete", "--id", ids[2]).status == 0
        assert cli("artifact", "delete", "--id", ids[2]).status == 1
        assert cli("artifact", "delete").status == 2
        kept = cli("--prompt", "artifact", "delete", "notes", answer="n\n")
        assert (kept.status, "nothing was changed" in kept.err) == (1, True)
        assert cli("artifact", "delete", "notes").status == 0
        assert client.call("read_artifacts", body=ArtifactsFilterPage()) == []
        assert cli("artifact", "inspect", "notes").status == 1
