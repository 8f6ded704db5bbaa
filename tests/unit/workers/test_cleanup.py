"""The executor of teardowns, with a server whose answers the test chooses."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from penstock.schemas.channel import (
    CANCELLING_TIMEOUT_TEARDOWN as KIND,
)
from penstock.schemas.channel import (
    CleanupMessage,
    CleanupMessageFrame,
    OperationResult,
    OperationResultFrame,
)
from penstock.schemas.cleanup import CleanupOperation, CleanupStatus
from penstock.workers import cleanup
from penstock.workers.cleanup import Ack, CleanupExecutor, Handler, Outcome, Release

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SAID = tuple[str, dict[str, Any]]


def frame(
    lease: float = 30.0, kind: str = KIND, id: UUID | None = None, token: str = "t1"
) -> CleanupMessageFrame:
    """A message whose times are those of some other clock."""
    return CleanupMessageFrame(
        id=uuid4(),
        sent_at=NOW,
        payload=CleanupMessage(
            message_id=id or uuid4(),
            kind=kind,
            reservation_token=token,
            lease_expires_at=NOW + timedelta(seconds=lease),
            delivery_count=1,
            target={"flow_run_id": "r", "infrastructure_pid": "p"},
        ),
    )


class Server:
    """Answers what the executor says; `answers` gives the status of each operation in turn."""

    def __init__(self, executor: CleanupExecutor, lease: float = 30.0) -> None:
        self.executor = executor
        self.lease = lease
        self.said: list[SAID] = []
        self.answers: list[CleanupStatus] = []
        self.silent = False
        executor.connected(self.send, accepted=True)

    async def send(self, type: str, payload: Any, id: UUID) -> None:
        self.said.append((type, payload))
        if self.silent:
            return
        status = self.answers.pop(0) if self.answers else CleanupStatus.ACCEPTED
        operation = CleanupOperation(type.split(".")[1])
        renewed = operation is CleanupOperation.RENEW and status is CleanupStatus.ACCEPTED
        result = OperationResult(
            request_frame_id=id,
            message_id=payload["message_id"],
            operation=operation,
            status=status,
            lease_expires_at=NOW + timedelta(seconds=self.lease) if renewed else None,
            reason=None if status is CleanupStatus.ACCEPTED else "why",
        )
        answer = OperationResultFrame(id=uuid4(), sent_at=NOW, payload=result)
        asyncio.get_running_loop().call_soon(self.executor.resolve, answer)

    @property
    def names(self) -> list[str]:
        return [type.split(".")[1] for type, _ in self.said]

    @property
    def reasons(self) -> list[str]:
        return [payload["reason"] for _, payload in self.said if "reason" in payload]


class Work:
    """A handler that does as it is told and counts."""

    def __init__(self, outcome: Outcome | BaseException | None = None) -> None:
        self.outcome = outcome
        self.begun = 0
        self.cancelled = 0
        self.may_end = asyncio.Event()

    async def __call__(self, message: CleanupMessage) -> Outcome | None:
        self.begun += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


async def until(holds: Callable[[], Any], seconds: float = 5.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.002)


def check(test: Callable[[], Awaitable[Any]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


def executor(handler: Handler, limit: int = 1) -> CleanupExecutor:
    return CleanupExecutor({KIND: handler}, limit=limit)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (None, "ack"),
        (Ack(), "ack"),
        (Release("infrastructure_elsewhere"), "infrastructure_elsewhere"),
        (RuntimeError("broken"), "handler_failed"),
    ],
)
def test_what_a_handler_comes_to_is_said(outcome: Any, said: str):
    async def test() -> None:
        work = Work(outcome)
        work.may_end.set()
        one = executor(work)
        server = Server(one)
        one.take(frame())
        await until(lambda: not one.active)
        assert server.reasons == ([] if said == "ack" else [said])
        assert server.names == ["ack" if said == "ack" else "release"]

    check(test)


def test_a_message_nobody_handles_is_handed_back():
    async def test() -> None:
        one = executor(Work())
        server = Server(one)
        one.take(frame(kind="unknown.v1"))
        await until(lambda: server.said)
        assert server.reasons == ["unsupported_cleanup_kind"]

    check(test)


def test_more_than_the_limit_is_handed_back():
    async def test() -> None:
        work = Work()
        one = executor(work)
        server = Server(one)
        one.take(frame())
        one.take(frame())
        await until(lambda: server.said)
        assert server.reasons == ["concurrency_limit_reached"]
        assert (work.begun, one.active) == (1, 1)
        work.may_end.set()
        await until(lambda: not one.active)

    check(test)


def test_the_next_message_may_follow_the_answer_at_once():
    async def test() -> None:
        work = Work()
        work.may_end.set()
        one = executor(work)
        server = Server(one)
        answered = one.resolve

        def answered_and_given_more(frame_: OperationResultFrame) -> None:
            answered(frame_)
            if work.begun < 3:
                one.take(frame())

        one.resolve = answered_and_given_more  # type: ignore[method-assign]
        one.take(frame())
        await until(lambda: work.begun == 3 and not one.active)
        assert server.names == ["ack"] * 3

    check(test)


def test_a_message_that_comes_again_is_worked_on_once_and_answered_with_the_newest_token():
    async def test() -> None:
        work = Work()
        one = executor(work)
        server = Server(one)
        id = uuid4()
        one.take(frame(id=id, token="first"))
        one.take(frame(id=id, token="second"))
        await until(lambda: work.begun)
        work.may_end.set()
        await until(lambda: not one.active)
        assert work.begun == 1
        assert [payload["reservation_token"] for _, payload in server.said] == ["second"]

    check(test)


def test_a_lease_is_renewed_at_a_third_of_it_while_the_handler_runs(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(cleanup, "SHORTEST_RENEWAL", 0.01)

    async def test() -> None:
        work = Work()
        one = executor(work)
        server = Server(one, lease=0.3)
        one.take(frame(lease=0.3))
        await asyncio.sleep(0.5)
        # A third of the lease, by a fifth sooner or later.
        assert 3 <= len(server.said) <= 7
        assert set(server.names) == {"renew"}
        work.may_end.set()
        await until(lambda: not one.active)
        assert server.names[-1] == "ack"

    check(test)


@pytest.mark.parametrize(
    "status",
    [
        CleanupStatus.NOT_CURRENT,
        CleanupStatus.NOT_FOUND,
        CleanupStatus.EXPIRED,
        CleanupStatus.INVALID_TOKEN,
        CleanupStatus.UNAUTHORIZED,
        CleanupStatus.DEAD_LETTERED,
    ],
)
def test_a_lost_lease_ends_the_handler(status: CleanupStatus, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cleanup, "SHORTEST_RENEWAL", 0.01)

    async def test() -> None:
        work = Work()
        one = executor(work)
        server = Server(one)
        server.answers = [status]
        one.take(frame(lease=0.1))
        await until(lambda: not one.active)
        assert work.cancelled == 1
        assert server.names == ["renew"]

    check(test)


def test_an_error_is_said_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cleanup, "AGAIN_SECONDS", 0.01)

    async def test() -> None:
        work = Work()
        work.may_end.set()
        one = executor(work)
        server = Server(one)
        server.answers = [CleanupStatus.ERROR, CleanupStatus.ERROR, CleanupStatus.NOT_FOUND]
        one.take(frame())
        await until(lambda: not one.active)
        assert server.names == ["ack"] * 3

    check(test)


def test_what_was_done_while_the_server_was_away_is_said_over_the_next_connection(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(cleanup, "AGAIN_SECONDS", 0.01)

    async def test() -> None:
        work = Work()
        one = executor(work)
        server = Server(one)
        one.take(frame())
        await until(lambda: work.begun)
        one.disconnected()
        work.may_end.set()
        await asyncio.sleep(0.05)
        assert (one.active, server.said) == (1, [])
        one.connected(server.send, accepted=True)
        await until(lambda: not one.active)
        assert server.names == ["ack"]

    check(test)


def test_an_answer_that_was_lost_with_the_connection_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(cleanup, "AGAIN_SECONDS", 0.01)

    async def test() -> None:
        work = Work()
        work.may_end.set()
        one = executor(work)
        server = Server(one)
        server.silent = True
        one.take(frame())
        await until(lambda: server.said)
        one.disconnected()
        server.silent = False
        one.connected(server.send, accepted=True)
        await until(lambda: not one.active)
        assert server.names == ["ack", "ack"]

    check(test)


def test_a_server_that_takes_no_answers_any_more_ends_the_handlers():
    async def test() -> None:
        work = Work()
        one = executor(work)
        server = Server(one)
        one.take(frame())
        await until(lambda: work.begun)
        one.disconnected()
        one.connected(server.send, accepted=False)
        await until(lambda: not one.active)
        assert (work.cancelled, server.said) == (1, [])

    check(test)


def test_stopping_waits_for_handlers_and_hands_back_the_rest():
    async def test() -> None:
        quick, slow = Work(), Work()

        async def either(message: CleanupMessage) -> Outcome | None:
            return await (quick if message.delivery_count == 1 else slow)(message)

        one = executor(either, limit=2)
        server = Server(one)
        first = frame()
        second = frame()
        one.take(first)
        one.take(
            CleanupMessageFrame(
                id=uuid4(),
                sent_at=NOW,
                payload=CleanupMessage(
                    **{
                        **{
                            name: getattr(second.payload, name)
                            for name in second.payload.__struct_fields__
                        },
                        "delivery_count": 2,
                    }
                ),
            )
        )
        await until(lambda: quick.begun and slow.begun)
        stopping = asyncio.create_task(one.stop(grace=0.2))
        await asyncio.sleep(0.05)
        one.take(frame())
        quick.may_end.set()
        await stopping
        assert not one.active
        assert slow.cancelled == 1
        assert server.names.count("ack") == 1
        assert server.reasons == ["worker_shutting_down", "worker_shutting_down"]

    check(test)
