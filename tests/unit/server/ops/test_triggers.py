"""Events become firings: once each, in order, with what was counted kept between rounds."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from tests.databases import World
from tests.firing import Automations

from penstock.base import json
from penstock.schemas.automations import AutomationPartialUpdate
from penstock.server.domain.triggers import chains
from penstock.server.ops import automations, events
from penstock.server.services.triggers import Triggers

NOTHING = {"type": "do-nothing"}


@pytest.fixture
def run(world: World) -> Iterator[Automations]:
    yield Automations(world)


def test_a_firing_with_its_events_and_outcome(run: Automations):
    id = run.make({"expect": ["a.b"]}, NOTHING)
    caused_by = run.emit("a.b", payload={"n": 1})
    run.emit("other")
    run.turn()
    [firing] = run.firings()
    assert firing["automation_id"] == id
    assert firing["event_id"] == caused_by
    assert run.outcomes() == [("executed", None)]
    [triggered] = run.told("prefect.automation.triggered")
    assert triggered["resource"] == {
        "prefect.resource.id": f"prefect.automation.{id}",
        "prefect.resource.name": "watch",
        "prefect.posture": "Reactive",
    }
    assert triggered["related"][0] == {
        "prefect.resource.id": f"prefect.event.{caused_by}",
        "prefect.resource.role": "triggering-event",
    }
    assert triggered["payload"]["triggering_event"]["payload"] == {"n": 1}
    [executed] = run.told("prefect.automation.action.executed")
    [begun] = run.told("prefect.automation.action.triggered")
    assert executed["payload"]["action_type"] == "do-nothing"
    assert executed["payload"]["action_index"] == 0
    assert executed["follows"] == begun["id"]
    assert begun["follows"] == caused_by
    assert {one["prefect.resource.role"] for one in executed["related"]} == {
        "automation-triggered-event",
        "triggering-event",
        "actor",
    }


def test_no_event_counts_twice(run: Automations):
    run.make({"expect": ["a.b"], "threshold": 2}, NOTHING)
    for _ in range(5):
        run.emit("a.b")
        run.turn()
        # Another server, or this one after a restart, begins where the cursor is.
        run.triggers = Triggers(run.world.store)
        run.turn()
    assert len(run.firings()) == 2
    assert len(run.told("prefect.automation.triggered")) == 2


def test_old_firings_are_forgotten(run: Automations):
    run.make({"expect": ["a.b"]}, NOTHING)
    run.emit("a.b")
    run.turn()
    run.world.clock.advance(31 * 86_400)
    run.emit("a.b")
    run.turn()
    assert len(run.firings()) == 1
    assert len(run.outcomes()) == 1


def test_two_servers_fire_once(run: Automations):
    run.make({"expect": ["a.b"], "for_each": ["n"], "threshold": 2}, NOTHING)
    loops = [Triggers(run.world.store) for _ in range(2)]

    async def race() -> None:
        for round in range(20):
            body = [run.event("a.b", {"n": str(n)}) for n in (round, round, round, round)]
            await run.world.store.write(events.create_events, run.world.context, body=body)
            await asyncio.gather(*(loop.run_once(run.world.now) for loop in loops))

    asyncio.run(race())
    assert len(run.firings()) == 40


def test_events_from_before_the_automation_are_not_for_it(run: Automations):
    run.emit("a.b")
    run.world.clock.advance(1)
    run.make({"expect": ["a.b"]}, NOTHING)
    run.turn()
    assert run.firings() == []


def test_a_disabled_automation_counts_nothing(run: Automations):
    id = run.make({"expect": ["a.b"], "threshold": 2}, NOTHING)
    run.emit("a.b")
    run.turn()
    for enabled in (False, True):
        patch = AutomationPartialUpdate(enabled=enabled)
        run.world.write(automations.patch_automation, id, body=patch)
        run.world.clock.advance(1)
        run.emit("a.b")
        run.turn()
    # What was counted before it was disabled is forgotten.
    assert run.firings() == []
    run.emit("a.b")
    run.turn()
    assert len(run.firings()) == 1


def test_a_deleted_automation_leaves_nothing(run: Automations):
    id = run.make({"posture": "Proactive", "expect": ["a.b"], "within": 10}, NOTHING)
    run.turn()
    assert len(run.world.rows("SELECT * FROM trigger_bucket")) == 1
    run.world.write(automations.delete_automation, id)
    run.wait(12)
    assert run.firings() == []
    assert run.world.rows("SELECT * FROM trigger_bucket") == []
    assert run.world.rows("SELECT * FROM timer WHERE kind = 'trigger'") == []


def test_an_absence_is_noticed_within_a_second(run: Automations):
    run.make({"posture": "Proactive", "expect": ["beat"], "within": 10}, NOTHING)
    run.turn()
    began = run.world.now
    run.wait(5)
    run.emit("beat")
    run.wait(16)
    assert [(row["fired"] - began).total_seconds() for row in run.firings()] == [21.0]


def test_each_of_many_keys_has_its_window(run: Automations):
    run.make(
        {"posture": "Proactive", "after": ["s"], "expect": ["e"], "within": 10, "for_each": ["k"]},
        NOTHING,
    )
    body = [run.event("s", {"k": str(n)}) for n in range(700)]
    body += [run.event("e", {"k": str(n)}) for n in range(690)]
    run.world.write(events.create_events, body=body)
    run.wait(12)
    found = sorted(json.decode(row["labels"])["k"] for row in run.firings())
    assert found == sorted(str(n) for n in range(690, 700))
    assert run.world.rows("SELECT * FROM trigger_bucket") == []


def test_a_follower_waits_for_its_leader(run: Automations):
    run.make({"posture": "Proactive", "after": ["s"], "expect": ["e"], "within": 10}, NOTHING)
    leader = uuid4()
    run.emit("e", follows=leader)
    run.wait(3)
    run.emit("s", id=leader, before=3.5)
    run.wait(20)
    assert run.firings() == []


def test_a_follower_whose_leader_never_comes_is_let_through(run: Automations):
    run.make({"expect": ["e"]}, NOTHING)
    run.emit("e", follows=uuid4())
    run.wait(29)
    assert run.firings() == []
    run.wait(2)
    assert len(run.firings()) == 1


def test_children_of_a_composite_may_fire_in_different_rounds(run: Automations):
    run.make(
        {
            "type": "compound",
            "require": "all",
            "within": 60,
            "triggers": [{"expect": [name]} for name in "abc"],
        },
        NOTHING,
    )
    ids = []
    for name in "abc":
        ids.append(run.emit(name))
        run.wait(1)
        run.triggers = Triggers(run.world.store)
    [firing] = run.firings()
    assert json.decode(firing["event_ids"]) == ids
    assert firing["event_id"] == ids[-1]
    run.emit("a")
    run.wait(1)
    assert len(run.firings()) == 1


def test_a_start_and_its_end_in_one_request_are_no_absence(run: Automations):
    run.make(
        {"posture": "Proactive", "after": ["s"], "expect": ["e"], "within": 10, "for_each": ["k"]},
        NOTHING,
    )
    for trial in range(0, 1_000, 50):
        body = [run.event(name, {"k": str(n)}) for n in range(trial, trial + 50) for name in "se"]
        run.world.write(events.create_events, body=body)
        run.turn()
    run.wait(12)
    assert run.firings() == []


def test_an_automation_that_triggers_itself_is_stopped(run: Automations):
    run.make({"expect": ["prefect.automation.action.executed", "go"]}, NOTHING)
    run.emit("go")
    run.turn(rounds=40)
    assert len(run.firings()) == 11
    assert len(run.outcomes()) == 10
    [stopped] = run.told("penstock.automation.suppressed")
    assert "because of itself" in stopped["payload"]["reason"]


def test_two_automations_that_trigger_each_other_are_stopped(
    run: Automations, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(chains, "MAXIMUM_BRANCHES", 10)
    run.make({"expect": ["prefect.automation.triggered"]}, NOTHING, name="one")
    run.make({"expect": ["prefect.automation.action.executed", "go"]}, NOTHING, name="two")
    run.emit("go")
    run.turn(rounds=80)
    assert run.told("penstock.automation.suppressed")
    # Each leads to both of them; the ways are many, and still it ends.
    assert len(run.outcomes()) <= 2 * 11
    assert not asyncio.run(run.triggers.run_once(run.world.now))
