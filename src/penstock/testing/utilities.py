"""A server for tests, and small comparisons."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.settings import temporary_settings

if TYPE_CHECKING:
    from penstock.client import PenstockClient
    from penstock.schemas.flow_runs import FlowRun

DRAIN_SECONDS = 10.0


@contextmanager
def penstock_test_harness(server_startup_timeout: int | None = 30) -> Iterator[None]:
    """Everything inside the body runs against a new, empty server of its own.

    The server lives in this process, over a SQLite file in a temporary directory that is also the
    home: nothing of the user's is read or written. At the end logs and events are delivered, the
    server is stopped and the directory is removed. The first one in a process loads the server
    (some hundred milliseconds); later ones are ready at once.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-test-") as directory:
        home = Path(directory)
        overrides: dict[str, Any] = {
            "home": home,
            "api.url": None,
            "server.ephemeral.enabled": True,
            "server.database.connection_url": f"sqlite:///{home / 'penstock.db'}",
            "results.local_storage_path": home / "storage",
        }
        if server_startup_timeout is not None:
            overrides["server.ephemeral.startup_timeout_seconds"] = server_startup_timeout
        with temporary_settings(overrides):
            # Loaded here, so that importing this module for a comparison stays cheap.
            from penstock.testing.lifetime import server_lifetime

            with server_lifetime(DRAIN_SECONDS):
                yield


prefect_test_harness = penstock_test_harness
"""The same under the name that test suites of the peer use."""


def exceptions_equal(a: BaseException, b: BaseException) -> bool:
    """Whether two exceptions are of one type and have equal arguments."""
    return type(a) is type(b) and a.args == b.args


def kubernetes_environments_equal(
    actual: Sequence[Mapping[str, str]],
    expected: Sequence[Mapping[str, str]] | Mapping[str, str],
) -> bool:
    """Whether two environments of a container are equal, whatever their order. The expected one
    may be a mapping of names to values."""
    if isinstance(expected, Mapping):
        expected = [{"name": name, "value": value} for name, value in expected.items()]
    return sorted(map(_pair, actual)) == sorted(map(_pair, expected))


def _pair(entry: Mapping[str, str]) -> tuple[str, str]:
    return entry["name"], entry["value"]


@contextmanager
def assert_does_not_warn(
    ignore_warnings: Sequence[type[Warning]] | None = None,
) -> Iterator[None]:
    """Raises `AssertionError` when the body warns, except by the given kinds."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ignore_warnings or ():
            warnings.filterwarnings("ignore", category=kind)
        try:
            yield
        except Warning as warning:
            raise AssertionError(f"the block warned: {warning!r}") from warning


async def get_most_recent_flow_run(
    client: "PenstockClient | None" = None, flow_name: str | None = None
) -> "FlowRun":
    """The flow run expected to start last, of the named flow or of any. Raises `LookupError`
    when there is none."""
    from penstock.client import get_client
    from penstock.schemas.filters import FlowFilter, NameFilter
    from penstock.schemas.flow_runs import FlowRunSort

    filter = FlowFilter(name=NameFilter(any_=[flow_name])) if flow_name else None
    runs = await (client or get_client()).read_flow_runs(
        flow_filter=filter, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1
    )
    if not runs:
        raise LookupError(f"there is no flow run of {flow_name or 'any flow'}; run it first")
    return runs[0]


def a_test_step(**kwargs: Any) -> dict[str, Any]:
    """A deployment step that returns one value and what it was given."""
    return {"output1": 1, "output2": ["b", 2, 3], **kwargs}


def b_test_step(**kwargs: Any) -> dict[str, Any]:
    """As `a_test_step`, with another value."""
    return {"output1": 1, **kwargs}
