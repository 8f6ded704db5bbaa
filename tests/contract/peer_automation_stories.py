"""Stories of automations, told by the peer's own SDK and commands; see peer_stories.py."""

import json
import tempfile
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from peer_cli import prefect
from prefect import flow, get_client
from prefect.automations import Automation
from prefect.client.schemas.sorting import AutomationSort
from prefect.events.actions import DoNothing, PauseAutomation, RunDeployment, SendNotification
from prefect.events.filters import (
    AutomationFilter,
    AutomationFilterName,
    EventFilter,
    EventNameFilter,
)
from prefect.events.schemas.automations import (
    AutomationCore,
    CompoundTrigger,
    EventTrigger,
    MetricTrigger,
    MetricTriggerQuery,
    Posture,
    SequenceTrigger,
)
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

STORIES = []


def story(function):
    STORIES.append(function)
    return function


def client():
    return get_client(sync_client=True)


def inspected(name):
    return json.loads(prefect("automation", "inspect", name, "-o", "json"))


def on(*names, **fields):
    return EventTrigger(expect=set(names), posture=Posture.Reactive, **fields)


def core(name, trigger=None, actions=None, **fields):
    return AutomationCore(
        name=name, trigger=trigger or on("a.b"), actions=actions or [DoNothing()], **fields
    )


def refused(function, *arguments, status=422, text=""):
    try:
        function(*arguments)
    except PrefectHTTPStatusError as error:
        assert error.response.status_code == status, error
        assert text in error.response.text, error.response.text
    else:
        raise AssertionError("it was not refused")


@story
def the_automation_class():
    made = Automation(
        name="by class",
        trigger=on(
            "prefect.flow-run.Failed",
            match={"prefect.resource.id": "prefect.flow-run.*"},
            for_each={"prefect.resource.id"},
            threshold=2,
            within=timedelta(seconds=30),
        ),
        actions=[SendNotification(block_document_id=uuid4(), body="{{ flow_run.name }} failed")],
        tags=["x"],
    ).create()
    found = Automation.read(id=made.id)
    assert (found.name, found.tags, found.enabled) == ("by class", ["x"], True)
    assert found.trigger.within == timedelta(seconds=30)
    assert found.trigger.for_each == {"prefect.resource.id"}
    assert Automation.read(name="by class").id == made.id
    found.name = "renamed"
    found.update()
    assert Automation.read(id=made.id).name == "renamed"
    found.disable()
    assert Automation.read(id=made.id).enabled is False
    found.enable()
    assert Automation.read(id=made.id).enabled is True
    found.delete()
    try:
        Automation.read(id=made.id)
    except ValueError:
        pass
    else:
        raise AssertionError("it is still there")


@story
def the_client_s_methods():
    with client() as api:
        ids = [api.create_automation(core(f"m-{n}", tags=[f"t{n % 2}"])) for n in range(3)]
        assert api.find_automation("m-1").id == ids[1]
        assert api.find_automation(ids[2]).name == "m-2"
        assert api.find_automation(str(ids[2])).name == "m-2"
        assert api.find_automation("nothing") is None
        wanted = AutomationFilter(name=AutomationFilterName(any_=["m-0", "m-1", "m-2"]))
        names = [
            one.name
            for one in api.read_automations(
                automations=wanted, sort=AutomationSort.NAME_DESC, limit=2, offset=1
            )
        ]
        assert names == ["m-1", "m-0"], names
        assert len(api.read_automations()) >= 3
        api.pause_automation(ids[0])
        assert api.read_automation(ids[0]).enabled is False
        api.resume_automation(ids[0])
        assert api.read_automation(ids[0]).enabled is True
        api.update_automation(ids[0], core("m-0", description="new"))
        assert api.read_automation(ids[0]).description == "new"
        for id in ids:
            api.delete_automation(id)
        assert api.read_automations_by_name("m-0") == []


@story
def composite_triggers():
    with client() as api:
        trigger = CompoundTrigger(
            require=2,
            within=timedelta(minutes=1),
            triggers=[
                on("a"),
                SequenceTrigger(triggers=[on("b"), on("c")], within=None),
                EventTrigger(posture=Posture.Proactive, expect={"d"}, within=timedelta(seconds=20)),
            ],
        )
        id = api.create_automation(core("composite", trigger))
        found = api.read_automation(id).trigger
        assert found.require == 2 and found.within == timedelta(minutes=1)
        assert [one.type for one in found.triggers] == ["event", "sequence", "event"]
        assert found.triggers[1].within is None


@story
def what_makes_no_sense_is_refused():
    with client() as api:
        metric = MetricTrigger(
            metric=MetricTriggerQuery(name="lateness", threshold=1, operator="<")
        )
        refused(api.create_automation, core("metric", metric), text="metric triggers are not")
        loop = core("loop", on("prefect.flow-run.Running"), [RunDeployment(source="inferred")])
        refused(api.create_automation, loop, text="without end")
        broken = SendNotification(block_document_id=uuid4(), body="{% for x in y %}")
        refused(api.create_automation, core("broken", actions=[broken]), text="template")
        refused(api.pause_automation, uuid4(), status=404)


@story
def those_of_a_deployment():
    with client() as api:

        @flow
        def watched():
            pass

        deployment = api.create_deployment(api.create_flow(watched), name="d")
        resource = f"prefect.deployment.{deployment}"
        run = RunDeployment(deployment_id=deployment)
        owned = core("owned", on("x.y"), [run], owner_resource=resource)
        api.create_automation(owned)
        api.create_automation(core("other", actions=[run]))
        related = api.read_resource_related_automations(resource)
        assert [one.name for one in related] == ["other", "owned"]
        api.delete_resource_owned_automations(resource)
        assert [one.name for one in api.read_resource_related_automations(resource)] == ["other"]
        id = api.create_automation(owned)
        api.delete_deployment(deployment)
        try:
            api.find_automation(id)
        except ObjectNotFound:
            pass
        else:
            raise AssertionError("it is still there")
        page = api.read_events(
            filter=EventFilter(event=EventNameFilter(name=["prefect.automation.deleted"])), limit=50
        )
        assert [one.resource.name for one in page.events].count("owned") == 2


@story
def commands():
    definition = {
        "name": "by command",
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "expect": ["prefect.flow-run.Failed"],
            "threshold": 1,
            "within": 5,
        },
        "actions": [{"type": "pause-automation", "source": "inferred"}],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "automation.json"
        file.write_text(json.dumps(definition))
        prefect("automation", "create", "--from-file", str(file))
        prefect("automation", "create", "--from-json", json.dumps({**definition, "name": "json"}))
    assert "by command" in prefect("automation", "ls")
    (shown,) = inspected("by command")
    assert shown["name"] == "by command" and shown["enabled"] is True
    assert shown["trigger"]["within"] == 5
    prefect("automation", "pause", "by command")
    assert [one["enabled"] for one in inspected("json")] == [True]
    assert [one["enabled"] for one in inspected("by command")] == [False]
    prefect("automation", "resume", "--id", shown["id"])
    assert Automation.read(id=shown["id"]).enabled is True
    changed = json.dumps({**definition, "description": "changed"})
    prefect("automation", "update", "--id", shown["id"], "--from-json", changed)
    assert Automation.read(id=shown["id"]).description == "changed"
    prefect("automation", "delete", "by command")
    prefect("automation", "delete", "json")
    assert "by command" not in prefect("automation", "ls")


@story
def changes_are_told():
    with client() as api:
        began = datetime.now(UTC)
        inferred = PauseAutomation(source="inferred")
        id = api.create_automation(core("told", actions=[inferred]))
        api.pause_automation(id)
        api.pause_automation(id)
        api.delete_automation(id)
        page = api.read_events(
            filter=EventFilter(event=EventNameFilter(prefix=["prefect.automation."])), limit=50
        )
    mine = [one for one in page.events if one.resource.name == "told" and one.occurred > began]
    kinds = [(one.event.rpartition(".")[2], one.payload["enabled"]) for one in mine]
    assert sorted(kinds) == [("created", True), ("deleted", False), ("updated", False)], kinds
    assert mine[0].payload["actions"] == [
        {"type": "pause-automation", "source": "inferred", "automation_id": None}
    ]


def main():
    for function in STORIES:
        problem = None
        try:
            function()
        except BaseException:
            problem = traceback.format_exc()
        print(json.dumps({"story": function.__name__, "problem": problem}), flush=True)


if __name__ == "__main__":
    main()
