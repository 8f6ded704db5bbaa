from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from penstock.schemas.operations import OPERATIONS, Operation, Query
from penstock.server.api.decoding import (
    BodyDecoder,
    QueryDecoder,
    Unprocessable,
    path_value,
    refusal,
    without_nul,
)


class Inner(Struct, forbid_unknown_fields=True, kw_only=True):
    number: int
    when: datetime | None = None
    short: Annotated[str, Meta(max_length=3)] = ""


class Outer(Struct, kw_only=True):
    inner: Inner
    many: list[Inner] = []
    named: dict[str, Inner] = {}
    anything: Any = None
    size: Annotated[int, Meta(ge=1, le=50)] = 5


DECODE = BodyDecoder(Outer, required=True)


def problem(body: bytes) -> tuple[list[str | int], str]:
    with pytest.raises(Unprocessable) as caught:
        DECODE(body)
    return caught.value.problem.loc, caught.value.problem.type


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        (b"", ["body"], "missing"),
        (b"null", ["body"], "model_type"),
        (b"[]", ["body"], "model_type"),
        (b"{", ["body"], "json_invalid"),
        (b'{"inner": {}}', ["body", "inner", "number"], "missing"),
        (b'{"inner": {"number": 1, "nmber": 2}}', ["body", "inner", "nmber"], "extra_forbidden"),
        (b'{"inner": {"number": "x"}}', ["body", "inner", "number"], "int_type"),
        (
            b'{"inner": {"number": 1}, "many": [{"number": 1}, {"number": null}]}',
            ["body", "many", 1, "number"],
            "int_type",
        ),
        (
            b'{"inner": {"number": 1}, "named": {"k": {"number": 1.5}}}',
            ["body", "named", "...", "number"],
            "int_type",
        ),
        (b'{"inner": {"number": 1}, "size": 0}', ["body", "size"], "greater_than_equal"),
        (b'{"inner": {"number": 1}, "size": 51}', ["body", "size"], "less_than_equal"),
        (
            b'{"inner": {"number": 1, "short": "long"}}',
            ["body", "inner", "short"],
            "string_too_long",
        ),
        (
            b'{"inner": {"number": 1, "when": "yesterday"}}',
            ["body", "inner", "when"],
            "datetime_parsing",
        ),
        (b'{"inner": {"number": 9223372036854775808}}', ["body"], "int_parsing_size"),
        (b'{"inner": {"number": 1}, "anything": "\xff"}', ["body"], "json_invalid"),
        (b'{"inner": {"number": 1}, "anything": "\\ud800"}', ["body"], "json_invalid"),
        (b'{"inner": {"number": 1}, "anything": NaN}', ["body"], "json_invalid"),
        (b"[" * 100_000, ["body"], "model_type"),
        (
            b'{"inner": {"number": 1}, "anything": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            ["body"],
            "recursion_loop",
        ),
        (
            b'{"inner": {"number": 1}, "unknown": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            ["body"],
            "recursion_loop",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(body: bytes, loc: list[str | int], kind: str):
    assert problem(body) == (loc, kind)


def test_text_that_spells_a_number_is_taken_as_one():
    assert DECODE(b'{"inner": {"number": "7"}}').inner.number == 7


def test_unknown_members_of_an_open_type_are_ignored():
    assert DECODE(b'{"inner": {"number": 7}, "surprise": 1}').inner.number == 7


def test_instants_without_an_offset_are_utc_at_every_depth():
    body = (
        b'{"inner": {"number": 1, "when": "2026-01-02T03:04:05"}, '
        b'"many": [{"number": 1, "when": "2026-01-02T03:04:05"}],'
        b'"named": {"k": {"number": 1, "when": "2026-01-02T03:04:05+02:00"}}}'
    )
    value = DECODE(body)
    instant = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert value.inner.when == instant
    assert value.many[0].when == instant
    assert value.named["k"].when == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)


def test_a_body_that_is_not_needed_may_be_absent_or_null():
    decode = BodyDecoder(OPERATIONS["count_flow_runs"].body, required=False)
    assert decode(b"") == decode(b"null") == decode(b"{}")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb'"a\u0000b"', "a\ufffdb"),
        (rb'"\\u0000"', r"\u0000"),
        (rb'"\\\u0000"', "\\\ufffd"),
        (rb'"\\\\u0000\u0000"', "\\\\u0000\ufffd"),
    ],
)
def test_nul_becomes_the_replacement_character_and_nothing_else_changes(written: bytes, read: str):
    assert msgspec.json.decode(without_nul(written)) == read


@given(st.text())
def test_text_without_nul_is_kept(text: str):
    encoded = msgspec.json.encode(text)
    assert msgspec.json.decode(without_nul(encoded)) == text.replace("\0", "\ufffd")


QUERIES = QueryDecoder(
    Operation(
        name="q",
        method="GET",
        path="/q",
        query=(
            Query("page-token", str, required=True),
            Query("since", datetime),
            Query("id", UUID),
            Query("count", int),
        ),
    )
)


def test_query_parameters_in_their_types():
    given_id = "0198F3B2-7C1D-7ABC-8DEF-0123456789AB"
    assert QUERIES(
        {"page-token": "t", "since": "2026-01-02T03:04:05", "id": given_id, "other": "1"}
    ) == {
        "page_token": "t",
        "since": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "id": given_id.lower(),
    }


@pytest.mark.parametrize(
    ("query", "loc", "kind"),
    [
        ({}, ["query", "page-token"], "missing"),
        ({"page-token": "t", "since": "soon"}, ["query", "since"], "datetime_parsing"),
        ({"page-token": "t", "id": "7"}, ["query", "id"], "uuid_parsing"),
        ({"page-token": "t", "count": "many"}, ["query", "count"], "int_type"),
    ],
)
def test_faults_of_a_query(query: dict[str, str], loc: list[str | int], kind: str):
    with pytest.raises(Unprocessable) as caught:
        QUERIES(query)
    assert (caught.value.problem.loc, caught.value.problem.type) == (loc, kind)


def test_a_path_parameter_outside_its_values():
    countable = OPERATIONS["count_account_events"].params[0]
    assert path_value("countable", "day", countable) == "day"
    with pytest.raises(Unprocessable) as caught:
        path_value("countable", "century", countable)
    assert caught.value.problem.loc == ["path", "countable"]
    assert caught.value.problem.type == "enum"


def test_the_echoed_body_hides_secrets():
    with pytest.raises(Unprocessable) as caught:
        DECODE(b'{"inner": {}, "password": "hunter2"}')
    body = b'{"inner": {}, "password": "hunter2", "url": "https://me:hunter2@host/", "n": [1]}'
    answer = refusal(caught.value.problem, body)
    assert "hunter2" not in str(answer)
    assert answer["exception_message"] == "Invalid request received."
    assert answer["request_body"]["n"] == [1]


def test_what_cannot_be_read_is_not_echoed():
    with pytest.raises(Unprocessable) as caught:
        DECODE(b'{"password": "hunter2"')
    assert refusal(caught.value.problem, b'{"password": "hunter2"')["request_body"] is None
