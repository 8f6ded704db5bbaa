"""The choice of a policy, and its tables."""

from uuid import UUID

import pytest

from penstock.base.clock import ManualClock
from penstock.schemas.flow_runs import FlowRunPolicy
from penstock.schemas.states import State, StateDetails, StateType
from penstock.schemas.task_runs import TaskRunPolicy
from penstock.server.domain.orchestration.facts import Facts, Run, RunKind, proposal_of
from penstock.server.domain.orchestration.policy import (
    BACKGROUND_TASK,
    CORE_FLOW,
    CORE_TASK,
    MINIMAL_FLOW,
    MINIMAL_TASK,
    POLICIES,
    Policy,
    policy_for,
)

NOW = ManualClock().now()


@pytest.mark.parametrize(
    ("kind", "held", "asked", "force", "expected"),
    [
        (RunKind.FLOW_RUN, False, False, False, CORE_FLOW),
        (RunKind.FLOW_RUN, False, True, False, CORE_FLOW),
        (RunKind.FLOW_RUN, False, False, True, MINIMAL_FLOW),
        (RunKind.TASK_RUN, False, False, False, CORE_TASK),
        (RunKind.TASK_RUN, False, False, True, MINIMAL_TASK),
        (RunKind.TASK_RUN, False, True, False, BACKGROUND_TASK),
        (RunKind.TASK_RUN, True, False, False, BACKGROUND_TASK),
        (RunKind.TASK_RUN, False, True, True, BACKGROUND_TASK),
    ],
)
def test_the_policy_of_a_request(
    kind: RunKind, held: bool, asked: bool, force: bool, expected: Policy
) -> None:
    policy = FlowRunPolicy() if kind is RunKind.FLOW_RUN else TaskRunPolicy()
    state = State(
        type=StateType.SCHEDULED, timestamp=NOW, state_details=StateDetails(deferred=held)
    )
    facts = Facts(
        run=Run(kind=kind, id=UUID(int=1), policy=policy),
        state=state,
        now=NOW,
        fresh_id=UUID(int=2),
    )
    proposal = proposal_of(StateType.PENDING, NOW, details=StateDetails(deferred=asked))
    assert policy_for(facts, proposal, force=force) is expected


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_rules_are_asked_in_order_and_only_where_they_apply(policy: Policy) -> None:
    for start in (None, *StateType):
        for end in StateType:
            wanted = [rule for rule in policy.rules if start in rule.start and end in rule.end]
            assert list(policy.rules_for(start, end)) == wanted


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_every_rule_has_its_own_name_and_says_what_it_does(policy: Policy) -> None:
    names = [rule.name for rule in policy.rules]
    assert len(set(names)) == len(names)
    for rule in policy.rules:
        assert rule.start and rule.end
        assert (rule.decide.__doc__ or "").strip()
