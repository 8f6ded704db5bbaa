"""Claims: taken with the run, renewed, ended, taken back; writers with an old one are refused."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace
from tests.databases import World, wire
from tests.deployments import deploy
from tests.work import due_run, last_event, pool

from penstock.schemas.claims import (
    ClaimBody,
    ClaimKey,
    EndClaimBody,
    RenewClaimsBody,
)
from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.states import SetStateBody, StateCreate, StateDetails, StateType
from penstock.server.ops import claims, transition
from penstock.server.ops.flow_runs import read_flow_run
from penstock.server.services.claims import ExpiredClaims

LEASE = 30.0


def take(world: World, owner: str = "w", **fields: Any) -> Any:
    fields.setdefault("work_pool_name", "local")
    body = ClaimBody(owner=owner, lease_seconds=LEASE, **fields)
    return world.write(claims.claim_flow_runs, body=body)


def renew(world: World, *keys: tuple[str, int]) -> list[str]:
    body = RenewClaimsBody(
        claims=[ClaimKey(flow_run_id=UUID(id), number=number) for id, number in keys],
        lease_seconds=LEASE,
    )
    return wire(world.write(claims.renew_claims, body=body))["lost"]


def end(world: World, id: str, number: int, message: str | None = "It ended.") -> dict[str, Any]:
    body = EndClaimBody(flow_run_id=UUID(id), number=number, message=message)
    return wire(world.write(claims.end_claim, body=body))


def propose(world: World, id: str, type: StateType, claim: int | None = None) -> str:
    """Propose a state as a process under that claim does; the status."""
    context = world.context
    if claim is not None:
        context = replace(context, run_claim=(id, claim))
    body = SetStateBody(state=StateCreate(type=type))
    made = world.store.write_sync(transition.set_flow_run_state, context, id, body=body)
    return wire(made.value)["status"]


def state(world: World, id: str) -> tuple[str, str]:
    run = wire(world.read(read_flow_run, id))
    return run["state_type"], run["state"]["message"] or ""


def expire(world: World, seconds: float) -> int:
    """A round of the loop, `seconds` later, by a loop that has been there all the time."""
    loop = ExpiredClaims(world.store, grace=timedelta(0))
    world.clock.advance(seconds)
    return asyncio.run(loop.run_once(world.now))


def test_a_claim_takes_the_run_with_all_that_is_known_of_it(world: World) -> None:
    pool(world)
    deployment = deploy(world, work_pool_name="local", entrypoint="f.py:f")
    id = due_run(world, deployment_id=UUID(deployment))
    later = due_run(world, ago=-20)
    answer = wire(take(world, labels={"prefect.worker.name": "w"}))
    (claimed,) = answer["runs"]
    assert (claimed["flow_run"]["id"], claimed["number"]) == (id, 1)
    assert claimed["flow_run"]["state_type"] == "PENDING"
    assert claimed["flow_run"]["labels"]["prefect.worker.name"] == "w"
    assert (claimed["flow_name"], claimed["deployment"]["entrypoint"]) == ("etl", "f.py:f")
    assert answer["next_due_seconds"] == pytest.approx(20)
    assert wire(take(world))["runs"] == []
    assert state(world, later)[0] == "SCHEDULED"


def test_no_more_than_the_limit_is_taken(world: World) -> None:
    pool(world)
    ids = [due_run(world, ago=ago) for ago in (3, 2, 1)]
    taken = [one["flow_run"]["id"] for one in wire(take(world, limit=2))["runs"]]
    assert taken == ids[:2]


def test_runs_of_deployments_are_taken_without_a_pool(world: World) -> None:
    pool(world)
    deployment = deploy(world)
    id = world.flow_run(StateType.SCHEDULED, deployment_id=UUID(deployment))
    other = due_run(world)
    (claimed,) = wire(take(world, work_pool_name=None, deployment_ids=[UUID(deployment)]))["runs"]
    assert claimed["flow_run"]["id"] == id
    assert state(world, other)[0] == "SCHEDULED"


def test_a_claim_needs_a_pool_or_deployments(world: World) -> None:
    with pytest.raises(RequestInvalid):
        take(world, work_pool_name=None)
    with pytest.raises(ObjectMissing):
        take(world, work_pool_name="nowhere")


def test_a_run_that_did_not_begin_is_scheduled_anew(world: World) -> None:
    pool(world)
    id = due_run(world)
    take(world, owner="first")
    assert expire(world, LEASE - 1) == 0
    assert expire(world, 2) == 1
    kind, message = state(world, id)
    assert kind == "SCHEDULED"
    assert "first" in message
    (again,) = wire(take(world, owner="second"))["runs"]
    assert again["number"] == 3
    assert renew(world, (id, 1)) == [id]
    assert renew(world, (id, 3)) == []


@pytest.mark.parametrize(
    ("left_in", "becomes"),
    [
        (StateType.RUNNING, "CRASHED"),
        (StateType.CANCELLING, "CANCELLED"),
        (StateType.COMPLETED, "COMPLETED"),
    ],
)
def test_what_becomes_of_a_run_without_its_owner(
    world: World, left_in: StateType, becomes: str
) -> None:
    pool(world)
    id = due_run(world)
    take(world)
    propose(world, id, StateType.RUNNING, claim=1)
    if left_in is not StateType.RUNNING:
        world.write(transition.force_state, "flow_run", id, StateCreate(type=left_in))
    expire(world, LEASE + 1)
    assert state(world, id)[0] == becomes
    assert world.rows("SELECT * FROM run_claim") == []


def test_a_renewed_claim_stays(world: World) -> None:
    pool(world)
    id = due_run(world)
    take(world)
    world.clock.advance(LEASE - 1)
    assert renew(world, (id, 1)) == []
    assert expire(world, LEASE - 1) == 0
    assert state(world, id)[0] == "PENDING"


def test_owners_have_time_to_renew_after_the_server_was_away(world: World) -> None:
    pool(world)
    id = due_run(world)
    take(world)
    world.clock.advance(300)
    loop = ExpiredClaims(world.store, grace=timedelta(seconds=45))
    assert asyncio.run(loop.run_once(world.now)) == 0
    assert renew(world, (id, 1)) == []
    for _ in range(10):
        world.clock.advance(5)
        asyncio.run(loop.run_once(world.now))
    assert state(world, id)[0] == "SCHEDULED"


def test_a_process_under_an_old_claim_is_refused_and_that_is_told(world: World) -> None:
    pool(world)
    id = due_run(world)
    take(world, owner="first")
    expire(world, LEASE + 1)
    take(world, owner="second")
    assert propose(world, id, StateType.RUNNING, claim=1) == "ABORT"
    assert state(world, id)[0] == "PENDING"
    told = last_event(world, "penstock.flow-run.stale-claim-refused")
    assert told["payload"] == {"claim": 1, "current": 3, "proposed": "RUNNING"}
    assert propose(world, id, StateType.RUNNING, claim=3) == "ACCEPT"
    assert propose(world, id, StateType.COMPLETED) == "ACCEPT"


def test_the_end_of_a_process_ends_its_run(world: World) -> None:
    pool(world)
    id = due_run(world)
    take(world)
    propose(world, id, StateType.RUNNING, claim=1)
    answer = end(world, id, 1, "The process ended with signal 9 (SIGKILL).")
    assert (answer["forced"], answer["state_type"]) == (True, "CRASHED")
    assert state(world, id) == ("CRASHED", "The process ended with signal 9 (SIGKILL).")
    assert end(world, id, 1)["forced"] is False


def test_what_has_its_end_or_is_suspended_stays(world: World) -> None:
    pool(world)
    done, suspended = due_run(world), due_run(world)
    take(world)
    for id in (done, suspended):
        propose(world, id, StateType.RUNNING, claim=1)
    propose(world, done, StateType.COMPLETED, claim=1)
    later = StateCreate(
        type=StateType.PAUSED,
        state_details=StateDetails(
            pause_reschedule=True, pause_timeout=world.now + timedelta(hours=1)
        ),
    )
    world.write(transition.force_state, "flow_run", suspended, later)
    assert end(world, done, 1)["forced"] is False
    assert end(world, suspended, 1)["forced"] is False
    assert (state(world, done)[0], state(world, suspended)[0]) == ("COMPLETED", "PAUSED")


def test_an_owner_may_let_go_of_a_run_that_goes_on(world: World) -> None:
    pool(world)
    id = due_run(world)
    take(world)
    propose(world, id, StateType.RUNNING, claim=1)
    assert end(world, id, 1, None)["forced"] is False
    assert expire(world, LEASE + 1) == 0
    assert state(world, id)[0] == "RUNNING"


def test_the_end_under_an_old_claim_changes_nothing(world: World) -> None:
    pool(world)
    id = due_run(world)
    take(world)
    expire(world, LEASE + 1)
    take(world)
    assert end(world, id, 1)["lost"] is True
    assert state(world, id)[0] == "PENDING"
    assert end(world, str(uuid4()), 1)["lost"] is True
