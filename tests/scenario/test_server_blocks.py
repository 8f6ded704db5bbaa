"""Blocks on a server process: bundled types after a start, configured keys, secrets in errors."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.server_process import ServerProcess

from penstock.server.security.sealing import as_text


def call(server: ServerProcess, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        server.api + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def bundled(server: ServerProcess) -> dict[str, str]:
    _, types = call(server, "POST", "/block_types/filter", {})
    return {type["slug"]: type["id"] for type in types}


def save_secret(server: ServerProcess, name: str, value: Any) -> tuple[int, Any]:
    type_id = bundled(server)["secret"]
    chosen = {"block_schemas": {"block_type_id": {"any_": [type_id]}}}
    _, (schema,) = call(server, "POST", "/block_schemas/filter", chosen)
    body = {
        "name": name,
        "data": {"value": value},
        "block_type_id": type_id,
        "block_schema_id": schema["id"],
    }
    return call(server, "POST", "/block_documents/", body)


def test_bundled_types_are_there_after_every_start_and_told_to_nobody(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        first = bundled(server)
        assert "secret" in first
        server.kill()
        server.start()
        assert bundled(server) == first
        _, page = call(server, "POST", "/events/filter", {})
        assert [one["event"] for one in page["events"] if "block" in one["event"]] == []


def test_a_configured_key_is_needed_to_read_what_it_encrypted(tmp_path: Path) -> None:
    key = as_text(b"k" * 32)
    with ServerProcess(tmp_path, PENSTOCK_API_ENCRYPTION_KEY=key) as server:
        status, made = save_secret(server, "one", "hidden-4711")
        assert status == 201
        path = f"/block_documents/{made['id']}?include_secrets=true"
        assert call(server, "GET", path)[1]["data"] == {"value": "hidden-4711"}
        status, settings = call(server, "GET", "/admin/settings")
        assert status == 200
        assert key not in json.dumps(settings)
        status, refused = save_secret(server, "a/b", "hidden-4711")
        assert status == 422
        assert refused["request_body"]["name"] == "a/b"
        assert "hidden-4711" not in json.dumps(refused)
        status, taken = save_secret(server, "one", "hidden-4711")
        assert status == 409
        assert "hidden-4711" not in json.dumps(taken)
    for file in tmp_path.iterdir():
        if file.is_file() and file.name.startswith("penstock.db"):
            assert b"hidden-4711" not in file.read_bytes()
    with ServerProcess(tmp_path) as server:
        status, answer = call(server, "GET", path)
        assert status == 409
        assert "PENSTOCK_API_ENCRYPTION_KEY" in answer["detail"]
