"""The audit trail, events and tokens from the command line, against a server process."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli_process import Cli, Within
from tests.server_process import ServerProcess

LOGIN = "anna:correct-horse"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(
        tmp_path_factory.mktemp("server"),
        PENSTOCK_SERVER_API_AUTH_STRING=LOGIN,
        PENSTOCK_API_AUTH_STRING=LOGIN,
    ) as server:
        yield server


@pytest.fixture
def cli(server: ServerProcess, tmp_path: Path) -> Cli:
    return Within(
        tmp_path / "home",
        tmp_path,
        PENSTOCK_API_URL=server.api,
        PENSTOCK_API_AUTH_STRING=LOGIN,
    )


def rows(cli: Cli, *arguments: str) -> list[Any]:
    return cli("audit", *arguments, "-o", "json").json


def test_a_change_is_listed_shown_and_followed(cli: Cli) -> None:
    cli("variable", "set", "ceiling", "5")
    cli("variable", "set", "ceiling", "7", "--overwrite")
    cli("variable", "delete", "ceiling")
    history = rows(cli, "history", "variable/ceiling")
    assert [row["action"] for row in history] == ["created", "updated", "deleted"]
    [update] = rows(cli, "ls", "--object", "variable/ceiling", "--action", "updated")
    assert update == history[1]
    assert (update["actor"]["type"], update["actor"]["name"]) == ("user", "anna")
    assert rows(cli, "diff", update["id"]) == [{"path": "/value", "from": 5, "to": 7}]

    table = cli("audit", "ls", "--kind", "variable", "--path", "/value", "--since", "1h").out
    assert "user anna" in table and "value: 5 -> 7" in table
    shown = cli("audit", "show", update["id"])
    for part in ("variable/ceiling", "user anna (basic)", "PATCH /variables", "  + 7"):
        assert part in shown.out, shown
    state = cli("audit", "state", f"variable/{update['object_id']}").json
    assert state["value"] is None
    assert state["object_name"] == "ceiling"


def test_what_is_not_there_is_said_so(cli: Cli) -> None:
    id = "00000000-0000-0000-0000-000000000000"
    for arguments, said in (
        (("audit", "show", id), "no change"),
        (("audit", "history", "variable/never"), "knows no variable 'never'"),
        (("audit", "history", "never"), "names no object"),
        (("audit", "verify", "--expect", "x"), "--expect"),
        (("events", "inspect", id), "no event"),
        (("token", "revoke", "nobody", "--yes"), "no token 'nobody'"),
    ):
        done = cli(*arguments)
        assert done.status in (1, 2) and said in done.err, done
    assert "No change matches." in cli("audit", "ls", "--kind", "nothing").out


def test_an_export_holds_every_change_once(cli: Cli, tmp_path: Path) -> None:
    for value in range(3):
        cli("variable", "set", "exported", str(value), "--overwrite")
    lines = [json.loads(line) for line in cli("audit", "export").out.splitlines()]
    assert [line["seq"] for line in lines] == sorted({line["seq"] for line in lines})
    listed = rows(cli, "ls", "--limit", "1000", "--oldest-first")
    assert lines == listed
    file = tmp_path / "audit.csv"
    after = str(lines[-3]["seq"])
    done = cli(
        "audit", "export", "--format", "csv", "--after-seq", after, "--output-file", str(file)
    )
    assert done.status == 0 and "2 changes" in done.err, done
    table = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
    assert [row["object_name"] for row in table] == ["exported", "exported"]
    assert json.loads(table[-1]["changes"]) == [{"path": "/value", "from": 1, "to": 2}]


def test_a_sealed_trail_is_verified(tmp_path: Path) -> None:
    """A server of its own: its file is altered behind its back."""
    home = tmp_path / "server"
    home.mkdir()
    with ServerProcess(home) as server:
        cli = Within(tmp_path / "home", tmp_path, PENSTOCK_API_URL=server.api)
        cli("variable", "set", "watched", "1")
    with ServerProcess(home) as server:  # its loops do a first round
        cli = Within(tmp_path / "home", tmp_path, PENSTOCK_API_URL=server.api)
        found: dict[str, Any] = {}
        for _ in range(100):
            found = cli("audit", "verify", "-o", "json").json
            if found["unsealed_rows"] == 0:
                break
            threading.Event().wait(0.05)
        assert found["intact"] and found["rows"] >= 1
        assert cli("audit", "verify", "--expect", found["seal"]).status == 0
        wrong = cli("audit", "verify", "--expect", f"1:{'0' * 64}")
        assert wrong.status == 1 and "not the one that was expected" in wrong.out
        with sqlite3.connect(home / "penstock.db") as database:
            database.execute("UPDATE audit SET actor_name = 'mallory' WHERE kind = 'variable'")
        database.close()
        done = cli("audit", "verify")
        assert done.status == 1
        assert "was changed after it was sealed" in done.out and "NOT intact" in done.out


def test_events_are_emitted_listed_and_shown(cli: Cli) -> None:
    said = cli(
        "event", "emit", "door.opened", "-r", '{"prefect.resource.id": "door.1", "floor": "2"}',
        "--related", '{"prefect.resource.id": "house.1", "prefect.resource.role": "house"}',
        "-p", '{"by": "cat"}', "-o", "json",
    ).json  # fmt: skip
    cli("events", "emit", "door.closed", "--resource-id", "door.1")
    [opened] = cli("events", "ls", "--event", "door.opened", "-o", "json").json
    assert (opened["id"], opened["payload"]) == (said["id"], {"by": "cat"})
    both = cli("events", "ls", "--resource", "door.*", "-o", "json").json
    assert [one["event"] for one in both] == ["door.closed", "door.opened"]
    assert len(cli("events", "ls", "--related", "house.1", "-o", "json").json) == 1
    shown = cli("events", "inspect", said["id"]).out
    assert "house: house.1" in shown and '"by": "cat"' in shown
    for wrong in (("-r", "nothing"), ("-r", "{"), (), ("--resource-id", "x", "-p", "[]")):
        assert cli("events", "emit", "door.opened", *wrong).status == 1


def test_many_events_come_over_pages(cli: Cli) -> None:
    script = "from penstock.events import emit_event\n"
    script += "for n in range(120): emit_event('page.turned', {'prefect.resource.id': 'book'})\n"
    subprocess.run([sys.executable, "-c", script], env=cli.environment({}), check=True, timeout=60)
    assert len(cli("events", "ls", "--event", "page.*", "--limit", "110", "-o", "json").json) == 110


@pytest.mark.parametrize(("format", "expected"), [("json", '"door.rang"'), ("text", "door.rang")])
def test_a_stream_ends_after_the_first_event_when_asked_to(
    cli: Cli, format: str, expected: str
) -> None:
    filter = json.dumps({"event": {"name": ["door.rang"]}})
    following = cli.start("events", "stream", "--run-once", "--format", format, "--filter", filter)
    assert following.stderr is not None
    assert "Waiting" in following.stderr.readline()
    cli("events", "emit", "door.rang", "--resource-id", "bell.1")
    out, err = following.communicate(timeout=30)
    assert following.returncode == 0, err
    assert len(out.splitlines()) == 1 and expected in out


def test_a_token_gives_a_change_its_name_until_it_is_revoked(cli: Cli) -> None:
    made = cli("token", "create", "ci-bot", "--scope", "write", "--expires", "90 days").out
    [secret] = [line for line in made.splitlines() if line.startswith("pst_")]
    bot = Within(
        cli.home, cli.directory, PENSTOCK_API_URL=cli.environ["PENSTOCK_API_URL"],
        PENSTOCK_API_KEY=secret,
    )  # fmt: skip
    assert bot("variable", "set", "by-bot", "1").status == 0
    [row] = rows(cli, "ls", "--actor", "ci-bot")
    assert (row["object_name"], row["actor"]["auth"]) == ("by-bot", "bearer")
    refused = bot("token", "ls")
    assert refused.status == 1 and "needs admin" in refused.err, refused
    listed = cli("token", "ls", "-o", "json")
    assert secret not in listed.out
    assert [one["name"] for one in listed.json] == ["ci-bot"]
    assert cli("token", "revoke", "ci-bot").status == 1  # nobody can be asked
    assert cli("token", "revoke", "ci-bot", "--yes").status == 0
    assert bot("variable", "ls").status == 1
    assert "was revoked" in cli("token", "revoke", "ci-bot", "--yes").out
    assert cli("token", "create", "late", "--expires", "2020-01-01").status == 1
