"""One suite for every backend of the queue of owed teardowns."""

import asyncio
from uuid import uuid4

import pytest
from tests.queue.conftest import KIND, Bench, placed

from penstock.schemas.cleanup import CleanupFilter, CleanupPage, CleanupPlacement, CleanupState
from penstock.schemas.errors import ObjectConflict
from penstock.server.queue import ClaimRequest, Reservation

PENDING = "pending_claim_teardown.v1"


def wakes_of(bench: Bench, work) -> list[str | None]:
    """The wake-ups that some work caused."""
    heard: list[str | None] = []
    end = bench.queue.on_wake(heard.append)
    work()

    bench.run(asyncio.sleep(0.05))
    end()
    return [pool for pool in heard if pool == bench.pool]


# --- producing -----------------------------------------------------------------------------------


def test_a_message_of_a_key_is_made_once(bench: Bench):
    first = bench.message()
    again = bench.message(idempotency_key=first.idempotency_key)
    made = bench.run(bench.queue.enqueue(first))
    assert bench.run(bench.queue.enqueue(again)) == made
    assert bench.run(bench.queue.count(CleanupFilter(work_pool_id=[made.work_pool_id]))) == {
        "ready": 1
    }


def test_what_was_enqueued_does_not_follow_its_maker(bench: Bench):
    message = bench.message()
    made = bench.run(bench.queue.enqueue(message))
    message.target["infrastructure_pid"] = "another"
    message.data["cause"] = "another"
    kept = bench.get(str(made.id))
    assert kept.target["infrastructure_pid"] == "pid-1"
    assert kept.data == {"cause": "cancelling_timeout"}


def test_an_id_of_another_key_is_a_conflict(bench: Bench):
    first = bench.message()
    bench.run(bench.queue.enqueue(first))
    with pytest.raises(ObjectConflict, match="another work pool or key"):
        bench.run(bench.queue.enqueue(bench.message(id=first.id)))


def test_an_id_of_another_pool_is_a_conflict(bench: Bench):
    first = bench.message()
    bench.run(bench.queue.enqueue(first))
    elsewhere = bench.message(idempotency_key=first.idempotency_key, work_pool_id=str(uuid4()))
    with pytest.raises(ObjectConflict):
        bench.run(bench.queue.enqueue(elsewhere))


def test_enqueueing_wakes_the_pool(bench: Bench):
    assert wakes_of(bench, bench.enqueue) != []


def test_after_an_ack_the_key_gives_the_finished_message_and_wakes_nobody(bench: Bench):
    message = bench.message()
    bench.run(bench.queue.enqueue(message))
    held = bench.reserve()
    assert held is not None
    bench.ack(held)
    bench.settle()
    found = []
    again = lambda: found.append(bench.run(bench.queue.enqueue(message)))  # noqa: E731
    assert wakes_of(bench, again) == []
    assert found[0].state == "done"
    assert bench.reserve() is None


def test_the_end_of_its_retention_frees_the_key(bench: Bench):
    message = bench.message()
    bench.run(bench.queue.enqueue(message))
    held = bench.reserve()
    assert held is not None
    bench.ack(held)
    bench.settle()
    bench.advance(bench.queue.policy.completed_retention_seconds - 60)
    bench.run(bench.queue.purge(100))
    assert bench.get(message.id).state == "done"
    bench.advance(120)
    bench.run(bench.queue.purge(100))
    assert bench.run(bench.queue.get(message.id)) is None
    assert bench.run(bench.queue.enqueue(message)).state == "ready"


def test_dead_messages_are_kept_without_a_retention_of_their_own(bench: Bench):
    held = bench.kill()
    bench.settle()
    bench.advance(400 * 86_400)
    bench.run(bench.queue.purge(100))
    assert bench.get(held.message_id).state == "dead"
    bench.with_policy(dead_retention_seconds=86_400.0)
    bench.run(bench.queue.purge(100))
    assert bench.run(bench.queue.get(held.message_id)) is None


# --- reserving -----------------------------------------------------------------------------------


def test_a_message_has_one_live_lease(bench: Bench):
    bench.enqueue()
    assert bench.reserve("w1") is not None
    assert bench.reserve("w2") is None


def test_a_reservation_tells_what_to_tear_down(bench: Bench):
    id = bench.enqueue(work_queue_id=str(uuid4()))
    held = bench.reserve("w1")
    assert held is not None
    assert (held.message_id, held.kind, held.worker_name) == (id, KIND, "w1")
    assert held.target["infrastructure_pid"] == "pid-1"
    assert held.data == {"cause": "cancelling_timeout"}
    assert held.delivery_count == 1
    assert held.lease_seconds == bench.queue.policy.lease_seconds
    assert bench.get(id).lease_worker_name == "w1"


def test_tokens_are_long_and_never_the_same(bench: Bench):
    tokens = {bench.leased().token for _ in range(20)}
    assert len(tokens) == 20
    assert {len(token) for token in tokens} == {43}


def test_nothing_shows_a_token(bench: Bench):
    held = bench.leased()
    bench.settle()
    shown = repr(bench.run(bench.queue.get(held.message_id)))
    assert held.token not in shown
    assert "token" not in shown


def test_other_kinds_are_not_given(bench: Bench):
    bench.enqueue()
    assert bench.reserve(kinds=(PENDING,)) is None
    assert bench.reserve(kinds=(PENDING, KIND)) is not None


def test_other_pools_are_not_given(bench: Bench):
    bench.enqueue()
    assert bench.reserve(pool=str(uuid4())) is None


def test_the_older_message_comes_first(bench: Bench):
    ids = [bench.enqueue() for _ in range(3)]
    window = bench.run(bench.queue.peek(bench.pool, (KIND,), ("w1",), 10))
    assert [candidate.id for candidate in window.candidates] == ids


def test_windows_follow_each_other(bench: Bench):
    ids = {bench.enqueue() for _ in range(5)}
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        window = bench.run(bench.queue.peek(bench.pool, (KIND,), ("w1",), 2, cursor))
        seen += [candidate.id for candidate in window.candidates]
        cursor = window.cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(ids)


def test_preferred_queues_come_first_then_any(bench: Bench):
    other = bench.enqueue(work_queue_id=str(uuid4()))
    queue = str(uuid4())
    preferred = bench.enqueue(work_queue_id=queue)
    first = bench.reserve(preferred_queue_ids=[queue])
    assert first is not None and first.message_id == preferred
    second = bench.reserve(preferred_queue_ids=[queue])
    assert second is not None and second.message_id == other


def test_without_fallback_other_queues_are_left_alone(bench: Bench):
    bench.enqueue(work_queue_id=str(uuid4()))
    assert bench.reserve(preferred_queue_ids=[str(uuid4())], allow_fallback=False) is None


def test_a_message_without_a_queue_comes_by_fallback_only(bench: Bench):
    id = bench.enqueue()
    queue = str(uuid4())
    assert bench.reserve(preferred_queue_ids=[queue], allow_fallback=False) is None
    found = bench.reserve(preferred_queue_ids=[queue])
    assert found is not None and found.message_id == id


def test_a_claim_with_an_old_fence_loses(bench: Bench):
    bench.enqueue()
    seen = bench.run(bench.queue.peek(bench.pool, (KIND,), ("w1",), 1)).candidates[0]
    held = bench.reserve()
    assert held is not None
    bench.release(held, "connection_closed")
    bench.advance(2)
    request = ClaimRequest(
        message_id=seen.id,
        fence=seen.fence,
        work_pool_id=bench.pool,
        consumer_id=str(uuid4()),
        worker_name="w2",
        server_id=bench.queue.server_id,
    )
    assert bench.run(bench.queue.claim([request])) == []


def test_claims_of_a_batch_succeed_each_for_itself(bench: Bench):
    for _ in range(5):
        bench.enqueue()
    seen = bench.run(bench.queue.peek(bench.pool, (KIND,), ("w1",), 10)).candidates
    held = bench.reserve()
    assert held is not None
    requests = [
        ClaimRequest(
            message_id=candidate.id,
            fence=candidate.fence,
            work_pool_id=bench.pool,
            consumer_id=str(uuid4()),
            worker_name="w2",
            server_id=bench.queue.server_id,
        )
        for candidate in seen
    ]
    won = bench.run(bench.queue.claim(requests))
    assert {found.message_id for found in won} == {
        candidate.id for candidate in seen if candidate.id != held.message_id
    }


def test_a_message_of_one_worker_is_shown_to_no_other(bench: Bench):
    bench.enqueue(**placed(CleanupPlacement.REQUIRE))
    assert bench.reserve("w2") is None
    bench.advance(10_000)
    assert bench.reserve("w2") is None
    assert bench.reserve("w1") is not None


def test_a_message_of_a_host_is_shown_to_workers_of_it(bench: Bench):
    bench.enqueue(**placed(CleanupPlacement.REQUIRE, host_id="host-a"))
    assert bench.reserve("w2", hosts=["host-b"]) is None
    assert bench.reserve("w2", hosts=["host-a"]) is not None


def test_others_get_a_preferred_message_after_a_while(bench: Bench):
    bench.enqueue(**placed(CleanupPlacement.PREFER))
    assert bench.reserve("w2") is None
    bench.advance(bench.queue.policy.placement_wait_seconds + 1)
    assert bench.reserve("w2") is not None


def test_bound_messages_do_not_hide_free_ones(bench: Bench):
    for _ in range(5):
        bench.enqueue(**placed(CleanupPlacement.REQUIRE, "absent"))
    free = bench.enqueue()
    window = bench.run(bench.queue.peek(bench.pool, (KIND,), ("w1",), 1))
    assert [candidate.id for candidate in window.candidates] == [free]


# --- what a worker does: the table of answers ----------------------------------------------------


def refused(result) -> tuple[str, str | None]:
    return result.status.value, result.reason


UNKNOWN = ("not_found", "message_not_found")


@pytest.mark.parametrize("operation", ["ack", "renew", "release"])
def test_an_unknown_message_is_not_found(bench: Bench, operation: str):
    held = bench.leased()
    stray = Reservation(
        **{**{f: getattr(held, f) for f in held.__struct_fields__}, "message_id": str(uuid4())}
    )
    assert refused(getattr(bench, operation)(stray)) == UNKNOWN


@pytest.mark.parametrize("operation", ["ack", "renew", "release"])
def test_a_message_of_another_pool_is_not_found(bench: Bench, operation: str):
    held = bench.leased()
    assert refused(getattr(bench, operation)(held, pool=str(uuid4()))) == UNKNOWN
    assert bench.get(held.message_id).state == "leased"


@pytest.mark.parametrize("operation", ["ack", "renew", "release"])
def test_another_token_holds_nothing(bench: Bench, operation: str):
    held = bench.leased()
    answer = refused(getattr(bench, operation)(held, token="x" * 43))
    assert answer == ("invalid_token", "reservation_token_mismatch")
    assert bench.get(held.message_id).state == "leased"


def test_an_ack_ends_the_message(bench: Bench):
    held = bench.leased()
    assert refused(bench.ack(held)) == ("accepted", None)
    message = bench.get(held.message_id)
    assert (message.state, message.lease_expires_at) == ("done", None)
    assert message.finished_at is not None
    assert [row.outcome for row in bench.history(held.message_id)] == ["acked"]


def test_after_an_ack_only_another_ack_is_accepted(bench: Bench):
    held = bench.leased()
    bench.ack(held)
    assert refused(bench.ack(held)) == ("accepted", None)
    assert refused(bench.renew(held)) == UNKNOWN
    assert refused(bench.release(held)) == UNKNOWN
    assert refused(bench.ack(held, token="x" * 43)) == UNKNOWN


def test_a_renewal_extends_the_lease_and_counts_no_delivery(bench: Bench):
    held = bench.leased()
    bench.advance(20)
    result = bench.renew(held)
    assert (result.status, result.lease_seconds) == ("accepted", bench.queue.policy.lease_seconds)
    bench.advance(20)
    assert len(bench.expire()) == 0
    bench.advance(11)
    assert len(bench.expire()) == 1
    message = bench.get(held.message_id)
    assert (message.deliveries, message.lease_renewals) == (1, 1)


@pytest.mark.parametrize("operation", ["ack", "renew", "release"])
def test_an_overdue_lease_that_nobody_ended_still_holds(bench: Bench, operation: str):
    held = bench.leased()
    bench.advance(100)
    assert getattr(bench, operation)(held).status == "accepted"


def test_an_expired_lease_is_told_so(bench: Bench):
    held = bench.leased()
    bench.advance(31)
    bench.expire()
    assert refused(bench.renew(held)) == ("expired", "lease_expired")
    assert refused(bench.release(held)) == ("not_current", "no_active_reservation")
    other = {"token": "x" * 43}
    for operation in (bench.ack, bench.renew, bench.release):
        assert refused(operation(held, **other)) == ("not_current", "no_active_reservation")


def test_late_success_counts(bench: Bench):
    held = bench.leased()
    bench.advance(31)
    bench.expire()
    assert refused(bench.ack(held)) == ("accepted", None)
    assert bench.get(held.message_id).state == "done"
    assert [row.outcome for row in bench.history(held.message_id)] == ["late_acked"]


def test_late_success_does_not_count_against_a_newer_token(bench: Bench):
    held = bench.leased()
    bench.advance(31)
    bench.expire()
    bench.advance(10)
    newer = bench.reserve("w2")
    assert newer is not None and newer.message_id == held.message_id
    assert refused(bench.ack(held)) == ("invalid_token", "reservation_token_mismatch")
    assert bench.ack(newer).status == "accepted"


def test_late_success_counts_from_the_dead(bench: Bench):
    held = bench.kill()
    assert refused(bench.renew(held)) == ("dead_lettered", "permanent_failure")
    assert refused(bench.release(held)) == ("dead_lettered", "permanent_failure")
    for operation in (bench.ack, bench.renew, bench.release):
        assert refused(operation(held, token="x" * 43)) == UNKNOWN
    assert refused(bench.ack(held)) == ("accepted", None)
    message = bench.get(held.message_id)
    assert (message.state, message.dead_reason) == ("done", None)


# --- releases ------------------------------------------------------------------------------------


def test_a_release_needs_a_reason(bench: Bench):
    held = bench.leased()
    with pytest.raises(ValueError, match="needs a reason"):
        bench.release(held, "")


def test_a_charged_release_backs_off(bench: Bench):
    held = bench.leased()
    assert refused(bench.release(held)) == ("accepted", None)
    message = bench.get(held.message_id)
    assert (message.state, message.attempts) == ("ready", 1)
    bench.advance(3.9)
    assert bench.reserve() is None
    bench.advance(2.2)
    assert bench.reserve() is not None
    row = bench.history(held.message_id)[0]
    assert (row.outcome, row.reason, row.charged) == (
        "released",
        "infrastructure_not_available",
        True,
    )


def test_a_failure_of_transport_is_free_and_soon_over(bench: Bench):
    held = bench.leased()
    bench.release(held, "concurrency_limit_reached")
    assert bench.get(held.message_id).attempts == 0
    bench.advance(1.1)
    assert bench.reserve() is not None


def test_a_delivery_that_was_not_sent_is_told_apart(bench: Bench):
    held = bench.leased()
    bench.release(held, "delivery_failed")
    assert [row.outcome for row in bench.history(held.message_id)] == ["send_failed"]


def test_a_worker_that_cannot_reach_it_is_not_asked_again(bench: Bench):
    held = bench.leased("w1")
    bench.release(held, "infrastructure_elsewhere")
    message = bench.get(held.message_id)
    assert (message.attempts, message.tried_workers) == (0, ["w1"])
    assert bench.reserve("w1") is None
    assert bench.reserve("w2") is not None


def test_an_unknown_reason_is_charged(bench: Bench):
    held = bench.leased()
    bench.release(held, "something of tomorrow")
    assert bench.get(held.message_id).attempts == 1


def test_nothing_to_do_ends_the_message(bench: Bench):
    held = bench.leased(target={"infrastructure_pid": None})
    assert bench.release(held, "missing_infrastructure_handle").status == "accepted"
    message = bench.get(held.message_id)
    assert (message.state, message.last_reason) == ("done", "nothing_to_do")


def test_a_permanent_failure_is_dead_at_once(bench: Bench):
    held = bench.leased()
    answer = refused(bench.release(held, "unexpected_payload_kind"))
    assert answer == ("dead_lettered", "permanent_failure")
    assert bench.get(held.message_id).dead_reason == "permanent_failure"


def test_the_budget_of_attempts(bench: Bench):
    bench.with_policy(max_attempts=3)
    id, result = bench.enqueue(), None
    for attempt in range(1, 4):
        held = bench.reserve()
        assert held is not None
        result = bench.release(held)
        assert bench.get(id).attempts == attempt
        bench.advance(400)
    assert refused(result) == ("dead_lettered", "max_delivery_attempts_reached")
    assert bench.reserve() is None
    assert len(bench.history(id)) == 3


def test_the_budget_of_deliveries(bench: Bench):
    bench.with_policy(max_deliveries=3)
    id, result = bench.enqueue(), None
    for _ in range(3):
        held = bench.reserve()
        assert held is not None
        result = bench.release(held, "connection_closed")
        bench.advance(2)
    assert refused(result) == ("dead_lettered", "max_deliveries_reached")
    assert bench.get(id).attempts == 0
    assert bench.reserve() is None


# --- sweeps --------------------------------------------------------------------------------------


def test_success_of_another_worker_is_not_the_end_while_one_is_untried(bench: Bench):
    id = bench.enqueue(**placed(CleanupPlacement.PREFER, "w1"))
    bench.advance(bench.queue.policy.placement_wait_seconds + 1)
    first = bench.reserve("w2")
    assert first is not None
    assert bench.ack(first, others=["w3"]).status == "accepted"
    message = bench.get(id)
    assert (message.state, message.tried_workers, message.attempts) == ("ready", ["w2"], 0)
    assert bench.reserve("w2") is None
    second = bench.reserve("w3")
    assert second is not None
    assert bench.ack(second, others=["w2"]).status == "accepted"
    assert bench.get(id).state == "done"


def test_success_of_the_launching_worker_is_the_end(bench: Bench):
    bench.enqueue(**placed(CleanupPlacement.PREFER, "w1"))
    held = bench.reserve("w1")
    assert held is not None
    bench.ack(held, others=["w2", "w3"])
    assert bench.get(held.message_id).state == "done"


# --- expiry --------------------------------------------------------------------------------------


def test_expiry_is_charged_and_gives_the_message_to_others(bench: Bench):
    held = bench.leased()
    bench.advance(29)
    assert len(bench.expire()) == 0
    bench.advance(2)
    found = bench.expire()
    assert [message.id for message in found.ready] == [held.message_id]
    message = bench.get(held.message_id)
    assert (message.state, message.attempts, message.last_reason) == ("ready", 1, "lease_expired")
    bench.advance(7)
    assert bench.reserve("w2") is not None


def test_expiry_is_free_when_the_connection_was_gone(bench: Bench):
    held = bench.leased()
    assert bench.run(bench.queue.mark_holder(bench.consumer, lost=True)) == 1
    bench.advance(31)
    bench.expire()
    message = bench.get(held.message_id)
    assert (message.state, message.attempts) == ("ready", 0)


def test_expiry_is_charged_when_the_holder_came_back(bench: Bench):
    held = bench.leased()
    bench.run(bench.queue.mark_holder(bench.consumer, lost=True))
    bench.run(bench.queue.mark_holder(bench.consumer, lost=False))
    bench.advance(31)
    bench.expire()
    assert bench.get(held.message_id).attempts == 1


def test_expiry_spends_the_budget(bench: Bench):
    bench.with_policy(max_attempts=1)
    held = bench.leased()
    bench.advance(31)
    found = bench.expire()
    assert [message.id for message in found.dead] == [held.message_id]
    assert bench.get(held.message_id).dead_reason == "max_delivery_attempts_reached"


def test_expiry_keeps_to_its_limit_and_pool(bench: Bench):
    for _ in range(5):
        bench.leased()
    bench.advance(31)
    assert len(bench.run(bench.queue.expire(100, str(uuid4())))) == 0
    assert len(bench.expire(3)) == 3
    assert len(bench.expire(3)) == 2


# --- the desk ------------------------------------------------------------------------------------


def test_a_dead_message_is_listed_and_requeued(bench: Bench):
    held = bench.kill()
    bench.settle()
    wanted = CleanupFilter(
        work_pool_id=[bench.get(held.message_id).work_pool_id], state=[CleanupState.DEAD]
    )
    listed = bench.run(bench.queue.page(CleanupPage(cleanup_messages=wanted)))
    assert [str(message.id) for message in listed.results] == [held.message_id]
    again = bench.run(bench.queue.requeue(held.message_id, infrastructure_pid="pid-2"))
    assert (again.state, again.attempts, again.requeue_count) == ("ready", 0, 1)
    bench.settle()
    found = bench.reserve()
    assert found is not None and found.message_id == held.message_id
    assert found.target["infrastructure_pid"] == "pid-2"
    assert found.delivery_count == 2


def test_requeueing_makes_earlier_workers_eligible_and_wakes(bench: Bench):
    held = bench.leased("w1")
    bench.release(held, "infrastructure_elsewhere")
    bench.settle()
    bench.run(bench.queue.cancel(held.message_id))
    bench.settle()
    requeue = lambda: bench.run(bench.queue.requeue(held.message_id))  # noqa: E731
    assert wakes_of(bench, requeue) != []
    bench.settle()
    assert bench.reserve("w1") is not None


def test_a_dead_message_goes_on_in_another_pool(bench: Bench):
    held = bench.kill()
    bench.settle()
    elsewhere = str(uuid4())
    bench.run(bench.queue.requeue(held.message_id, work_pool_id=elsewhere))
    bench.settle()
    assert bench.reserve() is None
    found = bench.reserve(pool=elsewhere)
    assert found is not None and found.message_id == held.message_id


def test_requeueing_many_by_filter(bench: Bench):
    dead = {bench.kill().message_id for _ in range(3)}
    live = bench.enqueue()
    bench.settle()
    pool = bench.get(live).work_pool_id
    assert set(bench.run(bench.queue.requeue_many(CleanupFilter(work_pool_id=[pool])))) == dead


def test_only_what_waits_is_cancelled_without_force(bench: Bench):
    id = bench.enqueue()
    held = bench.reserve()
    assert held is not None
    bench.settle()
    assert bench.run(bench.queue.cancel(id)) is None
    assert bench.get(id).state == "leased"


def test_force_takes_a_leased_message_from_its_holder(bench: Bench):
    held = bench.leased()
    bench.settle()
    assert bench.run(bench.queue.cancel(held.message_id, force=True)).state == "cancelled"
    bench.settle()
    for operation in (bench.ack, bench.renew, bench.release):
        assert refused(operation(held)) == ("not_current", "message_cancelled")
    assert [row.outcome for row in bench.history(held.message_id)] == ["revoked"]
    assert bench.reserve() is None


def test_a_finished_message_is_neither_cancelled_nor_requeued(bench: Bench):
    held = bench.leased()
    bench.ack(held)
    bench.settle()
    assert bench.run(bench.queue.cancel(held.message_id, force=True)) is None
    assert bench.run(bench.queue.requeue(held.message_id)) is None


def test_pages_follow_each_other(bench: Bench):
    ids = [bench.enqueue() for _ in range(5)]
    pool = bench.get(ids[0]).work_pool_id
    seen: list[str] = []
    cursor = None
    while True:
        page = CleanupPage(
            cleanup_messages=CleanupFilter(work_pool_id=[pool]), limit=2, cursor=cursor
        )
        found = bench.run(bench.queue.page(page))
        seen += [str(message.id) for message in found.results]
        cursor = found.next
        if cursor is None:
            break
    assert seen == ids[::-1]


# --- times and figures ---------------------------------------------------------------------------


def test_the_leases_of_a_consumer(bench: Bench):
    first, second = bench.leased(), bench.leased()
    found = bench.run(bench.queue.leases_of(bench.consumer))
    assert {lease.message_id for lease in found} >= {first.message_id, second.message_id}
    bench.ack(first)
    found = bench.run(bench.queue.leases_of(bench.consumer))
    assert first.message_id not in {lease.message_id for lease in found}
    assert bench.run(bench.queue.leases_of(str(uuid4()))) == []


def test_when_something_is_due_next(bench: Bench):
    assert bench.run(bench.queue.next_due([bench.pool])) == {}
    bench.enqueue()
    assert bench.run(bench.queue.next_due([bench.pool])) == {bench.pool: 0.0}
    held = bench.reserve()
    assert held is not None
    due = bench.run(bench.queue.next_due([bench.pool, str(uuid4())]))
    assert due.keys() == {bench.pool}
    assert 28 < due[bench.pool] <= 30
    bench.release(held)
    assert 3.5 < bench.run(bench.queue.next_due([bench.pool]))[bench.pool] <= 6


def test_figures_of_a_pool(bench: Bench):
    bench.kill()
    bench.leased()
    bench.enqueue()
    bench.settle()
    found = [s for s in bench.run(bench.queue.stats()) if s.work_pool_id == bench.pool]
    assert found[0].counts == {"ready": 1, "leased": 1, "dead": 1}
    assert found[0].oldest_ready_seconds is not None
    assert found[0].overdue_leases == 0


@pytest.mark.parametrize("operation", ["release", "expire"])
def test_what_becomes_deliverable_wakes_the_pool(bench: Bench, operation: str):
    held = bench.leased()
    bench.advance(31)
    work = bench.expire if operation == "expire" else lambda: bench.release(held)
    assert wakes_of(bench, work) != []


def test_a_pass_of_the_reconciler_ends_overdue_leases(bench: Bench):
    held = bench.leased()
    bench.advance(31)
    assert bench.run(bench.queue.reconcile(100)) >= 1
    assert bench.get(held.message_id).state == "ready"


def test_what_nobody_takes_is_dead_in_the_end(bench: Bench):
    bound = bench.enqueue(**placed(CleanupPlacement.REQUIRE, "absent"))
    free = bench.enqueue()
    bench.advance(bench.queue.policy.unroutable_alert_seconds + 1)
    bench.run(bench.queue.reconcile(100))
    assert bench.get(free).state == "ready"
    bench.settle()
    bench.advance(bench.queue.policy.max_age_seconds)
    bench.run(bench.queue.reconcile(100))
    bench.settle()
    assert bench.get(free).dead_reason == "max_age_exceeded"
    assert bench.get(bound).dead_reason == "no_eligible_worker"
    assert bench.reserve() is None
