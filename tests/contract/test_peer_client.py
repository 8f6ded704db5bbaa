"""The peer's unmodified SDK, in an environment of its own, against a real Penstock server.

Needs `PENSTOCK_TEST_PEER_PYTHON`: a Python with the peer's published package installed (the
Makefile builds one). The stories themselves are in peer_stories.py and pass against the peer's
own server too.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.server_process import ServerProcess

STORIES_FILE = Path(__file__).with_name("peer_stories.py")
STORIES = re.findall(r"^@story\ndef (\w+)", STORIES_FILE.read_text(), re.MULTILINE)
PEER = os.environ.get("PENSTOCK_TEST_PEER_PYTHON")

pytestmark = pytest.mark.skipif(
    PEER is None,
    reason="2026-11-25: set PENSTOCK_TEST_PEER_PYTHON to run the peer's client (make contract)",
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What went wrong in each story (None: nothing), from one run of all of them."""
    home = tmp_path_factory.mktemp("peer")
    with ServerProcess(tmp_path_factory.mktemp("server")) as server:
        done = subprocess.run(
            [str(PEER), str(STORIES_FILE)],
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


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.timeout(400)
def test_story(outcomes: dict[str, str | None], story: str) -> None:
    assert story in outcomes, f"the peer's client stopped before {story}"
    assert outcomes[story] is None, outcomes[story]
