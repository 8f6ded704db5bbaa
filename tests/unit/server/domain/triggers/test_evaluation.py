"""When triggers fire: tables of events and the seconds at which each form fires."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.server.domain.triggers.log import Log, event, watch

from penstock.server.domain.triggers.evaluation import State, applied, on_event
from penstock.server.domain.triggers.model import Seen

REACTIVE: dict[str, Any] = {"posture": "Reactive", "expect": ["x"]}
PROACTIVE: dict[str, Any] = {"posture": "Proactive", "expect": ["x"], "within": 10}


@pytest.mark.parametrize(
    ("trigger", "events", "fired"),
    [
        (REACTIVE, "x@1 y@2 x@3", [1, 3]),
        ({"posture": "Reactive"}, "x@1 y@2", [1, 2]),
        ({**REACTIVE, "threshold": 2}, "x@1 x@2 x@3 x@4", [2, 4]),
        # What was counted long ago is forgotten.
        ({**REACTIVE, "threshold": 2}, "x@1 x@62 x@63", [63]),
        # At most once in a window, and windows are aligned to the first event.
        ({**REACTIVE, "within": 10}, "x@1 x@2 x@9 x@12 x@22", [1, 12, 22]),
        ({**REACTIVE, "within": 10, "threshold": 2}, "x@1 x@2 x@12 x@13", [2, 13]),
        # A group that straddles two windows does not count.
        ({**REACTIVE, "within": 10, "threshold": 3}, "x@1 x@9 x@10 x@12 x@13", [10]),
        ({**REACTIVE, "within": 10, "threshold": 3}, "x@1 x@10 x@11 x@12", []),
        ({**REACTIVE, "threshold": 0}, "x@1 x@2", [1, 2]),
        # `after` opens the window and is not counted, even if it is also expected.
        ({**REACTIVE, "after": ["a"], "within": 10}, "x@1 a@2 x@3 x@4", [3]),
        ({**REACTIVE, "after": ["a"], "within": 10}, "a@1 x@12 x@13", []),
        ({**REACTIVE, "after": ["x"], "within": 10}, "x@1 x@2 x@3 x@4", [2, 4]),
        # A window that is open is not opened again.
        ({**REACTIVE, "after": ["a"], "within": 10}, "a@1 a@8 x@12", []),
        ({**REACTIVE, "after": ["a"], "within": 10, "threshold": 2}, "a@1 x@2 x@3", [3]),
        ({**REACTIVE, "expect_none": ["x.*"], "expect": ["*"]}, "x.y@1 z@2", [2]),
    ],
)
def test_reactive(trigger: dict[str, Any], events: str, fired: list[float]):
    assert Log(trigger).play(*events.split()) == fired


@pytest.mark.parametrize(
    ("trigger", "events", "until", "fired"),
    [
        (PROACTIVE, "", 35, [10, 20, 30]),
        (PROACTIVE, "x@5 x@15", 35, [30]),
        ({**PROACTIVE, "threshold": 2}, "x@5 x@15 x@16", 25, [10]),
        ({**PROACTIVE, "threshold": 0}, "", 35, []),
        # Nothing is missed before something opened the window.
        ({**PROACTIVE, "after": ["a"]}, "", 35, []),
        ({**PROACTIVE, "after": ["a"]}, "a@3", 35, [13]),
        ({**PROACTIVE, "after": ["a"]}, "a@3 x@8", 35, []),
        ({**PROACTIVE, "after": ["a"]}, "a@3 x@14", 35, [13]),
        ({**PROACTIVE, "after": ["a"]}, "a@3 x@4 a@15", 35, [25]),
        # A heartbeat opens the next window itself.
        ({**PROACTIVE, "after": ["x"]}, "x@1 x@9 x@18", 60, [28]),
        # A key is watched from its first event on, also after a window that was satisfied.
        ({**PROACTIVE, "for_each": ["prefect.resource.id"]}, "x@1", 35, [21, 31]),
    ],
)
def test_proactive(trigger: dict[str, Any], events: str, until: float, fired: list[float]):
    log = Log(trigger)
    log.play(*events.split())
    assert log.wait(until) == fired


def test_each_combination_of_values_is_counted_by_itself():
    log = Log({**REACTIVE, "threshold": 2, "for_each": ["host", "related:flow:name"]})
    flow = {"prefect.resource.id": "f", "prefect.resource.role": "flow", "name": "etl"}
    log.play(
        event("x@1", 1, resource={"host": "a"}, related=[flow]),
        event("x@2", 2, resource={"host": "b"}, related=[flow]),
        event("x@3", 3, resource={"host": "a"}),
        event("x@4", 4, resource={"host": "a"}, related=[flow]),
    )
    assert [firing.labels for firing in log.firings] == [{"host": "a", "related:flow:name": "etl"}]
    assert log.firings[0].event == event("x", 4).id


COMPOUND: dict[str, Any] = {
    "type": "compound",
    "require": "all",
    "within": 10,
    "triggers": [{"posture": "Reactive", "expect": [name]} for name in "abc"],
}
SEQUENCE = {"type": "sequence", "within": None, "triggers": COMPOUND["triggers"]}


@pytest.mark.parametrize(
    ("trigger", "events", "fired"),
    [
        (COMPOUND, "a@1 c@2 b@3 b@4", [3]),
        (COMPOUND, "a@1 b@2 c@12 a@12.5 b@12.7", [12.7]),
        ({**COMPOUND, "within": None}, "a@1 b@2 c@1000", [1000]),
        ({**COMPOUND, "require": "any"}, "a@1 c@2 z@3", [1, 2]),
        ({**COMPOUND, "require": 2}, "a@1 a@2 c@3 b@4", [3]),
        ({**COMPOUND, "require": 1}, "a@1 b@2", [1, 2]),
        (SEQUENCE, "a@1 b@2 c@3", [3]),
        (SEQUENCE, "c@1 b@2 a@3", []),
        # One that came out of order is replaced when it comes again.
        (SEQUENCE, "b@1 a@2 b@3 c@4", [4]),
        ({**SEQUENCE, "within": 2}, "a@1 b@2 c@9", []),
        (
            {
                "type": "sequence",
                "within": 60,
                "triggers": [{**COMPOUND, "require": 2}, {"posture": "Reactive", "expect": ["d"]}],
            },
            "d@1 a@2 b@3 d@4",
            [4],
        ),
    ],
)
def test_composite(trigger: dict[str, Any], events: str, fired: list[float]):
    assert Log(trigger).play(*events.split()) == fired


def test_a_composite_firing_has_the_events_of_all_children():
    log = Log(COMPOUND)
    log.play("a@1", "b@2", "c@3")
    [firing] = log.firings
    assert firing.events == tuple(event("x", seq).id for seq in (1, 2, 3))
    assert firing.event == event("x", 3).id


def test_an_absence_is_an_event_in_time_for_a_composite():
    absent = {"posture": "Proactive", "after": ["a"], "expect": ["b"], "within": 10}
    log = Log(
        {
            "type": "sequence",
            "within": 60,
            "triggers": [absent, {"posture": "Reactive", "expect": ["c"]}],
        }
    )
    log.play("a@1", "c@5", "c@12")
    assert log.wait(40) == [12]


def test_an_event_from_the_future_does_not_move_the_window_there():
    log = Log({**REACTIVE, "within": 10})
    assert log.play(event("x@3600", 1, late=-3600), "x@16", "x@17") == [0, 16]


@pytest.mark.parametrize(
    ("trigger", "resource", "related", "covered"),
    [
        ({"match": {"host": "a*"}}, {"host": "abc"}, [], True),
        ({"match": {"host": "a*"}}, {"host": "b"}, [], False),
        ({"match": {"host": "!a*"}}, {"host": "b"}, [], True),
        ({"match": {"host": "!a*"}}, {}, [], False),
        ({"match": {"host": ["a*", "!ab*"]}}, {"host": "abc"}, [], True),
        ({"match_none": {"host": "ab*"}, "match": {"host": "a*"}}, {"host": "abc"}, [], False),
        ({"match": {"n": "[0-4]?"}}, {"n": "3x"}, [], True),
        ({"match_related": {"r": "1"}}, {}, [{"r": "2"}, {"r": "1"}], True),
        ({"match_related": [{"r": "1"}, {"r": "2"}]}, {}, [{"r": "1"}], False),
        ({"match_related": [{"r": "1"}, {}]}, {}, [{"r": "1"}], True),
        ({"match_related": {"r": "!1"}}, {}, [{"r": "1"}, {"r": "2"}], True),
        ({"match_related_none": {"r": "1"}}, {}, [{"r": "1"}, {"r": "2"}], False),
    ],
)
def test_what_a_trigger_looks_at(
    trigger: dict[str, Any], resource: dict[str, str], related: list[Any], covered: bool
):
    [leaf] = watch({"posture": "Reactive", **trigger}).leaves
    assert leaf.covers(event("x", resource=resource, related=related)) is covered


@pytest.mark.parametrize(
    ("pattern", "name", "matched"),
    [
        ("t.*", "t.x", True),
        ("t.*", "t.", False),
        ("*", "x", True),
        ("a*b*c", "aXbXc", True),
        ("a*b*c", "abXc", False),
        ("a*b*c", "aXXbbc", True),
        ("a*bc", "aXbcbc", True),
        ("a*b", "ab", False),
        ("?", "x", False),
        ("[x]", "x", False),
        ("!y", "x", False),
    ],
)
def test_names(pattern: str, name: str, matched: bool):
    [leaf] = watch({"posture": "Reactive", "expect": [pattern]}).leaves
    assert leaf.expects(name) is matched


TRIGGERS = st.sampled_from(
    [
        {**REACTIVE, "threshold": 3, "within": 5},
        {**REACTIVE, "after": ["y"], "within": 5, "for_each": ["k"]},
        {**PROACTIVE, "after": ["y"], "for_each": ["k"]},
        {**PROACTIVE, "expect": ["x"], "after": ["x"]},
        {
            "type": "compound",
            "require": 2,
            "within": 7,
            "triggers": [
                REACTIVE,
                {"posture": "Reactive", "expect": ["y"]},
                {**PROACTIVE, "after": ["z"]},
            ],
        },
        {
            "type": "sequence",
            "within": 9,
            "triggers": [REACTIVE, {"posture": "Reactive", "expect": ["y"], "threshold": 2}],
        },
    ]
)
EVENTS = st.lists(
    st.tuples(st.sampled_from("xyz"), st.floats(0, 4), st.sampled_from("kl")), max_size=40
)


def _timeline(steps: list[tuple[str, float, str]]) -> list[Seen]:
    now, found = 0.0, []
    for seq, (name, pause, key) in enumerate(steps, 1):
        now += pause
        found.append(event(f"{name}@{now}", seq, resource={"k": key}))
    return found


@settings(max_examples=200, deadline=None)
@given(TRIGGERS, EVENTS)
def test_replaying_the_log_gives_the_same_firings(trigger: Any, steps: Any):
    events = _timeline(steps)
    once, again = Log(trigger), Log(trigger)
    again.watch, again._leaves, again.state = once.watch, once._leaves, once.state
    once.play(*events)
    again.play(*events)
    assert once.firings == again.firings
    assert once.state == again.state


@settings(max_examples=100, deadline=None)
@given(TRIGGERS, EVENTS)
def test_a_step_changes_nothing_it_was_given(trigger: Any, steps: Any):
    seen = watch(trigger)
    state = State({}, {})
    for one in _timeline(steps):
        before = State(dict(state.buckets), dict(state.held))
        step = on_event(seen, state, one)
        assert state == before
        assert step == on_event(seen, state, one)
        state = applied(state, step)


def test_a_start_and_its_end_in_one_batch_are_no_absence():
    """A thousand windows, each opened and satisfied by events of the same moment."""
    trigger = {**PROACTIVE, "after": ["a"], "for_each": ["k"]}
    log = Log(trigger)
    for trial in range(1_000):
        pair = {"k": str(trial)}
        log.play(
            event("a@1", 2 * trial + 1, resource=pair), event("x@1", 2 * trial + 2, resource=pair)
        )
    assert log.wait(100) == []
