"""The server inside this process over a database of its own, for tests that run flows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock.client import get_client
from penstock.client.embedded import EmbeddedTransport
from penstock.client.endpoint import endpoint
from penstock.client.sockets import event_stream, flush_events
from penstock.logging import flush_logs, shipping
from penstock.schemas.flow_runs import FlowRun, FlowRunsFilterPage
from penstock.schemas.logs import LogsFilterPage, LogSort
from penstock.schemas.states import State
from penstock.schemas.task_runs import TaskRun, TaskRunsFilterPage
from penstock.settings import temporary_settings


class EmbeddedApi:
    """Asks the server what it knows."""

    def __init__(self) -> None:
        self.client = get_client(sync_client=True)

    def flow_runs(self, name: str | None = None) -> list[FlowRun]:
        """Flow runs, the newest first; only those of the flow `name` if given."""
        runs: list[FlowRun] = self.client.call("read_flow_runs", body=FlowRunsFilterPage())
        if name is None:
            return runs
        flow = self.client.call("read_flow_by_name", name)
        return [run for run in runs if run.flow_id == flow.id]

    def flow_run(self, name: str) -> FlowRun:
        """The newest run of the flow `name`."""
        return self.flow_runs(name)[0]

    def task_runs(self, flow_run: FlowRun) -> list[TaskRun]:
        """Task runs of a flow run, the oldest first."""
        runs = self.client.call("read_task_runs", body=TaskRunsFilterPage())
        return sorted((r for r in runs if r.flow_run_id == flow_run.id), key=lambda run: run.id)

    def task_run(self, id: Any) -> TaskRun:
        return self.client.call("read_task_run", id)

    def states(self, flow_run: FlowRun) -> list[str]:
        """Names of the states a flow run went through."""
        states: list[State] = self.client.call("read_flow_run_states", flow_run_id=flow_run.id)
        return [str(state.name) for state in states]

    def task_states(self, task_run: TaskRun) -> list[str]:
        """Names of the states a task run went through."""
        states: list[State] = self.client.call("read_task_run_states", task_run_id=task_run.id)
        return [str(state.name) for state in states]

    def logs(self) -> list[str]:
        """Messages of the newest logs, at most a page of them, the oldest first."""
        assert flush_logs(10) == 0
        newest = LogsFilterPage(sort=LogSort.TIMESTAMP_DESC)
        return [log.message for log in reversed(self.client.call("read_logs", body=newest))]


@contextmanager
def embedded_api(home: Path, **settings: str) -> Iterator[EmbeddedApi]:
    """An embedded server in `home` for the body; it is stopped afterwards."""
    with temporary_settings(
        {
            "PENSTOCK_HOME": str(home),
            "PENSTOCK_SERVER_DATABASE_CONNECTION_URL": f"sqlite:///{home / 'penstock.db'}",
            **settings,
        }
    ):
        # Records that a test before this one left for a server that is gone do not count here.
        for target in list(shipping._outboxes):
            shipping.discard(target)
        api = EmbeddedApi()
        try:
            yield api
        finally:
            assert flush_logs(10) == 0
            assert flush_events(10) == 0
            event_stream().close()
            transport = endpoint(api.client.target).transport
            assert isinstance(transport, EmbeddedTransport)
            transport.close()
