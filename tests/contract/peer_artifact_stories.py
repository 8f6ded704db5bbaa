"""Variables and artifacts, told by the peer's own SDK and commands, unmodified.

Run by the peer's Python against whatever `PREFECT_API_URL` names; prints one JSON line a story.
"""

import asyncio
import json
import os
import time
import traceback
import urllib.error
import urllib.request
import warnings
from uuid import UUID

from peer_cli import prefect
from prefect import flow, get_client, task
from prefect.artifacts import (
    Artifact,
    MarkdownArtifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
)
from prefect.runtime import flow_run as running
from prefect.variables import Variable

STORIES = []


def story(function):
    STORIES.append(function)
    return function


def client():
    return get_client(sync_client=True)


def api(method, path, body=None):
    """The status and the decoded body of one request."""
    request = urllib.request.Request(
        os.environ["PREFECT_API_URL"] + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def events(name, seconds=20.0):
    """The stored events of a name, oldest first; the SDK's own arrive a little later."""
    deadline = time.monotonic() + seconds
    body = {"limit": 50, "filter": {"event": {"name": [name]}, "order": "ASC"}}
    while True:
        _, page = api("POST", "/events/filter", body)
        if page["events"] or time.monotonic() > deadline:
            return page["events"]
        time.sleep(0.05)


def artifacts_of(flow_run_id, *types):
    chosen = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(str(flow_run_id))]),
        type=ArtifactFilterType(any_=list(types)) if types else None,
    )
    with client() as server:
        return server.read_artifacts(artifact_filter=chosen)


@story
def variables_are_set_read_and_unset():
    assert Variable.get("bound", default=3) == 3
    made = Variable.set("bound", {"a": [1, 2.5, None]}, tags=["x"])
    assert (made.name, made.tags) == ("bound", ["x"])
    assert Variable.get("bound") == {"a": [1, 2.5, None]}
    try:
        Variable.set("bound", 2)
    except ValueError:
        pass
    else:
        raise AssertionError("a variable was overwritten without being asked to")
    Variable.set("bound", 7, overwrite=True)
    assert Variable.get("bound") == 7
    _, stored = api("GET", "/variables/name/bound")
    assert stored["tags"] == []
    assert Variable.unset("bound") is True
    assert Variable.unset("bound") is False
    kinds = [f"prefect.variable.{action}" for action in ("created", "updated", "deleted")]
    payloads = [events(kind)[0]["payload"] for kind in kinds]
    assert payloads[0] == {"name": "bound", "value": {"a": [1, 2.5, None]}, "tags": ["x"]}
    assert payloads[1] == payloads[2] == {"name": "bound", "value": 7, "tags": []}


@story
def variables_in_coroutines():
    async def tell():
        await Variable.aset("later", "text")
        assert await Variable.aget("later") == "text"
        assert await Variable.aunset("later")

    asyncio.run(tell())


@story
def variables_of_a_wrong_name_or_size_are_refused():
    assert api("POST", "/variables/", {"name": "Wrong", "value": 1})[0] == 422
    assert api("POST", "/variables/", {"name": "long", "value": "x" * 6000})[0] == 422
    assert api("POST", "/variables/", {"name": "long"})[0] == 422
    assert api("GET", "/variables/name/long")[0] == 404


@story
def commands_on_variables():
    prefect("variable", "set", "colour", "red", "--tag", "a", "--tag", "b")
    assert "red" in prefect("variable", "get", "colour")
    prefect("variable", "set", "colour", "blue", code=1)
    prefect("variable", "set", "colour", '{"name": "blue"}', "--overwrite")
    assert json.loads(prefect("variable", "inspect", "colour", "--output", "json"))["value"] == {
        "name": "blue"
    }
    assert "colour" in prefect("variable", "ls")
    prefect("variable", "unset", "colour")
    prefect("variable", "get", "colour", code=1)


@story
def artifacts_of_every_type():
    @task
    def loading():
        create_table_artifact([{"a": 1, "b": float("nan")}], key="rows", description="d")

    @flow
    def showing():
        create_link_artifact("https://example.invalid", link_text="there", key="link")
        create_markdown_artifact("# done", key="notes")
        create_image_artifact("https://example.invalid/i.png", key="picture")
        id = create_progress_artifact(10.0, key="percent")
        update_progress_artifact(id, 60.0)
        loading()
        return str(running.id)

    run_id = showing()
    found = {one.key: one for one in artifacts_of(run_id)}
    assert found["link"].data == "[there](https://example.invalid)"
    assert (found["notes"].type, found["notes"].data) == ("markdown", "# done")
    assert found["picture"].type == "image"
    assert (found["percent"].type, found["percent"].data) == ("progress", 60.0)
    rows = found["rows"]
    assert json.loads(rows.data) == [{"a": 1, "b": None}]
    assert rows.task_run_id is not None
    assert rows.description == "d"
    created = events("prefect.artifact.created")
    assert len(created) == 5
    assert events("prefect.artifact.updated")[0]["payload"]["data"] == 60.0
    roles = {one["prefect.resource.role"] for one in created[0]["related"]}
    assert "flow-run" in roles
    _, graph = api("GET", f"/flow_runs/{run_id}/graph-v2")
    assert {one["key"] for one in graph["artifacts"]} == {"link", "notes", "picture", "percent"}
    [progress] = [one for one in graph["artifacts"] if one["type"] == "progress"]
    assert (progress["data"], progress["is_latest"]) == (60.0, True)


@story
def versions_of_a_key():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        first = MarkdownArtifact(key="versions", markdown="one").create()
        second = MarkdownArtifact(key="versions", markdown="two").create()
    assert Artifact.get("versions").data == "two"
    found, made = Artifact.get_or_create(key="versions")
    assert (found.data, made) == ("two", False)
    prefect("artifact", "delete", "--id", str(second.id))
    assert Artifact.get("versions").data == "one"
    prefect("artifact", "delete", "--id", str(first.id))
    assert Artifact.get("versions") is None
    actions = [
        one["event"].rpartition(".")[2]
        for action in ("created", "updated", "deleted")
        for one in events(f"prefect.artifact-collection.{action}")
        if one["resource"]["prefect.resource.name"] == "versions"
    ]
    assert actions == ["created", "updated", "updated", "deleted"], actions


@story
def commands_on_artifacts():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        create_markdown_artifact("first", key="told")
        create_markdown_artifact("second", key="told")
    listed = prefect("artifact", "ls")
    assert listed.count("told") == 1, listed
    assert prefect("artifact", "ls", "--all").count("told") == 2
    inspected = json.loads(prefect("artifact", "inspect", "told", "--output", "json"))
    assert {one["data"] for one in inspected} == {"first", "second"}
    prefect("artifact", "delete", "told")
    assert "told" not in prefect("artifact", "ls")
    prefect("artifact", "inspect", "told", code=1)


@story
def results_are_artifacts():
    @flow(persist_result=True)
    def keeping():
        return str(running.id)

    run_id = keeping()
    found = artifacts_of(run_id)
    assert len(found) == 1, found
    assert found[0].data["storage_key"]
    assert found[0].key is None


@story
def bundled_collections():
    status, workers = api("GET", "/collections/views/aggregate-worker-metadata")
    assert status == 200
    template = workers["prefect"]["process"]["default_base_job_configuration"]
    assert {"job_configuration", "variables"} <= set(template)
    for name in ("aggregate-block-metadata", "aggregate-flow-metadata", "demo-flows"):
        assert api("GET", f"/collections/views/{name}")[0] == 200
    assert api("GET", "/collections/views/none")[0] == 404
    prefect("work-pool", "get-default-base-job-template", "--type", "process")


@story
def what_an_interface_asks_for():
    @task
    def work(): ...

    @flow
    def busy():
        work()
        work()
        return str(running.id)

    run_id = busy()
    deadline = time.monotonic() + 20
    while True:
        counts = api("POST", "/ui/flow_runs/count-task-runs", {"flow_run_ids": [run_id]})[1]
        if counts == {run_id: 2} or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert counts == {run_id: 2}
    of_run = {"flow_runs": {"id": {"any_": [run_id]}}}
    assert api("POST", "/ui/task_runs/count", of_run)[1]["COMPLETED"] == 2
    [shown] = api("POST", "/ui/flow_runs/history", of_run)[1]
    assert (shown["id"], shown["state_type"]) == (run_id, "COMPLETED")
    since = {"task_runs": {"start_time": {"after_": "2020-01-01T00:00:00Z"}}}
    buckets = api("POST", "/ui/task_runs/dashboard/counts", {**since, **of_run})[1]
    assert (len(buckets), buckets[-1]) == (20, {"completed": 2, "failed": 0})
    assert api("POST", "/ui/task_runs/dashboard/counts", {"task_runs": {}})[0] == 422
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    answer = api("POST", "/ui/schemas/validate", {"schema": schema, "values": {"a": "x"}})[1]
    assert answer == {
        "errors": [{"property": "a", "errors": ["'x' is not of type 'integer'"]}],
        "valid": False,
    }
    wrong = {"schema": {"type": "nope"}, "values": {}}
    assert api("POST", "/ui/schemas/validate", wrong)[0] == 422


@story
def saved_searches():
    condition = {
        "object": "flow",
        "property": "name",
        "type": "string",
        "operation": "equals",
        "value": "x",
    }
    status, made = api("PUT", "/saved_searches/", {"name": "mine", "filters": [condition]})
    assert (status, made["filters"]) == (201, [condition])
    status, again = api("PUT", "/saved_searches/", {"name": "mine", "filters": []})
    assert (status, again["id"], again["filters"]) == (200, made["id"], [])
    assert api("DELETE", f"/saved_searches/{made['id']}")[0] == 204
    assert api("GET", f"/saved_searches/{made['id']}")[0] == 404


def main() -> None:
    for tell in STORIES:
        try:
            tell()
            problem = None
        except BaseException:
            problem = traceback.format_exc()
        print(json.dumps({"story": tell.__name__, "problem": problem}), flush=True)


if __name__ == "__main__":
    main()
