"""The peer's unmodified SDK, in an environment of its own, against a real Penstock server.

Needs `PENSTOCK_TEST_PEER_PYTHON`: a Python with the peer's published package installed (the
Makefile builds one). The stories themselves are in the files peer_*stories.py beside this one.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from tests.server_process import ServerProcess

STORIES = [
    (file, name)
    for file in sorted(Path(__file__).parent.glob("peer_*stories.py"))
    for name in re.findall(r"^@story\ndef (\w+)", file.read_text(), re.MULTILINE)
]
PEER = os.environ.get("PENSTOCK_TEST_PEER_PYTHON")

pytestmark = pytest.mark.skipif(
    PEER is None,
    reason="2026-11-25: set PENSTOCK_TEST_PEER_PYTHON to run the peer's client (make contract)",
)


Outcomes = Callable[[Path], dict[str, str | None]]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What went wrong in each story of a file (None: nothing), from one run of all of them."""

    @cache
    def told(file: Path) -> dict[str, str | None]:
        home = tmp_path_factory.mktemp("peer")
        with ServerProcess(tmp_path_factory.mktemp("server")) as server:
            done = subprocess.run(
                [str(PEER), str(file)],
                env={
                    **{k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")},
                    "PREFECT_HOME": str(home),
                    "PREFECT_API_URL": server.api,
                    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                    "DO_NOT_TRACK": "1",
                },
                capture_output=True,
                text=True,
                timeout=300,
            )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert lines, f"the peer's client told no story:\n{done.stderr[-2000:]}"
        return {line["story"]: line["problem"] for line in lines}

    return told


@pytest.mark.parametrize(
    ("file", "story"),
    # One group a file, because several processes would each tell all its stories.
    [
        pytest.param(
            file, story, id=f"{file.stem}-{story}", marks=pytest.mark.xdist_group(file.stem)
        )
        for file, story in STORIES
    ],
)
@pytest.mark.timeout(400)
def test_story(outcomes: Outcomes, file: Path, story: str) -> None:
    told = outcomes(file)
    assert story in told, f"the peer's client stopped before {story}"
    assert told[story] is None, told[story]
