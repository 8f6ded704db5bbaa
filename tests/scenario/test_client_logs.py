"""Log records on their way to an API."""

import json
import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest
from tests.scripted_api import Answer, ScriptedApi

from penstock.client.endpoint import reset
from penstock.client.target import current_target
from penstock.logging import flow_run_logger, flush_logs, setup_logging, shipping
from penstock.settings import temporary_settings

LONG = 30.0


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    reset()
    setup_logging(incremental=False)
    yield
    reset()


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with (
        ScriptedApi({("POST", "/logs/"): Answer(201)}) as api,
        temporary_settings({"api.url": api.url, "client.server_version_check_enabled": False}),
    ):
        yield api
        shipping.discard(current_target())


def test_records_go_together_and_a_flush_does_not_wait_for_the_interval(api: ScriptedApi):
    run = uuid4()
    logger = flow_run_logger(flow_run_id=run)
    for number in range(50):
        logger.info("record %d", number)
    assert api.heard == []
    assert flush_logs(LONG) == 0
    (request,) = api.heard
    assert [record["message"] for record in request.body] == [f"record {n}" for n in range(50)]
    first = request.body[0]
    assert set(first) == {"name", "level", "message", "timestamp", "flow_run_id", "task_run_id"}
    assert first["flow_run_id"] == str(run)


def test_batches_are_bounded_in_bytes(api: ScriptedApi):
    with temporary_settings(
        {"logging.to_api.batch_size": 3_000, "logging.to_api.max_log_size": 1_000}
    ):
        logger = flow_run_logger(flow_run_id=uuid4())
        for _ in range(10):
            logger.info("x" * 900)
        logger.info("y" * 5_000)
        assert flush_logs(LONG) == 0
        sizes = [len(json.dumps(request.body)) for request in api.heard]
        assert len(sizes) > 4
        assert max(sizes) < 3_500
        cut = api.heard[-1].body[-1]["message"]
        assert cut.endswith("... [truncated]")
        shipping.discard(current_target())


def test_an_api_that_refuses_a_record_costs_that_record_only(
    api: ScriptedApi, capsys: pytest.CaptureFixture[str]
):
    api.answers = {("POST", "/logs/"): [Answer(422, {"detail": "bad"}), Answer(201)]}
    logger = flow_run_logger(flow_run_id=uuid4())
    logger.info("one")
    logger.info("two")
    assert flush_logs(LONG) == 0
    assert [len(request.body) for request in api.heard] == [2, 1, 1]


def test_an_api_that_is_gone_is_told_on_stderr_and_not_to_the_program(
    capsys: pytest.CaptureFixture[str],
):
    with temporary_settings({"api.url": "http://127.0.0.1:9/api"}):
        flow_run_logger(flow_run_id=uuid4()).log(logging.INFO, "kept")
        assert flush_logs(1.0) == 1
        assert "cannot deliver now" in capsys.readouterr().err
        outbox = shipping._outboxes[current_target()]
        outbox.forget()
        shipping.discard(current_target())
