"""Building requests, reading responses, the retry rule: all without I/O."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from penstock.client.exchange import (
    Request,
    Response,
    RetryRule,
    Send,
    Session,
    Sleep,
    TransportFailure,
    build,
    converse,
    extensions,
    operation,
    read,
)
from penstock.schemas.errors import (
    APIUnreachable,
    ObjectAlreadyExists,
    ObjectNotFound,
    PenstockHTTPStatusError,
)
from penstock.schemas.events import Countable, EventFilter, EventsCountBody
from penstock.schemas.flows import Flow, FlowCreate

RUN = UUID("0190b3a0-0000-7000-8000-000000000001")
FLOW = b'{"id":"0190b3a0-0000-7000-8000-000000000001","name":"etl","created":null,"updated":null}'


def answered(status: int = 200, body: bytes = b"", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, named, body)


# --- requests ------------------------------------------------------------------------------------


def test_path_parameters_are_quoted_into_the_path():
    request = build(operation("read_flow_by_name"), ("a/b c?",), None, {})
    assert (request.method, request.path, request.body) == ("GET", "/flows/name/a%2Fb%20c%3F", None)


def test_ids_enums_and_bodies_are_written_as_the_wire_wants_them():
    assert build(operation("read_flow"), (RUN,), None, {}).path == f"/flows/{RUN}"
    counted = build(
        operation("count_account_events"),
        (Countable.DAY,),
        EventsCountBody(filter=EventFilter()),
        {},
    )
    assert counted.path == "/events/count-by/day"
    created = build(operation("create_flow"), (), FlowCreate(name="etl"), {})
    assert created.body == b'{"name":"etl","labels":null,"tags":[]}'
    assert build(operation("create_flow"), (), b"[raw]", {}).body == b"[raw]"


def test_query_parameters_use_wire_names_and_utc():
    op = operation("read_flow_run_graph_v2")
    since = datetime(2026, 1, 2, 3, 0, tzinfo=timezone(timedelta(hours=2)))
    request = build(op, (RUN,), None, {"since": since})
    assert request.path == f"/flow_runs/{RUN}/graph-v2?since=2026-01-02T01%3A00%3A00Z"
    page = build(operation("read_account_events_page"), (), None, {"page_token": "a=b"})
    assert page.path == "/events/filter/next?page-token=a%3Db"
    assert build(op, (RUN,), None, {"since": None}).path == f"/flow_runs/{RUN}/graph-v2"


@pytest.mark.parametrize(
    ("name", "params", "body", "query", "message"),
    [
        ("read_flow", (), None, {}, "path parameters"),
        ("read_flow", (RUN,), None, {"x": 1}, "no query parameter 'x'"),
        ("read_flow_run_states", (), None, {}, "needs the query parameter"),
        ("create_flow", (), None, {}, "needs a body"),
        ("read_flow", (object(),), None, {}, "cannot be written into a URL"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_sent(
    name: str, params: tuple[Any, ...], body: Any, query: dict[str, Any], message: str
):
    with pytest.raises(TypeError, match=message):
        build(operation(name), params, body, query)


def test_an_unknown_operation_is_named():
    with pytest.raises(LookupError, match="'frobnicate'"):
        operation("frobnicate")


# --- responses -----------------------------------------------------------------------------------


def asked(name: str = "read_flow", *params: Any) -> Request:
    return build(operation(name), params or (RUN,), None, {})


def test_an_answer_is_read_into_the_type_of_the_table():
    flow = read(asked(), answered(body=FLOW))
    assert flow == Flow(id=RUN, name="etl", created=None, updated=None)
    assert read(asked("delete_flow"), answered(204)) is None


def test_a_bare_word_is_accepted_where_text_is_expected():
    request = build(operation("read_version"), (), None, {})
    assert read(request, answered(body=b'"3.7.4"')) == "3.7.4"
    assert read(request, answered(body=b"3.7.4")) == "3.7.4"


def test_an_answer_of_another_type_names_the_request():
    with pytest.raises(PenstockHTTPStatusError, match=r"GET /flows/.*not of the contract"):
        read(asked(), answered(body=b"<html>"))


@pytest.mark.parametrize(
    ("status", "body", "kind", "detail"),
    [
        (404, b'{"detail":"Flow not found"}', ObjectNotFound, "Flow not found"),
        (404, b'{"exception_message":"gone"}', ObjectNotFound, "gone"),
        (409, b'{"detail":"taken"}', ObjectAlreadyExists, "taken"),
        (
            422,
            b'{"exception_message":"Invalid","exception_detail":[{"loc":["name"]}]}',
            PenstockHTTPStatusError,
            [{"loc": ["name"]}],
        ),
        (500, b"Internal", PenstockHTTPStatusError, "Internal"),
    ],
)
def test_error_statuses_become_errors(status: int, body: bytes, kind: type, detail: Any):
    with pytest.raises(PenstockHTTPStatusError) as caught:
        read(asked(), answered(status, body))
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert caught.value.detail == detail
    assert f"GET /flows/{RUN}" in str(caught.value)


def test_refused_credentials_say_which_setting_to_set():
    with pytest.raises(PenstockHTTPStatusError, match="PENSTOCK_API_AUTH_STRING"):
        read(asked(), answered(401, b'{"exception_message":"Unauthorized"}'))


def test_extensions_are_read_from_the_header():
    response = answered(penstock_extensions="begin, state-id,, run-id ")
    assert extensions(response) == {"begin", "state-id", "run-id"}
    assert extensions(answered()) == frozenset()


# --- the retry rule ------------------------------------------------------------------------------


def test_waits_double_from_two_seconds_and_end_at_the_limit():
    rule = RetryRule(limit=3, jitter=0.0)
    waits = [rule.delay(failure, answered(503), 0.5) for failure in (1, 2, 3, 4)]
    assert waits == [2.0, 4.0, 8.0, None]


def test_jitter_spreads_both_ways_but_never_below_what_the_server_asked():
    rule = RetryRule(jitter=0.5)
    assert rule.delay(1, answered(503), 0.0) == 1.0
    assert rule.delay(1, answered(503), 1.0) == 3.0
    assert rule.delay(1, answered(429, retry_after="10"), 0.0) == 10.0
    assert rule.delay(1, answered(429, retry_after="10"), 1.0) == 15.0


def test_retry_after_as_a_date_is_measured_from_the_answer_itself():
    response = answered(
        503,
        date="Thu, 01 Jan 2026 00:00:00 GMT",
        retry_after="Thu, 01 Jan 2026 00:00:07 GMT",
    )
    assert RetryRule(jitter=0.0).delay(1, response, 0.5) == 7.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 423, 500])
def test_other_statuses_are_final(status: int):
    assert RetryRule().delay(1, answered(status), 0.5) is None


def test_extra_statuses_come_from_the_settings():
    assert RetryRule(extra_statuses=frozenset({500})).delay(1, answered(500), 0.5) is not None


# --- the conversation ----------------------------------------------------------------------------


def session(**changes: Any) -> Session:
    made = Session(
        "http://api", RetryRule(limit=2, jitter=0.0), client_id="me", csrf=True, draw=lambda: 0.5
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def play(conversation: Any, *answers: Response | TransportFailure | None) -> list[Any]:
    """Feed the answers in; returns the steps that were asked for and what it ended with."""
    steps = [next(conversation)]
    try:
        for answer in answers:
            if isinstance(answer, TransportFailure):
                steps.append(conversation.throw(answer))
            else:
                steps.append(conversation.send(answer))
    except StopIteration as end:
        steps.append(end.value)
    return steps


def test_a_plain_exchange_is_one_send():
    request = asked()
    steps = play(converse(session(), request), good := answered(body=FLOW))
    assert steps == [Send(request, ()), good]


def test_a_503_is_waited_for_and_sent_again():
    steps = play(converse(session(), asked()), answered(503), None, good := answered())
    assert [type(step) for step in steps[:3]] == [Send, Sleep, Send]
    assert steps[1] == Sleep(2.0)
    assert steps[-1] is good


def test_the_last_answer_is_given_when_patience_ends():
    bad = answered(503)
    steps = play(converse(session(), asked()), bad, None, bad, None, bad)
    assert steps[-1] is bad
    assert [step.seconds for step in steps if isinstance(step, Sleep)] == [2.0, 4.0]


def test_maintenance_does_not_use_up_patience():
    pause = answered(503, prefect_maintenance="true", retry_after="1")
    feed: list[Any] = [pause, None] * 10
    steps = play(converse(session(), asked()), *feed, answered(200))
    assert steps[-1].status == 200


def test_a_connection_that_never_worked_is_not_waited_for():
    refused = TransportFailure("refused", connected=False)
    with pytest.raises(APIUnreachable, match="http://api: refused"):
        play(converse(session(), asked()), refused)


def test_a_connection_that_worked_before_is_waited_for():
    refused = TransportFailure("refused", connected=False)
    steps = play(converse(session(succeeded=True), asked()), refused, None, answered(200))
    assert [type(step) for step in steps] == [Send, Sleep, Send, Response]


def test_a_broken_read_is_repeated_even_the_first_time():
    broken = TransportFailure("reset", connected=True)
    steps = play(converse(session(), asked()), broken, None, answered(200))
    assert steps[-1].status == 200


def test_a_missing_csrf_token_is_fetched_once_and_the_request_repeated():
    request = build(operation("create_flow"), (), FlowCreate(name="etl"), {})
    token = (
        b'{"id":"0190b3a0-0000-7000-8000-000000000001","token":"t0","client":"me",'
        b'"expiration":"2026-01-01T00:00:00Z","created":null,"updated":null}'
    )
    refused = answered(403, b'{"detail":"Missing CSRF token."}')
    known = session()
    steps = play(converse(known, request), refused, answered(200, token), answered(201))
    assert [step.request.path for step in steps[:3]] == [
        "/flows/",
        "/csrf-token?client=me",
        "/flows/",
    ]
    assert dict(steps[2].headers) == {"Prefect-Csrf-Token": "t0", "Prefect-Csrf-Client": "me"}
    again = play(converse(known, request), refused, answered(200, token), refused)
    assert again[-1].status == 403, "a second refusal is final"
    assert known.headers(asked()) == (), "a GET carries no token"


def test_csrf_is_given_up_where_the_server_does_not_do_it():
    request = build(operation("create_flow"), (), FlowCreate(name="etl"), {})
    refused = answered(403, b"csrf")
    known = session()
    play(converse(known, request), refused, answered(404), refused)
    assert known.csrf is False
    assert len(play(converse(known, request), refused)) == 2


def test_what_the_server_announces_is_learnt_from_any_answer():
    known = session()
    assert known.extensions is None
    play(converse(known, asked()), answered(404, penstock_extensions="begin"))
    assert known.extensions == {"begin"}


def test_query_values_must_be_plain():
    assert build(
        operation("read_flow_run_graph_v2"),
        (RUN,),
        None,
        {"since": datetime(2026, 1, 1, tzinfo=UTC)},
    ).path.endswith("since=2026-01-01T00%3A00%3A00Z")
