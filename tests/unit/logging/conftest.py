"""Records of a test's run go to a list instead of an API."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from penstock.base.run_context import RunContext
from penstock.logging import setup_logging
from penstock.logging.handlers import set_api_log_sink


@pytest.fixture(autouse=True)
def _configured() -> Iterator[None]:
    setup_logging(incremental=False)
    yield
    setup_logging(incremental=False)


@pytest.fixture
def shipped() -> Iterator[list[dict[str, Any]]]:
    """What would be sent to the API."""
    records: list[dict[str, Any]] = []
    set_api_log_sink(records.append)
    yield records
    set_api_log_sink(None)


@pytest.fixture
def flow_context() -> RunContext:
    flow_run = SimpleNamespace(id=uuid4(), name="quick-otter", flow_id=uuid4(), tags=["blue"])
    return RunContext(flow=SimpleNamespace(name="etl"), flow_run=flow_run)


@pytest.fixture
def task_context(flow_context: RunContext) -> RunContext:
    task_run = SimpleNamespace(
        id=uuid4(), name="load-1", flow_run_id=flow_context.flow_run.id, tags=[]
    )
    return RunContext(
        flow=flow_context.flow,
        flow_run=flow_context.flow_run,
        task=SimpleNamespace(name="load"),
        task_run=task_run,
        flow_context=flow_context,
    )
