"""What a run changes leads back to the run."""

from pathlib import Path

from tests.embedded_api import embedded_api

from penstock import flow
from penstock.schemas.audit import AuditAnyFilter, AuditFilter, AuditFilterBody
from penstock.schemas.events import EventFilter, EventRelatedFilter, EventsFilterBody
from penstock.variables import Variable


@flow
def rotate() -> None:
    Variable.set("rotated", 1)


def test_a_change_names_the_run_that_made_it(tmp_path: Path) -> None:
    with embedded_api(tmp_path) as api:
        rotate()
        run = api.flow_run("rotate")
        filter = AuditFilter(kind=AuditAnyFilter(any_=["variable"]))
        [record] = api.client.call("read_audit", body=AuditFilterBody(filter=filter)).records
        assert record.claims is not None
        assert record.claims["flow-run"] == str(run.id)
        assert record.claims["flow-run-name"] == run.name
        assert record.claims["flow-name"] == "rotate"
        assert record.actor.type == "anonymous"

        related = EventRelatedFilter(
            resources_in_roles=[(f"prefect.flow-run.{run.id}", "initiator")]
        )
        body = EventsFilterBody(filter=EventFilter(related=related))
        events = api.client.call("read_events", body=body).events
        assert [event.event for event in events] == ["prefect.variable.created"]
