"""The guide on the audit trail: its incident, its commands, and what they print."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli_process import Cli, Within
from tests.server_process import ServerProcess

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "how-to" / "audit.md"
LOGIN = "admin:correct-horse"
SETTINGS = {
    "PENSTOCK_SERVER_API_AUTH_STRING": LOGIN,
    "PENSTOCK_API_AUTH_STRING": LOGIN,
    "PENSTOCK_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "0.5",
}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
VARYING = re.compile(
    rf"{UUID.pattern}|\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\dZ|\b[0-9a-f]{{64}}\b|[0-9a-f]{{8}}(?=\")"
    r"|penstock/\S+ \([^)]*\)"
)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    home = tmp_path_factory.mktemp("incident")
    with ServerProcess(home, **SETTINGS) as server:
        cli = Within(
            home / "client", home, PENSTOCK_API_URL=server.api, PENSTOCK_API_AUTH_STRING=LOGIN
        )
        subprocess.run(
            [sys.executable, str(ROOT / "examples" / "incident.py")],
            env=cli.environment({}),
            check=True,
            timeout=120,
        )
        yield cli


def commands() -> list[tuple[str, str]]:
    """The commands of the guide about the trail, with what the guide says they print."""
    blocks = re.findall(r"```console\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    parts = [part.partition("\n") for block in blocks for part in block.split("$ ")[1:]]
    return [(command, output) for command, _, output in parts if is_stable(command)]


def is_stable(command: str) -> bool:
    """Whether what it prints depends on the incident alone, and not on when it is asked."""
    return command.startswith("penstock ") and not re.search("verify| state ", command)


def test_the_commands_print_what_the_guide_says(cli: Cli) -> None:
    """Ids and times are of each run; they must stand where they stand in the guide."""
    known: dict[str, str] = {}
    shown = commands()
    assert len(shown) == 5
    for command, expected in shown:
        asked = UUID.sub(lambda found: known.get(found[0], found[0]), command)
        done = cli(*shlex.split(asked)[1:])
        assert done.status == 0, (command, done)
        wanted, printed = VARYING.findall(expected), VARYING.findall(done.out)
        assert len(wanted) == len(printed), f"$ {command}\n{done.out}"
        for one, other in zip(wanted, printed, strict=True):
            if UUID.fullmatch(one):
                assert known.setdefault(one, other) == other, f"$ {command}\n{done.out}"
        assert VARYING.sub("<>", done.out) == VARYING.sub("<>", expected), f"$ {command}"
