"""Limits from the command line, against a server process."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cli_process import Cli
from tests.server_process import ServerProcess

from penstock.client import get_client
from penstock.schemas.limits import SlotsIncrement, TaggedSlotsIncrement
from penstock.settings import temporary_settings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def cli(server: ServerProcess, tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home", tmp_path, PENSTOCK_API_URL=server.api)


def test_a_global_limit_is_made_changed_switched_and_deleted(cli: Cli, tmp_path: Path) -> None:
    assert "global-concurrency-limit create" in cli("gcl", "ls").out
    made = cli("gcl", "create", "db", "--limit", "3", "--slot-decay-per-second", "0.5")
    assert made.status == 0 and "'db'" in made.out
    assert "update db" in cli("gcl", "create", "db", "-l", "3").err
    shown = cli("global-concurrency-limit", "inspect", "db", "-o", "json").json
    assert (shown["limit"], shown["active"], shown["slot_decay_per_second"]) == (3, True, 0.5)

    updated = cli("gcl", "update", "db", "-l", "5", "--active-slots", "2", "--disable")
    assert updated.status == 0, updated.err
    assert cli("gcl", "enable", "--name", "db").status == 0
    assert "already" in cli("gcl", "enable", "db").err
    (row,) = cli("gcl", "ls", "--output", "json").json
    assert (row["limit"], row["active"]) == (5, True)
    assert cli("gcl", "disable", "db").status == 0

    file = tmp_path / "db.json"
    assert cli("gcl", "inspect", "db", "--file", str(file)).status == 0
    assert json.loads(file.read_text())["active"] is False
    assert "no" in cli("gcl", "ls").out.splitlines()[1].split()

    assert cli("gcl", "delete", "db").status == 0
    for arguments in (("inspect",), ("delete",), ("enable",), ("update", "-l", "1")):
        done = cli("gcl", arguments[0], "db", *arguments[1:])
        assert (done.status, "no concurrency limit 'db'" in done.err) == (1, True)


def test_an_update_says_what_it_needs(cli: Cli) -> None:
    assert cli("gcl", "update", "x").status == 2
    both = cli("gcl", "update", "x", "--enable", "--disable")
    assert both.status == 2 and "contradict" in both.err
    assert cli("gcl", "create", "x").status == 2


def test_nothing_is_deleted_after_a_no(cli: Cli) -> None:
    cli("gcl", "create", "kept", "-l", "1")
    assert cli("--prompt", "gcl", "delete", "kept", answer="n\n").status == 1
    assert cli("--prompt", "gcl", "inspect", "kept").status == 0
    assert cli("--prompt", "gcl", "delete", "kept", answer="y\n").status == 0
    assert cli("gcl", "inspect", "kept").status == 1


def test_the_limit_of_a_tag(cli: Cli, server: ServerProcess) -> None:
    assert "concurrency-limit create" in cli("concurrency-limit", "ls").out
    assert cli("concurrency-limit", "create", "db", "2").status == 0
    again = cli("concurrency-limits", "create", "--tag", "db", "--concurrency-limit", "4")
    assert again.status == 0
    run = uuid4()
    with temporary_settings({"PENSTOCK_API_URL": server.api}), get_client(sync_client=True) as api:
        api.call(
            "increment_concurrency_limits_v1",
            body=TaggedSlotsIncrement(names=["db"], task_run_id=run),
        )
        api.call("bulk_increment_active_slots", body=SlotsIncrement(names=["tag:db"], slots=1))
    shown = cli("concurrency-limit", "inspect", "db").out
    assert str(run) in shown and " 4 " in shown
    limit = cli("concurrency-limit", "inspect", "db", "-o", "json").json
    assert (limit["concurrency_limit"], limit["active_slots"]) == (4, [str(run)])
    assert [row["tag"] for row in cli("concurrency-limit", "ls", "-o", "json").json] == ["db"]
    assert cli("concurrency-limit", "ls", "--offset", "1", "-o", "json").json == []

    assert cli("concurrency-limit", "reset", "db").status == 0
    assert cli("gcl", "inspect", "tag:db", "-o", "json").json["active_slots"] == 0
    assert cli("concurrency-limit", "delete", "db").status == 0
    for command in ("inspect", "reset", "delete"):
        done = cli("concurrency-limit", command, "db")
        assert (done.status, "'db' has no concurrency limit" in done.err) == (1, True)
    assert cli("concurrency-limit", "create", "db", "-1").status == 2
