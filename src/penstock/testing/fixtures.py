"""pytest fixtures for suites that test flows: `from penstock.testing.fixtures import ...`."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from penstock.events.clients import AssertingEventsClient, AssertingPassthroughEventsClient
from penstock.events.worker import EventsWorker
from penstock.logging import get_logger
from penstock.settings import temporary_settings
from penstock.testing.utilities import penstock_test_harness


def is_port_in_use(port: int) -> bool:
    """Whether something listens on the local port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def penstock_harness() -> Iterator[None]:
    """A new, empty server for one test."""
    with penstock_test_harness():
        yield


@pytest.fixture
def enable_ephemeral_server() -> Iterator[None]:
    """No API URL; the server inside the process is allowed."""
    with temporary_settings({"api.url": None, "server.ephemeral.enabled": True}):
        yield


@pytest.fixture
def disable_hosted_api_server() -> Iterator[None]:
    """No API URL."""
    with temporary_settings({"api.url": None}):
        yield


@contextmanager
def _overridden(client_type: Any) -> Iterator[EventsWorker]:
    client_type.reset()
    EventsWorker.set_client_override(client_type)
    try:
        yield EventsWorker.instance()
    finally:
        EventsWorker.set_client_override(None)
        client_type.reset()


@pytest.fixture
def asserting_events_worker() -> Iterator[EventsWorker]:
    """Events go to `AssertingEventsClient.last` instead of an API."""
    with _overridden(AssertingEventsClient) as worker:
        yield worker


@pytest.fixture
def asserting_and_emitting_events_worker() -> Iterator[EventsWorker]:
    """Events go to the API and to `AssertingPassthroughEventsClient.last`."""
    with _overridden(AssertingPassthroughEventsClient) as worker:
        yield worker


@pytest.fixture
def reset_worker_events(asserting_events_worker: EventsWorker) -> Iterator[None]:
    """Forget the events of the test afterwards."""
    yield
    if AssertingEventsClient.last is not None:
        AssertingEventsClient.last.pop_events()


@pytest.fixture
def add_penstock_loggers_to_caplog(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """`caplog` sees the records of this package, whose loggers do not propagate to the root."""
    logger = get_logger()
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)
